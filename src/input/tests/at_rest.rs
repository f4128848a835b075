//! Texts that end without a line end: whole rows of files at rest, and torn rows.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;
use crate::input::bytes::at_rest::{AT_REST, Origin};
use crate::input::{Input, WaitToken, open};

const HEADER: &str = "identity_id,developer_user_identifier\n";

/// Writes a file with a time of modification so long ago.
fn written(path: &Path, bytes: &[u8], ago: Duration) -> File {
    fs::write(path, bytes).expect("written");
    let file = File::options().append(true).open(path).expect("opened");
    file.set_modified(SystemTime::now() - ago).expect("touched");
    file
}

/// Returns options under which no file is waited for.
fn at_once() -> ReadOptions {
    ReadOptions {
        wait: WaitToken::cancelled(),
        ..filled()
    }
}

/// Returns the user or error code of each row.
fn users(reader: Reader) -> Vec<String> {
    reader
        .map(|read| match read.expect("readable") {
            InputRow::Valid(row) => row.link.developer_user_identifier,
            InputRow::Invalid(row) => row.error.code.as_str().to_owned(),
        })
        .collect()
}

fn users_in(path: &Path, options: &ReadOptions) -> Vec<String> {
    users(open(&Input::File(path.to_owned()), options).expect("an input"))
}

#[test]
fn the_last_row_of_a_file_at_rest_needs_no_line_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let text = format!("{HEADER}r:0,a\nr:0,b");
    let text16 = |bytes: fn(u16) -> [u8; 2]| utf16(&text, bytes);
    for (name, bytes) in [
        ("people.csv", text.clone().into_bytes()),
        ("people.tsv", text.replace(',', "\t").into_bytes()),
        ("people.csv.gz", gzip(text.as_bytes())),
        ("people.csv.zst", zstd(text.as_bytes())),
        ("le.csv", text16(u16::to_le_bytes)),
        ("be.csv", text16(u16::to_be_bytes)),
    ] {
        let path = dir.path().join(name);
        drop(written(&path, &bytes, 2 * AT_REST));
        assert_eq!(users_in(&path, &at_once()), ["a", "b"], "{name}");
        // The same file, if it is young.
        drop(written(&path, &bytes, Duration::ZERO));
        assert_eq!(users_in(&path, &at_once()), ["a", "Torn"], "{name}");
        // A time of modification in the future tells nothing.
        let file = File::options().append(true).open(&path).expect("opened");
        file.set_modified(SystemTime::now() + 2 * AT_REST)
            .expect("touched");
        assert_eq!(users_in(&path, &at_once()), ["a", "Torn"], "{name}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_that_is_open_for_writing_is_not_at_rest() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("people.csv");
    for (rows, expected) in [
        ("r:0,a\nr:0,user-1", ["a", "Torn"]),
        ("r:0,a\nr:0,\"user-1\"", ["a", "Torn"]),
        // Whole, whatever follows.
        ("r:0,a\nr:0,b\n", ["a", "b"]),
    ] {
        let writer = written(&path, format!("{HEADER}{rows}").as_bytes(), 2 * AT_REST);
        let readers = File::open(&path).expect("opened");
        assert_eq!(users_in(&path, &filled()), expected, "{rows:?}");
        drop(writer);
        let expected = expected.map(|row| row.replace("Torn", "user-1"));
        assert_eq!(users_in(&path, &filled()), expected, "{rows:?}");
        drop(readers);
    }
}

#[test]
fn a_last_row_of_a_stream_without_a_line_end_is_torn() {
    let read = |format, text: &str| {
        let opened = Opened {
            origin: Origin::Stream,
            ..Opened::complete(Cursor::new(text.to_owned().into_bytes()))
        };
        let reader = Reader::new("-".into(), opened, (format, Compression::None), &filled());
        users(reader.expect("an input"))
    };
    for (rows, expected) in [
        ("r:0,a\nr:0,user-1", &["a", "Torn"][..]),
        ("r:0,a\nr:0,\"user-1\"", &["a", "Torn"]),
        ("r:0,a\nr:0,user-1\r", &["a", "Torn"]),
        ("r:0,\"a\nb\"", &["Torn"]),
        ("r:0", &["Torn"]),
        ("r:0,\"user-", &["OpenQuote"]),
        ("r:0,a\nr:0,b\n", &["a", "b"]),
        ("r:0,a\nr:0,b\r\n", &["a", "b"]),
        ("r:0,a\n\r", &["a"]),
        ("", &[]),
    ] {
        assert_eq!(
            read(Format::Csv, &format!("{HEADER}{rows}")),
            expected,
            "{rows:?}"
        );
    }
    assert!(read(Format::Csv, HEADER.trim_end()).is_empty());
    // An object that is closed is whole, and half of one is bad JSON.
    let object = r#"{"identity_id":"r:0","developer_user_identifier":"a"}"#;
    assert_eq!(read(Format::Jsonl, object), ["a"]);
    assert_eq!(
        read(Format::Jsonl, &object[..object.len() - 1]),
        ["BadJson"]
    );
}

/// Ends twice, like a FIFO whose producer dies and that another one opens.
struct Twice([Cursor<Vec<u8>>; 2]);

impl io::Read for Twice {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.0[0].read(into)?;
        if n == 0 && !into.is_empty() {
            self.0.swap(0, 1);
        }
        Ok(n)
    }
}

#[test]
fn rows_of_two_producers_are_not_joined() {
    let first = format!("{HEADER}r:0,a\nr:0,user-1");
    let pieces = [first, "234\n".to_owned()].map(|text| Cursor::new(text.into_bytes()));
    let opened = Opened {
        origin: Origin::Stream,
        ..Opened::complete(Twice(pieces))
    };
    let format = (Format::Csv, Compression::None);
    let reader = Reader::new("-".into(), opened, format, &filled());
    assert_eq!(users(reader.expect("an input")), ["a", "Torn"]);
}

#[test]
fn a_torn_row_keeps_no_half_of_a_value_and_its_reject_is_invalid() {
    let opened = |text: String| Opened {
        origin: Origin::Stream,
        ..Opened::complete(Cursor::new(text.into_bytes()))
    };
    let format = (Format::Csv, Compression::None);
    let text = format!("{HEADER}r:0,user-1");
    let (keep, keeping) = keeping_text(&filled());
    let mut reader = Reader::new("-".into(), opened(text), format, &keeping).expect("an input");
    let Some(Ok(InputRow::Invalid(row))) = reader.next() else {
        panic!("it is torn");
    };
    assert_eq!(row.link.identity_id, "r:0");
    assert_eq!(row.link.developer_user_identifier, "");
    assert!(row.error.message.contains("no line end"), "{}", row.error);
    let mut rejects = header_of(&keep);
    write_reject(&row, &mut rejects);
    let again = summaries(Format::Csv, &rejects, &filled());
    assert_eq!(
        again,
        ["2 FieldCount"],
        "{}",
        String::from_utf8_lossy(&rejects)
    );
}

/// Reads a file, and calls `next` when it first reaches the end.
struct Meanwhile<F> {
    file: File,
    next: Option<F>,
}

impl<F: FnOnce()> io::Read for Meanwhile<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(into)?;
        if n == 0
            && !into.is_empty()
            && let Some(next) = self.next.take()
        {
            next();
        }
        Ok(n)
    }
}

/// Reads a young file, and applies `next` to it when its end is reached.
fn users_meanwhile(
    name: &str,
    bytes: &[u8],
    options: &ReadOptions,
    next: impl FnOnce(PathBuf) + Send + 'static,
) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(name);
    drop(written(&path, bytes, Duration::ZERO));
    let file = File::open(&path).expect("opened");
    let opened = Opened {
        origin: Origin::of(&file).expect("a file"),
        bytes: Box::new(Meanwhile {
            file,
            next: Some(move || next(path)),
        }),
    };
    let format = Format::of_name(Path::new(name)).expect("a format");
    users(Reader::new(name.into(), opened, format, options).expect("an input"))
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = File::options().append(true).open(path).expect("opened");
    file.write_all(bytes).expect("written");
}

#[test]
fn a_row_that_is_completed_during_the_wait_is_read_whole() {
    for (begun, rest, expected) in [
        ("r:0,user-1", "234\nr:0,b\n", ["user-1234", "b"]),
        ("r:0,\"user-1\"", "\"234\"\nr:0,b\n", ["user-1\"234", "b"]),
        ("r:0,\"user", "\n1\"\nr:0,b\n", ["user\n1", "b"]),
        ("r:0,user-1\r", "\nr:0,b\n", ["user-1", "b"]),
        ("r:", "0,user-1234\nr:0,b\n", ["user-1234", "b"]),
    ] {
        let begun = format!("{HEADER}{begun}");
        let found = users_meanwhile("people.csv", begun.as_bytes(), &filled(), move |path| {
            append(&path, rest.as_bytes());
        });
        assert_eq!(found, expected, "{begun:?}");
    }
    let (begun, rest) = HEADER.split_at(30);
    let found = users_meanwhile("people.csv", begun.as_bytes(), &filled(), move |path| {
        append(&path, format!("{rest}r:0,a\n").as_bytes());
    });
    assert_eq!(found, ["a"]);
    let found = users_meanwhile(
        "people.jsonl",
        b"{\"identity_id\":\"r:0\",",
        &filled(),
        |path| {
            append(&path, b"\"developer_user_identifier\":\"a\"}\n");
        },
    );
    assert_eq!(found, ["a"]);
}

#[test]
fn cancelling_the_wait_makes_the_last_row_torn() {
    let options = filled();
    let wait = options.wait.clone();
    let text = format!("{HEADER}r:0,a\nr:0,user-1");
    let found = users_meanwhile("people.csv", text.as_bytes(), &options, move |_| {
        wait.cancel();
    });
    assert_eq!(found, ["a", "Torn"]);
}

/// The end that a decompressor has reached stays the end; the row before it is whole only if the file is.
#[test]
fn a_compressed_file_that_grows_behind_its_end_is_not_at_rest() {
    let (begun, rest) = (format!("{HEADER}r:0,a\nr:0,user-1"), b"234\n");
    for (name, pack) in [
        ("people.csv.gz", gzip as fn(&[u8]) -> Vec<u8>),
        ("people.csv.zst", zstd),
    ] {
        let found = users_meanwhile(name, &pack(begun.as_bytes()), &filled(), move |path| {
            append(&path, &pack(rest));
            let file = File::options().append(true).open(&path).expect("opened");
            file.set_modified(SystemTime::now() - 2 * AT_REST)
                .expect("touched");
        });
        assert_eq!(found, ["a", "Torn"], "{name}");
    }
}

#[test]
fn the_recorded_content_of_a_growing_file_is_what_was_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("people.csv");
    let mut options = at_once();
    let file = written(
        &path,
        format!("{HEADER}r:0,a\nr:0,b").as_bytes(),
        2 * AT_REST,
    );
    drop(file);
    let input = Input::File(path.clone());
    options.fingerprints.record(&input).expect("recorded");
    assert_eq!(users_in(&path, &options), ["a", "b"]);
    let recorded = options
        .fingerprints
        .recorded(&input, &options.objects)
        .expect("read");
    assert_eq!(recorded.size, fs::metadata(&path).expect("there").len());
    append(&path, b"b\n");
    assert_eq!(
        options
            .fingerprints
            .recorded(&input, &options.objects)
            .expect("read"),
        recorded
    );
}
