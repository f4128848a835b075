use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::*;

fn admission(rate: Rate, concurrency: u32) -> Admission {
    Admission::new(
        Limits {
            rate,
            burst: NonZeroU32::MIN,
            concurrency: NonZeroU32::new(concurrency).expect("positive"),
            leave: 0.0,
        },
        HashMap::new(),
    )
}

async fn admitted(region: &Arc<Region>) -> Permit {
    region.admit().await.expect("it is not abandoned")
}

#[tokio::test(start_paused = true)]
async fn at_most_concurrency_calls_are_in_flight() {
    let admission = admission(Rate::Unlimited, 2);
    let region = admission.region("us-east-1");
    let first = admitted(&region).await;
    let _second = admitted(&region).await;
    assert_eq!(admission.in_flight(), 2);
    let third = tokio::time::timeout(Duration::from_mins(1), region.admit()).await;
    assert!(third.is_err(), "a third call in flight");
    first.answered(Feedback::Accepted);
    assert_eq!(admission.in_flight(), 1);
    let _third = admitted(&region).await;
}

#[tokio::test(start_paused = true)]
async fn attempts_are_admitted_in_order_of_arrival() {
    let admission = admission(Rate::PerSecond(10.0), 100);
    let region = admission.region("us-east-1");
    let mut tasks = tokio::task::JoinSet::new();
    for nth in 0..20 {
        let region = Arc::clone(&region);
        tasks.spawn(async move {
            admitted(&region).await.answered(Feedback::Accepted);
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
    let slow = admission.region("us-east-1");
    admitted(&slow).await.answered(Feedback::Accepted);
    let waiting = tokio::spawn(async move { admitted(&slow).await });
    tokio::task::yield_now().await;
    let begin = Instant::now();
    admitted(&admission.region("eu-west-1"))
        .await
        .answered(Feedback::Accepted);
    assert_eq!(begin.elapsed(), Duration::ZERO);
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_stops_waiting_takes_no_token() {
    let admission = admission(Rate::PerSecond(1.0), 1);
    let region = admission.region("us-east-1");
    admitted(&region).await.answered(Feedback::Accepted);
    let begin = Instant::now();
    assert!(
        tokio::time::timeout(Duration::from_millis(500), region.admit())
            .await
            .is_err()
    );
    admitted(&region).await.answered(Feedback::Accepted);
    let waited = begin.elapsed();
    assert!(waited <= Duration::from_millis(1001), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_region_with_an_outage_gets_one_trial_call_at_a_time() {
    let admission = admission(Rate::Unlimited, 16);
    let region = admission.region("us-east-1");
    let mut calls = Vec::new();
    for _ in 0..8 {
        calls.push(admitted(&region).await);
    }
    for call in calls {
        call.answered(Feedback::NotSent);
    }
    assert_eq!(
        admission.blocked(),
        Some(Blocked::Outage("us-east-1".into()))
    );
    let clock = region.clock();
    let begin = Instant::now();
    let first = admitted(&region).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
    let second = tokio::time::timeout(Duration::from_millis(900), region.admit()).await;
    assert!(second.is_err(), "a second trial beside the first");
    // Other Regions are not affected.
    admitted(&admission.region("eu-west-1"))
        .await
        .answered(Feedback::Accepted);
    drop(first);
    let again = admitted(&region).await;
    assert_eq!(region.clock(), clock, "rows do not age meanwhile");
    again.answered(Feedback::Accepted);
    assert_eq!(admission.blocked(), None);
    let (_one, _two) = (admitted(&region).await, admitted(&region).await);
}

#[tokio::test(start_paused = true)]
async fn rejected_credentials_block_every_region_until_a_trial_succeeds() {
    let admission = admission(Rate::Unlimited, 16);
    let (here, there) = (admission.region("us-east-1"), admission.region("eu-west-1"));
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
    let region = admission.region("us-east-1");
    let mut delayed = Vec::new();
    for _ in 0..5 {
        delayed.push(admitted(&region).await);
    }
    tokio::time::advance(Duration::from_secs(3)).await;
    let mut sent = Vec::new();
    for permit in &delayed {
        while let Err(time) = region.renew_token(permit.token()) {
            tokio::time::sleep_until(time).await;
        }
        sent.push(Instant::now());
    }
    for pair in sent.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(97), "{apart:?}");
    }
    let prompt = admitted(&region).await;
    assert_eq!(region.renew_token(prompt.token()), Ok(prompt.token()));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_costs_no_token() {
    let admission = admission(Rate::PerSecond(1.0 / 3600.0), 1);
    let region = admission.region("us-east-1");
    let begin = Instant::now();
    for _ in 0..3 {
        let permit = admitted(&region).await;
        let token = permit.token();
        permit.cancel(token);
    }
    admitted(&region).await.answered(Feedback::Accepted);
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn retry_after_stops_calls_to_the_region_and_rows_do_not_age() {
    let admission = admission(Rate::PerSecond(10.0), 100);
    let region = admission.region("us-east-1");
    admitted(&region).await.answered(Feedback::Throttled);
    let (begin, clock) = (Instant::now(), region.clock());
    region.set_retry_after(Duration::from_mins(30));
    region.set_retry_after(Duration::from_mins(1));
    let Some(Blocked::RetryAfter(name, until)) = admission.blocked() else {
        panic!("{:?}", admission.blocked());
    };
    assert_eq!(
        (name.as_str(), until - begin),
        ("us-east-1", Duration::from_mins(30))
    );
    admitted(&admission.region("eu-west-1"))
        .await
        .answered(Feedback::Accepted);
    assert!(
        begin.elapsed() < Duration::from_secs(1),
        "others are called meanwhile"
    );
    admitted(&region).await.answered(Feedback::Accepted);
    assert!(begin.elapsed() >= Duration::from_mins(30));
    assert!(region.clock() - clock < Duration::from_secs(1));
    assert_eq!(admission.blocked(), None);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_region_admits_no_more_calls_and_others_do() {
    let admission = Arc::new(admission(Rate::PerSecond(1.0), 100));
    let (lost, other) = (admission.region("lost"), admission.region("other"));
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
