//! Files: names, compression, encodings, and files that cannot be read.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use super::*;
use crate::input::{Input, open};

const TEXT: &str = "identity_id,developer_user_identifier\nr:0,a\nr:0,é\n";

fn open_bytes(name: &str, bytes: &[u8], options: &ReadOptions) -> Result<Reader, InputError> {
    let dir = tempfile::tempdir().expect("a place for files");
    let path = dir.path().join(name);
    fs::write(&path, bytes).expect("the file can be written");
    open(&Input::File(path), options)
}

fn users(reader: Reader) -> Vec<String> {
    users_of(reader)
}

fn users_of(rows: impl Iterator<Item = Result<InputRow, InputError>>) -> Vec<String> {
    rows.map(|read| match read {
        Ok(InputRow::Valid(row)) => row.link.developer_user_identifier,
        Ok(InputRow::Invalid(row)) => row.error.code.as_str().to_owned(),
        Err(error) => error
            .to_string()
            .split_once("people")
            .map_or(String::new(), |(_, message)| message.to_owned()),
    })
    .collect()
}

#[test]
fn compressed_files_are_read_whatever_their_name() {
    let (head, tail) = TEXT.split_at(45);
    let twice =
        |pack: fn(&[u8]) -> Vec<u8>| [pack(head.as_bytes()), pack(tail.as_bytes())].concat();
    for (name, bytes) in [
        ("people.csv", TEXT.into()),
        ("people.csv.gz", gzip(TEXT.as_bytes())),
        ("people.csv.gz", twice(gzip)),
        ("people.csv.zst", zstd(TEXT.as_bytes())),
        ("people.csv.ZST", twice(zstd)),
        // The name tells no compression, or another one.
        ("people.csv", gzip(TEXT.as_bytes())),
        ("people.csv", zstd(TEXT.as_bytes())),
        ("people.csv.gz", zstd(TEXT.as_bytes())),
        // An encoding within.
        ("people.csv.gz", gzip(&utf16(TEXT, u16::to_be_bytes))),
        ("people.csv.zst", zstd(&utf16(TEXT, u16::to_le_bytes))),
    ] {
        let mut reader = open_bytes(name, &bytes, &filled()).expect("it can be opened");
        assert_eq!(users_of(reader.by_ref()), ["a", "é"], "{name}");
        assert_eq!(reader.bytes_consumed(), bytes.len() as u64);
    }
}

#[test]
fn whole_rows_before_a_cut_off_end_are_read() {
    let text = format!("{TEXT}r:0,\"open\nr:0,{}", "x".repeat(500));
    for (name, mut bytes, format) in [
        ("people.csv.gz", gzip(text.as_bytes()), "gzip"),
        // The cut is in the second frame: zstd yields a block as a whole or not at all.
        (
            "people.csv.zst",
            [zstd(text.as_bytes()), zstd(b"more")].concat(),
            "zstd",
        ),
    ] {
        bytes.truncate(bytes.len() - 3);
        let reader = open_bytes(name, &bytes, &filled()).expect("it can be opened");
        let rows = users(reader);
        assert_eq!(rows[..2], ["a", "é"]);
        assert_eq!(rows.len(), 3, "{rows:?}");
        let ending = name.trim_start_matches("people");
        assert!(
            rows[2].starts_with(&format!(
                "{ending}: the {format} data is damaged or cut off in line 4 ("
            )),
            "{rows:?}"
        );
    }
    // A row that is whole but for its line end may not be whole.
    let torn = [zstd(TEXT.trim_end().as_bytes()), b"junk".to_vec()].concat();
    let rows = users(open_bytes("people.csv.zst", &torn, &filled()).expect("it can be opened"));
    assert_eq!((rows.len(), rows[0].as_str()), (2, "a"));
}

/// Wherever a file is cut, `read_all` asserts that its rows are the same when its bytes arrive one by one.
#[test]
fn every_cut_of_a_compressed_file_gives_its_first_rows_and_an_error() {
    let users: Vec<_> = (0..300).map(|n| (n * 7919).to_string()).collect();
    let text = format!(
        "identity_id,developer_user_identifier\nr:0,{}\n",
        users.join("\nr:0,")
    );
    let expected: Vec<_> = users
        .iter()
        .zip(2..)
        .map(|(user, line)| format!("{line} {user}"))
        .collect();
    let mut most = [0; 2];
    for (bytes, most) in [gzip(text.as_bytes()), zstd(text.as_bytes())]
        .iter()
        .zip(&mut most)
    {
        for cut in (4..bytes.len()).step_by(7) {
            let mut rows = summaries(Format::Csv, &bytes[..cut], &filled());
            let error = rows.pop().expect("an error");
            assert!(error.contains("is damaged or cut off in line"), "{error}");
            assert_eq!(rows, expected[..rows.len()]);
            *most = rows.len();
        }
    }
    assert!(most[0] > 250, "{most:?}");
}

#[test]
fn an_io_error_ends_the_rows_and_names_its_line() {
    struct Failing;
    impl io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::from_raw_os_error(5))
        }
    }
    let a = r#"{"identity_id":"r:0","developer_user_identifier":"a"}"#;
    for (format, text) in [
        (Format::Csv, format!("{TEXT}r:0,torn")),
        (Format::Csv, format!("{TEXT}r:0,\"torn\nr:0,a\nr:0,b\n")),
        (Format::Csv, format!("{TEXT}r:0,to\"rn")),
        (Format::Csv, format!("{TEXT}r:0,{}", "x".repeat(200))),
        (Format::Jsonl, format!("{a}\n\n{a}\n{a}")),
        (Format::Jsonl, format!("{a}\n\n{a}\n{a}{}", " ".repeat(200))),
    ] {
        let options = ReadOptions {
            max_record: 100,
            ..filled()
        };
        let source = io::Read::chain(Cursor::new(text.clone()), Failing);
        let mut reader = reader(format, source, &options).expect("it begins well");
        assert!(matches!(reader.next(), Some(Ok(InputRow::Valid(_)))));
        assert!(matches!(reader.next(), Some(Ok(InputRow::Valid(_)))));
        let error = reader.next().expect("an error").expect_err("an error");
        assert!(!error.is_usage());
        assert!(
            error.to_string().starts_with("in: line 4 cannot be read ("),
            "{error}: {text}"
        );
        assert!(reader.next().is_none());
    }
    let source = io::Read::chain(
        Cursor::new("{\r\"identity_id\": \"us-east-1:0f1e2d3c"),
        Failing,
    );
    let mut torn = reader(Format::Jsonl, source, &filled()).expect("it begins well");
    assert!(matches!(
        torn.next(),
        Some(Err(InputError::Unreadable { line: 1, .. }))
    ));
    for format in [Format::Csv, Format::Jsonl] {
        assert!(matches!(
            reader(format, Failing, &filled()),
            Err(InputError::Unreadable { line: 1, .. })
        ));
    }
}

#[test]
fn a_file_that_is_compressed_by_its_name_alone_is_refused() {
    for (name, bytes, message) in [
        (
            "people.csv.gz",
            TEXT.as_bytes(),
            "is gzip data, but its first bytes do not; remove the ending from the name",
        ),
        (
            "people.csv.zst",
            TEXT.as_bytes(),
            "is zstd data, but its first bytes do not",
        ),
        (
            "people.jsonl.gz",
            b"",
            "the file is empty, which is not valid gzip data; get it again",
        ),
        (
            "people.jsonl.zst",
            b"",
            "the file is empty, which is not valid zstd data",
        ),
    ] {
        let error = open_bytes(name, bytes, &filled())
            .err()
            .expect("it is not what it says");
        assert!(error.to_string().contains(message), "{error}");
        assert!(!error.is_usage(), "{error}");
    }
    // A skippable frame may come first.
    let skipped = [
        &[0x5e, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7][..],
        &zstd(TEXT.as_bytes()),
    ]
    .concat();
    for name in ["people.csv.zst", "people.csv"] {
        let reader = open_bytes(name, &skipped, &filled()).expect("it can be opened");
        assert_eq!(users(reader), ["a", "é"]);
    }
}

#[test]
fn a_file_that_is_no_input_is_recognised() {
    let unmarked = |to_bytes| utf16(TEXT, to_bytes).split_off(2);
    let plan = br#"{ "version": 1, "made_by": "cognito-unlink 0.1.0" }"#;
    for (name, bytes, message, usage) in [
        (
            "people.csv",
            unmarked(u16::to_le_bytes),
            "UTF-16LE; turn it into UTF-8",
            false,
        ),
        (
            "people.csv.gz",
            gzip(&unmarked(u16::to_be_bytes)),
            "iconv -f UTF-16BE -t UTF-8",
            false,
        ),
        (
            "people.jsonl",
            vec![0; 100],
            "it begins with NUL bytes",
            false,
        ),
        (
            "plan.json",
            plan.to_vec(),
            "a saved plan, not an input; pass it with --plan",
            true,
        ),
        ("plan", plan.to_vec(), "a saved plan", true),
        ("plan.csv", plan.to_vec(), "a saved plan", true),
        ("plan.jsonl.gz", gzip(plan), "a saved plan", true),
        (
            "cognito-unlink.toml",
            b"rate = 1".to_vec(),
            "pass it with --config",
            true,
        ),
        (
            ".people.results.csv.inflight",
            vec![0; 600],
            "the side file of a results file",
            true,
        ),
        (
            "people.dat",
            b"{}".to_vec(),
            "the format cannot be told from the name",
            true,
        ),
    ] {
        let error = open_bytes(name, &bytes, &filled())
            .err()
            .expect("it is none");
        assert!(error.to_string().contains(message), "{name}: {error}");
        assert_eq!(error.is_usage(), usage, "{name}: {error}");
    }
    let dir = tempfile::tempdir().expect("a place for files");
    for (name, usage) in [("people", true), ("people.csv", false)] {
        let path = dir.path().join(name);
        fs::create_dir(&path).expect("a directory");
        let error = open(&Input::File(path), &filled())
            .err()
            .expect("it is none");
        assert!(
            error
                .to_string()
                .contains("this is a directory; name the files in it"),
            "{error}"
        );
        assert_eq!(error.is_usage(), usage, "{name}");
    }
}

#[test]
fn broken_utf16_makes_its_row_invalid() {
    let mut bytes = utf16(TEXT, u16::to_le_bytes);
    bytes.extend(utf16("r:0,", u16::to_le_bytes).split_off(2));
    bytes.extend(0xd800_u16.to_le_bytes());
    bytes.extend(utf16("\nr:0,b\nr:0,c", u16::to_le_bytes).split_off(2));
    bytes.push(b'x');
    assert_eq!(
        summaries(Format::Csv, &bytes, &filled()),
        ["2 a", "3 é", "4 BadUtf8", "5 b", "6 BadUtf8"]
    );
}

#[test]
fn the_format_comes_from_the_option_or_the_name() {
    assert_eq!(Input::from(OsString::from("-")), Input::Stdin);
    assert_eq!(
        Input::from(OsString::from("./-")),
        Input::File("./-".into())
    );
    assert_eq!(&*Input::Stdin.name(), "-");
    let error = open(&Input::Stdin, &ReadOptions::default())
        .err()
        .expect("it has no format");
    assert!(error.is_usage());
    assert_eq!(
        error.to_string(),
        "standard input: the format cannot be told from the name; name it with --format csv, tsv, jsonl or json"
    );
    let error = open_bytes("people.dat", b"", &filled())
        .err()
        .expect("it has no format");
    assert!(matches!(error, InputError::UnknownFormat { .. }));
    // The option overrides the name, and the name still tells the compression.
    let tsv = ReadOptions {
        format: Some(Format::Tsv),
        ..filled()
    };
    let bytes = gzip(TEXT.replace(',', "\t").as_bytes());
    for name in ["people.csv.gz", "people.txt.gz"] {
        assert_eq!(
            users(open_bytes(name, &bytes, &tsv).expect("it can be opened")),
            ["a", "é"]
        );
    }
    let missing = Input::File(Path::new("no/such/people.csv").into());
    let error = open(&missing, &filled()).err().expect("there is none");
    assert!(matches!(error, InputError::Open { .. }) && !error.is_usage());
    assert!(
        error
            .to_string()
            .starts_with("no/such/people.csv: cannot be opened ("),
        "{error}"
    );
}
