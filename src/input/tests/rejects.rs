//! Rows that are taken in batches, and rows that are written as they stood, to be read again.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::input::Header;
use crate::input::bytes::at_rest::Origin;
use crate::row::{Field, Row};

/// Pieces of CSV files, valid and broken.
fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"r:0,a,t\n",
        b"r:0,b,t\r\n",
        b"r:0,\"c\",t\n",
        b"\"r:0\",\"d\"\"\",\r\n",
        b"r:0,\"e\ne\",t\n",
        b"x,r:0,f,t\n",
        b"s:0,g,t\n",
        b"r:0,,t\n",
        b"r:0,caf\xe9,t\n",
        b"r:0,h,\xe9\n",
        b"r:0\n",
        b"\n",
        b"\r\n",
        b"\"",
        b"\"x\n",
        b"r:0,\"g",
        b"\r",
        b",",
        b"r:0,i,t",
        b"r:0,a long one,t\n",
    ];
    vec(proptest::sample::select(pieces), 0..120).prop_map(|pieces| pieces.concat())
}

fn options(max_record: usize) -> ReadOptions {
    ReadOptions {
        max_record,
        carry: vec!["ticket".into()],
        ..filled()
    }
}

const HEADER: &[u8] = b"identity_id,developer_user_identifier,ticket\n";

proptest! {
    /// Rows are the same, taken in batches or one by one.
    #[test]
    fn rows_are_the_same_in_batches_and_one_by_one(
        rows in pieces(),
        max_record in prop_oneof![12_usize..40, Just(1 << 20)],
        chunk in prop_oneof![1_usize..100, Just(usize::MAX)],
        headerless: bool,
    ) {
        let mut options = options(max_record);
        let mut text = rows;
        if headerless {
            let names = ["identity_id", "developer_user_identifier", "ticket"];
            options.header = Header::Columns(names.map(str::to_owned).to_vec());
        } else {
            text.splice(0..0, HEADER.iter().copied());
        }
        let valid = |line: u64, fields: [&str; 4]| format!("{line} {fields:?}");
        let short = |read: Result<InputRow, InputError>| match read {
            Ok(InputRow::Valid(row)) => valid(row.position.line, Field::ALL.map(|field| row.link.get(field))),
            other => format!("{other:?}"),
        };
        let expected: Vec<_> = read_all(Format::Csv, &text, &options).into_iter().map(short).collect();
        let Ok(mut reader) = reader(Format::Csv, Chunked(Cursor::new(text), chunk), &options) else {
            return Ok(());
        };
        let mut found = Vec::new();
        loop {
            let before = found.len();
            let taken = reader.take_valid(|line, fields| found.push(valid(line, fields)));
            prop_assert_eq!(taken, found.len() - before);
            match reader.next() {
                Some(read) => found.push(short(read)),
                None => break,
            }
        }
        prop_assert_eq!(found, expected);
    }

    /// Read again, rejects are as many rows as before, and all invalid: no half of a row becomes a valid one.
    #[test]
    fn rejects_are_invalid_when_they_are_read_again(
        rows in pieces(),
        json in vec(
            proptest::sample::select(vec![
                "{\"identity_id\":\"r:0\",\"developer_user_identifier\":1}", "{\"identity_id\":\"r:0\"}", "{}", "{", "}", "\"line\"",
                "{\"reason\":1,\"identity_id\":[]}", "r:0", " ", "\n", "\n", "\n", "\r\n", "{\"line\":\"r:0\"}",
            ]),
            0..40,
        ),
        is_json: bool,
        is_stream: bool,
        max_record in prop_oneof![12_usize..60, Just(1 << 20)],
    ) {
        let (format, text) = if is_json {
            (Format::Jsonl, json.concat().into_bytes())
        } else {
            (Format::Csv, [HEADER, &rows].concat())
        };
        let mut opened = Opened::complete(Cursor::new(text));
        if is_stream {
            opened.origin = Origin::Stream;
        }
        let (keep, keeping) = keeping_text(&options(max_record));
        let first = Reader::new("in".into(), opened, (format, Compression::None), &keeping);
        let Ok(mut first) = first else {
            return Ok(());
        };
        let mut rejects = header_of(&keep);
        let mut count = 0;
        while let Some(Ok(read)) = first.next() {
            if let InputRow::Invalid(row) = read {
                count += 1;
                write_reject(&row, &mut rejects);
            }
        }
        // A record that was too long was shortened.
        let again = read_all(format, &rejects, &options(1 << 20));
        let text = String::from_utf8_lossy(&rejects);
        prop_assert_eq!(again.len(), count, "{}", text);
        let all_invalid = again.iter().all(|read| matches!(read, Ok(InputRow::Invalid(_))));
        prop_assert!(all_invalid, "{}", text);
    }

    /// Written with columns in front, or as it stood, a row reads back as it was read first.
    #[test]
    fn a_row_that_is_written_reads_back_as_it_was(
        rows in pieces(),
        json in vec(
            proptest::sample::select(vec![
                "{\"identity_id\":\"r:0\",\"developer_user_identifier\":\"a\",\"reason\":\"own\"}",
                "{ \"DeveloperUserIdentifier\": \"\\u00e9\",\t\"identity-id\": \"r:1\", \"ticket\": [1, {}] }",
                "{\"identity_id\":\"r:0\"}", "{", "\n", "\n", "\r\n",
            ]),
            0..40,
        ),
        format in proptest::sample::select(vec![Format::Csv, Format::Jsonl]),
        has_front: bool,
    ) {
        let text = match format {
            Format::Csv => [HEADER, &rows].concat(),
            _ => json.concat().into_bytes(),
        };
        let mut options = options(1 << 20);
        if format == Format::Csv {
            options.carry.clear();
        }
        let columns: &'static [&'static str] = if has_front { &["reason", "detail"] } else { &[] };
        let values: &[&str] = if has_front { &["a_word", "a \"sentence\", or\ntwo"] } else { &[] };
        let keep = KeepText::new(columns);
        let keeping = ReadOptions { keep_text: Some(keep.clone()), ..options.clone() };
        let Ok(first) = reader(format, Cursor::new(text), &keeping) else {
            return Ok(());
        };
        let mut written = header_of(&keep);
        let mut expected = Vec::new();
        for read in first.flatten() {
            let (InputRow::Valid(Row { link, text, .. }) | InputRow::Invalid(InvalidRow { link, text, .. })) = &read;
            let text = text.as_ref().expect("texts are kept");
            text.write(values, &mut written);
            expected.push(matches!(read, InputRow::Valid(_)).then(|| link.clone()));
        }
        let again = ReadOptions { keep_text: Some(KeepText::new(&[])), ..options };
        let again = reader(format, Cursor::new(written.clone()), &again);
        let again = again.expect("it has a header").map(|read| match read.expect("no error in memory") {
            InputRow::Valid(row) => {
                let first = row.text.and_then(|text| text.first_value());
                assert!(!has_front || first.as_deref() == Some("a_word"), "{first:?}");
                Some(row.link)
            }
            InputRow::Invalid(_) => None,
        });
        let again: Vec<_> = again.collect();
        prop_assert_eq!(again, expected, "{}", String::from_utf8_lossy(&written));
    }
}

#[test]
fn inputs_whose_rows_go_to_one_file_have_the_same_columns() {
    let (keep, keeping) = keeping_text(&filled());
    let open = |format, text: &'static str| reader(format, Cursor::new(text), &keeping).map(drop);
    open(
        Format::Csv,
        "identity_id,reason,developer_user_identifier\n",
    )
    .expect("the first");
    let header = "invalid_reason,identity_id,reason,developer_user_identifier\n";
    assert_eq!(header_of(&keep), header.as_bytes());
    open(
        Format::Csv,
        "\"identity_id\",reason,developer_user_identifier\r\n",
    )
    .expect("the same");
    for (format, other) in [
        (Format::Csv, "identity_id,developer_user_identifier\n"),
        (
            Format::Csv,
            "sep=;\nidentity_id;reason;developer_user_identifier\n",
        ),
        (
            Format::Tsv,
            "identity_id\treason\tdeveloper_user_identifier\n",
        ),
        (Format::Jsonl, ""),
    ] {
        let error = open(format, other).expect_err("it differs");
        assert!(matches!(error, InputError::OtherColumns { .. }), "{error}");
    }
}

#[test]
fn a_text_shows_no_value_when_it_is_debugged() {
    let (_, keeping) = keeping_text(&filled());
    let text = "identity_id,developer_user_identifier\nr:0,alice\n";
    let rows = reader(Format::Csv, Cursor::new(text), &keeping).expect("an input");
    let rows = format!("{:?}", rows.collect::<Vec<_>>());
    assert!(
        rows.contains("SourceText") && !rows.contains("alice"),
        "{rows}"
    );
}
