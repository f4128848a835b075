//! Checks, before the first call in a pool, that the pool exists and has the developer provider name of the rows.
//!
//! A pool is looked up once per run. A throttled or unanswered look-up is retried for as long as a row may live. Without permission
//! to describe the pool, or after server errors, the run warns and continues: the first unlink then shows whether the pool is
//! right.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::admitted_lookups::AdmittedLookups;
use crate::call::Client;
use crate::call::lookup::{IdentityPool, Lookup, LookupError, LookupErrorKind};
use crate::os_limits;
use crate::row::{Row, region_of};
use crate::verdict::{Cause, Policy};

/// Tries of a look-up that gets replies, none of which describes the pool.
const TRIES: u32 = 4;
/// Tries of a look-up whose replies are not Cognito's.
const FOREIGN_TRIES: u32 = 2;
/// Pause before the second try; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Maximum pause between two tries, when there is no reply or the credentials have expired.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Time after which a look-up is shown as unanswered.
const SHOWN_AFTER: Duration = Duration::from_secs(4);

/// Notices of the checks under way.
type Notices = Arc<Mutex<Vec<String>>>;
type Checking = Pin<Box<dyn Future<Output = PoolChecked> + Send>>;
/// Pools whose look-up is not answered, by id.
type Silent = Mutex<BTreeMap<String, SilentRegion>>;

/// Looks up pools, each in a task of its own.
pub struct PoolChecks {
    /// Starts the check of a pool; `None` looks nothing up.
    check: Option<Box<dyn Fn(String) -> Checking + Send>>,
    running: JoinSet<(String, PoolChecked)>,
    notices: Notices,
    silent: Arc<Silent>,
}

/// A Region that does not reply to look-ups.
#[derive(Debug, Clone)]
pub struct SilentRegion {
    /// Its name.
    pub region: String,
    /// Time of the first look-up without a reply.
    pub since: Instant,
    /// The fault in a word or two.
    pub fault: &'static str,
}

/// The result of a check.
#[derive(Debug, PartialEq, Eq)]
pub enum PoolChecked {
    /// The pool, as the service describes it.
    Pool(IdentityPool),
    /// The pool cannot be looked up, which is no reason not to call.
    Unchecked,
    /// Any call in the pool would fail the same way.
    Halting(Cause, LookupError),
}

impl PoolChecks {
    /// Checks no pool.
    #[must_use]
    pub fn none() -> Self {
        Self {
            check: None,
            running: JoinSet::new(),
            notices: Notices::default(),
            silent: Arc::default(),
        }
    }

    /// Checks pools through `lookups`, for as long as `policy` lets a row live.
    #[must_use]
    pub fn new<C: Lookup + Client>(lookups: Arc<AdmittedLookups<C>>, policy: Policy) -> Self {
        let checks = Self::none();
        let (notices, silent) = (Arc::clone(&checks.notices), Arc::clone(&checks.silent));
        Self {
            check: Some(Box::new(move |id| {
                let (lookups, notices) = (Arc::clone(&lookups), Arc::clone(&notices));
                let silent = Arc::clone(&silent);
                Box::pin(async move {
                    let silence = Silence {
                        id: &id,
                        silent: &silent,
                    };
                    check(&lookups, &id, policy, &notices, &silence).await
                })
            })),
            ..checks
        }
    }

    /// Returns whether pools are looked up at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.check.is_some()
    }

    /// Starts the check of a pool.
    pub(crate) fn start(&mut self, id: String) {
        if let Some(check) = &self.check {
            let checking = check(id.clone());
            self.running.spawn(async move { (id, checking.await) });
        }
    }

    /// Waits for a check to end; `None` if none is under way.
    ///
    /// # Errors
    /// Its task panicked.
    pub(crate) async fn next(&mut self) -> Option<Result<(String, PoolChecked), String>> {
        let checked = self.running.join_next().await?;
        Some(checked.map_err(|error| error.to_string()))
    }

    /// Ends all checks.
    pub(crate) fn stop(&mut self) {
        self.running = JoinSet::new();
    }

    /// Returns a Region that does not reply, if there is one.
    pub(crate) fn silent_region(&self) -> Option<SilentRegion> {
        let silent = self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        silent.values().next().cloned()
    }

    /// Takes the notices since the last call.
    pub(crate) fn notices(&self) -> Vec<String> {
        let mut notices = self.notices.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *notices)
    }
}

impl fmt::Debug for PoolChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolChecks")
            .field("is_on", &self.is_on())
            .finish_non_exhaustive()
    }
}

/// Compares the provider name of a row with that of its pool, if that was looked up; a row without one takes the pool's. A pool
/// without a provider name may be an emulator's: the unlink shows whether the name is right, since the service accepts none for such
/// a pool.
///
/// # Errors
/// The row must not be called: the names differ, or neither is known.
pub fn settle_provider(pool: Option<&IdentityPool>, row: &mut Row) -> Result<(), String> {
    let (link, position) = (&mut row.link, &row.position);
    let theirs = pool.and_then(|pool| pool.developer_provider_name.as_ref());
    match theirs.zip(pool) {
        Some((theirs, _)) if link.developer_provider_name.is_empty() => {
            link.developer_provider_name.clone_from(theirs);
            Ok(())
        }
        Some((theirs, pool)) if *theirs != link.developer_provider_name => Err(format!(
            "identity pool {} ({}) has the developer provider name {theirs}, and not {} (at {position}). \
             Correct developer_provider_name or the pool id in the input",
            link.identity_pool_id, pool.name, link.developer_provider_name
        )),
        None if link.developer_provider_name.is_empty() => Err(format!(
            "the developer provider name of pool {} is not known (at {position}), as the pool was not described. \
             Name it with --developer-provider-name",
            link.identity_pool_id
        )),
        _ => Ok(()),
    }
}

/// Records for progress whether the look-up of a pool is answered.
struct Silence<'a> {
    id: &'a str,
    silent: &'a Silent,
}

impl Silence<'_> {
    fn silent(&self) -> MutexGuard<'_, BTreeMap<String, SilentRegion>> {
        self.silent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, fault: &'static str) {
        let mut silent = self.silent();
        let region = silent.entry(self.id.to_owned());
        let region = region.or_insert_with(|| SilentRegion {
            region: region_of(self.id).to_owned(),
            since: Instant::now(),
            fault,
        });
        region.fault = fault;
    }

    fn end(&self) {
        self.silent().remove(self.id);
    }
}

/// Checks a pool, with retries for as long as they make sense.
async fn check<C: Lookup + Client>(
    lookups: &AdmittedLookups<C>,
    id: &str,
    policy: Policy,
    notices: &Notices,
    silence: &Silence<'_>,
) -> PoolChecked {
    let mut tries = Tries::new(id, policy);
    loop {
        let error = match look_up(lookups, id, silence).await {
            Ok(pool) => return PoolChecked::Pool(pool),
            Err(error) => error,
        };
        tracing::debug!(pool = id, why = ?error.kind, code = error.details.shown().code, "not looked up");
        let is_about_credentials = matches!(error.kind, LookupErrorKind::Credentials(_));
        let (next, notice) = tries.after(error);
        if let Some(notice) = notice {
            let mut notices = notices.lock().unwrap_or_else(PoisonError::into_inner);
            notices.push(notice);
        }
        match next {
            AfterTry::Over(checked) => return checked,
            AfterTry::Again(pause) => sleep(pause).await,
        }
        if is_about_credentials {
            lookups.renew().await;
        }
    }
}

/// Looks a pool up once, and shows a call that takes long as unanswered.
async fn look_up<C: Lookup + Client>(
    lookups: &AdmittedLookups<C>,
    id: &str,
    silence: &Silence<'_>,
) -> Result<IdentityPool, LookupError> {
    let permit = lookups.admit(id).await;
    let reply = lookups.admitted_pool(id, permit);
    tokio::pin!(reply);
    let found = tokio::select! {
        biased;
        found = &mut reply => found,
        () = sleep(SHOWN_AFTER) => {
            silence.begin("no answer yet");
            reply.await
        }
    };
    match &found {
        Err(error) if error.kind == LookupErrorKind::Unreachable => {
            if !lacks_files(error) {
                silence.begin(error.details.connection_fault());
            }
        }
        _ => silence.end(),
    }
    found
}

fn lacks_files(error: &LookupError) -> bool {
    os_limits::lacks_files(error.details.message.as_deref())
}

/// The step that follows a try that did not describe the pool.
enum AfterTry {
    Over(PoolChecked),
    Again(Duration),
}

/// The tries of one check so far.
struct Tries<'a> {
    id: &'a str,
    policy: Policy,
    /// Start of the outage, and of the throttling: each is waited out for as long as a row may live.
    unanswered_since: Option<Instant>,
    throttled_since: Option<Instant>,
    throttled_in_a_row: u32,
    answered: u32,
    pause: Duration,
    /// A wait for a Region or for credentials has begun. From then on missing credentials are waited for too.
    is_waiting: bool,
}

impl<'a> Tries<'a> {
    fn new(id: &'a str, policy: Policy) -> Self {
        Self {
            id,
            policy,
            unanswered_since: None,
            throttled_since: None,
            throttled_in_a_row: 0,
            answered: 0,
            pause: FIRST_PAUSE,
            is_waiting: false,
        }
    }

    /// Returns the time for which a look-up that has failed since `since` is still retried.
    fn patience(&self, since: Instant) -> Duration {
        self.policy.give_up_after.saturating_sub(since.elapsed())
    }

    /// Decides what follows a try, and returns a notice where one is due.
    fn after(&mut self, error: LookupError) -> (AfterTry, Option<String>) {
        let kind = error.kind;
        if kind == LookupErrorKind::Throttled {
            self.throttled_since.get_or_insert_with(Instant::now);
            self.throttled_in_a_row += 1;
        } else {
            (self.throttled_since, self.throttled_in_a_row) = (None, 0);
        }
        if kind == LookupErrorKind::Unreachable && lacks_files(&error) {
            return halt(Cause::NoFiles, error);
        }
        self.answered += u32::from(!matches!(
            kind,
            LookupErrorKind::Unreachable | LookupErrorKind::Throttled
        ));
        let notice = match kind {
            LookupErrorKind::Missing => return halt(Cause::PoolMissing, error),
            LookupErrorKind::NotPermitted
            | LookupErrorKind::Other
            // Errors of look-ups that name an identity.
            | LookupErrorKind::NothingThere
            | LookupErrorKind::Forbidden
            | LookupErrorKind::Mismatch => {
                return self.unchecked(&error);
            }
            LookupErrorKind::Foreign if self.answered >= FOREIGN_TRIES => {
                return self.unchecked(&error);
            }
            LookupErrorKind::Busy if self.answered >= TRIES => return self.unchecked(&error),
            LookupErrorKind::Signature if self.answered >= TRIES => {
                return halt(Cause::BadCredentials, error);
            }
            LookupErrorKind::Throttled if self.is_throttled_for_too_long() => {
                return halt(Cause::LookUpsThrottled, error);
            }
            // Admission slows all look-ups in the Region down; this one need only not be the next.
            LookupErrorKind::Throttled => {
                self.pause = FIRST_PAUSE;
                None
            }
            LookupErrorKind::Busy | LookupErrorKind::Foreign | LookupErrorKind::Signature => None,
            LookupErrorKind::Credentials(cause) if self.waits_for_credentials(cause) => {
                self.wait_for_credentials()
            }
            LookupErrorKind::Credentials(cause) => return halt(cause, error),
            LookupErrorKind::Unreachable => {
                let since = *self.unanswered_since.get_or_insert_with(Instant::now);
                let patience = self.patience(since);
                if patience.is_zero() {
                    return halt(Cause::Unreachable, error);
                }
                self.is_waiting = true;
                self.pause = self.pause.min(patience);
                None
            }
        };
        let pause = self.pause;
        self.pause = (pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        (AfterTry::Again(pause), notice)
    }

    fn is_throttled_for_too_long(&self) -> bool {
        let since = self.throttled_since;
        self.throttled_in_a_row >= TRIES && since.is_some_and(|at| self.patience(at).is_zero())
    }

    fn waits_for_credentials(&self, cause: Cause) -> bool {
        self.policy.wait_for_credentials
            && cause != Cause::OtherAccount
            && (cause == Cause::Expired || self.is_waiting)
    }

    /// Waits for new credentials, and returns a notice the first time.
    fn wait_for_credentials(&mut self) -> Option<String> {
        self.pause = LONGEST_PAUSE;
        self.answered = 0;
        let is_first = !std::mem::replace(&mut self.is_waiting, true);
        is_first.then(|| {
            format!(
                "The AWS credentials have expired before pool {} could be looked up. Renew them and this run goes on.",
                self.id
            )
        })
    }

    fn unchecked(&self, error: &LookupError) -> (AfterTry, Option<String>) {
        let remedy = match error.kind {
            LookupErrorKind::NotPermitted => {
                "Allow cognito-identity:DescribeIdentityPool on it, or leave the check out with --no-preflight."
            }
            _ => "If it is a wrong pool, its first unlink fails.",
        };
        let notice = format!(
            "Warning: pool {} is called without a check, since it cannot be looked up ({error}). {remedy}",
            self.id
        );
        (AfterTry::Over(PoolChecked::Unchecked), Some(notice))
    }
}

fn halt(cause: Cause, error: LookupError) -> (AfterTry, Option<String>) {
    (AfterTry::Over(PoolChecked::Halting(cause, error)), None)
}

#[cfg(test)]
#[path = "pool_checks_tests.rs"]
mod tests;
