use std::fs::TryLockError;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::SystemTime;

use super::*;
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::side_file::InterruptedRun;
use crate::results::{OpenError, Results};

fn options_in(directory: &Path) -> ResultsOptions {
    ResultsOptions {
        path: directory.join("people.results.csv"),
        carry: Vec::new(),
        run_id: "run".into(),
        started: SystemTime::UNIX_EPOCH,
        open_rows: 4,
        skip_failed: false,
        again: false,
        last_login_named: false,
        durable: false,
        spreadsheet_safe: false,
        log: None,
        calls_aws: false,
    }
}

/// Creates a side file beside new results, with these marks of an earlier run.
fn create(options: &ResultsOptions, marks: Vec<Mark>) -> (InFlight, File) {
    let results = files::create(&options.path).expect("created");
    let mut completed = CompletedRows::default();
    completed.marks.extend(marks);
    let in_flight = InFlight::create(options, [9; 16], &completed, &results).expect("created");
    (in_flight, results)
}

fn old_mark() -> Vec<Mark> {
    vec![Mark {
        key: RowKey(1),
        since: 10,
    }]
}

fn interrupted_run(options: &ResultsOptions, results: &File) -> InterruptedRun {
    InterruptedRun::read(&side_file_path(&options.path), results).expect("readable")
}

fn keys(run: &InterruptedRun) -> Vec<u128> {
    run.marks.iter().map(|mark| mark.key.0).collect()
}

#[test]
fn the_next_run_finds_the_marks() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let (in_flight, results) = create(&options, old_mark());
    in_flight
        .mark_sent(3, RowKey(2), 20, false)
        .expect("marked");
    in_flight
        .mark_sent(0, RowKey(3), 30, false)
        .expect("marked");
    in_flight
        .mark_sent(0, RowKey(4), 40, false)
        .expect("marked");
    let metadata = in_flight.file.metadata().expect("metadata");
    assert_eq!(metadata.len(), (HEADER_BYTES + 5 * SLOT_BYTES) as u64);
    assert_eq!(metadata.mode() & 0o777, 0o600);

    let run = interrupted_run(&options, &results);
    assert_eq!(run.key, Some([9; 16]));
    assert_eq!(run.doubt, None);
    let marks: Vec<_> = run.marks.iter().map(|m| (m.key.0, m.since)).collect();
    assert_eq!(marks, [(1, 10), (4, 40), (2, 20)]);

    let holder = Header::read_holder(&options.path).expect("a holder");
    assert_eq!(holder.pid, std::process::id());
    assert_eq!(holder.started, "1970-01-01T00:00:00Z");

    in_flight.remove().expect("removed");
    let run = interrupted_run(&options, &results);
    assert!(run.marks.is_empty() && run.key.is_none() && run.doubt.is_none());
}

#[test]
fn a_reserved_row_that_was_not_sent_was_not_called() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let (in_flight, results) = create(&options, vec![]);
    in_flight.reserve_now(0, RowKey(2), 20).expect("marked");
    in_flight.reserve_now(1, RowKey(3), 20).expect("marked");
    in_flight
        .mark_sent(1, RowKey(3), 20, false)
        .expect("marked");
    assert_eq!(keys(&interrupted_run(&options, &results)), [3]);
}

#[test]
fn clearing_a_slot_leaves_the_other_marks() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let (in_flight, results) = create(&options, old_mark());
    for (slot, key) in [(0, 2), (1, 3), (2, 4)] {
        in_flight
            .mark_sent(slot, RowKey(key), 20, false)
            .expect("marked");
    }
    in_flight.clear(1).expect("cleared");
    assert_eq!(keys(&interrupted_run(&options, &results)), [1, 2, 4]);
}

#[test]
fn a_mark_that_cannot_be_written_is_an_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let (mut in_flight, _results) = create(&options, vec![]);
    in_flight.file = File::open(in_flight.side_file.path()).expect("opened read-only");
    assert!(in_flight.reserve_now(0, RowKey(1), 20).is_err());
    assert!(in_flight.mark_sent(0, RowKey(1), 20, false).is_err());
    assert!(in_flight.clear(0).is_err());
}

#[test]
fn results_are_locked_until_their_side_file_is_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let open = || Results::open::<UnlinkOutcome>(&options);
    let (_completed, _keyer, in_flight, writer) = open().expect("opened").into_parts();
    // The recording thread ends and closes its handle.
    drop(writer);
    let side_file = side_file_path(&options.path);
    for _ in 0..2 {
        let error = open().expect_err("locked");
        assert!(matches!(error, OpenError::Locked(..)), "{error}");
        // The second time the side file is gone, and the results are still locked.
        if side_file.exists() {
            in_flight.remove().expect("removed");
        }
    }
    drop(in_flight);
    open().expect("free");
}

#[test]
fn the_lock_is_released_without_removing_the_side_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let (in_flight, results) = create(&options, vec![]);
    results.try_lock().expect("free");
    drop(results);
    let other = File::open(&options.path).expect("it is there");
    assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
    drop(in_flight);
    other.try_lock().expect("free");
}

#[test]
fn a_side_file_of_another_run_is_not_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let (in_flight, _results) = create(&options, vec![]);
    let path = side_file_path(&options.path);
    let theirs = directory.path().join("theirs");
    fs::write(&theirs, "theirs").expect("written");
    fs::rename(&theirs, &path).expect("renamed");
    for check in [in_flight.side_file.check(), in_flight.remove()] {
        let error = check.expect_err("refused").to_string();
        assert!(error.contains("another file"), "{error}");
    }
    assert_eq!(fs::read(&path).expect("it is there"), b"theirs");
    // Nor is a link to it removed: that name is not this run's.
    fs::remove_file(&path).expect("removed");
    symlink("theirs", &path).expect("linked");
    in_flight.remove().expect_err("refused");
    fs::remove_file(&path).expect("removed");
    let error = in_flight.side_file.check().expect_err("it is gone");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_planted_link_receives_no_part_of_a_side_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let path = |name: &str| directory.path().join(name);
    fs::write(path("precious"), "theirs").expect("written");
    symlink("precious", path("people.results.csv.inflight.new")).expect("linked");
    let (in_flight, _results) = create(&options, vec![]);
    in_flight.mark_sent(0, RowKey(1), 0, false).expect("marked");
    assert_eq!(fs::read(path("precious")).expect("it is there"), b"theirs");
    // The temporary file is gone; its name could not be guessed.
    let names = fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(names, 4);
}

/// Kills a run with one row in flight, damages its side file with `harm`, and opens the results again.
fn open_after(harm: impl FnOnce(&Path)) -> Result<Results, OpenError> {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let (_completed, keyer, in_flight, writer) = Results::open::<UnlinkOutcome>(&options)
        .expect("opened")
        .into_parts();
    let key = keyer.key_of([b"a", b"b", b"c", b"d"]);
    in_flight.mark_sent(2, key, 0, false).expect("marked");
    drop((in_flight, writer));
    harm(&side_file_path(&options.path));
    Results::open::<UnlinkOutcome>(&options)
}

fn change(path: &Path, at: usize) {
    let file = File::options().read(true).write(true).open(path);
    let file = file.expect("it is there");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).expect("read");
    file.write_all_at(&[byte[0] ^ 1], at as u64)
        .expect("written");
}

fn cut(path: &Path, length: usize) {
    let file = File::options().write(true).open(path);
    file.and_then(|file| file.set_len(length as u64))
        .expect("cut");
}

#[test]
fn a_damaged_side_file_puts_all_rows_in_doubt() {
    let whole = open_after(|_| ()).expect("opened");
    assert_eq!(
        (
            whole.completed.doubt(),
            whole.completed.interrupted().count()
        ),
        (None, 1)
    );
    assert!(!whole.completed.is_in_doubt(RowKey(7)));

    let mut reasons = Vec::new();
    let mut doubts = |results: Results| {
        assert!(results.completed.is_in_doubt(RowKey(7)));
        assert!(results.marks.is_doubtful());
        reasons.push(results.completed.doubt().expect("a reason").to_owned());
    };
    let ends = HEADER_BYTES + 4 * SLOT_BYTES;
    for length in [
        0,
        1,
        300,
        HEADER_BYTES - 1,
        HEADER_BYTES,
        HEADER_BYTES + 70,
        ends - 1,
        ends + 1,
    ] {
        doubts(open_after(|path| cut(path, length)).expect("opened"));
    }
    // One bit of a byte of the header, or of the slot.
    for at in (0..HEADER_BYTES)
        .step_by(5)
        .chain(HEADER_BYTES + 2 * SLOT_BYTES..HEADER_BYTES + 3 * SLOT_BYTES)
    {
        match open_after(|path| change(path, at)) {
            Ok(results) => doubts(results),
            // A changed version number looks like that of a later version.
            Err(error) => assert!(error.to_string().contains("later version"), "{at}: {error}"),
        }
    }
    for words in [
        "cut off within its header",
        "cut off: 70 of its 128 bytes",
        "more behind its last slot",
        "header is damaged",
        "damaged in 1 of its 4 slots",
    ] {
        assert!(reasons.iter().any(|why| why.contains(words)), "{words}");
    }
}

#[test]
fn doubt_lasts_from_run_to_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    drop(Results::open::<UnlinkOutcome>(&options).expect("opened"));
    cut(&side_file_path(&options.path), HEADER_BYTES);
    for _ in 0..3 {
        let results = Results::open::<UnlinkOutcome>(&options).expect("opened");
        assert!(results.completed.is_in_doubt(RowKey(7)));
    }
    fs::remove_file(side_file_path(&options.path)).expect("removed");
    let results = Results::open::<UnlinkOutcome>(&options).expect("opened");
    assert_eq!(results.completed.doubt(), None);
}

#[test]
fn a_side_file_of_other_results_is_detected() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let copy = directory.path().join("copy");
    drop(Results::open::<UnlinkOutcome>(&options).expect("opened"));
    let harms: [&dyn Fn(&Path); 4] = [
        // Another file under the same name, of the same length and bytes.
        &|path| {
            fs::copy(path, &copy).expect("copied");
            fs::rename(&copy, path).expect("renamed");
        },
        // Removed.
        &|path| fs::remove_file(path).expect("removed"),
        // Shorter than when the run began.
        &|path| cut(path, 20),
        // Saved with a byte order mark before the header.
        &|path| {
            let text = fs::read_to_string(path).expect("text");
            fs::write(path, "\u{feff}".to_owned() + &text).expect("written");
        },
    ];
    for harm in harms {
        drop(Results::open::<UnlinkOutcome>(&options).expect("opened"));
        harm(&options.path);
        let results = Results::open::<UnlinkOutcome>(&options).expect("opened");
        let why = results.completed.doubt().expect("a reason").to_owned();
        assert!(why.contains("of other results"), "{why}");
        drop(results);
        fs::remove_file(side_file_path(&options.path)).expect("removed");
    }
}

#[test]
fn a_side_file_that_is_no_regular_file_is_refused_and_left() {
    for plant in [
        // A link, whatever it leads to.
        (|path: &Path| symlink("people.results.csv", path).expect("linked")) as fn(&Path),
        |path| fs::create_dir(path).expect("a directory"),
        |path| {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        },
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let options = options_in(directory.path());
        let path = side_file_path(&options.path);
        plant(&path);
        let before = fs::symlink_metadata(&path).expect("it is there");
        let error = Results::open::<UnlinkOutcome>(&options)
            .expect_err("refused")
            .to_string();
        for words in [
            "people.results.csv.inflight",
            "regular file",
            "put an empty file",
        ] {
            assert!(error.contains(words), "{error}");
        }
        let now = fs::symlink_metadata(&path).expect("it is there");
        assert_eq!(Identity::of(&now), Identity::of(&before));
    }
}

#[test]
fn a_side_file_of_a_later_version_is_refused_and_left() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    drop(Results::open::<UnlinkOutcome>(&options).expect("opened"));
    let path = side_file_path(&options.path);
    let mut bytes = fs::read(&path).expect("it is there");
    let at = br#"{"version":"#.len();
    bytes[at] = b'3';
    fs::write(&path, &bytes).expect("written");
    let error = Results::open::<UnlinkOutcome>(&options)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("later version"), "{error}");
    assert_eq!(fs::read(&path).expect("it is there"), bytes);
}

#[test]
fn results_that_others_can_read_are_made_private() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = options_in(directory.path());
    let mode = || fs::metadata(&options.path).expect("metadata").mode() & 0o777;
    let open_up = || {
        let permissions = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&options.path, permissions).expect("ours");
    };
    assert_eq!(
        Results::open::<UnlinkOutcome>(&options)
            .expect("opened")
            .mode_before,
        None
    );
    open_up();
    let results = Results::open::<UnlinkOutcome>(&options).expect("opened");
    assert_eq!((results.mode_before, mode()), (Some(0o644), 0o600));
    drop(results);
    // A file that is no results file keeps its mode.
    fs::write(&options.path, "name,age\n").expect("written");
    open_up();
    Results::open::<UnlinkOutcome>(&options).expect_err("refused");
    assert_eq!(mode(), 0o644);
}

#[test]
fn a_renamed_or_linked_results_file_keeps_its_side_file() {
    for rename in [false, true] {
        let directory = tempfile::tempdir().expect("a directory");
        let options = options_in(directory.path());
        let (_completed, _keyer, in_flight, writer) = Results::open::<UnlinkOutcome>(&options)
            .expect("opened")
            .into_parts();
        in_flight
            .mark_sent(0, RowKey(5), u64::from(u32::MAX), false)
            .expect("marked");
        drop((in_flight, writer));
        let other = ResultsOptions {
            path: directory.path().join("other.csv"),
            ..options.clone()
        };
        if rename {
            fs::rename(&options.path, &other.path).expect("renamed");
        } else {
            fs::hard_link(&options.path, &other.path).expect("linked");
        }
        let results = Results::open::<UnlinkOutcome>(&other).expect("opened");
        assert_eq!(
            results.completed.interrupted().collect::<Vec<_>>(),
            [RowKey(5)]
        );
        assert_eq!(results.completed.doubt(), None);
        assert!(!side_file_path(&options.path).exists() && side_file_path(&other.path).exists());
        // The side file is not taken for that of other results in the folder.
        let third = ResultsOptions {
            path: directory.path().join("third.csv"),
            ..options
        };
        let third = Results::open::<UnlinkOutcome>(&third).expect("opened");
        assert_eq!(
            (
                third.completed.interrupted().count(),
                third.completed.doubt()
            ),
            (0, None)
        );
        assert!(side_file_path(&other.path).exists());
    }
}
