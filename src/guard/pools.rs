//! Before the first unlink in a pool: is it one that the run may touch, is it there, and is the rows' provider its own?
//!
//! A pool is looked up once a run, when its first row is taken, and its rows wait for the answer; rows of other pools pass
//! meanwhile. Where an answer can be had it is waited for: a throttled question is asked again. Where the question is not
//! allowed, or the service fails at it, the run warns and goes on: what is wrong then is told by the first unlink.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::pool_lookups::LookUps;
use crate::call::Unlink;
use crate::call::lookup::{IdentityPool, Lookup, LookupError, LookupErrorKind};
use crate::os_limits;
use crate::pipeline::Reason;
use crate::pipeline::{Halt, HaltingAnswer, OpenRow};
use crate::row::region_of;
use crate::settings::config::Allowed;
use crate::verdict::Cause;
use crate::verdict::retry::Policy;

/// How often a question is asked that gets an answer, but not this one.
const TRIES: u32 = 4;
/// How often whoever answers as Cognito does not.
const TRIES_OF_STRANGERS: u32 = 2;
/// Before the second try; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// A question is told as not answered when it has been open for so long.
const TOLD_AFTER: Duration = Duration::from_secs(4);
/// Between two tries at most, when nobody answers or the credentials have expired.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is to be said to people, from whichever task.
type News = Arc<Mutex<Vec<String>>>;
type Rows = VecDeque<Box<OpenRow>>;
type Looking = Pin<Box<dyn Future<Output = Found> + Send>>;

/// Lets rows pass, pool by pool.
pub struct Preflight {
    allowed: Allowed,
    /// Starts a look-up; nothing is looked up without.
    look_up: Option<Box<dyn Fn(String) -> Looking + Send>>,
    pools: HashMap<String, Seen>,
    looking: JoinSet<(String, Found)>,
    /// Rows that have waited for a look-up, and may be called.
    passed: Rows,
    news: News,
    silent: Arc<Silent>,
}

/// A Region that does not answer the question what a pool is.
#[derive(Debug, Clone)]
pub(crate) struct Silence {
    pub(crate) region: String,
    pub(crate) since: Instant,
    pub(crate) how: &'static str,
}

/// Pools whose look-up is not answered, by id.
type Silent = Mutex<BTreeMap<String, Silence>>;

/// What is known of a pool.
enum Seen {
    /// It is being looked up, and these rows wait for it.
    Asked(Rows),
    /// It is as described.
    Is(IdentityPool),
    /// Nobody has told.
    Unknown,
}

/// What a look-up has found.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Pool(IdentityPool),
    /// The question is not answered, which is no reason not to go on.
    Nothing,
    /// No call would do any better.
    Halting(Cause, LookupError),
}

/// What becomes of a row at first sight.
pub(crate) enum PoolCheck {
    /// It may be called.
    Passes(Box<OpenRow>),
    /// It is kept until its pool is known.
    Waits,
    /// It may not, and so the run must not go on.
    Refused(Reason),
}

impl Preflight {
    /// Lets everything pass.
    #[must_use]
    pub fn none() -> Self {
        Self::new(Allowed::default())
    }

    /// Lets pass what is allowed, and looks nothing up.
    #[must_use]
    pub fn new(allowed: Allowed) -> Self {
        Self {
            allowed,
            look_up: None,
            pools: HashMap::new(),
            looking: JoinSet::new(),
            passed: Rows::new(),
            news: News::default(),
            silent: Arc::default(),
        }
    }

    /// Looks pools up.
    #[must_use]
    pub fn asking<C: Lookup + Unlink>(self, look_ups: Arc<LookUps<C>>, policy: Policy) -> Self {
        let (news, silent) = (Arc::clone(&self.news), Arc::clone(&self.silent));
        Self {
            look_up: Some(Box::new(move |id| {
                let (look_ups, news) = (Arc::clone(&look_ups), Arc::clone(&news));
                let silent = Arc::clone(&silent);
                Box::pin(async move {
                    let hears = Hears {
                        id: &id,
                        silent: &silent,
                    };
                    look_up(&look_ups, &id, policy, &news, &hears).await
                })
            })),
            ..self
        }
    }

    /// Takes over what has been looked up already.
    #[must_use]
    pub fn knowing(mut self, pools: HashMap<String, IdentityPool>) -> Self {
        let known = pools.into_iter().map(|(id, pool)| (id, Seen::Is(pool)));
        self.pools.extend(known);
        self
    }

    /// Looks at a row that was taken.
    pub(crate) fn see(&mut self, row: Box<OpenRow>) -> PoolCheck {
        let id = &row.row.link.identity_pool_id;
        match self.pools.get_mut(id) {
            Some(Seen::Asked(waiting)) => {
                waiting.push_back(row);
                return PoolCheck::Waits;
            }
            Some(Seen::Unknown) => return PoolCheck::Passes(row),
            Some(Seen::Is(pool)) => {
                return match mismatch(pool, &row) {
                    Some(reason) => PoolCheck::Refused(reason),
                    None => PoolCheck::Passes(row),
                };
            }
            None => {}
        }
        if let Some(why) = self.allowed.refuses_pool(id) {
            return PoolCheck::Refused(Reason::Refused(format!(
                "{why} (at {}). Leave such rows out, or allow them",
                row.row.position
            )));
        }
        let id = id.clone();
        let Some(look_up) = &self.look_up else {
            self.pools.insert(id, Seen::Unknown);
            return PoolCheck::Passes(row);
        };
        let found = look_up(id.clone());
        self.pools
            .insert(id.clone(), Seen::Asked(Rows::from([row])));
        self.looking.spawn(async move { (id, found.await) });
        PoolCheck::Waits
    }

    /// Waits for a look-up to end; nothing if there is none to wait for.
    ///
    /// # Errors
    /// Why the run must not go on. The rows of the pool still wait, to be counted by [`Preflight::stop`].
    pub(crate) async fn looked(&mut self) -> Option<Result<(), Reason>> {
        let (id, found) = match self.looking.join_next().await? {
            Ok(looked) => looked,
            Err(error) => return Some(Err(Reason::Panicked(error))),
        };
        let Some(Seen::Asked(waiting)) = self.pools.get_mut(&id) else {
            return Some(Ok(()));
        };
        let seen = match found {
            Found::Pool(pool) => match waiting.iter().find_map(|row| mismatch(&pool, row)) {
                Some(reason) => return Some(Err(reason)),
                None => Seen::Is(pool),
            },
            Found::Nothing => Seen::Unknown,
            Found::Halting(cause, untold) => {
                let row = waiting.front()?;
                let answer = HaltingAnswer {
                    cause,
                    position: row.row.position.clone(),
                    identity_pool_id: id,
                    facts: untold.details.shown(),
                };
                return Some(Err(Reason::Halted(Halt::Answer(Box::new(answer)))));
            }
        };
        self.passed.append(waiting);
        self.pools.insert(id, seen);
        Some(Ok(()))
    }

    /// Whether rows have waited for their pool, and may be called now.
    pub(crate) fn has_passed(&self) -> bool {
        !self.passed.is_empty()
    }

    /// The next row that has waited for its pool, and may be called now.
    pub(crate) fn take_passed(&mut self) -> Option<Box<OpenRow>> {
        self.passed.pop_front()
    }

    /// Ends all look-ups. Says how many rows were kept.
    pub(crate) fn stop(&mut self) -> usize {
        self.looking = JoinSet::new();
        let passed = self.passed.drain(..).count();
        let asked = self.pools.values_mut().map(|seen| match seen {
            Seen::Asked(waiting) => waiting.drain(..).count(),
            _ => 0,
        });
        passed + asked.sum::<usize>()
    }

    /// Drops the rows that wait for pools of this Region. Says how many these are.
    pub(crate) fn give_up(&mut self, region: &str) -> usize {
        let of_it = self
            .pools
            .iter_mut()
            .filter(|(id, _)| region_of(id) == region);
        let waiting = of_it.map(|(_, seen)| match seen {
            Seen::Asked(waiting) => waiting.drain(..).count(),
            _ => 0,
        });
        waiting.sum()
    }

    /// A Region that does not answer, if there is one.
    pub(crate) fn silence(&self) -> Option<Silence> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.values().next().cloned()
    }

    /// What is to be said since the last time.
    pub(crate) fn news(&self) -> Vec<String> {
        std::mem::take(&mut *self.news.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Why the row must not be called in this pool, if it must not. Of a pool that names no provider the unlink tells: an
/// emulator may know of none, and the service takes none for such a pool.
fn mismatch(pool: &IdentityPool, row: &OpenRow) -> Option<Reason> {
    let link = &row.row.link;
    let theirs = pool.developer_provider_name.as_ref()?;
    (*theirs != link.developer_provider_name).then(|| {
        Reason::Refused(format!(
            "identity pool {} ({}) has the developer provider name {theirs}, and not {} (at {}). \
             Mend developer_provider_name or the pool id in the input",
            link.identity_pool_id, pool.name, link.developer_provider_name, row.row.position
        ))
    })
}

/// Notes for whoever watches whether the look-up of a pool is answered.
struct Hears<'a> {
    id: &'a str,
    silent: &'a Silent,
}

impl Hears<'_> {
    fn silent(&self) -> MutexGuard<'_, BTreeMap<String, Silence>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nothing(&self, how: &'static str) {
        let mut silent = self.silent();
        let silence = silent.entry(self.id.to_owned());
        let silence = silence.or_insert_with(|| Silence {
            region: region_of(self.id).to_owned(),
            since: Instant::now(),
            how,
        });
        silence.how = how;
    }

    fn an_answer(&self) {
        self.silent().remove(self.id);
    }
}

/// Looks a pool up, for as long as it takes, or as it makes sense.
async fn look_up<C: Lookup + Unlink>(
    look_ups: &LookUps<C>,
    id: &str,
    policy: Policy,
    news: &News,
    hears: &Hears<'_>,
) -> Found {
    let say = |text: String| {
        let mut news = news.lock().unwrap_or_else(PoisonError::into_inner);
        news.push(text);
    };
    // What is not answered, or throttled, is borne for as long as a row may live, from its first time on.
    let (mut unanswered, mut throttled, mut in_a_row) = (None, None, 0);
    let lasts = |since: &mut Option<Instant>| {
        let since = *since.get_or_insert_with(Instant::now);
        policy.give_up_after.saturating_sub(since.elapsed())
    };
    let (mut answered, mut pause, mut told) = (0, FIRST_PAUSE, None);
    loop {
        let looked = {
            let looking = look_ups.pool(id);
            tokio::pin!(looking);
            tokio::select! {
                biased;
                looked = &mut looking => looked,
                () = sleep(TOLD_AFTER) => {
                    hears.nothing("no answer yet");
                    looking.await
                }
            }
        };
        let untold = match looked {
            Ok(pool) => {
                hears.an_answer();
                return Found::Pool(pool);
            }
            Err(untold) => untold,
        };
        if untold.kind == LookupErrorKind::Throttled {
            throttled.get_or_insert_with(Instant::now);
            in_a_row += 1;
        } else {
            (throttled, in_a_row) = (None, 0);
        }
        let is_unreachable = untold.kind == LookupErrorKind::Unreachable;
        if is_unreachable && os_limits::lacks_files(untold.details.message.as_deref()) {
            return Found::Halting(Cause::NoFiles, untold);
        }
        if is_unreachable {
            hears.nothing(untold.details.how_unanswered());
        } else {
            hears.an_answer();
        }
        tracing::debug!(pool = id, why = ?untold.kind, code = untold.details.shown().code, "not looked up");
        answered += u32::from(!matches!(
            untold.kind,
            LookupErrorKind::Unreachable | LookupErrorKind::Throttled
        ));
        match untold.kind {
            LookupErrorKind::Missing => return Found::Halting(Cause::PoolMissing, untold),
            LookupErrorKind::NotPermitted | LookupErrorKind::Other => {
                say(unchecked(id, &untold));
                return Found::Nothing;
            }
            LookupErrorKind::Foreign if answered >= TRIES_OF_STRANGERS => {
                say(unchecked(id, &untold));
                return Found::Nothing;
            }
            LookupErrorKind::Busy if answered >= TRIES => {
                say(unchecked(id, &untold));
                return Found::Nothing;
            }
            LookupErrorKind::Signature if answered >= TRIES => {
                return Found::Halting(Cause::BadCredentials, untold);
            }
            LookupErrorKind::Throttled if in_a_row >= TRIES && lasts(&mut throttled).is_zero() => {
                return Found::Halting(Cause::LookUpsThrottled, untold);
            }
            // Admission slows all look-ups of the Region down; this one need only not be the next.
            LookupErrorKind::Throttled => pause = FIRST_PAUSE,
            LookupErrorKind::Busy | LookupErrorKind::Foreign | LookupErrorKind::Signature => {}
            // Where some have worked, none at all are others that are not there yet.
            LookupErrorKind::Credentials(cause)
                if policy.wait_for_credentials
                    && cause != Cause::OtherAccount
                    && (cause == Cause::Expired || told.is_some()) =>
            {
                told.get_or_insert_with(|| {
                    say(format!(
                        "The AWS credentials have expired before pool {id} could be looked up. Renew them and this run goes on."
                    ));
                });
                pause = LONGEST_PAUSE;
                answered = 0;
            }
            LookupErrorKind::Credentials(cause) => return Found::Halting(cause, untold),
            LookupErrorKind::Unreachable if lasts(&mut unanswered).is_zero() => {
                return Found::Halting(Cause::Unreachable, untold);
            }
            LookupErrorKind::Unreachable => {
                told.get_or_insert(());
                pause = pause.min(lasts(&mut unanswered));
            }
        }
        sleep(pause).await;
        pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        if matches!(untold.kind, LookupErrorKind::Credentials(_)) {
            look_ups.renew().await;
        }
    }
}

fn unchecked(id: &str, untold: &LookupError) -> String {
    let remedy = match untold.kind {
        LookupErrorKind::NotPermitted => {
            "Allow cognito-identity:DescribeIdentityPool on it, or leave this out with --no-preflight."
        }
        _ => "If it is a wrong one, its first unlink will tell.",
    };
    format!(
        "Warning: pool {id} is called without a check, since it cannot be looked up ({untold}). {remedy}"
    )
}

impl fmt::Debug for Preflight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Preflight")
            .field("allowed", &self.allowed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "pools_tests.rs"]
mod tests;
