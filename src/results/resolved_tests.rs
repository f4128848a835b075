use std::io::Cursor;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::SystemTime;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::input::{self, Input, InputRow, KeepText, ReadOptions};
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{
    AskedBy, FoundLink, Layout, Line, Recorded, RowLinks, SkipReason, ToRecord, UNRESOLVED_COLUMNS,
    Unresolved,
};
use crate::row::{Carried, Link, Required, SourceText};

const POOL: &str = "us-east-1:11111111-2222-3333-4444-555555555555";
const HEADER: &str = "reason,identity_id,developer_user_identifier\n";

fn identity(n: usize) -> String {
    format!("us-east-1:{n:08x}-0000-0000-0000-000000000000")
}

fn found(n: usize, user: &str) -> FoundLink {
    FoundLink {
        link: Link {
            identity_id: identity(n),
            identity_pool_id: POOL.to_owned(),
            developer_provider_name: "login.example.com".to_owned(),
            developer_user_identifier: user.to_owned(),
        },
        is_held: n.is_multiple_of(2),
    }
}

/// A folder with the results of a resolve and the rows without links.
struct Sandbox {
    folder: TempDir,
    format: input::Format,
    skip_failed: bool,
}

impl Sandbox {
    fn new(format: input::Format) -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            format,
            skip_failed: false,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder
            .path()
            .join(format!("people.{name}.{}", self.format.ending()))
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).expect("written");
    }

    fn options(&self) -> ResultsOptions {
        ResultsOptions {
            path: self.path("resolved"),
            carry: vec!["ticket".to_owned()],
            run_id: "run-1".to_owned(),
            started: SystemTime::UNIX_EPOCH,
            open_rows: 4,
            skip_failed: self.skip_failed,
            again: false,
            last_login_named: true,
            durable: false,
            spreadsheet_safe: false,
            log: None,
            calls_aws: false,
        }
    }

    fn read_options(&self) -> ReadOptions {
        let mut read = ReadOptions {
            required: Required::LookupKey,
            keep_text: Some(KeepText::new(&UNRESOLVED_COLUMNS)),
            format: Some(self.format),
            ..ReadOptions::default()
        };
        read.fill.identity_pool_id = Some(POOL.to_owned());
        read
    }

    fn unresolved(&self, read: &ReadOptions) -> UnresolvedOptions {
        UnresolvedOptions {
            path: self.path("unresolved"),
            format: self.format,
            read: read.clone(),
        }
    }

    fn open(&self) -> Result<OpenResolved, OpenError> {
        OpenResolved::open(&self.options(), &self.unresolved(&self.read_options()))
    }

    /// Opens the files for an input, and returns its rows as well. If it is standard input, it is opened last.
    fn open_for(
        &self,
        text: &str,
        is_stdin: bool,
    ) -> Result<(OpenResolved, Vec<InputRow>), String> {
        let read = self.read_options();
        let input = Input::File("people".into());
        let rows = || {
            input::open_bytes(&input, Cursor::new(text.to_owned()), &read)
                .map_err(|error| error.to_string())
        };
        let open = || {
            OpenResolved::open(&self.options(), &self.unresolved(&read))
                .map_err(|error| error.to_string())
        };
        let (results, rows) = if is_stdin {
            (open()?, rows()?)
        } else {
            let rows = rows()?;
            (open()?, rows)
        };
        Ok((
            results,
            rows.map(|row| row.expect("no error in memory")).collect(),
        ))
    }
}

/// The record of a row: its links, or the reason why it has none.
struct ResolveLine {
    links: Vec<FoundLink>,
    reason: Option<Unresolved>,
    text: Option<SourceText>,
}

impl ResolveLine {
    /// Makes the record of a row from the column or key `reason` of the input: a user to be found, or a reason.
    fn of(row: &InputRow, expected: &str) -> Self {
        let text = match row {
            InputRow::Valid(row) => row.text.clone(),
            InputRow::Invalid(row) => row.text.clone(),
        };
        let reason = Unresolved::named(expected);
        let links = if reason.is_none() {
            vec![found(1, expected)]
        } else {
            Vec::new()
        };
        Self {
            links,
            reason,
            text,
        }
    }
}

impl Line for ResolveLine {
    type Outcome = UnlinkOutcome;

    fn outcome(&self) -> UnlinkOutcome {
        UnlinkOutcome::ALL[0]
    }

    fn key(&self) -> Option<RowKey> {
        None
    }

    fn is_near_hold(&self) -> bool {
        false
    }

    fn is_large(&self) -> bool {
        false
    }

    fn write<'a>(lines: impl Iterator<Item = &'a Self>, layout: &Layout, into: &mut Vec<u8>) {
        let rows = lines.map(|line| RowLinks {
            asked_by: AskedBy::User,
            links: &line.links,
            carried: &[Carried::Absent],
        });
        layout.write_links(rows, into);
    }

    fn write_unresolved<'a>(lines: impl Iterator<Item = &'a Self>, into: &mut Vec<u8>) {
        for line in lines {
            if let (Some(reason), Some(text)) = (line.reason, &line.text) {
                text.write(&[reason.as_str(), ""], into);
            }
        }
    }
}

/// Records these rows, and returns the error that ended the recording, if one did.
fn record(results: Results, lines: Vec<ResolveLine>) -> Option<String> {
    let (.., writer) = results.into_parts();
    let (recording, thread) = writer.start::<ResolveLine>(lines.len()).expect("a thread");
    let mut done = recording.done;
    let settled = lines
        .into_iter()
        .map(|line| (Box::new(line), None))
        .collect();
    recording
        .orders
        .blocking_send(ToRecord::Settled(settled))
        .expect("the thread receives");
    drop(recording.orders);
    let mut failure = None;
    while let Some(report) = done.blocking_recv() {
        if let Recorded::Failed(error) = report {
            failure = Some(error.to_string());
        }
    }
    thread.join().expect("no panic");
    failure
}

fn key_of(keyer: &Keyer, identity_id: &str, user: &str) -> RowKey {
    keyer.lookup_key([identity_id, POOL, "", user].map(str::as_bytes))
}

/// The rows of a file: by what each was asked for, and the number of its links.
fn groups() -> impl Strategy<Value = Vec<(AskedBy, usize)>> {
    let size = prop_oneof![3 => 1_usize..4, 1 => 1_usize..=121];
    let by = prop::sample::select(AskedBy::ALL.to_vec());
    proptest::collection::vec((by, size), 0..5)
}

/// Returns the links of the row `n`, and its key.
fn group(keyer: &Keyer, n: usize, by: AskedBy, size: usize) -> (Vec<FoundLink>, RowKey) {
    // A user has several identities, and an identity several users. Values may look like the end of a line.
    let user = |nth: usize| format!("u\"{n}\n,{nth}");
    let links = (0..size).map(|nth| match by {
        AskedBy::User => found(1000 * n + nth, &user(0)),
        AskedBy::Identity | AskedBy::Both => {
            found(1000 * n, &user(if by == AskedBy::Both { 0 } else { nth }))
        }
    });
    let key = match by {
        AskedBy::User => key_of(keyer, "", &user(0)),
        AskedBy::Identity => key_of(keyer, &identity(1000 * n), ""),
        AskedBy::Both => key_of(keyer, &identity(1000 * n), &user(0)),
    };
    (links.collect(), key)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_prefix_of_a_resolve_is_cut_off_behind_a_whole_row(
        rows in groups(),
        cut in 0.0..=1.0_f64,
        format in prop::sample::select(vec![input::Format::Csv, input::Format::Jsonl]),
    ) {
        let sandbox = Sandbox::new(format);
        let layout = Layout {
            format: Format::of_name(&sandbox.path("resolved")).expect("a format"),
            edition: LinkReader::EDITIONS[0],
            run_id: String::new(),
            carry: vec!["ticket".to_owned()],
        };
        let carried = [Carried::Text("a,\n\"".to_owned())];
        let mut file = layout.format.header_of(layout.edition, &layout.carry);
        let mut ends = vec![file.len()];
        for (n, (by, size)) in rows.iter().enumerate() {
            let (links, _) = group(&Keyer::new([0; 16]), n, *by, *size);
            layout.write_links([RowLinks { asked_by: *by, links: &links, carried: &carried }], &mut file);
            ends.push(file.len());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length is one")]
        let cut = (file.len() as f64 * cut) as usize;
        sandbox.write("resolved", &file[..cut]);
        let whole = ends.iter().filter(|end| **end <= cut).count().saturating_sub(1);

        let opened = sandbox.open().expect("a prefix is a file of ours");
        let left = fs::read(sandbox.path("resolved")).expect("a file");
        prop_assert_eq!(&left[..], &file[..ends[whole]]);
        let Results { completed, keyer, .. } = &opened.results;
        let mut links = HashSet::new();
        for (n, (by, size)) in rows.iter().enumerate() {
            let (found, key) = group(keyer, n, *by, *size);
            prop_assert_eq!(completed.is_done(key), n < whole, "row {}", n);
            links.extend(found.iter().filter(|_| n < whole).map(|found| keyer.key(&found.link)));
        }
        prop_assert_eq!(&opened.links, &links);
    }
}

#[test]
fn a_row_that_lacks_a_line_elsewhere_is_asked_for_again_and_nothing_is_cut_off() {
    let sandbox = Sandbox::new(input::Format::Csv);
    drop(sandbox.open().expect("begun"));
    let line = |n: usize, user: &str, by: &str, links: usize| {
        format!("{},{POOL},p,{user},{by},{links},,\n", identity(n))
    };
    let header = sandbox.read("resolved");
    assert_eq!(
        header,
        "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier,asked_by,links,held,ticket\n"
    );
    let lines = [
        line(1, "a", "identity", 3),
        line(2, "b", "user", 1),
        line(1, "c", "identity", 3),
        line(3, "d", "user", 2),
        line(4, "b", "both", 1),
        line(5, "d", "user", 2),
    ];
    let text = header + &lines.concat();
    sandbox.write("resolved", &text);
    let opened = sandbox.open().expect("a file of ours");
    assert_eq!(sandbox.read("resolved"), text);
    let Results {
        completed,
        keyer,
        cut,
        ..
    } = &opened.results;
    let is_done =
        |identity_id: &str, user: &str| completed.is_done(key_of(keyer, identity_id, user));
    assert!(!is_done(&identity(1), ""));
    assert!(is_done("", "b") && is_done("", "d") && is_done(&identity(4), "b"));
    assert_eq!((opened.links.len(), *cut), (6, 0));
    assert!(matches!(sandbox.open(), Err(OpenError::Locked(..))));
    drop(opened);

    // Asked for again, it may have another number of links.
    for again in [
        vec![line(1, "a", "identity", 3), line(1, "c", "identity", 3)],
        vec![line(1, "e", "identity", 2), line(1, "f", "identity", 2)],
        vec![line(1, "e", "identity", 1)],
    ] {
        let text = text.clone() + &again.concat();
        sandbox.write("resolved", &text);
        let opened = sandbox.open().expect("a file of ours");
        assert_eq!(sandbox.read("resolved"), text);
        let Results {
            completed, keyer, ..
        } = &opened.results;
        assert!(completed.is_done(key_of(keyer, &identity(1), "")));
    }
}

#[test]
fn results_of_another_command_are_refused_and_left_as_they_were() {
    for format in [input::Format::Csv, input::Format::Jsonl] {
        let sandbox = Sandbox::new(format);
        let foreign = match format {
            input::Format::Csv => {
                String::from_utf8(Format::Csv.header(&[])).expect("text") + "1,x\n"
            }
            _ => "{\"row\":1,\"outcome\":\"unlinked\"}\n".to_owned(),
        };
        sandbox.write("resolved", &foreign);
        assert!(matches!(sandbox.open(), Err(OpenError::Foreign(..))));
        assert_eq!(sandbox.read("resolved"), foreign);
        assert!(!sandbox.path("unresolved").exists());

        let sandbox = Sandbox::new(format);
        let text = match format {
            input::Format::Csv => format!("{HEADER}x,,u-1\n"),
            _ => "{\"reason\":\"x\",\"developer_user_identifier\":\"u-1\"}\n".to_owned(),
        };
        let (opened, rows) = sandbox.open_for(&text, false).expect("opened");
        let lines = rows.iter().map(|row| ResolveLine::of(row, "u-1")).collect();
        assert_eq!(record(opened.results, lines), None);
        let text = sandbox.read("resolved");
        let error = Results::open::<UnlinkOutcome>(&sandbox.options()).expect_err("refused");
        assert!(matches!(error, OpenError::Foreign(..)), "{error}");
        assert_eq!(sandbox.read("resolved"), text);
    }
}

/// Words that a row is recorded with, and the rows of an input in two formats.
const WORDS: [&str; 9] = [
    "no_such_user",
    "failed",
    "u-3",
    "disabled",
    "not_told",
    "invalid",
    "too_many_users",
    "identity_not_found",
    "identity_has_no_user",
];

fn input_of(format: input::Format) -> String {
    let rows = (1..=WORDS.len()).map(|n| match format {
        input::Format::Jsonl => {
            format!("{{ \"developer_user_identifier\" : \"u-{n}\", \"detail\":[{n}] }}\n")
        }
        _ => format!("mine,,\"u-{n}\"\r\n"),
    });
    let rows: Vec<_> = rows.collect();
    let header = if format == input::Format::Csv {
        HEADER
    } else {
        ""
    };
    header.to_owned() + &rows.concat()
}

#[test]
fn rows_without_links_are_written_as_they_stood_and_read_back() {
    for (format, is_stdin) in [
        (input::Format::Csv, false),
        (input::Format::Csv, true),
        (input::Format::Jsonl, false),
    ] {
        let mut sandbox = Sandbox::new(format);
        let text = input_of(format);
        let (opened, rows) = sandbox.open_for(&text, is_stdin).expect("opened");
        let lines = rows
            .iter()
            .zip(WORDS)
            .map(|(row, word)| ResolveLine::of(row, word))
            .collect();
        assert_eq!(record(opened.results, lines), None);
        let written = sandbox.read("unresolved");
        let (header, line): (&str, fn(usize, &str) -> String) = match format {
            input::Format::Csv => (
                "invalid_reason,detail,reason,identity_id,developer_user_identifier\n",
                |n, word| format!("{word},,mine,,\"u-{n}\"\n"),
            ),
            _ => ("", |n, word| {
                format!(
                    "{{\"reason\":\"{word}\",\"invalid_detail\":null, \"developer_user_identifier\" : \"u-{n}\", \"detail\":[{n}] }}\n"
                )
            }),
        };
        let with = |keeps: &dyn Fn(&str) -> bool| {
            let lines = (1..).zip(WORDS).filter(|(_, word)| keeps(word));
            header.to_owned() + &lines.map(|(n, word)| line(n, word)).collect::<String>()
        };
        assert_eq!(written, with(&|word| word != "u-3"));
        let mode = fs::metadata(sandbox.path("unresolved"))
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);

        // What has failed is kept if that is asked for; a torn line is left out.
        sandbox.skip_failed = true;
        sandbox.write(
            "unresolved",
            written.clone() + line(10, "no_such_user").trim_end(),
        );
        let (opened, _) = sandbox.open_for(&text, is_stdin).expect("opened");
        assert_eq!(
            sandbox.read("unresolved"),
            with(&|word| !["u-3", "invalid"].contains(&word))
        );
        assert_eq!(opened.left_out, 1);
        drop(opened);

        sandbox.skip_failed = false;
        sandbox.write("unresolved", &written);
        let (opened, _) = sandbox.open_for(&text, is_stdin).expect("opened");
        let again = ["u-3", "failed", "not_told", "invalid"];
        assert_eq!(
            sandbox.read("unresolved"),
            with(&|word| !again.contains(&word))
        );
        assert_eq!(opened.left_out, 3);
        let Results {
            completed, keyer, ..
        } = &opened.results;
        for (n, word) in (1..).zip(WORDS) {
            let skipped = completed.skips(key_of(keyer, "", &format!("u-{n}")));
            let reason = match word {
                "u-3" => Some(SkipReason::Done),
                _ => (!again.contains(&word)).then_some(SkipReason::Failed),
            };
            assert_eq!(skipped, reason, "{word}");
        }
    }
}

#[test]
fn rows_that_have_failed_are_skipped_if_they_are_kept() {
    let mut sandbox = Sandbox::new(input::Format::Csv);
    sandbox.skip_failed = true;
    sandbox.write(
        "unresolved",
        "reason,detail,identity_id,developer_user_identifier\nfailed,,,a\nnot_told,x,,b\ninvalid,,,c\nno_such_user,,,d\n",
    );
    let (opened, _) = sandbox
        .open_for("identity_id,developer_user_identifier\n", false)
        .expect("opened");
    let Results {
        completed, keyer, ..
    } = &opened.results;
    let skips = |user| completed.skips(key_of(keyer, "", user));
    assert_eq!(skips("a"), Some(SkipReason::Failed));
    assert_eq!(skips("b"), Some(SkipReason::Failed));
    assert_eq!(skips("c"), None);
    assert_eq!(skips("d"), Some(SkipReason::Failed));
}

#[test]
fn another_file_is_not_taken_for_rows_without_links() {
    let own_header = "reason,detail,identity_id,developer_user_identifier\n";
    for (format, text, why) in [
        (
            input::Format::Csv,
            "identity_id,developer_user_identifier\n,a\n",
            "no reason in front",
        ),
        (input::Format::Csv, "people", "no reason in front"),
        (input::Format::Csv, "a,b\nfailed,x\n", "no reason in front"),
        (
            input::Format::Csv,
            "reason,detail,developer_user_identifier\nfailed,,a\n",
            "other columns than people",
        ),
        (
            input::Format::Jsonl,
            "{\"developer_user_identifier\":\"a\"}\n",
            "no reason in front",
        ),
        (
            input::Format::Jsonl,
            "{\"developer_user_identifier\":\"a\"}",
            "no reason in front",
        ),
        (input::Format::Jsonl, own_header, "no reason in front"),
    ] {
        let sandbox = Sandbox::new(format);
        sandbox.write("unresolved", text);
        let input = match format {
            input::Format::Csv => "identity_id,developer_user_identifier\n",
            _ => "",
        };
        let Err(error) = sandbox.open_for(input, false) else {
            panic!("{text} was taken");
        };
        assert!(error.contains(why), "{text}: {error}");
        assert_eq!(sandbox.read("unresolved"), text);
    }
    let sandbox = Sandbox::new(input::Format::Csv);
    sandbox.write("precious", "theirs");
    symlink(sandbox.path("precious"), sandbox.path("unresolved")).expect("linked");
    let error = sandbox.open().expect_err("a link");
    assert!(matches!(error, OpenError::Refused(..)), "{error}");
    assert_eq!(sandbox.read("precious"), "theirs");
}

#[test]
fn an_invalid_line_that_is_a_list_does_not_hide_the_lines_after_it() {
    let sandbox = Sandbox::new(input::Format::Jsonl);
    let kept =
        "{\"reason\":\"no_such_user\",\"detail\":null,\"developer_user_identifier\":\"a\"}\n";
    let list = "{\"reason\":\"invalid\",\"detail\":\"x\",\"Identities\":[{\"IdentityId\":\"r:0\"}],\"identity_pool_id\":\"r:1\"}\n";
    sandbox.write("unresolved", format!("{list}{kept}{list}{kept}"));
    let opened = sandbox.open().expect("ours");
    assert_eq!(sandbox.read("unresolved"), format!("{kept}{kept}"));
    assert_eq!(opened.left_out, 2);
    // Torn within its first line.
    for torn in ["", "{", "{\"reason\":\"no_such"] {
        let sandbox = Sandbox::new(input::Format::Jsonl);
        sandbox.write("unresolved", torn);
        sandbox.open().expect("ours");
        assert_eq!(sandbox.read("unresolved"), "");
    }
}

#[test]
fn a_batch_that_cannot_be_written_to_one_file_is_in_neither() {
    let sandbox = Sandbox::new(input::Format::Csv);
    let text = format!("{HEADER}x,,u-1\nx,,u-2\n");
    let (opened, rows) = sandbox.open_for(&text, false).expect("opened");
    let resolved = sandbox.read("resolved");
    // Another file takes the place of the rows without links.
    fs::remove_file(sandbox.path("unresolved")).expect("removed");
    sandbox.write("unresolved", "another");
    let lines = [
        ResolveLine::of(&rows[0], "u-1"),
        ResolveLine::of(&rows[1], "failed"),
    ];
    let error = record(opened.results, lines.into()).expect("it cannot be written");
    assert!(
        error.contains("people.unresolved.csv") && error.contains("another file"),
        "{error}"
    );
    assert_eq!(sandbox.read("resolved"), resolved);
    assert_eq!(sandbox.read("unresolved"), "another");
}

#[test]
fn lines_of_a_batch_whose_rows_without_links_find_no_room_are_taken_back() {
    let sandbox = Sandbox::new(input::Format::Csv);
    let text = format!("{HEADER}x,,u-1\nx,,u-2\n");
    let (mut opened, rows) = sandbox.open_for(&text, false).expect("opened");
    let resolved = sandbox.read("resolved");
    let full = PathBuf::from("/dev/full");
    let file = OpenOptions::new()
        .write(true)
        .open(&full)
        .expect("a device");
    let Recorder::File(writer) = &mut opened.results.recorder else {
        panic!("a resolve records in a file");
    };
    writer.beside = Some(Beside::Unresolved(UnresolvedFile {
        file: AppendedFile::new(file, full.clone(), 0),
        path: full,
        keep_text: KeepText::new(&UNRESOLVED_COLUMNS),
    }));
    let lines = [
        ResolveLine::of(&rows[0], "u-1"),
        ResolveLine::of(&rows[1], "failed"),
    ];
    let error = record(opened.results, lines.into()).expect("it cannot be written");
    assert!(error.starts_with("/dev/full: No space left"), "{error}");
    assert_eq!(sandbox.read("resolved"), resolved);
}
