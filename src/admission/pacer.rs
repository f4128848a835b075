//! The rate that a Region bears, measured from its answers. Pure: told the time, it never asks for it.
//!
//! A quota is a token bucket. Once a call has been throttled the bucket is empty, and from then on *what is taken a second
//! is the quota*, whatever the size of the bucket. So the pace goes in flights: it lands below what the last flight has
//! measured, climbs through it, and the first throttled call ends the flight. What the lower half leaves in the bucket
//! the upper half takes out of it.
//!
//! ```text
//! search: double until throttled, measure for a while    →  land, climb, throttled, land, climb, …
//! ```
//!
//! - Calls that started before a landing say nothing about it, and those shortly behind it no more: whoever else was throttled
//!   has to give way first.
//! - Alone, each flight measures the same to a call or two, and may take long, so that throttled calls are few. A flight
//!   that ends before its time, or has taken more or fewer calls, means that the quota has changed or is shared. Then
//!   flights are short, and as short for a small run as for a large one.
//! - Runs that share a quota come to equal parts: the larger is throttled more often, and all fall by the same part of
//!   their pace, but the smaller climbs more of its own in the same time.
//! - A single throttled call at a pace that was borne before is not heeded; the next one soon behind it is.
//! - Throttling that stays the same at a seventh of the pace is not the pace's doing; see [`RandomRejections`].

use std::time::Duration;

use tokio::time::Instant;

use super::random_rejections::RandomRejections;
use super::rate_limit::TIMER_LAG;
use super::sample_window::SampleWindow;

/// Calls a second with which a search begins, if nobody says where.
const FIRST: f64 = 10.0;
/// Slower than this is never useful: one call in ten seconds still finds out whether the throttling is over.
const SLOWEST: f64 = 0.1;
/// A search doubles its pace once so many answers to it have come.
const SEARCH_ANSWERS: u32 = 3;
/// A search measures over the time of this many calls, or a round trip if that is longer.
const SEARCH_CALLS: f64 = 16.0;
/// From the highest pace of a flight down to its landing, as a part of the pace: half below the quota, half above.
const DEPTH: f64 = 0.12;
/// What a run of [`MIDDLING`] calls a second climbs in a second, as a part of its quota. Larger ones climb less and smaller ones
/// more, by the fifth root: enough to bring runs together that are always throttled at the same time.
const CLIMB: f64 = 0.08;
const MIDDLING: f64 = 50.0;
/// The first flight makes up for what a search was too short to tell.
const FIRST_CLIMB: f64 = 2.0;
/// A flight takes as many calls as this at the least: the first, those of a run that shares its quota, and those of a run
/// that has it alone. In between, each that confirms the one before may take so many times as many; a first one, which
/// nothing has contradicted, as many as a lone one.
const FIRST_FLIGHT: f64 = 32.0;
const SHARED_FLIGHT: f64 = 1.0;
const LONE_FLIGHT: f64 = 155.0;
const CONFIRMED: f64 = 2.5;
/// A quota is seldom less. Who bears fewer calls a second may have come late to one that others use up, and a flight of
/// his takes no longer than at this pace.
const SELDOM_LESS: f64 = 5.0;
/// No flight is meant to take fewer calls: it would confirm nothing, and be followed by another one like it for ever.
const FEWEST: f64 = 12.0;
/// A flight is measured as if so many calls at its last pace had been before it: the first call of a flight may be
/// throttled by chance, the first of several flights hardly.
const BEFORE: f64 = 10.0;
/// Two flights agree if they differ by no more calls than these, for either's first and last, and by no more than this part:
/// calls overtake each other on the way.
const OFF_CALLS: f64 = 1.25;
const OFF: f64 = 0.005;
/// Flights of fewer calls neither confirm nor refute the others.
const TELLING: f64 = 10.0;
/// Below this part of the quota a throttled call is odd, unless another has come at most so many calls, or so long, before.
const ODD_BELOW: f64 = 0.97;
const ODD_CALLS: f64 = 20.0;
const ODD_SECONDS: f64 = 0.1;
/// For so long, or for the time of so many calls, a throttled call does not end a flight.
const GRACE: Duration = Duration::from_millis(250);
const GRACE_CALLS: f64 = 2.0;
/// At most this part of the pace is taken back at once: what held the calls back may not have been the pace.
const DEEPEST_CUT: f64 = 0.7;
/// A flight that has climbed by so much tells little by its mean: its end counts as much.
const FAR: f64 = 1.3;
/// From one step of a climb to the next.
const STEP_TIME: f64 = 0.4;
/// Seconds without a start, after which what was counted before is forgotten: the input, a gate or a stopped process held calls
/// back, and not the pace.
const IDLE: f64 = 1.0;
/// Higher than a flight should ever come, there is more than was measured: what is beyond grows by this part a second.
const BEYOND: f64 = 1.06;
const BEYOND_CLIMB: f64 = 0.7;
/// No step is higher than this part of the pace: a full bucket hides for a while that the pace is too high.
const HIGHEST_STEP: f64 = 0.5;
/// From one look for more than the part that is used to the next, where a part is left to others.
const REST: Duration = Duration::from_mins(1);

/// Paces the starts of one Region.
#[derive(Debug)]
pub(super) struct Pacer {
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
    step: SampleWindow,
    /// The last landing, at which pace, and how many calls were taken since, or are under way.
    landed: Instant,
    landing_pace: f64,
    flight: u32,
    /// Calls of this flight up to the last odd throttled one.
    odd: u32,
    /// In a search: calls that started since the first throttled one and before an end.
    empty: Option<(SampleWindow, Instant)>,
    /// In a search: what was taken a second before the pace was doubled.
    taken_before: f64,
    /// Calls that a flight takes at the least: the more, the surer is the quota.
    sure: f64,
    /// Calls that the quota was measured by, with those [`BEFORE`]; none while a search or an earlier run has told it.
    measured_by: f64,
    /// Until when the pace is not raised, since a part is left to others.
    resting: Option<Instant>,
    latency: f64,
    chance: RandomRejections,
}

impl Pacer {
    /// `quota` is what an earlier run has measured, and `leave` the part of it, from 0 to 1, that is left to others.
    pub(super) fn new(ceiling: Option<f64>, leave: f64, quota: Option<f64>, now: Instant) -> Self {
        let used = 1.0 - leave;
        let begin = match quota {
            Some(quota) => quota * used * (1.0 - DEPTH / 2.0),
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
            step: SampleWindow::new(now),
            landed: now,
            landing_pace: begin,
            flight: 0,
            odd: 0,
            empty: None,
            taken_before: 0.0,
            sure: FIRST_FLIGHT,
            measured_by: 0.0,
            resting: None,
            latency: 0.0,
            chance: RandomRejections::default(),
        };
        controller.set(begin, now);
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

    /// Returns whether calls may be throttled at random: then what has been found is no quota.
    pub(super) fn is_random(&self) -> bool {
        self.chance.is_suspected()
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

    /// Takes back the last start: the call was not made.
    pub(super) fn not_started(&mut self) {
        self.flight = self.flight.saturating_sub(1);
        let spacing = Duration::from_secs_f64(1.0 / self.pace);
        self.next_start = self
            .next_start
            .checked_sub(spacing)
            .unwrap_or(self.next_start);
    }

    /// The Region took a call that `started` then.
    pub(super) fn taken(&mut self, started: Instant, now: Instant) {
        if !self.count(started, now, true) {
            return;
        }
        self.chance.answered(false, self.pace, self.quota);
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
        self.flight = self.flight.saturating_sub(1);
        let by_chance = self.chance.answered(true, self.pace, self.quota);
        if self.searching {
            let long = Duration::from_secs_f64(self.latency.max(SEARCH_CALLS / self.pace));
            self.empty
                .get_or_insert((SampleWindow::new(started), started + long));
            self.search(now);
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
            if self.step.answers() >= SEARCH_ANSWERS && self.is_reached(now) {
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
        if f64::from(empty.taken()) < SEARCH_CALLS / 4.0 && pace * self.latency > SEARCH_CALLS {
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
        self.chance = RandomRejections::default();
        self.empty = None;
        let quota = quota.min(pace);
        self.land(quota, quota * (1.0 - DEPTH / 2.0), now);
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
            // What the bucket has saved up is measured with the first flight: only those behind it tell.
            self.sure = SHARED_FLIGHT / CONFIRMED;
            self.set(self.expected() * (1.0 - DEPTH / 2.0), now);
            self.measure_anew(now);
            return;
        }
        let seconds = (now - self.step.since()).as_secs_f64();
        if seconds < STEP_TIME || self.is_at_ceiling() || !self.is_reached(now) {
            return;
        }
        let quota = self.expected();
        let beyond = (self.pace / quota - BEYOND).max(0.0);
        let climb = self.climb_a_second() * quota + beyond * BEYOND_CLIMB * self.pace;
        let highest = self.pace * HIGHEST_STEP;
        self.set(self.pace + (climb * seconds).min(highest), now);
    }

    /// The quota as far as it is known: without one, nothing was throttled yet.
    fn expected(&self) -> f64 {
        self.quota.unwrap_or(self.pace)
    }

    /// As a part of the quota.
    fn climb_a_second(&self) -> f64 {
        let quota = self.expected();
        let first = if self.is_first() { FIRST_CLIMB } else { 1.0 };
        let shared = CLIMB * first * (MIDDLING / quota).powf(0.2);
        shared.min(DEPTH * quota.max(SELDOM_LESS) / self.sure.max(FEWEST))
    }

    /// No flight has measured the quota yet.
    fn is_first(&self) -> bool {
        self.measured_by == 0.0
    }

    /// Whether calls come as fast as the pace allows.
    fn is_reached(&self, now: Instant) -> bool {
        let seconds = (now - self.step.since()).as_secs_f64() - self.latency;
        f64::from(self.step.answers() + 1) >= 0.7 * self.pace * seconds
    }

    /// A call of this flight was throttled: the bucket is empty.
    fn end_flight(&mut self, throttled: Instant, now: Instant) {
        let pace = self.pace;
        let grace = GRACE.as_secs_f64().max(GRACE_CALLS / pace);
        if (throttled - self.landed).as_secs_f64() < grace.max(self.latency) {
            return;
        }
        let expected = self.expected();
        if !self.is_first() && pace < expected * ODD_BELOW {
            let since = f64::from(self.flight.saturating_sub(self.odd));
            if since > ODD_CALLS.max(ODD_SECONDS * pace) {
                self.odd = self.flight;
                return;
            }
        }
        // What has started was taken, up to now: calls that are still under way are not missing.
        let calls = f64::from(self.flight);
        let seconds = (now - self.landed).as_secs_f64();
        let measured = (calls + BEFORE) / (seconds + BEFORE / pace);
        let measured = measured.clamp(pace * DEEPEST_CUT, pace);

        let early = self.measured_by >= TELLING + BEFORE && pace < expected;
        let agreed = OFF_CALLS * (1.0 + calls / self.measured_by) + OFF * calls;
        let off = !self.is_first() && (measured - expected).abs() * seconds > agreed;
        if early || off {
            self.sure = SHARED_FLIGHT;
        } else if calls >= TELLING {
            self.sure = if self.is_first() {
                LONE_FLIGHT
            } else {
                (self.sure * CONFIRMED).min(LONE_FLIGHT)
            };
        }
        self.measured_by = calls + BEFORE;
        let (by_mean, by_end) = (measured * (1.0 - DEPTH / 2.0), pace * (1.0 - DEPTH));
        let next = if pace > self.landing_pace * FAR {
            f64::midpoint(by_mean, by_end)
        } else {
            by_mean.min(by_end)
        };
        self.land(measured, next, now);
    }

    fn land(&mut self, quota: f64, pace: f64, now: Instant) {
        self.quota = Some(quota.max(SLOWEST));
        self.resting = None;
        if self.used < 1.0 && !self.is_first() && self.sure > SHARED_FLIGHT {
            self.resting = Some(now + REST);
            self.set(quota * self.used, now);
        } else {
            self.set(pace, now);
        }
        self.begin_flight(now);
        self.next_start = now + Duration::from_secs_f64(1.0 / self.pace);
    }

    fn measure_anew(&mut self, now: Instant) {
        self.empty = None;
        self.step = SampleWindow::new(now);
        self.begin_flight(now);
    }

    /// At the present pace.
    fn begin_flight(&mut self, now: Instant) {
        self.landed = now;
        self.landing_pace = self.pace;
        self.flight = 0;
        self.odd = 0;
    }

    fn set(&mut self, pace: f64, now: Instant) {
        let highest = self.ceiling.unwrap_or(f64::MAX).min(1e9);
        self.pace = pace.max(SLOWEST).min(highest);
        self.step = SampleWindow::new(now);
    }
}

#[cfg(test)]
#[path = "pacer_tests.rs"]
mod tests;
