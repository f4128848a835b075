//! One round: runs that are stopped at random moments, and a last one that is not.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use cognito_unlink::emulator::{Call, Counters, Emulator, Settings};
use fastrand::Rng;
use rustix::process::Signal;
use sha2::{Digest, Sha256};

use crate::book::{self, Format, Line};
use crate::counts::{self, Counts};
use crate::people::People;
use crate::program::{Hardship, PATIENCE, Program, said};
use crate::verdict::{End, Verdict};

/// Runs that are stopped.
const STOPS: usize = 60;
/// The hold list.
const HOLDS: &str = "holds.txt";
pub(crate) const CONCURRENCY: u64 = 16;

/// A line of a hold list for any user, line ends in its identifier or not.
fn hold(user: &str) -> String {
    format!("sha256:{}\n", hex::encode(Sha256::digest(user)))
}

struct Round {
    rng: Rng,
    directory: PathBuf,
    results: String,
    format: Format,
    emulator: Emulator,
    people: People,
    inputs: Vec<String>,
    verdict: Verdict,
    runs: usize,
    calls_known: usize,
    hardship: Hardship,
    /// Those on the hold list, as far as it was written when the last run began, and since.
    held: HashSet<String>,
    held_since: HashSet<String>,
    /// A side file of an earlier run.
    old_side_file: Option<Vec<u8>>,
}

/// How a run is stopped.
#[derive(Debug, Clone, Copy)]
enum Stop {
    Kill,
    Signal(Signal, i32),
    /// The second signal waits for nothing.
    Twice(Signal, i32),
}

/// Plays a round. What disagrees is told with the place where everything is left.
pub(crate) fn run(seed: u64, format: Format) -> Result<Counts, String> {
    let directory = tempfile::tempdir().expect("a directory").keep();
    let mut round = Round::new(seed, format, directory.clone());
    match round.play() {
        Ok(()) => {
            fs::remove_dir_all(&directory).expect("it is ours");
            Ok(round.verdict.counts)
        }
        Err(why) => Err(format!(
            "{why}\nEverything is left in {}",
            directory.display()
        )),
    }
}

impl Round {
    fn new(seed: u64, format: Format, directory: PathBuf) -> Self {
        let mut rng = Rng::with_seed(seed);
        let people = People::new(&mut rng);
        let emulator = Emulator::spawn(Settings {
            links: Some(people.links()),
            faults: counts::faults(),
            latency: Duration::from_millis(1),
            jitter: Duration::from_millis(4),
            seed,
            log: true,
            ..Settings::default()
        })
        .expect("an emulator");
        let inputs = people.write(&directory, &mut rng);
        Self {
            verdict: Verdict::new(people.all()),
            results: format!("people.results.{format}"),
            rng,
            directory,
            format,
            emulator,
            people,
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
        for _ in 0..STOPS {
            self.stopped_run()?;
            self.verdict.so_far()?;
            if self.rng.u8(..4) == 0 {
                self.cut_tail()?;
            }
            self.tamper_with_side_file();
            if self.rng.bool() {
                self.people.insert(self.rng.usize(..50));
                self.inputs = self.people.write(&self.directory, &mut self.rng);
            }
        }
        self.release_all();
        self.people.insert(usize::MAX);
        self.inputs = self.people.write(&self.directory, &mut self.rng);
        // Faults fly on, but with so many attempts none of them is the last word.
        self.run_to_the_end()?;
        self.verdict.counts.seen(&self.emulator.counters());
        let emulator = &self.emulator;
        self.verdict
            .at_the_end(self.people.all(), |person| emulator.is_linked(&person.link));
        self.verdict.so_far()?;
        self.run_for_nothing()
    }

    /// A run that is stopped at a random moment.
    fn stopped_run(&mut self) -> Result<(), String> {
        let stop = match self.rng.u8(..20) {
            0..16 => Stop::Kill,
            16 => Stop::Signal(Signal::INT, 130),
            17 | 18 => Stop::Signal(Signal::TERM, 143),
            _ => Stop::Twice(Signal::INT, 130),
        };
        let attempts = self.rng.u32(1..4).to_string();
        let torn = self.torn();
        self.hardship = match self.rng.u8(..8) {
            0 => Hardship::BlockedStandardError,
            1 => Hardship::SlowCredentials,
            _ => Hardship::None,
        };
        self.hold_some();
        let mut more = vec!["--max-attempts", &attempts, "--hold", HOLDS];
        if self.hardship == Hardship::BlockedStandardError {
            more.push("-vv");
        }
        let program = self.start(&more);
        let mut ended = self.reach_a_moment(&program)?;
        if !ended && self.rng.u8(..4) == 0 {
            self.grow_list();
            ended = self.reach_a_moment(&program)?;
        }
        if !ended {
            match stop {
                Stop::Kill => program.signal(Signal::KILL),
                Stop::Signal(signal, _) => program.signal(signal),
                Stop::Twice(signal, _) => {
                    program.signal(signal);
                    program.signal(signal);
                }
            }
        }
        let code = program.end(ended)?.code();
        let end = match (code, stop) {
            (None, Stop::Kill) => End::Killed,
            (Some(code), Stop::Signal(_, due) | Stop::Twice(_, due)) if code == due => End::Itself,
            // It was done before the signal came.
            (Some(0 | 1), _) => End::Itself,
            (code, stop) => return Err(self.told(&format!("exit code {code:?} after {stop:?}"))),
        };
        match (ended, end) {
            (true, _) => {}
            (_, End::Killed) => self.verdict.counts.kills += 1,
            _ => self.verdict.counts.signals += 1,
        }
        self.examine(end, torn)?;
        self.hold_against_code(code);
        Ok(())
    }

    /// Waits for a random number of further calls to begin, to be over, or to take effect. Says whether the run has
    /// ended by itself before.
    fn reach_a_moment(&mut self, program: &Program) -> Result<bool, String> {
        let count: fn(&Counters) -> u64 = match self.rng.u8(..4) {
            0 => |seen| seen.unlinks - seen.in_flight,
            1 => |seen| seen.effects,
            _ => |seen| seen.unlinks,
        };
        let further = match self.rng.u8(..8) {
            0..2 => self.rng.u64(1..6),
            7 => self.rng.u64(1..200),
            _ => self.rng.u64(1..60),
        };
        let due = count(&self.emulator.counters()) + further;
        // It looks up now and then, since nobody calls any more when a run has ended before its time.
        let look_up = Duration::from_millis(500);
        for _ in 0..PATIENCE.as_millis() / look_up.as_millis() {
            if self.emulator.wait_until(look_up, |seen| count(seen) >= due) {
                return Ok(false);
            }
            if program.has_ended() {
                return Ok(true);
            }
        }
        Err(self.told("the run makes no calls"))
    }

    fn run_to_the_end(&mut self) -> Result<(), String> {
        let torn = self.torn();
        self.hardship = Hardship::None;
        let done = self.count_present(|round, user| round.verdict.is_done(user));
        let code = self.start(&["--max-attempts", "100"]).end(false)?.code();
        if code != Some(0) {
            return Err(self.told(&format!("exit code {code:?} of the last run")));
        }
        self.examine(End::Itself, torn)?;
        self.hold_against_code(code);
        let summary = self.summary()?;
        let rows = self.people.all().len() as u64;
        let number = |key: &str| summary[key].as_u64();
        if [number("rows"), number("left"), number("skipped")] != [Some(rows), Some(0), Some(done)]
        {
            return Err(self.told(&format!(
                "{rows} rows, {done} of them done, are told as {summary}"
            )));
        }
        if self
            .directory
            .join(self.results.clone() + ".inflight")
            .exists()
        {
            return Err(self.told("the side file outlives the end of all"));
        }
        Ok(())
    }

    /// Once all is done, a run calls nobody and changes nothing.
    fn run_for_nothing(&mut self) -> Result<(), String> {
        let (calls, before) = (self.emulator.counters().unlinks, self.book());
        let code = self.start(&[]).end(false)?.code();
        let calls = self.emulator.counters().unlinks - calls;
        if (code, calls) != (Some(0), 0) || self.book() != before {
            return Err(self.told(&format!(
                "exit code {code:?} and {calls} calls after the end of all"
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
            // The users hold what files take for their own, and are meant as they stand.
            .chain(["--timeout", "300ms", "--json", "--as-is", "all"])
            .chain(more.iter().copied())
            .map(str::to_owned)
            .collect::<Vec<_>>();
        Program::start(&self.directory, &self.name(), &args, self.hardship)
    }

    /// The last run's name, under which it speaks.
    fn name(&self) -> String {
        format!("run-{:03}", self.runs)
    }

    /// Holds what the last run has done against what was known before. `torn`: bytes of a torn line that it found.
    fn examine(&mut self, end: End, torn: usize) -> Result<(), String> {
        self.settle_emulator()?;
        let calls = self.new_calls();
        let told = |why| format!("{why} after {}", self.name());
        let lines = self.lines().map_err(told)?;
        let stderr = said(&self.directory, &self.name(), "stderr");
        let cuts = stderr.contains("torn last line");
        // A person is told 1,239 bytes.
        let told_bytes = stderr.replace(',', "").contains(&format!("of {torn} byte"));
        let is_heard = self.hardship != Hardship::BlockedStandardError;
        if is_heard && (cuts != (torn > 0) || cuts && !told_bytes) {
            return Err(self.told(&format!(
                "{torn} bytes of a torn line were told as {stderr:?}"
            )));
        }
        let since = std::mem::take(&mut self.held_since);
        self.verdict.run(&calls, lines, end, &self.held, &since);
        self.held.extend(since);
        Ok(())
    }

    /// What the exit code says of the rows is so.
    fn hold_against_code(&mut self, code: Option<i32>) {
        let all = self.people.present().len() as u64;
        let done = self.count_present(|round, user| round.verdict.is_done(user));
        let told = self.count_present(|round, user| round.verdict.is_told(user));
        // Who is held keeps nobody from being done.
        let held = self
            .count_present(|round, user| round.held.contains(user) && !round.verdict.is_done(user));
        let right = match code {
            Some(0) => done + held == all,
            Some(1) => told == all && done < all,
            _ => true,
        };
        if !right {
            let what = format!("exit code {code:?}: of {all} rows {done} are done and {told} told");
            self.verdict.disagree(what);
        }
    }

    fn count_present(&self, is: impl Fn(&Self, &str) -> bool) -> u64 {
        let present = self.people.present().iter();
        present
            .filter(|person| is(self, &person.link.developer_user_identifier))
            .count() as u64
    }

    /// Waits until the emulator has seen all that a dead program sent, and the end of all its connections: otherwise its
    /// calls could not be told from those of the next run.
    fn settle_emulator(&self) -> Result<(), String> {
        let address = self.emulator.url().replace("http://", "");
        // Whoever asks after the program's end is heard after everything that it sent; the second time, also after what
        // the first answer may have overtaken.
        for _ in 0..2 {
            let mut answer = Vec::new();
            TcpStream::connect(&address)
                .and_then(|mut stream| {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    write!(
                        stream,
                        "GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
                    )?;
                    stream.read_to_end(&mut answer)
                })
                .map_err(|error| format!("the emulator does not answer: {error}"))?;
        }
        let over = self
            .emulator
            .wait_until(PATIENCE, |seen| seen.in_flight == 0);
        over.then_some(())
            .ok_or_else(|| "calls go on after the program's end".to_owned())
    }

    /// Puts some of those that are present on the hold list, before a run.
    fn hold_some(&mut self) {
        for _ in 0..self.rng.usize(..4) {
            let user = self.anybody();
            self.held.insert(user);
        }
        let list: Vec<_> = self.held.iter().map(|user| hold(user)).collect();
        fs::write(self.directory.join(HOLDS), list.concat()).expect("written");
    }

    /// Puts some more on the list, in the middle of a run.
    fn grow_list(&mut self) {
        let mut list = File::options()
            .append(true)
            .open(self.directory.join(HOLDS))
            .expect("a list");
        for _ in 0..3 {
            let user = self.anybody();
            list.write_all(hold(&user).as_bytes()).expect("written");
            self.held_since.insert(user);
        }
    }

    fn anybody(&mut self) -> String {
        let present = self.people.present();
        let person = &present[self.rng.usize(..present.len())];
        person.link.developer_user_identifier.clone()
    }

    /// The last run has no list.
    fn release_all(&mut self) {
        self.held.clear();
    }

    /// A side file that is damaged, cut, or another run's. Whom it named is not known any more, so all are in doubt, and nobody is
    /// told not to have been linked.
    fn tamper_with_side_file(&mut self) {
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
            self.verdict.counts.tampered += 1;
            fs::write(&path, bytes).expect("written");
        }
        self.old_side_file = Some(whole);
    }

    /// Calls since the last time.
    fn new_calls(&mut self) -> Vec<Call> {
        let calls = self.emulator.calls();
        let known = std::mem::replace(&mut self.calls_known, calls.len());
        calls[known..].to_vec()
    }

    /// A crash that takes the last bytes, which had not reached the disk.
    fn cut_tail(&mut self) -> Result<(), String> {
        let book = self.book();
        let most = book.len().min(700);
        if most == 0 {
            return Ok(());
        }
        let left = book.len() - self.rng.usize(1..=most);
        fs::write(self.path(), &book[..left]).expect("written");
        let lines = self.lines()?;
        self.verdict.cut(&lines);
        Ok(())
    }

    fn path(&self) -> PathBuf {
        self.directory.join(&self.results)
    }

    fn book(&self) -> Vec<u8> {
        fs::read(self.path()).unwrap_or_default()
    }

    /// Bytes of a torn last line.
    fn torn(&self) -> usize {
        let book = self.book();
        book.len() - book::whole(&book, self.format)
    }

    fn lines(&self) -> Result<Vec<Line>, String> {
        let book = self.book();
        book::lines(&book[..book::whole(&book, self.format)], self.format)
    }

    fn summary(&self) -> Result<serde_json::Value, String> {
        let stdout = said(&self.directory, &self.name(), "stdout");
        serde_json::from_str(&stdout).map_err(|error| self.told(&format!("{error}: {stdout:?}")))
    }

    /// What is wrong, with which run and what it said.
    fn told(&self, what: &str) -> String {
        let stderr = said(&self.directory, &self.name(), "stderr");
        format!("{what}, in {}; it said {stderr:?}", self.name())
    }
}
