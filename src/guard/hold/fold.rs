//! The folded form of an identifier, without the differences that editors, mail and spreadsheets introduce unnoticed.
//!
//! A list that was pasted from a mail has other spaces, quotes and Unicode forms than the database that the rows come from.
//! Identifiers that are equal in this form are near matches: they may name the same person, and a person must decide.

use icu_normalizer::DecomposingNormalizerBorrowed;

/// Returns the folded form of an identifier; nothing if it is its own folded form, which takes no allocation for lower-case ASCII.
///
/// White space and invisible characters anywhere are dropped, and quotes at either end. Typographic quotes and dashes become plain
/// ones. Case and Unicode form (NFC, NFD) make no difference.
pub(super) fn folded(text: &str) -> Option<String> {
    if is_folded_ascii(text.as_bytes()) {
        return None;
    }
    if text.is_ascii() {
        let visible = text
            .bytes()
            .filter(|byte| !matches!(byte, b'\0'..=b' ' | b'\x7f'));
        let plain = visible.map(|byte| match byte {
            b'`' => '\'',
            other => char::from(other.to_ascii_lowercase()),
        });
        let whole: String = plain.collect();
        let folded = whole.trim_matches(['"', '\'']);
        return (folded != text).then(|| folded.to_owned());
    }
    // Two texts are equal in NFC if and only if they are equal in NFD.
    let nfd = const { DecomposingNormalizerBorrowed::new_nfd() };
    let visible = text.chars().filter(|c| !is_unseen(*c));
    // Through both cases: only so do `ẞ`, `ß` and `SS`, and both forms of a Greek sigma, become equal.
    let cased = nfd
        .normalize_iter(visible)
        .flat_map(char::to_lowercase)
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase);
    let whole: String = nfd.normalize_iter(cased).map(plain).collect();
    let folded = whole.trim_matches(is_quote);
    (folded != text).then(|| folded.to_owned())
}

/// Returns whether an ASCII identifier is its own folded form. Most are, so the loop has no branch.
fn is_folded_ascii(text: &[u8]) -> bool {
    let is_kept = |byte: &u8| matches!(byte, b'!'..=b'@' | b'['..=b'_' | b'a'..=b'~');
    let is_edge = |byte: Option<&u8>| byte.is_none_or(|byte| !matches!(byte, b'"' | b'\''));
    text.iter().fold(true, |all, byte| all & is_kept(byte))
        && is_edge(text.first())
        && is_edge(text.last())
}

/// Returns whether a character is white space or invisible: Unicode's `White_Space`, `Cc`, `Default_Ignorable_Code_Point` and the
/// formats of `Cf` without a glyph, the Braille blank, and the placeholder of an embedded object.
pub(super) fn is_unseen(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffc}'
                | '\u{13430}'..='\u{1343f}'
                | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

/// Returns the plain form of a typographic quote or dash.
fn plain(c: char) -> char {
    match c {
        '`'
        | '´'
        | '\u{2bc}'
        | '\u{2018}'..='\u{201b}'
        | '\u{2032}'
        | '\u{275b}'
        | '\u{275c}'
        | '\u{275f}'
        | '\u{ff07}' => '\'',
        '\u{201c}'..='\u{201f}'
        | '\u{2033}'
        | '\u{275d}'
        | '\u{275e}'
        | '\u{2760}'
        | '\u{2e42}'
        | '\u{301d}'..='\u{301f}'
        | '\u{ff02}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        other => other,
    }
}

/// Returns whether a character is a quote, plain or typographic.
pub(super) fn is_quote(c: char) -> bool {
    matches!(
        plain(c),
        '"' | '\'' | '«' | '»' | '\u{2039}' | '\u{203a}' | '\u{300c}'
            ..='\u{300f}' | '\u{276e}' | '\u{276f}' | '\u{fe41}'..='\u{fe44}' | '\u{ff62}' | '\u{ff63}'
    )
}

#[cfg(test)]
mod tests {
    use icu_normalizer::ComposingNormalizerBorrowed;
    use proptest::prelude::*;

    use super::*;

    fn fold(text: &str) -> String {
        folded(text).unwrap_or_else(|| text.to_owned())
    }

    #[test]
    fn unseen_differences_fold_away() {
        for (one, other) in [
            ("alice", "alice\u{a0}"),
            ("bob", "\u{200b}bob"),
            ("carol", "\u{201c}carol\u{201d}"),
            ("carol", "\u{2e42}carol\u{2e42}"),
            ("carol", "\u{276e}carol\u{276f}"),
            ("carol", "\u{275f}carol\u{275f}"),
            ("dave", "dave\u{200e}"),
            ("erin", "\u{feff}erin"),
            ("frank", "FRANK"),
            ("grace", " grace\t"),
            ("heidi", "«heidi»"),
            ("ivan", "\u{201a}ivan\u{2018}"),
            ("judy", "ju\u{ad}dy"),
            ("al ice", "alice"),
            ("o'hara", "o\u{2019}hara"),
            ("user-1", "user\u{2013}1"),
            ("jos\u{e9}", "jose\u{301}"),
            ("JOS\u{c9}", "jose\u{301}"),
            ("stra\u{df}e", "STRASSE"),
            ("\u{3b1}\u{3c3}", "\u{391}\u{3c2}"),
            ("\u{212b}ngstr\u{f6}m", "a\u{30a}ngstro\u{308}m"),
            ("\u{d55c}", "\u{1112}\u{1161}\u{11ab}"),
            // A grapheme joiner between two accents keeps normalisation from ordering them.
            ("a\u{323}\u{301}", "a\u{301}\u{34f}\u{323}"),
            ("mallory", "m\u{e0061}allory\u{fe0f}"),
        ] {
            assert_eq!(fold(one), fold(other), "{one:?} {other:?}");
        }
        for (one, other) in [
            ("alice", "alicf"),
            ("a", "\u{e1}"),
            ("a.b", "ab"),
            ("a_b", "a-b"),
            ("o'hara", "ohara"),
            ("1", "\u{661}"),
            ("a", "\u{430}"),
        ] {
            assert_ne!(fold(one), fold(other), "{one:?} {other:?}");
        }
    }

    #[test]
    fn folding_any_character_twice_changes_nothing() {
        for c in '\0'..=char::MAX {
            for text in [format!("x{c}x"), c.to_string()] {
                let once = fold(&text);
                assert_eq!(fold(&once), once, "{text:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_ascii_shortcut_agrees_with_folding(text in "[ -~]{0,6}") {
            let slow: String = text
                .chars()
                .filter(|c| *c != ' ')
                .map(|c| c.to_ascii_lowercase())
                .map(plain)
                .collect();
            let slow = slow.trim_matches(['"', '\'']);
            prop_assert_eq!(fold(&text), slow);
            prop_assert_eq!(folded(&text).is_none(), slow == text);
        }

        #[test]
        fn forms_cases_blanks_and_quotes_fold_away(
            text in "[a-zA-Z0-9@.éÉüßçàñşİıǆкЩΣςή가힣]{1,12}",
            blank in "[ \u{a0}\u{2003}\u{200b}-\u{200f}\u{2060}\u{feff}\t]{0,2}",
            quotes in prop::sample::select(vec![("", ""), ("\"", "\""), ("\u{201e}", "\u{201c}"), ("'", "'"), ("\u{300c}", "\u{300d}")]),
            at in any::<prop::sample::Index>(),
        ) {
            let form = fold(&text);
            let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&text);
            let apart = DecomposingNormalizerBorrowed::new_nfd().normalize(&text);
            prop_assert_eq!(fold(&composed), &*form);
            prop_assert_eq!(fold(&apart), &*form);
            prop_assert_eq!(fold(&text.to_uppercase()), &*form);
            let at = at.index(text.chars().count());
            let within: String = text.chars().take(at).chain(blank.chars()).chain(text.chars().skip(at)).collect();
            prop_assert_eq!(fold(&within), &*form);
            let (before, behind) = quotes;
            prop_assert_eq!(fold(&format!("{blank}{before}{text}{behind}{blank}")), form);
        }
    }
}
