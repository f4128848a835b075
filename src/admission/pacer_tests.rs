use super::*;

const MS: Duration = Duration::from_millis(1);

/// A service with a quota, seen through a controller: calls start when they are due and are answered 40 ms later.
struct Stage {
    controller: Pacer,
    now: Instant,
    quota: f64,
    tokens: f64,
    under_way: std::collections::VecDeque<(Instant, bool)>,
}

impl Stage {
    fn new(controller: impl FnOnce(Instant) -> Pacer, quota: f64) -> Self {
        let now = Instant::now();
        Self {
            controller: controller(now),
            now,
            quota,
            tokens: 1.0,
            under_way: std::collections::VecDeque::new(),
        }
    }

    /// Calls taken and throttled a second.
    fn play(&mut self, seconds: u32) -> (f64, f64) {
        let (mut taken, mut throttled) = (0_u32, 0_u32);
        for _ in 0..seconds * 1000 {
            self.now += MS;
            self.tokens = (self.tokens + self.quota / 1000.0).min((self.quota / 5.0).max(1.0));
            while let Some((started, took)) = self.under_way.front().copied()
                && self.now - started >= MS * 40
            {
                self.under_way.pop_front();
                if took {
                    self.controller.taken(started, self.now);
                } else {
                    self.controller.throttled(started, self.now);
                }
            }
            while self.controller.due() <= self.now && self.under_way.len() < 200 {
                self.controller.start(self.now);
                let took = self.tokens >= 1.0;
                self.tokens -= if took { 1.0 } else { 0.0 };
                taken += u32::from(took);
                throttled += u32::from(!took);
                self.under_way.push_back((self.now, took));
            }
        }
        let seconds = f64::from(seconds);
        (f64::from(taken) / seconds, f64::from(throttled) / seconds)
    }
}

#[test]
fn at_the_ceiling_until_throttled() {
    let now = Instant::now();
    let mut controller = Pacer::new(Some(10.0), 0.0, None, now);
    for nth in 0..100 {
        let at = now + MS * 10 * nth;
        controller.start(at);
        controller.taken(at, at + MS * 40);
        assert!(controller.due() <= at, "the ceiling alone decides");
    }
    assert_eq!(controller.limit(), None);
    assert_eq!(controller.quota(), None);
}

#[test]
fn an_unknown_quota_is_found_and_used() {
    for quota in [10.0, 50.0, 200.0, 1000.0] {
        let mut stage = Stage::new(|now| Pacer::new(None, 0.0, None, now), quota);
        let (early, _) = stage.play(5);
        let (taken, throttled) = stage.play(60);
        assert!(early > quota * 0.75, "{early} of {quota} at first");
        assert!(taken > quota * 0.96, "{taken} of {quota}");
        assert!(throttled < taken * 0.02, "{throttled} of {taken} throttled");
    }
}

#[test]
fn a_quota_that_is_known_is_neither_searched_nor_exceeded() {
    let mut stage = Stage::new(|now| Pacer::new(None, 0.0, Some(50.0), now), 50.0);
    let (taken, throttled) = stage.play(5);
    assert!(taken > 45.0, "{taken}");
    assert!(throttled < 1.0, "{throttled}");
}

#[test]
fn a_share_is_left_to_others() {
    let mut stage = Stage::new(|now| Pacer::new(None, 0.2, None, now), 100.0);
    stage.play(60);
    let (taken, throttled) = stage.play(300);
    assert!((78.0..84.0).contains(&taken), "{taken}");
    assert!(throttled < 0.5, "{throttled}");
    // What the bucket has saved up in the rest is not measured with it.
    let quota = stage.controller.quota().expect("it was found");
    assert!((97.0..=103.0).contains(&quota), "{quota}");
}

#[test]
fn a_quota_that_changes_is_followed() {
    let mut stage = Stage::new(|now| Pacer::new(None, 0.0, None, now), 100.0);
    stage.play(20);
    stage.quota = 40.0;
    stage.play(3);
    let (taken, throttled) = stage.play(5);
    assert!(taken > 36.0, "{taken}");
    assert!(throttled < 2.0, "{throttled}");
    stage.quota = 80.0;
    stage.play(15);
    let (taken, _) = stage.play(5);
    assert!(taken > 72.0, "{taken}");
}

#[test]
fn a_small_quota_is_no_reason_for_more_throttling() {
    // With a bucket of a single call, too.
    for quota in [2.0, 5.0] {
        let mut stage = Stage::new(|now| Pacer::new(None, 0.0, None, now), quota);
        stage.play(30);
        let (taken, throttled) = stage.play(300);
        assert!(taken > quota * 0.85, "{taken} of {quota}");
        assert!(throttled < taken * 0.03, "{throttled} of {taken} throttled");
    }
}

#[test]
fn flights_that_are_refuted_again_and_again_are_long_enough_to_be_confirmed() {
    for quota in [5.0, 10.0, 50.0, 1000.0] {
        let mut controller = Pacer::new(None, 0.0, Some(quota), Instant::now());
        controller.measured_by = 30.0;
        controller.sure = SHARED_FLIGHT;
        let calls = quota * DEPTH / controller.climb_a_second();
        assert!(calls > TELLING, "{calls} at {quota}");
    }
}

#[test]
fn one_odd_throttled_call_is_not_heeded_and_the_next_one_is() {
    let mut stage = Stage::new(|now| Pacer::new(None, 0.0, None, now), 100.0);
    stage.play(60);
    let below = |controller: &Pacer| {
        let quota = controller.quota().expect("it was found");
        controller.pace < quota * ODD_BELOW && controller.flight > 30
    };
    let found = (0..60).any(|_| {
        stage.play(1);
        below(&stage.controller)
    });
    assert!(found, "a flight begins below the quota");
    let before = stage.controller.pace;
    stage.controller.throttled(stage.now, stage.now);
    assert!((stage.controller.pace - before).abs() < 1e-9);
    stage.controller.throttled(stage.now, stage.now);
    assert!(stage.controller.pace < before);
}

#[test]
fn a_small_part_is_no_resting_place() {
    // Somebody else has the quota, and then leaves.
    let mut stage = Stage::new(|now| Pacer::new(None, 0.0, Some(2.0), now), 2.0);
    stage.play(120);
    let small = stage.controller.pace;
    stage.quota = 50.0;
    stage.play(45);
    assert!(stage.controller.pace > small * 10.0, "{small}");
}

#[test]
fn calls_of_one_round_trip_cut_once() {
    let now = Instant::now();
    let mut controller = Pacer::new(None, 0.0, Some(100.0), now);
    let before = controller.pace;
    for call in 0..30 {
        controller.throttled(now + MS * call, now + MS * 50);
    }
    assert!(
        controller.pace >= before * DEEPEST_CUT * (1.0 - DEPTH),
        "{controller:?}"
    );
}

#[test]
fn never_slower_than_the_slowest() {
    let mut now = Instant::now();
    let mut controller = Pacer::new(Some(10.0), 0.0, None, now);
    for _ in 0..1000 {
        now += MS * 100;
        controller.throttled(now, now);
    }
    assert!(
        controller.pace >= SLOWEST && controller.pace < 10.0,
        "{controller:?}"
    );
}
