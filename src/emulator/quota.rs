//! A token bucket for every Region and operation. Pure: the time is a parameter.

use std::collections::HashMap;
use std::time::Duration;

/// The quota that each Region has for each operation, as AWS counts its quotas. It has nothing to do with the quotas that the
/// program learns and saves.
#[derive(Debug, Clone)]
pub struct Quota {
    rate: f64,
    burst: f64,
    buckets: HashMap<(String, &'static str), Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: f64,
    filled: Duration,
}

impl Quota {
    /// Creates full buckets of `burst` tokens, refilled at `rate` tokens a second.
    #[must_use]
    pub fn new(rate: f64, burst: u32) -> Self {
        Self {
            rate,
            burst: f64::from(burst.max(1)),
            buckets: HashMap::new(),
        }
    }

    /// Takes a token at `now`, a time since an arbitrary start. Returns false if there was none.
    pub fn take(&mut self, region: &str, operation: &'static str, now: Duration) -> bool {
        let full = Bucket {
            tokens: self.burst,
            filled: now,
        };
        let bucket = self
            .buckets
            .entry((region.to_owned(), operation))
            .or_insert(full);
        let refill = now.saturating_sub(bucket.filled).as_secs_f64() * self.rate;
        bucket.tokens = (bucket.tokens + refill).min(self.burst);
        bucket.filled = now.max(bucket.filled);
        // A token that is missing only by rounding counts.
        let taken = bucket.tokens > 1.0 - 1e-9;
        if taken {
            bucket.tokens -= 1.0;
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_available_exactly_when_refilled() {
        let mut quota = Quota::new(10.0, 2);
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
        let mut quota = Quota::new(1.0, 1);
        assert!(quota.take("a", "op", Duration::ZERO));
        assert!(quota.take("b", "op", Duration::ZERO));
        assert!(quota.take("a", "other", Duration::ZERO));
        assert!(!quota.take("a", "op", Duration::ZERO));
    }

    proptest! {
        #[test]
        fn calls_never_exceed_burst_and_rate(
            rate in 0.5..500.0_f64, burst in 1_u32..10, gaps in proptest::collection::vec(0_u64..200, 1..200),
        ) {
            let mut quota = Quota::new(rate, burst);
            let mut now = Duration::ZERO;
            let mut taken = Vec::new();
            for gap in gaps {
                now += Duration::from_millis(gap);
                if quota.take("r", "op", now) {
                    taken.push(now);
                }
            }
            for (first, from) in taken.iter().enumerate() {
                for (last, to) in taken.iter().enumerate().skip(first) {
                    let most = f64::from(burst) + to.saturating_sub(*from).as_secs_f64() * rate + 1e-6;
                    prop_assert!((last - first + 1) as f64 <= most);
                }
            }
        }
    }
}
