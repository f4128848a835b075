//! The results file and the side file beside it, whatever stands in them and wherever they break off.

#![no_main]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use cognito_unlink::verdict::{Outcome as _, ReplyDetails};
use cognito_unlink::jobs::unlink::UnlinkOutcome;
use cognito_unlink::results::{Entry, Format, OpenError, Results, Settings};
use cognito_unlink::row::{Carried, Field, Keyer, Link, Position, RowKey};
use libfuzzer_sys::fuzz_target;

/// In memory where there is such a place: every run writes, syncs and renames files.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = place.join(format!("cognito-unlink-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a place for files");
    folder
});

// The first byte, `@` to DEL, chooses: JSONL; a carried column and `--skip-failed`; `--spreadsheet-safe`; the file is
// written by the writer; and for one that is not: our header before it, a side file before it.
fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let on = |bit: u8| choice & (1 << bit) != 0;
    let [jsonl, options, safe, written, header, side] = [0, 1, 2, 3, 4, 5].map(on);
    let (format, name) = match (jsonl, safe) {
        (true, _) => (Format::Jsonl, "people.results.jsonl"),
        (false, true) => (Format::SpreadsheetCsv, "people.results.csv"),
        (false, false) => (Format::Csv, "people.results.csv"),
    };
    let mut file = File {
        format,
        settings: Settings {
            path: FOLDER.join(name),
            carry: Vec::from_iter(options.then(|| "the \"ticket\", or\nnone".to_owned())),
            run_id: "run-1".to_owned(),
            started: SystemTime::UNIX_EPOCH,
            open_rows: 4,
            skip_failed: options,
            durable: false,
            calls_aws: false,
            spreadsheet_safe: format == Format::SpreadsheetCsv,
        },
    };
    if written {
        any_cut_of_ours_goes_on(&file, data);
    } else {
        any_bytes_are_kept_or_refused(&mut file, data, header, side);
    }
});

/// A results file that may be opened more than once.
struct File {
    format: Format,
    settings: Settings,
}

impl File {
    fn side(&self) -> PathBuf {
        let mut path = self.settings.path.clone().into_os_string();
        path.push(".inflight");
        path.into()
    }

    fn put(&self, bytes: &[u8]) {
        fs::write(&self.settings.path, bytes).expect("there is room");
    }

    fn forget_side(&self) {
        let _ = fs::remove_file(self.side());
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.settings.path).expect("it is there")
    }

    fn open(&self) -> Result<Results, OpenError> {
        Results::open::<UnlinkOutcome>(&self.settings)
    }
}

fn any_bytes_are_kept_or_refused(file: &mut File, data: &[u8], header: bool, side: bool) {
    file.forget_side();
    let mut bytes = data.to_vec();
    let mut beside = Vec::new();
    if side && let Some((&length, rest)) = data.split_first() {
        // A header of 512 bytes, filled up with spaces, and slots of 32 bytes.
        let (head, rest) = rest.split_at(usize::from(length).min(rest.len()));
        let (slots, rest) = rest.split_at(rest.len().min(64));
        beside = [head, &[b' '; 512][head.len().min(512)..], slots].concat();
        bytes = rest.to_vec();
        fs::write(file.side(), &beside).expect("there is room");
    }
    if header {
        bytes.splice(0..0, file.format.header(&file.settings.carry));
    }
    // One that is there stays what it was begun as.
    let begins = &bytes[..bytes.len().min(3)];
    if file.format == Format::Csv && !begins.is_empty() && b"\xef\xbb\xbf".starts_with(begins) {
        file.format = Format::SpreadsheetCsv;
    }
    file.put(&bytes);

    let first = match file.open() {
        Ok(results) => results,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(file.bytes(), bytes, "refused and changed");
            if side && !beside.is_empty() {
                assert_eq!(fs::read(file.side()).ok(), Some(beside));
            }
            return;
        }
    };
    let length = bytes.len() - usize::try_from(first.cut).expect("it is in memory");
    let kept = file.bytes();
    // A header of other carried columns, with nothing behind it, becomes ours.
    let anew = first.cut == 0 && !bytes.starts_with(&kept);
    if length == 0 || anew {
        assert_eq!(kept, file.format.header(&file.settings.carry));
    } else {
        assert_eq!(kept, bytes[..length]);
    }
    let rows = rows_of(file.format, &kept);
    if !anew {
        only_a_torn_line_was_cut_off(file, bytes.split_at(length), rows.is_empty());
    }
    let known = Known::of(&first, &rows);
    drop(first);

    let second = file.open().expect("what was kept is a results file");
    assert_eq!(second.cut, 0);
    assert_eq!(Known::of(&second, &rows), known);
    drop(second);
    assert_eq!(file.bytes(), kept);

    let (past, keyer) = Results::peek::<UnlinkOutcome>(&file.settings).expect("it can be read");
    for (fields, outcome) in &rows {
        let key = keyer.key_of(fields.each_ref().map(Vec::as_slice));
        assert!(past.skips(key) || !outcome.is_done());
    }
    file.forget_side();
    let third = file.open().expect("it needs no side file");
    assert_eq!(third.past.done(), known.done);
    assert_eq!(third.past.interrupted().count(), 0);
}

/// Whole lines stay, and so does what nobody can tell for the beginning of a line of ours.
fn only_a_torn_line_was_cut_off(file: &File, (kept, cut): (&[u8], &[u8]), no_rows: bool) {
    let blank = |text: &[u8]| text.iter().all(|b| b"\r\n".contains(b));
    match file.format {
        Format::Csv | Format::SpreadsheetCsv if kept.is_empty() => {
            let header = file.format.header(&file.settings.carry);
            let text = cut.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cut);
            assert!(blank(text) || header.starts_with(cut), "{cut:?}");
        }
        // A lone carriage return ends a line for some, and a line feed after it is read with what follows.
        Format::Csv | Format::SpreadsheetCsv => {
            assert!(
                cut.is_empty() || !blank(cut) || kept.ends_with(b"\r"),
                "{cut:?}"
            );
        }
        Format::Jsonl => {
            assert!(!cut.contains(&b'\n'), "{cut:?}");
            let begin = br#"{"row":"#;
            let ours = cut.starts_with(begin) || begin.starts_with(cut);
            assert!(ours || !no_rows, "{cut:?}");
        }
    }
}

/// What an opened file says of the rows that stand in it.
#[derive(Debug, PartialEq)]
struct Known {
    done: usize,
    interrupted: BTreeSet<RowKey>,
    rows: Vec<(bool, bool)>,
}

impl Known {
    fn of(results: &Results, rows: &[([Vec<u8>; 4], UnlinkOutcome)]) -> Self {
        let (past, keyer) = (&results.past, &results.keyer);
        let of_row = |(fields, outcome): &([Vec<u8>; 4], UnlinkOutcome)| {
            let key = keyer.key_of(fields.each_ref().map(Vec::as_slice));
            assert!(past.skips(key) || !outcome.is_done());
            assert!(past.is_in_doubt(key) || *outcome != UnlinkOutcome::InDoubt);
            (past.skips(key), past.is_in_doubt(key))
        };
        let done = rows.iter().filter(|(_, outcome)| outcome.is_done());
        assert_eq!(past.done(), done.count());
        Self {
            done: past.done(),
            interrupted: past.interrupted().collect(),
            rows: rows.iter().map(of_row).collect(),
        }
    }
}

/// Fields and outcome of every line of an accepted file, as another reader finds them.
fn rows_of(format: Format, file: &[u8]) -> Vec<([Vec<u8>; 4], UnlinkOutcome)> {
    let named = |name: &[u8]| UnlinkOutcome::named(name).expect("it was accepted");
    match format {
        Format::Csv | Format::SpreadsheetCsv => csv::Reader::from_reader(file)
            .byte_records()
            .map(|record| {
                let record = record.expect("it was accepted");
                let value = |column: usize| match format {
                    Format::SpreadsheetCsv => record[column].strip_prefix(b"'"),
                    _ => None,
                };
                (
                    [3, 4, 5, 6].map(|column| value(column).unwrap_or(&record[column]).to_vec()),
                    named(&record[7]),
                )
            })
            .collect(),
        Format::Jsonl => file
            .split(|&b| b == b'\n')
            .filter(|line| !line.trim_ascii().is_empty())
            .map(|line| {
                // Only the keys that tell: elsewhere there may be what cannot be kept.
                let line: Line = serde_json::from_slice(line).expect("it was accepted");
                let fields = [
                    line.identity_id,
                    line.identity_pool_id,
                    line.developer_provider_name,
                    line.developer_user_identifier,
                ];
                (
                    fields.map(|field| field.unwrap_or_default().into()),
                    named(line.outcome.as_bytes()),
                )
            })
            .collect(),
    }
}

#[derive(serde::Deserialize)]
struct Line {
    identity_id: Option<String>,
    identity_pool_id: Option<String>,
    developer_provider_name: Option<String>,
    developer_user_identifier: Option<String>,
    outcome: String,
}

fn any_cut_of_ours_goes_on(file: &File, data: &[u8]) {
    let Some((&[cut, more], data)) = data.split_first_chunk() else {
        return;
    };
    let File { format, settings } = file;
    let entries = entries(data, settings.carry.len());
    let header = format.header(&settings.carry);
    let written = |entries: &[Entry]| {
        let mut lines = Vec::new();
        format.write(entries, "run-1", &settings.carry, &mut lines);
        lines
    };
    let whole = [header.clone(), written(&entries)].concat();
    let mut ends = vec![header.len()];
    for entry in &entries {
        let line = written(std::slice::from_ref(entry));
        ends.push(ends[ends.len() - 1] + line.len());
    }
    assert_eq!(ends.last(), Some(&whole.len()));
    let cut = usize::from(u16::from_be_bytes([cut, more])) % (whole.len() + 1);
    // The lines that are whole; none if not even the header is.
    let lines = ends.iter().rposition(|&end| end <= cut);
    let kept = lines.map_or(header.clone(), |lines| whole[..ends[lines]].to_vec());
    let (before, after) = entries.split_at(lines.unwrap_or(0));

    file.forget_side();
    file.put(&whole[..cut]);
    let first = file.open().expect("a part of a results file is one");
    assert_eq!(file.bytes(), kept);
    assert_eq!(
        usize::try_from(first.cut).ok(),
        Some(lines.map_or(cut, |lines| cut - ends[lines]))
    );
    tells(&first, before, settings.skip_failed, &[]);

    // The run goes on with the first row that is not recorded, and is killed.
    let next = after.first().map(|entry| &entry.link);
    if let Some(link) = next {
        let key = first.keyer.key(link);
        let (mark, since) = (&first.in_flight, kept.len() as u64);
        mark.reserve(3, key, since).expect("there is room");
        mark.sent(3, key, since).expect("there is room");
    }
    drop(first);
    let second = file.open().expect("nothing has changed");
    let marked = Vec::from_iter(next);
    tells(&second, before, settings.skip_failed, &marked);
    drop(second);

    // It goes on again, to the end.
    file.put(&[kept, written(after)].concat());
    let third = file.open().expect("it is whole");
    assert_eq!(third.cut, 0);
    tells(&third, &entries, settings.skip_failed, &[]);
}

/// `results` knows of `entries` what it must, and that the `marked` links were in flight.
fn tells(results: &Results, entries: &[Entry], skip_failed: bool, marked: &[&Link]) {
    let (past, keyer): (_, &Keyer) = (&results.past, &results.keyer);
    let mut interrupted = BTreeSet::new();
    let links = entries.iter().map(|entry| &entry.link);
    for link in links.chain(marked.iter().copied()) {
        let key = keyer.key(link);
        let of_link = entries.iter().filter(|entry| entry.link == *link);
        let outcomes: Vec<_> = of_link.map(|entry| entry.outcome).collect();
        let done = outcomes.iter().any(|outcome| outcome.is_done());
        let failed = skip_failed && outcomes.last() == Some(&UnlinkOutcome::Failed);
        assert_eq!(past.skips(key), done || failed);
        let marked = marked.contains(&link) && !done;
        if marked {
            interrupted.insert(key);
        }
        assert_eq!(
            past.is_in_doubt(key),
            marked || outcomes.contains(&UnlinkOutcome::InDoubt)
        );
    }
    let done = entries.iter().filter(|entry| entry.outcome.is_done());
    assert_eq!(past.done(), done.count());
    assert_eq!(past.interrupted().collect::<BTreeSet<_>>(), interrupted);
}

/// An entry from each of the first lines of `data`: its outcome, then its texts with tabs between them, in which `\n` is a line
/// feed.
fn entries(data: &[u8], carried: usize) -> Vec<Entry> {
    data.split(|&b| b == b'\n')
        .take(32)
        .filter_map(|line| {
            let (&outcome, texts) = line.split_first()?;
            let whole = String::from_utf8_lossy(texts).replace("\\n", "\n");
            let mut texts = whole.split('\t').map(str::to_owned);
            let outcome = UnlinkOutcome::ALL[usize::from(outcome) % UnlinkOutcome::ALL.len()];
            let mut link = Link {
                developer_user_identifier: texts.next()?,
                ..Link::default()
            };
            let message = texts.next();
            let ticket = texts.next().map_or(Carried::Absent, |ticket| {
                match serde_json::value::RawValue::from_string(ticket) {
                    // The reader hands on what stands in one line, and strings as text.
                    Ok(json) if !json.get().contains(['\n', '"']) => Carried::Json(json),
                    Ok(json) => Carried::Text(json.get().to_owned()),
                    Err(_) => Carried::Text(whole.clone()),
                }
            });
            for field in [
                Field::IdentityId,
                Field::IdentityPoolId,
                Field::DeveloperProviderName,
            ] {
                *link.get_mut(field) = texts.next().unwrap_or_default();
            }
            Some(Entry {
                position: Position {
                    source: texts.next().unwrap_or_default().into(),
                    row: 1,
                    line: 2,
                },
                link,
                carried: vec![ticket; carried],
                key: None,
                outcome,
                details: ReplyDetails {
                    code: texts.next(),
                    message,
                    http_status: Some(400),
                    request_id: texts.next(),
                    retry_after: None,
                },
                attempts: 1,
                started_at: Some(SystemTime::UNIX_EPOCH),
                finished_at: SystemTime::UNIX_EPOCH,
                latency: Some(Duration::from_millis(5)),
                room: None,
            })
        })
        .collect()
}
