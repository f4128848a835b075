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

#[tokio::test(start_paused = true)]
async fn no_more_in_flight_than_there_are_places() {
    let admission = admission(Rate::Unlimited, 2);
    let region = admission.region("us-east-1");
    let first = region.admit().await;
    let _second = region.admit().await;
    assert_eq!(admission.in_flight(), 2);
    let third = tokio::time::timeout(Duration::from_secs(60), region.admit()).await;
    assert!(third.is_err(), "a third place");
    first.answered(Feedback::Taken);
    assert_eq!(admission.in_flight(), 1);
    let _third = region.admit().await;
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let admission = admission(Rate::PerSecond(10.0), 100);
    let region = admission.region("us-east-1");
    let mut tasks = tokio::task::JoinSet::new();
    for nth in 0..20 {
        let region = Arc::clone(&region);
        tasks.spawn(async move {
            region.admit().await.answered(Feedback::Taken);
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
async fn a_slow_region_takes_no_place_from_another() {
    let admission = admission(Rate::PerSecond(1.0 / 3600.0), 1);
    let slow = admission.region("us-east-1");
    slow.admit().await.answered(Feedback::Taken);
    let waiting = tokio::spawn(async move { slow.admit().await });
    tokio::task::yield_now().await;
    let begin = Instant::now();
    admission
        .region("eu-west-1")
        .admit()
        .await
        .answered(Feedback::Taken);
    assert_eq!(begin.elapsed(), Duration::ZERO);
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_waiting_takes_nothing() {
    let admission = admission(Rate::PerSecond(1.0), 1);
    let region = admission.region("us-east-1");
    region.admit().await.answered(Feedback::Taken);
    let begin = Instant::now();
    assert!(
        tokio::time::timeout(Duration::from_millis(500), region.admit())
            .await
            .is_err()
    );
    region.admit().await.answered(Feedback::Taken);
    let waited = begin.elapsed();
    assert!(waited <= Duration::from_millis(1001), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_region_is_tried_by_one_call_at_a_time() {
    let admission = admission(Rate::Unlimited, 16);
    let region = admission.region("us-east-1");
    let mut calls = Vec::new();
    for _ in 0..8 {
        calls.push(region.admit().await);
    }
    for call in calls {
        call.answered(Feedback::Unsent);
    }
    assert_eq!(admission.in_vain(), Some(Vain::Region("us-east-1".into())));
    let clock = region.clock();
    let begin = Instant::now();
    let first = region.admit().await;
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
    let second = tokio::time::timeout(Duration::from_millis(900), region.admit()).await;
    assert!(second.is_err(), "a second try beside the first");
    // Another Region has nothing to do with it.
    admission
        .region("eu-west-1")
        .admit()
        .await
        .answered(Feedback::Taken);
    drop(first);
    let again = region.admit().await;
    assert_eq!(region.clock(), clock, "nobody ages meanwhile");
    again.answered(Feedback::Taken);
    assert_eq!(admission.in_vain(), None);
    let (_one, _two) = (region.admit().await, region.admit().await);
}

#[tokio::test(start_paused = true)]
async fn locked_credentials_shut_every_region_until_a_try_is_taken() {
    let admission = admission(Rate::Unlimited, 16);
    let (here, there) = (admission.region("us-east-1"), admission.region("eu-west-1"));
    let (early, late) = (here.admit().await, here.admit().await);
    here.admit().await.answered(Feedback::Locked);
    assert_eq!(admission.in_vain(), Some(Vain::Credentials));
    early.answered(Feedback::Taken);
    late.answered(Feedback::Locked);
    assert_eq!(
        admission.in_vain(),
        Some(Vain::Credentials),
        "what started before tells nothing"
    );

    let begin = Instant::now();
    let waiting = tokio::spawn(async move { there.admit().await });
    let first = here.admit().await;
    assert!(first.tries_credentials());
    first.answered(Feedback::Locked);
    let second = waiting.await.expect("no panic");
    assert_eq!(begin.elapsed(), CREDENTIALS_PAUSE * 2);
    assert!(second.tries_credentials());
    second.answered(Feedback::Throttled);
    assert_eq!(admission.in_vain(), None);
    assert!(!here.admit().await.tries_credentials());
}
