//! Look-ups whose replies are scripted, on paused time.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Mutex;

use super::*;
use crate::admission::{Admission, CREDENTIALS_PAUSE, Feedback, Limits, Rate};
use crate::call::lookup::Caller;
use crate::operation::{Operation, OperationQuotas};
use crate::verdict::ReplyDetails;

/// Replies with each of these in turn, and with the last one for ever.
struct Script {
    whys: Mutex<VecDeque<Option<LookupErrorKind>>>,
    lookups: Mutex<u32>,
    renewed: Mutex<u32>,
}

impl Script {
    fn of(whys: impl IntoIterator<Item = Option<LookupErrorKind>>) -> Arc<Self> {
        Arc::new(Self {
            whys: Mutex::new(whys.into_iter().collect()),
            lookups: Mutex::default(),
            renewed: Mutex::default(),
        })
    }
}

impl Lookup for Script {
    async fn pool(&self, _: &str) -> Result<IdentityPool, LookupError> {
        *self.lookups.lock().expect("no panic") += 1;
        let mut whys = self.whys.lock().expect("no panic");
        let why = if whys.len() > 1 {
            whys.pop_front().flatten()
        } else {
            whys[0]
        };
        match why {
            None => Ok(IdentityPool::default()),
            Some(kind) => Err(LookupError {
                kind,
                details: ReplyDetails::default(),
            }),
        }
    }

    async fn caller(&self) -> Result<Caller, LookupError> {
        unreachable!("pool checks do not ask for the caller")
    }
}

impl Client for Script {
    async fn renew(&self) {
        *self.renewed.lock().expect("no panic") += 1;
    }
}

fn admission(quotas: OperationQuotas) -> Arc<Admission> {
    let limits = Limits {
        rate: Rate::PerSecond(1000.0),
        burst: NonZeroU32::MIN,
        concurrency: NonZeroU32::new(16).expect("positive"),
        leave: 0.0,
        processes: NonZeroU32::MIN,
    };
    let job = Operation::UnlinkDeveloperIdentity;
    Arc::new(Admission::new(limits, job, quotas))
}

/// Returns the result of a check, its look-ups, its duration and its notices.
async fn checked(
    script: &Arc<Script>,
    policy: Policy,
) -> (PoolChecked, u32, Duration, Vec<String>) {
    let notices = Notices::default();
    let began = Instant::now();
    let admission = admission(OperationQuotas::new());
    let lookups = AdmittedLookups::new(Arc::clone(script), admission);
    let silent = Silent::default();
    let silence = Silence {
        id: "us-east-1:1",
        silent: &silent,
    };
    let checked = check(&lookups, "us-east-1:1", policy, &notices, &silence).await;
    let lookups = *script.lookups.lock().expect("no panic");
    let mut printed = notices.lock().expect("no panic").clone();
    let silent = silent.lock().expect("no panic");
    printed.extend(silent.values().map(|region| region.fault.to_owned()));
    (checked, lookups, began.elapsed(), printed)
}

fn cause(checked: &PoolChecked) -> Option<Cause> {
    match checked {
        PoolChecked::Halting(cause, _) => Some(*cause),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn errors_that_no_retry_changes_are_not_retried() {
    for (why, halts) in [
        (LookupErrorKind::Missing, Some(Cause::PoolMissing)),
        (LookupErrorKind::NotPermitted, None),
        (LookupErrorKind::Other, None),
        (
            LookupErrorKind::Credentials(Cause::Expired),
            Some(Cause::Expired),
        ),
        (
            LookupErrorKind::Credentials(Cause::NoCredentials),
            Some(Cause::NoCredentials),
        ),
    ] {
        let (checked_pool, lookups, took, printed) =
            checked(&Script::of([Some(why)]), Policy::DEFAULT).await;
        assert_eq!(cause(&checked_pool), halts, "{why:?}");
        assert_eq!((lookups, took), (1, Duration::ZERO), "{why:?}");
        assert_eq!(printed.len(), usize::from(halts.is_none()), "{why:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_that_pass_are_retried() {
    for (whys, asks) in [
        (
            vec![
                Some(LookupErrorKind::Busy),
                Some(LookupErrorKind::Busy),
                Some(LookupErrorKind::Busy),
                None,
            ],
            4,
        ),
        (
            vec![
                Some(LookupErrorKind::Throttled),
                Some(LookupErrorKind::Throttled),
                None,
            ],
            3,
        ),
        (vec![Some(LookupErrorKind::Signature), None], 2),
        (vec![Some(LookupErrorKind::Foreign), None], 2),
        (
            vec![
                Some(LookupErrorKind::Unreachable),
                Some(LookupErrorKind::Busy),
                None,
            ],
            3,
        ),
    ] {
        let script = Script::of(whys);
        let (checked_pool, lookups, took, _) = checked(&script, Policy::DEFAULT).await;
        assert_eq!(checked_pool, PoolChecked::Pool(IdentityPool::default()));
        assert_eq!(lookups, asks);
        assert!(took <= Duration::from_secs(4), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn retries_have_an_end() {
    let (busy, lookups, _, printed) =
        checked(&Script::of([Some(LookupErrorKind::Busy)]), Policy::DEFAULT).await;
    assert_eq!(
        (busy, lookups, printed.len()),
        (PoolChecked::Unchecked, TRIES, 1)
    );
    let (foreign, lookups, ..) = checked(
        &Script::of([Some(LookupErrorKind::Foreign)]),
        Policy::DEFAULT,
    )
    .await;
    assert_eq!((foreign, lookups), (PoolChecked::Unchecked, FOREIGN_TRIES));
    let (signature, ..) = checked(
        &Script::of([Some(LookupErrorKind::Signature)]),
        Policy::DEFAULT,
    )
    .await;
    assert_eq!(cause(&signature), Some(Cause::BadCredentials));
    let (throttled, _, took, _) = checked(
        &Script::of([Some(LookupErrorKind::Throttled)]),
        Policy::DEFAULT,
    )
    .await;
    assert_eq!(cause(&throttled), Some(Cause::LookUpsThrottled));
    assert!(took >= Policy::DEFAULT.give_up_after, "{took:?}");
    let (silence, lookups, took, printed) = checked(
        &Script::of([Some(LookupErrorKind::Unreachable)]),
        Policy::DEFAULT,
    )
    .await;
    assert_eq!(cause(&silence), Some(Cause::Unreachable));
    assert_eq!((took, printed.len()), (Policy::DEFAULT.give_up_after, 1));
    assert!(lookups < 40, "{lookups}");
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_waited_for_if_asked() {
    let waits = Policy {
        wait_for_credentials: true,
        ..Policy::DEFAULT
    };
    let expired = Some(LookupErrorKind::Credentials(Cause::Expired));
    let none = Some(LookupErrorKind::Credentials(Cause::NoCredentials));
    let script = Script::of([expired, expired, none, expired, None]);
    let (checked_pool, lookups, took, printed) = checked(&script, waits).await;
    assert_eq!(checked_pool, PoolChecked::Pool(IdentityPool::default()));
    assert_eq!((lookups, took), (5, 4 * LONGEST_PAUSE));
    assert_eq!(*script.renewed.lock().expect("no panic"), 4);
    assert_eq!(printed.len(), 1, "{printed:?}");
}

#[tokio::test(start_paused = true)]
async fn look_ups_start_near_the_quota_of_their_operation_and_leave_that_of_the_calls_alone() {
    let key = |operation| ("us-east-1".to_owned(), operation);
    let saved = [
        (key(Operation::DescribeIdentityPool), 1.0),
        (key(Operation::UnlinkDeveloperIdentity), 100.0),
    ];
    let admission = admission(saved.into());
    let calls = admission.queue("us-east-1", Operation::UnlinkDeveloperIdentity);
    let throttled = Script::of([Some(LookupErrorKind::Throttled)]);
    let lookups = AdmittedLookups::new(throttled, Arc::clone(&admission));
    let began = Instant::now();
    for _ in 0..4 {
        let found = lookups.pool("us-east-1:1").await;
        assert_eq!(
            found.map_err(|error| error.kind),
            Err(LookupErrorKind::Throttled)
        );
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(2), "{took:?}");
    let began = Instant::now();
    for _ in 0..4 {
        let permit = calls.admit().await.expect("not abandoned");
        permit.answered(Feedback::Accepted);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_waits_for_admission_is_not_shown_as_unanswered() {
    let admission = admission(OperationQuotas::new());
    let queue = admission.queue("us-east-1", Operation::DescribeIdentityPool);
    queue.set_retry_after(SHOWN_AFTER * 2);
    let lookups = AdmittedLookups::new(Script::of([None]), admission);
    let mut checks = PoolChecks::new(Arc::new(lookups), Policy::DEFAULT);
    checks.start("us-east-1:1".to_owned());
    sleep(SHOWN_AFTER + Duration::from_secs(1)).await;
    assert!(checks.silent_region().is_none());
    let checked = checks.next().await.expect("a check").expect("no panic");
    assert_eq!(checked.1, PoolChecked::Pool(IdentityPool::default()));
}

#[tokio::test(start_paused = true)]
async fn a_look_up_that_tries_the_credentials_renews_them() {
    let admission = admission(OperationQuotas::new());
    let calls = admission.queue("us-east-1", Operation::UnlinkDeveloperIdentity);
    let call = calls.admit().await.expect("not abandoned");
    call.answered(Feedback::CredentialsRejected);
    let expired = Some(LookupErrorKind::Credentials(Cause::Expired));
    let script = Script::of([expired, None]);
    let lookups = AdmittedLookups::new(Arc::clone(&script), admission);
    let began = Instant::now();
    assert!(lookups.pool("us-east-1:1").await.is_err());
    assert!(lookups.pool("us-east-1:1").await.is_ok());
    assert_eq!(began.elapsed(), CREDENTIALS_PAUSE * 2);
    assert_eq!(*script.renewed.lock().expect("no panic"), 2);
    let call = calls.admit().await.expect("not abandoned");
    assert!(!call.is_credentials_trial());
}
