//! A second job on the pipeline: it looks up names in a directory of its own, and needs neither the first job, nor AWS, nor a
//! results file. A third one looks before each of its calls.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cognito_unlink::testing::admission::{Admission, Limits, Rate};
use cognito_unlink::testing::call::{Client, LastCheck, released};
use cognito_unlink::testing::guard::PoolChecks;
use cognito_unlink::testing::operation::Operation;
use cognito_unlink::testing::pipeline::{
    Bounds, Channels, Context, Counters, Job, NextCall, OpenRow, ReadEvent, Reason, SettledRow,
    Summary, drive,
};
use cognito_unlink::testing::results::{Layout, Line, Recorded, Recording, ToRecord};
use cognito_unlink::testing::row::{
    InvalidRow, Keyer, Link, MemoryReservation, Position, Row, RowKey,
};
use cognito_unlink::testing::signal::Stop;
use cognito_unlink::testing::verdict::{
    End, Outcome, Policy, Reply, ReplyDetails, ReplyKind, Standing, Verdict, classify,
};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// The number of each name; the first call for each name is throttled.
#[derive(Default)]
struct Directory {
    numbers: HashMap<&'static str, u32>,
    throttled: Mutex<HashSet<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LookupOutcome {
    Found,
    Unknown,
    Failed,
}

impl Outcome for LookupOutcome {
    const ALL: &'static [Self] = &[Self::Found, Self::Unknown, Self::Failed];
    const LEFT_ALONE: Option<Self> = Some(Self::Failed);

    fn of(end: End, _in_doubt: bool) -> Self {
        match end {
            End::Succeeded => Self::Found,
            End::NothingThere => Self::Unknown,
            _ => Self::Failed,
        }
    }

    fn as_str(self) -> &'static str {
        ["found", "unknown", "failed"][self as usize]
    }

    fn standing(self) -> Standing {
        [Standing::Done, Standing::Done, Standing::Failed][self as usize]
    }
}

#[derive(Debug, PartialEq, Eq)]
struct NameLine(String, LookupOutcome, Option<u32>, u32);

impl Line for NameLine {
    type Outcome = LookupOutcome;

    fn outcome(&self) -> LookupOutcome {
        self.1
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

    fn write<'a>(lines: impl Iterator<Item = &'a Self>, _: &Layout, into: &mut Vec<u8>) {
        lines.for_each(|line| into.extend(format!("{line:?}\n").into_bytes()));
    }
}

/// The directory is in memory, and needs no credentials.
struct NoClient;

impl Client for NoClient {}

impl Job for Directory {
    type Outcome = LookupOutcome;
    type Found = Option<u32>;
    type Client = NoClient;
    type Line = NameLine;
    /// The directory has no quota at AWS: any operation's pace is as good as another's.
    const OPERATION: Operation = Operation::DescribeIdentityPool;
    const MARKS: bool = false;

    fn client(&self) -> &NoClient {
        &NoClient
    }

    async fn call(
        &self,
        _operation: Operation,
        row: &Row,
        found: &mut Option<u32>,
        last_check: Arc<dyn LastCheck>,
    ) -> Reply {
        let name = &row.link.developer_user_identifier;
        let code = if !released(&*last_check).await {
            Some("NotSent")
        } else if self
            .throttled
            .lock()
            .expect("no panic")
            .insert(name.clone())
        {
            Some("ThrottlingException")
        } else {
            *found = self.numbers.get(&**name).copied();
            found.is_none().then_some("NoSuchName")
        };
        Reply {
            kind: code.map_or(ReplyKind::Success, |_| ReplyKind::Error { html: false }),
            details: ReplyDetails {
                code: code.map(str::to_owned),
                ..ReplyDetails::default()
            },
        }
    }

    fn judge(&self, _operation: Operation, reply: &Reply) -> Verdict {
        match reply.details.code.as_deref() {
            Some("NoSuchName") => Verdict::NothingThere,
            _ => classify(reply),
        }
    }

    fn line(&self, row: SettledRow<Option<u32>>) -> NameLine {
        let name = row.open.row.link.developer_user_identifier;
        let outcome = LookupOutcome::of(row.end, row.in_doubt);
        NameLine(name, outcome, row.found, row.attempts)
    }

    fn invalid_line(&self, row: InvalidRow, _: Option<MemoryReservation>) -> NameLine {
        let name = row.link.developer_user_identifier;
        NameLine(name, LookupOutcome::Failed, None, 0)
    }
}

/// A job with a look before each call, one row of a Region at a time. The Region `lost` cannot be reached.
#[derive(Default)]
struct LooksFirst {
    /// Time of the last answer.
    answered: Arc<Mutex<Option<Instant>>>,
}

impl Job for LooksFirst {
    type Outcome = LookupOutcome;
    /// The row has been looked at.
    type Found = bool;
    type Client = NoClient;
    type Line = NameLine;
    const OPERATION: Operation = Operation::UnlinkDeveloperIdentity;
    const MARKS: bool = false;

    fn client(&self) -> &NoClient {
        &NoClient
    }

    fn next_call(&self, _row: &Row, looked: &mut bool, _in_doubt: bool) -> NextCall {
        NextCall::Call(if *looked {
            Self::OPERATION
        } else {
            Operation::DescribeIdentity
        })
    }

    async fn call(
        &self,
        operation: Operation,
        row: &Row,
        looked: &mut bool,
        last_check: Arc<dyn LastCheck>,
    ) -> Reply {
        let is_answered = row.link.region() != "lost" && released(&*last_check).await;
        if is_answered {
            *looked = operation != Self::OPERATION;
            *self.answered.lock().expect("no panic") = Some(Instant::now());
        }
        Reply {
            kind: if is_answered {
                ReplyKind::Success
            } else {
                ReplyKind::Error { html: false }
            },
            details: ReplyDetails::default(),
        }
    }

    fn rows_at_once(&self, _pace: f64, _looks_take: Duration) -> Option<usize> {
        Some(1)
    }

    fn line(&self, row: SettledRow<bool>) -> NameLine {
        let name = row.open.row.link.developer_user_identifier;
        let outcome = LookupOutcome::of(row.end, row.in_doubt);
        NameLine(name, outcome, None, row.attempts)
    }

    fn invalid_line(&self, row: InvalidRow, _: Option<MemoryReservation>) -> NameLine {
        let name = row.link.developer_user_identifier;
        NameLine(name, LookupOutcome::Failed, None, 0)
    }
}

#[tokio::test(start_paused = true)]
async fn rows_that_wait_for_a_turn_in_a_lost_region_stop_no_other() {
    let job = LooksFirst::default();
    let answered = Arc::clone(&job.answered);
    let began = Instant::now();
    let rows = (0..60).map(|nth| {
        let region = if nth % 2 == 0 { "here" } else { "lost" };
        row(nth, region, &format!("{region}-{nth}"))
    });
    let (summary, _) = run(job, rows.collect()).await;
    assert_eq!(summary.tally.of(LookupOutcome::Found), 30);
    let answered = answered.lock().expect("no panic").expect("answers");
    let took = answered - began;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_second_job_needs_nothing_from_the_first() {
    let numbers = HashMap::from([("one", 1), ("two", 2)]);
    let rows = ["one", "two", "three"].into_iter().zip(0..);
    let rows = rows.map(|(name, nth)| row(nth, "here", name)).collect();
    let job = Directory {
        numbers,
        ..Directory::default()
    };
    let (summary, lines) = run(job, rows).await;
    assert!(matches!(summary.reason, Reason::AllRead));
    assert!(summary.tally.adds_up() && summary.all_recorded);
    assert_eq!(summary.tally.of(LookupOutcome::Found), 2);
    let line = |name: &str, outcome, number| NameLine(name.to_owned(), outcome, number, 2);
    for line in [
        line("one", LookupOutcome::Found, Some(1)),
        line("two", LookupOutcome::Found, Some(2)),
        line("three", LookupOutcome::Unknown, None),
    ] {
        assert!(lines.contains(&line), "{line:?} is not in {lines:?}");
    }
}

/// Runs a job on these rows, and returns the recorded lines.
async fn run<J: Job<Outcome = LookupOutcome, Line = NameLine>>(
    job: J,
    open_rows: Vec<OpenRow>,
) -> (Summary<LookupOutcome>, Vec<NameLine>) {
    let four = NonZeroU32::new(4).expect("positive");
    let limits = Limits {
        rate: Rate::PerSecond(100.0),
        burst: NonZeroU32::MIN,
        concurrency: four,
        leave: 0.0,
        processes: NonZeroU32::MIN,
    };
    let (stop, ordered) = watch::channel(Stop::Go);
    let context = Context {
        job,
        admission: Arc::new(Admission::new(limits, J::OPERATION, BTreeMap::new())),
        policy: Policy::DEFAULT,
        holds: None,
        in_flight: None,
        recorded: Arc::default(),
        stop: ordered,
        random: Mutex::new(fastrand::Rng::with_seed(1)),
        counters: Counters::default(),
    };
    let bounds = Bounds {
        open_rows: 64,
        queued: 4,
        limit: None,
        take_for: None,
        failure_limits: Vec::new(),
    };
    let (reader, rows) = mpsc::channel(open_rows.len());
    for row in open_rows {
        let row = ReadEvent::Row(Box::new(row));
        reader.try_send(row).expect("there is room");
    }
    drop(reader);
    let (orders, received) = mpsc::channel(16);
    let (reports, done) = mpsc::channel(16);
    let recorder = tokio::spawn(record(received, reports));
    let (_signals, signals) = mpsc::channel(1);
    let channels = Channels {
        rows,
        pools: HashMap::new(),
        pool_checks: PoolChecks::none(),
        input_ends: true,
        recording: Recording {
            orders,
            done,
            length: Arc::default(),
        },
        signals,
        stop,
        interrupted: HashSet::new(),
        watcher: &mut |_| {},
    };
    let summary = drive(Arc::new(context), bounds, channels).await;
    (summary, recorder.await.expect("no panic"))
}

fn row(nth: u64, region: &str, name: &str) -> OpenRow {
    let link = Link {
        identity_pool_id: format!("{region}:1"),
        developer_provider_name: "directory".to_owned(),
        developer_user_identifier: name.to_owned(),
        ..Link::default()
    };
    let position = Position {
        source: "names".into(),
        row: nth + 1,
        line: nth + 1,
    };
    OpenRow {
        key: Keyer::new([0; 16]).key(&link),
        row: Row {
            position,
            link,
            carried: Vec::new(),
            text: None,
        },
        identity: nth,
        in_doubt: false,
        is_held: false,
        memory: None,
    }
}

/// Records lines in memory.
async fn record(
    mut orders: mpsc::Receiver<ToRecord<NameLine>>,
    reports: mpsc::Sender<Recorded<NameLine>>,
) -> Vec<NameLine> {
    let mut recorded = Vec::new();
    while let Some(order) = orders.recv().await {
        if let ToRecord::Settled(lines) = order {
            let copy = |line: &NameLine| NameLine(line.0.clone(), line.1, line.2, line.3);
            recorded.extend(lines.iter().map(|(line, _)| copy(line)));
            let _ = reports.send(Recorded::Lines(lines)).await;
        }
    }
    recorded
}
