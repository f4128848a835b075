//! Runs over a simulated store and service, under paused time: killed, frozen and started two at a time.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsStr;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, advance, sleep};

use super::clock::LogClock;
use super::events::LogEvents;
use super::open::{OpenLog, open_in};
use super::segment::Segment;
use super::*;
use crate::jobs::unlink::UnlinkOutcome;
use crate::objects::{
    Created, Listing, ObjectStore, ObjectUri, ObjectVersion, Objects, OpenObject, Pending,
    StoreError, StoreErrorKind,
};
use crate::results::marks::Marks;
use crate::results::recording::{Recorded, Recording, RowLease, ToRecord};
use crate::results::runs_log::{RunEnded, RunEvent};
use crate::results::{Entry as RowEntry, OpenError, ResultsOptions};
use crate::row::{Keyer, Link, Position};
use crate::verdict::ReplyDetails;

type Shared<T> = Arc<Mutex<T>>;

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Faults of a store.
#[derive(Debug, Clone, Copy, Default)]
struct Faults {
    /// Share of requests that fail without effect.
    refused: f64,
    /// Share of puts that take effect, and fail.
    lost: f64,
    /// Longest latency.
    latency: Duration,
    /// Share of puts that take up to thirty times as long.
    slow: f64,
    /// Nothing is answered before this time.
    silent_until: Option<Instant>,
}

/// A store that answers late and makes faults.
#[derive(Debug, Clone)]
struct SimulatedStore {
    /// Each object with the time at which it was put.
    objects: Shared<BTreeMap<String, (Bytes, Instant)>>,
    random: Shared<fastrand::Rng>,
    faults: Shared<Faults>,
    puts: Shared<u64>,
}

fn failed(message: &str) -> StoreError {
    StoreError {
        kind: StoreErrorKind::Temporary,
        message: message.to_owned(),
    }
}

impl SimulatedStore {
    fn new(seed: u64, faults: Faults) -> Self {
        Self {
            objects: Shared::default(),
            random: Arc::new(Mutex::new(fastrand::Rng::with_seed(seed))),
            faults: Arc::new(Mutex::new(faults)),
            puts: Shared::default(),
        }
    }

    fn chance(&self, share: f64) -> bool {
        lock(&self.random).f64() < share
    }

    /// Answers after a while, or fails.
    async fn answer(&self, is_put: bool) -> Result<(), StoreError> {
        let faults = *lock(&self.faults);
        if faults
            .silent_until
            .is_some_and(|until| until > Instant::now())
        {
            sleep(Duration::from_secs(2)).await;
            return Err(failed("no answer"));
        }
        let latency = faults.latency.mul_f64(lock(&self.random).f64());
        let is_slow = is_put && self.chance(faults.slow);
        sleep(if is_slow { latency * 30 } else { latency }).await;
        if self.chance(faults.refused) {
            return Err(failed("SlowDown"));
        }
        Ok(())
    }
}

impl ObjectStore for SimulatedStore {
    fn open(&self, _: &ObjectUri, _: u64, _: Option<&ObjectVersion>) -> Pending<OpenObject> {
        unreachable!("a log is read by whole segments")
    }

    fn read(&self, uri: &ObjectUri) -> Pending<Option<Bytes>> {
        let (store, key) = (self.clone(), uri.key.clone());
        Box::pin(async move {
            store.answer(false).await?;
            let objects = lock(&store.objects);
            Ok(objects.get(&key).map(|(content, _)| content.clone()))
        })
    }

    fn create(&self, uri: &ObjectUri, content: Bytes) -> Pending<Created> {
        let (store, key) = (self.clone(), uri.key.clone());
        // A put that is on its way takes effect whatever becomes of its process.
        let put = tokio::spawn(async move {
            *lock(&store.puts) += 1;
            store.answer(true).await?;
            let created = {
                let mut objects = lock(&store.objects);
                match objects.entry(key) {
                    Entry::Occupied(_) => Created::Exists,
                    Entry::Vacant(free) => {
                        free.insert((content, Instant::now()));
                        Created::New
                    }
                }
            };
            let share = lock(&store.faults).lost;
            if store.chance(share) {
                return Err(failed("the reply is lost"));
            }
            Ok(created)
        });
        Box::pin(async move { put.await.expect("no panic") })
    }

    fn list(&self, prefix: &ObjectUri, after: Option<&str>, _: Option<char>) -> Pending<Listing> {
        let (store, prefix) = (self.clone(), prefix.key.clone());
        let after = after.unwrap_or_default().to_owned();
        Box::pin(async move {
            store.answer(false).await?;
            let objects = lock(&store.objects);
            let behind = objects
                .keys()
                .filter(|key| key.starts_with(&prefix) && **key > after);
            let mut keys: Vec<String> = behind.take(101).cloned().collect();
            let is_cut = keys.len() > 100;
            keys.truncate(100);
            Ok(Listing {
                after: keys.last().filter(|_| is_cut).cloned(),
                keys,
                common: Vec::new(),
            })
        })
    }
}

/// The service: links, and the calls that it has got.
#[derive(Debug, Default)]
struct Service {
    linked: HashSet<u64>,
    /// Each call: its run, its row and its time.
    calls: Vec<(String, u64, Instant)>,
}

/// The world that processes share.
#[derive(Debug, Clone)]
struct World {
    store: SimulatedStore,
    service: Shared<Service>,
    rows: u64,
    /// Calls a second.
    rate: f64,
    began: Instant,
    take_over_after: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exit {
    Done,
    Locked,
    TakenOver,
    Failed,
}

const CONCURRENCY: usize = 16;
const SLOTS: usize = 256;

fn link(row: u64) -> Link {
    Link {
        identity_id: format!("us-east-1:{row}"),
        identity_pool_id: "us-east-1:1".to_owned(),
        developer_provider_name: "p".to_owned(),
        developer_user_identifier: format!("u-{row}"),
    }
}

impl World {
    fn new(seed: u64, rows: u64, faults: Faults) -> Self {
        let service = Service {
            linked: (0..rows).collect(),
            calls: Vec::new(),
        };
        Self {
            store: SimulatedStore::new(seed, faults),
            service: Arc::new(Mutex::new(service)),
            rows,
            rate: 10.0,
            began: Instant::now(),
            take_over_after: Duration::from_secs(45),
        }
    }

    fn options(&self, run_id: &str) -> (ResultsOptions, LogOptions) {
        let results = ResultsOptions {
            path: "s3://b/p/".into(),
            carry: Vec::new(),
            run_id: run_id.to_owned(),
            started: SystemTime::UNIX_EPOCH,
            open_rows: SLOTS,
            skip_failed: false,
            again: false,
            last_login_named: false,
            durable: false,
            spreadsheet_safe: false,
            log: None,
            calls_aws: true,
        };
        let log = LogOptions {
            objects: Objects::default(),
            prefix: ObjectUri::of(OsStr::new("s3://b/p/")),
            concurrency: CONCURRENCY,
            take_over_after: self.take_over_after,
            give_up_after: Duration::from_hours(2),
            waits_for_credentials: false,
        };
        (results, log)
    }

    async fn open(&self, run_id: &str) -> Result<OpenLog, OpenError> {
        let (results, log) = self.options(run_id);
        let clock = LogClock::Simulated(self.began);
        let store = Arc::new(self.store.clone());
        open_in::<UnlinkOutcome>(&results, &log, store, clock, &mut |_| {}).await
    }

    /// Returns the segments, each with the time at which it was put.
    fn segments(&self) -> Vec<(Segment, Instant)> {
        let objects = lock(&self.store.objects);
        let segments = objects.values().zip(1..).map(|((content, at), number)| {
            let segment = Segment::of_bytes(number, content.to_vec()).expect("a segment");
            (segment, *at)
        });
        segments.collect()
    }
}

/// Polls a future only while it is not frozen, as a process that SIGSTOP has stopped.
async fn freezable<F: Future>(frozen: watch::Receiver<bool>, inner: F) -> F::Output {
    let mut inner = std::pin::pin!(inner);
    let mut thaw: Option<Pin<Box<dyn Future<Output = ()> + Send>>> = None;
    poll_fn(|context| {
        if *frozen.borrow() && thaw.is_none() {
            let mut frozen = frozen.clone();
            thaw = Some(Box::pin(async move {
                let _ = frozen.wait_for(|frozen| !frozen).await;
            }));
        }
        if let Some(thawed) = &mut thaw {
            match thawed.as_mut().poll(context) {
                Poll::Ready(()) => thaw = None,
                Poll::Pending => return Poll::Pending,
            }
        }
        inner.as_mut().poll(context)
    })
    .await
}

/// A run of all rows, as the pipeline makes it: a row is reserved, called, recorded and freed.
async fn run(world: World, run_id: String, frozen: watch::Receiver<bool>) -> Exit {
    let opened = match world.open(&run_id).await {
        Ok(opened) => opened,
        Err(OpenError::Locked(..)) => return Exit::Locked,
        Err(_) => return Exit::Failed,
    };
    let keyer = Keyer::new(opened.key);
    let (recording, (commands, reports)) = Recording::channels(SLOTS, Arc::default());
    let Recording {
        orders, mut done, ..
    } = recording;
    let end = opened.end;
    let marks: Arc<dyn Marks> = Arc::new(opened.marks);
    let mut tasks = JoinSet::new();
    tasks.spawn(freezable(
        frozen.clone(),
        opened.appender.run(commands, reports),
    ));
    let mut free: Vec<usize> = (0..SLOTS).collect();
    let mut open = 0;
    for row in 0..world.rows {
        let key = keyer.key(&link(row));
        if opened.completed.is_done(key) {
            continue;
        }
        while free.len() <= SLOTS - CONCURRENCY * 8 || open >= CONCURRENCY * 8 {
            match recorded(done.recv().await, &mut free) {
                Ok(rows) => open -= rows,
                Err(exit) => return exit,
            }
        }
        let slot = free.pop().expect("a slot");
        open += 1;
        let is_in_doubt = opened.completed.is_in_doubt(key);
        let task = settle(
            world.clone(),
            run_id.clone(),
            (row, slot, is_in_doubt),
            key,
            Arc::clone(&marks),
            orders.clone(),
        );
        tasks.spawn(freezable(frozen.clone(), task));
        sleep(Duration::from_secs_f64(1.0 / world.rate)).await;
        while let Ok(report) = done.try_recv() {
            match recorded(Some(report), &mut free) {
                Ok(rows) => open -= rows,
                Err(exit) => return exit,
            }
        }
    }
    drop(orders);
    while let Some(report) = done.recv().await {
        if let Err(exit) = recorded(Some(report), &mut free) {
            return exit;
        }
    }
    let ended = RunEvent::End(Box::new(RunEnded {
        run_id,
        ..RunEnded::default()
    }));
    let _ = LogEvents::Segments(end).end(ended).await;
    Exit::Done
}

/// Frees the slots of recorded rows, and returns their number.
fn recorded(
    report: Option<Recorded<RowEntry<UnlinkOutcome>>>,
    free: &mut Vec<usize>,
) -> Result<usize, Exit> {
    match report {
        Some(Recorded::Lines(rows)) => {
            free.extend(
                rows.iter()
                    .filter_map(|(_, lease)| Some(lease.as_ref()?.slot)),
            );
            Ok(rows.len())
        }
        Some(Recorded::Failed(error))
            if error
                .get_ref()
                .is_some_and(<dyn std::error::Error + Send + Sync>::is::<TakenOver>) =>
        {
            Err(Exit::TakenOver)
        }
        Some(Recorded::Notice(_)) => Ok(0),
        _ => Err(Exit::Failed),
    }
}

async fn settle(
    world: World,
    run_id: String,
    (row, slot, mut is_in_doubt): (u64, usize, bool),
    key: crate::row::RowKey,
    marks: Arc<dyn Marks>,
    orders: mpsc::Sender<ToRecord<RowEntry<UnlinkOutcome>>>,
) {
    marks.reserve(slot, key, 0).await.expect("reserved");
    let outcome = loop {
        marks.wait_until_current().await.expect("current");
        if !marks.mark_sent(slot, key, 0, false).expect("no disk") {
            continue;
        }
        // No moment passes between the last check and the call.
        let was_linked = {
            let mut service = lock(&world.service);
            service.calls.push((run_id.clone(), row, Instant::now()));
            service.linked.remove(&row)
        };
        sleep(Duration::from_millis(50)).await;
        if world.store.chance(0.05) {
            is_in_doubt = true;
            sleep(Duration::from_millis(500)).await;
            continue;
        }
        break match (was_linked, is_in_doubt) {
            (true, _) => UnlinkOutcome::Unlinked,
            (false, true) => UnlinkOutcome::UnlinkedReplyLost,
            (false, false) => UnlinkOutcome::NotLinked,
        };
    };
    let entry = RowEntry {
        position: Position {
            source: "people.csv".into(),
            row: row + 1,
            line: row + 2,
        },
        link: link(row),
        carried: Vec::new(),
        key: Some(key),
        outcome,
        details: ReplyDetails::default(),
        request_ids: String::new(),
        logins_left: None,
        attempts: 1,
        started_at: None,
        finished_at: SystemTime::UNIX_EPOCH,
        latency: None,
        memory: None,
    };
    let lease = RowLease {
        slot,
        worker: 0,
        identity: 0,
    };
    let _ = orders
        .send(ToRecord::Settled(vec![(Box::new(entry), Some(lease))]))
        .await;
}

/// A process.
struct Process {
    frozen: watch::Sender<bool>,
    task: tokio::task::JoinHandle<Exit>,
}

impl Process {
    fn start(world: &World, number: usize) -> Self {
        let (frozen, is_frozen) = watch::channel(false);
        let run = run(world.clone(), format!("run-{number}"), is_frozen.clone());
        Self {
            frozen,
            task: tokio::spawn(freezable(is_frozen, run)),
        }
    }
}

/// Counts of a world's end.
#[derive(Debug, Default)]
struct Counts {
    kills: u32,
    freezes: u32,
    refused: u32,
    taken_over: u32,
    runs: usize,
    calls: usize,
    repeated: usize,
}

/// Starts, kills and freezes processes until one has settled every row.
async fn torment(world: &World, seed: u64) -> Counts {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut counts = Counts::default();
    let mut processes: Vec<Process> = Vec::new();
    let mut is_done = false;
    while !is_done {
        assert!(counts.runs < 500, "it does not get on: {counts:?}");
        while processes.len() < 1 + usize::from(random.f64() < 0.3) {
            processes.push(Process::start(world, counts.runs));
            counts.runs += 1;
        }
        sleep(Duration::from_millis(random.u64(500..25_000))).await;
        let victim = random.usize(..processes.len());
        match random.u32(..4) {
            0 => {
                let killed = processes.swap_remove(victim);
                killed.task.abort();
                counts.kills += 1;
            }
            1 => {
                let frozen = processes[victim].frozen.clone();
                frozen.send_replace(true);
                let for_so_long = Duration::from_millis(random.u64(1000..400_000));
                tokio::spawn(async move {
                    sleep(for_so_long).await;
                    frozen.send_replace(false);
                });
                processes.push(Process::start(world, counts.runs));
                counts.runs += 1;
                counts.freezes += 1;
            }
            _ => {}
        }
        let mut alive = Vec::new();
        for process in processes {
            if process.task.is_finished() {
                let exit = process.task.await.expect("no panic");
                counts.refused += u32::from(exit == Exit::Locked);
                counts.taken_over += u32::from(exit == Exit::TakenOver);
                is_done |= exit == Exit::Done;
            } else {
                alive.push(process);
            }
        }
        processes = alive;
    }
    // Those that are left find out that the job is done, or that it is another's.
    for process in processes {
        process.frozen.send_replace(false);
        let exit = process.task.await.expect("no panic");
        assert_ne!(exit, Exit::Failed);
        counts.taken_over += u32::from(exit == Exit::TakenOver);
    }
    counts.calls = lock(&world.service).calls.len();
    counts.repeated = counts.calls - usize::try_from(world.rows).expect("few");
    counts
}

/// Checks that no row was lost or settled twice, and that every call was claimed and in time.
fn check(world: &World) {
    let segments = world.segments();
    let service = lock(&world.service);
    assert!(
        service.linked.is_empty(),
        "rows were lost: {:?}",
        service.linked
    );
    let mut done: HashMap<String, u32> = HashMap::new();
    for (segment, _) in &segments {
        for line in segment
            .lines
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let line: serde_json::Value = serde_json::from_slice(line).expect("JSON");
            let user = line["developer_user_identifier"].as_str().expect("a user");
            assert_ne!(line["outcome"], "not_linked", "{user}");
            *done.entry(user.to_owned()).or_default() += 1;
        }
    }
    assert_eq!(done.len() as u64, world.rows);
    assert!(
        done.values().all(|lines| *lines == 1),
        "rows were settled twice"
    );
    let fence = segments
        .iter()
        .find_map(|(segment, _)| segment.tail.fence.as_ref());
    let key = u128::from_str_radix(&fence.expect("a fence").key, 16).expect("a key");
    let keyer = Keyer::new(key.to_be_bytes());
    for (run_id, row, at) in &service.calls {
        let own = || {
            segments
                .iter()
                .filter(|(segment, _)| segment.tail.run_id == *run_id)
        };
        let key = keyer.key(&link(*row));
        let claimed = own().find(|(segment, _)| segment.tail.claim.contains(&key));
        let (_, claimed) = claimed.expect("no call without a claim");
        assert!(claimed <= at, "a call came before its claim");
        let last = own().map(|(_, put)| *put).filter(|put| put <= at).max();
        let age = *at - last.expect("a segment before the call");
        assert!(age <= world.take_over_after * 2 / 3, "{age:?}");
        let later = segments
            .iter()
            .skip_while(|(segment, _)| segment.tail.run_id != *run_id);
        let fenced = later
            .clone()
            .find(|(segment, _)| segment.tail.run_id != *run_id);
        assert!(
            fenced.is_none_or(|(_, fenced)| at <= fenced),
            "a call after the fence of another run"
        );
    }
}

fn faults() -> Faults {
    Faults {
        refused: 0.05,
        lost: 0.05,
        latency: Duration::from_millis(400),
        slow: 0.05,
        silent_until: None,
    }
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the figures of the torment")]
async fn no_row_is_lost_whatever_is_killed_frozen_or_refused() {
    let mut all = Counts::default();
    for seed in 0..60 {
        let world = World::new(seed, 300, faults());
        let counts = torment(&world, seed).await;
        check(&world);
        all.kills += counts.kills;
        all.freezes += counts.freezes;
        all.refused += counts.refused;
        all.taken_over += counts.taken_over;
        all.runs += counts.runs;
        all.repeated += counts.repeated;
    }
    // Each kind of harm was done, and many times.
    assert!(all.kills > 100 && all.freezes > 100, "{all:?}");
    assert!(all.refused > 30 && all.taken_over > 5, "{all:?}");
    println!("{all:?}");
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_the_store_is_waited_out() {
    let world = World::new(1, 600, faults());
    let process = Process::start(&world, 0);
    sleep(Duration::from_secs(20)).await;
    let silent_from = Instant::now();
    let until = silent_from + Duration::from_hours(1);
    lock(&world.store.faults).silent_until = Some(until);
    sleep(Duration::from_mins(59)).await;
    let calls = lock(&world.service).calls.clone();
    // No call starts later than two thirds of the take-over time after the last segment.
    let last = calls.last().map(|(_, _, at)| *at).expect("calls");
    assert!(last <= silent_from + world.take_over_after * 2 / 3);
    assert!(calls.len() < 600);
    assert_eq!(process.task.await.expect("no panic"), Exit::Done);
    check(&world);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_was_suspended_calls_nothing_when_it_wakes_up() {
    let world = World::new(1, 600, faults());
    let process = Process::start(&world, 0);
    sleep(Duration::from_secs(20)).await;
    process.frozen.send_replace(true);
    advance(world.take_over_after).await;
    let calls = lock(&world.service).calls.len();
    let next = Process::start(&world, 1);
    assert_eq!(next.task.await.expect("no panic"), Exit::Done);
    let all = lock(&world.service).calls.len();
    assert!(all > calls);
    process.frozen.send_replace(false);
    assert_eq!(process.task.await.expect("no panic"), Exit::TakenOver);
    assert_eq!(lock(&world.service).calls.len(), all);
    check(&world);
}

/// Hours of the simulation below; `SIMULATED_HOURS=24` makes it a day.
fn hours() -> u64 {
    let given = std::env::var("SIMULATED_HOURS").ok();
    given.and_then(|hours| hours.parse().ok()).unwrap_or(1)
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the figures of a long run")]
async fn a_long_run_puts_one_segment_a_second() {
    let rows = hours() * 3600 * 10;
    let faults = Faults {
        latency: Duration::from_millis(100),
        ..Faults::default()
    };
    let world = World::new(1, rows, faults);
    let exit = Process::start(&world, 0).task.await.expect("no panic");
    assert_eq!(exit, Exit::Done);
    let seconds = world.began.elapsed().as_secs_f64();
    let puts = *lock(&world.store.puts) as f64;
    println!("{rows} rows: {puts} puts in {seconds} s");
    assert!(seconds <= rows as f64 / 10.0 * 1.05 + 10.0, "{seconds}");
    assert!(
        puts <= seconds * 1.05 + 10.0 && puts >= seconds * 0.7,
        "{puts} in {seconds}"
    );
    let claims: Vec<usize> = world
        .segments()
        .iter()
        .map(|(segment, _)| segment.tail.claim.len())
        .collect();
    let most = claims.iter().max().copied().unwrap_or_default();
    assert!(most <= 2 * CONCURRENCY, "{most}");
    assert_eq!(
        lock(&world.service)
            .calls
            .iter()
            .map(|(_, row, _)| row)
            .collect::<HashSet<_>>()
            .len() as u64,
        rows
    );
}
