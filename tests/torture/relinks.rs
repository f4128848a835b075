//! A round of `relink`: runs that are killed at random moments, and a last one that is not. In the end every user is linked to its
//! old identity again, and the results say so once.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use cognito_unlink::testing::emulator::{Counters, Emulator, Link, Settings};
use fastrand::Rng;
use rustix::process::Signal;

use crate::counts;
use crate::lookups::{failure, fields};
use crate::program::{Hardship, PATIENCE, Program};
use crate::results_file::Format;
use crate::rows::{POOL, PROVIDER};

/// Runs of a round that are killed.
const KILLED_RUNS: usize = 40;
/// Users, each with an identity of their own.
const USERS: usize = 300;
/// The operation that is counted.
const RELINK: &str = "GetOpenIdTokenForDeveloperIdentity";

/// The numbers of a round.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct RelinkCounts {
    pub(crate) kills: u64,
    pub(crate) rows: u64,
    pub(crate) calls: u64,
}

impl RelinkCounts {
    /// Adds the numbers of another round.
    pub(crate) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.rows += other.rows;
        self.calls += other.calls;
    }
}

impl fmt::Display for RelinkCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "relink: {} kills; {} rows, each linked again to its old identity, and recorded once; {} calls",
            self.kills, self.rows, self.calls
        )
    }
}

/// Plays a round, and returns its numbers. An error names the directory where all files are left.
pub(crate) fn run(seed: u64, format: Format) -> Result<RelinkCounts, String> {
    let directory = tempfile::tempdir().expect("a directory").keep();
    let counts = play(seed, format, &directory);
    match &counts {
        Ok(_) => fs::remove_dir_all(&directory).expect("it is ours"),
        Err(_) => println!("All files are left in {}", directory.display()),
    }
    counts
}

fn play(seed: u64, format: Format, directory: &Path) -> Result<RelinkCounts, String> {
    let mut rng = Rng::with_seed(seed);
    let links: Vec<Link> = (0..USERS).map(link).collect();
    let emulator = Emulator::spawn(Settings {
        links: Some(links.clone()),
        faults: counts::faults(),
        latency: Duration::from_millis(1),
        jitter: Duration::from_millis(4),
        seed,
        ..Settings::default()
    })
    .expect("an emulator");
    fs::write(directory.join("people.csv"), input(&links)).expect("written");
    let results = format!("people.results.{format}");
    let start = |job: &str, nth: usize, args: &[&str]| {
        let url = emulator.url();
        let shared = [
            "--endpoint-url",
            &url,
            "--rate",
            "unlimited",
            "--timeout",
            "300ms",
        ];
        let args = args.iter().chain(&shared).map(|arg| (*arg).to_owned());
        let args: Vec<String> = args.collect();
        Program::start(
            directory,
            job,
            &format!("run-{nth:03}"),
            &args,
            Hardship::None,
        )
    };
    let unlink = ["people.csv", "--results", &results, "--max-attempts", "100"];
    let code = start("run", 0, &unlink).end(false)?.code();
    if code != Some(0) {
        return Err(failure(directory, 0, &format!("exit code {code:?}")));
    }
    let relink = |nth: usize, attempts: &str| {
        let args = [
            &results,
            "--all",
            "--include-reply-lost",
            "--max-failures",
            "100%",
        ];
        start(
            "relink",
            nth,
            &[&args[..], &["--max-attempts", attempts]].concat(),
        )
    };
    let mut counts = RelinkCounts {
        rows: USERS as u64,
        ..RelinkCounts::default()
    };
    for nth in 1..=KILLED_RUNS {
        let program = relink(nth, &rng.u32(2..6).to_string());
        let due = relinks(&emulator.counters()) + rng.u64(1..14);
        let ended = wait_for_calls(&emulator, &program, due)?;
        if !ended {
            program.signal(Signal::KILL);
        }
        match (ended, program.end(ended)?.code()) {
            (false, None) => counts.kills += 1,
            (_, Some(0 | 1)) => {}
            (_, code) => return Err(failure(directory, nth, &format!("exit code {code:?}"))),
        }
    }
    let code = relink(KILLED_RUNS + 1, "100").end(false)?.code();
    if code != Some(0) {
        let why = format!("exit code {code:?} of the last run");
        return Err(failure(directory, KILLED_RUNS + 1, &why));
    }
    counts.calls = relinks(&emulator.counters());
    check(directory, &results, format, &emulator, &links)?;
    Ok(counts)
}

fn link(n: usize) -> Link {
    Link {
        identity_id: format!("us-east-1:00000000-0000-4000-8000-{n:012x}"),
        identity_pool_id: POOL.to_owned(),
        developer_provider_name: PROVIDER.to_owned(),
        developer_user_identifier: format!("acct-{n}"),
    }
}

fn input(links: &[Link]) -> String {
    let header = "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n";
    let row = |link: &Link| {
        let (identity, user) = (&link.identity_id, &link.developer_user_identifier);
        format!("{identity},{POOL},{PROVIDER},{user}\n")
    };
    links
        .iter()
        .map(row)
        .fold(header.to_owned(), |text, row| text + &row)
}

/// Returns the number of relinks that have begun.
fn relinks(counters: &Counters) -> u64 {
    counters.operations.get(RELINK).copied().unwrap_or(0)
}

/// Waits until this many relinks have begun. Returns true if the run ends before.
fn wait_for_calls(emulator: &Emulator, program: &Program, due: u64) -> Result<bool, String> {
    let period = Duration::from_millis(200);
    for _ in 0..PATIENCE.as_millis() / period.as_millis() {
        if emulator.wait_until(period, |counters| relinks(counters) >= due) {
            return Ok(false);
        }
        if program.has_ended() {
            return Ok(true);
        }
    }
    Err("the run makes no calls".to_owned())
}

fn check(
    directory: &Path,
    results: &str,
    format: Format,
    emulator: &Emulator,
    links: &[Link],
) -> Result<(), String> {
    if let Some(lost) = links.iter().find(|link| !emulator.is_linked(link)) {
        return Err(format!("{} is not linked", lost.developer_user_identifier));
    }
    let names = ["developer_user_identifier", "outcome"];
    let mut recorded: HashMap<String, Vec<String>> = HashMap::new();
    for [user, outcome] in fields(&directory.join(results), format, names)? {
        recorded.entry(user).or_default().push(outcome);
    }
    for link in links {
        let outcomes = recorded.remove(&link.developer_user_identifier);
        let outcomes = outcomes.unwrap_or_default();
        let is_once = matches!(&outcomes[..], [unlinked, relinked]
            if unlinked.starts_with("unlinked") && relinked == "relinked");
        if !is_once {
            let user = &link.developer_user_identifier;
            return Err(format!("the results have {outcomes:?} of {user}"));
        }
    }
    // Nobody else links anybody.
    let record = directory.join(format!("people.relinked.{format}"));
    for [user, outcome] in fields(&record, format, names)? {
        if !matches!(&*outcome, "relinked" | "failed" | "in_doubt") {
            return Err(format!("the record has {outcome} of {user}"));
        }
    }
    Ok(())
}
