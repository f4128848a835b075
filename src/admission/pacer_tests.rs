use super::*;

const MS: Duration = Duration::from_millis(1);

/// A service with a quota, called by a pacer: calls start when they are due and are answered 40 ms later.
struct Simulation {
    pacer: Pacer,
    now: Instant,
    quota: f64,
    tokens: f64,
    /// Stands for the rate limit, which keeps to the ceiling.
    next_token: Instant,
    /// Share of the calls that is throttled whatever the pace.
    chance: f64,
    random: fastrand::Rng,
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
            next_token: now,
            chance: 0.0,
            random: fastrand::Rng::with_seed(1),
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
            while self.pacer.next_start().max(self.next_token) <= self.now
                && self.in_flight.len() < 200
            {
                self.pacer.start(self.now);
                if let Some(rate) = self.pacer.ceiling {
                    self.next_token = self.now + Duration::from_secs_f64(1.0 / rate);
                }
                let by_chance = self.random.f64() < self.chance;
                let is_accepted = self.tokens >= 1.0 && !by_chance;
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
fn the_pace_grows_to_the_ceiling_while_no_call_is_throttled() {
    let mut simulation = Simulation::new(|now| Pacer::new(Some(400.0), 0.0, None, now), 1e6);
    let (first, _) = simulation.run(1);
    assert!((50.0..110.0).contains(&first), "{first}");
    simulation.run(2);
    assert!((simulation.pacer.pace - 400.0).abs() < 1e-9);
    assert_eq!(simulation.pacer.limit(), None);
    assert_eq!(simulation.pacer.quota(), None);
}

#[test]
fn at_the_ceiling_the_rate_limit_alone_decides() {
    let now = Instant::now();
    let mut pacer = Pacer::new(Some(10.0), 0.0, None, now);
    for _ in 0..5 {
        assert!(pacer.next_start() <= now);
        pacer.start(now);
    }
}

#[test]
fn an_unknown_quota_is_found_and_used_with_hardly_any_throttling() {
    for quota in [10.0, 50.0, 200.0, 1000.0] {
        let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, None, now), quota);
        let (early, throttled) = simulation.run(30);
        let least = if quota < 1000.0 { 0.9 } else { 0.8 };
        assert!(early > quota * least, "{early} of {quota} at first");
        assert!(throttled < early * 0.03, "{throttled} of {early} throttled");
        let (accepted, throttled) = simulation.run(60);
        assert!(accepted > quota * 0.92, "{accepted} of {quota}");
        assert!(
            throttled < accepted * 0.02,
            "{throttled} of {accepted} throttled"
        );
        let found = simulation.pacer.quota().expect("its ramps agree");
        // A bucket of two calls cannot save up what a back-off leaves.
        assert!((found / quota - 1.0).abs() < 0.08, "{found} of {quota}");
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
    assert!((76.0..84.0).contains(&accepted), "{accepted}");
    assert!(throttled < 0.5, "{throttled}");
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
    for (quota, most) in [(2.0, 0.08), (5.0, 0.03)] {
        let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, None, now), quota);
        simulation.run(30);
        let (accepted, throttled) = simulation.run(300);
        assert!(accepted > quota * 0.8, "{accepted} of {quota}");
        assert!(
            throttled < accepted * most,
            "{throttled} of {accepted} throttled"
        );
    }
}

#[test]
fn a_search_waits_a_round_trip_after_one_throttled_call_and_goes_on() {
    let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, None, now), 1e6);
    simulation.run(1);
    let (pace, now) = (simulation.pacer.pace, simulation.now);
    simulation.pacer.throttled(now, now);
    assert!(simulation.pacer.next_start() >= now + MS * 40);
    simulation.run(2);
    assert_eq!(simulation.pacer.state, State::Search);
    assert!(simulation.pacer.pace > pace * 2.0);
}

#[test]
fn a_ramp_backs_off_at_the_first_throttled_call() {
    let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, Some(50.0), now), 1e6);
    simulation.run(5);
    let (pace, now) = (simulation.pacer.pace, simulation.now);
    assert!(pace > 50.0, "{pace}");
    simulation.pacer.throttled(now, now);
    simulation.run(1);
    let after = simulation.pacer.pace / pace;
    assert!((0.7..0.9).contains(&after), "{after}");
}

#[test]
fn throttling_that_a_lower_pace_does_not_lessen_is_tolerated() {
    let mut simulation = Simulation::new(|now| Pacer::new(Some(100.0), 0.0, None, now), 1e6);
    simulation.chance = 0.15;
    simulation.run(60);
    let (accepted, _) = simulation.run(60);
    assert!(accepted > 50.0, "{accepted}");
    assert!(simulation.pacer.is_random());
    assert_eq!(simulation.pacer.quota(), None);
}

#[test]
fn a_run_with_a_small_share_grows_when_the_others_leave() {
    // Another caller uses the quota, and then stops.
    let mut simulation = Simulation::new(|now| Pacer::new(None, 0.0, Some(2.0), now), 2.0);
    simulation.run(120);
    let small = simulation.pacer.pace;
    simulation.quota = 50.0;
    simulation.run(90);
    assert!(simulation.pacer.pace > small * 10.0, "{small}");
}

#[test]
fn a_back_off_waits_for_the_calls_in_flight_and_counts_once() {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(None, 0.0, Some(100.0), now);
    let mut started = Vec::new();
    for _ in 0..30 {
        now = pacer.next_start();
        pacer.start(now);
        started.push(now);
    }
    let before = pacer.pace;
    for (nth, call) in started.into_iter().enumerate() {
        pacer.throttled(call, call + MS * 400);
        assert_eq!(pacer.backing_off.is_some(), nth < 29);
    }
    assert_eq!(pacer.backing_off, None);
    assert!(pacer.pace >= before * 0.1, "{pacer:?}");
    assert!(pacer.pace <= before * 0.8, "{pacer:?}");
}

#[test]
fn a_call_without_an_answer_does_not_hold_up_a_back_off() {
    let now = Instant::now();
    let mut pacer = Pacer::new(None, 0.0, Some(100.0), now);
    for _ in 0..3 {
        pacer.start(now);
    }
    pacer.throttled(now, now + MS * 40);
    assert!(pacer.backing_off.is_some());
    pacer.unanswered();
    // The second is lost; the next call may start all the same.
    let next = pacer.next_start();
    assert!(next <= now + MS * 200, "{:?}", next - now);
    pacer.start(next);
    assert_eq!(pacer.backing_off, None);
}

#[test]
fn the_pace_never_falls_below_its_minimum() {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(Some(10.0), 0.0, None, now);
    for _ in 0..1000 {
        now = now.max(pacer.next_start()) + MS;
        pacer.start(now);
        pacer.throttled(now, now + MS * 40);
        pacer.start(now + MS * 41);
        pacer.accepted(now + MS * 41, now + MS * 81);
        now += MS * 81;
    }
    assert!(pacer.pace >= MIN_PACE && pacer.pace < 10.0, "{pacer:?}");
}
