//! Credentials at hand: loaded before a call asks for admission, never while it is being made.
//!
//! The SDK's own cache loads in the middle of a call, and may take seconds for it (a `credential_process`, SSO, another role).
//! By then the rate's token is old, and what the hold lists said is, too. Here whoever is about to call loads first
//! ([`AtHand::load`]); the SDK is then given what is there, without waiting.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use std::{error, fmt};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use tokio::time::{Instant, timeout};

/// Bound on one loading: instance metadata, SSO, another role. Shorter, and a slow `credential_process` halts the run; longer,
/// and one that hangs is noticed late.
const LOADING: Duration = Duration::from_secs(30);
/// Credentials with less time left than this are loaded anew before the next call, as the SDK does it.
const RENEWED_BEFORE_END: Duration = Duration::from_secs(10);
/// Credentials that name no end are asked for again after this long, as the SDK does it.
const WITHOUT_END: Duration = Duration::from_mins(15);
/// What a source gives is used for this long at the least: whether it has ended is for the service to say.
const LEAST_USE: Duration = Duration::from_secs(2);
/// A call is not begun with credentials that end sooner: they would end before it is signed.
const TO_SIGN: Duration = Duration::from_secs(1);
/// What a failed loading says of the credentials is too old for a call after this long.
const FAILURE_COUNTS: Duration = Duration::from_secs(10);

/// The last credentials that a source gave, or why it gave none. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct AtHand(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: SharedCredentialsProvider,
    latest: Mutex<Latest>,
    /// Held while the source is asked: all others wait for the same answer.
    loading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Latest {
    credentials: Option<(Credentials, SystemTime)>,
    /// Of the last loading, if it failed.
    failure: Option<(Arc<CredentialsError>, Instant)>,
    loadings: u64,
}

impl Latest {
    fn last_for(&self, time: Duration) -> bool {
        let end = SystemTime::now() + time;
        let credentials = self.credentials.as_ref();
        credentials.is_some_and(|(_, until)| end < *until)
    }
}

impl AtHand {
    pub(super) fn new(source: SharedCredentialsProvider) -> Self {
        Self(Arc::new(Shared {
            source,
            latest: Mutex::default(),
            loading: tokio::sync::Mutex::default(),
        }))
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the source, unless what is at hand lasts. A source that fails is asked again by the next caller, while callers
    /// that waited meanwhile share its answer.
    pub(super) async fn load(&self) {
        let before = {
            let latest = self.latest();
            if latest.last_for(RENEWED_BEFORE_END) {
                return;
            }
            latest.loadings
        };
        let _loading = self.0.loading.lock().await;
        if self.latest().loadings != before {
            return;
        }
        let loaded = timeout(LOADING, self.0.source.provide_credentials()).await;
        let loaded = loaded.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(LOADING)));
        let mut latest = self.latest();
        latest.loadings += 1;
        match loaded {
            Ok(credentials) => {
                let now = SystemTime::now();
                let until = credentials
                    .expiry()
                    .map_or(now + WITHOUT_END, |end| end.max(now + LEAST_USE));
                latest.credentials = Some((credentials, until));
                latest.failure = None;
            }
            Err(error) => latest.failure = Some((Arc::new(error), Instant::now())),
        }
    }

    /// Returns whether a call can be signed, or be refused for want of credentials, without waiting.
    pub(super) fn is_ready(&self) -> bool {
        let latest = self.latest();
        let failed = latest.failure.as_ref();
        latest.last_for(TO_SIGN) || failed.is_some_and(|(_, at)| at.elapsed() < FAILURE_COUNTS)
    }

    /// Credentials stay in use until their end, also when the source has failed to give the next ones.
    fn now(&self) -> provider::Result {
        let latest = self.latest();
        if latest.last_for(Duration::ZERO) {
            let credentials = latest.credentials.as_ref();
            return credentials
                .map(|(credentials, _)| credentials.clone())
                .ok_or_else(|| CredentialsError::unhandled(NotLoaded));
        }
        Err(match &latest.failure {
            Some((error, _)) => CredentialsError::provider_error(Failed(Arc::clone(error))),
            None => CredentialsError::unhandled(NotLoaded),
        })
    }
}

impl ProvideCredentials for AtHand {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.now())
    }
}

/// The error of a loading, for each of the calls that it concerns.
#[derive(Debug)]
struct Failed(Arc<CredentialsError>);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl error::Error for Failed {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&*self.0)
    }
}

/// The credentials ended between loading and signing: the attempt begins again.
#[derive(Debug)]
pub(super) struct NotLoaded;

impl fmt::Display for NotLoaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the credentials have expired a moment ago")
    }
}

impl error::Error for NotLoaded {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Gives credentials that last so long, one after the other, each when it is let.
    #[derive(Debug, Clone)]
    struct Source(Arc<Inner>);

    #[derive(Debug)]
    struct Inner {
        lasting: Duration,
        asked: AtomicU32,
        lets: Semaphore,
        fails: bool,
    }

    impl ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                let nth = self.0.asked.fetch_add(1, Ordering::Relaxed);
                self.0.lets.acquire().await.expect("open").forget();
                if self.0.fails {
                    return Err(CredentialsError::not_loaded("there are none"));
                }
                let end = SystemTime::now() + self.0.lasting;
                let key = format!("KEY{nth}");
                Ok(Credentials::new(key, "s", None, Some(end), "test"))
            })
        }
    }

    fn source(lasting: u64, fails: bool) -> (Source, AtHand) {
        let source = Source(Arc::new(Inner {
            lasting: Duration::from_secs(lasting),
            asked: AtomicU32::new(0),
            lets: Semaphore::new(0),
            fails,
        }));
        let shared = SharedCredentialsProvider::new(source.clone());
        (source, AtHand::new(shared))
    }

    fn key(at_hand: &AtHand) -> Option<String> {
        let now = at_hand.now().ok()?;
        Some(now.access_key_id().to_owned())
    }

    #[tokio::test]
    async fn all_that_wait_share_one_loading_and_a_call_never_waits() {
        let (source, at_hand) = source(3600, false);
        assert!(!at_hand.is_ready());
        assert_eq!(key(&at_hand), None);
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let at_hand = at_hand.clone();
            waiting.spawn(async move { at_hand.load().await });
        }
        tokio::task::yield_now().await;
        assert!(!at_hand.is_ready(), "the source has not answered");
        source.0.lets.add_permits(1);
        waiting.join_all().await;
        assert!(at_hand.is_ready());
        assert_eq!(key(&at_hand).as_deref(), Some("KEY0"));
        at_hand.load().await;
        assert_eq!(source.0.asked.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn credentials_about_to_end_are_renewed_and_serve_until_then() {
        let (source, at_hand) = source(5, false);
        source.0.lets.add_permits(2);
        at_hand.load().await;
        assert!(at_hand.is_ready(), "they are good for five seconds more");
        at_hand.load().await;
        assert_eq!(key(&at_hand).as_deref(), Some("KEY1"));
    }

    #[tokio::test]
    async fn a_failure_is_what_calls_are_told_until_it_is_old() {
        let (source, at_hand) = source(0, true);
        source.0.lets.add_permits(2);
        at_hand.load().await;
        assert!(at_hand.is_ready());
        let error = at_hand.now().expect_err("none");
        assert!(super::super::answer::told(&error).contains("there are none"));
        at_hand.load().await;
        assert_eq!(source.0.asked.load(Ordering::Relaxed), 2);
    }
}
