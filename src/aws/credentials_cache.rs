//! A cache of credentials that loads before a call asks for admission, never during the call.
//!
//! The SDK's own cache loads in the middle of a call, which may take seconds (a `credential_process`, SSO, another role). By
//! then the call's rate token and its hold check are stale. So a worker loads first ([`CachedCredentials::load`]), and the SDK
//! gets what is cached, without waiting.

use std::error::Error as StdError;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use tokio::time::{Instant, timeout};

/// Time-out of one load (30 s): instance metadata, SSO, another role. Half of it, and a slow `credential_process` halts the run;
/// twice, and one that hangs goes unnoticed longer.
pub(super) const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Credentials with less time left (10 s) are loaded again before the next call, as in the SDK.
const RENEW_BEFORE_EXPIRY: Duration = Duration::from_secs(10);
/// Credentials without an expiry are loaded again after this long (15 min), as in the SDK.
const WITHOUT_EXPIRY: Duration = Duration::from_mins(15);
/// Loaded credentials are used for this long at least (2 s), expired or not: the service decides whether they have expired.
const MIN_USE: Duration = Duration::from_secs(2);
/// No call starts with credentials that expire sooner (1 s): they would expire before the request is signed.
const TIME_TO_SIGN: Duration = Duration::from_secs(1);
/// A failed load counts as the state of the credentials for this long (10 s).
const FAILURE_LASTS: Duration = Duration::from_secs(10);

/// The latest credentials of a source, or the error of loading them. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct CachedCredentials(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    source: SharedCredentialsProvider,
    latest: Mutex<Latest>,
    /// Locked while the source loads: other callers wait for the same result.
    loading: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Latest {
    /// With their expiry.
    credentials: Option<(Credentials, SystemTime)>,
    /// Of the last load, if it failed, with its time.
    failure: Option<(Arc<CredentialsError>, Instant)>,
    /// Number of loads that have ended.
    loads: u64,
}

impl Latest {
    fn last_for(&self, time: Duration) -> bool {
        let end = SystemTime::now() + time;
        let credentials = self.credentials.as_ref();
        credentials.is_some_and(|(_, until)| end < *until)
    }
}

impl CachedCredentials {
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

    /// Loads credentials, unless the cached ones last. Callers that wait for a load share its result; after a failed one, the
    /// next caller loads again.
    pub(super) async fn load(&self) {
        let before = {
            let latest = self.latest();
            if latest.last_for(RENEW_BEFORE_EXPIRY) {
                return;
            }
            latest.loads
        };
        let _loading = self.0.loading.lock().await;
        if self.latest().loads != before {
            return;
        }
        let loaded = timeout(LOAD_TIMEOUT, self.0.source.provide_credentials()).await;
        let loaded =
            loaded.unwrap_or_else(|_| Err(CredentialsError::provider_timed_out(LOAD_TIMEOUT)));
        let mut latest = self.latest();
        latest.loads += 1;
        match loaded {
            Ok(credentials) => {
                let now = SystemTime::now();
                let until = credentials
                    .expiry()
                    .map_or(now + WITHOUT_EXPIRY, |expiry| expiry.max(now + MIN_USE));
                latest.credentials = Some((credentials, until));
                latest.failure = None;
            }
            Err(error) => latest.failure = Some((Arc::new(error), Instant::now())),
        }
    }

    /// Returns true if a call can be signed, or rejected for lack of credentials, without waiting.
    pub(super) fn is_ready(&self) -> bool {
        let latest = self.latest();
        let failed = latest.failure.as_ref();
        latest.last_for(TIME_TO_SIGN) || failed.is_some_and(|(_, at)| at.elapsed() < FAILURE_LASTS)
    }

    /// Returns the cached credentials. They are used until they expire, also when the source has failed to load the next ones.
    fn cached(&self) -> provider::Result {
        let latest = self.latest();
        if latest.last_for(Duration::ZERO) {
            let credentials = latest.credentials.as_ref();
            return credentials
                .map(|(credentials, _)| credentials.clone())
                .ok_or_else(|| CredentialsError::unhandled(NotLoaded));
        }
        Err(match &latest.failure {
            Some((error, _)) => CredentialsError::provider_error(LoadFailed(Arc::clone(error))),
            None => CredentialsError::unhandled(NotLoaded),
        })
    }
}

impl ProvideCredentials for CachedCredentials {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(self.cached())
    }
}

/// The error of a load, for each of the calls that wait for it.
#[derive(Debug)]
struct LoadFailed(Arc<CredentialsError>);

impl fmt::Display for LoadFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// By hand: a derived source would be the `Arc`, which hides the type of the error in it.
impl StdError for LoadFailed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&*self.0)
    }
}

/// The credentials expired between loading and signing: the attempt is not sent, and tried again.
#[derive(Debug, thiserror::Error)]
#[error("the credentials expired before the request was signed")]
pub(super) struct NotLoaded;

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    /// Gives credentials of a fixed life, one per permit of `permits`.
    #[derive(Debug, Clone)]
    struct Source(Arc<Inner>);

    #[derive(Debug)]
    struct Inner {
        life: Duration,
        loads: AtomicU32,
        permits: Semaphore,
        fails: bool,
    }

    impl ProvideCredentials for Source {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            future::ProvideCredentials::new(async {
                let nth = self.0.loads.fetch_add(1, Ordering::Relaxed);
                self.0.permits.acquire().await.expect("open").forget();
                if self.0.fails {
                    return Err(CredentialsError::not_loaded("there are none"));
                }
                let end = SystemTime::now() + self.0.life;
                let key = format!("KEY{nth}");
                Ok(Credentials::new(key, "s", None, Some(end), "test"))
            })
        }
    }

    fn source(life: u64, fails: bool) -> (Source, CachedCredentials) {
        let source = Source(Arc::new(Inner {
            life: Duration::from_secs(life),
            loads: AtomicU32::new(0),
            permits: Semaphore::new(0),
            fails,
        }));
        let shared = SharedCredentialsProvider::new(source.clone());
        (source, CachedCredentials::new(shared))
    }

    fn key(cache: &CachedCredentials) -> Option<String> {
        let credentials = cache.cached().ok()?;
        Some(credentials.access_key_id().to_owned())
    }

    #[tokio::test]
    async fn waiting_callers_share_one_load_and_a_call_never_waits() {
        let (source, cache) = source(3600, false);
        assert!(!cache.is_ready());
        assert_eq!(key(&cache), None);
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let cache = cache.clone();
            waiting.spawn(async move { cache.load().await });
        }
        tokio::task::yield_now().await;
        assert!(!cache.is_ready(), "the source has not loaded");
        source.0.permits.add_permits(1);
        waiting.join_all().await;
        assert!(cache.is_ready());
        assert_eq!(key(&cache).as_deref(), Some("KEY0"));
        cache.load().await;
        assert_eq!(source.0.loads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn credentials_about_to_expire_are_renewed_and_used_until_then() {
        let (source, cache) = source(5, false);
        source.0.permits.add_permits(2);
        cache.load().await;
        assert!(cache.is_ready(), "they are good for five seconds more");
        cache.load().await;
        assert_eq!(key(&cache).as_deref(), Some("KEY1"));
    }

    #[tokio::test]
    async fn a_failed_load_fails_calls_until_it_is_old() {
        let (source, cache) = source(0, true);
        source.0.permits.add_permits(2);
        cache.load().await;
        assert!(cache.is_ready());
        let error = cache.cached().expect_err("none");
        assert!(super::super::describe::describe(&error).contains("there are none"));
        cache.load().await;
        assert_eq!(source.0.loads.load(Ordering::Relaxed), 2);
    }
}
