//! Texts that end without a line end: whole rows of files at rest, and what may be half of another row.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::*;
use crate::input::bytes::rest::Origin;
use crate::input::{AT_REST, Input, Patience, open};

const HEADER: &str = "identity_id,developer_user_identifier\n";

/// Writes a file that was modified so long ago.
fn written(path: &Path, bytes: &[u8], ago: Duration) -> File {
    fs::write(path, bytes).expect("written");
    let file = File::options().append(true).open(path).expect("opened");
    file.set_modified(SystemTime::now() - ago).expect("touched");
    file
}

/// Nothing is waited for.
fn at_once() -> Settings {
    Settings {
        patience: Patience::none(),
        ..filled()
    }
}

/// User or fault of each row.
fn users(reader: Reader) -> Vec<String> {
    reader
        .map(|read| match read.expect("readable") {
            Read::Row(row) => row.link.developer_user_identifier,
            Read::Invalid(row) => row.fault.code.as_str().to_owned(),
        })
        .collect()
}

fn users_in(path: &Path, settings: &Settings) -> Vec<String> {
    users(open(&Input::File(path.to_owned()), settings).expect("an input"))
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
        // The same file, were it young.
        drop(written(&path, &bytes, Duration::ZERO));
        assert_eq!(users_in(&path, &at_once()), ["a", "Torn"], "{name}");
        // By a clock that is ahead nothing can be told.
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
    for (rows, told) in [
        ("r:0,a\nr:0,user-1", ["a", "Torn"]),
        ("r:0,a\nr:0,\"user-1\"", ["a", "Torn"]),
        // Whole for all that can come.
        ("r:0,a\nr:0,b\n", ["a", "b"]),
    ] {
        let writer = written(&path, format!("{HEADER}{rows}").as_bytes(), 2 * AT_REST);
        let readers = File::open(&path).expect("opened");
        assert_eq!(users_in(&path, &filled()), told, "{rows:?}");
        drop(writer);
        let told = told.map(|told| told.replace("Torn", "user-1"));
        assert_eq!(users_in(&path, &filled()), told, "{rows:?}");
        drop(readers);
    }
}

#[test]
fn the_end_of_a_stream_may_be_that_of_its_producer() {
    let read = |format, text: &str| {
        let opened = Opened {
            origin: Origin::Stream,
            ..Opened::in_memory(Cursor::new(text.to_owned().into_bytes()))
        };
        let reader = Reader::new("-".into(), opened, (format, Compression::None), &filled());
        users(reader.expect("an input"))
    };
    for (rows, told) in [
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
            told,
            "{rows:?}"
        );
    }
    assert!(read(Format::Csv, HEADER.trim_end()).is_empty());
    // An object that is closed is whole, and half of one is none.
    let object = r#"{"identity_id":"r:0","developer_user_identifier":"a"}"#;
    assert_eq!(read(Format::Jsonl, object), ["a"]);
    assert_eq!(
        read(Format::Jsonl, &object[..object.len() - 1]),
        ["BadJson"]
    );
}

/// Ends twice, as a FIFO does whose producer dies and that another one opens.
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
        ..Opened::in_memory(Twice(pieces))
    };
    let format = (Format::Csv, Compression::None);
    let reader = Reader::new("-".into(), opened, format, &filled());
    assert_eq!(users(reader.expect("an input")), ["a", "Torn"]);
}

#[test]
fn a_torn_row_keeps_no_half_of_a_value_and_cannot_be_fed_again_as_it_stands() {
    let opened = |text: String| Opened {
        origin: Origin::Stream,
        ..Opened::in_memory(Cursor::new(text.into_bytes()))
    };
    let format = (Format::Csv, Compression::None);
    let text = format!("{HEADER}r:0,user-1");
    let mut reader = Reader::new("-".into(), opened(text), format, &filled()).expect("an input");
    reader.keep_text();
    let Some(Ok(Read::Invalid(row))) = reader.next() else {
        panic!("it is torn");
    };
    assert_eq!(row.link.identity_id, "r:0");
    assert_eq!(row.link.developer_user_identifier, "");
    assert!(row.fault.reason.contains("no line end"), "{}", row.fault);
    let mut mended = reader.refused_header();
    reader.give_back(&row, &mut mended);
    let again = told(Format::Csv, &mended, &filled());
    assert_eq!(
        again,
        ["2 FieldCount"],
        "{}",
        String::from_utf8_lossy(&mended)
    );
}

/// Reads a file, and at its first end does what a writer does next.
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

/// Reads a young file, to which `next` happens when its end is reached.
fn users_meanwhile(
    name: &str,
    bytes: &[u8],
    settings: &Settings,
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
    users(Reader::new(name.into(), opened, format, settings).expect("an input"))
}

fn append(path: &Path, bytes: &[u8]) {
    let mut file = File::options().append(true).open(path).expect("opened");
    file.write_all(bytes).expect("written");
}

#[test]
fn a_row_that_is_completed_while_it_is_waited_for_is_read_whole() {
    for (begun, rest, told) in [
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
        assert_eq!(found, told, "{begun:?}");
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
fn the_wait_ends_when_nobody_wants_the_row_any_more() {
    let settings = filled();
    let patience = settings.patience.clone();
    let text = format!("{HEADER}r:0,a\nr:0,user-1");
    let found = users_meanwhile("people.csv", text.as_bytes(), &settings, move |_| {
        patience.end();
    });
    assert_eq!(found, ["a", "Torn"]);
}

/// What a decompressor has taken for the end stays the end; the row before it is whole only if the file is.
#[test]
fn what_grows_behind_the_end_of_compressed_data_is_not_at_rest() {
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
fn what_is_noted_of_a_file_that_grows_is_what_was_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("people.csv");
    let mut settings = at_once();
    let file = written(
        &path,
        format!("{HEADER}r:0,a\nr:0,b").as_bytes(),
        2 * AT_REST,
    );
    drop(file);
    settings.pins.note(&path).expect("noted");
    assert_eq!(users_in(&path, &settings), ["a", "b"]);
    let noted = settings.pins.noted(&path).expect("read");
    assert_eq!(noted.size, fs::metadata(&path).expect("there").len());
    append(&path, b"b\n");
    assert_eq!(settings.pins.noted(&path).expect("read"), noted);
}
