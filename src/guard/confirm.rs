//! Asks an operator to confirm a run against AWS, unless `--yes` has confirmed it.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{self, BufRead};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use indicatif::HumanCount;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::admitted_lookups::AdmittedLookups;
use super::hold::Holds;
use crate::aws::AwsCalls;
use crate::call::lookup::{Caller, IdentityPool, Lookup, LookupError, LookupErrorKind};
use crate::clock;
use crate::error::{Error, Exit};
use crate::exit_policy;
use crate::files::Version;
use crate::input::{self, Input, InputRow, WaitToken};
use crate::report::{counted, spoken};
use crate::row::{Link, region_of};
use crate::scan::{Scan, Scanned};
use crate::settings::{PlannedLastLogins, Settings};
use crate::stderr;
use crate::terminal::{can_ask, printable};
use crate::verdict::Outcome;

/// Maximum time spent reading the inputs before the question.
const READING: Duration = Duration::from_secs(2);
/// Maximum wait for a reply that only makes the question more precise.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Pools that are looked up and shown by name: a person does not read more.
const MAX_NAMED: usize = 20;

/// The question before the first call.
#[derive(Debug)]
pub struct Question<'a> {
    /// The settings of the run.
    pub settings: &'a Settings,
    /// Makes the calls.
    pub client: &'a Arc<AwsCalls>,
    /// Looks pools up.
    pub lookups: &'a Arc<AdmittedLookups<AwsCalls>>,
    /// The hold lists, if there are any.
    pub holds: Option<Arc<Holds>>,
    /// The caller, if it was looked up already.
    pub caller: Option<Caller>,
}

/// Checks that the question can be asked; `hint` says what to do otherwise.
///
/// # Errors
/// There is no terminal.
pub fn check_terminal(hint: &str) -> Result<(), Error> {
    if can_ask() {
        return Ok(());
    }
    Err(Error::usage(
        "a run against AWS cannot ask for confirmation here, since this is not a terminal",
    )
    .hint(hint))
}

/// Returns how many identities lose their last login by the run, if a plan has looked that up, and what to do about it.
#[must_use]
pub fn last_logins(settings: &Settings) -> String {
    if settings.keeps_last_logins {
        return "The last login of an identity is kept (--last-login keep).".to_owned();
    }
    let Some(known) = &settings.last_logins else {
        return "Whether identities lose their last login is not known; `plan --online --logins each` looks, \
                `--last-login keep` leaves such rows."
            .to_owned();
    };
    let PlannedLastLogins {
        identities: all,
        lose,
        upper_bound,
    } = *known;
    let all = HumanCount(all);
    let most = if upper_bound { "At most " } else { "" };
    let identities = match lose {
        0 => return format!("No identity of {all} loses its last login, as the plan has found."),
        1 => format!("1 identity of {all} loses its"),
        _ => format!("{} identities of {all} lose their", HumanCount(lose)),
    };
    format!(
        "{most}{identities} last login and become inaccessible for good, which cannot be undone; `--last-login keep` leaves such \
         rows."
    )
}

type PoolsFound = BTreeMap<String, Result<IdentityPool, LookupError>>;

impl Question<'_> {
    /// Asks once, on a terminal. Returns the pools that were looked up for it.
    ///
    /// # Errors
    /// The answer is not yes, or a row or pool that the question would name cannot be called.
    pub async fn ask<O: Outcome>(mut self) -> Result<HashMap<String, IdentityPool>, Error> {
        let shown = versions(&self.settings.inputs);
        let scan = self.settings.scan::<O>(self.holds.take())?;
        let preview = Preview::read(self.settings, &scan)?;
        let (account, pools) = self.look_up(&preview).await;
        for (id, found) in &pools {
            if let Err(error) = found
                && error.kind == LookupErrorKind::Missing
            {
                return Err(Error::new(
                    Exit::Halted,
                    format!("identity pool {id} does not exist in this Region and account ({error}); nothing was called"),
                )
                .hint("Check the pool ids in the input, the account and the profile."));
            }
        }
        let endpoint = self.client.endpoint_url();
        let text = preview.question(self.settings, endpoint, account.as_deref(), &pools);
        if !confirmed(text, preview.number_to_type()).await {
            return Err(Error::usage("not confirmed; nothing was called"));
        }
        if versions(&self.settings.inputs) != shown {
            return Err(Error::usage(
                "an input was changed or replaced since it was looked at for the question; nothing was called",
            )
            .hint("Run the same command again, to be asked about what the inputs hold now."));
        }
        let known = pools.into_iter();
        Ok(known
            .filter_map(|(id, found)| Some((id, found.ok()?)))
            .collect())
    }

    /// Looks up the account and the names of pools, each within [`LOOKUP_TIMEOUT`].
    async fn look_up(&self, preview: &Preview) -> (Option<String>, PoolsFound) {
        let mut lookups = JoinSet::new();
        let preflight = self.settings.guards.preflight;
        for id in preview.pools.keys().take(MAX_NAMED).filter(|_| preflight) {
            let (client, id) = (Arc::clone(self.lookups), id.clone());
            lookups.spawn(async move {
                let found = timeout(LOOKUP_TIMEOUT, client.pool(&id)).await;
                (id, found)
            });
        }
        let account = account(self.client, self.caller.as_ref()).await;
        let mut pools = BTreeMap::new();
        while let Some(found) = lookups.join_next().await {
            if let Ok((id, Ok(found))) = found {
                pools.insert(id, found);
            }
        }
        (account, pools)
    }
}

/// Returns the account of the credentials, if it can be looked up within [`LOOKUP_TIMEOUT`] or shows in them.
pub async fn account(client: &AwsCalls, caller: Option<&Caller>) -> Option<String> {
    if let Some(caller) = caller {
        return Some(caller.account.clone());
    }
    match timeout(LOOKUP_TIMEOUT, client.caller()).await {
        Ok(Ok(caller)) => Some(caller.account),
        _ => Some(client.account().await).filter(|account| account != "unknown"),
    }
}

/// Returns the version of each input file, to detect changes; `None` for an input that cannot be read twice.
#[must_use]
pub fn versions(inputs: &[Input]) -> Vec<Option<Version>> {
    let version = |input: &Input| match input {
        Input::File(path) if input.can_be_read_again() => {
            let metadata = std::fs::metadata(path).ok()?;
            Some(Version::of(&metadata))
        }
        _ => None,
    };
    inputs.iter().map(version).collect()
}

/// Asks, and returns whether the answer was yes, with the number if one is needed.
pub async fn confirmed(question: String, number: Option<usize>) -> bool {
    let (reply, replied) = oneshot::channel();
    // A thread of its own: it may block forever, and the program must be able to end without it.
    std::thread::spawn(move || {
        let mut ask = |text: &str| {
            stderr::ask(text)?;
            let mut answer = String::new();
            io::stdin().lock().read_line(&mut answer)?;
            if answer.ends_with('\n') {
                stderr::answered();
            }
            Ok::<_, io::Error>(answer)
        };
        let _ = reply.send(is_yes(&question, number, &mut ask).unwrap_or(false));
    });
    replied.await.unwrap_or(false)
}

/// Returns whether the answer is `yes`, with the number in it or in the answer to a second question.
fn is_yes(
    question: &str,
    number: Option<usize>,
    ask: &mut dyn FnMut(&str) -> io::Result<String>,
) -> io::Result<bool> {
    let answer = ask(question)?;
    let mut words = answer.split_whitespace();
    if words.next() != Some("yes") {
        return Ok(false);
    }
    let (typed, more) = (words.next(), words.next());
    let Some(number) = number else {
        return Ok(typed.is_none());
    };
    let typed = if let Some(typed) = typed {
        typed.to_owned()
    } else {
        let answer = ask("How many pools are these? ")?;
        let answer = answer.trim();
        // The answer may take the form that the first question asked for.
        let number = answer.strip_prefix("yes ").unwrap_or(answer);
        number.trim().to_owned()
    };
    Ok(more.is_none() && typed == number.to_string())
}

/// The inputs as the question shows them.
#[derive(Debug, Default)]
struct Preview {
    /// Rows to be called, by pool.
    pools: BTreeMap<String, u64>,
    /// Rows to be called before the run stops at `--limit`, by Region.
    taken: BTreeMap<String, u64>,
    done: u64,
    failed: u64,
    relinked: u64,
    invalid: u64,
    held: u64,
    /// Inputs were not read to their end.
    is_partial: bool,
}

impl Preview {
    fn read(settings: &Settings, scan: &Scan) -> Result<Self, Error> {
        let until = Instant::now() + READING;
        let mut preview = Self::default();
        // The question shows the inputs as they are now, so it waits for no file.
        let reading = input::ReadOptions {
            wait: WaitToken::cancelled(),
            ..settings.input.clone()
        };
        for input in &settings.inputs {
            if !input.can_be_read_again() {
                preview.is_partial = true;
                continue;
            }
            let rows = input::open(input, &reading);
            for read in rows.map_err(exit_policy::unreadable)? {
                let read = read.map_err(exit_policy::unreadable)?;
                preview.count(settings, scan, read)?;
                if Instant::now() > until {
                    preview.is_partial = true;
                    return Ok(preview);
                }
            }
        }
        Ok(preview)
    }

    fn count(&mut self, settings: &Settings, scan: &Scan, read: InputRow) -> Result<(), Error> {
        match read {
            InputRow::Valid(row) => match scan.link(&row.link) {
                Scanned::Done => self.done += 1,
                Scanned::FailedEarlier => self.failed += 1,
                Scanned::Undone => self.relinked += 1,
                Scanned::Held(_) => self.held += 1,
                Scanned::Forbidden(_) => {
                    let why = scan.why_forbidden(&row.link);
                    return Err(exit_policy::forbidden(&why, &row.position));
                }
                Scanned::ToDo => self.count_to_do(settings, &row.link),
            },
            InputRow::Invalid(row) if scan.is_done_though_invalid(&row) => self.done += 1,
            InputRow::Invalid(_) => self.invalid += 1,
        }
        Ok(())
    }

    fn count_to_do(&mut self, settings: &Settings, link: &Link) {
        let pool = &link.identity_pool_id;
        let limit = settings.stop_rules.limit.unwrap_or(u64::MAX);
        if self.taken.values().sum::<u64>() < limit {
            *self.taken.entry(region_of(pool).to_owned()).or_default() += 1;
        }
        match self.pools.get_mut(pool) {
            Some(rows) => *rows += 1,
            None => _ = self.pools.insert(pool.clone(), 1),
        }
    }

    /// Returns the number that must be typed if there are several pools, so that an operator who expects one does not confirm
    /// three.
    fn number_to_type(&self) -> Option<usize> {
        (self.pools.len() > 1).then_some(self.pools.len())
    }

    fn question(
        &self,
        settings: &Settings,
        endpoint: Option<&str>,
        account: Option<&str>,
        found: &PoolsFound,
    ) -> String {
        let at_least = if self.is_partial { "at least " } else { "" };
        let mut text = format!("This run unlinks, at {}", endpoint.unwrap_or("AWS"));
        match account {
            Some(account) => {
                let _ = writeln!(text, ", account {}:", printable(account));
            }
            None => text.push_str(", in an account that could not be looked up:\n"),
        }
        for (pool, rows) in self.pools.iter().take(MAX_NAMED) {
            let id = printable(pool);
            let pool = match found.get(pool) {
                Some(Ok(pool)) => format!("{} ({id})", printable(&pool.name)),
                _ => id.into_owned(),
            };
            let _ = writeln!(text, "  {at_least}{} in pool {pool}", counted(*rows, "row"));
        }
        if let more @ 1.. = self.pools.len().saturating_sub(MAX_NAMED) {
            let _ = writeln!(text, "  and rows in {more} more pools");
        }
        if self.pools.is_empty() && !self.is_partial {
            text.push_str("  nothing: no row is left to do\n");
        }
        for (rows, why) in [
            (self.done, "done already"),
            (
                self.failed,
                "failed in an earlier run, left alone (--skip-failed)",
            ),
            (self.relinked, "relinked since (--again unlinks them again)"),
            (self.held, "on the hold list"),
            (self.invalid, "invalid"),
        ] {
            if rows > 0 {
                let _ = writeln!(text, "  {at_least}{} left out: {why}", counted(rows, "row"));
            }
        }
        if let Some(limit) = settings.stop_rules.limit {
            let _ = writeln!(text, "It stops after {} (--limit).", counted(limit, "row"));
        }
        let _ = writeln!(text, "{}", self.forecast(settings));
        let _ = writeln!(text, "{}", last_logins(settings));
        text.push_str("\nAn unlink cannot simply be undone. ");
        text.push_str(if self.number_to_type().is_some() {
            "Type yes and the number of pools to go on: "
        } else {
            "Type yes to go on: "
        });
        text
    }

    /// Returns the duration of the run at this rate.
    fn forecast(&self, settings: &Settings) -> String {
        let rate = settings.limits.rate;
        let most = self.taken.values().copied().max().unwrap_or(0);
        match rate.per_second() {
            None => "As fast as the quota allows.".to_owned(),
            Some(_) if self.is_partial => format!("At {rate}."),
            Some(calls) => {
                let takes = Duration::from_secs_f64((most as f64 / calls).min(1e9));
                let ends = clock::rfc3339_seconds(SystemTime::now() + takes).to_string();
                let at = ends.get(..16).unwrap_or_default().replace('T', " ");
                format!("At {rate} that takes {}, until {at} UTC.", spoken(takes))
            }
        }
    }
}
