//! Fuzzes the JSONL reader.

#![no_main]

mod rows;

use cognito_unlink::testing::input::{Format, InputError, InputRow};
use cognito_unlink::testing::row::RowErrorCode;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

use crate::rows::{Case, MAX_ROWS, ReadResult, Reasons};

const REASONS: Reasons = Reasons {
    sentences: &[
        "the line is longer than 0 bytes",
        "the line is not valid UTF-8",
        "the line is not a JSON object",
        "the line is not JSON: EOF while parsing a list at column 0",
        "the line is not JSON: EOF while parsing a string at column 0",
        "the line is not JSON: EOF while parsing a value at column 0",
        "the line is not JSON: EOF while parsing an object at column 0",
        "the line is not JSON: control character (\\u0000-\\u001F) found while parsing a string at column 0",
        "the line is not JSON: expected `,` or `]` at column 0",
        "the line is not JSON: expected `,` or `}` at column 0",
        "the line is not JSON: expected `:` at column 0",
        "the line is not JSON: expected ident at column 0",
        "the line is not JSON: expected value at column 0",
        "the line is not JSON: invalid escape at column 0",
        "the line is not JSON: invalid number at column 0",
        "the line is not JSON: key must be a string at column 0",
        "the line is not JSON: lone leading surrogate in hex escape at column 0",
        "the line is not JSON: number out of range at column 0",
        "the line is not JSON: recursion limit exceeded at column 0",
        "the line is not JSON: trailing characters at column 0",
        "the line is not JSON: trailing comma at column 0",
        "the line is not JSON: unexpected end of hex escape at column 0",
        "the object names identity_id more than once",
        "the object names identity_pool_id more than once",
        "the object names developer_provider_name more than once",
        "the object names developer_user_identifier more than once",
        "the object names ticket more than once",
        "the object names Item more than once",
        "the object names DeveloperUserIdentifierList more than once",
        "the object names NextToken more than once",
        "the object names LastEvaluatedKey more than once",
        "the list goes on where this token points, and the next page is not in this file; get the pages up to the one without a token, and \
         put all of them into one file, one behind the other",
        "developer_user_identifier is missing: a list of identities names no users; ask for each identity's with: aws cognito-identity \
         lookup-developer-identity",
        "identity_pool_id is not the one of the list around it",
        "developer_provider_name is not the one of the list around it",
    ],
    of_fields: &[
        " is null, not a string",
        " is an array, not a string",
        " is an object, not a string",
        " is a boolean, not a string",
        " is a number that is not written as an integer, not a string",
    ],
};

fuzz_target!(|data: &[u8]| {
    let Some(case) = Case::of(data) else {
        return;
    };
    let reads = case.check(Format::Jsonl, &REASONS);
    if !matches!(
        reads[..],
        [Err(
            InputError::Delimiter { .. } | InputError::NotAnInput { .. }
        )]
    ) {
        check_lines(&case, &reads);
    }
});

/// Checks that every line that is not blank is one row, and that there are no other rows. A text with an array may be a document, or
/// have several rows in a line.
fn check_lines(case: &Case<'_>, reads: &[ReadResult]) {
    if case.bytes.contains(&b'[') {
        return;
    }
    let Some(lines) = case.lines() else {
        return;
    };
    let bound = case.settings.max_record;
    let count = reads.len();
    let mut reads = reads.iter();
    for (text, number) in lines.into_iter().zip(1..) {
        let line = text.split(|&b| b == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.len() <= bound && line.iter().all(|b| b" \t\r".contains(b)) {
            continue;
        }
        match reads.next() {
            Some(Ok(InputRow::Valid(row))) => {
                assert_eq!(row.position.line, number);
                assert!(line.len() <= bound);
                // The reader parses values that it does not use less strictly.
                let Ok(Value::Object(object)) = serde_json::from_slice(line) else {
                    continue;
                };
                // Numbers are rounded here, but taken as they are written by the reader. Objects may be values of DynamoDB's.
                if object.values().any(|value| value.is_number() || value.is_object()) {
                    continue;
                }
                let values = object.values().filter_map(Value::as_str);
                let values: Vec<_> = values.map(str::as_bytes).collect();
                assert!(case.holds(&row.link, &values), "{:?}", row.link);
            }
            Some(Ok(InputRow::Invalid(row))) => {
                assert_eq!(row.position.line, number);
                let too_long = row.error.code == RowErrorCode::RecordTooLong;
                assert_eq!(line.len() > bound, too_long);
            }
            Some(Err(InputError::CarriageReturns { line, .. })) => {
                assert_eq!(*line, number);
                break;
            }
            // Reading memory causes no other error.
            Some(Err(error)) => panic!("{error}"),
            None => return assert_eq!(count, MAX_ROWS, "a line without a row"),
        }
    }
    assert!(reads.next().is_none(), "a row without a line");
}
