//! Look-ups that are answered by a script, on paused time.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Mutex;

use super::*;
use crate::admission::{Limits, Rate};
use crate::call::LastCheck;
use crate::call::lookup::Caller;
use crate::row::Link;
use crate::verdict::{Answer, ReplyDetails, ReplyKind};

/// Answers with each of these in turn, and with the last one for ever.
struct Script {
    whys: Mutex<VecDeque<Option<LookupErrorKind>>>,
    asked: Mutex<u32>,
    renewed: Mutex<u32>,
}

impl Script {
    fn of(whys: impl IntoIterator<Item = Option<LookupErrorKind>>) -> Arc<Self> {
        Arc::new(Self {
            whys: Mutex::new(whys.into_iter().collect()),
            asked: Mutex::default(),
            renewed: Mutex::default(),
        })
    }
}

impl Lookup for Script {
    async fn pool(&self, _: &str) -> Result<IdentityPool, LookupError> {
        *self.asked.lock().expect("no panic") += 1;
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
        unreachable!("nobody asks")
    }
}

impl Unlink for Script {
    async fn unlink(&self, _: &Link, _: Arc<dyn LastCheck>) -> Answer {
        Answer {
            heard: ReplyKind::NotSent,
            facts: ReplyDetails::default(),
        }
    }

    async fn renew(&self) {
        *self.renewed.lock().expect("no panic") += 1;
    }
}

/// What was found, how often it was asked, after how long, and what was said.
async fn found(script: &Arc<Script>, policy: Policy) -> (Found, u32, Duration, Vec<String>) {
    let news = News::default();
    let began = Instant::now();
    let limits = Limits {
        rate: Rate::PerSecond(1000.0),
        burst: NonZeroU32::MIN,
        concurrency: NonZeroU32::new(16).expect("positive"),
        leave: 0.0,
    };
    let look_ups = LookUps::new(Arc::clone(script), limits);
    let silent = Silent::default();
    let hears = Hears {
        id: "us-east-1:1",
        silent: &silent,
    };
    let found = look_up(&look_ups, "us-east-1:1", policy, &news, &hears).await;
    let asked = *script.asked.lock().expect("no panic");
    let mut said = news.lock().expect("no panic").clone();
    let silent = silent.lock().expect("no panic");
    said.extend(silent.values().map(|silence| silence.how.to_owned()));
    (found, asked, began.elapsed(), said)
}

fn cause(found: &Found) -> Option<Cause> {
    match found {
        Found::Halting(cause, _) => Some(*cause),
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_question_changes_is_asked_once() {
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
        let (found, asked, took, said) = found(&Script::of([Some(why)]), Policy::DEFAULT).await;
        assert_eq!(cause(&found), halts, "{why:?}");
        assert_eq!((asked, took), (1, Duration::ZERO), "{why:?}");
        assert_eq!(said.len(), usize::from(halts.is_none()), "{why:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_waited_for() {
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
        let (found, asked, took, _) = found(&script, Policy::DEFAULT).await;
        assert_eq!(found, Found::Pool(IdentityPool::default()));
        assert_eq!(asked, asks);
        assert!(took <= Duration::from_secs(4), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_not_waited_for_for_ever() {
    let (busy, asked, _, said) =
        found(&Script::of([Some(LookupErrorKind::Busy)]), Policy::DEFAULT).await;
    assert_eq!((busy, asked, said.len()), (Found::Nothing, TRIES, 1));
    let (foreign, asked, ..) = found(
        &Script::of([Some(LookupErrorKind::Foreign)]),
        Policy::DEFAULT,
    )
    .await;
    assert_eq!((foreign, asked), (Found::Nothing, TRIES_OF_STRANGERS));
    let (signature, ..) = found(
        &Script::of([Some(LookupErrorKind::Signature)]),
        Policy::DEFAULT,
    )
    .await;
    assert_eq!(cause(&signature), Some(Cause::BadCredentials));
    let (throttled, _, took, _) = found(
        &Script::of([Some(LookupErrorKind::Throttled)]),
        Policy::DEFAULT,
    )
    .await;
    assert_eq!(cause(&throttled), Some(Cause::LookUpsThrottled));
    assert!(took >= Policy::DEFAULT.give_up_after, "{took:?}");
    let (silence, asked, took, said) = found(
        &Script::of([Some(LookupErrorKind::Unreachable)]),
        Policy::DEFAULT,
    )
    .await;
    assert_eq!(cause(&silence), Some(Cause::Unreachable));
    assert_eq!((took, said.len()), (Policy::DEFAULT.give_up_after, 1));
    assert!(asked < 40, "{asked}");
}

#[tokio::test(start_paused = true)]
async fn expired_credentials_are_waited_for_where_that_is_asked() {
    let waits = Policy {
        wait_for_credentials: true,
        ..Policy::DEFAULT
    };
    let expired = Some(LookupErrorKind::Credentials(Cause::Expired));
    let none = Some(LookupErrorKind::Credentials(Cause::NoCredentials));
    let script = Script::of([expired, expired, none, expired, None]);
    let (found, asked, took, said) = found(&script, waits).await;
    assert_eq!(found, Found::Pool(IdentityPool::default()));
    assert_eq!((asked, took), (5, 4 * LONGEST_PAUSE));
    assert_eq!(*script.renewed.lock().expect("no panic"), 4);
    assert_eq!(said.len(), 1, "{said:?}");
}
