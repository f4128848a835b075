//! Finds the pace that a Region's quota allows from the Region's own answers. Pure: every function gets the time as an argument.
//!
//! A quota is a token bucket. A throttled call means that the bucket is empty, and from then on *the calls accepted per second
//! are the quota*, for any size of the bucket. So the pace moves in probe cycles: it backs off to below the last
//! measurement, ramps up through it, and the next throttled call ends the cycle. What the lower half of a cycle leaves in the
//! bucket, the upper half takes out of it.
//!
//! ```text
//! search: double until throttled, then measure    →  back off, ramp, throttled, back off, ramp, …
//! ```
//!
//! - Calls that started before a back-off prove nothing about the pace after it. Neither do calls shortly after it: other callers
//!   that were throttled at the same time have to slow down first.
//! - On an unshared quota each cycle measures the same to a call or two, and may be long, so that few calls are throttled. A
//!   cycle that ends early, or has accepted more or fewer calls than the one before, means that the quota has changed or is
//!   shared. Cycles are short then, and as short for a small run as for a large one.
//! - Runs that share a quota converge on equal shares: the faster is throttled more often, and all back off by the same share
//!   of their pace, but the slower ramps by a larger share of its pace in the same time.
//! - A single throttled call at a pace that was accepted before is ignored; a second one shortly after it is not.
//! - Throttling that is as frequent at a seventh of the pace does not depend on the pace; see [`RandomRejections`].

use std::time::Duration;

use tokio::time::Instant;

use super::random_rejections::RandomRejections;
use super::rate_limit::TIMER_LAG;
use super::sample_window::SampleWindow;

// Paces, in calls per second.

/// Start of a search without a ceiling. Doubled, small quotas throttle more calls at the start of each run.
const SEARCH_START: f64 = 10.0;
/// Lowest pace: one call in ten seconds still finds out when throttling ends. Doubled, runs that are only throttled make twice
/// as many calls.
const MIN_PACE: f64 = 0.1;

// The search for an unknown quota.

/// Answers at a pace before it is doubled. Doubled, the search takes twice as many round trips.
const SEARCH_ANSWERS: u32 = 3;
/// The search measures for the time that this many calls take, or for a round trip if that is longer. Doubled, twice as many
/// calls are throttled before the quota is known.
const SEARCH_CALLS: f64 = 16.0;

// The shape of a probe cycle.

/// Back-off from the highest pace of a cycle, as a share of it: half below the quota, half above. Doubled, a bucket
/// that saves nothing up loses twice as many calls in the lower halves.
const BACK_OFF_DEPTH: f64 = 0.12;
/// Ramp per second at a quota of [`RAMP_REFERENCE`] calls per second, as a share of the quota. Larger quotas ramp by less and
/// smaller ones by more, by the fifth root: enough to bring runs to equal shares that are always throttled at the same time.
/// Doubled, about twice as many calls are throttled on a shared quota.
const RAMP: f64 = 0.08;
const RAMP_REFERENCE: f64 = 50.0;
/// Factor on the first ramp, which makes up for a search that was too short to measure well.
const FIRST_RAMP: f64 = 2.0;
/// Fewest calls of a cycle: of the first one, of one on a shared quota, and of one on an unshared quota. A cycle that confirms
/// the one before grows by [`CYCLE_GROWTH`]; the first one, which nothing has contradicted, grows to [`SOLE_CYCLE_CALLS`] at
/// once. `SOLE_CYCLE_CALLS` doubled: half as many calls are throttled, and a raised quota is found half as fast.
const FIRST_CYCLE_CALLS: f64 = 32.0;
const SHARED_CYCLE_CALLS: f64 = 1.0;
const SOLE_CYCLE_CALLS: f64 = 155.0;
const CYCLE_GROWTH: f64 = 2.5;
/// Quotas are seldom lower, in calls per second. A run that gets less may have come late to a quota that others use up; its
/// cycles take no longer than at this pace, so that it gains its share.
const USUAL_MIN_QUOTA: f64 = 5.0;
/// Lower bound for the planned calls of a cycle. A shorter one confirms nothing, and would be followed by short ones forever.
const MIN_CYCLE_CALLS: f64 = 12.0;
/// Longest step of a ramp, as a share of the pace: a full bucket hides for a while that the pace is too high.
const MAX_STEP: f64 = 0.5;
/// Seconds between two steps of a ramp.
const STEP_TIME: f64 = 0.4;
/// Above this multiple of the measured quota, the quota must have grown, and the ramp is steeper by [`OVERSHOOT_RAMP`] per
/// second for the part beyond. Doubled, a quota that doubles is approached by the slow ramp alone.
const OVERSHOOT: f64 = 1.06;
const OVERSHOOT_RAMP: f64 = 0.7;

// The measurement at the end of a cycle.

/// A cycle is measured as if this many calls at its last pace had preceded it: the first call of a cycle may be throttled by
/// chance, the first calls of several cycles hardly.
const PRIOR_CALLS: f64 = 10.0;
/// Two cycles agree if they differ by at most this many calls for each one's first and last, and this share of all: calls
/// overtake each other on the way.
const AGREEMENT_CALLS: f64 = 1.25;
const AGREEMENT_SHARE: f64 = 0.005;
/// Cycles of fewer calls neither confirm nor refute others.
const SIGNIFICANT_CALLS: f64 = 10.0;
/// Largest back-off at once, as the share of the pace that remains: what held the calls back may not have been the pace.
const DEEPEST_BACK_OFF: f64 = 0.7;
/// After a ramp by more than this factor the mean of the cycle says little, so that its end counts as much.
const LONG_RAMP: f64 = 1.3;

// Throttled calls that end no cycle.

/// Below this share of the quota a throttled call is ignored, unless another came at most this many calls, or seconds, before.
const LONE_REJECTION_BELOW: f64 = 0.97;
const LONE_REJECTION_CALLS: f64 = 20.0;
const LONE_REJECTION_SECONDS: f64 = 0.1;
/// Throttled calls are ignored for this long after a back-off, or for the time of this many calls: they are still the effect
/// of the higher pace.
const GRACE: Duration = Duration::from_millis(250);
const GRACE_CALLS: f64 = 2.0;

// Pauses.

/// Seconds without a start after which the measurement begins again: the input, a circuit breaker or a stopped process held
/// calls back, and not the pace.
const IDLE: f64 = 1.0;
/// With `--leave`, time at the reduced pace between two cycles that measure the whole quota. Doubled, a raised quota is
/// found a minute later.
const REST: Duration = Duration::from_mins(1);

/// Paces the calls to one Region.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Highest pace that `--rate` allows, in calls per second.
    ceiling: Option<f64>,
    /// Share of the quota that the run uses; the rest is left to others.
    used: f64,
    /// Calls that may start per second.
    pace: f64,
    next_start: Instant,
    last_start: Instant,
    /// Measured quota in calls per second; none before the first throttled call.
    quota: Option<f64>,
    /// True if the pace is still being doubled: nothing was throttled yet.
    searching: bool,
    /// Answers to calls that started since the pace was set.
    step: SampleWindow,
    /// Start of the cycle, and the pace at that time.
    cycle_began: Instant,
    cycle_start_pace: f64,
    /// Calls of the cycle that were accepted or are in flight.
    cycle_calls: u32,
    /// Value of `cycle_calls` at the last throttled call that was ignored.
    lone_rejection_at: u32,
    /// During a search: answers to calls that started since the first throttled one and before an end.
    drained: Option<(SampleWindow, Instant)>,
    /// During a search: calls accepted per second before the pace was doubled.
    accepted_before: f64,
    /// Fewest calls of a cycle: the more, the surer is the quota.
    min_cycle_calls: f64,
    /// Calls in the sample that measured the quota, [`PRIOR_CALLS`] included; zero if a search or an earlier run did.
    sample_calls: f64,
    /// End of the time at the reduced pace, during which there is no ramp.
    resting_until: Option<Instant>,
    /// Moving average in seconds; zero before the first answer.
    latency: f64,
    random_rejections: RandomRejections,
}

impl Pacer {
    /// Creates a pacer that starts near `quota`, which an earlier run has measured, or searches for it. `leave` is the share of
    /// the quota, from 0 to 1, that is left to others.
    pub(super) fn new(ceiling: Option<f64>, leave: f64, quota: Option<f64>, now: Instant) -> Self {
        let used = 1.0 - leave;
        let begin = match quota {
            Some(quota) => quota * used * (1.0 - BACK_OFF_DEPTH / 2.0),
            None => ceiling.unwrap_or(SEARCH_START),
        };
        let mut pacer = Self {
            ceiling,
            used,
            pace: begin,
            next_start: now,
            last_start: now,
            quota,
            searching: quota.is_none(),
            step: SampleWindow::new(now),
            cycle_began: now,
            cycle_start_pace: begin,
            cycle_calls: 0,
            lone_rejection_at: 0,
            drained: None,
            accepted_before: 0.0,
            min_cycle_calls: FIRST_CYCLE_CALLS,
            sample_calls: 0.0,
            resting_until: None,
            latency: 0.0,
            random_rejections: RandomRejections::default(),
        };
        pacer.set_pace(begin, now);
        pacer
    }

    /// Returns the present pace in calls per second, if throttling holds it below the ceiling.
    pub(super) fn limit(&self) -> Option<f64> {
        (self.quota.is_some() && !self.is_at_ceiling()).then_some(self.pace)
    }

    /// Returns the quota in calls per second, if it was measured.
    pub(super) fn quota(&self) -> Option<f64> {
        self.quota
    }

    /// Returns whether calls may be throttled at random: the measurement is no quota then.
    pub(super) fn is_random(&self) -> bool {
        self.random_rejections.is_suspected()
    }

    /// Returns the calls in flight that the pace needs, by Little's law; none before the first answer has shown the latency.
    pub(super) fn target_in_flight(&self) -> Option<f64> {
        (self.latency > 0.0).then_some(self.pace * self.latency)
    }

    /// Returns when the next call may start.
    pub(super) fn next_start(&self) -> Instant {
        self.next_start
    }

    /// Records that a call starts.
    pub(super) fn start(&mut self, now: Instant) {
        let idle = (now - self.last_start).as_secs_f64();
        if idle > IDLE.max(4.0 / self.pace) {
            self.restart_cycle(now);
        }
        self.last_start = now;
        self.cycle_calls += 1;
        if self.is_at_ceiling() {
            // The rate limit allows bursts, and it alone decides.
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
        self.cycle_calls = self.cycle_calls.saturating_sub(1);
        let spacing = Duration::from_secs_f64(1.0 / self.pace);
        self.next_start = self
            .next_start
            .checked_sub(spacing)
            .unwrap_or(self.next_start);
    }

    /// Records that the Region accepted a call that started at `started`.
    pub(super) fn accepted(&mut self, started: Instant, now: Instant) {
        if !self.count(started, now, true) {
            return;
        }
        self.random_rejections
            .answered(false, self.pace, self.quota);
        if self.searching {
            self.search(now);
        } else {
            self.ramp(now);
        }
    }

    /// Records that the Region throttled a call that started at `started`.
    pub(super) fn throttled(&mut self, started: Instant, now: Instant) {
        if !self.count(started, now, false) {
            return;
        }
        self.cycle_calls = self.cycle_calls.saturating_sub(1);
        let tolerated = self.random_rejections.answered(true, self.pace, self.quota);
        if self.searching {
            let long = Duration::from_secs_f64(self.latency.max(SEARCH_CALLS / self.pace));
            self.drained
                .get_or_insert((SampleWindow::new(started), started + long));
            self.search(now);
        } else if !tolerated {
            self.end_cycle(started, now);
        }
    }

    /// Counts an answer. Returns whether its call started at the present pace.
    fn count(&mut self, started: Instant, now: Instant, accepted: bool) -> bool {
        let latency = now.saturating_duration_since(started).as_secs_f64();
        self.latency += (latency - self.latency) * if self.latency > 0.0 { 0.1 } else { 1.0 };
        if let Some((drained, end)) = &mut self.drained
            && started < *end
        {
            drained.count(started, accepted);
        }
        self.step.count(started, accepted)
    }

    /// Doubles the pace until calls are throttled, then measures the quota.
    fn search(&mut self, now: Instant) {
        let pace = self.pace;
        let Some((drained, end)) = self.drained else {
            // A pace that the calls could not reach, for lack of concurrency or input, proves nothing about a higher one.
            if self.step.answers() >= SEARCH_ANSWERS && self.is_reached(now) {
                self.accepted_before = pace;
                self.set_pace(pace * 2.0, now);
                // The next start was due at the old pace.
                let due = self.last_start + Duration::from_secs_f64(1.0 / self.pace);
                self.next_start = self.next_start.min(due);
            }
            return;
        };
        // Answers arrive in another order than calls start: those before the end are complete once later ones have arrived.
        let long = end - drained.since();
        if self.step.last() < end + long {
            return;
        }
        if f64::from(drained.accepted()) < SEARCH_CALLS / 4.0 && pace * self.latency > SEARCH_CALLS
        {
            // A round trip was too short to measure. At half the pace the bucket stays empty, with fewer calls throttled.
            self.drained = None;
            self.set_pace(pace / 2.0, now);
            return;
        }
        let quota = f64::from(drained.accepted().max(1)) / long.as_secs_f64();
        if quota > pace * 0.66 && quota > self.accepted_before * 1.3 && !self.is_at_ceiling() {
            // Few calls are throttled and more are accepted than before: other callers of the quota give way.
            self.accepted_before = quota;
            self.drained = None;
            self.set_pace(pace * 2.0, now);
            return;
        }
        self.searching = false;
        self.random_rejections = RandomRejections::default();
        self.drained = None;
        let quota = quota.min(pace);
        self.back_off(quota, quota * (1.0 - BACK_OFF_DEPTH / 2.0), now);
    }

    fn is_at_ceiling(&self) -> bool {
        self.ceiling.is_some_and(|ceiling| self.pace >= ceiling)
    }

    /// Raises the pace by a step, if it is time for one.
    fn ramp(&mut self, now: Instant) {
        if let Some(until) = self.resting_until {
            if now < until {
                return;
            }
            self.resting_until = None;
            // The first cycle also measures what the bucket saved up during the rest; only those after it count.
            self.min_cycle_calls = SHARED_CYCLE_CALLS / CYCLE_GROWTH;
            self.set_pace(self.expected() * (1.0 - BACK_OFF_DEPTH / 2.0), now);
            self.restart_cycle(now);
            return;
        }
        let seconds = (now - self.step.since()).as_secs_f64();
        if seconds < STEP_TIME || self.is_at_ceiling() || !self.is_reached(now) {
            return;
        }
        let quota = self.expected();
        let overshoot = (self.pace / quota - OVERSHOOT).max(0.0);
        let ramp = self.ramp_per_second() * quota + overshoot * OVERSHOOT_RAMP * self.pace;
        let highest = self.pace * MAX_STEP;
        self.set_pace(self.pace + (ramp * seconds).min(highest), now);
    }

    /// Returns the measured quota, or the pace while nothing was throttled.
    fn expected(&self) -> f64 {
        self.quota.unwrap_or(self.pace)
    }

    /// Returns the ramp per second as a share of the quota.
    fn ramp_per_second(&self) -> f64 {
        let quota = self.expected();
        let first = if self.is_unmeasured() {
            FIRST_RAMP
        } else {
            1.0
        };
        let shared = RAMP * first * (RAMP_REFERENCE / quota).powf(0.2);
        shared.min(
            BACK_OFF_DEPTH * quota.max(USUAL_MIN_QUOTA) / self.min_cycle_calls.max(MIN_CYCLE_CALLS),
        )
    }

    /// Returns whether no cycle has measured the quota yet.
    fn is_unmeasured(&self) -> bool {
        self.sample_calls == 0.0
    }

    /// Returns whether calls start as fast as the pace allows.
    fn is_reached(&self, now: Instant) -> bool {
        let seconds = (now - self.step.since()).as_secs_f64() - self.latency;
        f64::from(self.step.answers() + 1) >= 0.7 * self.pace * seconds
    }

    /// Measures the quota from the cycle that a throttled call ends, and backs off. Ignores the call if it is a lone one or comes
    /// too soon after the last back-off.
    fn end_cycle(&mut self, throttled: Instant, now: Instant) {
        let pace = self.pace;
        let grace = GRACE.as_secs_f64().max(GRACE_CALLS / pace);
        if (throttled - self.cycle_began).as_secs_f64() < grace.max(self.latency) {
            return;
        }
        let expected = self.expected();
        if !self.is_unmeasured() && pace < expected * LONE_REJECTION_BELOW {
            let since = f64::from(self.cycle_calls.saturating_sub(self.lone_rejection_at));
            if since > LONE_REJECTION_CALLS.max(LONE_REJECTION_SECONDS * pace) {
                self.lone_rejection_at = self.cycle_calls;
                return;
            }
        }
        // Every call that started was accepted up to now: those still in flight are not missing.
        let calls = f64::from(self.cycle_calls);
        let seconds = (now - self.cycle_began).as_secs_f64();
        let measured = (calls + PRIOR_CALLS) / (seconds + PRIOR_CALLS / pace);
        let measured = measured.clamp(pace * DEEPEST_BACK_OFF, pace);

        let early = self.sample_calls >= SIGNIFICANT_CALLS + PRIOR_CALLS && pace < expected;
        let agreed = AGREEMENT_CALLS * (1.0 + calls / self.sample_calls) + AGREEMENT_SHARE * calls;
        let differs = !self.is_unmeasured() && (measured - expected).abs() * seconds > agreed;
        if early || differs {
            self.min_cycle_calls = SHARED_CYCLE_CALLS;
        } else if calls >= SIGNIFICANT_CALLS {
            self.min_cycle_calls = if self.is_unmeasured() {
                SOLE_CYCLE_CALLS
            } else {
                (self.min_cycle_calls * CYCLE_GROWTH).min(SOLE_CYCLE_CALLS)
            };
        }
        self.sample_calls = calls + PRIOR_CALLS;
        let by_mean = measured * (1.0 - BACK_OFF_DEPTH / 2.0);
        let by_end = pace * (1.0 - BACK_OFF_DEPTH);
        let next = if pace > self.cycle_start_pace * LONG_RAMP {
            f64::midpoint(by_mean, by_end)
        } else {
            by_mean.min(by_end)
        };
        self.back_off(measured, next, now);
    }

    /// Begins a cycle at `pace`, or, where a share is left to others, rests at that share of the quota.
    fn back_off(&mut self, quota: f64, pace: f64, now: Instant) {
        self.quota = Some(quota.max(MIN_PACE));
        self.resting_until = None;
        if self.used < 1.0 && !self.is_unmeasured() && self.min_cycle_calls > SHARED_CYCLE_CALLS {
            self.resting_until = Some(now + REST);
            self.set_pace(quota * self.used, now);
        } else {
            self.set_pace(pace, now);
        }
        self.begin_cycle(now);
        self.next_start = now + Duration::from_secs_f64(1.0 / self.pace);
    }

    /// Discards the samples of the present cycle, which were not limited by the pace.
    fn restart_cycle(&mut self, now: Instant) {
        self.drained = None;
        self.step = SampleWindow::new(now);
        self.begin_cycle(now);
    }

    /// Begins a cycle at the present pace.
    fn begin_cycle(&mut self, now: Instant) {
        self.cycle_began = now;
        self.cycle_start_pace = self.pace;
        self.cycle_calls = 0;
        self.lone_rejection_at = 0;
    }

    fn set_pace(&mut self, pace: f64, now: Instant) {
        let highest = self.ceiling.unwrap_or(f64::MAX).min(1e9);
        self.pace = pace.max(MIN_PACE).min(highest);
        self.step = SampleWindow::new(now);
    }
}

#[cfg(test)]
#[path = "pacer_tests.rs"]
mod tests;
