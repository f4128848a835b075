//! Traces of spreadsheets, databases and tools in files: reported, or read as what they mean.

use super::*;
use crate::row::{RowErrorCode, UnusualKind};

/// Returns options that send no unusual value.
fn strict() -> ReadOptions {
    ReadOptions {
        as_is: UnusualKinds::default(),
        ..filled()
    }
}

const HEADER: &str = "identity_id,developer_user_identifier\n";

fn object(n: u32) -> String {
    format!(r#"{{"identity_id":"r:{n}","developer_user_identifier":"u{n}"}}"#)
}

fn kinds(format: Format, text: &str, options: &ReadOptions) -> Vec<Option<UnusualKind>> {
    let reads = read_all(format, text.as_bytes(), options);
    let kind = |read| match read {
        Ok(InputRow::Valid(_)) => None,
        Ok(InputRow::Invalid(row)) => match row.error.code {
            RowErrorCode::Unusual(kind) => Some(kind),
            other => panic!("{other:?}"),
        },
        Err(error) => panic!("{error}"),
    };
    reads.into_iter().map(kind).collect()
}

#[test]
fn unusual_values_are_invalid_in_every_format_unless_they_are_allowed() {
    let users = [
        "NULL",
        "1001.0",
        "'+4917",
        r"CORP\\alice",
        "u\u{feff}",
        "u\u{a0}",
        "u",
    ];
    let expected = |is_tsv: bool| {
        let mut kinds = UnusualKind::ALL.map(Some).to_vec();
        if !is_tsv {
            kinds[3] = None;
        }
        kinds.push(None);
        kinds
    };
    for (format, delimiter) in [(Format::Csv, ','), (Format::Tsv, '\t')] {
        let text = users
            .iter()
            .fold(HEADER.replace(',', &delimiter.to_string()), |text, user| {
                text + &format!("r:0{delimiter}{user}\n")
            });
        assert_eq!(
            kinds(format, &text, &strict()),
            expected(format == Format::Tsv)
        );
        assert_eq!(kinds(format, &text, &filled()), [None; 7], "as it stands");
    }
    let text = users.iter().fold(String::new(), |text, user| {
        let row = serde_json::json!({"identity_id": "r:0", "developer_user_identifier": user});
        text + &row.to_string() + "\n"
    });
    assert_eq!(kinds(Format::Jsonl, &text, &strict()), expected(false));
    // One person called Null does not let the rest pass.
    let one = ReadOptions {
        as_is: UnusualKind::Placeholder.into(),
        ..filled()
    };
    let mut rest = expected(false);
    rest[0] = None;
    assert_eq!(kinds(Format::Jsonl, &text, &one), rest);
}

#[test]
fn unusual_ids_and_providers_are_reported_by_their_kind() {
    let text = "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n";
    for (row, code, message) in [
        (
            "NULL,r:1,p,u",
            "Unusual",
            "identity_id is what exports write for no value",
        ),
        (
            "r:0 ,r:1,p,u",
            "Unusual",
            "identity_id begins or ends with white space",
        ),
        ("\u{feff}r:0,r:1,p,u", "Unusual", "character (U+FEFF)"),
        (
            "r:0,r:1,NULL,u",
            "Unusual",
            "developer_provider_name is what exports write",
        ),
        (
            "r:0,us-east-1_AbCdEf,p,u",
            "BadValue",
            "identity_pool_id is the id of a user pool",
        ),
        (
            "r:0,arn:aws:cognito-identity:r:1:identitypool/r:1,p,u",
            "BadValue",
            "is an ARN",
        ),
        (
            "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0,r:1,p,u",
            "BadValue",
            "lacks the Region",
        ),
    ] {
        let options = ReadOptions::default();
        let (.., error) = only(Format::Csv, format!("{text}{row}\n"), &options);
        assert!(
            error.starts_with(code) && error.contains(message),
            "{row}: {error}"
        );
    }
}

#[test]
fn a_first_line_that_names_the_delimiter_is_obeyed() {
    let text = HEADER.replace(',', ";") + "r:0;a,b\n";
    for mark in ["sep=;\n", "SEP=;\r\n", "\"sep=;\"\n", "\u{feff}sep=;\n"] {
        assert_eq!(
            summaries(Format::Csv, format!("{mark}{text}"), &filled()),
            ["3 a,b"],
            "{mark:?}"
        );
    }
    let headerless = ReadOptions {
        header: crate::input::Header::Columns(vec![
            "identity_id".into(),
            "developer_user_identifier".into(),
        ]),
        ..filled()
    };
    assert_eq!(
        summaries(Format::Csv, "sep=;\nr:0;a\n", &headerless),
        ["2 a"]
    );
    // An option overrides it.
    let comma = ReadOptions {
        delimiter: Some(b','),
        ..filled()
    };
    assert_eq!(
        summaries(Format::Csv, format!("sep=;\n{HEADER}r:0,a\n"), &comma),
        ["3 a"]
    );
    // Rejects can be read again.
    let (keep, keeping) = keeping_text(&filled());
    let bad = reader(
        Format::Csv,
        Cursor::new(format!("sep=;\n{text}r:0;a;b\n")),
        &keeping,
    )
    .expect("a CSV");
    let mut back = header_of(&keep);
    for read in bad {
        if let Ok(InputRow::Invalid(row)) = read {
            write_reject(&row, &mut back);
        }
    }
    let back = String::from_utf8(back).expect("text");
    assert!(back.starts_with("sep=;\nreason;identity_id"), "{back}");
    assert_eq!(summaries(Format::Csv, back, &filled()), ["3 FieldCount"]);
}

#[test]
fn rows_of_nothing_but_separators_are_blank() {
    let text = format!(
        ",,\n{}r:0,a,\n,,\n,,\r\n,,,,,\nr:0,b,\n,,",
        HEADER.replace('\n', ",x\n")
    );
    assert_eq!(summaries(Format::Csv, text, &filled()), ["3 a", "7 b"]);
}

#[test]
fn json_documents_are_read_as_jsonl_too() {
    let [a, b, c] = [1, 2, 3].map(object);
    let pretty = a
        .replace(',', ",\n  ")
        .replace('{', "{\n  ")
        .replace('}', "\n}");
    let item = format!(
        "{{\n \"Count\": 3, \"Items\": [\n{a},\n{b},{c}\n],\n \"NextToken\": null, \"Odd\": [1, {{}}]\n}}\n"
    );
    let none: [&str; 0] = [];
    for (text, expected) in [
        (
            format!("[\n{a},\n{b},\n{c}\n]"),
            vec!["2 u1", "3 u2", "4 u3"],
        ),
        (format!("[{a},{b}]\n[{c}]\n"), vec!["1 u1", "1 u2", "2 u3"]),
        (item, vec!["3 u1", "4 u2", "4 u3"]),
        (format!("{pretty}\n{pretty}\n"), vec!["1 u1", "5 u1"]),
        (format!("\u{feff}[{a}]\u{feff}[{b}]"), vec!["1 u1", "1 u2"]),
        (
            format!("[{a}, 7, [{b}], \"x\", null, {c}]"),
            vec![
                "1 u1",
                "1 BadJson",
                "1 BadJson",
                "1 BadJson",
                "1 BadJson",
                "1 u3",
            ],
        ),
        ("[]".to_owned(), none.to_vec()),
        ("{\n\"Items\": []}".to_owned(), none.to_vec()),
        (String::new(), none.to_vec()),
    ] {
        assert_eq!(
            summaries(Format::Json, &text, &filled()),
            expected,
            "{text}"
        );
        if !text.starts_with("\u{feff}") {
            assert_eq!(
                summaries(Format::Jsonl, &text, &filled()),
                expected,
                "as lines: {text}"
            );
        }
    }
    assert_eq!(
        summaries(Format::Json, &a, &filled()),
        ["1 u1"],
        "an object is a row"
    );
    let exact = r#"[{"identity_id":"r:1","developer_user_identifier":675127116845989888}]"#;
    assert_eq!(
        summaries(Format::Json, exact, &filled()),
        ["1 675127116845989888"]
    );
}

#[test]
fn documents_that_are_damaged_or_ambiguous_are_not_read_on() {
    let [a, b] = [1, 2].map(object);
    for (text, why) in [
        (format!("[{a},{b}"), "breaks off"),
        (format!("[{a},{{\"identity_id\":"), "breaks off"),
        (format!("[{a} {b}]"), "rules of JSON"),
        (format!("[{a}]x"), "rules of JSON"),
        (
            format!("{{\"A\":[{a}],\"B\":[{b}]}}"),
            "two arrays of objects",
        ),
    ] {
        let read = summaries(Format::Json, &text, &filled());
        let (last, rows) = read.split_last().expect("an error");
        assert_eq!(rows.first().map(String::as_str), Some("1 u1"), "{text}");
        assert!(last.contains(why), "{text}: {last}");
        // The check before the first call finds it.
        let dir = tempfile::tempdir().expect("a place for files");
        let path = dir.path().join("people.json");
        std::fs::write(&path, &text).expect("written");
        let input = crate::input::Input::File(path);
        let error = crate::input::check_integrity(&input, &filled()).expect_err("damaged");
        assert!(
            error.to_string().contains("nothing of it was used"),
            "{error}"
        );
    }
}

#[test]
fn an_object_that_is_too_long_costs_no_memory_and_no_other_row() {
    let options = ReadOptions {
        max_record: 80,
        ..filled()
    };
    let [a, b] = [1, 2].map(object);
    let long = format!("{{\"x\":\"{}\"}}", "]".repeat(300));
    let expected = ["1 u1", "1 RecordTooLong", "1 u2"];
    assert_eq!(
        summaries(Format::Json, format!("[{a},{long},{b}]"), &options),
        expected
    );
}

#[test]
fn objects_that_were_joined_on_a_line_are_all_read() {
    let [a, b, c] = [1, 2, 3].map(object);
    for (text, expected) in [
        (format!("{a}{b}{c}"), vec!["1 u1", "1 u2", "1 u3"]),
        (
            format!("{a} {b},{c}\n{a}\n"),
            vec!["1 u1", "1 u2", "1 u3", "2 u1"],
        ),
        (format!("{a},\n{b},\r\n{c}"), vec!["1 u1", "2 u2", "3 u3"]),
        (
            format!("{a}{b}x\n{c}"),
            vec!["1 u1", "1 u2", "1 BadJson", "2 u3"],
        ),
        (
            format!("{a}{b}{{\"identity_id\":\n{c}"),
            vec!["1 u1", "1 u2", "1 BadJson", "2 u3"],
        ),
        (format!("{a}\n\u{feff}{b}\n"), vec!["1 u1", "2 u2"]),
    ] {
        assert_eq!(
            summaries(Format::Jsonl, &text, &filled()),
            expected,
            "{text}"
        );
    }
    // Longer together than a record may be.
    let options = ReadOptions {
        max_record: 80,
        ..filled()
    };
    let many = summaries(Format::Jsonl, object(1).repeat(50), &options);
    assert_eq!(many, vec!["1 u1"; 50]);
}

#[test]
fn zeros_behind_compressed_data_are_padding_and_all_else_is_damage() {
    let text = format!("{HEADER}r:0,a\n");
    let read = |behind: &[u8]| {
        let bytes = [&gzip(text.as_bytes())[..], behind].concat();
        summaries(Format::Csv, bytes, &filled())
    };
    for behind in [&[0; 1][..], &[0; 512], &vec![0; 100_000]] {
        assert_eq!(read(behind), ["2 a"]);
    }
    let more = [&[0; 512][..], &gzip(b"r:0,b\n")].concat();
    assert_eq!(read(&more), ["2 a", "3 b"]);
    for behind in [&b"x"[..], b"xxxxxxx", b"xxxxxxxxxxxx", b"\0\0x", b"\x1fx"] {
        let rows = read(behind);
        assert!(
            rows.last()
                .is_some_and(|last| last.contains("the gzip data is damaged")),
            "{rows:?}"
        );
    }
}

#[test]
fn foreign_files_are_recognised_whatever_their_name() {
    let csv = HEADER.as_bytes();
    for (bytes, message) in [
        (b"PK\x03\x04\x14\0\x06\0\x08\0\0\0!\0".to_vec(), "workbook"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec(), "old workbook"),
        (b"\xfd7zXZ\0\0\x04".to_vec(), "xz -dc"),
        (b"BZh91AY&SY".to_vec(), "bzip2 -dc"),
        (gzip(&gzip(csv)), "compressed twice"),
        (zstd(&gzip(csv)), "compressed twice"),
        (b"<?xml version=\"1.0\"?>\n<Error/>".to_vec(), "XML or HTML"),
        ("\u{feff}\n <!DOCTYPE html>".into(), "XML or HTML"),
        (b"PAR1\x15\x04".to_vec(), "Parquet"),
    ] {
        for format in [Format::Csv, Format::Jsonl] {
            let rows = summaries(format, &bytes, &filled());
            assert!(rows.len() == 1 && rows[0].contains(message), "{rows:?}");
        }
    }
}
