//! Finds the pace that the quota of an operation allows, from the answers to its calls. Pure: every function gets the time as an
//! argument.
//!
//! ```text
//!    nothing is known              a saved quota                    throttled, with --leave
//!           │                            │                      (in the upper part of a ramp)
//!           ▼      throttled twice       ▼       throttled once             │
//!        Search ────── back off ──────▶ Ramp ────── back off ──────▶ Ramp   └──▶ Rest ──▶ Ramp
//!           ▲                            │                                     a minute
//!           └── calls are throttled in the lower parts of ramps all the same: by chance
//! ```
//!
//! - **Search** is slow start: the pace grows exponentially, from one that few quotas are below to about 1,000 calls per
//!   second in four seconds. The first throttled call stops it for a round trip: the answers to the calls in flight tell an empty bucket
//!   from chance.
//! - **Back off**: no call starts until those in flight are answered, so that each is charged to the pace at which it started. After
//!   a search the quota is estimated from these answers; after a ramp the pace falls by a constant share. If the first call
//!   after that is throttled too, the bucket is still empty: the pause doubles and the pace stays.
//! - **Ramp**: the pace grows in a straight line through the one at which the last ramp ended, and beyond it exponentially, so that a
//!   quota that has grown is found within seconds. A token bucket throttles only once it is empty: what the lower half of a ramp
//!   leaves in it, the upper half takes out again. Between two back-offs *the calls accepted per second are the quota*.
//! - Runs that share a quota converge on equal shares, by additive increase and multiplicative decrease of the logarithm: all ramp at
//!   the same relative speed, and the faster is throttled more often. Ramps that confirm the quota become longer; on a
//!   shared quota they hardly ever do.
//! - Below the quota hardly a call is throttled. If calls still are in the **lower parts** of ramps, a lower pace does not help: the
//!   service throttles by chance. The search goes on from there and tolerates that share, until it rises.
//!
//! | constant | unit | if it is larger, or *smaller* | guarded by (`tests/scenarios`) |
//! |---|---|---|---|
//! | `SEARCH_START` | calls/s | a small quota throttles more at once; *a large one is found late* | `a_small_quota_is_found`, `a_large_quota_is_found` |
//! | `SEARCH_START_WITH_RATE` | calls/s | the same, where `--rate` names a pace | `expired_credentials_halt`, `a_rate_far_above_the_quota_is_lowered` |
//! | `SEARCH_START_TOGETHER` | calls/s | the same, of all processes that share the quota | `eight_shards_share_a_quota_of_50` |
//! | `SEARCH_GROWTH` | 1/s | a large bucket throttles a fifth of the quota in a second; *a large quota is found late* | `a_middling_quota_is_found`, `a_very_large_quota_is_found` |
//! | `GUESSED_SHARE`, `GUESS_CALLS` | of the pace; calls | the first ramp begins above the quota; *far below it* | `a_small_quota_is_found`, `a_middling_quota_is_found` |
//! | `BACK_OFF` | of the pace | a small bucket loses calls below the quota; *production finds no token* | `a_quota_is_shared_with_production` |
//! | `SHARE_CALLS` | calls | a quota that drops is followed late; *two calls throttled in a row halve the pace* | `a_quota_that_drops_by_60_percent_is_followed` |
//! | `PAUSE`, `LONGEST_PAUSE` | round trips; time | a fixed window loses its first calls; *its last ones are throttled* | `a_quota_in_fixed_windows_is_used`, `endless_throttling_fails_rows` |
//! | `RAMP` | s | a quota that grows is used late; *more calls are throttled* | `a_quota_of_50_that_doubles_is_used`, `a_quota_is_shared_with_production` |
//! | `CONFIRMED_RAMP`, `…_CALLS`, `LONGEST_RAMP` | s; calls; s | runs keep unequal shares; *a small quota throttles more* | `two_runs_share_a_quota_of_20`, `a_small_quota_is_found` |
//! | `FIRST_RAMP` | of a ramp | a quota that was underestimated is used late | `a_large_quota_is_found` |
//! | `LOWER_PART` | of a ramp | a quota is taken for chance; *chance for a quota* | `two_runs_share_a_quota_of_50`, `a_rate_is_kept_despite_chance` |
//! | `FIRST_CORRECTION`, `CORRECTION` | of the pace | calls that a full bucket gave count as quota; *runs keep unequal shares* | `a_middling_quota_is_found`, `two_runs_share_a_quota_of_20` |
//! | `AGREEMENT_CALLS`, `…_SHARE`, `SETTLED` | calls; of the calls; ramps | a share is saved as the quota; *a quota is never saved* | unit tests, e2e `learned_quotas` |
//! | `EVIDENCE`, `QUOTA_EXCESS`, `CHANCE_SHARE` | ln; share; share | a search ends after more throttled calls; *chance ends it* | `a_small_quota_is_found`, `a_rate_is_kept_despite_chance` |
//! | `CHANCE_THROTTLED`, `CHANCE_CALLS`, `CHANCE_MAX` | calls; calls; share | chance is found late; *a busy neighbour is taken for chance* | `half_a_rate_is_kept_despite_much_chance`, `two_runs_share_a_quota_of_50` |
//! | `CHANCE_RISE` | share | a quota that was taken for chance throttles for longer; *chance is not tolerated* | the same |
//! | `REST`, `REST_BACK_OFF` | time; of the pace | a raised quota is found late; *the whole quota is measured more often* | `a_share_left_alone_serves_production` |
//! | `MIN_PACE` | calls/s | a run that is only throttled makes more calls | `endless_throttling_fails_rows` |
//! | `LATE`, `LATE_CALLS`, `MAX_STEP` | calls; calls; s | a pace that calls do not reach grows | `concurrency_limits_an_unlimited_rate` |

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use super::rate_limit::TIMER_LAG;

// The search.

/// Pace at the start of a search.
const SEARCH_START: f64 = 12.0;
/// Highest pace at the start of a search if `--rate` names a ceiling, which the operator expects to fit.
const SEARCH_START_WITH_RATE: f64 = 50.0;
/// Pace of all processes together at the start of their searches if they share the quota.
const SEARCH_START_TOGETHER: f64 = 10.0;
/// Growth of the logarithm of the pace per second.
const SEARCH_GROWTH: f64 = 1.15;
/// The quota after a search, as a share of the last pace: a guess that counts as much as the answers to [`GUESS_CALLS`] calls.
const GUESSED_SHARE: f64 = 0.4;
const GUESS_CALLS: f64 = 4.0;
/// Logarithm of the ratio of likelihoods at which a search ends: its answers show a quota, and not chance.
const EVIDENCE: f64 = 4.5;
/// Share of calls that is throttled by chance, unless another is known, and the share above it that shows a quota.
const CHANCE_SHARE: f64 = 0.02;
const QUOTA_EXCESS: f64 = 0.25;

// Back-offs.

/// Share of the pace by which it falls.
const BACK_OFF: f64 = 0.2;
/// Calls that count as accepted beside the answers to those in flight: where most of many are throttled, the pace falls by
/// their share.
const SHARE_CALLS: f64 = 8.0;
/// Shortest pause in round trips. It doubles while calls are throttled all the same.
const PAUSE: f64 = 1.5;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

// Ramps.

/// Time until a ramp is at the pace at which the last one ended.
const RAMP: f64 = 3.5;
/// The same once [`SETTLED`] ramps have agreed: the time of so many calls, within bounds.
const CONFIRMED_RAMP_CALLS: f64 = 120.0;
const CONFIRMED_RAMP: f64 = 4.0;
const LONGEST_RAMP: f64 = 15.0;
/// Length of the first ramp after a search, whose estimate is rough.
const FIRST_RAMP: f64 = 0.33;
/// End of the lower part of a ramp.
const LOWER_PART: f64 = 0.6;
/// Lowest pace from which the next ramp is planned, if fewer calls were accepted per second than that: after the first ramp,
/// which may have been far too long, and after the others.
const FIRST_CORRECTION: f64 = 0.7;
const CORRECTION: f64 = 0.95;
/// Largest difference of two ramps that agree on the quota.
const AGREEMENT_CALLS: f64 = 2.0;
const AGREEMENT_SHARE: f64 = 0.005;
/// Ramps, one after the other, that must agree before the quota is believed and saved.
const SETTLED: u32 = 2;

// Chance.

/// Throttled calls among the last [`CHANCE_CALLS`] in the lower parts of ramps that show chance, unless they are so large a
/// share that the quota has dropped.
const CHANCE_THROTTLED: f64 = 4.0;
const CHANCE_CALLS: f64 = 100.0;
const CHANCE_MAX: f64 = 0.4;
/// Rise of that share during the search that follows which shows a quota after all.
const CHANCE_RISE: f64 = 0.05;

// A share that is left to others.

/// Time at the reduced pace before the quota is measured again.
const REST: Duration = Duration::from_mins(1);
/// Share by which the reduced pace falls if a call is throttled.
const REST_BACK_OFF: f64 = 0.1;

// Bounds.

/// Lowest pace: one call in ten seconds still finds out when throttling ends.
const MIN_PACE: f64 = 0.1;
/// A call that starts later than due by this many spacings shows that something else holds calls back, and for so many more calls
/// the pace does not grow.
const LATE: f64 = 0.5;
const LATE_CALLS: f64 = 4.0;
/// Longest time between two answers in which the pace grows: a run that waits for input does not ramp.
const MAX_STEP: f64 = 0.5;
/// Weight of the last answer in the moving average of the latency.
const LATENCY_WEIGHT: f64 = 0.1;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The quota is not known: the pace grows exponentially.
    Search,
    /// The pace grows from below the quota until a call is throttled.
    Ramp,
    /// A share of the quota is left to others: the pace is constant.
    Rest,
}

/// Calls and those of them that were throttled.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    calls: f64,
    throttled: f64,
}

impl Sample {
    fn count(&mut self, throttled: bool) {
        self.calls += 1.0;
        self.throttled += f64::from(u8::from(throttled));
    }

    fn share(self) -> f64 {
        self.throttled / self.calls.max(1.0)
    }
}

/// Paces the calls of one operation in one Region.
#[derive(Debug)]
pub(super) struct Pacer {
    /// Highest pace that `--rate` allows, in calls per second.
    ceiling: Option<f64>,
    /// Share of the quota that the run uses; the rest is left to others.
    used: f64,
    /// Calls that may start per second.
    pace: f64,
    /// Pace at which a search starts.
    search_start: f64,
    /// Other processes are known to use the quota: what they take is not taken for chance.
    is_shared: bool,
    next_start: Instant,
    last_start: Instant,
    in_flight: u32,
    /// Moving average in seconds; zero before the first answer.
    latency: f64,

    state: State,
    /// Seconds for which the state has lasted, less those in which the pace could not grow.
    elapsed: f64,
    last_answer: Instant,
    /// Until then calls start too late to show what a higher pace would do.
    late_until: Instant,
    /// Pace at which the last ramp ended, in calls per second.
    top: f64,
    /// Start of the last back-off while the calls in flight are awaited.
    backing_off: Option<Instant>,
    /// Throttled calls since the last accepted one, if nothing was accepted since the back-off.
    still_throttled: u32,

    /// Start of the back-off that began the ramp. Answers to calls from before `ramp_began` say nothing about its pace.
    ended: Instant,
    ramp_began: Instant,
    /// Calls of the ramp that were accepted or are in flight.
    ramp_calls: f64,
    /// Calls accepted per second in the last ramp.
    accepted_rate: Option<f64>,
    /// Ramps, one after the other, that have agreed with the one before.
    agreed: u32,

    /// Start of the first of the throttled calls that are weighed, and the answers to calls from then on.
    suspected: Instant,
    since_suspected: Sample,
    /// Evidence that they show a quota, as a logarithm of a ratio of likelihoods.
    evidence: f64,
    /// The last calls in the lower parts of ramps, and in a search that tolerates chance.
    lower: Sample,
    /// Share of calls that is throttled by chance; zero if none is.
    chance: f64,
}

impl Pacer {
    /// Creates a pacer that starts near `quota`, which an earlier run has measured, or searches for it. `leave` is the share of
    /// the quota, from 0 to 1, that is left to others.
    pub(super) fn new(ceiling: Option<f64>, leave: f64, quota: Option<f64>, now: Instant) -> Self {
        let search_start =
            ceiling.map_or(SEARCH_START, |ceiling| ceiling.min(SEARCH_START_WITH_RATE));
        let mut pacer = Self {
            ceiling,
            used: 1.0 - leave,
            pace: search_start,
            search_start,
            is_shared: false,
            next_start: now,
            last_start: now,
            in_flight: 0,
            latency: 0.0,
            state: State::Search,
            elapsed: 0.0,
            last_answer: now,
            late_until: now,
            top: search_start,
            backing_off: None,
            still_throttled: 0,
            ended: now,
            ramp_began: now,
            ramp_calls: 0.0,
            accepted_rate: quota,
            agreed: 0,
            suspected: now,
            since_suspected: Sample::default(),
            evidence: 0.0,
            lower: Sample::default(),
            chance: 0.0,
        };
        if let Some(quota) = quota {
            pacer.top = quota;
            pacer.agreed = SETTLED;
            pacer.state = if leave > 0.0 {
                State::Rest
            } else {
                State::Ramp
            };
        }
        pacer.set_pace();
        pacer
    }

    /// Shares the start of the search with other processes, each of which searches for its share of the quota.
    pub(super) fn shared_by(mut self, processes: NonZeroU32) -> Self {
        let together = match self.ceiling {
            _ if processes == NonZeroU32::MIN => return self,
            Some(_) => SEARCH_START_WITH_RATE,
            None => SEARCH_START_TOGETHER,
        };
        self.is_shared = true;
        self.search_start = self.search_start.min(together / f64::from(processes.get()));
        if self.state == State::Search {
            self.top = self.search_start;
            self.set_pace();
        }
        self
    }

    /// Returns the present pace in calls per second, if throttling holds it below the ceiling.
    pub(super) fn limit(&self) -> Option<f64> {
        (self.state != State::Search && !self.is_at_ceiling()).then_some(self.pace)
    }

    /// Returns the present pace in calls per second.
    pub(super) fn pace(&self) -> f64 {
        self.pace
    }

    /// Returns the quota in calls per second, if several ramps have agreed on it. A run that shares a quota measures
    /// its share, which changes from ramp to ramp.
    pub(super) fn quota(&self) -> Option<f64> {
        self.accepted_rate.filter(|_| self.agreed >= SETTLED)
    }

    /// Returns whether calls are throttled by chance.
    pub(super) fn is_random(&self) -> bool {
        self.chance > 0.0
    }

    /// Returns the average latency of the last calls; zero before the first answer.
    pub(super) fn latency(&self) -> Duration {
        Duration::from_secs_f64(self.latency)
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
        if self.backing_off.is_some() {
            // Some calls in flight were not answered in time.
            self.end_back_off(now);
        }
        let late = now.saturating_duration_since(self.next_start);
        if late > TIMER_LAG + self.calls(LATE) {
            self.late_until = now + self.calls(LATE_CALLS).max(TIMER_LAG * 10);
        }
        self.last_start = now;
        self.in_flight += 1;
        self.ramp_calls += 1.0;
        if self.is_at_ceiling() {
            // The rate limit allows bursts, and it alone decides.
            self.next_start = now;
            return;
        }
        let earliest = now.checked_sub(TIMER_LAG).unwrap_or(now);
        self.next_start = self.next_start.max(earliest) + self.calls(1.0);
    }

    /// Lets the next call start in place of the last one, which was not made.
    pub(super) fn not_started(&mut self) {
        let earlier = self.next_start.checked_sub(self.calls(1.0));
        self.next_start = earlier.unwrap_or(self.next_start);
    }

    /// Records that a call ended without an answer about the quota.
    pub(super) fn unanswered(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.ramp_calls = (self.ramp_calls - 1.0).max(0.0);
    }

    /// Records that the service accepted a call that started at `started`.
    pub(super) fn accepted(&mut self, started: Instant, now: Instant) {
        if !self.count(started, now, false) {
            return;
        }
        self.still_throttled = 0;
        self.weigh(false);
        self.grow(now);
    }

    /// Records that the service throttled a call that started at `started`.
    pub(super) fn throttled(&mut self, started: Instant, now: Instant) {
        if self.evidence == 0.0 && self.backing_off.is_none() && started >= self.ramp_began {
            self.suspected = started;
            self.since_suspected = Sample::default();
        }
        if !self.count(started, now, true) {
            return;
        }
        self.ramp_calls = (self.ramp_calls - 1.0).max(0.0);
        if self.still_throttled > 0 {
            let pause = self.pause() * (1 << self.still_throttled.min(8));
            self.still_throttled += 1;
            self.pause_until(now + pause.min(LONGEST_PAUSE).max(self.calls(1.0)));
            return;
        }
        self.weigh(true);
        let has_risen = self.chance > 0.0 && self.lower.share() > self.chance + CHANCE_RISE;
        if self.state == State::Search && self.evidence < EVIDENCE && !has_risen {
            if !self.is_at_ceiling() {
                self.pause_until(now + self.pause());
            }
            return;
        }
        self.evidence = 0.0;
        self.backing_off = Some(now);
        if self.in_flight == 0 {
            self.end_back_off(now);
        } else {
            self.pause_until(now + TIMER_LAG + Duration::from_secs_f64(self.latency * 2.0));
        }
    }

    /// Counts an answer, and ends a back-off with the last call in flight. Returns whether the answer shows what the present pace
    /// does.
    fn count(&mut self, started: Instant, now: Instant, throttled: bool) -> bool {
        let latency = now.saturating_duration_since(started).as_secs_f64();
        let weight = if self.latency > 0.0 {
            LATENCY_WEIGHT
        } else {
            1.0
        };
        self.latency += (latency - self.latency) * weight;
        self.in_flight = self.in_flight.saturating_sub(1);
        if started >= self.suspected {
            self.since_suspected.count(throttled);
        }
        if self.backing_off.is_some() {
            if self.in_flight == 0 {
                self.end_back_off(now);
            }
            return false;
        }
        if started < self.ramp_began {
            return false;
        }
        let is_lower = match self.state {
            State::Search => self.chance > 0.0,
            State::Ramp | State::Rest => !self.is_in_upper_part(),
        };
        if is_lower && self.still_throttled < 2 {
            self.lower.count(throttled);
            if self.lower.calls > CHANCE_CALLS {
                self.lower.calls /= 2.0;
                self.lower.throttled /= 2.0;
            }
        }
        true
    }

    /// Weighs an answer during a search: by Page's cumulative sum, is it more likely under a quota or by chance?
    fn weigh(&mut self, throttled: bool) {
        if self.state != State::Search {
            return;
        }
        let chance = self.chance.max(CHANCE_SHARE);
        let quota = chance + QUOTA_EXCESS;
        let ratio = if throttled {
            quota / chance
        } else {
            (1.0 - quota) / (1.0 - chance)
        };
        self.evidence = (self.evidence + ratio.ln()).max(0.0);
    }

    /// Raises the pace by the time since the last answer, if calls start as fast as the pace allows and none is suspicious.
    fn grow(&mut self, now: Instant) {
        let longest = MAX_STEP.max(2.0 / self.pace);
        let seconds = now
            .saturating_duration_since(self.last_answer)
            .as_secs_f64()
            .min(longest);
        self.last_answer = now;
        if self.evidence > 0.0 || self.last_start < self.late_until || self.is_at_ceiling() {
            return;
        }
        self.elapsed += seconds;
        if self.state == State::Rest && self.elapsed > REST.as_secs_f64() {
            self.begin((State::Ramp, 0.0), now);
        }
        let before = self.pace;
        self.set_pace();
        if self.pace > before {
            // The next start was due at the old pace.
            let due = self.last_start + self.calls(1.0);
            self.next_start = self.next_start.min(due.max(now));
        }
    }

    /// Ends a back-off: sets the pace from the answers to the calls that were in flight.
    fn end_back_off(&mut self, now: Instant) {
        let Some(began) = self.backing_off.take() else {
            return;
        };
        let upper = self.is_in_upper_part();
        let is_chance = self.state != State::Search
            && !self.is_shared
            && !upper
            && self.lower.share() < CHANCE_MAX
            && self.lower.throttled >= CHANCE_THROTTLED;
        let mut next = (State::Ramp, 0.0);
        match self.state {
            State::Search => self.estimate_quota(),
            State::Ramp => {
                self.measure_ramp(began, upper);
                if self.used < 1.0 && upper {
                    self.top *= 1.0 - BACK_OFF / 2.0;
                    next = (State::Rest, 0.0);
                }
            }
            State::Rest => {
                self.top *= 1.0 - REST_BACK_OFF;
                next = (State::Rest, self.elapsed);
            }
        }
        self.chance = 0.0;
        if is_chance {
            self.chance = self.lower.share();
            let elapsed = (self.pace / self.search_start).ln() / SEARCH_GROWTH;
            next = (State::Search, elapsed);
        }
        self.ended = began;
        self.begin(next, now);
        self.still_throttled = 1;
        self.next_start = now.max(began + self.pause().max(self.calls(1.0)));
    }

    /// Estimates the quota from the answers since the call that ended a search, and from a guess.
    fn estimate_quota(&mut self) {
        let Sample { calls, throttled } = self.since_suspected;
        let accepted = calls - throttled + GUESS_CALLS * GUESSED_SHARE;
        self.top = self.pace * accepted / (calls + GUESS_CALLS);
        self.accepted_rate = None;
        self.lower = Sample::default();
    }

    /// Measures the quota by a ramp that a back-off, begun at `began`, has ended.
    fn measure_ramp(&mut self, began: Instant, upper: bool) {
        let seconds = began.saturating_duration_since(self.ended).as_secs_f64();
        let accepted_rate = self.ramp_calls / seconds.max(0.001);
        let Sample { calls, throttled } = self.since_suspected;
        let share = (calls - throttled + SHARE_CALLS) / (calls + SHARE_CALLS);
        let lowest = match self.accepted_rate {
            None => FIRST_CORRECTION,
            Some(_) => CORRECTION,
        };
        let measured = accepted_rate / (1.0 - BACK_OFF / 2.0) / self.pace;
        let part = if upper {
            measured.clamp(lowest, 1.0).min(share / (1.0 - BACK_OFF))
        } else {
            share
        };
        self.top = self.pace * part;
        let agrees = upper
            && self.accepted_rate.is_some_and(|before| {
                let differ = ((accepted_rate - before) * seconds).abs();
                differ < AGREEMENT_CALLS + AGREEMENT_SHARE * self.ramp_calls
            });
        self.agreed = if agrees { self.agreed + 1 } else { 0 };
        self.accepted_rate = Some(accepted_rate);
    }

    /// Begins a state that has lasted for so many seconds.
    fn begin(&mut self, (state, elapsed): (State, f64), now: Instant) {
        self.state = state;
        self.elapsed = elapsed;
        self.last_answer = now;
        self.ramp_began = now;
        self.ramp_calls = 0.0;
        self.top = self.top.max(MIN_PACE);
        self.set_pace();
    }

    fn set_pace(&mut self) {
        let pace = match self.state {
            State::Search => self.search_start * (SEARCH_GROWTH * self.elapsed).exp(),
            State::Ramp => {
                let beyond = self.elapsed / self.ramp_seconds() - 1.0;
                let growth = if beyond < 0.0 {
                    beyond
                } else {
                    beyond.exp_m1()
                };
                self.top * (1.0 + BACK_OFF * growth)
            }
            State::Rest => self.top * self.used,
        };
        self.pace = pace.max(MIN_PACE).min(self.ceiling.unwrap_or(1e9));
    }

    /// Returns the seconds until the ramp is at the pace at which the last one ended.
    fn ramp_seconds(&self) -> f64 {
        if self.accepted_rate.is_none() {
            RAMP * FIRST_RAMP
        } else if self.agreed >= SETTLED {
            (CONFIRMED_RAMP_CALLS / self.top).clamp(CONFIRMED_RAMP, LONGEST_RAMP)
        } else {
            RAMP
        }
    }

    fn is_in_upper_part(&self) -> bool {
        let upper = self.state == State::Ramp && self.elapsed >= LOWER_PART * self.ramp_seconds();
        upper && !self.is_at_ceiling()
    }

    fn is_at_ceiling(&self) -> bool {
        self.ceiling.is_some_and(|ceiling| self.pace >= ceiling)
    }

    /// Returns the time that this many calls take at the present pace.
    fn calls(&self, calls: f64) -> Duration {
        Duration::from_secs_f64(calls / self.pace)
    }

    fn pause(&self) -> Duration {
        Duration::from_secs_f64(self.latency * PAUSE)
    }

    fn pause_until(&mut self, time: Instant) {
        self.next_start = self.next_start.max(time);
    }
}

#[cfg(test)]
#[path = "pacer_tests.rs"]
mod tests;
