//! The rate that a Region bears, measured from its answers. Pure: told the time, it never asks for it.
//!
//! A quota is a token bucket. Once a call has been throttled the bucket is empty, and from then on *what is taken a second
//! is the quota*, whatever the size of the bucket. So the pace goes in flights: it lands just under what the last flight has
//! measured, climbs in small steps, and the first throttled call of a step ends the flight.
//!
//! ```text
//! search: double until throttled, measure for a round trip    →  land, climb, throttled, land, climb, …
//! ```
//!
//! - At most one decision a round trip: a call that started before the last change of pace says nothing about the new one.
//! - How long a step lasts and how high it is follows from how sure the measure is: at first short and high, then long and
//!   low, so that some hundred calls pass from one throttled call to the next. What refutes a sure measure makes it unsure.
//! - Steps grow with the square root of the pace, cuts with the pace itself: runs that share a quota come to equal parts.
//! - Throttling that stays the same at a quarter of the pace is not the pace's doing; see [`Chance`].

use std::time::Duration;

use tokio::time::Instant;

use super::ceiling::TIMER_LAG;
use super::chance::Chance;
use super::span::Span;

/// Calls a second with which a search begins, if nobody says where.
const FIRST: f64 = 10.0;
/// Slower than this is never useful: one call in ten seconds still finds out whether the throttling is over.
const SLOWEST: f64 = 0.1;
/// The part of a measured quota that is left unused, and what is given up beside it when somebody else takes a share.
const UNDER: f64 = 0.02;
const YIELD: f64 = 0.06;
/// At most this part of the pace is taken back at once: a single measure may be far off.
const DEEPEST_CUT: f64 = 0.7;
/// The first step of a sure climb, as a part of the pace; the second is twice as high, and so on.
const STEP: f64 = 0.01;
/// How long a step lasts at the least, and how many calls it takes when the measure is sure.
const STEP_TIME: Duration = Duration::from_millis(500);
const STEP_CALLS: f64 = 25.0;
/// An unsure climb's steps are at most so many times as high.
const COARSE: f64 = 8.0;
/// Calls that a step takes after a search and after a measure was refuted; from so many on a measure is sure.
const UNSURE: f64 = 4.0;
const UNSURE_AGAIN: f64 = 8.0;
const SURE: f64 = 16.0;
/// So far below what was borne before, throttling says that the quota is not what it was.
const REFUTED: f64 = 0.97;
/// From one look for more than the part that is used to the next, where a part is left to others.
const REST: Duration = Duration::from_secs(60);

/// Paces the starts of one Region.
#[derive(Debug)]
pub(super) struct Controller {
    ceiling: Option<f64>,
    /// The part of the quota that is used.
    used: f64,
    /// Starts a second.
    pace: f64,
    next_start: Instant,
    /// Calls a second that the Region bears, once a throttled call has told.
    quota: Option<f64>,
    /// Nothing was throttled yet.
    searching: bool,
    /// Calls that started since the pace was set.
    step: Span,
    /// Calls that started since the last landing.
    flight: Span,
    /// In a search: calls that started since the first throttled one.
    empty: Option<Span>,
    /// In a search: what was taken a second before the pace was doubled.
    taken_before: f64,
    /// The pace before the last step, and steps since the last landing.
    borne: f64,
    climbed: u32,
    /// The pace at which the last flight ended.
    top: f64,
    /// Calls that a step takes: the larger, the surer is the quota.
    sure: f64,
    /// Until when the pace is not raised, since a part is left to others.
    resting: Option<Instant>,
    latency: f64,
    chance: Chance,
}

impl Controller {
    /// `quota` is what an earlier run has measured, and `leave` the part of it, from 0 to 1, that is left to others.
    pub(super) fn new(ceiling: Option<f64>, leave: f64, quota: Option<f64>, now: Instant) -> Self {
        let used = 1.0 - leave;
        let begin = match quota {
            Some(quota) => quota * used * (1.0 - YIELD),
            None => ceiling.unwrap_or(FIRST),
        };
        let mut controller = Self {
            ceiling,
            used,
            pace: begin,
            next_start: now,
            quota,
            searching: quota.is_none(),
            step: Span::new(now),
            flight: Span::new(now),
            empty: None,
            taken_before: 0.0,
            borne: 0.0,
            climbed: 0,
            top: quota.unwrap_or(0.0),
            sure: UNSURE,
            resting: None,
            latency: 0.0,
            chance: Chance::default(),
        };
        controller.set(begin, now);
        controller.borne = controller.pace;
        controller
    }

    /// Starts a second that are allowed now, if throttling holds the Region below its ceiling.
    pub(super) fn limit(&self) -> Option<f64> {
        (self.quota.is_some() && !self.is_at_ceiling()).then_some(self.pace)
    }

    /// Calls a second that the Region bears, if that has been found.
    pub(super) fn quota(&self) -> Option<f64> {
        self.quota
    }

    /// Calls in flight that the pace comes to (Little's law), once an answer has told how long one takes.
    pub(super) fn calls_in_flight(&self) -> Option<f64> {
        (self.latency > 0.0).then_some(self.pace * self.latency)
    }

    /// When the next call may start.
    pub(super) fn due(&self) -> Instant {
        self.next_start
    }

    /// Notes that a call starts.
    pub(super) fn start(&mut self, now: Instant) {
        if self.is_at_ceiling() {
            // It has bursts, and the ceiling alone decides.
            self.next_start = now;
            return;
        }
        let due = now
            .checked_sub(TIMER_LAG)
            .map_or(now, |earliest| self.next_start.max(earliest));
        self.next_start = due + Duration::from_secs_f64(1.0 / self.pace);
    }

    /// The Region took a call that `started` then.
    pub(super) fn taken(&mut self, started: Instant, now: Instant) {
        if !self.count(started, now, true) {
            return;
        }
        self.chance.answered(false, self.pace);
        if self.searching {
            self.search(now);
        } else {
            self.climb(now);
        }
    }

    /// The Region refused a call that `started` then for its rate.
    pub(super) fn throttled(&mut self, started: Instant, now: Instant) {
        if !self.count(started, now, false) {
            return;
        }
        let by_chance = self.chance.answered(true, self.pace);
        if self.searching {
            self.empty.get_or_insert(Span::new(started));
            self.search(now);
        } else if let Some(pace) = self.chance.back_to() {
            self.land(pace, now);
            self.top = pace;
        } else if !by_chance {
            self.end_flight(started, now);
        }
    }

    /// Whether the call started at the present pace.
    fn count(&mut self, started: Instant, now: Instant, taken: bool) -> bool {
        let latency = now.saturating_duration_since(started).as_secs_f64();
        self.latency += (latency - self.latency) * if self.latency > 0.0 { 0.1 } else { 1.0 };
        self.flight.count(started, taken);
        if let Some(empty) = &mut self.empty {
            empty.count(started, taken);
        }
        self.step.count(started, taken)
    }

    fn search(&mut self, now: Instant) {
        let pace = self.pace;
        let Some(empty) = self.empty else {
            // What the concurrency or the input holds back says nothing about a higher pace.
            if self.step.answers() >= 2 && self.is_reached(now) {
                self.taken_before = pace;
                self.set(pace * 2.0, now);
            }
            return;
        };
        if empty.seconds() < self.latency.max(4.0 / pace) {
            return;
        }
        let quota = empty.rate();
        if quota > pace * 0.66 && quota > self.taken_before * 1.3 && !self.is_at_ceiling() {
            // Few are throttled and more are taken than before: whoever else uses the quota gives way.
            self.taken_before = quota;
            self.empty = None;
            self.set(pace * 2.0, now);
            return;
        }
        self.searching = false;
        self.chance = Chance::default();
        self.empty = None;
        let quota = quota.clamp(pace / 16.0, pace);
        self.top = quota;
        self.land(quota * (1.0 - UNDER), now);
    }

    fn is_at_ceiling(&self) -> bool {
        self.ceiling.is_some_and(|ceiling| self.pace >= ceiling)
    }

    fn climb(&mut self, now: Instant) {
        if let Some(until) = self.resting {
            if now < until {
                return;
            }
            self.resting = None;
            self.set(self.pace / self.used, now);
            return;
        }
        // At few calls a second a throttled one is a larger part of them, so that steps take longer.
        let slow = (50.0 / self.pace).sqrt().clamp(1.0, 3.0);
        let known = self.pace <= self.top * 1.05;
        let calls = if known {
            STEP_CALLS * slow
        } else {
            STEP_CALLS / 4.0
        };
        let long_enough = now - self.step.since() >= STEP_TIME
            && f64::from(self.step.taken()) >= calls.min(self.sure);
        if !long_enough || self.is_at_ceiling() || !self.is_reached(now) {
            return;
        }
        self.climbed += 1;
        self.borne = self.pace;
        let coarse = (STEP_CALLS / self.sure).clamp(1.0, COARSE);
        let shared = (10.0 / self.pace).powf(0.4).clamp(0.4, 1.0);
        let step = STEP * coarse * shared * f64::from(self.climbed);
        self.set(self.pace * (1.0 + step), now);
    }

    /// Whether calls come as fast as the pace allows.
    fn is_reached(&self, now: Instant) -> bool {
        let seconds = (now - self.step.since()).as_secs_f64() - self.latency;
        f64::from(self.step.answers() + 1) >= 0.7 * self.pace * seconds
    }

    /// A call of this step was throttled: the bucket is empty.
    fn end_flight(&mut self, throttled: Instant, now: Instant) {
        let pace = self.pace;
        let measured = self.flight.rate_until(throttled);
        let measured = measured.clamp(pace * DEEPEST_CUT, pace);
        // Throttled at once after a step: the bucket holds one call and the quota lies between the two steps.
        let cliff = self.climbed > 0 && self.step.taken() <= 2;
        let refuted = !cliff && self.sure >= SURE && pace < self.top * REFUTED;
        let under = if refuted { YIELD } else { UNDER };
        let mut next = measured * (1.0 - under);
        if cliff {
            next = next.max(self.borne * 0.995);
        }
        self.sure = if refuted {
            UNSURE_AGAIN
        } else {
            self.sure * 2.0
        }
        .min(128.0);
        self.top = pace;
        self.land(next, now);
    }

    fn land(&mut self, pace: f64, now: Instant) {
        self.climbed = 0;
        self.quota = Some(pace.max(SLOWEST));
        self.resting = None;
        if self.used < 1.0 && self.sure >= SURE {
            self.resting = Some(now + REST);
            self.set(pace * self.used, now);
        } else {
            self.set(pace, now);
        }
        self.borne = self.pace;
        self.flight = Span::new(now);
        self.next_start = now + Duration::from_secs_f64(1.0 / self.pace);
    }

    fn set(&mut self, pace: f64, now: Instant) {
        let highest = self.ceiling.unwrap_or(f64::MAX).min(1e9);
        self.pace = pace.max(SLOWEST).min(highest);
        self.step = Span::new(now);
    }
}

#[cfg(test)]
#[path = "controller_tests.rs"]
mod tests;
