//! Plays a round: runs that are stopped at random moments, and a last one that is not.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use cognito_unlink::testing::emulator::{Call, Counters, Emulator, Settings};
use fastrand::Rng;
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::checks::{Checks, RunEnd};
use crate::counts::{self, Counts};
use crate::program::{self, Hardship, PATIENCE, Program, output};
use crate::results_file::{self, Format, Line};
use crate::rows::Rows;

/// Runs of a round that are stopped.
const STOPPED_RUNS: usize = 60;
/// Name of the hold list.
const HOLD_LIST: &str = "holds.txt";
/// `--concurrency` of every run.
pub(crate) const CONCURRENCY: u64 = 16;

/// Returns a user's line in a hold list: a hash, as the identifier may have line ends in it.
fn hold_line(user: &str) -> String {
    format!("sha256:{}\n", hex::encode(Sha256::digest(user)))
}

struct Round {
    rng: Rng,
    directory: PathBuf,
    results: String,
    format: Format,
    emulator: Emulator,
    rows: Rows,
    inputs: Vec<String>,
    checks: Checks,
    runs: usize,
    calls_known: usize,
    hardship: Hardship,
    /// Users that were on the hold list when the last run began.
    held: HashSet<String>,
    /// Users that were put on the list during the last run.
    held_since: HashSet<String>,
    /// The side file that the run before left.
    old_side_file: Option<Vec<u8>>,
}

/// A way to stop a run, with the exit code that it must have.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    Kill,
    Signal(Signal, i32),
    /// The second signal ends the run at once.
    Twice(Signal, i32),
}

/// Plays a round, and returns its numbers. An error names the directory where all files are left.
pub(crate) fn run(seed: u64, format: Format) -> Result<Counts, String> {
    let directory = tempfile::tempdir().expect("a directory").keep();
    let mut round = Round::new(seed, format, directory.clone());
    match round.play() {
        Ok(()) => {
            fs::remove_dir_all(&directory).expect("it is ours");
            Ok(round.checks.counts)
        }
        Err(why) => Err(format!(
            "{why}\nAll files are left in {}",
            directory.display()
        )),
    }
}

impl Round {
    fn new(seed: u64, format: Format, directory: PathBuf) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rows = Rows::new(&mut rng);
        let emulator = Emulator::spawn(Settings {
            links: Some(rows.links()),
            faults: counts::faults(),
            latency: Duration::from_millis(1),
            jitter: Duration::from_millis(4),
            seed,
            log: true,
            ..Settings::default()
        })
        .expect("an emulator");
        let inputs = rows.write(&directory, &mut rng);
        Self {
            checks: Checks::new(rows.all()),
            results: format!("people.results.{format}"),
            rng,
            directory,
            format,
            emulator,
            rows,
            inputs,
            runs: 0,
            calls_known: 0,
            hardship: Hardship::None,
            held: HashSet::new(),
            held_since: HashSet::new(),
            old_side_file: None,
        }
    }

    fn play(&mut self) -> Result<(), String> {
        for _ in 0..STOPPED_RUNS {
            self.run_until_stopped()?;
            self.checks.result()?;
            if self.rng.u8(..4) == 0 {
                self.cut_tail()?;
            }
            self.damage_side_file();
            if self.rng.bool() {
                self.rows.insert(self.rng.usize(..50));
                self.inputs = self.rows.write(&self.directory, &mut self.rng);
            }
        }
        // The last run has no hold list.
        self.held.clear();
        self.rows.insert(usize::MAX);
        self.inputs = self.rows.write(&self.directory, &mut self.rng);
        // Faults go on, but a row has so many attempts that none of them is the last.
        self.run_to_the_end()?;
        self.checks.counts.set_emulator(&self.emulator.counters());
        let emulator = &self.emulator;
        self.checks
            .check_totals(self.rows.all(), |row| emulator.is_linked(&row.link));
        self.checks.result()?;
        self.run_once_more()
    }

    /// Starts a run, and stops it at a random moment.
    fn run_until_stopped(&mut self) -> Result<(), String> {
        let interruption = match self.rng.u8(..20) {
            0..16 => Interruption::Kill,
            16 => Interruption::Signal(Signal::INT, 130),
            17 | 18 => Interruption::Signal(Signal::TERM, 143),
            _ => Interruption::Twice(Signal::INT, 130),
        };
        let attempts = self.rng.u32(1..4).to_string();
        let torn = self.torn();
        self.hardship = match self.rng.u8(..8) {
            0 => Hardship::BlockedStandardError,
            1 => Hardship::SlowCredentials,
            _ => Hardship::None,
        };
        self.hold_some();
        let mut more = vec!["--max-attempts", &attempts, "--hold", HOLD_LIST];
        if self.hardship == Hardship::BlockedStandardError {
            more.push("-vv");
        }
        let program = self.start(&more);
        let mut ended = self.wait_for_calls(&program)?;
        if !ended && self.rng.u8(..4) == 0 {
            self.append_to_hold_list();
            ended = self.wait_for_calls(&program)?;
        }
        if !ended {
            match interruption {
                Interruption::Kill => program.signal(Signal::KILL),
                Interruption::Signal(signal, _) => program.signal(signal),
                Interruption::Twice(signal, _) => {
                    program.signal(signal);
                    program.signal(signal);
                }
            }
        }
        let code = program.end(ended)?.code();
        let end = match (code, interruption) {
            (None, Interruption::Kill) => RunEnd::Killed,
            (Some(code), Interruption::Signal(_, due) | Interruption::Twice(_, due))
                if code == due =>
            {
                RunEnd::Orderly
            }
            // It ended before the signal.
            (Some(0 | 1), _) => RunEnd::Orderly,
            _ => return Err(self.failure(&format!("exit code {code:?} after {interruption:?}"))),
        };
        match (ended, end) {
            (true, _) => {}
            (_, RunEnd::Killed) => self.checks.counts.kills += 1,
            _ => self.checks.counts.signals += 1,
        }
        self.check_run(end, torn)?;
        self.check_exit_code(code);
        Ok(())
    }

    /// Waits until a random number of further calls have begun, have ended, or have taken effect. Returns true if the run ends
    /// before.
    fn wait_for_calls(&mut self, program: &Program) -> Result<bool, String> {
        let count: fn(&Counters) -> u64 = match self.rng.u8(..4) {
            0 => |counters| counters.unlinks - counters.in_flight,
            1 => |counters| counters.effects,
            _ => |counters| counters.unlinks,
        };
        let further = match self.rng.u8(..8) {
            0..2 => self.rng.u64(1..6),
            7 => self.rng.u64(1..200),
            _ => self.rng.u64(1..60),
        };
        let due = count(&self.emulator.counters()) + further;
        // A run that has ended makes no further calls, so the wait is broken off now and then to look for its end.
        let period = Duration::from_millis(500);
        for _ in 0..PATIENCE.as_millis() / period.as_millis() {
            let is_due = |counters: &Counters| count(counters) >= due;
            if self.emulator.wait_until(period, is_due) {
                return Ok(false);
            }
            if program.has_ended() {
                return Ok(true);
            }
        }
        Err(self.failure("the run makes no calls"))
    }

    fn run_to_the_end(&mut self) -> Result<(), String> {
        let torn = self.torn();
        self.hardship = Hardship::None;
        let done = self.count_present(|round, user| round.checks.is_done(user));
        let code = self.start(&["--max-attempts", "100"]).end(false)?.code();
        if code != Some(0) {
            return Err(self.failure(&format!("exit code {code:?} of the last run")));
        }
        self.check_run(RunEnd::Orderly, torn)?;
        self.check_exit_code(code);
        let summary = self.summary()?;
        let rows = self.rows.all().len() as u64;
        let number = |key: &str| summary[key].as_u64();
        if [number("rows"), number("left"), number("skipped")] != [Some(rows), Some(0), Some(done)]
        {
            return Err(self.failure(&format!(
                "of {rows} rows {done} were done before, but the summary is {summary}"
            )));
        }
        if self
            .directory
            .join(self.results.clone() + ".inflight")
            .exists()
        {
            return Err(self.failure("a side file is left although all rows are done"));
        }
        Ok(())
    }

    /// Starts a run when all rows are done: it must make no calls and leave the results as they are.
    fn run_once_more(&mut self) -> Result<(), String> {
        let (calls, before) = (self.emulator.counters().unlinks, self.results_bytes());
        let code = self.start(&[]).end(false)?.code();
        let calls = self.emulator.counters().unlinks - calls;
        if (code, calls) != (Some(0), 0) || self.results_bytes() != before {
            return Err(self.failure(&format!(
                "exit code {code:?} and {calls} calls although all rows are done"
            )));
        }
        Ok(())
    }

    /// Starts the next run.
    fn start(&mut self, more: &[&str]) -> Program {
        self.runs += 1;
        let url = self.emulator.url();
        let concurrency = CONCURRENCY.to_string();
        let args = self
            .inputs
            .iter()
            .map(String::as_str)
            .chain(["--results", &self.results, "--endpoint-url", &url])
            .chain(["--rate", "unlimited", "--concurrency", &concurrency])
            // Users with special characters are meant as they are.
            .chain(["--timeout", "300ms", "--json", "--as-is", "all"])
            .chain(more.iter().copied())
            .map(str::to_owned)
            .collect::<Vec<_>>();
        Program::start(&self.directory, "run", &self.name(), &args, self.hardship)
    }

    /// Returns the last run's name, which begins the names of its output files.
    fn name(&self) -> String {
        format!("run-{:03}", self.runs)
    }

    /// Checks what the last run did against what was known before. `torn` is the length of the torn line that it found.
    fn check_run(&mut self, end: RunEnd, torn: usize) -> Result<(), String> {
        program::settle(&self.emulator)?;
        let calls = self.new_calls();
        let name_run = |why| format!("{why} after {}", self.name());
        let lines = self.lines().map_err(name_run)?;
        let stderr = output(&self.directory, &self.name(), "stderr");
        let cuts = stderr.contains("torn last line");
        // The message has separators, as in 1,239 bytes.
        let is_exact = stderr.replace(',', "").contains(&format!("of {torn} byte"));
        let is_read = self.hardship != Hardship::BlockedStandardError;
        if is_read && (cuts != (torn > 0) || cuts && !is_exact) {
            return Err(self.failure(&format!(
                "the last line had {torn} torn bytes, but standard error is {stderr:?}"
            )));
        }
        let since = std::mem::take(&mut self.held_since);
        self.checks
            .check_run(&calls, lines, end, &self.held, &since);
        self.held.extend(since);
        Ok(())
    }

    /// Checks that the exit code fits the rows.
    fn check_exit_code(&mut self, code: Option<i32>) {
        let all = self.rows.present().len() as u64;
        let done = self.count_present(|round, user| round.checks.is_done(user));
        let recorded = self.count_present(|round, user| round.checks.is_recorded(user));
        // Held rows do not count as failures.
        let held = self
            .count_present(|round, user| round.held.contains(user) && !round.checks.is_done(user));
        let is_right = match code {
            Some(0) => done + held == all,
            Some(1) => recorded == all && done < all,
            _ => true,
        };
        if !is_right {
            self.checks.disagree(format!(
                "exit code {code:?}: of {all} rows {done} are done and {recorded} recorded"
            ));
        }
    }

    fn count_present(&self, is: impl Fn(&Self, &str) -> bool) -> u64 {
        let present = self.rows.present().iter();
        present
            .filter(|row| is(self, &row.link.developer_user_identifier))
            .count() as u64
    }

    /// Puts some of the present users on the hold list, before a run.
    fn hold_some(&mut self) {
        for _ in 0..self.rng.usize(..4) {
            let user = self.random_user();
            self.held.insert(user);
        }
        let list: Vec<_> = self.held.iter().map(|user| hold_line(user)).collect();
        fs::write(self.directory.join(HOLD_LIST), list.concat()).expect("written");
    }

    /// Puts further users on the hold list, during a run.
    fn append_to_hold_list(&mut self) {
        let mut list = File::options()
            .append(true)
            .open(self.directory.join(HOLD_LIST))
            .expect("a list");
        for _ in 0..3 {
            let user = self.random_user();
            list.write_all(hold_line(&user).as_bytes())
                .expect("written");
            self.held_since.insert(user);
        }
    }

    fn random_user(&mut self) -> String {
        let present = self.rows.present();
        let row = &present[self.rng.usize(..present.len())];
        row.link.developer_user_identifier.clone()
    }

    /// Sometimes cuts the side file, flips a bit of it, or replaces it by an earlier run's. The next run cannot know then which
    /// rows were in flight: it must take all rows for in doubt, and record none of them as `not_linked`.
    fn damage_side_file(&mut self) {
        let path = self.directory.join(self.results.clone() + ".inflight");
        let Ok(mut bytes) = fs::read(&path) else {
            return;
        };
        let whole = bytes.clone();
        match self.rng.u8(..16) {
            0 => bytes.truncate(self.rng.usize(..bytes.len())),
            1 => {
                let at = self.rng.usize(..bytes.len());
                bytes[at] ^= 1 << self.rng.u8(..8);
            }
            2 => bytes = self.old_side_file.clone().unwrap_or(bytes),
            _ => {}
        }
        if bytes != whole {
            self.checks.counts.damaged += 1;
            fs::write(&path, bytes).expect("written");
        }
        self.old_side_file = Some(whole);
    }

    /// Returns the calls since it was last called.
    fn new_calls(&mut self) -> Vec<Call> {
        let calls = self.emulator.calls();
        let known = std::mem::replace(&mut self.calls_known, calls.len());
        calls[known..].to_vec()
    }

    /// Cuts the tail of the results, as a crash does before the last bytes have reached the disk.
    fn cut_tail(&mut self) -> Result<(), String> {
        let bytes = self.results_bytes();
        let most = bytes.len().min(700);
        if most == 0 {
            return Ok(());
        }
        let left = bytes.len() - self.rng.usize(1..=most);
        fs::write(self.path(), &bytes[..left]).expect("written");
        let lines = self.lines()?;
        self.checks.note_cut(&lines);
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.results)
    }

    fn results_bytes(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap_or_default()
    }

    /// Returns the length of a torn last line.
    fn torn(&self) -> usize {
        let bytes = self.results_bytes();
        bytes.len() - results_file::whole_lines(&bytes, self.format)
    }

    fn lines(&self) -> Result<Vec<Line>, String> {
        let bytes = self.results_bytes();
        let whole = results_file::whole_lines(&bytes, self.format);
        results_file::parse(&bytes[..whole], self.format)
    }

    fn summary(&self) -> Result<serde_json::Value, String> {
        let stdout = output(&self.directory, &self.name(), "stdout");
        serde_json::from_str(&stdout).map_err(|error| self.failure(&format!("{error}: {stdout:?}")))
    }

    /// Returns a message that names the last run and quotes its standard error.
    fn failure(&self, what: &str) -> String {
        let stderr = output(&self.directory, &self.name(), "stderr");
        format!("{what}, in {}; its standard error: {stderr:?}", self.name())
    }
}
