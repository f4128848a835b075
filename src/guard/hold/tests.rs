//! Files that change while they are watched.

use std::fs;
use std::time::{Duration, SystemTime};

use super::*;

/// Whether the user is held now; waits until that is known.
async fn held_now(holds: &Holds, user: UserHashes) -> Result<bool, HoldError> {
    loop {
        if let Some(told) = holds.check(&user) {
            return told.map(|hold| hold.is_some());
        }
        holds.fresh().await?;
    }
}

/// Long after every change, so that stamps tell.
fn later() -> SystemTime {
    SystemTime::now() + Duration::from_hours(1)
}

struct Fixture {
    directory: tempfile::TempDir,
    watched: Watched,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("holds.txt");
        fs::write(&path, text).expect("written");
        let watched = Watched::read(&path, later()).expect("a hold list");
        Self { directory, watched }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("holds.txt")
    }

    fn write(&self, text: &str) {
        fs::write(self.path(), text).expect("written");
    }

    fn look(&mut self) -> Result<watched::News, HoldError> {
        self.watched.look(later())
    }

    fn held(&self) -> String {
        let list = self.watched.held();
        let held = |user: &&str| list.holds(&UserHashes::of(user)).is_some();
        ["a", "b", "c"]
            .iter()
            .filter(|user| held(user))
            .copied()
            .collect()
    }
}

#[test]
fn nothing_is_read_again_for_nothing() {
    let mut fixture = Fixture::new("a\n");
    for _ in 0..3 {
        assert_eq!(fixture.look(), Ok(watched::News::default()));
    }
}

#[test]
fn additions_count_at_once_and_losses_never() {
    let mut fixture = Fixture::new("a\nb\n");
    fixture.write("b\nc\n");
    let news = fixture.look().expect("readable");
    assert!(news.grown);
    let told = news.told.expect("news");
    let words = "was read again: 2 holds; 1 taken out of it stays held until the next run.";
    assert!(told.ends_with(words), "{told}");
    assert_eq!(fixture.held(), "abc");
    assert_eq!(fixture.look(), Ok(watched::News::default()));
    fixture.write("b\nc\na\n");
    let news = fixture.look().expect("readable");
    assert!(!news.grown);
    let told = news.told.expect("news");
    assert!(told.ends_with("was read again: 3 holds."), "{told}");
    fixture.write("a\nb\nc\n");
    assert_eq!(fixture.look(), Ok(watched::News::default()), "the same");
}

#[test]
fn a_file_that_is_emptied_releases_nobody_however_long_it_is_still() {
    let mut fixture = Fixture::new("a\nb\n");
    fixture.write("");
    let told = fixture.look().expect("readable").told.expect("news");
    let words = "0 holds; 2 taken out of it stay held until the next run.";
    assert!(told.ends_with(words), "{told}");
    for _ in 0..100 {
        assert_eq!(fixture.look(), Ok(watched::News::default()));
    }
    assert_eq!(fixture.held(), "ab");
}

#[test]
fn whoever_was_added_stays_held_through_further_writing() {
    let mut fixture = Fixture::new("a\n");
    for text in ["a\nc\n", "", "b\n", "a\n"] {
        fixture.write(text);
        fixture.look().expect("readable");
    }
    assert_eq!(fixture.held(), "abc");
}

#[test]
fn what_is_half_written_counts_as_far_as_it_goes() {
    let mut fixture = Fixture::new("a\n");
    fixture.write("b\nsha256:12");
    assert_eq!(fixture.look().map(|news| news.grown), Ok(true));
    assert_eq!(fixture.held(), "ab");
    // Another line is unfinished now.
    fixture.write("b\nc\nsha256:12");
    fixture.look().expect("it is still being written");
    assert_eq!(fixture.held(), "abc");
    fixture.write("b\nc\n");
    fixture.look().expect("readable");
    fixture.look().expect("whole");
}

#[test]
fn a_wrong_line_in_a_file_that_goes_on_changing_is_told() {
    let mut fixture = Fixture::new("a\n");
    fixture.write("sha256:12\n");
    fixture.look().expect("it may be half written");
    fixture.write("sha256:12\nb\n");
    let error = fixture.look().expect_err("it is not");
    assert!(error.to_string().contains("holds.txt:1 "), "{error}");
}

#[test]
fn a_file_that_takes_its_place_is_seen() {
    let mut fixture = Fixture::new("a\n");
    let new = fixture.directory.path().join("new.txt");
    fs::write(&new, "c\n").expect("written");
    fs::rename(&new, fixture.path()).expect("renamed");
    fixture.look().expect("readable");
    assert_eq!(fixture.held(), "ac");
}

#[test]
fn a_file_that_is_gone_for_a_moment_is_waited_for() {
    let mut fixture = Fixture::new("a\n");
    fs::remove_file(fixture.path()).expect("removed");
    fixture.look().expect("it may come back");
    assert_eq!(fixture.held(), "a");
    fixture.write("a\nb\n");
    fixture.look().expect("it is back");
    assert_eq!(fixture.held(), "ab");
    fs::remove_file(fixture.path()).expect("removed");
    fixture.look().expect("it may come back");
    let error = fixture.look().expect_err("it does not");
    assert!(error.to_string().contains("holds.txt"), "{error}");
}

#[test]
fn a_line_that_stays_wrong_is_told_with_its_number() {
    let mut fixture = Fixture::new("a\n");
    fixture.write("b\nsha256:12\n");
    fixture.look().expect("it may be half written");
    let error = fixture.look().expect_err("it is not");
    assert!(error.to_string().contains("holds.txt:2 "), "{error}");
}

#[test]
fn a_change_within_a_step_of_the_clock_is_not_missed() {
    let fixture = Fixture::new("a\n");
    let now = SystemTime::now();
    // As though the file had changed at this very moment, and read before it changed once more.
    let mut watched = Watched::read(&fixture.path(), now).expect("a hold list");
    let modified = fs::metadata(fixture.path())
        .and_then(|metadata| metadata.modified())
        .expect("a time");
    fs::write(fixture.path(), "b\n").expect("written");
    let file = fs::File::options().write(true).open(fixture.path());
    file.and_then(|file| file.set_modified(modified))
        .expect("put back");
    assert!(watched.look(now).expect("readable").grown);
}

#[test]
fn what_is_no_file_is_no_hold_list() {
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
fn a_list_without_holds_is_warned_of() {
    for (text, warned) in [("", true), ("\r\n\n", true), ("a\n", false)] {
        let fixture = Fixture::new(text);
        let (holds, _files) = Holds::read(&[fixture.path()]).expect("a hold list");
        let news = holds.news();
        let is_told = |line: &String| line.contains("holds.txt is empty and holds nobody");
        assert_eq!(news.iter().any(is_told), warned, "{text:?}: {news:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn no_call_starts_on_lists_that_nobody_looks_at() {
    let fixture = Fixture::new("a\n");
    let (holds, _files) = Holds::read(&[fixture.path()]).expect("a hold list");
    let [a, b] = ["a", "b"].map(UserHashes::of);
    assert_eq!(held_now(&holds, a).await, Ok(true));
    assert_eq!(held_now(&holds, b).await, Ok(false));
    tokio::time::advance(FRESH + Duration::from_millis(1)).await;
    let waits = timeout(Duration::from_hours(1), held_now(&holds, b)).await;
    assert!(waits.is_err(), "{waits:?}");
    assert_eq!(holds.hold(&a), Some(Hold::Exact), "what is held is held");
}

#[tokio::test]
async fn whoever_waits_for_a_look_gets_one() {
    let fixture = Fixture::new("a\n");
    let (holds, files) = Holds::read(&[fixture.path()]).expect("a hold list");
    let holds = Arc::new(holds);
    fixture.write("a\nb\n");
    let _watching = holds.watch(files).expect("a thread");
    let mut looks = holds.now.subscribe();
    let seen = looks
        .wait_for(|now| now.holds(&UserHashes::of("b")).is_some())
        .await;
    assert!(seen.map(drop).is_ok());
    fs::remove_file(fixture.path()).expect("removed");
    let trouble = looks.wait_for(|now| now.trouble.is_some()).await;
    assert!(trouble.map(drop).is_ok());
    assert!(held_now(&holds, UserHashes::of("a")).await.is_err());
    assert!(!holds.news().is_empty());
}

fn nobody() -> Holds {
    let (holds, _) = Holds::read(&[]).expect("no lists");
    holds
}

#[tokio::test(start_paused = true)]
async fn a_file_system_that_does_not_answer_ends_the_looking() {
    let holds = nobody();
    let (asks, _asked) = mpsc::channel(1);
    holds.keep_looking(asks).await;
    assert_eq!(holds.trouble(), Some(HoldError::no_answer()));
    let user = UserHashes::of("a");
    assert_eq!(held_now(&holds, user).await, Err(HoldError::no_answer()));
}

#[tokio::test(start_paused = true)]
async fn a_look_tells_of_the_moment_at_which_it_began() {
    let holds = Arc::new(nobody());
    let (asks, mut asked) = mpsc::channel::<oneshot::Sender<Lookup>>(1);
    let looking = Arc::clone(&holds);
    let _looking = Watching(tokio::spawn(
        async move { looking.keep_looking(asks).await },
    ));
    let tell = asked.recv().await.expect("a look");
    tokio::time::advance(FRESH * 2).await;
    tell.send(Lookup::default()).expect("somebody waits");
    let answered = asked.recv().await.expect("the next look");
    // It has told of two seconds ago: too long ago for a call that starts now.
    let user = UserHashes::of("a");
    assert_eq!(holds.now.borrow().told(&user), None);
    answered.send(Lookup::default()).expect("somebody waits");
    assert_eq!(held_now(&holds, user).await, Ok(false));
}

#[tokio::test(start_paused = true)]
async fn lists_that_take_long_to_read_are_fresh_for_as_much_longer() {
    let holds = Arc::new(nobody());
    let (asks, mut asked) = mpsc::channel::<oneshot::Sender<Lookup>>(1);
    let looking = Arc::clone(&holds);
    let _looking = Watching(tokio::spawn(
        async move { looking.keep_looking(asks).await },
    ));
    let user = UserHashes::of("a");
    let reading = Duration::from_secs(5);
    let mut tell = asked.recv().await.expect("a look");
    for _ in 0..3 {
        tokio::time::sleep(reading).await;
        tell.send(Lookup::default()).expect("somebody waits");
        // As long as the reading took and a second more, since it began.
        holds.fresh().await.expect("no trouble");
        assert_eq!(holds.check(&user), Some(Ok(None)));
        tell = asked.recv().await.expect("the next look");
        assert_eq!(holds.check(&user), Some(Ok(None)));
        tokio::time::advance(FRESH + BEAT).await;
        assert_eq!(holds.check(&user), None);
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_wait_long_for_the_lists_are_told_of_once() {
    let holds = Arc::new(nobody());
    tokio::time::advance(FRESH * 2).await;
    for _ in 0..2 {
        let waits = timeout(UNTOLD / 2, holds.fresh()).await;
        assert!(waits.is_err(), "{waits:?}");
        assert!(holds.news().is_empty());
    }
    let all = async {
        tokio::join!(
            holds.fresh(),
            holds.fresh(),
            held_now(&holds, UserHashes::of("a"))
        )
    };
    let waits = timeout(UNTOLD * 2, all).await;
    assert!(waits.is_err(), "{waits:?}");
    let news = holds.news();
    assert_eq!(news.len(), 1, "{news:?}");
    assert!(
        news[0].contains("Calls wait for the hold lists"),
        "{news:?}"
    );
}

#[test]
fn a_list_that_grows_is_read_from_where_it_ended() {
    let mut fixture = Fixture::new("x\ny\n");
    for (text, told, held) in [
        ("x\ny\na\n", "3 holds.", "a"),
        // The last line is not ended yet.
        ("x\ny\na\nb", "4 holds.", "ab"),
        ("x\ny\na\nb\nc\n", "5 holds.", "abc"),
        // Other lines stand before it, and one is taken out.
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
        let news = fixture.look().expect("readable");
        let said = news.told.expect("news");
        assert!(said.ends_with(told), "{text:?}: {said}");
        assert_eq!(fixture.held(), held, "{text:?}");
    }
}

#[test]
fn a_line_that_goes_on_is_another_user_and_the_first_stays_held() {
    let mut fixture = Fixture::new("a\nb");
    fixture.write("a\nbc\nc\n");
    let said = fixture.look().expect("readable").told.expect("news");
    assert!(
        said.ends_with("3 holds; 1 taken out of it stays held until the next run."),
        "{said}"
    );
    assert_eq!(fixture.held(), "abc");
    assert!(
        fixture
            .watched
            .held()
            .holds(&UserHashes::of("bc"))
            .is_some()
    );
}

#[test]
fn a_long_list_that_is_rewritten_holds_everyone_of_both() {
    let list = |from: usize, to: usize| {
        (from..to).fold(String::new(), |list, n| list + &format!("user-{n}\n"))
    };
    let mut fixture = Fixture::new(&list(0, 3000));
    for to in [10_000, 10_001, 12_000] {
        fixture.write(&list(1000, to));
        let said = fixture.look().expect("readable").told.expect("news");
        let words = format!(
            "{} holds; 1000 taken out of it stay held until the next run.",
            to - 1000
        );
        assert!(said.ends_with(&words), "{said}");
    }
    let held = fixture.watched.held();
    assert_eq!(held.len(), 12_000);
    assert!((0..12_000).all(|n| held.holds(&UserHashes::of(&format!("user-{n}"))).is_some()));
    assert!(held.holds(&UserHashes::of("user-12000")).is_none());
}
