//! Detection of unusual values.

use crate::row::bytes::all_bytes;
use crate::row::invisible::is_invisible;

/// Returns false only where the bytes alone show that no kind matches, as for most identifiers. This filter is on the path of every row.
pub(super) fn may_be_unusual(value: &[u8]) -> bool {
    let (Some(&first), Some(&last)) = (value.first(), value.last()) else {
        return false;
    };
    may_begin_unusual(first, value)
        || last == b' '
        || !all_bytes(value, |byte| matches!(byte, b' '..=b'[' | b']'..=b'~'))
}

/// Returns whether a value with this first byte may be a placeholder, a number or guarded.
fn may_begin_unusual(first: u8, value: &[u8]) -> bool {
    match first {
        b'n' | b'N' | b'u' | b'U' => value.len() <= LONGEST_WORD,
        b'0'..=b'9' => memchr::memchr3(b'.', b',', b'+', value).is_some(),
        b'a'..=b'z' | b'A'..=b'Z' => false,
        _ => true,
    }
}

/// Returns the value without white space and invisible characters at its ends.
pub(super) fn visible(value: &str) -> &str {
    value.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

/// Words that mean "no value" in any case, bare or within brackets or quotes. `Null` is a surname as well; `--as-is` allows it.
const WORDS: [&str; 5] = ["null", "none", "undefined", "n/a", "nil"];

/// Bytes of the longest of [`WORDS`]; `nan` and `NA` are shorter.
const LONGEST_WORD: usize = "undefined".len();

/// Values that mean "no value" in this spelling only: `Nan` and `Na` are names.
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

/// Returns whether `value` is what an export writes where there is no value.
pub(super) fn is_placeholder(value: &str) -> bool {
    let is_word = |text: &str| {
        WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
            || ["nan", "NaN", "NAN", "NA", "NaT", r"\N"].contains(&text)
    };
    let unwrapped = [('(', ')'), ('<', '>'), ('[', ']'), ('"', '"'), ('\'', '\'')]
        .into_iter()
        .find_map(|(open, close)| value.strip_prefix(open)?.strip_suffix(close));
    EXACT.contains(&value)
        || is_word(value)
        || unwrapped.is_some_and(is_word)
        || value.strip_prefix('#').is_some_and(is_cell_error)
        || (!value.is_empty() && value.bytes().all(|byte| byte == b'-'))
}

/// Returns whether a spreadsheet shows this after a `#` where a cell has no value: `#N/A`, `#REF!`, `#NAME?`, `#NV`, or hashes alone.
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
/// The comma is the decimal separator in much of Europe.
pub(super) fn is_float(value: &[u8]) -> bool {
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

/// Returns whether a spreadsheet guards `value` against being read as a formula or number.
pub(super) fn is_guarded(value: &str) -> bool {
    let is_formula = value.starts_with("=\"") && value.len() > 2 && value.ends_with('"');
    let rest = value.strip_prefix('\'').unwrap_or_default();
    is_formula
        || rest.starts_with(['=', '+', '-', '@', '\t', '\r'])
        || (!rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}
