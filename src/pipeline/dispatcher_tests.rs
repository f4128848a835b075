//! Events in, actions out: no runtime, no clock.

use std::num::NonZeroU64;

use super::*;
use crate::jobs::unlink::UnlinkOutcome;
use crate::operation::Operation;
use crate::pipeline::bounds::{FailureLimit, LimitName, OutcomeLimit};
use crate::results::Entry;
use crate::row::{Link, Position, Row, RowError, RowErrorCode};
use crate::verdict::{Cause, ReplyDetails};

type Line = Entry<UnlinkOutcome>;
type Dispatcher = super::Dispatcher<Line>;

const POOL: &str = "us-east-1:p";
const OTHER_POOL: &str = "eu-west-1:p";

fn bounds() -> Bounds<UnlinkOutcome> {
    Bounds {
        open_rows: 10,
        queued: 10,
        limit: None,
        take_for: None,
        failure_limits: vec![OutcomeLimit {
            outcome: UnlinkOutcome::Failed,
            max: FailureLimit::Rows(1),
            name: LimitName::Failures,
        }],
    }
}

fn dispatcher(bounds: Bounds<UnlinkOutcome>) -> Dispatcher {
    Dispatcher::new(bounds, HashMap::new(), false, HashSet::new())
}

fn position() -> Position {
    Position {
        source: "people.csv".into(),
        row: 1,
        line: 2,
    }
}

fn row_of(pool: &str, identity: u64) -> Box<OpenRow> {
    Box::new(OpenRow {
        row: Row {
            position: position(),
            link: Link {
                identity_pool_id: pool.to_owned(),
                developer_provider_name: "login.example".to_owned(),
                ..Link::default()
            },
            carried: Vec::new(),
            text: None,
        },
        key: RowKey(identity.into()),
        identity,
        in_doubt: false,
        is_held: false,
        memory: None,
    })
}

fn read(identity: u64) -> Event<Line> {
    Event::Read(ReadEvent::Row(row_of(POOL, identity)))
}

fn forbidden(region: &str) -> Event<Line> {
    Event::Read(ReadEvent::Forbidden {
        region: region.to_owned(),
        is_held: false,
        why: "pool".to_owned(),
    })
}

fn lease(identity: u64) -> RowLease {
    RowLease {
        slot: 0,
        worker: 0,
        identity,
    }
}

fn line(outcome: UnlinkOutcome, key: u128) -> Box<Line> {
    Box::new(Entry {
        position: position(),
        link: Link::default(),
        carried: Vec::new(),
        key: Some(RowKey(key)),
        outcome,
        details: ReplyDetails::default(),
        request_ids: String::new(),
        logins_left: None,
        attempts: 1,
        started_at: None,
        finished_at: std::time::SystemTime::UNIX_EPOCH,
        latency: None,
        memory: None,
    })
}

fn ended(identity: u64, outcome: UnlinkOutcome) -> Event<Line> {
    Event::Ended {
        lease: lease(identity),
        line: Some(line(outcome, identity.into())),
        is_doubtful: false,
    }
}

fn left(identity: u64) -> Event<Line> {
    Event::Ended {
        lease: lease(identity),
        line: None,
        is_doubtful: false,
    }
}

fn recorded(identity: u64, outcome: UnlinkOutcome) -> Event<Line> {
    Event::Recorded(vec![(
        line(outcome, identity.into()),
        Some(lease(identity)),
    )])
}

/// Returns the actions in a word each.
fn words(actions: &[Action<Line>]) -> Vec<String> {
    let word = |action: &Action<Line>| match action {
        Action::Start { row, is_first } if *is_first => format!("start {}", row.identity),
        Action::Start { row, .. } => format!("start {} again", row.identity),
        Action::CheckPool(id) => format!("check {id}"),
        Action::RecordInvalid(..) => "record invalid".to_owned(),
        Action::Record(line, _) => format!("record {}", line.outcome),
        Action::Release(lease) => format!("release {}", lease.identity),
        Action::Unmark(lease) => format!("unmark {}", lease.identity),
        Action::Stop(stop) => format!("stop {stop:?}"),
        Action::GiveUp(region) => format!("give up {region}"),
    };
    actions.iter().map(word).collect()
}

fn does(dispatcher: &mut Dispatcher, event: Event<Line>, actions: &[&str]) {
    let name = format!("{event:?}");
    assert_eq!(words(&dispatcher.handle_event(event)), actions, "{name}");
}

#[test]
fn a_row_is_counted_when_its_line_is_written() {
    let mut run = dispatcher(bounds());
    does(&mut run, read(1), &["start 1"]);
    assert_eq!((run.tally().read, run.tally().settled()), (1, 0));
    does(
        &mut run,
        ended(1, UnlinkOutcome::Unlinked),
        &["record unlinked"],
    );
    assert_eq!(run.tally().settled(), 0);
    does(
        &mut run,
        recorded(1, UnlinkOutcome::Unlinked),
        &["release 1"],
    );
    assert_eq!(run.tally().of(UnlinkOutcome::Unlinked), 1);
    does(&mut run, Event::ReadToEnd, &[]);
    assert!(run.is_over());
    run.finish(true);
    let summary = run.into_summary(true, None);
    assert!(summary.all_recorded && summary.nothing_remains && summary.tally.adds_up());
    assert!(matches!(summary.reason, Reason::AllRead));
}

#[test]
fn rows_of_one_identity_take_turns() {
    let mut run = dispatcher(bounds());
    does(&mut run, read(1), &["start 1"]);
    does(&mut run, read(1), &[]);
    does(&mut run, read(2), &["start 2"]);
    does(
        &mut run,
        ended(1, UnlinkOutcome::Unlinked),
        &["record unlinked"],
    );
    does(
        &mut run,
        recorded(1, UnlinkOutcome::Unlinked),
        &["release 1", "start 1 again"],
    );
    does(
        &mut run,
        recorded(1, UnlinkOutcome::Unlinked),
        &["release 1"],
    );
    does(&mut run, read(1), &["start 1"]);
}

#[test]
fn a_pool_is_checked_once_and_its_rows_wait() {
    let mut run = Dispatcher::new(bounds(), HashMap::new(), true, HashSet::new());
    does(&mut run, read(1), &["check us-east-1:p"]);
    does(&mut run, read(2), &[]);
    assert!(run.first_waiting(POOL).is_some() && !run.has_ready_row());
    does(&mut run, Event::PoolChecked(POOL.to_owned(), None), &[]);
    assert!(run.has_ready_row());
    does(&mut run, Event::ReadyRow, &["start 1"]);
    does(&mut run, Event::ReadyRow, &["start 2"]);
    does(&mut run, read(3), &["start 3"]);
}

#[test]
fn another_provider_name_halts_before_a_call() {
    let pool = IdentityPool {
        name: "prod".to_owned(),
        developer_provider_name: Some("login.other".to_owned()),
    };
    let mut run = Dispatcher::new(bounds(), HashMap::new(), true, HashSet::new());
    does(&mut run, read(1), &["check us-east-1:p"]);
    let checked = Event::PoolChecked(POOL.to_owned(), Some(pool.clone()));
    does(&mut run, checked, &["stop Drain"]);
    assert!(run.is_over() && run.tally().left == 1);

    let known = HashMap::from([(POOL.to_owned(), pool)]);
    let mut run = Dispatcher::new(bounds(), known, true, HashSet::new());
    does(&mut run, read(1), &["stop Drain"]);
    let reason = run.reason().expect("it has stopped");
    assert!(matches!(reason, Reason::Refused(why) if why.contains("login.other")));
}

#[test]
fn a_forbidden_row_halts_and_is_left() {
    let mut run = dispatcher(bounds());
    let forbidden = forbidden("us-east-1");
    does(&mut run, forbidden, &["stop Drain"]);
    assert!(run.is_over() && run.tally().adds_up());
}

#[test]
fn a_signal_leaves_the_rows_that_no_worker_has() {
    let mut run = dispatcher(bounds());
    does(&mut run, read(1), &["start 1"]);
    does(&mut run, read(1), &[]);
    let signal = || Event::Signal(Signal::Interrupt);
    does(&mut run, signal(), &["stop Drain", "stop Drain"]);
    assert_eq!(run.tally().left, 1);
    does(&mut run, signal(), &["stop Abort", "stop Abort"]);
    does(&mut run, left(1), &["unmark 1", "release 1"]);
    assert!(run.is_over() && run.tally().left == 2);
    run.finish(false);
    let summary = run.into_summary(false, None);
    assert!(matches!(summary.reason, Reason::Signal(Signal::Interrupt)));
}

#[test]
fn a_drain_that_takes_too_long_ends_as_by_a_second_signal() {
    let mut run = dispatcher(bounds());
    does(&mut run, read(1), &["start 1"]);
    let signal = Event::Signal(Signal::Terminate);
    does(&mut run, signal, &["stop Drain", "stop Drain"]);
    does(&mut run, Event::DrainTimeIsUp, &["stop Abort"]);
    does(&mut run, left(1), &["unmark 1", "release 1"]);
    assert!(run.is_over());
    run.finish(false);
    let summary = run.into_summary(false, None);
    assert!(matches!(summary.reason, Reason::Signal(Signal::Terminate)));
}

#[test]
fn a_signal_after_the_last_row_is_forgotten() {
    let mut run = dispatcher(bounds());
    does(&mut run, read(1), &["start 1"]);
    let _ = run.handle_event(Event::Signal(Signal::Terminate));
    does(
        &mut run,
        ended(1, UnlinkOutcome::Unlinked),
        &["record unlinked"],
    );
    does(
        &mut run,
        recorded(1, UnlinkOutcome::Unlinked),
        &["release 1"],
    );
    run.finish(true);
    let summary = run.into_summary(true, None);
    assert!(matches!(summary.reason, Reason::AllRead));
}

#[test]
fn when_time_is_up_rows_that_were_begun_go_on() {
    let mut run = dispatcher(bounds());
    does(&mut run, read(1), &["start 1"]);
    does(&mut run, Event::TimeIsUp, &["stop Finish"]);
    assert!(!run.is_taking() && !run.is_over());
    does(
        &mut run,
        ended(1, UnlinkOutcome::Unlinked),
        &["record unlinked"],
    );
}

#[test]
fn the_limit_counts_rows_to_be_called_alone() {
    let limited = Bounds {
        limit: Some(NonZeroU64::MIN.get()),
        ..bounds()
    };
    let mut run = dispatcher(limited);
    let mut held = row_of(POOL, 9);
    held.is_held = true;
    let done = SkippedRows {
        done: 3,
        failed: 1,
        undone: 0,
    };
    does(&mut run, Event::Read(ReadEvent::Skipped(done)), &[]);
    does(&mut run, Event::Read(ReadEvent::Row(held)), &["start 9"]);
    does(&mut run, read(1), &["start 1"]);
    does(&mut run, read(2), &[]);
    assert!(matches!(run.reason(), Some(Reason::Limit)));
    assert_eq!(run.tally().left, 1);
    assert_eq!((run.tally().skipped, run.tally().failed_earlier), (3, 1));
}

#[test]
fn too_many_failures_halt() {
    let mut run = dispatcher(bounds());
    for (identity, stops) in [(1, &[][..]), (2, &["stop Drain"][..])] {
        let start = format!("start {identity}");
        does(&mut run, read(identity), &[&start]);
        does(
            &mut run,
            ended(identity, UnlinkOutcome::Failed),
            &["record failed"],
        );
        let release = format!("release {identity}");
        let actions = [&[&*release][..], stops].concat();
        does(
            &mut run,
            recorded(identity, UnlinkOutcome::Failed),
            &actions,
        );
    }
    let reason = run.reason().expect("it has stopped");
    assert!(matches!(reason, Reason::TooMany(UnlinkOutcome::Failed)));
}

#[test]
fn a_silent_region_is_given_up_and_the_others_go_on() {
    let mut run = Dispatcher::new(bounds(), HashMap::new(), true, HashSet::new());
    let elsewhere = |identity| Event::Read(ReadEvent::Row(row_of(OTHER_POOL, identity)));
    does(&mut run, elsewhere(1), &["check eu-west-1:p"]);
    let reply = HaltingReply {
        cause: Cause::Unreachable,
        operation: Operation::UnlinkDeveloperIdentity,
        position: position(),
        identity_pool_id: OTHER_POOL.to_owned(),
        details: ReplyDetails::default(),
    };
    let unreachable = Event::RegionUnreachable(Box::new(reply));
    does(&mut run, unreachable, &["give up eu-west-1"]);
    assert_eq!((run.tally().left, run.notices().len()), (1, 1));
    does(&mut run, elsewhere(2), &[]);
    does(&mut run, forbidden("eu-west-1"), &[]);
    assert_eq!(run.tally().left, 3);
    does(&mut run, read(3), &["check us-east-1:p"]);
    run.finish(false);
    assert!(matches!(
        run.reason(),
        Some(Reason::Halted(Halt::Region(_)))
    ));
}

#[test]
fn rows_without_a_record_are_left() {
    let mut run = dispatcher(bounds());
    does(&mut run, read(1), &["start 1"]);
    does(&mut run, read(2), &["start 2"]);
    does(
        &mut run,
        ended(1, UnlinkOutcome::Unlinked),
        &["record unlinked"],
    );
    let full = || Event::NotRecorded(io::ErrorKind::StorageFull.into());
    does(&mut run, full(), &["stop Drain"]);
    assert_eq!(run.tally().left, 1);
    does(&mut run, full(), &[]);
    does(&mut run, ended(2, UnlinkOutcome::Unlinked), &[]);
    assert!(run.is_over() && run.tally().left == 2);
    let error = RowError::new(RowErrorCode::FieldCount, "it is short");
    let row = InvalidRow {
        position: position(),
        link: Link::default(),
        carried: Vec::new(),
        error,
        text: None,
    };
    let invalid = Event::Read(ReadEvent::Invalid(Box::new(row), None));
    does(&mut run, invalid, &[]);
    assert!(run.tally().adds_up());
    assert!(!run.into_summary(false, None).all_recorded);
}

#[test]
fn marks_of_interrupted_rows_stay_until_they_are_recorded() {
    let interrupted = HashSet::from([RowKey(1), RowKey(2)]);
    let mut run = Dispatcher::new(bounds(), HashMap::new(), false, interrupted);
    does(&mut run, read(1), &["start 1"]);
    does(
        &mut run,
        ended(1, UnlinkOutcome::InDoubt),
        &["record in_doubt"],
    );
    does(
        &mut run,
        recorded(1, UnlinkOutcome::InDoubt),
        &["release 1"],
    );
    does(&mut run, Event::ReadToEnd, &[]);
    run.finish(true);
    assert!(!run.into_summary(true, None).all_recorded);
}

#[test]
fn attention_outranks_what_was_asked_for() {
    let mut run = dispatcher(bounds());
    does(&mut run, Event::TimeIsUp, &["stop Finish"]);
    does(
        &mut run,
        Event::Signal(Signal::HangUp),
        &["stop Drain", "stop Drain"],
    );
    let halt = Halt::Mark(io::ErrorKind::StorageFull.into());
    does(&mut run, Event::Halt(halt), &["stop Drain"]);
    does(
        &mut run,
        Event::Signal(Signal::HangUp),
        &["stop Abort", "stop Abort"],
    );
    assert!(matches!(run.reason(), Some(Reason::Halted(Halt::Mark(_)))));
}

#[test]
fn a_panic_is_reported_and_its_row_is_left() {
    let mut run = dispatcher(bounds());
    does(&mut run, read(1), &["start 1"]);
    let panicked = Event::WorkerPanicked("a bug".to_owned());
    does(&mut run, panicked, &["stop Drain"]);
    assert!(run.is_over() && run.tally().left == 1);
    assert!(!run.into_summary(false, None).all_recorded);
}
