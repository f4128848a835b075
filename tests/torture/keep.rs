//! A round of `run --last-login keep`: runs that are stopped at random moments, and a last one that is not. In the end no identity
//! has lost its last login, and of each one as many of the input's links are gone as could be.

use std::collections::{HashMap, HashSet};
use std::fmt::{self, Write as _};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_cognitoidentity::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cognitoidentity::{Client, Config};
use cognito_unlink::testing::emulator::{Counters, Emulator, Link, Rule, Settings, Then, When};
use fastrand::Rng;
use rustix::process::Signal;

use crate::counts;
use crate::program::{self, Hardship, PATIENCE, Program, output};
use crate::results_file::{self, Format, Line};
use crate::rows::{POOL, PROVIDER};

/// Runs of a round that are stopped.
const STOPPED_RUNS: usize = 40;
/// Identities of the pool.
const IDENTITIES: usize = 240;

const DESCRIBE: &str = "DescribeIdentity";
const LOOKUP: &str = "LookupDeveloperIdentity";

/// The numbers of a round.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct KeepCounts {
    pub(crate) kills: u64,
    pub(crate) signals: u64,
    pub(crate) rows: u64,
    pub(crate) unlinked: u64,
    pub(crate) reply_lost: u64,
    pub(crate) kept: u64,
    pub(crate) not_linked: u64,
    pub(crate) unlinks: u64,
    pub(crate) looks: u64,
    pub(crate) faults: u64,
}

impl KeepCounts {
    /// Adds the numbers of another round.
    pub(crate) fn add(&mut self, other: &Self) {
        self.kills += other.kills;
        self.signals += other.signals;
        self.rows += other.rows;
        self.unlinked += other.unlinked;
        self.reply_lost += other.reply_lost;
        self.kept += other.kept;
        self.not_linked += other.not_linked;
        self.unlinks += other.unlinks;
        self.looks += other.looks;
        self.faults += other.faults;
    }
}

impl fmt::Display for KeepCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "keep: {} kills, {} signals; {} rows: {} unlinked, {} unlinked_reply_lost, {} kept, {} not_linked; {} unlinks and {} \
             looks, {} faults; no identity lost its last login",
            self.kills,
            self.signals,
            self.rows,
            self.unlinked,
            self.reply_lost,
            self.kept,
            self.not_linked,
            self.unlinks,
            self.looks,
            self.faults
        )
    }
}

/// The links of the pool, and those that the input has rows of.
struct Links {
    existing: Vec<Link>,
    rows: Vec<Link>,
}

struct Round {
    rng: Rng,
    directory: PathBuf,
    format: Format,
    emulator: Emulator,
    links: Links,
    runs: usize,
    counts: KeepCounts,
}

/// Plays a round, and returns its numbers. An error names the directory where all files are left.
pub(crate) fn run(seed: u64, format: Format) -> Result<KeepCounts, String> {
    let directory = tempfile::tempdir().expect("a directory").keep();
    let mut rng = Rng::with_seed(seed);
    let links = links(&mut rng);
    let emulator = Emulator::spawn(Settings {
        links: Some(links.existing.clone()),
        faults: counts::faults(),
        latency: Duration::from_millis(1),
        jitter: Duration::from_millis(4),
        seed,
        log: true,
        ..Settings::default()
    })
    .expect("an emulator");
    let mut round = Round {
        rng,
        directory: directory.clone(),
        format,
        emulator,
        links,
        runs: 0,
        counts: KeepCounts::default(),
    };
    match round.play() {
        Ok(()) => {
            fs::remove_dir_all(&directory).expect("it is ours");
            Ok(round.counts)
        }
        Err(why) => Err(format!(
            "{why}\nAll files are left in {}",
            directory.display()
        )),
    }
}

/// Links for identities of one to three users, of which some or all have rows; and rows of links that do not exist, for these
/// identities and for others.
fn links(rng: &mut Rng) -> Links {
    let (mut existing, mut rows) = (Vec::new(), Vec::new());
    for n in 0..IDENTITIES {
        let users = rng.usize(1..=3);
        let all = rng.bool();
        for user in 0..users {
            let link = link(n, &format!("acct-{n}-{user}, \"é\""));
            if all || rng.bool() {
                rows.push(link.clone());
            }
            existing.push(link);
        }
        if rng.u8(..8) == 0 {
            rows.push(link(n, &format!("nobody-{n}")));
        }
    }
    rows.extend((IDENTITIES..IDENTITIES + 20).map(|n| link(n, &format!("nobody-{n}"))));
    Links { existing, rows }
}

fn link(identity: usize, user: &str) -> Link {
    Link {
        identity_id: format!("us-east-1:00000000-0000-4000-8000-{identity:012x}"),
        identity_pool_id: POOL.to_owned(),
        developer_provider_name: PROVIDER.to_owned(),
        developer_user_identifier: user.to_owned(),
    }
}

impl Round {
    fn play(&mut self) -> Result<(), String> {
        for _ in 0..STOPPED_RUNS {
            self.run_until_stopped()?;
        }
        self.run_to_the_end()?;
        self.check()?;
        // Rows that were kept are looked at again, and kept again.
        let unlinks = self.emulator.counters().unlinks;
        self.run_to_the_end()?;
        self.check()?;
        match self.emulator.counters().unlinks - unlinks {
            0 => Ok(()),
            calls => Err(self.failure(&format!("{calls} unlinks although all rows are settled"))),
        }
    }

    /// Starts a run, and stops it at a random moment.
    fn run_until_stopped(&mut self) -> Result<(), String> {
        let (signals, due) = match self.rng.u8(..20) {
            0..16 => (&[Signal::KILL][..], None),
            16 => (&[Signal::INT][..], Some(130)),
            17 | 18 => (&[Signal::TERM][..], Some(143)),
            _ => (&[Signal::INT, Signal::INT][..], Some(130)),
        };
        let attempts = self.rng.u32(1..4).to_string();
        let program = self.start(&attempts);
        let ended = self.wait_for_calls(&program)?;
        if !ended {
            for signal in signals {
                program.signal(*signal);
            }
        }
        let code = program.end(ended)?.code();
        match code {
            None if due.is_none() => self.counts.kills += 1,
            Some(130 | 143) if code == due => self.counts.signals += 1,
            // It ended before the signal.
            Some(0 | 1) => {}
            _ => return Err(self.failure(&format!("exit code {code:?} after {signals:?}"))),
        }
        // A call that arrives later would be the inherent race of two programs.
        program::settle(&self.emulator)
    }

    fn run_to_the_end(&mut self) -> Result<(), String> {
        match self.start("100").end(false)?.code() {
            Some(0) => program::settle(&self.emulator),
            code => Err(self.failure(&format!("exit code {code:?} of a run to the end"))),
        }
    }

    /// Starts the next run, with the rows in another order.
    fn start(&mut self, attempts: &str) -> Program {
        self.runs += 1;
        self.rng.shuffle(&mut self.links.rows);
        let mut text = "identity_id,developer_user_identifier\n".to_owned();
        for row in &self.links.rows {
            let user = row.developer_user_identifier.replace('"', "\"\"");
            let _ = writeln!(text, "{},\"{user}\"", row.identity_id);
        }
        fs::write(self.directory.join("people.csv"), text).expect("written");
        let url = self.emulator.url();
        let results = self.results();
        let args = ["people.csv", "--results", &results, "--last-login", "keep"];
        let pool = [
            "--identity-pool-id",
            POOL,
            "--developer-provider-name",
            PROVIDER,
        ];
        let more = [
            "--endpoint-url",
            &url,
            // Above what a run reaches, so that it begins at fifty calls a second.
            "--rate",
            "1000",
            "--timeout",
            "300ms",
            "--max-attempts",
            attempts,
            "--max-failures",
            "100%",
            "--max-not-linked",
            "100%",
            "--json",
        ];
        let args = args.iter().chain(&pool).chain(&more);
        let args: Vec<String> = args.map(|arg| (*arg).to_owned()).collect();
        Program::start(&self.directory, "run", &self.name(), &args, Hardship::None)
    }

    /// Waits until a random number of further looks or unlinks has begun, or of links has been removed. Returns true if the run ends
    /// before.
    fn wait_for_calls(&mut self, program: &Program) -> Result<bool, String> {
        type Count = fn(&Counters) -> u64;
        // Toward the end there are few links left to remove, and a run that waits for more would look at all rows.
        let (count, most): (Count, u64) = match self.rng.u8(..4) {
            0 => (|counters| calls(counters, DESCRIBE), 40),
            1 => (|counters| calls(counters, LOOKUP), 40),
            2 => (|counters| counters.effects, 4),
            _ => (|counters| counters.unlinks, 8),
        };
        let due = count(&self.emulator.counters()) + self.rng.u64(1..=most);
        let period = Duration::from_millis(200);
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

    /// Checks results, links and calls after a run to the end.
    fn check(&mut self) -> Result<(), String> {
        let lines = self.lines()?;
        let mut of_row: HashMap<&str, Vec<&str>> = HashMap::new();
        for line in &lines {
            let outcomes = of_row.entry(&line.user).or_default();
            outcomes.push(&line.outcome);
        }
        let existing: HashSet<&Link> = self.links.existing.iter().collect();
        let mut last = HashMap::<&str, u64>::new();
        for row in &self.links.rows {
            let outcomes = of_row.remove(&*row.developer_user_identifier);
            let outcomes = outcomes.unwrap_or_default();
            let (is_linked, existed) = (self.emulator.is_linked(row), existing.contains(row));
            if !is_right(&outcomes, existed, is_linked) {
                return Err(format!(
                    "{row:?} existed: {existed}, is linked: {is_linked}, but its outcomes are {outcomes:?}"
                ));
            }
            let outcome = outcomes.last().copied().unwrap_or_default();
            *last.entry(outcome).or_default() += 1;
        }
        if let Some(user) = of_row.keys().next() {
            return Err(format!("no row has the user {user:?}"));
        }
        self.check_identities()?;
        self.check_calls(&existing)?;
        let counters = self.emulator.counters();
        let of = |outcome: &str| last.get(outcome).copied().unwrap_or_default();
        self.counts = KeepCounts {
            rows: self.links.rows.len() as u64,
            unlinked: of("unlinked"),
            reply_lost: of("unlinked_reply_lost"),
            kept: of("kept"),
            not_linked: of("not_linked"),
            unlinks: counters.unlinks,
            looks: calls(&counters, DESCRIBE) + calls(&counters, LOOKUP),
            faults: counters.faults.values().sum(),
            ..self.counts
        };
        let side_file = self.directory.join(self.results() + ".inflight");
        if side_file.exists() {
            return Err(self.failure("a side file is left although all rows are settled"));
        }
        Ok(())
    }

    /// Checks that each identity has lost as many links of the input as it could, has a login left, and is not disabled.
    fn check_identities(&self) -> Result<(), String> {
        let mut left = HashMap::<&str, (usize, usize)>::new();
        for link in &self.links.existing {
            let (linked, others) = left.entry(&link.identity_id).or_default();
            *linked += usize::from(self.emulator.is_linked(link));
            *others += usize::from(!self.links.rows.contains(link));
        }
        for (identity, (linked, others)) in &left {
            if *linked != (*others).max(1) {
                return Err(format!(
                    "{identity} has {linked} links left, and {others} that no row names"
                ));
            }
        }
        self.emulator.add_rule(Rule {
            when: When::Operation(DESCRIBE),
            then: Then::Serve,
            times: None,
        });
        let described = describe(&self.emulator, left.keys().copied())?;
        self.emulator.clear_rules();
        for (identity, logins) in described {
            if logins != [PROVIDER] {
                return Err(format!("{identity} has the logins {logins:?}"));
            }
        }
        Ok(())
    }

    /// Checks that no link was removed twice, and that the identity was looked at anew before each call.
    fn check_calls(&self, existing: &HashSet<&Link>) -> Result<(), String> {
        let identities: HashSet<&str> = existing.iter().map(|link| &*link.identity_id).collect();
        let mut removed = HashSet::new();
        let calls = self.emulator.calls();
        for call in &calls {
            if call.effect && !removed.insert(&*call.developer_user_identifier) {
                return Err(format!("a link was removed twice: {call:?}"));
            }
            let has_users = identities.contains(&*call.identity_id);
            if !call.looks.contains(&DESCRIBE) || has_users && !call.looks.contains(&LOOKUP) {
                return Err(format!("an unlink without a look before it: {call:?}"));
            }
        }
        let gone = existing
            .iter()
            .filter(|link| !self.emulator.is_linked(link));
        match (gone.count(), removed.len()) {
            (gone, removed) if gone == removed => Ok(()),
            (gone, removed) => Err(format!("{gone} links are gone, but {removed} were removed")),
        }
    }

    fn lines(&self) -> Result<Vec<Line>, String> {
        let bytes = fs::read(self.directory.join(self.results()));
        results_file::parse(&bytes.unwrap_or_default(), self.format)
    }

    fn results(&self) -> String {
        format!("people.results.{}", self.format)
    }

    /// Returns the last run's name, which begins the names of its output files.
    fn name(&self) -> String {
        format!("keep-{:03}", self.runs)
    }

    /// Returns a message that names the last run and quotes its standard error.
    fn failure(&self, what: &str) -> String {
        failure(&self.directory, &self.name(), what)
    }
}

/// Returns whether all outcomes of a row, in order, fit to the link. A line that says that the row is done is the last; one that says
/// that the link is kept stays true, since nothing else gives the identity another login.
fn is_right(outcomes: &[&str], existed: bool, is_linked: bool) -> bool {
    let Some((last, earlier)) = outcomes.split_last() else {
        return false;
    };
    let fits = match *last {
        "unlinked" => existed && !is_linked,
        "unlinked_reply_lost" => !is_linked,
        "not_linked" => !existed,
        "kept" => is_linked,
        _ => false,
    };
    let may_precede = |outcome: &&str| match *outcome {
        "failed" | "in_doubt" => true,
        "kept" => *last == "kept",
        _ => false,
    };
    fits && earlier.iter().all(may_precede)
}

/// Returns the logins that identities are described with.
fn describe<'a>(
    emulator: &Emulator,
    identities: impl Iterator<Item = &'a str>,
) -> Result<Vec<(&'a str, Vec<String>)>, String> {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "test",
        ))
        .endpoint_url(emulator.url())
        .build();
    let client = Client::from_conf(config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let mut described = Vec::new();
        for identity in identities {
            let request = client.describe_identity().identity_id(identity);
            let identity_now = request.send().await;
            let identity_now = identity_now.map_err(|error| format!("{identity}: {error:?}"))?;
            described.push((identity, identity_now.logins().to_vec()));
        }
        Ok(described)
    })
}

/// Returns the calls of an operation that have begun.
fn calls(counters: &Counters, operation: &str) -> u64 {
    counters
        .operations
        .get(operation)
        .copied()
        .unwrap_or_default()
}

fn failure(directory: &Path, name: &str, what: &str) -> String {
    let stderr = output(directory, name, "stderr");
    format!("{what}, in {name}; its standard error: {stderr:?}")
}
