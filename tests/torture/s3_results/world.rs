//! A world: rows, an emulator, a faulty way to the store, and the processes that follow each other.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use cognito_unlink::testing::emulator::{Counters, Emulator, Settings};
use fastrand::Rng;
use rustix::process::Signal;
use tokio::time::Instant;

use crate::counts;
use crate::lookups::fields;
use crate::program::{self, Hardship, PATIENCE, Program, output};
use crate::results_file::Format;
use crate::rows::Row;

use super::checks::{self, Evidence};
use super::counts::S3Counts;
use super::people;
use super::s3::{BUCKET, FaultProxy, Faults, Passage, ProxyFault};
use super::segments;
use super::stores::Store;

/// Times that a process is interrupted or gets a rival.
const INTERRUPTIONS: usize = 8;
/// `--rate`, so that the rows outlast the interruptions.
const RATE: &str = "120";
/// `--take-over-after`: as short as it can be, since every kill costs it.
const TAKE_OVER_AFTER: Duration = Duration::from_secs(3);
/// Faults before the store, in thousandths.
const OF_PUTS: [(ProxyFault, u32); 6] = [
    (ProxyFault::LostReply, 50),
    (ProxyFault::Reset, 20),
    (ProxyFault::Delay, 30),
    (ProxyFault::Conflict, 20),
    (ProxyFault::InternalError, 20),
    (ProxyFault::SlowDown, 20),
];
const OF_READS: [(ProxyFault, u32); 4] = [
    (ProxyFault::LostReply, 10),
    (ProxyFault::Reset, 10),
    (ProxyFault::InternalError, 15),
    (ProxyFault::SlowDown, 15),
];
/// Longest delay of a put: longer than a process goes on without one, and shorter than a take-over takes.
const LONGEST_DELAY: Duration = Duration::from_millis(2500);

/// A running process of a world.
struct Process {
    name: String,
    access_key: String,
    program: Option<Program>,
    has_ended: bool,
}

struct World<'a> {
    rng: Rng,
    directory: PathBuf,
    /// Ends with a slash.
    prefix: String,
    store: &'a Store,
    rows: Vec<Row>,
    emulator: Emulator,
    emulator_started: [Instant; 2],
    proxy: FaultProxy,
    counts: S3Counts,
}

/// A way to interrupt a process.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    Kill,
    Terminate,
    /// Stopped until another process has taken over.
    Stop,
    /// Stopped, and woken up before another process can have taken over.
    Hiccup,
    /// Another process is started beside it.
    Rival,
}

/// Plays a world. An error names the directory where all files are left.
pub(super) fn play(seed: u64, nth: u64, store: &Store) -> Result<S3Counts, String> {
    let directory = tempfile::tempdir().expect("a directory").keep();
    let mut world = World::new(seed.wrapping_add(nth << 32), nth, store, directory.clone());
    let played = world.play().and_then(|()| world.check());
    if let Err(why) = played {
        world.dump();
        let left = directory.display();
        return Err(format!(
            "world {nth} of S3: {why}\nAll files are left in {left}"
        ));
    }
    fs::remove_dir_all(&directory).expect("it is ours");
    Ok(world.counts)
}

impl<'a> World<'a> {
    fn new(seed: u64, nth: u64, store: &'a Store, directory: PathBuf) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rows = people::rows(&mut rng);
        let existed = rows.iter().filter(|row| row.existed);
        let before = Instant::now();
        let emulator = Emulator::spawn(Settings {
            links: Some(existed.map(|row| row.link.clone()).collect()),
            faults: counts::faults(),
            latency: Duration::from_millis(1),
            jitter: Duration::from_millis(4),
            seed,
            log: true,
            ..Settings::default()
        })
        .expect("an emulator");
        let emulator_started = [before, Instant::now()];
        fs::write(directory.join("people.csv"), people::input(&rows)).expect("written");
        let faults = Faults {
            of_puts: OF_PUTS.into(),
            of_reads: OF_READS.into(),
            longest_delay: LONGEST_DELAY,
            seed,
        };
        Self {
            proxy: FaultProxy::spawn(store.url(), faults),
            rng,
            directory,
            prefix: format!("world-{nth}/results/"),
            store,
            rows,
            emulator,
            emulator_started,
            counts: S3Counts {
                worlds: 1,
                ..S3Counts::default()
            },
        }
    }

    fn play(&mut self) -> Result<(), String> {
        let mut current = None;
        for _ in 0..INTERRUPTIONS {
            let process = match current.take() {
                Some(process) => process,
                None => self.start_run(),
            };
            current = self.interrupt(process)?;
        }
        let mut last = match current {
            Some(process) => process,
            None => self.start_run(),
        };
        // It may have failed rows, or be one that another has fenced.
        for _ in 0..4 {
            match self.end(&mut last)?.code() {
                Some(0) => return self.run_once_more(),
                Some(1 | 6) => last = self.start_with_attempts("100"),
                code => return Err(self.failure(&last, &format!("exit code {code:?}"))),
            }
        }
        Err("rows fail although a row has 100 attempts".to_owned())
    }

    /// Lets a process work for a random time, and interrupts it. Returns the process that is at work then.
    fn interrupt(&mut self, mut process: Process) -> Result<Option<Process>, String> {
        let interruption = match self.rng.u8(..20) {
            0..8 => Interruption::Kill,
            8..10 => Interruption::Terminate,
            10..15 => Interruption::Stop,
            15..17 => Interruption::Hiccup,
            _ => Interruption::Rival,
        };
        // Before its first call too: while it reads, waits, and puts its fence.
        let (calls, requests) = (self.rng.u64(1..60), self.rng.usize(1..12));
        let counts_calls = self.rng.u8(..10) < 7;
        if self.wait_for_work(&mut process, counts_calls.then_some(calls).ok_or(requests))? {
            self.expect_end(&mut process, &[0, 1, 6])?;
            return Ok(None);
        }
        match interruption {
            Interruption::Kill => {
                self.counts.kills += 1;
                process.signal(Signal::KILL);
                let status = self.end(&mut process)?;
                if status.code().is_some_and(|code| !matches!(code, 0 | 1 | 6)) {
                    return Err(self.failure(&process, &format!("{status} of a killed process")));
                }
                Ok(None)
            }
            Interruption::Terminate => {
                self.counts.signals += 1;
                process.signal(Signal::TERM);
                let signalled = Instant::now();
                self.expect_end(&mut process, &[0, 1, 6, 143])?;
                if signalled.elapsed() > Duration::from_secs(15) {
                    return Err(self.failure(&process, "it took longer than 15 s to end"));
                }
                Ok(None)
            }
            Interruption::Stop => {
                self.counts.stops += 1;
                process.signal(Signal::STOP);
                let mut next = self.start_run();
                // It may also end by itself: what was left for it are rows that are done.
                let ended = self.wait_for_work(&mut next, Ok(1))?;
                process.signal(Signal::CONT);
                self.expect_end(&mut process, &[0, 1, 6])?;
                if ended {
                    self.expect_end(&mut next, &[0, 1, 6])?;
                    return Ok(None);
                }
                Ok(Some(next))
            }
            Interruption::Hiccup | Interruption::Rival => {
                self.counts.rivals += 1;
                let is_hiccup = matches!(interruption, Interruption::Hiccup);
                if is_hiccup {
                    process.signal(Signal::STOP);
                }
                let mut rival = self.start_run();
                let requests = self.rng.usize(1..6);
                let ended = self.wait_for_work(&mut rival, Err(requests))?;
                if is_hiccup {
                    process.signal(Signal::CONT);
                }
                if ended {
                    self.expect_end(&mut rival, &[0, 1, 6])?;
                    return Ok(Some(process));
                }
                self.wait_for_either(process, rival)
            }
        }
    }

    /// Waits until one of two processes has ended, and returns the other.
    fn wait_for_either(
        &mut self,
        mut one: Process,
        mut other: Process,
    ) -> Result<Option<Process>, String> {
        let period = Duration::from_millis(50);
        for _ in 0..PATIENCE.as_millis() / (2 * period.as_millis()) {
            if one.wait_for_end(period) {
                self.expect_end(&mut one, &[0, 1, 6])?;
                return Ok(Some(other));
            }
            if other.wait_for_end(period) {
                self.expect_end(&mut other, &[0, 1, 6])?;
                return Ok(Some(one));
            }
        }
        Err(self.failure(&other, "two processes go on beside each other"))
    }

    /// Waits until a process has made so many further calls, or so many further requests to the store. Returns true if it ends
    /// before.
    fn wait_for_work(
        &self,
        process: &mut Process,
        due: Result<u64, usize>,
    ) -> Result<bool, String> {
        let period = Duration::from_millis(100);
        let access_key = process.access_key.clone();
        let calls_of = || {
            let calls = self.emulator.calls();
            let of_it = calls.iter().filter(|call| call.access_key == access_key);
            of_it.count() as u64
        };
        let requests_of = |passages: &[Passage]| {
            let of_it = passages
                .iter()
                .filter(|passage| passage.access_key == access_key);
            of_it.count()
        };
        let calls_due = due.map(|calls| calls + calls_of());
        let requests_due = due.map_err(|requests| requests + requests_of(&self.proxy.passages()));
        for _ in 0..PATIENCE.as_millis() / period.as_millis() {
            let is_due = match (calls_due, requests_due) {
                (Ok(due), _) => {
                    // Only this process makes calls, or it and one that is stopped.
                    let all = self.emulator.counters().unlinks;
                    let missing = due.saturating_sub(calls_of());
                    let is_there = |counters: &Counters| counters.unlinks >= all + missing;
                    missing == 0 || self.emulator.wait_until(period, is_there) && calls_of() >= due
                }
                (_, Err(due)) => self.proxy.wait_until(period, |all| requests_of(all) >= due),
                (Err(_), Ok(_)) => unreachable!("both come from one"),
            };
            if is_due {
                return Ok(false);
            }
            if process.wait_for_end(Duration::ZERO) {
                return Ok(true);
            }
        }
        Err(self.failure(process, "it does nothing"))
    }

    /// Starts the next run, whose rows have few attempts.
    fn start_run(&mut self) -> Process {
        let attempts = self.rng.u32(2..6).to_string();
        self.start_with_attempts(&attempts)
    }

    fn start_with_attempts(&mut self, attempts: &str) -> Process {
        self.counts.processes += 1;
        let nth = self.counts.processes;
        let take_over_after = format!("{}s", TAKE_OVER_AFTER.as_secs());
        let results = self.results();
        let url = self.emulator.url();
        let args = [
            "people.csv",
            "--results",
            &results,
            "--endpoint-url",
            &url,
            "--rate",
            RATE,
            "--burst",
            "8",
            "--concurrency",
            "8",
            "--timeout",
            "300ms",
            "--take-over-after",
            &take_over_after,
            "--max-attempts",
            attempts,
            "--max-failures",
            "100%",
            "--json",
        ];
        let name = format!("run-{nth:03}");
        let access_key = format!("AKIDRUN{nth:03}");
        Process {
            program: Some(self.start(&name, "run", &args, &access_key)),
            name,
            access_key,
            has_ended: false,
        }
    }

    fn start(&self, name: &str, job: &str, args: &[&str], access_key: &str) -> Program {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let endpoint = self.proxy.url();
        let environment = [
            ("AWS_ENDPOINT_URL_S3", endpoint.as_str()),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", access_key),
        ];
        let none = Hardship::None;
        Program::start_with(&self.directory, job, name, &args, none, &environment)
    }

    fn results(&self) -> String {
        format!("s3://{BUCKET}/{}", self.prefix)
    }

    /// Waits for the end of a process.
    fn end(&mut self, process: &mut Process) -> Result<ExitStatus, String> {
        // A run takes as long as its faults last: only one that does nothing is stuck.
        let mut calls = None;
        while !process.wait_for_end(PATIENCE) {
            let now = Some(self.emulator.counters().unlinks);
            if calls == now {
                break;
            }
            calls = now;
        }
        let program = process.program.take().expect("it has not been waited for");
        let status = program.end(process.has_ended);
        let status = status.map_err(|why| self.failure(process, &why))?;
        self.counts.refused += u64::from(status.code() == Some(6));
        Ok(status)
    }

    /// Waits for the end of a process, whose exit code must be one of these.
    fn expect_end(&mut self, process: &mut Process, codes: &[i32]) -> Result<(), String> {
        let status = self.end(process)?;
        let is_expected = status.code().is_some_and(|code| codes.contains(&code));
        let failure = || self.failure(process, &format!("{status}"));
        is_expected.then_some(()).ok_or_else(failure)
    }

    /// Starts a run when all rows are done: it must make no calls.
    fn run_once_more(&mut self) -> Result<(), String> {
        let calls = self.emulator.counters().unlinks;
        let mut process = self.start_run();
        self.expect_end(&mut process, &[0])?;
        match self.emulator.counters().unlinks - calls {
            0 => Ok(()),
            more => Err(self.failure(&process, &format!("{more} calls although all are done"))),
        }
    }

    /// Checks what the world has left behind.
    fn check(&mut self) -> Result<(), String> {
        program::settle(&self.emulator)?;
        if !self.proxy.settle(PATIENCE) {
            return Err("requests to the store go on after the last process".to_owned());
        }
        if let Some(row) = self
            .rows
            .iter()
            .find(|row| self.emulator.is_linked(&row.link))
        {
            return Err(format!("{:?} is still linked", row.link));
        }
        let objects = self.store.objects(&self.prefix)?;
        let segments = segments::read(&self.prefix, &objects)?;
        let mut last = HashMap::new();
        let lines = segments.iter().flat_map(|segment| &segment.lines);
        let in_segments = lines.map(|line| last.insert(line.user.clone(), line.outcome.clone()));
        let in_segments = in_segments.count();
        let key_of = people::row_keys(&segments)?;
        let evidence = Evidence {
            rows: &self.rows,
            calls: self.emulator.calls(),
            passages: self.proxy.passages(),
            segments,
            emulator_started: self.emulator_started,
            take_over_after: TAKE_OVER_AFTER,
            key_of: &key_of,
        };
        checks::check(&evidence, &mut self.counts)?;
        self.counts.faults = self.proxy.faults().into_iter().collect();
        self.counts.emulator_faults = self.emulator.counters().faults.values().sum();
        self.check_merged(in_segments, &last)
    }

    /// Checks the results that `merge` writes: all lines of the segments, and no other.
    fn check_merged(&self, lines: usize, last: &HashMap<String, String>) -> Result<(), String> {
        let args = [&*self.results(), "--out", "merged.csv"];
        let merge = self.start("merge", "merge", &args, "AKIDMERGE");
        let code = merge.end(false)?.code();
        if code != Some(0) {
            let stderr = output(&self.directory, "merge", "stderr");
            return Err(format!("exit code {code:?} of merge: {stderr}"));
        }
        let names = ["developer_user_identifier", "outcome"];
        let merged = fields(&self.directory.join("merged.csv"), Format::Csv, names)?;
        if merged.len() != lines {
            let merged = merged.len();
            return Err(format!("{merged} lines are merged of {lines}"));
        }
        let merged: HashMap<_, _> = merged
            .into_iter()
            .map(|[user, outcome]| (user, outcome))
            .collect();
        (merged == *last)
            .then_some(())
            .ok_or_else(|| "the merged results have other outcomes than the segments".to_owned())
    }

    /// Writes the segments and the logs to the directory, for whoever looks into a failure.
    fn dump(&self) {
        let text = |what: String, name: &str| {
            fs::write(self.directory.join(name), what).expect("written");
        };
        let lines = |all: Vec<String>| all.join("\n") + "\n";
        let calls = self.emulator.calls();
        text(
            lines(calls.iter().map(|call| format!("{call:?}")).collect()),
            "calls",
        );
        let passages = self.proxy.passages();
        text(
            lines(
                passages
                    .iter()
                    .map(|passage| format!("{passage:?}"))
                    .collect(),
            ),
            "passages",
        );
        for (key, bytes) in self.store.objects(&self.prefix).unwrap_or_default() {
            let name = key.replace('/', "_");
            fs::write(self.directory.join(name), bytes).expect("written");
        }
    }

    /// Returns a message that names a process and quotes its standard error.
    fn failure(&self, process: &Process, what: &str) -> String {
        let stderr = output(&self.directory, &process.name, "stderr");
        format!("{what}, in {}; its standard error: {stderr}", process.name)
    }
}

impl Process {
    fn signal(&self, signal: Signal) {
        self.program.as_ref().expect("it runs").signal(signal);
    }

    /// Waits until it has ended, for at most `timeout`. Returns true if it has.
    fn wait_for_end(&mut self, timeout: Duration) -> bool {
        let program = self.program.as_ref().expect("it is waited for once");
        self.has_ended = self.has_ended || program.wait_for_end(timeout);
        self.has_ended
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After a failure it may be at work, or stopped.
        if let Some(program) = self.program.take() {
            program.signal(Signal::KILL);
            let _ = program.end(self.has_ended);
        }
    }
}
