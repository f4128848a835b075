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
    region.admit().await.expect("it is not closed")
}

#[tokio::test(start_paused = true)]
async fn no_more_in_flight_than_there_are_places() {
    let admission = admission(Rate::Unlimited, 2);
    let region = admission.region("us-east-1");
    let first = admitted(&region).await;
    let _second = admitted(&region).await;
    assert_eq!(admission.in_flight(), 2);
    let third = tokio::time::timeout(Duration::from_mins(1), region.admit()).await;
    assert!(third.is_err(), "a third place");
    first.answered(Feedback::Taken);
    assert_eq!(admission.in_flight(), 1);
    let _third = admitted(&region).await;
}

#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let admission = admission(Rate::PerSecond(10.0), 100);
    let region = admission.region("us-east-1");
    let mut tasks = tokio::task::JoinSet::new();
    for nth in 0..20 {
        let region = Arc::clone(&region);
        tasks.spawn(async move {
            admitted(&region).await.answered(Feedback::Taken);
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
    admitted(&slow).await.answered(Feedback::Taken);
    let waiting = tokio::spawn(async move { admitted(&slow).await });
    tokio::task::yield_now().await;
    let begin = Instant::now();
    admitted(&admission.region("eu-west-1"))
        .await
        .answered(Feedback::Taken);
    assert_eq!(begin.elapsed(), Duration::ZERO);
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_gives_up_waiting_takes_nothing() {
    let admission = admission(Rate::PerSecond(1.0), 1);
    let region = admission.region("us-east-1");
    admitted(&region).await.answered(Feedback::Taken);
    let begin = Instant::now();
    assert!(
        tokio::time::timeout(Duration::from_millis(500), region.admit())
            .await
            .is_err()
    );
    admitted(&region).await.answered(Feedback::Taken);
    let waited = begin.elapsed();
    assert!(waited <= Duration::from_millis(1001), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_silent_region_is_tried_by_one_call_at_a_time() {
    let admission = admission(Rate::Unlimited, 16);
    let region = admission.region("us-east-1");
    let mut calls = Vec::new();
    for _ in 0..8 {
        calls.push(admitted(&region).await);
    }
    for call in calls {
        call.answered(Feedback::Unsent);
    }
    assert_eq!(
        admission.in_vain(),
        Some(Blocked::Region("us-east-1".into()))
    );
    let clock = region.clock();
    let begin = Instant::now();
    let first = admitted(&region).await;
    assert_eq!(begin.elapsed(), Duration::from_secs(1));
    let second = tokio::time::timeout(Duration::from_millis(900), region.admit()).await;
    assert!(second.is_err(), "a second try beside the first");
    // Another Region has nothing to do with it.
    admitted(&admission.region("eu-west-1"))
        .await
        .answered(Feedback::Taken);
    drop(first);
    let again = admitted(&region).await;
    assert_eq!(region.clock(), clock, "nobody ages meanwhile");
    again.answered(Feedback::Taken);
    assert_eq!(admission.in_vain(), None);
    let (_one, _two) = (admitted(&region).await, admitted(&region).await);
}

#[tokio::test(start_paused = true)]
async fn locked_credentials_shut_every_region_until_a_try_is_taken() {
    let admission = admission(Rate::Unlimited, 16);
    let (here, there) = (admission.region("us-east-1"), admission.region("eu-west-1"));
    let (early, late) = (admitted(&here).await, admitted(&here).await);
    admitted(&here).await.answered(Feedback::Locked);
    assert_eq!(admission.in_vain(), Some(Blocked::Credentials));
    early.answered(Feedback::Taken);
    late.answered(Feedback::Locked);
    assert_eq!(
        admission.in_vain(),
        Some(Blocked::Credentials),
        "what started before tells nothing"
    );

    let begin = Instant::now();
    let waiting = tokio::spawn(async move { admitted(&there).await });
    let first = admitted(&here).await;
    assert!(first.tries_credentials());
    first.answered(Feedback::Locked);
    let second = waiting.await.expect("no panic");
    assert_eq!(begin.elapsed(), CREDENTIALS_PAUSE * 2);
    assert!(second.tries_credentials());
    second.answered(Feedback::Throttled);
    assert_eq!(admission.in_vain(), None);
    assert!(!admitted(&here).await.tries_credentials());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_held_up_takes_another_token() {
    let admission = admission(Rate::PerSecond(10.0), 100);
    let region = admission.region("us-east-1");
    let mut held_up = Vec::new();
    for _ in 0..5 {
        held_up.push(admitted(&region).await);
    }
    tokio::time::advance(Duration::from_secs(3)).await;
    let mut left = Vec::new();
    for permit in &held_up {
        while let Err(time) = region.renew_token(permit.token()) {
            tokio::time::sleep_until(time).await;
        }
        left.push(Instant::now());
    }
    for pair in left.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(97), "{apart:?}");
    }
    let prompt = admitted(&region).await;
    assert_eq!(region.renew_token(prompt.token()), Ok(prompt.token()));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_made_costs_nothing() {
    let admission = admission(Rate::PerSecond(1.0 / 3600.0), 1);
    let region = admission.region("us-east-1");
    let begin = Instant::now();
    for _ in 0..3 {
        let permit = admitted(&region).await;
        let token = permit.token();
        permit.give_back(token);
    }
    admitted(&region).await.answered(Feedback::Taken);
    assert!(begin.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_region_that_asks_for_a_wait_is_left_alone_and_no_row_ages() {
    let admission = admission(Rate::PerSecond(10.0), 100);
    let region = admission.region("us-east-1");
    admitted(&region).await.answered(Feedback::Throttled);
    let (begin, clock) = (Instant::now(), region.clock());
    region.wait_as_asked(Duration::from_mins(30));
    region.wait_as_asked(Duration::from_mins(1));
    let Some(Blocked::Asked(name, until)) = admission.in_vain() else {
        panic!("{:?}", admission.in_vain());
    };
    assert_eq!(
        (name.as_str(), until - begin),
        ("us-east-1", Duration::from_mins(30))
    );
    admitted(&admission.region("eu-west-1"))
        .await
        .answered(Feedback::Taken);
    assert!(begin.elapsed() < Duration::from_secs(1), "others go on");
    admitted(&region).await.answered(Feedback::Taken);
    assert!(begin.elapsed() >= Duration::from_mins(30));
    assert!(region.clock() - clock < Duration::from_secs(1));
    assert_eq!(admission.in_vain(), None);
}

#[tokio::test(start_paused = true)]
async fn a_closed_region_admits_nothing_more_and_others_do() {
    let admission = Arc::new(admission(Rate::PerSecond(1.0), 100));
    let (lost, other) = (admission.region("lost"), admission.region("other"));
    admitted(&lost).await.answered(Feedback::Unsent);
    assert!(!admission.others_answer("lost"));
    admitted(&other).await.answered(Feedback::Taken);
    assert!(admission.others_answer("lost"));
    assert!(!admission.others_answer("other"));
    let waiting = tokio::spawn(async move { lost.admit().await.is_none() });
    tokio::task::yield_now().await;
    admission.close("lost");
    assert!(waiting.await.expect("no panic"));
    admitted(&other).await.answered(Feedback::Taken);
}
