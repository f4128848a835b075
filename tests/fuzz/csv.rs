//! Fuzzes the CSV reader.

#![no_main]

mod rows;

use cognito_unlink::testing::input::{Format, InputRow};
use cognito_unlink::testing::row::Link;
use libfuzzer_sys::fuzz_target;

use crate::rows::{Case, Reasons};

const REASONS: Reasons = Reasons {
    sentences: &[
        "the quote opened here seems to swallow following rows",
        "the quote opened here is never closed",
        "the quote opened here is not closed in this line, and the next quote does not end a field",
        "a quote opened here is not closed in this line, and the quotes in the next lines do not match",
        "something follows the closing quote of a field",
        "a quote stands in a field that does not begin with one",
        "a carriage return that ends no line stands in a field without quotes",
        "the record is longer than 0 bytes",
        "the row has 0 fields, and there are 0 columns",
        "the row has 0 field, and there are 0 columns",
        "the row has 0 fields, and there are 0 columns (it holds NUL bytes, like a line that a crash has damaged)",
        "the row has 0 field, and there are 0 columns (it holds NUL bytes, like a line that a crash has damaged)",
    ],
    of_fields: &[" is not valid UTF-8"],
};

fuzz_target!(|data: &[u8]| {
    let Some(case) = Case::of(data) else {
        return;
    };
    let reads = case.check(Format::Csv, &REASONS);
    if let Some(lines) = case.lines() {
        for read in &reads {
            if let Ok(InputRow::Valid(row)) = read {
                let line = usize::try_from(row.position.line).expect("it is in memory");
                check_record(&case, &row.link, lines[line - 1]);
            }
        }
    }
});

/// Checks that the record at the beginning of `text` holds the row's values, and is not too long.
fn check_record(case: &Case<'_>, link: &Link, text: &[u8]) {
    let (fields, length) = record(text, case.settings.delimiter.unwrap_or(b','));
    let values: Vec<_> = fields.iter().map(Vec::as_slice).collect();
    assert!(case.holds(link, &values), "{link:?} is not {fields:?}");
    assert!(length <= case.settings.max_record, "{link:?}");
}

/// Returns the fields and the length of a well-formed record (RFC 4180, section 2).
fn record(text: &[u8], delimiter: u8) -> (Vec<Vec<u8>>, usize) {
    let (mut fields, mut field, mut at) = (Vec::new(), Vec::new(), 0);
    loop {
        let quoted = text.get(at) == Some(&b'"');
        at += usize::from(quoted);
        while let Some(&byte) = text.get(at) {
            let ends = match byte {
                b'"' if quoted && text.get(at + 1) == Some(&b'"') => {
                    at += 1;
                    false
                }
                b'"' => quoted,
                b'\r' | b'\n' => !quoted,
                byte => byte == delimiter && !quoted,
            };
            if ends {
                break;
            }
            field.push(byte);
            at += 1;
        }
        at += usize::from(quoted);
        fields.push(std::mem::take(&mut field));
        if text.get(at) != Some(&delimiter) {
            return (fields, at);
        }
        at += 1;
    }
}
