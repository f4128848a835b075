//! Before a run against AWS: a person agrees, or has agreed with `--yes`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::{self, BufRead};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::pool_lookups::LookUps;
use crate::aws::{AwsCalls, is_loopback};
use crate::call::lookup::{Caller, Lookup, LookupError, LookupErrorKind, Pool};
use crate::clock;
use crate::error::{Error, Exit};
use crate::guard::hold::{Holds, UserHashes};
use crate::input::{self, Input, Patience, Read};
use crate::jobs::unlink::{not_allowed, peek, unreadable};
use crate::report::{counted, spoken};
use crate::results::Skipped;
use crate::row::{Row, region_of};
use crate::settings::Settings;
use crate::stderr;
use crate::terminal::{can_ask, printable};

/// How long the inputs are read before the question is asked.
const LOOKING: Duration = Duration::from_secs(2);
/// How long an answer is waited for that the question is merely better with.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pools that are looked up and shown by name; nobody reads more.
const NAMED: usize = 20;

/// Whether the calls stay on this machine.
pub(crate) fn is_local(calls: &AwsCalls) -> bool {
    calls.endpoint_url().is_some_and(is_loopback)
}

/// What a person is asked before the first call.
pub(crate) struct Question<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) calls: &'a Arc<AwsCalls>,
    pub(crate) look_ups: &'a Arc<LookUps<AwsCalls>>,
    pub(crate) holds: Option<&'a Holds>,
    /// Whose credentials these are, if that was asked already.
    pub(crate) caller: Option<Caller>,
}

impl Question<'_> {
    /// Asks once, where there is somebody to ask. Gives back the pools that were looked up for it.
    ///
    /// # Errors
    /// Nobody can be asked, or the answer is no; or what the question would name cannot be unlinked.
    pub(crate) async fn ask(self) -> Result<HashMap<String, Pool>, Error> {
        if !can_ask() {
            return Err(Error::usage(
                "a run against AWS cannot ask for confirmation here, since this is not a terminal",
            )
            .hint("Rehearse it with --rehearse, then confirm it with --yes, or run a reviewed plan with --plan."));
        }
        let shown = stamps(&self.settings.inputs);
        let survey = Survey::of(self.settings, self.holds)?;
        let (account, pools) = self.look_up(&survey).await;
        for (id, looked) in &pools {
            if let Err(untold) = looked
                && untold.why == LookupErrorKind::Missing
            {
                return Err(Error::new(
                    Exit::Halted,
                    format!("identity pool {id} does not exist in this Region and account ({untold}); nothing was called"),
                )
                .hint("Check the pool ids in the input, the account and the profile."));
            }
        }
        let text = survey.told(
            self.settings,
            self.calls.endpoint_url(),
            account.as_deref(),
            &pools,
        );
        let number = survey.number_to_type();
        if !answered(text, number).await {
            return Err(Error::usage("not confirmed; nothing was called"));
        }
        if stamps(&self.settings.inputs) != shown {
            return Err(Error::usage(
                "an input was changed or replaced since it was looked at for the question; nothing was called",
            )
            .hint("Run the same command again, to be asked about what the inputs hold now."));
        }
        let known = pools.into_iter();
        Ok(known
            .filter_map(|(id, looked)| Some((id, looked.ok()?)))
            .collect())
    }

    /// Asks for the account and the pools' names, as long as that does not take long.
    async fn look_up(
        &self,
        survey: &Survey,
    ) -> (Option<String>, BTreeMap<String, Result<Pool, LookupError>>) {
        let mut looking = JoinSet::new();
        let preflight = self.settings.guards.preflight;
        for id in survey.pools.keys().take(NAMED).filter(|_| preflight) {
            let (look_ups, id) = (Arc::clone(self.look_ups), id.clone());
            looking.spawn(async move {
                let looked = timeout(PATIENCE, look_ups.pool(&id)).await;
                (id, looked)
            });
        }
        let account = match &self.caller {
            Some(caller) => Some(caller.account.clone()),
            None => match timeout(PATIENCE, self.calls.caller()).await {
                Ok(Ok(caller)) => Some(caller.account),
                _ => Some(self.calls.account().await).filter(|account| account != "unknown"),
            },
        };
        let mut pools = BTreeMap::new();
        while let Some(looked) = looking.join_next().await {
            if let Ok((id, Ok(looked))) = looked {
                pools.insert(id, looked);
            }
        }
        (account, pools)
    }
}

/// What tells of each input file whether it is still the same; nothing for what cannot be read twice.
fn stamps(inputs: &[Input]) -> Vec<Option<[i64; 6]>> {
    let stamp = |input: &Input| match input {
        Input::File(path) if input.can_be_read_again() => {
            let metadata = std::fs::metadata(path).ok()?;
            Some([
                metadata.dev().cast_signed(),
                metadata.ino().cast_signed(),
                metadata.mtime(),
                metadata.mtime_nsec(),
                metadata.ctime(),
                metadata.ctime_nsec(),
            ])
        }
        _ => None,
    };
    inputs.iter().map(stamp).collect()
}

/// Asks, and says whether the answer was yes and, where a number is wanted, that number.
async fn answered(question: String, number: Option<usize>) -> bool {
    let (tell, told) = oneshot::channel();
    // A thread of its own: it may wait for ever, and the program must be able to end without it.
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
        let _ = tell.send(is_yes(&question, number, &mut ask).unwrap_or(false));
    });
    told.await.unwrap_or(false)
}

/// `yes`, and the number with it or on asking.
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
        // As the first question wanted it.
        let number = answer.strip_prefix("yes ").unwrap_or(answer);
        number.trim().to_owned()
    };
    Ok(more.is_none() && typed == number.to_string())
}

/// What a look at the inputs tells.
struct Survey {
    /// Rows of each pool that are left to do.
    pools: BTreeMap<String, u64>,
    /// Those of them that the run takes before it stops at `--limit`, by Region.
    taken: BTreeMap<String, u64>,
    done: u64,
    failed: u64,
    invalid: u64,
    held: u64,
    complete: bool,
}

impl Survey {
    /// Counts a row that is to be called.
    fn take(&mut self, settings: &Settings, row: &Row, to_take: &mut u64) -> Result<(), Error> {
        let pool = &row.link.identity_pool_id;
        if let Some(why) = settings.guards.allowed.refuses_pool(pool) {
            return Err(not_allowed(&why, &row.position));
        }
        if *to_take > 0 {
            *to_take -= 1;
            let region = region_of(pool).to_owned();
            *self.taken.entry(region).or_default() += 1;
        }
        match self.pools.get_mut(pool) {
            Some(rows) => *rows += 1,
            None => _ = self.pools.insert(pool.clone(), 1),
        }
        Ok(())
    }

    fn of(settings: &Settings, holds: Option<&Holds>) -> Result<Self, Error> {
        let until = Instant::now() + LOOKING;
        let mut survey = Self {
            pools: BTreeMap::new(),
            taken: BTreeMap::new(),
            done: 0,
            failed: 0,
            invalid: 0,
            held: 0,
            complete: true,
        };
        let held =
            |user: &str| holds.is_some_and(|holds| holds.hold(&UserHashes::of(user)).is_some());
        let mut to_take = settings.bounds.limit.unwrap_or(u64::MAX);
        let (past, keyer) = peek(settings)?;
        // The numbers that are shown are of this moment.
        let reading = input::Settings {
            patience: Patience::none(),
            ..settings.input.clone()
        };
        for input in &settings.inputs {
            if !input.can_be_read_again() {
                survey.complete = false;
                continue;
            }
            for read in input::open(input, &reading).map_err(|error| unreadable(&error))? {
                match read.map_err(|error| unreadable(&error))? {
                    Read::Row(row) => {
                        let known = past.skips(keyer.key(&row.link));
                        let is_held = || held(&row.link.developer_user_identifier);
                        match known {
                            Some(Skipped::Done) => survey.done += 1,
                            Some(Skipped::Failed) => survey.failed += 1,
                            None if is_held() => survey.held += 1,
                            None => survey.take(settings, &row, &mut to_take)?,
                        }
                    }
                    Read::Invalid(row)
                        if row.is_unusual() && past.is_done(keyer.key(&row.link)) =>
                    {
                        survey.done += 1;
                    }
                    Read::Invalid(_) => survey.invalid += 1,
                }
                if Instant::now() > until {
                    survey.complete = false;
                    return Ok(survey);
                }
            }
        }
        Ok(survey)
    }

    /// Of several pools the number has to be typed: whoever expects one does not type yes to three without a look.
    fn number_to_type(&self) -> Option<usize> {
        (self.pools.len() > 1).then_some(self.pools.len())
    }

    fn told(
        &self,
        settings: &Settings,
        endpoint: Option<&str>,
        account: Option<&str>,
        looked: &BTreeMap<String, Result<Pool, LookupError>>,
    ) -> String {
        let at_least = if self.complete { "" } else { "at least " };
        let mut text = format!("This run unlinks, at {}", endpoint.unwrap_or("AWS"));
        match account {
            Some(account) => {
                let _ = writeln!(text, ", account {}:", printable(account));
            }
            None => text.push_str(", in an account that could not be looked up:\n"),
        }
        for (pool, rows) in self.pools.iter().take(NAMED) {
            let id = printable(pool);
            let pool = match looked.get(pool) {
                Some(Ok(pool)) => format!("{} ({id})", printable(&pool.name)),
                _ => id.into_owned(),
            };
            let _ = writeln!(text, "  {at_least}{} in pool {pool}", counted(*rows, "row"));
        }
        if let more @ 1.. = self.pools.len().saturating_sub(NAMED) {
            let _ = writeln!(text, "  and rows in {more} more pools");
        }
        if self.pools.is_empty() && self.complete {
            text.push_str("  nothing: no row is left to do\n");
        }
        for (rows, why) in [
            (self.done, "done already"),
            (
                self.failed,
                "failed in an earlier run, left alone (--skip-failed)",
            ),
            (self.held, "on the hold list"),
            (self.invalid, "invalid"),
        ] {
            if rows > 0 {
                let _ = writeln!(text, "  {at_least}{} left out: {why}", counted(rows, "row"));
            }
        }
        if let Some(limit) = settings.bounds.limit {
            let _ = writeln!(text, "It stops after {} (--limit).", counted(limit, "row"));
        }
        let _ = writeln!(text, "{}", self.forecast(settings));
        text.push_str("\nAn unlink cannot simply be undone. ");
        text.push_str(if self.number_to_type().is_some() {
            "Type yes and the number of pools to go on: "
        } else {
            "Type yes to go on: "
        });
        text
    }

    /// How long it takes, as far as the rate tells.
    fn forecast(&self, settings: &Settings) -> String {
        let rate = settings.limits.rate;
        let most = self.taken.values().copied().max().unwrap_or(0);
        match rate.per_second() {
            None => "As fast as the quota allows.".to_owned(),
            Some(_) if !self.complete => format!("At {rate}."),
            Some(calls) => {
                let takes = Duration::from_secs_f64((most as f64 / calls).min(1e9));
                let ends = clock::rfc3339_seconds(SystemTime::now() + takes).to_string();
                let at = ends.get(..16).unwrap_or_default().replace('T', " ");
                format!("At {rate} that takes {}, until {at} UTC.", spoken(takes))
            }
        }
    }
}
