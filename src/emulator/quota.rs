//! The quotas of the service: token buckets or fixed windows, on one or more front ends, shared with production's own traffic. Pure:
//! the time is a parameter, and everything random comes from a seed.

use std::collections::HashMap;
use std::time::Duration;

use fastrand::Rng;

use super::model::{LOOKS, Operation};

/// A quota's settings, the same in every Region.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuotaSettings {
    /// Calls a second of each operation.
    pub rate: f64,
    /// Calls a second of each operation that looks up users or an identity, if they have another rate.
    pub look_up_rate: Option<f64>,
    /// The way in which calls are counted.
    pub shape: QuotaShape,
    /// Calls a second of production's own traffic, a Poisson process in each Region from our first call there. It draws on the
    /// quota of `UnlinkDeveloperIdentity`: sign-in uses other operations, whose quotas our calls do not touch, so that only
    /// production's own unlinks can be throttled because of us.
    pub production: f64,
}

/// The way in which a quota counts calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaShape {
    /// Token buckets. Each front end has one, with an equal part of the rate and of the burst, but for at least one call; a call
    /// arrives at a random front end.
    TokenBucket {
        /// Calls that can be saved up, at least one.
        burst: u32,
        /// Number of front ends, at least one.
        front_ends: u32,
    },
    /// As many calls as the rate, rounded down but at least one, in each second of the clock.
    FixedWindow,
}

/// Counts of production's own calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProductionCounts {
    /// Calls that arrived.
    pub calls: u64,
    /// Those of them that were throttled.
    pub throttled: u64,
}

/// The quota that each Region has for each operation, as AWS counts its quotas. It has nothing to do with the quotas that the
/// program learns and saves.
#[derive(Debug, Clone)]
pub struct Quota {
    settings: QuotaSettings,
    random: Rng,
    limiters: HashMap<(String, &'static str), Limiter>,
}

/// The quota of one operation in one Region.
#[derive(Debug, Clone)]
struct Limiter {
    settings: QuotaSettings,
    front_ends: Vec<FrontEnd>,
    random: Rng,
    /// Time of production's next call, in seconds, if there is production.
    next_production: Option<f64>,
    production: ProductionCounts,
}

#[derive(Debug, Clone, Copy)]
struct FrontEnd {
    tokens: f64,
    filled: Duration,
}

impl QuotaSettings {
    /// Returns the settings of a token bucket on one front end, without production.
    #[must_use]
    pub const fn bucket(rate: f64, burst: u32) -> Self {
        Self {
            rate,
            look_up_rate: None,
            shape: QuotaShape::TokenBucket {
                burst,
                front_ends: 1,
            },
            production: 0.0,
        }
    }

    /// Returns the settings for an operation.
    fn of(self, operation: &str) -> Self {
        let look_up_rate = self.look_up_rate.filter(|_| LOOKS.contains(&operation));
        Self {
            rate: look_up_rate.unwrap_or(self.rate),
            ..self
        }
    }

    fn front_ends(&self) -> u32 {
        match self.shape {
            QuotaShape::TokenBucket { front_ends, .. } => front_ends.max(1),
            QuotaShape::FixedWindow => 1,
        }
    }

    /// Returns the tokens of a full front end.
    fn capacity(&self) -> f64 {
        let calls = match self.shape {
            QuotaShape::TokenBucket { burst, .. } => {
                f64::from(burst) / f64::from(self.front_ends())
            }
            QuotaShape::FixedWindow => self.rate,
        };
        calls.max(1.0)
    }
}

impl Quota {
    /// Creates a quota that nothing has used yet.
    #[must_use]
    pub fn new(settings: QuotaSettings, seed: u64) -> Self {
        Self {
            settings,
            random: Rng::with_seed(seed),
            limiters: HashMap::new(),
        }
    }

    /// Takes a token at `now`, a time since an arbitrary start, after production's calls up to then have taken theirs. Returns
    /// false if there was none.
    pub fn take(&mut self, region: &str, operation: &'static str, now: Duration) -> bool {
        let limiter = self
            .limiters
            .entry((region.to_owned(), operation))
            .or_insert_with(|| {
                Limiter::new(
                    self.settings.of(operation),
                    operation,
                    self.random.fork(),
                    now,
                )
            });
        limiter.advance(now);
        limiter.take(now)
    }

    /// Lets production make its calls up to `now`, as [`Quota::take`] does.
    pub fn advance(&mut self, now: Duration) {
        for limiter in self.limiters.values_mut() {
            limiter.advance(now);
        }
    }

    /// Returns the counts of production's calls so far, in all Regions: up to the last call there, or the last advance.
    #[must_use]
    pub fn production(&self) -> ProductionCounts {
        let counts = self.limiters.values().map(|limiter| limiter.production);
        counts.fold(ProductionCounts::default(), |sum, counts| {
            ProductionCounts {
                calls: sum.calls + counts.calls,
                throttled: sum.throttled + counts.throttled,
            }
        })
    }
}

impl Limiter {
    fn new(settings: QuotaSettings, operation: &str, mut random: Rng, now: Duration) -> Self {
        let full = FrontEnd {
            tokens: settings.capacity(),
            filled: now,
        };
        let is_shared =
            settings.production > 0.0 && operation == Operation::UnlinkDeveloperIdentity.name();
        Self {
            settings,
            front_ends: vec![full; settings.front_ends() as usize],
            next_production: is_shared
                .then(|| now.as_secs_f64() + gap(&mut random, settings.production)),
            random,
            production: ProductionCounts::default(),
        }
    }

    /// Decides production's calls up to `now`, in order.
    fn advance(&mut self, now: Duration) {
        while let Some(next) = self
            .next_production
            .filter(|next| *next <= now.as_secs_f64())
        {
            let taken = self.take(Duration::from_secs_f64(next));
            self.production.calls += 1;
            self.production.throttled += u64::from(!taken);
            self.next_production = Some(next + gap(&mut self.random, self.settings.production));
        }
    }

    /// Takes a token of a random front end.
    fn take(&mut self, now: Duration) -> bool {
        let front_end = self.random.usize(..self.front_ends.len());
        self.front_ends[front_end].take(&self.settings, now)
    }
}

impl FrontEnd {
    fn take(&mut self, settings: &QuotaSettings, now: Duration) -> bool {
        let refill = match settings.shape {
            QuotaShape::TokenBucket { .. } => {
                let rate = settings.rate / f64::from(settings.front_ends());
                now.saturating_sub(self.filled).as_secs_f64() * rate
            }
            QuotaShape::FixedWindow if now.as_secs() > self.filled.as_secs() => f64::INFINITY,
            QuotaShape::FixedWindow => 0.0,
        };
        self.tokens = (self.tokens + refill).min(settings.capacity());
        self.filled = now.max(self.filled);
        // A token that is missing only by rounding counts.
        let taken = self.tokens > 1.0 - 1e-9;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }
}

/// Returns the seconds between two calls of a Poisson process of `rate` calls a second.
fn gap(random: &mut Rng, rate: f64) -> f64 {
    -(1.0 - random.f64()).ln() / rate
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNLINK: &str = "UnlinkDeveloperIdentity";

    fn front_ends(rate: f64, burst: u32, front_ends: u32) -> QuotaSettings {
        QuotaSettings {
            shape: QuotaShape::TokenBucket { burst, front_ends },
            ..QuotaSettings::bucket(rate, burst)
        }
    }

    fn window(rate: f64) -> QuotaSettings {
        QuotaSettings {
            shape: QuotaShape::FixedWindow,
            ..QuotaSettings::bucket(rate, 1)
        }
    }

    /// Returns the accepted ones of calls that are `gaps` milliseconds apart.
    fn accepted(settings: QuotaSettings, seed: u64, gaps: &[u64]) -> Vec<Duration> {
        let mut quota = Quota::new(settings, seed);
        let mut now = Duration::ZERO;
        let mut taken = Vec::new();
        for gap in gaps {
            now += Duration::from_millis(*gap);
            if quota.take("r", UNLINK, now) {
                taken.push(now);
            }
        }
        taken
    }

    #[test]
    fn a_token_is_available_exactly_when_refilled() {
        let mut quota = Quota::new(QuotaSettings::bucket(10.0, 2), 1);
        let mut take = |ms| quota.take("r", "op", Duration::from_millis(ms));
        assert_eq!([take(0), take(0), take(0)], [true, true, false]);
        assert_eq!(
            [take(99), take(100), take(199), take(200)],
            [false, true, false, true]
        );
        assert_eq!(
            [take(10_000), take(10_000), take(10_000)],
            [true, true, false]
        );
    }

    #[test]
    fn each_region_and_operation_has_its_own_bucket() {
        let mut quota = Quota::new(QuotaSettings::bucket(1.0, 1), 1);
        assert!(quota.take("a", "op", Duration::ZERO));
        assert!(quota.take("b", "op", Duration::ZERO));
        assert!(quota.take("a", "other", Duration::ZERO));
        assert!(!quota.take("a", "op", Duration::ZERO));
    }

    #[test]
    fn look_ups_have_their_own_rate() {
        let settings = QuotaSettings {
            look_up_rate: Some(2.0),
            ..QuotaSettings::bucket(1.0, 1)
        };
        let mut quota = Quota::new(settings, 1);
        for (operation, taken) in [
            (UNLINK, 11),
            ("DescribeIdentityPool", 11),
            ("DescribeIdentity", 21),
            ("LookupDeveloperIdentity", 21),
        ] {
            let times = (0..=100).map(|tenth| Duration::from_millis(tenth * 100));
            let accepted = times.filter(|now| quota.take("r", operation, *now));
            assert_eq!(accepted.count(), taken, "{operation}");
        }
    }

    #[test]
    fn each_front_end_throttles_alone() {
        // Two calls at once: half of the pairs arrive at the same front end, which has only one token.
        let pairs = (0..1_000).filter(|seed| {
            let both = accepted(front_ends(1.0, 2, 2), *seed, &[0, 0]);
            both.len() == 2
        });
        assert!((450..550).contains(&pairs.count()));
    }

    #[test]
    fn a_window_accepts_its_number_in_each_second() {
        for (rate, number) in [(0.5, 1), (1.0, 1), (7.0, 7), (7.9, 7), (50.0, 50)] {
            // 250 calls in each of six seconds.
            let accepted = accepted(window(rate), 1, &[4; 1_499]);
            for second in 0..6 {
                let within = accepted.iter().filter(|at| at.as_secs() == second);
                assert_eq!(within.count(), number, "{rate}");
            }
        }
    }

    #[test]
    fn production_is_a_poisson_process() {
        let production = QuotaSettings {
            production: 20.0,
            ..QuotaSettings::bucket(1e9, 1_000_000)
        };
        let mut quota = Quota::new(production, 1);
        assert!(quota.take("r", UNLINK, Duration::ZERO));
        let mut calls = Vec::new();
        let mut before = 0;
        for second in 1..=1_000 {
            quota.advance(Duration::from_secs(second));
            calls.push((quota.production().calls - before) as f64);
            before = quota.production().calls;
        }
        let mean = calls.iter().sum::<f64>() / 1_000.0;
        let variance = calls.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 1_000.0;
        // The standard errors are 0.14 and 0.9.
        assert!((19.5..20.5).contains(&mean), "{mean}");
        assert!((17.0..23.0).contains(&variance), "{variance}");
        assert_eq!(quota.production().throttled, 0);
    }

    #[test]
    fn production_and_our_calls_share_the_quota() {
        let production = QuotaSettings {
            production: 40.0,
            ..QuotaSettings::bucket(50.0, 5)
        };
        let mut quota = Quota::new(production, 1);
        let times = (0..100_000).map(Duration::from_millis);
        // Our 1000 a second leave nearly nothing.
        let ours = times.filter(|now| quota.take("r", UNLINK, *now)).count() as u64;
        let counts = quota.production();
        assert!((3_800..4_200).contains(&counts.calls), "{counts:?}");
        assert!(counts.throttled > counts.calls * 9 / 10, "{counts:?}");
        let accepted = ours + counts.calls - counts.throttled;
        assert!((4_998..=5_005).contains(&accepted), "{accepted}");
        // It leaves other operations alone.
        for ms in 0..100 {
            quota.take("r", "op", Duration::from_millis(ms * 1_000));
        }
        assert_eq!(quota.production(), counts);
    }

    #[test]
    fn production_alone_is_throttled_as_its_bucket_decides() {
        // A bucket of one call: an arrival is throttled if it comes within 20 ms of the last accepted one. By renewal the accepted
        // share is 1 / (1 + 20/s × 20 ms) = 5/7.
        let production = QuotaSettings {
            production: 20.0,
            ..QuotaSettings::bucket(50.0, 1)
        };
        let mut quota = Quota::new(production, 1);
        assert!(quota.take("r", UNLINK, Duration::ZERO));
        quota.advance(Duration::from_secs(2_000));
        let counts = quota.production();
        let share = counts.throttled as f64 / counts.calls as f64;
        assert!((0.26..0.31).contains(&share), "{share}");
    }

    fn gaps() -> impl Strategy<Value = Vec<u64>> {
        proptest::collection::vec(0_u64..200, 1..200)
    }

    proptest! {
        #[test]
        fn calls_never_exceed_burst_and_rate(
            rate in 0.5..500.0_f64, burst in 1_u32..10, ends in 1_u32..10, seed: u64, gaps in gaps(),
        ) {
            let taken = accepted(front_ends(rate, burst, ends), seed, &gaps);
            // Each front end saves up one call at least.
            let burst = f64::from(burst.max(ends));
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let most = burst + to.saturating_sub(*from).as_secs_f64() * rate + 1e-6;
                    prop_assert!((last - first + 1) as f64 <= most);
                }
            }
        }

        #[test]
        fn one_front_end_is_the_bucket(
            rate in 0.5..500.0_f64, burst in 1_u32..10, seed: u64, gaps in gaps(),
        ) {
            let bucket = accepted(QuotaSettings::bucket(rate, burst), 1, &gaps);
            prop_assert_eq!(accepted(front_ends(rate, burst, 1), seed, &gaps), bucket);
        }

        #[test]
        fn a_window_never_accepts_more_in_a_second(
            rate in 1_u32..50, gaps in gaps(),
        ) {
            let taken = accepted(window(rate.into()), 1, &gaps);
            for at in &taken {
                let within = taken.iter().filter(|other| other.as_secs() == at.as_secs());
                prop_assert!(within.count() <= rate as usize);
            }
        }
    }
}
