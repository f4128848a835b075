//! The runs of a scenario: feeder and recorder are tasks in memory, everything between them is the real thing.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cognito_unlink::admission::Admission;
use cognito_unlink::guard::PoolChecks;
use cognito_unlink::jobs::unlink::{UnlinkJob, UnlinkOutcome, bounds};
use cognito_unlink::pipeline::{Channels, Context, Counters, OpenRow, ReadEvent, Summary, drive};
use cognito_unlink::results::{Entry, Recorded, Recording, ToRecord};
use cognito_unlink::row::{Keyer, Link, Position, Row, UnusualPolicy};
use cognito_unlink::settings::Settings;
use cognito_unlink::signal::{Signal, Stop};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::scenario::{Run, Scenario};
use crate::service::{Seen, SimulatedService};

/// Rows that the feeder's channel holds.
pub(crate) const AHEAD: usize = 256;
/// Rows that the engine takes over from it at once.
pub(crate) const AT_ONCE: usize = 128;
/// What the disk takes to a batch of lines.
const DISK: Duration = Duration::from_millis(3);
/// Lines that are written at once, at most.
const BATCH: usize = 256;

/// Everything that can be held against a scenario's expectations.
#[derive(Debug)]
pub(crate) struct Played {
    pub(crate) settings: Settings,
    pub(crate) rows: Vec<Before>,
    pub(crate) seen: Seen,
    pub(crate) records: Vec<Record>,
    pub(crate) summary: Summary<UnlinkOutcome>,
    pub(crate) took: Duration,
    /// As the workers have counted them.
    pub(crate) calls_counted: u64,
    /// As the workers have counted them.
    pub(crate) throttled_counted: u64,
    /// The largest number of rows that had left the feeder and were not recorded.
    pub(crate) most_open: usize,
    /// Rows still linked at the end, in the order of the input.
    pub(crate) linked: Vec<bool>,
}

/// A row of the input, and how it stood before the run.
#[derive(Debug)]
pub(crate) struct Before {
    pub(crate) link: Link,
    pub(crate) was_linked: bool,
}

/// A row as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) user: String,
    pub(crate) outcome: UnlinkOutcome,
    pub(crate) attempts: u32,
    pub(crate) at: Duration,
}

/// Plays `scenario` to its end on paused time, with all chance from `seed`. There are as many runs as it has.
pub(crate) fn play(scenario: Scenario, seed: u64) -> Vec<Played> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let Scenario {
        service,
        run,
        second_run,
        ..
    } = scenario;
    runtime.block_on(async {
        let timeout = run.settings().timeout();
        let runs = 1 + usize::from(second_run.is_some());
        let mut services = SimulatedService::new(service, timeout, seed, runs).into_iter();
        let mut next = || services.next().expect("one a run");
        let first = perform(next(), &run, seed, 0);
        let Some(second_run) = second_run else {
            return vec![first.await];
        };
        let second = async {
            sleep(second_run.joins_at.0).await;
            perform(next(), &run, seed, 1).await
        };
        let (first, second) = tokio::join!(first, second);
        vec![first, second]
    })
}

async fn perform(calls: SimulatedService, run: &Run, seed: u64, nth: u64) -> Played {
    let settings = run.settings();
    let began = Instant::now();
    let links = links(run, nth);
    calls.forget_some(links.iter().map(|(_, link)| link));
    let rows: Vec<Before> = links
        .iter()
        .map(|(_, link)| Before {
            link: link.clone(),
            was_linked: calls.is_linked(link),
        })
        .collect();

    let fed_so_far = Arc::new(AtomicUsize::new(0));
    let fed = feed(links, Arc::clone(&fed_so_far));
    let recorder = Recorder {
        began,
        fed: fed_so_far,
        records: Vec::new(),
        most_open: 0,
    };
    let (orders, asked) = mpsc::channel(settings.open_rows + 16);
    let (tell, done) = mpsc::channel(settings.open_rows + 16);
    let recorder = tokio::spawn(recorder.record(asked, tell));
    let (stop, told) = watch::channel(Stop::Go);
    let context = Arc::new(Context {
        job: UnlinkJob(calls.clone()),
        holds: None,
        admission: Admission::new(settings.limits, HashMap::new()),
        policy: settings.policy,
        in_flight: None,
        recorded: Arc::default(),
        stop: told,
        random: Mutex::new(fastrand::Rng::with_seed(seed ^ 0x5eed ^ (nth << 32))),
        counters: Counters::default(),
    });
    let summary = drive(
        Arc::clone(&context),
        bounds(&settings),
        Channels {
            rows: fed,
            pools: HashMap::new(),
            pool_checks: PoolChecks::none(),
            input_ends: true,
            recording: Recording {
                orders,
                done,
                length: Arc::new(AtomicU64::new(0)),
            },
            signals: signals(run, began),
            stop,
            interrupted: HashSet::new(),
            watcher: &mut |_| {},
        },
    )
    .await;
    let took = began.elapsed();
    let recorder = recorder.await.expect("the recorder does not panic");
    let linked = rows.iter().map(|row| calls.is_linked(&row.link)).collect();
    Played {
        settings,
        rows,
        seen: calls.seen(),
        records: recorder.records,
        summary,
        took,
        calls_counted: context.counters.calls.load(Ordering::Relaxed),
        throttled_counted: context.counters.throttled.load(Ordering::Relaxed),
        most_open: recorder.most_open,
        linked,
    }
}

/// The links of the input, each with the number of its identity. No two runs have the same.
fn links(run: &Run, nth: u64) -> Vec<(u64, Link)> {
    let others = run.identities.unwrap_or(run.rows);
    (0..run.rows)
        .map(|row| {
            // The crowded identity is number 0, and its rows are the first.
            let identity = row
                .checked_sub(run.crowded)
                .map_or(0, |row| row % others + 1);
            let region = &run.regions[identity % run.regions.len()];
            let link = Link {
                identity_id: format!("{region}:{identity:08x}-0000-4000-8000-0000000001{nth:02}"),
                identity_pool_id: format!("{region}:00000000-0000-4000-8000-000000000002"),
                developer_provider_name: "login.example".to_owned(),
                developer_user_identifier: format!("user {row} of {nth}"),
            };
            link.check(UnusualPolicy::ALLOW_ALL).expect("a valid row");
            (identity as u64, link)
        })
        .collect()
}

fn feed(links: Vec<(u64, Link)>, fed: Arc<AtomicUsize>) -> mpsc::Receiver<ReadEvent> {
    let (engine, rows) = mpsc::channel(AHEAD);
    let keyer = Keyer::new([7; 16]);
    let source: Arc<str> = "people.csv".into();
    tokio::spawn(async move {
        for (nth, (identity, link)) in (1..).zip(links) {
            let row = OpenRow {
                key: keyer.key(&link),
                identity,
                in_doubt: false,
                is_held: false,
                room: None,
                row: Row {
                    position: Position {
                        source: Arc::clone(&source),
                        row: nth,
                        line: nth + 1,
                    },
                    link,
                    carried: Vec::new(),
                },
            };
            if engine.send(ReadEvent::Row(Box::new(row))).await.is_err() {
                return;
            }
            fed.fetch_add(1, Ordering::Relaxed);
        }
    });
    rows
}

fn signals(run: &Run, began: Instant) -> mpsc::Receiver<Signal> {
    let (sender, signals) = mpsc::channel(4);
    let times: Vec<_> = run.signals.iter().map(|time| began + time.0).collect();
    tokio::spawn(async move {
        for time in times {
            sleep_until(time).await;
            if sender.send(Signal::Interrupt).await.is_err() {
                return;
            }
        }
        // As long as anybody listens, another signal could come.
        sender.closed().await;
    });
    signals
}

type Line = Entry<UnlinkOutcome>;

struct Recorder {
    began: Instant,
    /// Rows that have left the feeder.
    fed: Arc<AtomicUsize>,
    records: Vec<Record>,
    most_open: usize,
}

impl Recorder {
    async fn record(
        mut self,
        mut asked: mpsc::Receiver<ToRecord<Line>>,
        tell: mpsc::Sender<Recorded<Line>>,
    ) -> Self {
        let mut orders = Vec::with_capacity(BATCH);
        while asked.recv_many(&mut orders, BATCH).await > 0 {
            let open = self.fed.load(Ordering::Relaxed) - self.records.len();
            self.most_open = self.most_open.max(open);
            sleep(DISK).await;
            let lines: Vec<_> = orders
                .drain(..)
                .filter_map(|order| match order {
                    ToRecord::Settled(rows) => Some(rows),
                    ToRecord::Sync => None,
                })
                .flatten()
                .collect();
            let at = self.began.elapsed();
            let records = lines.iter().map(|(entry, _)| Record::new(entry, at));
            self.records.extend(records);
            if !lines.is_empty() && tell.send(Recorded::Lines(lines)).await.is_err() {
                break;
            }
        }
        self
    }
}

impl Record {
    fn new(entry: &Line, at: Duration) -> Self {
        Self {
            user: entry.link.developer_user_identifier.clone(),
            outcome: entry.outcome,
            attempts: entry.attempts,
            at,
        }
    }
}
