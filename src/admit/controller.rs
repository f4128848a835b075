//! The rate that a Region bears, learned from its answers. Pure: told the time, it never asks for it.

use std::time::Duration;

use tokio::time::Instant;

use super::ceiling::TIMER_LAG;

/// A pause in which nobody throttles, before the rate is raised one step.
const QUIET: Duration = Duration::from_secs(1);
/// The part of the rate that is left after a throttled answer, at the least and at the most.
const CUT: f64 = 0.7;
const UNDER: f64 = 0.95;
/// The part of the rate that a raise adds, and the least that it adds in calls a second.
const RAISE: (f64, f64) = (0.05, 0.2);
/// Slower than this is never useful: one call in ten seconds still finds out whether the throttling is over.
const SLOWEST: f64 = 0.1;

/// Paces the starts of one Region: at the ceiling until calls are throttled, below it afterwards.
///
/// At most one cut a round trip: only a call that started after the last cut says anything about the rate since.
#[derive(Debug)]
pub(super) struct Controller {
    ceiling: Option<f64>,
    /// Starts a second, while that is below the ceiling.
    limit: Option<f64>,
    next_start: Instant,
    changed: Instant,
    cut: Option<Instant>,
    started: Window,
    taken: Window,
}

impl Controller {
    pub(super) fn new(ceiling: Option<f64>, now: Instant) -> Self {
        Self {
            ceiling,
            limit: None,
            next_start: now,
            changed: now,
            cut: None,
            started: Window::new(now),
            taken: Window::new(now),
        }
    }

    /// Starts a second that are allowed now, if the controller holds the Region below its ceiling.
    pub(super) fn limit(&self) -> Option<f64> {
        self.limit
    }

    /// When the next call may start.
    pub(super) fn due(&self) -> Instant {
        self.next_start
    }

    /// Notes that a call starts.
    pub(super) fn start(&mut self, now: Instant) {
        self.started.count(now);
        if let Some(limit) = self.limit {
            let spacing = Duration::from_secs_f64(1.0 / limit);
            let due = now
                .checked_sub(TIMER_LAG)
                .map_or(now, |earliest| self.next_start.max(earliest));
            self.next_start = due + spacing;
        }
    }

    /// The Region took a call.
    pub(super) fn taken(&mut self, now: Instant) {
        self.taken.count(now);
        self.raise(now);
    }

    /// The Region refused a call that `started` then for its rate.
    pub(super) fn throttled(&mut self, started: Instant, now: Instant) {
        if self.cut.is_none_or(|cut| started > cut) {
            self.reduce(now);
        }
    }

    fn reduce(&mut self, now: Instant) {
        let reached = self
            .limit
            .or(self.ceiling)
            .unwrap_or_else(|| self.started.rate(now));
        // While calls are throttled, what is taken is what the quota bears; without such evidence, go down by steps.
        let borne = self.taken.rate(now) * UNDER;
        let limit = borne.clamp(reached * CUT, reached * UNDER).max(SLOWEST);
        self.limit = Some(limit);
        self.next_start = now + Duration::from_secs_f64(1.0 / limit);
        self.changed = now;
        self.cut = Some(now);
    }

    fn raise(&mut self, now: Instant) {
        let Some(limit) = self.limit else { return };
        if now - self.changed < QUIET {
            return;
        }
        let raised = limit + (limit * RAISE.0).max(RAISE.1);
        self.limit = match self.ceiling {
            Some(ceiling) if raised >= ceiling => None,
            _ => Some(raised),
        };
        self.changed = now;
    }
}

/// Events in the second before the last whole tenth.
#[derive(Debug)]
struct Window {
    counts: [u32; Self::SLOTS],
    newest: usize,
    newest_began: Instant,
    began: Instant,
}

impl Window {
    const SLOTS: usize = 10;
    const SLOT: Duration = Duration::from_millis(100);

    fn new(now: Instant) -> Self {
        Self {
            counts: [0; Self::SLOTS],
            newest: 0,
            newest_began: now,
            began: now,
        }
    }

    fn roll(&mut self, now: Instant) {
        let mut rolled = 0;
        while now - self.newest_began >= Self::SLOT {
            self.newest = (self.newest + 1) % Self::SLOTS;
            self.counts[self.newest] = 0;
            self.newest_began += Self::SLOT;
            rolled += 1;
            if rolled == Self::SLOTS {
                self.newest_began = now;
            }
        }
    }

    fn count(&mut self, now: Instant) {
        self.roll(now);
        self.counts[self.newest] += 1;
    }

    fn rate(&mut self, now: Instant) -> f64 {
        self.roll(now);
        let span = (Self::SLOT * 9 + (now - self.newest_began)).min(now - self.began);
        let count: u32 = self.counts.iter().sum();
        f64::from(count) / span.as_secs_f64().max(0.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Calls at the controller's pace against a bucket of `quota`; gives back starts and throttled ones, per second.
    fn against_quota(
        controller: &mut Controller,
        now: &mut Instant,
        quota: f64,
        seconds: usize,
    ) -> Vec<(u32, u32)> {
        let mut tokens = 1.0;
        (0..seconds)
            .map(|_| {
                let (mut starts, mut throttled) = (0, 0);
                for _ in 0..1000 {
                    *now += MS;
                    tokens = f64::min(tokens + quota / 1000.0, 1.0);
                    if controller.due() <= *now {
                        controller.start(*now);
                        starts += 1;
                        if tokens >= 1.0 {
                            tokens -= 1.0;
                            controller.taken(*now);
                        } else {
                            throttled += 1;
                            controller.throttled(*now, *now);
                        }
                    }
                }
                (starts, throttled)
            })
            .collect()
    }

    #[test]
    fn at_the_ceiling_until_throttled() {
        let now = Instant::now();
        let mut controller = Controller::new(Some(10.0), now);
        for nth in 0..100 {
            let at = now + MS * 10 * nth;
            controller.start(at);
            controller.taken(at);
            assert_eq!(controller.due(), now, "the ceiling alone decides");
        }
        assert_eq!(controller.limit(), None);
    }

    #[test]
    fn below_the_quota_after_throttling_and_back_up_in_quiet() {
        let mut now = Instant::now();
        let mut controller = Controller::new(Some(100.0), now);
        controller.throttled(now, now);
        let seconds = against_quota(&mut controller, &mut now, 20.0, 60);
        let (starts, throttled) = seconds[10..]
            .iter()
            .fold((0, 0), |sum, second| (sum.0 + second.0, sum.1 + second.1));
        let taken = f64::from(starts - throttled) / 50.0;
        assert!(taken > 20.0 * 0.75, "{taken} of 20 a second");
        assert!(
            f64::from(throttled) < f64::from(starts) * 0.1,
            "{throttled} of {starts}"
        );

        let seconds = against_quota(&mut controller, &mut now, 1000.0, 60);
        assert_eq!(controller.limit(), None, "{seconds:?}");
    }

    #[test]
    fn calls_of_one_round_trip_cut_once() {
        let now = Instant::now();
        let mut controller = Controller::new(Some(100.0), now);
        let later = now + MS * 50;
        for _ in 0..30 {
            controller.throttled(now, later);
        }
        let once = controller.limit().expect("it was cut");
        assert!(once > 100.0 * CUT * CUT * 0.99, "{once}");
    }

    #[test]
    fn never_slower_than_the_slowest() {
        let mut now = Instant::now();
        let mut controller = Controller::new(Some(10.0), now);
        for _ in 0..100 {
            now += MS * 100;
            controller.throttled(now, now);
        }
        assert_eq!(controller.limit(), Some(SLOWEST));
    }
}
