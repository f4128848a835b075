//! Hold lists whose files change while they are polled.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::time::timeout;

use super::files::PollReport;
use super::holds::{MAX_AGE, UNREPORTED_WAIT};
use super::watch::{PollRequest, TICK};
use super::watched_file::{FileChange, WatchedFile};
use super::{Hold, HoldError, HoldWatch, Holds, UserHashes};

/// Returns whether the user is held now, once that is known.
async fn held_now(holds: &Holds, user: UserHashes) -> Result<bool, HoldError> {
    loop {
        if let Some(checked) = holds.check(&user) {
            return checked.map(|hold| hold.is_some());
        }
        holds.wait_until_fresh().await?;
    }
}

/// Returns a time long after every change, so that stamps show the next one.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_hours(1)
}

struct Fixture {
    directory: tempfile::TempDir,
    watched: WatchedFile,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("holds.txt");
        fs::write(&path, text).expect("written");
        let watched = WatchedFile::read(&path, later()).expect("a hold list");
        Self { directory, watched }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("holds.txt")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).expect("written");
    }

    fn poll(&mut self) -> Result<FileChange, HoldError> {
        self.watched.poll(later())
    }

    fn held(&self) -> String {
        let list = self.watched.held();
        let held = |user: &&str| list.hold(&UserHashes::of(user)).is_some();
        ["a", "b", "c"]
            .iter()
            .filter(|user| held(user))
            .copied()
            .collect()
    }
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let mut fixture = Fixture::new("a\n");
    for _ in 0..3 {
        assert_eq!(fixture.poll(), Ok(FileChange::default()));
    }
}

#[test]
fn added_lines_count_at_once_and_removed_ones_stay_held() {
    let mut fixture = Fixture::new("a\nb\n");
    fixture.write("b\nc\n");
    let change = fixture.poll().expect("readable");
    assert!(change.grown);
    let notice = change.notice.expect("a notice");
    let words = "was read again: 2 holds; 1 taken out of it stays held until the next run.";
    assert!(notice.ends_with(words), "{notice}");
    assert_eq!(fixture.held(), "abc");
    assert_eq!(fixture.poll(), Ok(FileChange::default()));
    fixture.write("b\nc\na\n");
    let change = fixture.poll().expect("readable");
    assert!(!change.grown);
    let notice = change.notice.expect("a notice");
    assert!(notice.ends_with("was read again: 3 holds."), "{notice}");
    fixture.write("a\nb\nc\n");
    assert_eq!(fixture.poll(), Ok(FileChange::default()), "the same");
}

#[test]
fn an_emptied_file_releases_no_user_however_long_it_stays_empty() {
    let mut fixture = Fixture::new("a\nb\n");
    fixture.write("");
    let notice = fixture.poll().expect("readable").notice.expect("a notice");
    let words = "0 holds; 2 taken out of it stay held until the next run.";
    assert!(notice.ends_with(words), "{notice}");
    for _ in 0..100 {
        assert_eq!(fixture.poll(), Ok(FileChange::default()));
    }
    assert_eq!(fixture.held(), "ab");
}

#[test]
fn added_users_stay_held_through_later_changes() {
    let mut fixture = Fixture::new("a\n");
    for text in ["a\nc\n", "", "b\n", "a\n"] {
        fixture.write(text);
        fixture.poll().expect("readable");
    }
    assert_eq!(fixture.held(), "abc");
}

#[test]
fn lines_of_a_half_written_file_count() {
    let mut fixture = Fixture::new("a\n");
    fixture.write("b\nsha256:12");
    assert_eq!(fixture.poll().map(|change| change.grown), Ok(true));
    assert_eq!(fixture.held(), "ab");
    // The invalid line has another number now.
    fixture.write("b\nc\nsha256:12");
    fixture.poll().expect("it is still being written");
    assert_eq!(fixture.held(), "abc");
    fixture.write("b\nc\n");
    fixture.poll().expect("readable");
    fixture.poll().expect("whole");
}

#[test]
fn an_invalid_line_in_a_changing_file_is_an_error_at_the_second_poll() {
    let mut fixture = Fixture::new("a\n");
    fixture.write("sha256:12\n");
    fixture.poll().expect("it may be half written");
    fixture.write("sha256:12\nb\n");
    let error = fixture.poll().expect_err("it is not");
    assert!(error.to_string().contains("holds.txt:1 "), "{error}");
}

#[test]
fn a_replaced_file_is_read() {
    let mut fixture = Fixture::new("a\n");
    let new = fixture.directory.path().join("new.txt");
    fs::write(&new, "c\n").expect("written");
    fs::rename(&new, fixture.path()).expect("renamed");
    fixture.poll().expect("readable");
    assert_eq!(fixture.held(), "ac");
}

#[test]
fn a_missing_file_is_an_error_at_the_second_poll() {
    let mut fixture = Fixture::new("a\n");
    fs::remove_file(fixture.path()).expect("removed");
    fixture.poll().expect("it may come back");
    assert_eq!(fixture.held(), "a");
    fixture.write("a\nb\n");
    fixture.poll().expect("it is back");
    assert_eq!(fixture.held(), "ab");
    fs::remove_file(fixture.path()).expect("removed");
    fixture.poll().expect("it may come back");
    let error = fixture.poll().expect_err("it does not");
    assert!(error.to_string().contains("holds.txt"), "{error}");
}

#[test]
fn an_invalid_line_is_reported_with_its_number() {
    let mut fixture = Fixture::new("a\n");
    fixture.write("b\nsha256:12\n");
    fixture.poll().expect("it may be half written");
    let error = fixture.poll().expect_err("it is not");
    assert!(error.to_string().contains("holds.txt:2 "), "{error}");
}

#[test]
fn a_change_within_one_step_of_the_clock_is_seen() {
    let fixture = Fixture::new("a\n");
    let now = SystemTime::now();
    // Reads the file at the time of its last change, before it changes once more.
    let mut watched = WatchedFile::read(&fixture.path(), now).expect("a hold list");
    let modified = fs::metadata(fixture.path())
        .and_then(|metadata| metadata.modified())
        .expect("a time");
    fs::write(fixture.path(), "b\n").expect("written");
    let file = fs::File::options().write(true).open(fixture.path());
    file.and_then(|file| file.set_modified(modified))
        .expect("put back");
    assert!(watched.poll(now).expect("readable").grown);
}

#[test]
fn only_a_regular_file_is_a_hold_list() {
    let directory = tempfile::tempdir().expect("a directory");
    for path in [
        directory.path(),
        Path::new("/dev/null"),
        Path::new("absent"),
    ] {
        assert!(Holds::read(&[path.to_owned()]).is_err(), "{path:?}");
    }
}

#[test]
fn an_empty_list_gives_a_warning() {
    for (text, warned) in [("", true), ("\r\n\n", true), ("a\n", false)] {
        let fixture = Fixture::new(text);
        let (holds, _files) = Holds::read(&[fixture.path()]).expect("a hold list");
        let notices = holds.take_notices();
        let is_warning = |line: &String| line.contains("holds.txt is empty and holds no user");
        assert_eq!(
            notices.iter().any(is_warning),
            warned,
            "{text:?}: {notices:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_starts_on_lists_that_are_not_polled() {
    let fixture = Fixture::new("a\n");
    let (holds, _files) = Holds::read(&[fixture.path()]).expect("a hold list");
    let [a, b] = ["a", "b"].map(UserHashes::of);
    assert_eq!(held_now(&holds, a).await, Ok(true));
    assert_eq!(held_now(&holds, b).await, Ok(false));
    tokio::time::advance(MAX_AGE + Duration::from_millis(1)).await;
    let waits = timeout(Duration::from_hours(1), held_now(&holds, b)).await;
    assert!(waits.is_err(), "{waits:?}");
    assert_eq!(holds.hold(&a), Some(Hold::Exact), "what is held is held");
}

#[tokio::test]
async fn a_change_reaches_the_held_users_and_a_missing_file_ends_the_polling() {
    let fixture = Fixture::new("a\n");
    let (holds, files) = Holds::read(&[fixture.path()]).expect("a hold list");
    let holds = Arc::new(holds);
    fixture.write("a\nb\n");
    let _watch = holds.watch(files).expect("a thread");
    let mut states = holds.state.subscribe();
    let seen = states
        .wait_for(|state| state.hold(&UserHashes::of("b")).is_some())
        .await;
    assert!(seen.map(drop).is_ok());
    fs::remove_file(fixture.path()).expect("removed");
    let error = states.wait_for(|state| state.error.is_some()).await;
    assert!(error.map(drop).is_ok());
    assert!(held_now(&holds, UserHashes::of("a")).await.is_err());
    assert!(!holds.take_notices().is_empty());
}

fn no_lists() -> Holds {
    let (holds, _) = Holds::read(&[]).expect("no lists");
    holds
}

#[tokio::test(start_paused = true)]
async fn a_file_system_that_does_not_answer_ends_the_polling() {
    let holds = no_lists();
    let (requests, _requested) = mpsc::channel(1);
    holds.keep_polling(requests).await;
    assert_eq!(holds.error(), Some(HoldError::no_answer()));
    let user = UserHashes::of("a");
    assert_eq!(held_now(&holds, user).await, Err(HoldError::no_answer()));
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_as_old_as_its_start() {
    let holds = Arc::new(no_lists());
    let (requests, mut requested) = mpsc::channel::<PollRequest>(1);
    let polling = Arc::clone(&holds);
    let _watch = HoldWatch(tokio::spawn(
        async move { polling.keep_polling(requests).await },
    ));
    let request = requested.recv().await.expect("a poll");
    tokio::time::advance(MAX_AGE * 2).await;
    request.send(PollReport::default()).expect("awaited");
    let next = requested.recv().await.expect("the next poll");
    // That poll began two seconds ago: too long ago for a call that starts now.
    let user = UserHashes::of("a");
    assert_eq!(holds.state.borrow().check(&user), None);
    next.send(PollReport::default()).expect("awaited");
    assert_eq!(held_now(&holds, user).await, Ok(false));
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_stays_fresh_for_as_much_longer() {
    let holds = Arc::new(no_lists());
    let (requests, mut requested) = mpsc::channel::<PollRequest>(1);
    let polling = Arc::clone(&holds);
    let _watch = HoldWatch(tokio::spawn(
        async move { polling.keep_polling(requests).await },
    ));
    let user = UserHashes::of("a");
    let reading = Duration::from_secs(5);
    let mut request = requested.recv().await.expect("a poll");
    for _ in 0..3 {
        tokio::time::sleep(reading).await;
        request.send(PollReport::default()).expect("awaited");
        // The poll stays fresh for its duration and a second more, from its start.
        holds.wait_until_fresh().await.expect("no error");
        assert_eq!(holds.check(&user), Some(Ok(None)));
        request = requested.recv().await.expect("the next poll");
        assert_eq!(holds.check(&user), Some(Ok(None)));
        tokio::time::advance(MAX_AGE + TICK).await;
        assert_eq!(holds.check(&user), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_long_wait_for_the_lists_is_reported_once() {
    let holds = Arc::new(no_lists());
    tokio::time::advance(MAX_AGE * 2).await;
    for _ in 0..2 {
        let waits = timeout(UNREPORTED_WAIT / 2, holds.wait_until_fresh()).await;
        assert!(waits.is_err(), "{waits:?}");
        assert!(holds.take_notices().is_empty());
    }
    let all = async {
        tokio::join!(
            holds.wait_until_fresh(),
            holds.wait_until_fresh(),
            held_now(&holds, UserHashes::of("a"))
        )
    };
    let waits = timeout(UNREPORTED_WAIT * 2, all).await;
    assert!(waits.is_err(), "{waits:?}");
    let notices = holds.take_notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].contains("Calls wait for the hold lists"),
        "{notices:?}"
    );
}

#[test]
fn a_list_that_has_grown_is_read_from_its_last_end() {
    let mut fixture = Fixture::new("x\ny\n");
    for (text, counts, held) in [
        ("x\ny\na\n", "3 holds.", "a"),
        // The last line has no line end yet.
        ("x\ny\na\nb", "4 holds.", "ab"),
        ("x\ny\na\nb\nc\n", "5 holds.", "abc"),
        // The first line is replaced.
        (
            "z\ny\na\nb\nc\n",
            "5 holds; 1 taken out of it stays held until the next run.",
            "abc",
        ),
        (
            "z\ny\na\nb\nc\nd\n",
            "6 holds; 1 taken out of it stays held until the next run.",
            "abc",
        ),
        ("z\nx\ny\na\nb\nc\nd\n", "7 holds.", "abc"),
    ] {
        fixture.write(text);
        let change = fixture.poll().expect("readable");
        let notice = change.notice.expect("a notice");
        assert!(notice.ends_with(counts), "{text:?}: {notice}");
        assert_eq!(fixture.held(), held, "{text:?}");
    }
}

#[test]
fn an_unended_line_that_continues_names_another_user_and_the_first_stays_held() {
    let mut fixture = Fixture::new("a\nb");
    fixture.write("a\nbc\nc\n");
    let notice = fixture.poll().expect("readable").notice.expect("a notice");
    assert!(
        notice.ends_with("3 holds; 1 taken out of it stays held until the next run."),
        "{notice}"
    );
    assert_eq!(fixture.held(), "abc");
    assert!(fixture.watched.held().hold(&UserHashes::of("bc")).is_some());
}

#[test]
fn a_long_list_that_is_rewritten_holds_the_users_of_both() {
    let list = |from: usize, to: usize| {
        (from..to).fold(String::new(), |list, n| list + &format!("user-{n}\n"))
    };
    let mut fixture = Fixture::new(&list(0, 3000));
    for to in [10_000, 10_001, 12_000] {
        fixture.write(&list(1000, to));
        let notice = fixture.poll().expect("readable").notice.expect("a notice");
        let words = format!(
            "{} holds; 1000 taken out of it stay held until the next run.",
            to - 1000
        );
        assert!(notice.ends_with(&words), "{notice}");
    }
    let held = fixture.watched.held();
    assert_eq!(held.len(), 12_000);
    assert!((0..12_000).all(|n| held.hold(&UserHashes::of(&format!("user-{n}"))).is_some()));
    assert!(held.hold(&UserHashes::of("user-12000")).is_none());
}
