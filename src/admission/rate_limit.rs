//! The rate that the operator allows, kept by `governor` on tokio's clock.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

/// Highest rate at which calls may start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// This many per second; a positive, finite number.
    PerSecond(f64),
    /// No ceiling.
    Unlimited,
}

impl Rate {
    /// Returns the calls per second, if there is a ceiling.
    #[must_use]
    pub fn per_second(self) -> Option<f64> {
        match self {
            Self::PerSecond(rate) => Some(rate),
            Self::Unlimited => None,
        }
    }
}

impl Rate {
    /// Returns the share of each of so many processes.
    #[must_use]
    pub fn shared_by(self, processes: NonZeroU32) -> Self {
        match self {
            Self::PerSecond(rate) => Self::PerSecond(rate / f64::from(processes.get())),
            Self::Unlimited => Self::Unlimited,
        }
    }
}

impl FromStr for Rate {
    type Err = String;

    /// Parses `10`, `0.5`, `10/s`, `90/m`, `1000/h` or `unlimited`.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unlimited" {
            return Ok(Self::Unlimited);
        }
        let (number, seconds) = match text.split_once('/') {
            None | Some((_, "s")) => (text.trim_end_matches("/s"), 1.0),
            Some((number, "m")) => (number, 60.0),
            Some((number, "h")) => (number, 3600.0),
            Some(_) => ("", 1.0),
        };
        match number.parse::<f64>() {
            Ok(number) if number.is_finite() && (1e-6..=1e9).contains(&(number / seconds)) => {
                Ok(Self::PerSecond(number / seconds))
            }
            _ => Err(
                "expected calls per time, as in 10, 0.5, 10/s, 90/m, 1000/h, or `unlimited`"
                    .to_owned(),
            ),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("unlimited"),
            Self::PerSecond(rate) if *rate >= 1.0 => write!(f, "{}/s", trim(*rate)),
            Self::PerSecond(rate) if *rate >= 1.0 / 60.0 => write!(f, "{}/m", trim(rate * 60.0)),
            Self::PerSecond(rate) => write!(f, "{}/h", trim(rate * 3600.0)),
        }
    }
}

/// Formats with at most two decimals, without trailing zeros.
fn trim(number: f64) -> String {
    let text = format!("{number:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Adapts tokio's clock to governor, so that the limiter follows paused time in tests.
#[derive(Debug, Clone)]
struct TokioClock(Instant);

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(self.0.elapsed())
    }
}

/// Longest lag of a wake-up behind its timer: tokio's timers have a resolution of one millisecond and round up.
///
/// A call that starts late may be followed by one that much earlier than the spacing demands; otherwise each late wake-up would
/// lose quota for good. Over any time, at most this much time's worth of calls starts beyond the rate. Doubled, a quota without
/// a burst throttles calls that come too early.
pub(super) const TIMER_LAG: Duration = Duration::from_millis(2);

/// Longest validity of a token, unless a quarter of the time between two calls is longer. Doubled, twice as many calls that were
/// delayed together are sent together; halved, a slow connection costs a token.
const VALID_FOR: Duration = Duration::from_millis(50);

/// A token bucket with a token per attempt: `rate` per second, `burst` at once.
#[derive(Debug)]
pub(super) struct RateLimit {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    clock: TokioClock,
    /// Cells of governor's that make one token. A token is split so that the lag can be a part of one.
    cells: NonZeroU32,
    /// Longest validity of a token after it was taken.
    valid_for: Duration,
    /// Times at which the unused tokens were taken: at a rate of one per hour, a call that is not made must not cost an hour.
    given_back: Mutex<Vec<Instant>>,
}

impl RateLimit {
    /// Creates a full bucket of `burst` tokens, refilled `rate` times per second.
    pub(super) fn new(rate: f64, burst: NonZeroU32, now: Instant) -> Self {
        let spacing = Duration::from_secs_f64(1.0 / rate);
        // Cells of 20 µs or more: their period in whole nanoseconds is exact to 1 in 20,000.
        let cells = (spacing.as_micros() / 20).clamp(1, 1000);
        let cells =
            NonZeroU32::new(u32::try_from(cells).unwrap_or(1000)).unwrap_or(NonZeroU32::MIN);
        let period = (spacing / cells.get()).max(Duration::from_nanos(1));
        let lag = u32::try_from(TIMER_LAG.as_nanos() / period.as_nanos()).unwrap_or(u32::MAX);
        let capacity = burst.saturating_mul(cells).saturating_add(lag);
        let quota = Quota::with_period(period)
            .expect("a period of a nanosecond or more")
            .allow_burst(capacity);
        let clock = TokioClock(now);
        Self {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            cells,
            valid_for: VALID_FOR.max(spacing / 4),
            given_back: Mutex::default(),
        }
    }

    /// Returns whether a token taken at `taken` may still be used.
    pub(super) fn is_valid(&self, taken: Instant, now: Instant) -> bool {
        now.saturating_duration_since(taken) <= self.valid_for
    }

    /// Takes back an unused token taken at `taken`.
    pub(super) fn give_back(&self, taken: Instant) {
        self.given_back().push(taken);
    }

    fn given_back(&self) -> MutexGuard<'_, Vec<Instant>> {
        self.given_back
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a token. Returns when it was taken: one that was given back keeps its age.
    ///
    /// # Errors
    /// Returns the time until there is one.
    pub(super) fn take(&self, now: Instant) -> Result<Instant, Duration> {
        let mut given_back = self.given_back();
        given_back.retain(|taken| self.is_valid(*taken, now));
        if let Some(taken) = given_back.pop() {
            return Ok(taken);
        }
        match self.limiter.check_n(self.cells) {
            Ok(Ok(())) => Ok(now),
            Ok(Err(not_yet)) => Err(not_yet.wait_time_from(self.clock.now())),
            Err(too_small) => unreachable!("the bucket holds at least one call: {too_small}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rates_are_parsed_as_documented() {
        let rate = |text: &str| text.parse::<Rate>();
        assert_eq!(rate("10"), Ok(Rate::PerSecond(10.0)));
        assert_eq!(rate("10/s"), Ok(Rate::PerSecond(10.0)));
        assert_eq!(rate("0.5"), Ok(Rate::PerSecond(0.5)));
        assert_eq!(rate("90/m"), Ok(Rate::PerSecond(1.5)));
        assert_eq!(rate("1800/h"), Ok(Rate::PerSecond(0.5)));
        assert_eq!(rate("unlimited"), Ok(Rate::Unlimited));
        for wrong in [
            "", "0", "-1", "nan", "inf", "10/d", "10/", "/s", "ten", "10/s/s",
        ] {
            assert!(rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn rates_are_printed_in_the_largest_unit_above_one() {
        let text = |rate| Rate::PerSecond(rate).to_string();
        assert_eq!(text(10.0), "10/s");
        assert_eq!(text(1.5), "1.5/s");
        assert_eq!(text(0.5), "30/m");
        assert_eq!(text(1.0 / 3600.0), "1/h");
    }

    /// Takes tokens at every instant that the limit names, `late` after it. Returns the times in seconds.
    async fn starts(
        rate: f64,
        burst: u32,
        calls: usize,
        late: impl Fn(usize) -> Duration,
    ) -> Vec<f64> {
        let begin = Instant::now();
        let limit = RateLimit::new(rate, NonZeroU32::new(burst).expect("positive"), begin);
        let mut starts = Vec::new();
        while starts.len() < calls {
            match limit.take(Instant::now()) {
                Ok(_) => starts.push(begin.elapsed().as_secs_f64()),
                Err(wait) => tokio::time::advance(wait + late(starts.len())).await,
            }
        }
        starts
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_burst_tokens_are_evenly_spaced() {
        let starts = starts(10.0, 1, 50, |_| Duration::ZERO).await;
        for pair in starts.windows(2) {
            assert!((pair[1] - pair[0] - 0.1).abs() < 0.0025, "{pair:?}");
        }
        assert!((starts[49] - 4.9).abs() < 0.0025, "{}", starts[49]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_as_large_as_asked() {
        let starts = starts(2.0, 5, 7, |_| Duration::ZERO).await;
        assert!(starts[..5].iter().all(|at| *at == 0.0), "{starts:?}");
        assert!(starts[5] > 0.49 && starts[6] > 0.99, "{starts:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn late_timers_lose_no_quota() {
        for rate in [10.0, 100.0, 1000.0] {
            let late =
                |nth: usize| Duration::from_micros(if nth.is_multiple_of(2) { 1000 } else { 300 });
            let calls = 200;
            let starts = starts(rate, 1, calls, late).await;
            let ideal = (calls - 1) as f64 / rate;
            let took = starts[calls - 1];
            assert!(took < ideal + 0.003, "{rate}: {took} for {ideal}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_returned_token_is_reused_while_it_is_valid() {
        let limit = RateLimit::new(1.0, NonZeroU32::MIN, Instant::now());
        let taken = limit.take(Instant::now()).expect("one");
        limit.give_back(taken);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert!(limit.is_valid(taken, Instant::now()));
        assert_eq!(limit.take(Instant::now()), Ok(taken));
        assert!(limit.take(Instant::now()).is_err());
        limit.give_back(taken);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(!limit.is_valid(taken, Instant::now()));
        assert!(limit.take(Instant::now()).is_err(), "the token is too old");
    }

    proptest! {
        #[test]
        fn no_stretch_of_time_exceeds_the_rate(
            rate in 0.2..5_000.0_f64, burst in 1_u32..20, late in proptest::collection::vec(0_u64..5_000, 40),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time().start_paused(true).build().expect("a runtime");
            let starts = runtime.block_on(starts(rate, burst, 120, |nth| {
                Duration::from_micros(late[nth % late.len()])
            }));
            let allowed = |seconds: f64| {
                f64::from(burst) + (seconds + TIMER_LAG.as_secs_f64()) * rate * 1.0001 + 1e-6
            };
            for (first, from) in starts.iter().enumerate() {
                for (last, to) in starts.iter().enumerate().skip(first) {
                    let calls = (last - first + 1) as f64;
                    prop_assert!(calls <= allowed(to - from), "{calls} in {}", to - from);
                }
            }
        }
    }
}
