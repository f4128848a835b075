use std::fs::TryLockError;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::time::SystemTime;

use super::*;
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::side_file::LeftBehind;
use crate::results::{OpenError, Results};

fn settings(directory: &Path) -> Settings {
    Settings {
        path: directory.join("people.results.csv"),
        carry: Vec::new(),
        run_id: "run".into(),
        started: SystemTime::UNIX_EPOCH,
        open_rows: 4,
        skip_failed: false,
        durable: false,
        spreadsheet_safe: false,
        calls_aws: false,
    }
}

/// Begins a side file beside new results, as a run does that finds these marks of an earlier one.
fn create(settings: &Settings, marks: Vec<Mark>) -> (InFlight, File) {
    let results = files::create(&settings.path).expect("created");
    let mut past = CompletedRows::default();
    past.marks.extend(marks);
    let in_flight = InFlight::create(settings, [9; 16], &past, &results).expect("created");
    (in_flight, results)
}

fn old_mark() -> Vec<Mark> {
    vec![Mark {
        key: RowKey(1),
        since: 10,
    }]
}

fn left_behind(settings: &Settings, results: &File) -> LeftBehind {
    LeftBehind::read(&path_beside(&settings.path), results).expect("readable")
}

fn keys(left: &LeftBehind) -> Vec<u128> {
    left.marks.iter().map(|mark| mark.key.0).collect()
}

#[test]
fn marks_are_found_by_the_next_run_and_fit_their_slots() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let (in_flight, results) = create(&settings, old_mark());
    in_flight.sent(3, RowKey(2), 20).expect("marked");
    in_flight.sent(0, RowKey(3), 30).expect("marked");
    in_flight.sent(0, RowKey(4), 40).expect("marked");
    let metadata = in_flight.file.metadata().expect("metadata");
    assert_eq!(metadata.len(), (HEADER + 5 * SLOT) as u64);
    assert_eq!(metadata.mode() & 0o777, 0o600);

    let left = left_behind(&settings, &results);
    assert_eq!(left.key, Some([9; 16]));
    assert_eq!(left.doubt, None);
    let marks: Vec<_> = left.marks.iter().map(|m| (m.key.0, m.since)).collect();
    assert_eq!(marks, [(1, 10), (4, 40), (2, 20)]);

    let holder = Holder::of(&settings.path).expect("a holder");
    assert_eq!(holder.pid, std::process::id());
    assert_eq!(holder.started, "1970-01-01T00:00:00Z");

    in_flight.remove().expect("removed");
    let left = left_behind(&settings, &results);
    assert!(left.marks.is_empty() && left.key.is_none() && left.doubt.is_none());
}

#[test]
fn a_row_that_was_reserved_and_not_sent_was_not_called() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let (in_flight, results) = create(&settings, vec![]);
    in_flight.reserve(0, RowKey(2), 20).expect("marked");
    in_flight.reserve(1, RowKey(3), 20).expect("marked");
    in_flight.sent(1, RowKey(3), 20).expect("marked");
    assert_eq!(keys(&left_behind(&settings, &results)), [3]);
}

#[test]
fn only_the_rows_own_mark_is_taken_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let (in_flight, results) = create(&settings, old_mark());
    for (slot, key) in [(0, 2), (1, 3), (2, 4)] {
        in_flight.sent(slot, RowKey(key), 20).expect("marked");
    }
    in_flight.clear(1).expect("cleared");
    assert_eq!(keys(&left_behind(&settings, &results)), [1, 2, 4]);
}

#[test]
fn a_mark_that_cannot_be_written_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let (mut in_flight, _results) = create(&settings, vec![]);
    in_flight.file = File::open(&in_flight.place.path).expect("to be read only");
    assert!(in_flight.reserve(0, RowKey(1), 20).is_err());
    assert!(in_flight.sent(0, RowKey(1), 20).is_err());
    assert!(in_flight.clear(0).is_err());
}

#[test]
fn results_are_locked_until_their_side_file_is_gone() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let open = || Results::open::<UnlinkOutcome>(&settings);
    let (_past, _keyer, in_flight, writer) = open().expect("opened").into_parts();
    // The recording thread has ended, and its handle is closed.
    drop(writer);
    let side_file = path_beside(&settings.path);
    for _ in 0..2 {
        let error = open().expect_err("locked");
        assert!(matches!(error, OpenError::Held(..)), "{error}");
        // The second time it is removed, and the lock is still held.
        if side_file.exists() {
            in_flight.remove().expect("removed");
        }
    }
    drop(in_flight);
    open().expect("free");
}

#[test]
fn the_lock_is_given_back_without_a_removal_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let (in_flight, results) = create(&settings, vec![]);
    results.try_lock().expect("free");
    drop(results);
    let other = File::open(&settings.path).expect("it is there");
    assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
    drop(in_flight);
    other.try_lock().expect("free");
}

#[test]
fn a_side_file_of_another_run_is_not_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let (in_flight, _results) = create(&settings, vec![]);
    let path = path_beside(&settings.path);
    let theirs = directory.path().join("theirs");
    fs::write(&theirs, "theirs").expect("written");
    fs::rename(&theirs, &path).expect("renamed");
    for check in [in_flight.place.check(), in_flight.remove()] {
        let error = check.expect_err("refused").to_string();
        assert!(error.contains("another file"), "{error}");
    }
    assert_eq!(fs::read(&path).expect("it is there"), b"theirs");
    // Nor is ours behind a link: the name is not ours any more.
    fs::remove_file(&path).expect("removed");
    symlink("theirs", &path).expect("linked");
    in_flight.remove().expect_err("refused");
    fs::remove_file(&path).expect("removed");
    let error = in_flight.place.check().expect_err("it is gone");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_planted_name_gets_nothing_of_a_side_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let path = |name: &str| directory.path().join(name);
    fs::write(path("precious"), "theirs").expect("written");
    symlink("precious", path("people.results.csv.inflight.new")).expect("linked");
    let (in_flight, _results) = create(&settings, vec![]);
    in_flight.sent(0, RowKey(1), 0).expect("marked");
    assert_eq!(fs::read(path("precious")).expect("it is there"), b"theirs");
    // The name of the way there is gone, and was nobody's to know.
    let names = fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(names, 4);
}

/// Opens the results after `harm` was done to the side file of a run that was killed with one row in flight.
fn after(harm: impl FnOnce(&Path)) -> Result<Results, OpenError> {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let (_past, keyer, in_flight, writer) = Results::open::<UnlinkOutcome>(&settings)
        .expect("opened")
        .into_parts();
    let key = keyer.key_of([b"a", b"b", b"c", b"d"]);
    in_flight.sent(2, key, 0).expect("marked");
    drop((in_flight, writer));
    harm(&path_beside(&settings.path));
    Results::open::<UnlinkOutcome>(&settings)
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
fn damage_is_answered_with_doubt_and_never_forgotten() {
    let whole = after(|_| ()).expect("opened");
    assert_eq!(
        (whole.past.doubt(), whole.past.interrupted().count()),
        (None, 1)
    );
    assert!(!whole.past.is_in_doubt(RowKey(7)));

    let mut told = Vec::new();
    let mut doubts = |results: Results| {
        assert!(results.past.is_in_doubt(RowKey(7)));
        assert!(results.in_flight.is_doubtful());
        told.push(results.past.doubt().expect("said").to_owned());
    };
    let ends = HEADER + 4 * SLOT;
    for length in [
        0,
        1,
        300,
        HEADER - 1,
        HEADER,
        HEADER + 70,
        ends - 1,
        ends + 1,
    ] {
        doubts(after(|path| cut(path, length)).expect("opened"));
    }
    // Any bit of the header, and any of a slot.
    for at in (0..HEADER)
        .step_by(5)
        .chain(HEADER + 2 * SLOT..HEADER + 3 * SLOT)
    {
        match after(|path| change(path, at)) {
            Ok(results) => doubts(results),
            // The version, which seems to be a later one.
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
        assert!(told.iter().any(|why| why.contains(words)), "{words}");
    }
}

#[test]
fn doubt_is_carried_from_run_to_run() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    drop(Results::open::<UnlinkOutcome>(&settings).expect("opened"));
    cut(&path_beside(&settings.path), HEADER);
    for _ in 0..3 {
        let results = Results::open::<UnlinkOutcome>(&settings).expect("opened");
        assert!(results.past.is_in_doubt(RowKey(7)));
    }
    fs::remove_file(path_beside(&settings.path)).expect("removed");
    let results = Results::open::<UnlinkOutcome>(&settings).expect("opened");
    assert_eq!(results.past.doubt(), None);
}

#[test]
fn a_side_file_of_other_results_is_found_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let copy = directory.path().join("copy");
    drop(Results::open::<UnlinkOutcome>(&settings).expect("opened"));
    let harms: [&dyn Fn(&Path); 4] = [
        // Begun anew under the same name: as long, of the same bytes, and another file.
        &|path| {
            fs::copy(path, &copy).expect("copied");
            fs::rename(&copy, path).expect("renamed");
        },
        // Gone altogether.
        &|path| fs::remove_file(path).expect("removed"),
        // Shorter than they were when the run began.
        &|path| cut(path, 20),
        // Saved with a mark before the header.
        &|path| {
            let text = fs::read_to_string(path).expect("text");
            fs::write(path, "\u{feff}".to_owned() + &text).expect("written");
        },
    ];
    for harm in harms {
        drop(Results::open::<UnlinkOutcome>(&settings).expect("opened"));
        harm(&settings.path);
        let results = Results::open::<UnlinkOutcome>(&settings).expect("opened");
        let why = results.past.doubt().expect("said").to_owned();
        assert!(why.contains("of other results"), "{why}");
        drop(results);
        fs::remove_file(path_beside(&settings.path)).expect("removed");
    }
}

#[test]
fn what_is_no_file_of_ours_is_refused_and_left() {
    for plant in [
        // By a link, whatever is behind it.
        (|path: &Path| symlink("people.results.csv", path).expect("linked")) as fn(&Path),
        |path| fs::create_dir(path).expect("a directory"),
        |path| {
            use rustix::fs::{CWD, FileType, Mode, mknodat};
            mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        },
    ] {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(directory.path());
        let path = path_beside(&settings.path);
        plant(&path);
        let before = fs::symlink_metadata(&path).expect("it is there");
        let error = Results::open::<UnlinkOutcome>(&settings)
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
    let settings = settings(directory.path());
    drop(Results::open::<UnlinkOutcome>(&settings).expect("opened"));
    let path = path_beside(&settings.path);
    let mut bytes = fs::read(&path).expect("it is there");
    let at = br#"{"version":"#.len();
    bytes[at] = b'3';
    fs::write(&path, &bytes).expect("written");
    let error = Results::open::<UnlinkOutcome>(&settings)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("later version"), "{error}");
    assert_eq!(fs::read(&path).expect("it is there"), bytes);
}

#[test]
fn results_that_others_can_read_are_made_private_when_they_are_ours() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = settings(directory.path());
    let mode = || fs::metadata(&settings.path).expect("metadata").mode() & 0o777;
    let open_up = || {
        let permissions = fs::Permissions::from_mode(0o644);
        fs::set_permissions(&settings.path, permissions).expect("ours");
    };
    assert_eq!(
        Results::open::<UnlinkOutcome>(&settings)
            .expect("opened")
            .mode_before,
        None
    );
    open_up();
    let results = Results::open::<UnlinkOutcome>(&settings).expect("opened");
    assert_eq!((results.mode_before, mode()), (Some(0o644), 0o600));
    drop(results);
    // What is no results file is left as it is.
    fs::write(&settings.path, "name,age\n").expect("written");
    open_up();
    Results::open::<UnlinkOutcome>(&settings).expect_err("refused");
    assert_eq!(mode(), 0o644);
}

#[test]
fn rows_in_flight_are_known_under_another_name_of_the_results() {
    for rename in [false, true] {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = settings(directory.path());
        let (_past, _keyer, in_flight, writer) = Results::open::<UnlinkOutcome>(&settings)
            .expect("opened")
            .into_parts();
        in_flight
            .sent(0, RowKey(5), u64::from(u32::MAX))
            .expect("marked");
        drop((in_flight, writer));
        let other = Settings {
            path: directory.path().join("other.csv"),
            ..settings.clone()
        };
        if rename {
            fs::rename(&settings.path, &other.path).expect("renamed");
        } else {
            fs::hard_link(&settings.path, &other.path).expect("linked");
        }
        let results = Results::open::<UnlinkOutcome>(&other).expect("opened");
        assert_eq!(results.past.interrupted().collect::<Vec<_>>(), [RowKey(5)]);
        assert_eq!(results.past.doubt(), None);
        assert!(!path_beside(&settings.path).exists() && path_beside(&other.path).exists());
        // Other results in the same folder have nothing to do with it.
        let third = Settings {
            path: directory.path().join("third.csv"),
            ..settings
        };
        let third = Results::open::<UnlinkOutcome>(&third).expect("opened");
        assert_eq!(
            (third.past.interrupted().count(), third.past.doubt()),
            (0, None)
        );
        assert!(path_beside(&other.path).exists());
    }
}
