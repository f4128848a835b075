//! Fuzzes the results file and its side file: any bytes, and files of our own cut at any byte.

#![no_main]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use cognito_unlink::testing::jobs::unlink::UnlinkOutcome;
use cognito_unlink::testing::results::{
    Edition, Entry, Format, Layout, OpenError, Results, ResultsOptions, SkipReason,
};
use cognito_unlink::testing::row::{Carried, Field, Keyer, Link, Position, RowKey};
use cognito_unlink::testing::verdict::{Outcome as _, ReplyDetails, Standing};
use libfuzzer_sys::fuzz_target;

/// A folder for the files, in memory if possible: every run writes, syncs and renames files.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() {
        memory.to_owned()
    } else {
        std::env::temp_dir()
    };
    let folder = parent.join(format!("cognito-unlink-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a folder for files");
    folder
});

// The bits of the first byte, `@` to DEL, select: JSONL; a carried column and `--skip-failed`; `--spreadsheet-safe`; a file
// that the writer has written; and for any other file: our header before it; a side file before it.
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
        settings: ResultsOptions {
            path: FOLDER.join(name),
            carry: Vec::from_iter(options.then(|| "the \"ticket\", or\nnone".to_owned())),
            run_id: "run-1".to_owned(),
            started: SystemTime::UNIX_EPOCH,
            open_rows: 4,
            skip_failed: options,
            durable: false,
            log: None,
            calls_aws: false,
            spreadsheet_safe: format == Format::SpreadsheetCsv,
        },
    };
    if written {
        check_cut_file(&file, data);
    } else {
        check_any_bytes(&mut file, data, header, side);
    }
});

/// A results file, with the settings to open it.
struct File {
    format: Format,
    settings: ResultsOptions,
}

impl File {
    fn side_path(&self) -> PathBuf {
        let mut path = self.settings.path.clone().into_os_string();
        path.push(".inflight");
        path.into()
    }

    fn write(&self, bytes: &[u8]) {
        fs::write(&self.settings.path, bytes).expect("there is room");
    }

    fn remove_side(&self) {
        let _ = fs::remove_file(self.side_path());
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(&self.settings.path).expect("it is there")
    }

    fn open(&self) -> Result<Results, OpenError> {
        Results::open::<UnlinkOutcome>(&self.settings)
    }
}

/// Checks that opening a file of any bytes either refuses it unchanged, or keeps all but a torn line.
fn check_any_bytes(file: &mut File, data: &[u8], header: bool, side: bool) {
    file.remove_side();
    let mut bytes = data.to_vec();
    let mut beside = Vec::new();
    if side && let Some((&length, rest)) = data.split_first() {
        // The header is padded with spaces to 512 bytes; slots have 32 bytes.
        let (head, rest) = rest.split_at(usize::from(length).min(rest.len()));
        let (slots, rest) = rest.split_at(rest.len().min(64));
        beside = [head, &[b' '; 512][head.len().min(512)..], slots].concat();
        bytes = rest.to_vec();
        fs::write(file.side_path(), &beside).expect("there is room");
    }
    if header {
        bytes.splice(0..0, file.format.header(&file.settings.carry));
    }
    // An existing file keeps its format.
    let begins = &bytes[..bytes.len().min(3)];
    if file.format == Format::Csv && !begins.is_empty() && b"\xef\xbb\xbf".starts_with(begins) {
        file.format = Format::SpreadsheetCsv;
    }
    file.write(&bytes);

    let first = match file.open() {
        Ok(results) => results,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            assert_eq!(file.bytes(), bytes, "changed although refused");
            if side && !beside.is_empty() {
                assert_eq!(fs::read(file.side_path()).ok(), Some(beside));
            }
            return;
        }
    };
    let length = bytes.len() - usize::try_from(first.cut).expect("it is in memory");
    let kept = file.bytes();
    // A header of other carried columns is replaced if there are no rows.
    let replaced = first.cut == 0 && !bytes.starts_with(&kept);
    if length == 0 || replaced {
        assert_eq!(kept, file.format.header(&file.settings.carry));
    } else {
        assert_eq!(kept, bytes[..length]);
    }
    let rows = rows_of(file.format, &kept);
    if !replaced {
        check_cut(file, bytes.split_at(length), rows.is_empty());
    }
    let known = Known::of(&first, &rows);
    drop(first);

    let second = file.open().expect("the rest is a results file");
    assert_eq!(second.cut, 0);
    assert_eq!(Known::of(&second, &rows), known);
    drop(second);
    assert_eq!(file.bytes(), kept);

    let (completed, keyer) = Results::peek::<UnlinkOutcome>(&file.settings).expect("it can be read");
    for (fields, outcome) in &rows {
        let key = keyer.key_of(fields.each_ref().map(Vec::as_slice));
        assert!(completed.skips(key) == Some(SkipReason::Done) || !is_done(*outcome));
    }
    file.remove_side();
    let third = file.open().expect("it needs no side file");
    assert_eq!(third.completed.done(), known.done);
    assert_eq!(third.completed.interrupted().count(), 0);
}

/// Checks that the cut removed no whole line, and nothing that cannot be the beginning of a line of ours.
fn check_cut(file: &File, (kept, cut): (&[u8], &[u8]), no_rows: bool) {
    let blank = |text: &[u8]| text.iter().all(|b| b"\r\n".contains(b));
    match file.format {
        Format::Csv | Format::SpreadsheetCsv if kept.is_empty() => {
            let header = file.format.header(&file.settings.carry);
            // Earlier versions began a file without this column.
            let old = String::from_utf8_lossy(&header).replacen(",request_ids", "", 1);
            let is_header = [&*header, old.as_bytes()].iter().any(|header| header.starts_with(cut));
            let text = cut.strip_prefix(b"\xef\xbb\xbf").unwrap_or(cut);
            assert!(blank(text) || is_header, "{cut:?}");
        }
        // A carriage return alone ends a line for some readers, so that a line feed behind it may be cut.
        Format::Csv | Format::SpreadsheetCsv => {
            assert!(
                cut.is_empty() || !blank(cut) || kept.ends_with(b"\r"),
                "{cut:?}"
            );
        }
        Format::Jsonl => {
            assert!(!cut.contains(&b'\n'), "{cut:?}");
            let begin = br#"{"row":"#;
            let is_ours = cut.starts_with(begin) || begin.starts_with(cut);
            assert!(is_ours || !no_rows, "{cut:?}");
        }
    }
}

fn is_done(outcome: UnlinkOutcome) -> bool {
    outcome.standing() == Standing::Done
}

/// The state of the rows in the opened file.
#[derive(Debug, PartialEq)]
struct Known {
    done: usize,
    interrupted: BTreeSet<RowKey>,
    rows: Vec<(Option<SkipReason>, bool)>,
}

impl Known {
    fn of(results: &Results, rows: &[([Vec<u8>; 4], UnlinkOutcome)]) -> Self {
        let (completed, keyer) = (&results.completed, &results.keyer);
        let of_row = |(fields, outcome): &([Vec<u8>; 4], UnlinkOutcome)| {
            let key = keyer.key_of(fields.each_ref().map(Vec::as_slice));
            assert!(completed.skips(key) == Some(SkipReason::Done) || !is_done(*outcome));
            assert!(completed.is_in_doubt(key) || *outcome != UnlinkOutcome::InDoubt);
            (completed.skips(key), completed.is_in_doubt(key))
        };
        let done = rows.iter().filter(|(_, outcome)| is_done(*outcome));
        assert_eq!(completed.done(), done.count());
        Self {
            done: completed.done(),
            interrupted: completed.interrupted().collect(),
            rows: rows.iter().map(of_row).collect(),
        }
    }
}

/// Returns fields and outcome of every line of an accepted file, read without our own reader.
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
                // Values of other keys may be too large to parse.
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

/// Checks that a run resumes after a cut at any byte of a file of our own, and after a kill with a call in flight.
fn check_cut_file(file: &File, data: &[u8]) {
    let Some((&[cut, more], data)) = data.split_first_chunk() else {
        return;
    };
    let File { format, settings } = file;
    let entries = entries(data, settings.carry.len());
    let header = format.header(&settings.carry);
    let layout = Layout {
        format: *format,
        edition: Edition::default(),
        run_id: "run-1".to_owned(),
        carry: settings.carry.clone(),
    };
    let written = |entries: &[Entry<UnlinkOutcome>]| {
        let mut lines = Vec::new();
        layout.write(entries, &mut lines);
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
    // The number of whole lines; none if the header is not whole.
    let lines = ends.iter().rposition(|&end| end <= cut);
    let kept = lines.map_or(header.clone(), |lines| whole[..ends[lines]].to_vec());
    let (before, after) = entries.split_at(lines.unwrap_or(0));

    file.remove_side();
    file.write(&whole[..cut]);
    let first = file.open().expect("the beginning of a results file is one");
    assert_eq!(file.bytes(), kept);
    assert_eq!(
        usize::try_from(first.cut).ok(),
        Some(lines.map_or(cut, |lines| cut - ends[lines]))
    );
    check_known(&first, before, settings.skip_failed, &[]);

    // The run continues with the first row that is not recorded, and is killed while it is in flight.
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
    check_known(&second, before, settings.skip_failed, &marked);
    drop(second);

    // The next run ends.
    file.write(&[kept, written(after)].concat());
    let third = file.open().expect("it is whole");
    assert_eq!(third.cut, 0);
    check_known(&third, &entries, settings.skip_failed, &[]);
}

/// Checks what `results` knows about `entries`, and that the `marked` links were in flight.
fn check_known(
    results: &Results,
    entries: &[Entry<UnlinkOutcome>],
    skip_failed: bool,
    marked: &[&Link],
) {
    let (completed, keyer): (_, &Keyer) = (&results.completed, &results.keyer);
    let mut interrupted = BTreeSet::new();
    let links = entries.iter().map(|entry| &entry.link);
    for link in links.chain(marked.iter().copied()) {
        let key = keyer.key(link);
        let of_link = entries.iter().filter(|entry| entry.link == *link);
        let outcomes: Vec<_> = of_link.map(|entry| entry.outcome).collect();
        let done = outcomes.iter().any(|outcome| is_done(*outcome));
        let failed = skip_failed && outcomes.last() == Some(&UnlinkOutcome::Failed);
        let skipped = done.then_some(SkipReason::Done);
        assert_eq!(
            completed.skips(key),
            skipped.or(failed.then_some(SkipReason::Failed))
        );
        let marked = marked.contains(&link) && !done;
        if marked {
            interrupted.insert(key);
        }
        assert_eq!(
            completed.is_in_doubt(key),
            marked || outcomes.contains(&UnlinkOutcome::InDoubt)
        );
    }
    let done = entries.iter().filter(|entry| is_done(entry.outcome));
    assert_eq!(completed.done(), done.count());
    assert_eq!(completed.interrupted().collect::<BTreeSet<_>>(), interrupted);
}

/// Returns an entry for each of the first lines of `data`: a byte for the outcome, then texts between tabs, with `\n` for line
/// feeds.
fn entries(data: &[u8], carried: usize) -> Vec<Entry<UnlinkOutcome>> {
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
                    // The reader returns strings as text, and other JSON in one line.
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
                request_ids: texts.next().unwrap_or_default(),
                logins_left: None,
                attempts: 1,
                started_at: Some(SystemTime::UNIX_EPOCH),
                finished_at: SystemTime::UNIX_EPOCH,
                latency: Some(Duration::from_millis(5)),
                memory: None,
            })
        })
        .collect()
}
