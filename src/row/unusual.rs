//! Values that are not believed: what a spreadsheet, a database or a script left in place of an identifier.
//!
//! The service takes any text for a user identifier and answers that a wrong one is not linked, so that a mangled list
//! would be told as work done. Such a value is not sent, unless the operator says that it is what it seems to be.

use std::fmt;
use std::str::FromStr;

use super::every;

/// A kind of unusual value, by what has left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `NULL`, `\N`, `nan`, `#N/A`: written where there is no value.
    Placeholder,
    /// `1001.0`, `4.68769E+17`: an id that was taken for a number.
    Float,
    /// `="007"`, `'+49…`: an id that was guarded against being taken for a formula.
    SpreadsheetGuard,
    /// `CORP\\alice` in a file with tabs between fields, where databases escape backslashes.
    DoubledBackslash,
    /// A character that nobody sees: zero-width, a byte order mark, a direction mark, a control character.
    Invisible,
    /// White space at an end, as columns of a fixed width are padded.
    WhiteSpace,
}

impl Kind {
    /// All kinds. Of several that fit, the first is told: the one that says most of where the value came from.
    pub const ALL: [Self; 6] = [
        Self::Placeholder,
        Self::Float,
        Self::SpreadsheetGuard,
        Self::DoubledBackslash,
        Self::Invisible,
        Self::WhiteSpace,
    ];

    /// Its name for `--as-is`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Placeholder => "placeholder",
            Self::Float => "float",
            Self::SpreadsheetGuard => "spreadsheet-guard",
            Self::DoubledBackslash => "doubled-backslash",
            Self::Invisible => "invisible",
            Self::WhiteSpace => "white-space",
        }
    }

    /// Says what such a value does, without the value.
    #[must_use]
    pub fn does(self) -> &'static str {
        match self {
            Self::Placeholder => "is what exports write for no value (NULL, nan, #N/A)",
            Self::Float => {
                "is a floating-point number, as an id becomes in a spreadsheet or data frame"
            }
            Self::SpreadsheetGuard => {
                "is guarded against being a formula (=\"…\" or an apostrophe)"
            }
            Self::DoubledBackslash => "holds doubled backslashes, as databases export them",
            Self::Invisible => "holds an invisible or control character",
            Self::WhiteSpace => "begins or ends with white space",
        }
    }

    fn fits(self, value: &str, is_tsv: bool) -> bool {
        match self {
            Self::Placeholder => is_placeholder(visible(value)),
            Self::Float => is_float(visible(value).as_bytes()),
            Self::SpreadsheetGuard => is_guarded(visible(value)),
            Self::DoubledBackslash => is_tsv && value.contains(r"\\"),
            Self::Invisible => value.contains(is_invisible),
            Self::WhiteSpace => {
                value.starts_with(char::is_whitespace) || value.ends_with(char::is_whitespace)
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The kinds that are sent as they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AsIs(u8);

impl AsIs {
    /// Every kind.
    pub const ALL: Self = Self(u8::MAX);

    /// Returns whether values of this kind are sent.
    #[must_use]
    pub fn has(self, kind: Kind) -> bool {
        self.0 & Self::from(kind).0 != 0
    }
}

impl From<Kind> for AsIs {
    fn from(kind: Kind) -> Self {
        Self(1 << kind as u8)
    }
}

impl FromIterator<AsIs> for AsIs {
    fn from_iter<I: IntoIterator<Item = AsIs>>(each: I) -> Self {
        Self(each.into_iter().fold(0, |all, one| all | one.0))
    }
}

impl FromStr for AsIs {
    type Err = String;

    /// Reads the name of a kind, or `all`.
    fn from_str(name: &str) -> Result<Self, String> {
        if name == "all" {
            return Ok(Self::ALL);
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        kind.map(Self::from).ok_or_else(|| {
            let names = Kind::ALL.map(Kind::name).join(", ");
            format!("the kinds are {names}, or all")
        })
    }
}

/// How values are taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trust {
    /// Kinds that are sent as they stand.
    pub as_is: AsIs,
    /// Tabs separate the fields of the file.
    pub is_tsv: bool,
}

impl Trust {
    /// Takes every value for what it is.
    pub const ALL: Self = Self {
        as_is: AsIs::ALL,
        is_tsv: false,
    };

    /// Returns the kind of an unusual value that is not sent; none of any other.
    #[must_use]
    pub fn refuses(self, value: &str) -> Option<Kind> {
        if is_clean(value.as_bytes()) {
            return None;
        }
        Kind::ALL
            .into_iter()
            .find(|&kind| !self.as_is.has(kind) && kind.fits(value, self.is_tsv))
    }
}

/// Returns whether the bytes alone show that no kind fits, as those of most identifiers do. One that does not pass may be as it
/// should be.
fn is_clean(value: &[u8]) -> bool {
    let (Some(&first), Some(&last)) = (value.first(), value.last()) else {
        return true;
    };
    !may_begin(first, value)
        && last != b' '
        && every(value, |byte| matches!(byte, b' '..=b'[' | b']'..=b'~'))
}

/// Returns whether a value with this first byte may be a placeholder, a number or guarded.
fn may_begin(first: u8, value: &[u8]) -> bool {
    match first {
        b'n' | b'N' | b'u' | b'U' => value.len() <= LONGEST_WORD,
        b'0'..=b'9' => memchr::memchr3(b'.', b',', b'+', value).is_some(),
        b'a'..=b'z' | b'A'..=b'Z' => false,
        _ => true,
    }
}

/// The value without white space and invisible characters at its ends.
fn visible(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Words that stand for no value in any case, bare or within brackets or quotes. `Null` is a name as well, and `--as-is` is for
/// the people who have it.
const WORDS: [&str; 5] = ["null", "none", "undefined", "n/a", "nil"];

/// No word is longer; `nan` and `NA` are shorter.
const LONGEST_WORD: usize = "undefined".len();

/// What stands for no value in this spelling only: `Nan` and `Na` are names.
const EXACT: [&str; 16] = [
    "nan",
    "NaN",
    "NAN",
    "NaT",
    "NA",
    "-nan",
    r"\N",
    "(blank)",
    "(empty)",
    "[object Object]",
    "__HIVE_DEFAULT_PARTITION__",
    "{}",
    "[]",
    "\"\"",
    "''",
    "<>",
];

fn is_placeholder(value: &str) -> bool {
    let is_word = |text: &str| {
        WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
            || ["nan", "NaN", "NAN", "NA", "NaT", r"\N"].contains(&text)
    };
    let bare = [('(', ')'), ('<', '>'), ('[', ']'), ('"', '"'), ('\'', '\'')]
        .into_iter()
        .find_map(|(open, close)| value.strip_prefix(open)?.strip_suffix(close));
    EXACT.contains(&value)
        || is_word(value)
        || bare.is_some_and(is_word)
        || value.strip_prefix('#').is_some_and(is_cell_error)
        || (!value.is_empty() && value.bytes().all(|byte| byte == b'-'))
}

/// Returns whether a spreadsheet shows this behind a `#` where a cell has no value: `#N/A`, `#REF!`, `#NAME?`, `#NV`, or hashes alone.
fn is_cell_error(text: &str) -> bool {
    let is_upper = |text: &str| {
        !text.is_empty()
            && text.chars().all(|c| {
                c.is_uppercase() || c.is_ascii_digit() || matches!(c, '/' | '_' | ' ' | '.')
            })
    };
    ["N/A", "NA", "NV", "N/D", "ND", "N/A N/A", "GETTING_DATA"]
        .contains(&text.to_uppercase().as_str())
        || text.strip_suffix(['!', '?']).is_some_and(is_upper)
        || (text.len() >= 2 && text.bytes().all(|byte| byte == b'#'))
}

/// Returns whether this is a number with a fraction of zeros, or with an exponent that no id has: `1001.0`, `4.68769E+17`, `1e+05`.
/// The comma is the decimal point in much of Europe.
fn is_float(value: &[u8]) -> bool {
    let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = value
        .strip_prefix(b"-")
        .or(value.strip_prefix(b"+"))
        .unwrap_or(value);
    let whole = digits(rest);
    let rest = &rest[whole..];
    let (fraction, rest) = match rest {
        [b'.' | b',', rest @ ..] => {
            let (fraction, rest) = rest.split_at(digits(rest));
            (Some(fraction), rest)
        }
        _ => (None, rest),
    };
    let exponent = match rest {
        [] => None,
        [b'e' | b'E', b'+', digits @ ..] => Some((true, digits)),
        [b'e' | b'E', b'-', digits @ ..] | [b'e' | b'E', digits @ ..] => Some((false, digits)),
        _ => return false,
    };
    whole > 0
        && match (fraction, exponent) {
            (Some(fraction), None) => fraction.iter().all(|byte| *byte == b'0'),
            // `1e5` may be an id in hexadecimal.
            (fraction, Some((is_signed, power))) => {
                !power.is_empty()
                    && digits(power) == power.len()
                    && (is_signed || fraction.is_some())
            }
            (None, None) => false,
        }
}

fn is_guarded(value: &str) -> bool {
    let is_formula = value.starts_with("=\"") && value.len() > 2 && value.ends_with('"');
    let behind = value.strip_prefix('\'').unwrap_or_default();
    is_formula
        || behind.starts_with(['=', '+', '-', '@', '\t', '\r'])
        || (!behind.is_empty() && behind.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Returns whether a character shows nothing of itself: control and format characters, and others that renderers ignore by default
/// (Unicode's `Default_Ignorable_Code_Point`). The replacement character counts as one: it stands where another was lost.
#[must_use]
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{fffd}'
            | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kind(value: &str) -> Option<Kind> {
        Trust::default().refuses(value)
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "it is a table")]
    fn each_kind_has_its_members() {
        let members: [(Kind, &[&str]); 5] = [
            (
                Kind::Placeholder,
                &[
                    "NULL",
                    "null",
                    "Null",
                    "(null)",
                    "<NULL>",
                    "[NULL]",
                    "\"null\"",
                    "'NULL'",
                    "None",
                    "none",
                    "nil",
                    "<nil>",
                    "undefined",
                    "nan",
                    "NaN",
                    "NaT",
                    "NA",
                    "<NA>",
                    "N/A",
                    "n/a",
                    r"\N",
                    "#N/A",
                    "#n/a",
                    "#NAME?",
                    "#REF!",
                    "#DIV/0!",
                    "#WERT!",
                    "#NV",
                    "########",
                    "-",
                    "----",
                    "[object Object]",
                    "{}",
                    "NULL  ",
                    "\u{feff}NULL",
                ],
            ),
            (
                Kind::Float,
                &[
                    "1001.0",
                    "1001.00",
                    "1001.",
                    "-1.0",
                    "+1.0",
                    "4.68769E+17",
                    "4.68769e+17",
                    "4,68769E+17",
                    "1001,0",
                    "1e+05",
                    "4.68768768833943384E17",
                    "1.5e-3",
                    "1001.0 ",
                ],
            ),
            (
                Kind::SpreadsheetGuard,
                &[
                    "=\"007\"",
                    "=\"\"\"",
                    "'+4917012345",
                    "'=1",
                    "'-x",
                    "'@alice",
                    "'007",
                ],
            ),
            (
                Kind::Invisible,
                &[
                    "\u{feff}alice",
                    "al\u{200b}ice",
                    "alice\u{200e}",
                    "a\0",
                    "a\tb",
                    "a\nb",
                    "a\u{7f}",
                    "a\u{85}b",
                    "co\u{ad}op",
                    "a\u{e0061}",
                    "\u{202e}a",
                    "a\u{2028}b",
                    "a\u{fffd}b",
                    "a\u{3164}",
                    "a\u{fe0f}",
                ],
            ),
            (
                Kind::WhiteSpace,
                &[
                    "alice ",
                    " alice",
                    "alice\u{a0}",
                    "\u{3000}alice",
                    "\u{2007}alice",
                    " ",
                ],
            ),
        ];
        for (expected, values) in members {
            for value in values {
                assert_eq!(kind(value), Some(expected), "{value:?}");
            }
        }
    }

    #[test]
    fn identifiers_that_look_alike_are_sent() {
        for value in [
            "",
            "alice",
            "user-1",
            "user-0000001@example.com",
            "Nan",
            "Na",
            "nana",
            "nullable",
            "Nonette",
            "Undefined1",
            "468768768833943384",
            "1001",
            "1e5",
            "12e4567",
            "1e-5",
            "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0",
            "10.5",
            "1.2.3",
            "10.0.0.1",
            "192.168.0.0",
            "2026.01",
            "1,001",
            "+4917012345",
            "-alice",
            "=alice",
            "=",
            "'t Hooft",
            "'alice'",
            "O'Brien",
            "#alice",
            "#1",
            "#",
            "alice smith",
            "CORP\\alice",
            "CORP\\\\alice",
            "Zoë",
            "山田太郎",
            "alice\u{a0}smith",
            "\\\\server\\alice",
            "@alice",
            "a=b",
            "<alice>",
            "(1)",
            "[a]",
            "\u{1f600}",
            "e\u{301}",
        ] {
            assert_eq!(kind(value), None, "{value:?}");
        }
    }

    #[test]
    fn backslashes_are_doubled_by_what_writes_tabs() {
        let tsv = Trust {
            is_tsv: true,
            ..Trust::default()
        };
        assert_eq!(tsv.refuses(r"CORP\\alice"), Some(Kind::DoubledBackslash));
        assert_eq!(tsv.refuses(r"CORP\alice"), None);
        assert_eq!(kind(r"CORP\\alice"), None);
    }

    #[test]
    fn a_kind_that_is_sent_does_not_disarm_the_rest() {
        for kind in Kind::ALL {
            let trust = Trust {
                as_is: kind.name().parse().expect("a kind"),
                is_tsv: true,
            };
            for (value, of) in [
                ("NULL", Kind::Placeholder),
                ("1.0", Kind::Float),
                ("'+1", Kind::SpreadsheetGuard),
                (r"a\\b", Kind::DoubledBackslash),
                ("a\u{200b}b", Kind::Invisible),
                ("a ", Kind::WhiteSpace),
            ] {
                assert_eq!(
                    trust.refuses(value),
                    (of != kind).then_some(of),
                    "{value:?} as {kind}"
                );
            }
        }
        let padded = Trust {
            as_is: Kind::WhiteSpace.into(),
            is_tsv: false,
        };
        assert_eq!(
            padded.refuses("NULL   "),
            Some(Kind::Placeholder),
            "padded, and no value all the same"
        );
        assert!(
            "nulls"
                .parse::<AsIs>()
                .expect_err("no kind")
                .contains("placeholder")
        );
    }

    /// Pieces that kinds are made of, and any text.
    fn value() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            prop::sample::select(vec![
                "NULL",
                "nan",
                "None",
                "#N/A",
                r"\N",
                "\\\\",
                "=\"",
                "\"",
                "'",
                "+",
                "-",
                "1001",
                ".0",
                "E+17",
                " ",
                "\u{a0}",
                "\u{feff}",
                "\u{200b}",
                "\0",
                "\t",
                "#",
                "(",
                ")",
                "alice",
                "u",
                "undefined",
            ])
            .prop_map(str::to_owned),
            ".{0,3}",
        ];
        prop::collection::vec(piece, 0..5).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn the_scan_of_bytes_lets_nothing_pass(value in value(), is_tsv: bool) {
            let slow = Kind::ALL.into_iter().find(|kind| kind.fits(&value, is_tsv));
            prop_assert_eq!(Trust { is_tsv, ..Trust::default() }.refuses(&value), slow);
        }

        #[test]
        fn everything_passes_where_all_is_sent(value in value(), is_tsv: bool) {
            prop_assert_eq!(Trust { as_is: AsIs::ALL, is_tsv }.refuses(&value), None);
        }

        #[test]
        fn white_space_and_marks_never_pass(name in "[a-z]{1,8}", mark in prop::sample::select(vec![
            " ", "\u{a0}", "\t", "\u{200b}", "\u{feff}", "\u{202e}", "\u{e0001}", "\0", "\u{3000}",
        ]), at_end: bool) {
            let marked = if at_end { format!("{name}{mark}") } else { format!("{mark}{name}") };
            prop_assert!(kind(&marked).is_some());
        }

        #[test]
        fn numbers_that_are_written_as_floats_never_pass(number: u64, precision in 1_usize..12) {
            let floats = [format!("{number}.0"), format!("{:?}", 1e16 + number as f64)];
            for float in floats {
                prop_assert_eq!(kind(&float), Some(Kind::Float), "{}", float);
            }
            let excel = format!("{:.precision$e}", number as f64).replace('e', "E+");
            prop_assert_eq!(kind(&excel), Some(Kind::Float), "{}", excel);
            prop_assert_eq!(kind(&number.to_string()), None);
        }
    }
}
