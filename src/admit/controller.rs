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
//!   After a landing it takes one more, so that whoever else was throttled has given way too.
//! - How long a step lasts and how high it is follows from how sure the measure is: at first short and high, then long and
//!   low, so that some hundred calls pass from one throttled call to the next. A flight that ends elsewhere than the one
//!   before makes it unsure: the quota has changed, or it is shared. Then small runs step as often as large ones.
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
/// A search measures over the time of this many calls, or a round trip if that is longer.
const SEARCH_CALLS: f64 = 8.0;
/// The part of a measured quota that is left unused, and what is given up beside it when somebody else takes a share.
const UNDER: f64 = 0.02;
const YIELD: f64 = 0.06;
/// A flight is measured as if so many calls at its last pace, one of them throttled, had been before it: the first call of
/// a flight may be throttled by chance, the first of several flights hardly.
const BEFORE: f64 = 10.0;
/// At most this part of the pace is taken back at once: what held the calls back may not have been the pace.
const DEEPEST_CUT: f64 = 0.7;
/// The first step of a sure climb at [`FIRST`] calls a second or fewer, as a part of the pace; the second is twice as high,
/// and so on.
const STEP: f64 = 0.01;
/// How long a step lasts at the least, and how many calls it takes when the measure is sure.
const STEP_TIME: Duration = Duration::from_millis(500);
const STEP_CALLS: f64 = 22.0;
/// Up to so many times as many if the calls are few: a throttled one is a larger part of them.
const SLOWEST_STEP: f64 = 4.0;
/// Seconds without a start, after which what was counted before is forgotten: the input, a gate or a stopped process held calls
/// back, and not the pace.
const IDLE: f64 = 1.0;
/// Beyond the last flight's end by this, there is more than was measured: steps are shorter and each twice the last.
const BEYOND: f64 = 1.02;
/// No step is higher than this part of the pace: a full bucket hides for a while that the pace is too high.
const HIGHEST_STEP: f64 = 0.5;
/// Calls that a step takes after a search and after a measure was refuted; from so many on a measure is sure.
const UNSURE: f64 = 4.0;
const UNSURE_AGAIN: f64 = 5.0;
const SURE: f64 = 16.0;
/// A sure measure is refuted if it is off by more than this part, and by more than this many calls of the flight.
const OFF: f64 = 0.03;
const OFF_CALLS: f64 = 4.0;
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
    last_start: Instant,
    /// Calls a second that the Region bears, once a throttled call has told.
    quota: Option<f64>,
    /// Nothing was throttled yet.
    searching: bool,
    /// Calls that started since the pace was set.
    step: Span,
    /// The last landing, and how many calls started since.
    landed: Instant,
    flight: u32,
    /// In a search: calls that started since the first throttled one and before an end.
    empty: Option<(Span, Instant)>,
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
            last_start: now,
            quota,
            searching: quota.is_none(),
            step: Span::new(now),
            landed: now,
            flight: 0,
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
        let idle = (now - self.last_start).as_secs_f64();
        if idle > IDLE.max(4.0 / self.pace) {
            self.measure_anew(now);
        }
        self.last_start = now;
        self.flight += 1;
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
            let long = Duration::from_secs_f64(self.latency.max(SEARCH_CALLS / self.pace));
            self.empty
                .get_or_insert((Span::new(started), started + long));
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
        if let Some((empty, end)) = &mut self.empty
            && started < *end
        {
            empty.count(started, taken);
        }
        self.step.count(started, taken)
    }

    fn search(&mut self, now: Instant) {
        let pace = self.pace;
        let Some((empty, end)) = self.empty else {
            // What the concurrency or the input holds back says nothing about a higher pace.
            if self.step.answers() >= 2 && self.is_reached(now) {
                self.taken_before = pace;
                self.set(pace * 2.0, now);
                // The next start was due at the old pace.
                let due = self.last_start + Duration::from_secs_f64(1.0 / self.pace);
                self.next_start = self.next_start.min(due);
            }
            return;
        };
        // Answers come in another order than calls started: those until the end are all there when later ones are.
        let long = end - empty.since();
        if self.step.last() < end + long {
            return;
        }
        if f64::from(empty.taken()) < SEARCH_CALLS / 2.0 && pace * self.latency > SEARCH_CALLS {
            // A round trip was too short to tell. At half the pace the bucket stays empty, with fewer throttled.
            self.empty = None;
            self.set(pace / 2.0, now);
            return;
        }
        let quota = f64::from(empty.taken().max(1)) / long.as_secs_f64();
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
        let quota = quota.min(pace);
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
            self.measure_anew(now);
            return;
        }
        let beyond = self.pace > self.top * BEYOND;
        let slow = (50.0 / self.pace).sqrt().clamp(1.0, SLOWEST_STEP);
        let calls = (STEP_CALLS * slow).min(self.sure) / if beyond { 4.0 } else { 1.0 };
        let long_enough =
            now - self.step.since() >= STEP_TIME && f64::from(self.step.taken()) >= calls;
        if !long_enough || self.is_at_ceiling() || !self.is_reached(now) {
            return;
        }
        self.climbed = if beyond {
            self.climbed.saturating_mul(2)
        } else {
            self.climbed + 1
        };
        self.borne = self.pace;
        let coarse = (STEP_CALLS / self.sure).max(1.0);
        let shared = (FIRST / self.pace).sqrt().min(1.0);
        let step = (STEP * coarse * shared * f64::from(self.climbed)).min(HIGHEST_STEP);
        self.set(self.pace * (1.0 + step), now);
    }

    /// Whether calls come as fast as the pace allows.
    fn is_reached(&self, now: Instant) -> bool {
        let seconds = (now - self.step.since()).as_secs_f64() - self.latency;
        f64::from(self.step.answers() + 1) >= 0.7 * self.pace * seconds
    }

    /// A call of this step was throttled: the bucket is empty.
    fn end_flight(&mut self, throttled: Instant, now: Instant) {
        if (throttled - self.landed).as_secs_f64() < self.latency {
            return;
        }
        let pace = self.pace;
        // What has started was taken, up to now: calls that are still under way are not missing.
        let calls = f64::from(self.flight);
        let seconds = (now - self.landed).as_secs_f64();
        let measured = (calls + BEFORE - 1.0) / (seconds + BEFORE / pace);
        let measured = measured.clamp(pace * DEEPEST_CUT, pace);
        // Throttled at once after a step: the bucket holds one call and the quota lies between the two steps.
        let cliff = self.climbed > 0 && self.step.taken() <= 2;
        let off = OFF + OFF_CALLS / calls.max(1.0);
        let refuted = !cliff && self.sure >= SURE && (pace / self.top - 1.0).abs() > off;
        let under = if refuted && pace < self.top {
            YIELD
        } else {
            UNDER
        };
        let mut next = measured * (1.0 - under);
        if cliff {
            next = next.max(self.borne * 0.995);
        }
        self.sure = if refuted {
            UNSURE_AGAIN
        } else {
            (self.sure * 2.0).min(128.0)
        };
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
        self.landed = now;
        self.flight = 0;
        self.next_start = now + Duration::from_secs_f64(1.0 / self.pace);
    }

    fn measure_anew(&mut self, now: Instant) {
        self.empty = None;
        self.step = Span::new(now);
        self.landed = now;
        self.flight = 0;
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
