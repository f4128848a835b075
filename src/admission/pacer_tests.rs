use super::*;

const MS: Duration = Duration::from_millis(1);

/// A service with a quota, called by a pacer: calls start when they are due and are answered 40 ms later.
struct Simulation {
    pacer: Pacer,
    now: Instant,
    quota: f64,
    tokens: f64,
    in_flight: std::collections::VecDeque<(Instant, bool)>,
}

impl Simulation {
    fn new(pacer: impl FnOnce(Instant) -> Pacer, quota: f64) -> Self {
        let now = Instant::now();
        Self {
            pacer: pacer(now),
            now,
            quota,
            tokens: 1.0,
            in_flight: std::collections::VecDeque::new(),
        }
    }

    /// Runs for some seconds. Returns the calls accepted and throttled per second.
    fn run(&mut self, seconds: u32) -> (f64, f64) {
        let (mut accepted, mut throttled) = (0_u32, 0_u32);
        for _ in 0..seconds * 1000 {
            self.now += MS;
            self.tokens = (self.tokens + self.quota / 1000.0).min((self.quota / 5.0).max(1.0));
            while let Some((started, is_accepted)) = self.in_flight.front().copied()
                && self.now - started >= MS * 40
            {
                self.in_flight.pop_front();
                if is_accepted {
                    self.pacer.accepted(started, self.now);
                } else {
                    self.pacer.throttled(started, self.now);
                }
            }
            while self.pacer.next_start() <= self.now && self.in_flight.len() < 200 {
                self.pacer.start(self.now);
                let is_accepted = self.tokens >= 1.0;
                self.tokens -= if is_accepted { 1.0 } else { 0.0 };
                accepted += u32::from(is_accepted);
                throttled += u32::from(!is_accepted);
                self.in_flight.push_back((self.now, is_accepted));
            }
        }
        let seconds = f64::from(seconds);
        (
            f64::from(accepted) / seconds,
            f64::from(throttled) / seconds,
        )
    }
}

#[test]
fn the_pace_is_the_ceiling_until_a_call_is_throttled() {
    let now = Instant::now();
    let mut pacer = Pacer::new(Some(10.0), 0.0, None, now);
    for nth in 0..100 {
        let at = now + MS * 10 * nth;
        pacer.start(at);
        pacer.accepted(at, at + MS * 40);
        assert!(pacer.next_start() <= at, "only the ceiling limits");
    }
    assert_eq!(pacer.limit(), None);
    assert_eq!(pacer.quota(), None);
}

#[test]
fn an_unknown_quota_is_found_and_used() {
    for quota in [10.0, 50.0, 200.0, 1000.0] {
        let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, None, now), quota);
        let (early, _) = simulation.run(5);
        let (accepted, throttled) = simulation.run(60);
        assert!(early > quota * 0.75, "{early} of {quota} at first");
        assert!(accepted > quota * 0.96, "{accepted} of {quota}");
        assert!(
            throttled < accepted * 0.02,
            "{throttled} of {accepted} throttled"
        );
    }
}

#[test]
fn a_known_quota_is_neither_searched_nor_exceeded() {
    let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, Some(50.0), now), 50.0);
    let (accepted, throttled) = simulation.run(5);
    assert!(accepted > 45.0, "{accepted}");
    assert!(throttled < 1.0, "{throttled}");
}

#[test]
fn a_share_is_left_to_others() {
    let mut simulation = Simulation::new(|now| Pacer::new(None, 0.2, None, now), 100.0);
    simulation.run(60);
    let (accepted, throttled) = simulation.run(300);
    assert!((78.0..84.0).contains(&accepted), "{accepted}");
    assert!(throttled < 0.5, "{throttled}");
    // What the bucket saved up during the rest is not measured.
    let quota = simulation.pacer.quota().expect("it was found");
    assert!((97.0..=103.0).contains(&quota), "{quota}");
}

#[test]
fn a_changed_quota_is_followed() {
    let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, None, now), 100.0);
    simulation.run(20);
    simulation.quota = 40.0;
    simulation.run(3);
    let (accepted, throttled) = simulation.run(5);
    assert!(accepted > 36.0, "{accepted}");
    assert!(throttled < 2.0, "{throttled}");
    simulation.quota = 80.0;
    simulation.run(15);
    let (accepted, _) = simulation.run(5);
    assert!(accepted > 72.0, "{accepted}");
}

#[test]
fn small_quotas_are_not_throttled_more() {
    // Also with a bucket of a single call.
    for quota in [2.0, 5.0] {
        let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, None, now), quota);
        simulation.run(30);
        let (accepted, throttled) = simulation.run(300);
        assert!(accepted > quota * 0.85, "{accepted} of {quota}");
        assert!(
            throttled < accepted * 0.03,
            "{throttled} of {accepted} throttled"
        );
    }
}

#[test]
fn cycles_on_a_shared_quota_are_long_enough_to_be_confirmed() {
    for quota in [5.0, 10.0, 50.0, 1000.0] {
        let mut pacer = Pacer::new(None, 0.0, Some(quota), Instant::now());
        pacer.sample_calls = 30.0;
        pacer.min_cycle_calls = SHARED_CYCLE_CALLS;
        let calls = quota * BACK_OFF_DEPTH / pacer.ramp_per_second();
        assert!(calls > SIGNIFICANT_CALLS, "{calls} at {quota}");
    }
}

#[test]
fn a_lone_throttled_call_is_ignored_and_a_second_one_is_not() {
    let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, None, now), 100.0);
    simulation.run(60);
    let below = |pacer: &Pacer| {
        let quota = pacer.quota().expect("it was found");
        pacer.pace < quota * LONE_REJECTION_BELOW && pacer.cycle_calls > 30
    };
    let found = (0..60).any(|_| {
        simulation.run(1);
        below(&simulation.pacer)
    });
    assert!(found, "a cycle begins below the quota");
    let before = simulation.pacer.pace;
    simulation.pacer.throttled(simulation.now, simulation.now);
    assert!((simulation.pacer.pace - before).abs() < 1e-9);
    simulation.pacer.throttled(simulation.now, simulation.now);
    assert!(simulation.pacer.pace < before);
}

#[test]
fn a_run_with_a_small_share_grows_when_the_others_leave() {
    // Another caller uses the quota, and then stops.
    let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, Some(2.0), now), 2.0);
    simulation.run(120);
    let small = simulation.pacer.pace;
    simulation.quota = 50.0;
    simulation.run(45);
    assert!(simulation.pacer.pace > small * 10.0, "{small}");
}

#[test]
fn throttled_calls_of_one_round_trip_back_off_once() {
    let now = Instant::now();
    let mut pacer = Pacer::new(None, 0.0, Some(100.0), now);
    let before = pacer.pace;
    for call in 0..30 {
        pacer.throttled(now + MS * call, now + MS * 50);
    }
    assert!(
        pacer.pace >= before * DEEPEST_BACK_OFF * (1.0 - BACK_OFF_DEPTH),
        "{pacer:?}"
    );
}

#[test]
fn the_pace_never_falls_below_its_minimum() {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(Some(10.0), 0.0, None, now);
    for _ in 0..1000 {
        now += MS * 100;
        pacer.throttled(now, now);
    }
    assert!(pacer.pace >= MIN_PACE && pacer.pace < 10.0, "{pacer:?}");
}
