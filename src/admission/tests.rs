use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::operation::Operation::{
    DescribeIdentity, DescribeIdentityPool, UnlinkDeveloperIdentity,
};
use crate::operation::OperationQuotas;

fn admission(rate: Rate, concurrency: u32) -> Admission {
    admission_with_quotas(rate, concurrency, OperationQuotas::new())
}

fn admission_with_quotas(rate: Rate, concurrency: u32, quotas: OperationQuotas) -> Admission {
    let limits = Limits {
        rate,
        burst: NonZeroU32::MIN,
        concurrency: NonZeroU32::new(concurrency).expect("positive"),
        leave: 0.0,
        processes: NonZeroU32::MIN,
    };
    Admission::new(limits, UnlinkDeveloperIdentity, quotas)
}

/// Returns the queue of the job's calls to a Region.
fn calls_to(admission: &Admission, region: &str) -> Arc<Queue> {
    admission.queue(region, UnlinkDeveloperIdentity)
}

/// Returns the queues of the job's calls and of look-ups in one Region.
fn calls_and_look_ups(admission: &Admission) -> (Arc<Queue>, Arc<Queue>) {
    let look_ups = admission.queue("us-east-1", DescribeIdentityPool);
    (calls_to(admission, "us-east-1"), look_ups)
}

async fn admitted(queue: &Arc<Queue>) -> Permit {
    queue.admit().await.expect("it is not abandoned")
}

/// Returns how long these calls of one queue take, each answered at once.
async fn time_of(calls: u32, queue: &Arc<Queue>) -> Duration {
    let begin = Instant::now();
    for _ in 0..calls {
        admitted(queue).await.answered(Feedback::Accepted);
    }
    begin.elapsed()
}

#[tokio::test(start_paused = true)]
async fn at_most_concurrency_calls_are_in_flight() {
    let admission = admission(Rate::Unlimited, 2);
    let queue = calls_to(&admission, "us-east-1");
    let first = admitted(&queue).await;
    let _second = admitted(&queue).await;
    assert_eq!(admission.in_flight(), 2);
    let third = tokio::time::timeout(Duration::from_mins(1), queue.admit()).await;
    assert!(third.is_err(), "a third call in flight");
    first.answered(Feedback::Accepted);
    assert_eq!(admission.in_flight(), 1);
    let _third = admitted(&queue).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_are_admitted_in_order_of_arrival() {
    let admission = admission(Rate::PerSecond(10.0), 100);
    let queue = calls_to(&admission, "us-east-1");
    let mut tasks = tokio::task::JoinSet::new();
    for nth in 0..20 {
        let queue = Arc::clone(&queue);
        tasks.spawn(async move {
            admitted(&queue).await.answered(Feedback::Accepted);
            nth
        });
        tokio::task::yield_now().await;
    }
    for nth in 0..20 {
        let served = tasks.join_next().await.expect("a task").expect("no panic");
        assert_eq!(served, nth);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_region_takes_no_concurrency_from_another() {
    let admission = admission(Rate::PerSecond(1.0 / 3600.0), 1);
    let slow = calls_to(&admission, "us-east-1");
    admitted(&slow).await.answered(Feedback::Accepted);
    let waiting = tokio::spawn(async move { admitted(&slow).await });
    tokio::task::yield_now().await;
    let begin = Instant::now();
    admitted(&calls_to(&admission, "eu-west-1"))
        .await
        .answered(Feedback::Accepted);
    assert_eq!(begin.elapsed(), Duration::ZERO);
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_stops_waiting_takes_no_token() {
    let admission = admission(Rate::PerSecond(1.0), 1);
    let queue = calls_to(&admission, "us-east-1");
    admitted(&queue).await.answered(Feedback::Accepted);
    let begin = Instant::now();
    assert!(
        tokio::time::timeout(Duration::from_millis(500), queue.admit())
            .await
            .is_err()
    );
    admitted(&queue).await.answered(Feedback::Accepted);
    let waited = begin.elapsed();
    assert!(waited <= Duration::from_millis(1001), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_region_with_an_outage_gets_one_trial_call_at_a_time() {
    let admission = admission(Rate::Unlimited, 16);
    let queue = calls_to(&admission, "us-east-1");
    let mut calls = Vec::new();
    for _ in 0..8 {
        calls.push(admitted(&queue).await);
    }
    for call in calls {
        call.answered(Feedback::NotSent);
    }
    assert_eq!(
        admission.blocked(),
        Some(Blocked::Outage("us-east-1".into()))
    );
    let clock = queue.clock();
    let begin = Instant::now();
    let first = admitted(&queue).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
    let second = tokio::time::timeout(Duration::from_millis(900), queue.admit()).await;
    assert!(second.is_err(), "a second trial beside the first");
    // Other Regions are not affected.
    admitted(&calls_to(&admission, "eu-west-1"))
        .await
        .answered(Feedback::Accepted);
    drop(first);
    let again = admitted(&queue).await;
    assert_eq!(queue.clock(), clock, "rows do not age meanwhile");
    again.answered(Feedback::Accepted);
    assert_eq!(admission.blocked(), None);
    let (_one, _two) = (admitted(&queue).await, admitted(&queue).await);
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_block_every_region_until_a_trial_succeeds() {
    let admission = admission(Rate::Unlimited, 16);
    let (here, there) = (
        calls_to(&admission, "us-east-1"),
        calls_to(&admission, "eu-west-1"),
    );
    let (early, late) = (admitted(&here).await, admitted(&here).await);
    admitted(&here)
        .await
        .answered(Feedback::CredentialsRejected);
    assert_eq!(admission.blocked(), Some(Blocked::Credentials));
    early.answered(Feedback::Accepted);
    late.answered(Feedback::CredentialsRejected);
    assert_eq!(
        admission.blocked(),
        Some(Blocked::Credentials),
        "calls from before the breaker opened do not close it"
    );

    let begin = Instant::now();
    let waiting = tokio::spawn(async move { admitted(&there).await });
    let first = admitted(&here).await;
    assert!(first.is_credentials_trial());
    first.answered(Feedback::CredentialsRejected);
    let second = waiting.await.expect("no panic");
    assert_eq!(begin.elapsed(), CREDENTIALS_PAUSE * 2);
    assert!(second.is_credentials_trial());
    second.answered(Feedback::Throttled);
    assert_eq!(admission.blocked(), None);
    assert!(!admitted(&here).await.is_credentials_trial());
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_takes_another_token() {
    let admission = admission(Rate::PerSecond(10.0), 100);
    let queue = calls_to(&admission, "us-east-1");
    let mut delayed = Vec::new();
    for _ in 0..5 {
        delayed.push(admitted(&queue).await);
    }
    tokio::time::advance(Duration::from_secs(3)).await;
    let mut sent = Vec::new();
    for permit in &delayed {
        while let Err(time) = queue.renew_token(permit.token()) {
            tokio::time::sleep_until(time).await;
        }
        sent.push(Instant::now());
    }
    for pair in sent.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(97), "{apart:?}");
    }
    let prompt = admitted(&queue).await;
    assert_eq!(queue.renew_token(prompt.token()), Ok(prompt.token()));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_costs_no_token() {
    let admission = admission(Rate::PerSecond(1.0 / 3600.0), 1);
    let queue = calls_to(&admission, "us-east-1");
    let begin = Instant::now();
    for _ in 0..3 {
        let permit = admitted(&queue).await;
        let token = permit.token();
        permit.cancel(token);
    }
    admitted(&queue).await.answered(Feedback::Accepted);
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn retry_after_stops_calls_to_the_region_and_rows_do_not_age() {
    let admission = admission(Rate::PerSecond(10.0), 100);
    let queue = calls_to(&admission, "us-east-1");
    admitted(&queue).await.answered(Feedback::Throttled);
    let (begin, clock) = (Instant::now(), queue.clock());
    queue.set_retry_after(Duration::from_mins(30));
    queue.set_retry_after(Duration::from_mins(1));
    let Some(Blocked::RetryAfter(name, until)) = admission.blocked() else {
        panic!("{:?}", admission.blocked());
    };
    assert_eq!(
        (name.as_str(), until - begin),
        ("us-east-1", Duration::from_mins(30))
    );
    admitted(&calls_to(&admission, "eu-west-1"))
        .await
        .answered(Feedback::Accepted);
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "others are called meanwhile"
    );
    admitted(&queue).await.answered(Feedback::Accepted);
    assert!(begin.elapsed() >= Duration::from_mins(30));
    assert!(queue.clock() - clock < Duration::from_secs(1));
    assert_eq!(admission.blocked(), None);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_region_admits_no_more_calls_and_others_do() {
    let admission = Arc::new(admission(Rate::PerSecond(1.0), 100));
    let (lost, other) = (calls_to(&admission, "lost"), calls_to(&admission, "other"));
    admitted(&lost).await.answered(Feedback::NotSent);
    assert!(!admission.others_answer("lost"));
    admitted(&other).await.answered(Feedback::Accepted);
    assert!(admission.others_answer("lost"));
    assert!(!admission.others_answer("other"));
    let waiting = tokio::spawn(async move { lost.admit().await.is_none() });
    tokio::task::yield_now().await;
    admission.abandon("lost");
    assert!(waiting.await.expect("no panic"));
    admitted(&other).await.answered(Feedback::Accepted);
}

#[tokio::test(start_paused = true)]
async fn each_operation_has_tokens_and_calls_in_flight_of_its_own() {
    let admission = admission(Rate::PerSecond(1.0 / 3600.0), 16);
    let (calls, look_ups) = calls_and_look_ups(&admission);
    assert_eq!(time_of(1, &calls).await, Duration::ZERO);
    assert_eq!(time_of(1, &look_ups).await, Duration::ZERO);

    let admission = self::admission(Rate::Unlimited, 5);
    let (calls, look_ups) = calls_and_look_ups(&admission);
    let elsewhere = admission.queue("eu-west-1", DescribeIdentityPool);
    let mut looking_up = Vec::new();
    for queue in [&look_ups, &elsewhere, &look_ups, &look_ups] {
        looking_up.push(admitted(queue).await);
    }
    let fifth = tokio::time::timeout(Duration::from_mins(1), look_ups.admit()).await;
    assert!(fifth.is_err(), "a fifth look-up in flight");
    assert_eq!(admission.in_flight(), 0);
    let mut calling = Vec::new();
    for _ in 0..5 {
        calling.push(admitted(&calls).await);
    }
    assert_eq!(admission.in_flight(), 5);
    drop(looking_up);
    let _look_up = admitted(&look_ups).await;
    // A look before the call of each row must not be slower than the calls.
    let looks = admission.queue("us-east-1", DescribeIdentity);
    let mut looking = Vec::new();
    for _ in 0..5 {
        looking.push(admitted(&looks).await);
    }
    let sixth = tokio::time::timeout(Duration::from_mins(1), looks.admit()).await;
    assert!(sixth.is_err(), "a sixth look in flight");
}

/// Calls for a minute, of which the service accepts one a second.
async fn throttle(queue: &Arc<Queue>) {
    let end = Instant::now() + Duration::from_mins(1);
    let mut next = Instant::now();
    while Instant::now() < end {
        let call = admitted(queue).await;
        if Instant::now() < next {
            call.answered(Feedback::Throttled);
        } else {
            call.answered(Feedback::Accepted);
            next = Instant::now() + Duration::from_secs(1);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn throttled_look_ups_do_not_slow_the_job_down() {
    let admission = admission(Rate::PerSecond(10.0), 16);
    let (calls, look_ups) = calls_and_look_ups(&admission);
    throttle(&look_ups).await;
    assert_eq!(admission.throttled_to(), None);
    let took = time_of(21, &calls).await;
    assert!(took <= Duration::from_millis(2010), "{took:?}");
    let took = time_of(6, &look_ups).await;
    assert!(took >= Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn throttled_calls_do_not_slow_look_ups_down() {
    let admission = admission(Rate::PerSecond(10.0), 16);
    let (calls, look_ups) = calls_and_look_ups(&admission);
    throttle(&calls).await;
    assert!(admission.throttled_to().is_some_and(|pace| pace < 2.0));
    let took = time_of(21, &look_ups).await;
    assert!(took <= Duration::from_millis(2010), "{took:?}");
    let took = time_of(6, &calls).await;
    assert!(took >= Duration::from_secs(3), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn each_operation_starts_near_its_saved_quota() {
    let saved = [UnlinkDeveloperIdentity, DescribeIdentityPool]
        .map(|operation| ("us-east-1".to_owned(), operation));
    let quotas = saved.clone().into_iter().zip([50.0, 1.0]).collect();
    let admission = admission_with_quotas(Rate::Unlimited, 16, quotas);
    let (calls, look_ups) = calls_and_look_ups(&admission);
    let took = time_of(4, &look_ups).await;
    assert!(took >= Duration::from_secs(2), "{took:?}");
    assert!(admission.throttled_to().is_some_and(|pace| pace > 25.0));
    let took = time_of(4, &calls).await;
    assert!(took <= Duration::from_millis(200), "{took:?}");
    assert!(admission.quotas().into_keys().eq(saved));
}

#[tokio::test(start_paused = true)]
async fn an_outage_stops_look_ups_too_and_only_calls_end_it() {
    let admission = admission(Rate::PerSecond(1000.0), 16);
    let (calls, look_ups) = calls_and_look_ups(&admission);
    for _ in 0..20 {
        admitted(&look_ups).await.answered(Feedback::NotSent);
    }
    assert_eq!(admission.blocked(), None, "look-ups alone show no outage");
    for _ in 0..5 {
        admitted(&calls).await.answered(Feedback::NotSent);
    }
    let begin = Instant::now();
    let trial = admitted(&look_ups).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
    let second = tokio::time::timeout(Duration::from_millis(900), calls.admit()).await;
    assert!(second.is_err(), "a second trial beside the first");
    trial.answered(Feedback::Accepted);
    let outage = Some(Blocked::Outage("us-east-1".into()));
    assert_eq!(admission.blocked(), outage);
    admitted(&calls).await.answered(Feedback::Accepted);
    assert_eq!(admission.blocked(), None);
    let took = time_of(4, &look_ups).await;
    assert!(took <= Duration::from_millis(100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_stop_look_ups_too_and_one_that_is_accepted_ends_it() {
    let admission = admission(Rate::Unlimited, 16);
    let (calls, look_ups) = calls_and_look_ups(&admission);
    let rejected = Feedback::CredentialsRejected;
    admitted(&calls).await.answered(rejected);
    let begin = Instant::now();
    let trial = admitted(&look_ups).await;
    assert!(trial.is_credentials_trial());
    trial.answered(rejected);
    let trial = admitted(&look_ups).await;
    assert_eq!(begin.elapsed(), CREDENTIALS_PAUSE * 2);
    trial.answered(Feedback::Throttled);
    assert_eq!(admission.blocked(), None);
    assert!(!admitted(&calls).await.is_credentials_trial());
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_a_look_up_is_asked_for_concerns_no_call() {
    let admission = admission(Rate::PerSecond(10.0), 16);
    let (calls, look_ups) = calls_and_look_ups(&admission);
    look_ups.set_retry_after(Duration::from_mins(1));
    assert_eq!(admission.blocked(), None);
    assert_eq!(time_of(1, &calls).await, Duration::ZERO);
    assert_eq!(time_of(1, &look_ups).await, Duration::from_mins(1));
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_region_admits_no_look_up() {
    let admission = admission(Rate::Unlimited, 16);
    let (_, look_ups) = calls_and_look_ups(&admission);
    admission.abandon("us-east-1");
    assert!(look_ups.admit().await.is_none());
    let other = admission.queue("eu-west-1", DescribeIdentityPool);
    assert!(other.admit().await.is_some());
}
