//! Terminals: which streams are one, and text that is safe to print on one.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal;

/// Returns whether a question can be asked: a person sees it and can type the answer.
#[must_use]
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Returns whether standard error is a terminal that can redraw a line.
#[must_use]
pub fn can_redraw() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Returns whether standard output and standard error share a terminal.
#[must_use]
pub fn is_one_screen() -> bool {
    std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
}

/// Escapes control characters, bidirectional overrides and invisible characters in text from outside, such as a file name or a
/// server's message: they could move the cursor, or hide or reorder text.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Escapes the characters that [`printable`] escapes in JSON, by JSON's own escapes.
#[must_use]
pub fn printable_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Returns whether a character commands the terminal, reorders text, or is invisible, so that two different names look the same.
/// The variation selector of emoji (U+FE0F) is safe: it selects how the character before it is drawn.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_a_terminal() {
        assert_eq!(printable("people.csv"), "people.csv");
        assert_eq!(printable("\u{1b}[2Jx"), "\\u{1b}[2Jx");
        assert_eq!(
            printable("a\nb\u{9b}\u{202e}c"),
            "a\\u{a}b\\u{9b}\\u{202e}c"
        );
        assert_eq!(printable("é 日本 ❤\u{fe0f}"), "é 日本 ❤\u{fe0f}");
    }

    #[test]
    fn invisible_characters_are_shown() {
        for hidden in [
            '\u{ad}',
            '\u{61c}',
            '\u{200b}',
            '\u{200d}',
            '\u{200f}',
            '\u{2028}',
            '\u{2060}',
            '\u{2064}',
            '\u{3164}',
            '\u{fe00}',
            '\u{feff}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e007f}',
            '\u{e0100}',
        ] {
            let name = format!("a{hidden}b");
            assert_eq!(printable(&name), format!("a{}b", hidden.escape_unicode()));
            let json = serde_json::Value::from(name).to_string();
            let safe = printable_json(&json);
            assert!(safe.is_ascii(), "{safe}");
            let read: String = serde_json::from_str(&safe).expect("JSON");
            assert_eq!(read, format!("a{hidden}b"));
        }
    }
}
