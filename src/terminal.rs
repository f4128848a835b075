//! What a terminal is told: whether there is one, and nothing that it would take for a command.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::IsTerminal;

/// Whether a person can be asked: they can type, and they see the question.
#[must_use]
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Whether standard error is a terminal that can redraw a line.
#[must_use]
pub fn can_redraw() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Text from outside, such as a file name or a server's message, without what moves the cursor, hides or reorders:
/// control characters and bidirectional overrides stand as escapes.
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

/// The same JSON with what [`printable`] escapes and JSON need not: each such character has an escape in JSON, too.
#[must_use]
pub fn printable_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            let _ = write!(safe, "\\u{:04x}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    safe
}

fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_do_not_reach_a_terminal() {
        assert_eq!(printable("people.csv"), "people.csv");
        assert_eq!(printable("\u{1b}[2Jx"), "\\u{1b}[2Jx");
        assert_eq!(
            printable("a\nb\u{9b}\u{202e}c"),
            "a\\u{a}b\\u{9b}\\u{202e}c"
        );
        assert_eq!(printable("é 日本"), "é 日本");
    }
}
