use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{COLUMNS, Entry, Layout};
use crate::row::Keyer;
use crate::row::{Carried, Link, Position};
use crate::verdict::{Outcome as _, ReplyDetails};

const KEYER: [u8; 16] = [3; 16];

fn options_for(format: Format, carry: &[&str], skip_failed: bool) -> ResultsOptions {
    let name = match format {
        Format::Csv | Format::SpreadsheetCsv => "people.results.csv",
        Format::Jsonl => "people.results.jsonl",
    };
    ResultsOptions {
        path: PathBuf::from(name),
        carry: carry.iter().map(ToString::to_string).collect(),
        run_id: "run-1".into(),
        started: SystemTime::UNIX_EPOCH,
        open_rows: 4,
        skip_failed,
        again: false,
        last_login_named: true,
        durable: false,
        spreadsheet_safe: false,
        log: None,
        calls_aws: false,
    }
}

fn entry(user: &str, outcome: UnlinkOutcome, carried: Vec<Carried>) -> Entry<UnlinkOutcome> {
    Entry {
        position: Position {
            source: "people.csv".into(),
            row: 1,
            line: 2,
        },
        link: Link {
            identity_id: "us-east-1:1".into(),
            identity_pool_id: "us-east-1:2".into(),
            developer_provider_name: "login.example.com".into(),
            developer_user_identifier: user.into(),
        },
        carried,
        key: None,
        outcome,
        details: ReplyDetails::default(),
        request_ids: "r-1 r-2".to_owned(),
        logins_left: None,
        attempts: 1,
        started_at: Some(SystemTime::UNIX_EPOCH),
        finished_at: SystemTime::UNIX_EPOCH,
        latency: Some(Duration::from_millis(5)),
        memory: None,
    }
}

fn file_of(format: Format, entries: &[Entry<UnlinkOutcome>], carry: &[&str]) -> Vec<u8> {
    file_of_edition(Edition::default(), format, entries, carry)
}

fn file_of_edition(
    edition: Edition,
    format: Format,
    entries: &[Entry<UnlinkOutcome>],
    carry: &[&str],
) -> Vec<u8> {
    let layout = Layout {
        format,
        edition,
        run_id: "run-1".to_owned(),
        carry: carry.iter().map(ToString::to_string).collect(),
    };
    let mut bytes = format.header_of(edition, &layout.carry);
    layout.write(entries, &mut bytes);
    bytes
}

fn read_lines(
    format: Format,
    bytes: &[u8],
    skip_failed: bool,
    marks: Vec<Mark>,
) -> Result<CompletedRows, String> {
    let run = InterruptedRun {
        marks,
        ..InterruptedRun::default()
    };
    read_interrupted(run, format, bytes, skip_failed)
}

fn read_interrupted(
    run: InterruptedRun,
    format: Format,
    bytes: &[u8],
    skip_failed: bool,
) -> Result<CompletedRows, String> {
    let options = options_for(format, &[], skip_failed);
    CompletedRows::collect(
        KeySetBuilder::default(),
        bytes,
        format,
        &options,
        OutcomeReader::new::<UnlinkOutcome>(&Keyer::new(KEYER)),
        run,
    )
    .map_err(|error| match error {
        ReadError::Io(error) => error.to_string(),
        ReadError::Foreign(why) | ReadError::Refused(why) | ReadError::OnlyHeader(why) => why,
    })
}

fn key(user: &str) -> RowKey {
    Keyer::new(KEYER).key(&entry(user, UnlinkOutcome::Failed, Vec::new()).link)
}

/// Generates text with characters that could end a line or a field early.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z'=+@\"\\\\,;\r\n\0\u{202e}\u{5d0}\u{1f600} ]{0,12}",
        proptest::collection::vec(any::<char>(), 0..8)
            .prop_map(|chars| chars.into_iter().collect()),
    ]
}

fn any_format() -> impl Strategy<Value = Format> {
    prop::sample::select(vec![Format::Csv, Format::SpreadsheetCsv, Format::Jsonl])
}

fn any_outcome() -> impl Strategy<Value = UnlinkOutcome> {
    prop::sample::select(UnlinkOutcome::ALL.to_vec())
}

proptest! {
    #[test]
    fn any_prefix_of_a_results_file_resumes(
        rows in proptest::collection::vec((any_text(), any_outcome()), 0..6),
        cut in 0.0..=1.0_f64,
        format in any_format(),
        edition in prop::sample::select(Edition::OF_RUN.to_vec()),
    ) {
        let file_of = |entries: &[_]| file_of_edition(edition, format, entries, &[]);
        let entries: Vec<_> = rows.iter().map(|(user, outcome)| entry(user, *outcome, vec![])).collect();
        // Length of the file after each line.
        let ends: Vec<_> = (0..=entries.len()).map(|n| file_of(&entries[..n]).len()).collect();
        let whole = file_of(&entries);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is one")]
        let cut = (whole.len() as f64 * cut) as usize;

        let completed = read_lines(format, &whole[..cut], false, vec![]).expect("a prefix is a results file");
        let lines = ends.iter().filter(|end| **end <= cut).count();
        let kept = if lines == 0 { 0 } else { ends[lines - 1] };
        prop_assert_eq!(completed.length, kept as u64);
        let kept_rows = &rows[..lines.saturating_sub(1)];
        for (user, _) in &rows {
            let of_user = kept_rows.iter().filter(|(other, _)| other == user);
            let skipped = of_user.fold(None, |skipped, (_, outcome)| match (outcome.standing(), skipped) {
                (Standing::Undone, _) => Some(SkipReason::Undone),
                (Standing::Done, _) | (_, Some(SkipReason::Done)) => Some(SkipReason::Done),
                _ => None,
            });
            prop_assert_eq!(completed.skips(key(user)), skipped);
        }
    }

    #[test]
    fn any_content_reads_back_as_written(
        user in any_text(), message in any_text(), carried in any_text(), format in any_format(),
    ) {
        let mut written = entry(&user, UnlinkOutcome::Failed, vec![Carried::Text(carried.clone())]);
        written.details.message = Some(message.clone());
        let bytes = file_of(format, &[written], &["ticket"]);
        let read = match format {
            Format::Csv | Format::SpreadsheetCsv => {
                let mut reader = csv::Reader::from_reader(&bytes[..]);
                let record = reader.byte_records().next().expect("a record").expect("valid");
                [6, 9, COLUMNS.len()].map(|column| {
                    let cell = format.plain(&record[column]).to_vec();
                    String::from_utf8(cell).expect("UTF-8")
                })
            }
            Format::Jsonl => {
                let line: serde_json::Value = serde_json::from_slice(&bytes).expect("valid");
                ["developer_user_identifier", "error_message", "ticket"]
                    .map(|name| line[name].as_str().unwrap_or_default().to_owned())
            }
        };
        prop_assert_eq!(read, [user, message, carried]);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200), format in any_format()) {
        let mut file = file_of(format, &[entry("u", UnlinkOutcome::Unlinked, vec![])], &[]);
        file.extend(bytes);
        if let Ok(completed) = read_lines(format, &file, false, vec![]) {
            prop_assert!(completed.length <= file.len() as u64);
        }
    }
}

/// Reads these outcomes of one row, in their order.
fn read_outcomes(
    outcomes: &[UnlinkOutcome],
    change: impl Fn(&mut ResultsOptions),
) -> Option<CompletedRows> {
    let entries: Vec<_> = outcomes
        .iter()
        .map(|outcome| entry("u", *outcome, vec![]))
        .collect();
    let bytes = file_of(Format::Csv, &entries, &[]);
    let mut options = options_for(Format::Csv, &[], false);
    change(&mut options);
    let done = KeySetBuilder::default();
    let keyer = Keyer::new(KEYER);
    let lines = OutcomeReader::new::<UnlinkOutcome>(&keyer);
    CompletedRows::collect(
        done,
        &bytes[..],
        Format::Csv,
        &options,
        lines,
        InterruptedRun::default(),
    )
    .ok()
}

#[test]
fn a_relinked_row_is_neither_done_nor_called_again_unasked() {
    use UnlinkOutcome::{Failed, InDoubt, Relinked, Unlinked};
    for (outcomes, unasked, again) in [
        (&[Unlinked, Relinked][..], Some(SkipReason::Undone), None),
        (
            &[Unlinked, Relinked, Unlinked],
            Some(SkipReason::Done),
            Some(SkipReason::Done),
        ),
        // It was called again, and failed: the next run tries again.
        (&[Unlinked, Relinked, Failed], None, None),
        (
            &[InDoubt, Unlinked, Relinked],
            Some(SkipReason::Undone),
            None,
        ),
    ] {
        for (is_again, expected) in [(false, unasked), (true, again)] {
            let completed = read_outcomes(outcomes, |options| options.again = is_again);
            let completed = completed.expect("a results file");
            let is_done = expected == Some(SkipReason::Done);
            assert_eq!(
                completed.skips(key("u")),
                expected,
                "{outcomes:?} {is_again}"
            );
            assert_eq!(completed.is_done(key("u")), is_done, "{outcomes:?}");
            assert_eq!(completed.done_first(&[key("u")]), usize::from(is_done));
            assert!(!completed.is_in_doubt(key("u")), "{outcomes:?}");
        }
    }
}

#[test]
fn kept_rows_are_refused_until_it_is_said_what_becomes_of_them() {
    use UnlinkOutcome::{Kept, Unlinked};
    for (outcomes, is_read) in [
        (&[Kept][..], false),
        (&[Unlinked], true),
        (&[Kept, Unlinked], true),
    ] {
        let read = read_outcomes(outcomes, |options| options.last_login_named = false);
        assert_eq!(read.is_some(), is_read, "{outcomes:?}");
        assert!(read_outcomes(outcomes, |_| {}).is_some());
    }
}

#[test]
fn the_last_outcome_counts_but_a_done_row_stays_done() {
    let entries = [
        entry("failed then done", UnlinkOutcome::Failed, vec![]),
        entry("failed then done", UnlinkOutcome::Unlinked, vec![]),
        entry("done then failed", UnlinkOutcome::NotLinked, vec![]),
        entry("done then failed", UnlinkOutcome::Failed, vec![]),
        entry("failed", UnlinkOutcome::Failed, vec![]),
        entry("in doubt", UnlinkOutcome::InDoubt, vec![]),
        entry("failed then in doubt", UnlinkOutcome::Failed, vec![]),
        entry("failed then in doubt", UnlinkOutcome::InDoubt, vec![]),
        entry("invalid", UnlinkOutcome::Invalid, vec![]),
        entry("held", UnlinkOutcome::Held, vec![]),
    ];
    for format in [Format::Csv, Format::Jsonl] {
        let bytes = file_of(format, &entries, &[]);
        for skip_failed in [false, true] {
            let completed =
                read_lines(format, &bytes, skip_failed, vec![]).expect("a results file");
            let done = Some(SkipReason::Done);
            let failed = skip_failed.then_some(SkipReason::Failed);
            for (user, skipped) in [
                ("failed then done", done),
                ("done then failed", done),
                ("failed", failed),
                ("in doubt", None),
                ("failed then in doubt", None),
                ("invalid", None),
                ("held", None),
                ("never seen", None),
            ] {
                assert_eq!(completed.skips(key(user)), skipped, "{user}");
            }
            assert!(completed.is_in_doubt(key("in doubt")));
            assert!(!completed.is_in_doubt(key("failed")));
        }
    }
}

#[test]
fn a_row_in_flight_is_in_doubt_until_a_later_line_records_it() {
    let before = file_of(
        Format::Csv,
        &[entry("u", UnlinkOutcome::Failed, vec![])],
        &[],
    );
    let entries = [
        entry("u", UnlinkOutcome::Failed, vec![]),
        entry("u", UnlinkOutcome::Failed, vec![]),
    ];
    let after = file_of(Format::Csv, &entries, &[]);
    let mark = |since: usize| {
        vec![Mark {
            key: key("u"),
            since: since as u64,
        }]
    };
    let in_doubt = |bytes: &[u8], since| {
        read_lines(Format::Csv, bytes, false, mark(since))
            .expect("a results file")
            .is_in_doubt(key("u"))
    };
    assert!(in_doubt(&before, before.len()), "no line since");
    assert!(!in_doubt(&after, before.len()), "a line since");
    assert!(in_doubt(&[], 0), "the results are gone");

    let done = file_of(
        Format::Csv,
        &[entry("u", UnlinkOutcome::Unlinked, vec![])],
        &[],
    );
    assert!(
        !in_doubt(&done, done.len()),
        "a done row needs no other run"
    );
}

#[test]
fn marks_apply_only_if_the_lines_behind_their_origin_are_of_their_run() {
    let entries: Vec<_> = ["a", "b", "c"]
        .map(|user| entry(user, UnlinkOutcome::Failed, vec![]))
        .into();
    for format in [Format::Csv, Format::SpreadsheetCsv, Format::Jsonl] {
        let ends: Vec<_> = (0..=3)
            .map(|n| file_of(format, &entries[..n], &[]).len())
            .collect();
        let doubt = |lines: usize, begun: usize, run_id: &str, same_file| {
            let run = InterruptedRun {
                marks: vec![Mark {
                    key: key("marked"),
                    since: ends[begun] as u64,
                }],
                origin: Some(Origin {
                    length: ends[begun] as u64,
                    run_id: run_id.into(),
                    same_file,
                }),
                ..InterruptedRun::default()
            };
            let file = file_of(format, &entries[..lines], &[]);
            let completed = read_interrupted(run, format, &file, false).expect("a results file");
            // Doubt about every row includes the marked one, whose mark is dropped.
            let all = completed.doubt().is_some();
            assert_eq!(completed.is_in_doubt(key("never called")), all);
            assert!(completed.is_in_doubt(key("marked")));
            assert_eq!(completed.interrupted().count(), usize::from(!all));
            all
        };
        // The run has appended two lines, to this file or to one that was copied since.
        assert!(!doubt(3, 1, "run-1", true));
        assert!(!doubt(3, 1, "run-1", false));
        // Another run has.
        assert!(doubt(3, 1, "run-2", true));
        // No run has: then only the same file will do.
        assert!(!doubt(1, 1, "run-2", true));
        assert!(doubt(1, 1, "run-2", false));
    }
}

#[test]
fn a_line_behind_a_carriage_return_follows_the_mark() {
    let file = |n: usize| {
        let entries: Vec<_> = (0..n)
            .map(|_| entry("u", UnlinkOutcome::Failed, vec![]))
            .collect();
        String::from_utf8(file_of(Format::Csv, &entries, &[])).expect("it is text")
    };
    // Saved by an editor with CRLF, then continued.
    let saved = file(1).replace('\n', "\r\n");
    let gone_on = saved.clone() + &file(2)[file(1).len()..];
    let run = InterruptedRun {
        marks: vec![Mark {
            key: key("u"),
            since: saved.len() as u64,
        }],
        ..InterruptedRun::default()
    };
    let completed =
        read_interrupted(run, Format::Csv, gone_on.as_bytes(), false).expect("a results file");
    assert!(
        !completed.is_in_doubt(key("u")),
        "the line behind the mark records the row"
    );
}

#[test]
fn a_file_that_is_no_results_file_is_refused() {
    let refused =
        |format, bytes: &[u8]| read_lines(format, bytes, false, vec![]).expect_err("refused");
    assert!(refused(Format::Csv, b"identity_id,user\n1,2\n").contains("lacks row, source, line"));
    assert!(refused(Format::Csv, b"people").contains("lacks"));
    assert!(refused(Format::Csv, b"\"\"").contains("lacks"));
    assert!(refused(Format::Jsonl, b"{\"IdentityId\":\"x\"}\n").contains("line 1"));
    assert!(refused(Format::Jsonl, b"people").contains("begin"));
    assert!(refused(Format::Jsonl, b"\n\npeople").contains("begin"));

    let mut broken = file_of(
        Format::Csv,
        &[entry("u", UnlinkOutcome::Unlinked, vec![])],
        &[],
    );
    broken.extend(b"2,people.csv,3\n");
    broken.extend(&file_of(
        Format::Csv,
        &[entry("u", UnlinkOutcome::Unlinked, vec![])],
        &[],
    ));
    assert!(refused(Format::Csv, &broken).contains("line 3"));

    let torn = file_of(Format::Csv, &[], &["ticket"]);
    let carried = file_of(
        Format::Csv,
        &[entry("u", UnlinkOutcome::Failed, vec![Carried::Absent])],
        &["ticket"],
    );
    for carried in [&carried[..], torn.trim_ascii_end()] {
        assert!(refused(Format::Csv, carried).contains("carries the columns ticket; give"));
    }
}

#[test]
fn a_header_with_other_carried_columns_and_no_line_is_begun_anew() {
    for format in [Format::Csv, Format::SpreadsheetCsv] {
        let header = file_of(format, &[], &["ticket"]);
        let completed = read_lines(format, &header, false, vec![]).expect("nothing is lost");
        assert!(completed.other_header && completed.length == 0);
        // Any byte after it may be data.
        for more in ["x", "\"", "1,people.csv,2\n"] {
            let file = [&header[..], more.as_bytes()].concat();
            read_lines(format, &file, false, vec![]).expect_err("refused");
        }
        let in_flight = Mark {
            key: key("u"),
            since: header.len() as u64,
        };
        read_lines(format, &header, false, vec![in_flight])
            .expect_err("the mark would point elsewhere");
    }
    let lacking = file_of(Format::Csv, &[], &[]).split_off(4);
    read_lines(Format::Csv, &lacking, false, vec![]).expect_err("it is no whole header");
}

#[test]
fn a_header_that_was_cut_off_is_begun_anew() {
    // Cut off between two quotes, the last column looks like one without quotes.
    let keyer = Keyer::new(KEYER);
    for format in [Format::Csv, Format::SpreadsheetCsv] {
        let options = options_for(format, &["the \"ticket\", or\nnone"], false);
        let headers = Edition::OF_RUN.map(|edition| format.header_of(edition, &options.carry));
        let cuts = headers
            .iter()
            .flat_map(|header| (0..header.len()).map(move |cut| &header[..cut]));
        for cut in cuts {
            let completed = CompletedRows::collect(
                KeySetBuilder::default(),
                cut,
                format,
                &options,
                OutcomeReader::new::<UnlinkOutcome>(&keyer),
                InterruptedRun::default(),
            );
            assert_eq!(
                completed.ok().map(|completed| completed.length),
                Some(0),
                "{cut:?}"
            );
        }
    }
}

#[test]
fn whole_lines_are_kept_to_their_last_byte() {
    for format in [Format::Csv, Format::SpreadsheetCsv] {
        let file = file_of(format, &[entry("u", UnlinkOutcome::Unlinked, vec![])], &[]);
        let file = String::from_utf8(file).expect("it is text");
        let torn = file.clone() + "\"\"";
        let completed = read_lines(format, torn.as_bytes(), false, vec![]).expect("a results file");
        assert_eq!(completed.length, file.len() as u64);
        // As a spreadsheet or an editor saves them.
        let marked = "\u{feff}".to_owned() + file.trim_start_matches('\u{feff}');
        for file in [file.replace('\n', "\r\n"), marked, file + "\n\r\n\n"] {
            let completed =
                read_lines(format, file.as_bytes(), false, vec![]).expect("a results file");
            assert_eq!(completed.length, file.len() as u64, "{file:?}");
            assert!(completed.skips(key("u")).is_some());
        }
    }
}

#[test]
fn no_cell_is_a_formula_to_a_spreadsheet() {
    for user in [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "'=1",
        "\u{ff1d}1",
    ] {
        let mut row = entry(
            user,
            UnlinkOutcome::Unlinked,
            vec![Carried::Text(user.into())],
        );
        row.details.message = Some(user.into());
        let bytes = file_of(Format::SpreadsheetCsv, &[row], &["note"]);
        let mut reader = csv::Reader::from_reader(&bytes[..]);
        let record = reader.records().next().expect("a record").expect("valid");
        for column in [6, 9, COLUMNS.len()] {
            assert_eq!(record[column], format!("'{user}"));
        }
        assert!(
            read_guarded(&bytes, &["note"]).skips(key(user)).is_some(),
            "{user}"
        );
    }
}

#[test]
fn no_column_name_is_a_formula_to_a_spreadsheet() {
    let names = ["=HYPERLINK(\"x\")", "'plain", "+ticket", "note"];
    let mut row = entry("u", UnlinkOutcome::Unlinked, vec![]);
    row.carried = names.map(|name| Carried::Text(name.into())).to_vec();
    let rows = [row];
    let guarded = file_of(Format::SpreadsheetCsv, &rows, &names);
    let mut reader = csv::Reader::from_reader(&guarded[..]);
    let header: Vec<_> = reader
        .headers()
        .expect("a header")
        .iter()
        .skip(COLUMNS.len())
        .map(str::to_owned)
        .collect();
    assert_eq!(
        header,
        ["'=HYPERLINK(\"x\")", "''plain", "'+ticket", "note"]
    );
    assert!(read_guarded(&guarded, &names).skips(key("u")).is_some());
    // A file that an earlier version began.
    let carry = names.map(str::to_owned);
    let old = Format::SpreadsheetCsv.unguarded_header(Edition::RunId, &carry);
    let file = file_of_edition(Edition::RunId, Format::SpreadsheetCsv, &rows, &names);
    let header = Format::SpreadsheetCsv.header_of(Edition::RunId, &carry);
    let lines = &file[header.len()..];
    assert!(
        read_guarded(&[&old, lines].concat(), &names)
            .skips(key("u"))
            .is_some()
    );
    // The error quotes the names as they were given.
    let options = options_for(Format::SpreadsheetCsv, &["other"], false);
    let keyer = Keyer::new(KEYER);
    let read = CompletedRows::collect(
        KeySetBuilder::default(),
        &guarded[..],
        Format::SpreadsheetCsv,
        &options,
        OutcomeReader::new::<UnlinkOutcome>(&keyer),
        InterruptedRun::default(),
    );
    match read {
        Err(ReadError::Foreign(why)) => {
            assert!(
                why.contains("carries the columns =HYPERLINK(\"x\"), 'plain, +ticket, note;"),
                "{why}"
            );
        }
        _ => panic!("it carries other columns"),
    }
}

fn read_guarded(bytes: &[u8], carry: &[&str]) -> CompletedRows {
    let options = options_for(Format::SpreadsheetCsv, carry, false);
    let keyer = Keyer::new(KEYER);
    CompletedRows::collect(
        KeySetBuilder::default(),
        bytes,
        Format::SpreadsheetCsv,
        &options,
        OutcomeReader::new::<UnlinkOutcome>(&keyer),
        InterruptedRun::default(),
    )
    .unwrap_or_else(|_| panic!("a results file"))
}

/// Reads a file with this content.
fn read(format: Format, bytes: &[u8]) -> Result<CompletedRows, OpenError> {
    let mut file = tempfile::tempfile().expect("a file");
    std::io::Write::write_all(&mut file, bytes).expect("written");
    let options = options_for(format, &[], false);
    CompletedRows::read(
        &file,
        format,
        &options,
        OutcomeReader::new::<UnlinkOutcome>(&Keyer::new(KEYER)),
        InterruptedRun::default(),
    )
}

#[test]
fn a_tail_with_whole_lines_is_not_cut_off() {
    let format = Format::Csv;
    let whole = file_of(format, &[entry("u", UnlinkOutcome::Unlinked, vec![])], &[]);
    let header = format.header(&[]).len();
    let line = str::from_utf8(&whole[header..]).expect("it is text");
    // An unclosed quote, and bytes after it.
    let behind = |tail: &str| {
        let bytes = [&whole[..], b"2,\"people\n", tail.as_bytes()].concat();
        read(format, &bytes).map(|completed| completed.length)
    };
    for tail in [
        "",
        "a user,of two lines\n",
        // As many fields as a line has, and as many bytes.
        &line.replace(",unlinked,", ",u,"),
        // An outcome in its column, on a line with one column more.
        &line.replace("r-1 r-2", "r-1,r-2"),
        // A line without its end.
        line.trim_end(),
    ] {
        assert_eq!(behind(tail).ok(), Some(whole.len() as u64), "{tail:?}");
    }
    for tail in [line, &format!("people\n{line}people\n")] {
        let error = behind(tail).expect_err("damage").to_string();
        assert!(error.contains("a quote is never closed"), "{error}");
    }
}

#[test]
fn a_line_with_more_or_fewer_fields_is_no_result() {
    for change in [",more\n", "\n"] {
        let mut file = file_of(
            Format::Csv,
            &[entry("u", UnlinkOutcome::Unlinked, vec![])],
            &[],
        );
        let end = if change == "\n" { ",r-1 r-2\n" } else { "\n" };
        file.truncate(file.len() - end.len());
        file.extend(change.as_bytes());
        let why = read_lines(Format::Csv, &file, false, vec![]).expect_err("refused");
        assert!(why.contains("line 2 is no result"), "{why}");
    }
}

#[test]
fn a_file_of_an_earlier_version_keeps_its_columns() {
    for format in [Format::Csv, Format::SpreadsheetCsv, Format::Jsonl] {
        for edition in Edition::OF_RUN {
            let rows = [entry("u", UnlinkOutcome::Unlinked, vec![])];
            let file = file_of_edition(edition, format, &rows, &[]);
            let completed = read(format, &file).expect("a results file");
            assert_eq!(completed.edition, edition, "{format:?}");
            assert_eq!(completed.length, file.len() as u64);
            assert!(completed.skips(key("u")).is_some());
        }
    }
    // A carried number may be too large to parse.
    let number = serde_json::value::RawValue::from_string("1e999".to_owned()).expect("JSON");
    let rows = [entry(
        "u",
        UnlinkOutcome::Unlinked,
        vec![Carried::Json(number)],
    )];
    let file = file_of(Format::Jsonl, &rows, &["n"]);
    let carrying = read(Format::Jsonl, &file).expect("a results file");
    assert_eq!(carrying.edition, Edition::default());
    // Before its first line a file of JSON has no keys.
    let begun = read(Format::Jsonl, b"").expect("a results file");
    assert_eq!(begun.edition, Edition::default());
}

#[test]
fn other_carried_columns_are_named_in_each_edition() {
    for edition in Edition::OF_RUN {
        let carried = vec![Carried::Absent];
        let rows = [entry("u", UnlinkOutcome::Failed, carried)];
        let file = file_of_edition(edition, Format::Csv, &rows, &["ticket"]);
        let why = read_lines(Format::Csv, &file, false, vec![]).expect_err("refused");
        assert!(why.contains("carries the columns ticket; give"), "{why}");
        // Without a line it is begun anew, with the columns of a new file.
        let header = file_of_edition(edition, Format::Csv, &[], &["ticket"]);
        let completed = read_lines(Format::Csv, &header, false, vec![]).expect("nothing is lost");
        assert!(completed.other_header && completed.edition == Edition::default());
    }
}
