//! Simulates the runs of a scenario: reader and results are tasks in memory, everything between them is the real code.

use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use cognito_unlink::testing::admission::Admission;
use cognito_unlink::testing::emulator::ProductionCounts;
use cognito_unlink::testing::guard::PoolChecks;
use cognito_unlink::testing::jobs::unlink::{UnlinkJob, UnlinkOutcome, bounds};
use cognito_unlink::testing::operation::{Operation, OperationQuotas};
use cognito_unlink::testing::pipeline::{
    Channels, Context, Counters, OpenRow, ReadEvent, Summary, drive,
};
use cognito_unlink::testing::results::{Entry, Recorded, Recording, ToRecord};
use cognito_unlink::testing::row::{Keyer, Link, Position, Required, Row, Shard, UnusualPolicy};
use cognito_unlink::testing::settings::Settings;
use cognito_unlink::testing::signal::{Signal, Stop};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use crate::scenario::{Run, Scenario, Service};
use crate::service::{Observed, SimulatedService};

/// Rows that the reader's channel holds.
pub(crate) const READ_AHEAD: usize = 256;
/// Rows that the dispatcher takes from it at once.
pub(crate) const TAKEN_AT_ONCE: usize = 128;
/// Time to write a batch of lines.
const DISK_TIME: Duration = Duration::from_millis(3);
/// Most lines that are written at once.
const BATCH: usize = 256;

/// Everything that is compared with a scenario's expectations.
#[derive(Debug)]
pub(crate) struct SimulatedRun {
    pub(crate) settings: Settings,
    pub(crate) rows: Vec<InitialRow>,
    pub(crate) observed: Observed,
    /// Counts of production's calls up to each second.
    pub(crate) production: Vec<ProductionCounts>,
    pub(crate) settled: Vec<SettledRow>,
    pub(crate) summary: Summary<UnlinkOutcome>,
    pub(crate) took: Duration,
    /// Calls as the workers counted them.
    pub(crate) calls_counted: u64,
    /// Throttled calls as the workers counted them.
    pub(crate) throttled_counted: u64,
    /// Largest number of rows that were read and not yet written to the results.
    pub(crate) most_open: usize,
    /// Rows still linked at the end, in the order of the input.
    pub(crate) linked: Vec<bool>,
}

/// A row of the input, and its state before the run.
#[derive(Debug)]
pub(crate) struct InitialRow {
    pub(crate) link: Link,
    pub(crate) was_linked: bool,
}

/// A row in the results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SettledRow {
    pub(crate) user: String,
    pub(crate) outcome: UnlinkOutcome,
    pub(crate) attempts: u32,
    pub(crate) at: Duration,
}

/// Simulates the runs of `scenario` against one of its services on paused time, with all random numbers from `seed`.
pub(crate) fn simulate(scenario: &Scenario, service: &Service, seed: u64) -> Vec<SimulatedRun> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let run = &scenario.run;
    let rows = run.rows(service);
    let starts = starts(scenario, seed);
    runtime.block_on(async {
        let timeout = run.settings(None).timeout();
        let services = SimulatedService::new(service.clone(), timeout, seed, starts.len());
        let runs = services.into_iter().zip(starts).enumerate();
        let runs = runs.map(|(nth, (calls, (start, shard)))| {
            let settings = run.settings(shard);
            async move {
                if !start.is_zero() {
                    sleep(start).await;
                }
                simulate_run(calls, run, settings, rows, seed, nth as u64).await
            }
        });
        join_all(runs).await
    })
}

/// Waits for all of these, and returns their results in order.
async fn join_all<'a>(
    runs: impl Iterator<Item = impl Future<Output = SimulatedRun> + 'a>,
) -> Vec<SimulatedRun> {
    let mut runs: Vec<_> = runs.map(|run| (Box::pin(run), None)).collect();
    poll_fn(|context| {
        for (run, ended) in runs.iter_mut().filter(|(_, ended)| ended.is_none()) {
            if let Poll::Ready(simulated) = run.as_mut().poll(context) {
                *ended = Some(simulated);
            }
        }
        if runs.iter().any(|(_, ended)| ended.is_none()) {
            return Poll::Pending;
        }
        Poll::Ready(
            runs.iter_mut()
                .filter_map(|(_, ended)| ended.take())
                .collect(),
        )
    })
    .await
}

/// Returns when each run starts, and its shard.
fn starts(scenario: &Scenario, seed: u64) -> Vec<(Duration, Option<Shard>)> {
    if let Some(shards) = &scenario.shards {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x57a7);
        let start = |index| match index {
            0 => Duration::ZERO,
            _ => shards.start_within.0.mul_f64(random.f64()),
        };
        let starts: Vec<_> = (0..shards.of).map(start).collect();
        let numbered = starts.into_iter().zip(0..);
        let shard = |(start, index)| (start, Shard::new(index, shards.of));
        return numbered.map(shard).collect();
    }
    let second = scenario.second_run.as_ref();
    let second = second.map(|second| (second.starts_at.0, None));
    [(Duration::ZERO, None)].into_iter().chain(second).collect()
}

async fn simulate_run(
    calls: SimulatedService,
    run: &Run,
    settings: Settings,
    rows: usize,
    seed: u64,
    nth: u64,
) -> SimulatedRun {
    let began = Instant::now();
    let links = links(run, rows, nth);
    let was_linked = calls.unlink_some(links.iter().map(|(_, link)| link));
    let rows: Vec<InitialRow> = links
        .iter()
        .zip(was_linked)
        .map(|((_, link), was_linked)| InitialRow {
            link: link.clone(),
            was_linked,
        })
        .collect();

    let rows_read = Arc::new(AtomicUsize::new(0));
    let fed = read(links, Arc::clone(&rows_read));
    let writer = Writer {
        began,
        fed: rows_read,
        settled: Vec::new(),
        most_open: 0,
    };
    let (orders, to_write) = mpsc::channel(settings.open_rows + 16);
    let (written, done) = mpsc::channel(settings.open_rows + 16);
    let writer = tokio::spawn(writer.write(to_write, written));
    let (stop, orders_to_stop) = watch::channel(Stop::Go);
    let context = Arc::new(Context {
        job: UnlinkJob(calls.clone()),
        holds: None,
        admission: Arc::new(Admission::new(
            settings.limits,
            Operation::UnlinkDeveloperIdentity,
            saved_quotas(run),
        )),
        policy: settings.policy,
        in_flight: None,
        recorded: Arc::default(),
        stop: orders_to_stop,
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
    let writer = writer.await.expect("the writer does not panic");
    let linked = rows.iter().map(|row| calls.is_linked(&row.link)).collect();
    SimulatedRun {
        settings,
        rows,
        observed: calls.observed(),
        production: calls.production(),
        settled: writer.settled,
        summary,
        took,
        calls_counted: context.counters.calls.load(Ordering::Relaxed),
        throttled_counted: context.counters.throttled.load(Ordering::Relaxed),
        most_open: writer.most_open,
        linked,
    }
}

/// Returns the quotas that an earlier run has measured.
fn saved_quotas(run: &Run) -> OperationQuotas {
    let regions = run.regions.iter();
    let saved = regions.filter_map(|region| {
        Some((
            (region.clone(), Operation::UnlinkDeveloperIdentity),
            run.saved_quota?,
        ))
    });
    saved.collect()
}

/// The links of the input, each with the number of its identity. No two runs have the same.
fn links(run: &Run, rows: usize, nth: u64) -> Vec<(u64, Link)> {
    let others = run.identities.unwrap_or(rows);
    let links: Vec<_> = (0..rows)
        .map(|row| {
            // The rows_of_first_identity identity is number 0, and its rows are the first.
            let identity = row
                .checked_sub(run.rows_of_first_identity)
                .map_or(0, |row| row % others + 1);
            let region = &run.regions[identity % run.regions.len()];
            let link = Link {
                identity_id: format!("{region}:{identity:08x}-0000-4000-8000-0000000001{nth:02}"),
                identity_pool_id: format!("{region}:00000000-0000-4000-8000-000000000002"),
                developer_provider_name: "login.example".to_owned(),
                developer_user_identifier: format!("user {row} of {nth}"),
            };
            (identity as u64, link)
        })
        .collect();
    // They differ in the Region, and otherwise only in their numbers.
    for (_, link) in links.iter().take(run.regions.len()) {
        link.check(Required::Link, UnusualPolicy::ALLOW_ALL)
            .expect("a valid row");
    }
    links
}

fn read(links: Vec<(u64, Link)>, fed: Arc<AtomicUsize>) -> mpsc::Receiver<ReadEvent> {
    let (dispatcher, rows) = mpsc::channel(READ_AHEAD);
    let keyer = Keyer::new([7; 16]);
    let source: Arc<str> = "people.csv".into();
    tokio::spawn(async move {
        for (nth, (identity, link)) in (1..).zip(links) {
            let row = OpenRow {
                key: keyer.key(&link),
                identity,
                in_doubt: false,
                is_held: false,
                memory: None,
                row: Row {
                    position: Position {
                        source: Arc::clone(&source),
                        row: nth,
                        line: nth + 1,
                    },
                    link,
                    carried: Vec::new(),
                    text: None,
                },
            };
            if dispatcher
                .send(ReadEvent::Row(Box::new(row)))
                .await
                .is_err()
            {
                return;
            }
            fed.fetch_add(1, Ordering::Relaxed);
        }
    });
    rows
}

fn signals(run: &Run, began: Instant) -> mpsc::Receiver<Signal> {
    let (sender, signals) = mpsc::channel(4);
    let interrupts = run.signals.iter().map(|time| (*time, Signal::Interrupt));
    let terminates = run.sigterm.iter().map(|time| (*time, Signal::Terminate));
    let all = interrupts.chain(terminates);
    let times: Vec<_> = all.map(|(time, signal)| (began + time.0, signal)).collect();
    tokio::spawn(async move {
        for (time, signal) in times {
            sleep_until(time).await;
            if sender.send(signal).await.is_err() {
                return;
            }
        }
        // Closing the channel would mean that no signal can come any more.
        sender.closed().await;
    });
    signals
}

type Line = Entry<UnlinkOutcome>;

struct Writer {
    began: Instant,
    /// Rows that were read.
    fed: Arc<AtomicUsize>,
    settled: Vec<SettledRow>,
    most_open: usize,
}

impl Writer {
    async fn write(
        mut self,
        mut to_write: mpsc::Receiver<ToRecord<Line>>,
        written: mpsc::Sender<Recorded<Line>>,
    ) -> Self {
        let mut orders = Vec::with_capacity(BATCH);
        while to_write.recv_many(&mut orders, BATCH).await > 0 {
            let open = self.fed.load(Ordering::Relaxed) - self.settled.len();
            self.most_open = self.most_open.max(open);
            sleep(DISK_TIME).await;
            let lines: Vec<_> = orders
                .drain(..)
                .filter_map(|order| match order {
                    ToRecord::Settled(rows) => Some(rows),
                    ToRecord::Sync => None,
                })
                .flatten()
                .collect();
            let at = self.began.elapsed();
            let settled = lines.iter().map(|(entry, _)| SettledRow::new(entry, at));
            self.settled.extend(settled);
            if !lines.is_empty() && written.send(Recorded::Lines(lines)).await.is_err() {
                break;
            }
        }
        self
    }
}

impl SettledRow {
    fn new(entry: &Line, at: Duration) -> Self {
        Self {
            user: entry.link.developer_user_identifier.clone(),
            outcome: entry.outcome,
            attempts: entry.attempts,
            at,
        }
    }
}
