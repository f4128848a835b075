//! A round of `resolve`: runs that are killed at random moments, and a last one that is not. In the end every link that a row
//! reaches stands in the file of links once, and every row without a link in the other file, once and with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cognito_unlink::testing::emulator::{
    Counters, Emulator, Link, Settings, Undocumented, UnknownUserAnswer,
};
use fastrand::Rng;
use rustix::process::Signal;

use crate::counts;
use crate::program::{Hardship, PATIENCE, Program, output};
use crate::results_file::Format;
use crate::rows::{POOL, PROVIDER};

/// Runs of a round that are killed.
const KILLED_RUNS: usize = 40;
/// Identities of the pool.
const IDENTITIES: usize = 200;
/// `--max-users`: more than any identity has.
const MAX_USERS: &str = "200";
/// The operation that is counted.
const LOOKUP: &str = "LookupDeveloperIdentity";

/// The numbers of a round.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LookupCounts {
    pub(crate) kills: u64,
    /// Cuts of the tail of the file of links, by up to a few lines.
    pub(crate) cuts: u64,
    pub(crate) rows: u64,
    pub(crate) links: u64,
    pub(crate) unresolved: u64,
    pub(crate) calls: u64,
}

impl LookupCounts {
    /// Adds the numbers of another round.
    pub(crate) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.cuts += other.cuts;
        self.rows += other.rows;
        self.links += other.links;
        self.unresolved += other.unresolved;
        self.calls += other.calls;
    }
}

impl fmt::Display for LookupCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "resolve: {} kills, {} cuts; {} rows, {} links and {} rows without one, each once; {} look-ups",
            self.kills, self.cuts, self.rows, self.links, self.unresolved, self.calls
        )
    }
}

/// What the rows of the input ask for, and what they must find.
struct Questions {
    text: String,
    rows: u64,
    /// Identity and user of each link that a row reaches.
    links: BTreeSet<(String, String)>,
    /// The reason of each row without a link, by what it names.
    reasons: BTreeMap<String, &'static str>,
}

/// Plays a round, and returns its numbers. An error names the directory where all files are left.
pub(crate) fn run(seed: u64, format: Format) -> Result<LookupCounts, String> {
    let directory = tempfile::tempdir().expect("a directory").keep();
    let counts = play(seed, format, &directory);
    match &counts {
        Ok(_) => fs::remove_dir_all(&directory).expect("it is ours"),
        Err(_) => println!("All files are left in {}", directory.display()),
    }
    counts
}

fn play(seed: u64, format: Format, directory: &Path) -> Result<LookupCounts, String> {
    let mut rng = Rng::with_seed(seed);
    let links = links(&mut rng);
    let emulator = Emulator::spawn(Settings {
        links: Some(links.clone()),
        faults: counts::faults(),
        latency: Duration::from_millis(1),
        jitter: Duration::from_millis(4),
        undocumented: Undocumented {
            when_unknown_user: UnknownUserAnswer::ResourceNotFound,
            ..Undocumented::default()
        },
        seed,
        ..Settings::default()
    })
    .expect("an emulator");
    let questions = questions(&links, &mut rng);
    fs::write(directory.join("people.csv"), &questions.text).expect("written");
    let resolved = directory.join(format!("people.resolved.{format}"));
    let mut counts = LookupCounts {
        rows: questions.rows,
        links: questions.links.len() as u64,
        unresolved: questions.reasons.len() as u64,
        ..LookupCounts::default()
    };
    let start = |nth: usize, attempts: &str| {
        let url = emulator.url();
        let out = resolved.to_string_lossy();
        let args = ["people.csv", "--out", &out, "--identity-pool-id", POOL];
        let more = [
            "--endpoint-url",
            &url,
            "--rate",
            "unlimited",
            "--max-users",
            MAX_USERS,
            "--timeout",
            "300ms",
            "--max-attempts",
            attempts,
            "--max-failures",
            "100%",
            "--json",
        ];
        let args = args.iter().chain(&more);
        let args: Vec<String> = args.map(|arg| (*arg).to_owned()).collect();
        let name = format!("run-{nth:03}");
        Program::start(directory, "resolve", &name, &args, Hardship::None)
    };
    let calls = || lookups(&emulator.counters());
    for nth in 0..KILLED_RUNS {
        let program = start(nth, &rng.u32(1..4).to_string());
        let due = calls() + rng.u64(1..40);
        let ended = wait_for_calls(&emulator, &program, due)?;
        if !ended {
            program.signal(Signal::KILL);
        }
        let code = program.end(ended)?.code();
        match (ended, code) {
            (false, None) => counts.kills += 1,
            (_, Some(0 | 1)) => {}
            _ => return Err(failure(directory, nth, &format!("exit code {code:?}"))),
        }
        if rng.u8(..3) == 0 {
            counts.cuts += u64::from(cut_tail(&resolved, &mut rng));
        }
    }
    let code = start(KILLED_RUNS, "100").end(false)?.code();
    if code != Some(1) {
        let why = format!("exit code {code:?} of the last run");
        return Err(failure(directory, KILLED_RUNS, &why));
    }
    counts.calls = calls();
    check(directory, &resolved, format, &questions)?;
    // Rows whose links others have written have no line of their own, and are asked for again.
    let code = start(KILLED_RUNS + 1, "100").end(false)?.code();
    if code != Some(1) {
        let why = format!("exit code {code:?} although all rows are known");
        return Err(failure(directory, KILLED_RUNS + 1, &why));
    }
    check(directory, &resolved, format, &questions)?;
    Ok(counts)
}

/// Links for identities with no user to three pages of them.
fn links(rng: &mut Rng) -> Vec<Link> {
    let mut links = Vec::new();
    for n in 0..IDENTITIES {
        let users = match rng.u8(..10) {
            0 => rng.usize(59..=61),
            1 => rng.usize(119..=121),
            _ => rng.usize(1..4),
        };
        links.extend((0..users).map(|user| Link {
            identity_id: identity(n),
            identity_pool_id: POOL.to_owned(),
            developer_provider_name: PROVIDER.to_owned(),
            developer_user_identifier: format!("acct-{n}-{user}, \"é\""),
        }));
    }
    links
}

fn identity(n: usize) -> String {
    format!("us-east-1:00000000-0000-4000-8000-{n:012x}")
}

/// Asks for every identity by itself, by some of its users, or both, and for some that do not exist.
fn questions(links: &[Link], rng: &mut Rng) -> Questions {
    let mut rows = Vec::new();
    let mut questions = Questions {
        text: String::new(),
        rows: 0,
        links: BTreeSet::new(),
        reasons: BTreeMap::new(),
    };
    let pair = |link: &Link| {
        (
            link.identity_id.clone(),
            link.developer_user_identifier.clone(),
        )
    };
    for n in 0..IDENTITIES {
        let of_it = links.iter().filter(|link| link.identity_id == identity(n));
        if rng.bool() {
            rows.push((identity(n), String::new()));
            questions.links.extend(of_it.clone().map(pair));
        }
        for link in of_it {
            if rng.u8(..4) > 0 {
                continue;
            }
            let id = if rng.bool() {
                identity(n)
            } else {
                String::new()
            };
            rows.push((id, link.developer_user_identifier.clone()));
            questions.links.insert(pair(link));
        }
    }
    for n in 0..60 {
        let id = identity(IDENTITIES + n);
        questions.reasons.insert(id.clone(), "identity_not_found");
        rows.push((id, String::new()));
        let user = format!("nobody-{n}");
        questions.reasons.insert(user.clone(), "no_such_user");
        rows.push((String::new(), user));
    }
    // Some rows stand there twice.
    for _ in 0..30 {
        let row = rows[rng.usize(..rows.len())].clone();
        rows.push(row);
    }
    rng.shuffle(&mut rows);
    let mut text = "identity_id,developer_user_identifier\n".to_owned();
    for (id, user) in &rows {
        let _ = writeln!(text, "{id},\"{}\"", user.replace('"', "\"\""));
    }
    questions.rows = rows.len() as u64;
    questions.text = text;
    questions
}

/// Returns the number of look-ups that have begun.
fn lookups(counters: &Counters) -> u64 {
    counters.operations.get(LOOKUP).copied().unwrap_or(0)
}

/// Waits until this many look-ups have begun. Returns true if the run ends before.
fn wait_for_calls(emulator: &Emulator, program: &Program, due: u64) -> Result<bool, String> {
    let period = Duration::from_millis(200);
    for _ in 0..PATIENCE.as_millis() / period.as_millis() {
        if emulator.wait_until(period, |counters| lookups(counters) >= due) {
            return Ok(false);
        }
        if program.has_ended() {
            return Ok(true);
        }
    }
    Err("the run makes no calls".to_owned())
}

/// Cuts up to some hundred bytes off the end of the links, as a crash of the machine may. Returns whether there were any.
fn cut_tail(path: &PathBuf, rng: &mut Rng) -> bool {
    let length = fs::metadata(path).map_or(0, |metadata| metadata.len());
    let cut = rng.u64(1..2000).min(length);
    if cut > 0 {
        let file = fs::OpenOptions::new().write(true).open(path);
        let file = file.expect("it is ours");
        file.set_len(length - cut).expect("it is ours");
    }
    cut > 0
}

fn check(
    directory: &Path,
    resolved: &Path,
    format: Format,
    questions: &Questions,
) -> Result<(), String> {
    let mut found = BTreeSet::new();
    for [id, user] in fields(
        resolved,
        format,
        ["identity_id", "developer_user_identifier"],
    )? {
        if !found.insert((id.clone(), user)) {
            return Err(format!("a link of {id} stands there twice"));
        }
    }
    if found != questions.links {
        let missing = questions.links.difference(&found).count();
        let more = found.difference(&questions.links).count();
        return Err(format!(
            "{missing} links are missing, and {more} are there too many"
        ));
    }
    let rest = directory.join("people.unresolved.csv");
    let mut reasons = BTreeMap::new();
    let names = ["identity_id", "developer_user_identifier", "reason"];
    for [id, user, reason] in fields(&rest, Format::Csv, names)? {
        let asked = if id.is_empty() { user } else { id };
        if let Some(other) = reasons.insert(asked.clone(), reason) {
            return Err(format!(
                "{asked} stands in the rest twice, once for {other}"
            ));
        }
    }
    let expected = questions.reasons.iter();
    let expected: BTreeMap<_, _> = expected
        .map(|(named, reason)| (named.clone(), (*reason).to_owned()))
        .collect();
    if reasons == expected {
        Ok(())
    } else {
        Err(format!("the rest is {reasons:?}, and not {expected:?}"))
    }
}

/// Returns fields of each line of a file.
pub(crate) fn fields<const N: usize>(
    path: &Path,
    format: Format,
    names: [&str; N],
) -> Result<Vec<[String; N]>, String> {
    let text = fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    match format {
        Format::Csv => {
            let mut reader = csv::Reader::from_reader(text.as_bytes());
            let lines = reader.deserialize::<BTreeMap<String, String>>();
            lines
                .map(|line| {
                    let line = line.map_err(|error| error.to_string())?;
                    Ok(names.map(|name| line.get(name).cloned().unwrap_or_default()))
                })
                .collect()
        }
        Format::Jsonl => text
            .lines()
            .map(|line| {
                let line: serde_json::Value =
                    serde_json::from_str(line).map_err(|error| error.to_string())?;
                Ok(names.map(|name| line[name].as_str().unwrap_or_default().to_owned()))
            })
            .collect(),
    }
}

pub(crate) fn failure(directory: &Path, nth: usize, why: &str) -> String {
    let name = format!("run-{nth:03}");
    format!("{why}: {}", output(directory, &name, "stderr"))
}
