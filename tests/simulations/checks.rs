//! Checks a run: the scenario's expectations, and what holds for every run.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use cognito_unlink::testing::jobs::unlink::UnlinkOutcome;
use cognito_unlink::testing::verdict::Outcome as _;

use crate::reply::CallResult;
use crate::runs::{READ_AHEAD, SettledRow, SimulatedRun, TAKEN_AT_ONCE};
use crate::scenario::{Expect, Range, Shared};
use crate::service::Call;

/// Longest lag of a call behind its timer, in seconds; the next call may start that much earlier: see `admission::rate_limit`.
const TIMER_LAG: f64 = 0.002;

/// Everything that is wrong with a run.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<String>);

impl Violations {
    pub(crate) fn of(run: &SimulatedRun, expect: Option<&Expect>) -> Self {
        let mut violations = Self::default();
        if let Some(expect) = expect {
            violations.expectations(run, expect);
            violations.parts(run, expect);
        }
        violations.counts(run);
        violations.limits(run);
        violations.rows(run);
        violations
    }

    /// Checks runs that share a quota.
    pub(crate) fn of_shares(run: &[SimulatedRun], shared: &Shared) -> Self {
        let mut violations = Self::default();
        let accepted = accepted_by_each(run, shared);
        let all = accepted.iter().sum::<f64>();
        for accepted in accepted {
            violations.range("percent of a run", shared.percent, accepted / all * 100.0);
        }
        let seconds = shared.to.0.saturating_sub(shared.from.0).as_secs_f64();
        violations.range(
            "accepted_per_second by all",
            shared.accepted_per_second,
            all / seconds,
        );
        if let Some(range) = shared.throttled_percent {
            let calls = run
                .iter()
                .flat_map(|run| between(run, shared.from.0, shared.to.0));
            violations.range("percent throttled", range, throttled_share(calls) * 100.0);
        }
        violations
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn unless(&mut self, fine: bool, violation: impl FnOnce() -> String) {
        if !fine {
            self.0.push(violation());
        }
    }

    fn range(&mut self, what: &str, range: Range, number: f64) {
        self.unless(range.contains(number), || {
            format!("{what}: {number}, expected {range}")
        });
    }

    fn expectations(&mut self, run: &SimulatedRun, expect: &Expect) {
        let reason = &run.summary.reason;
        self.unless(expect.ends.is(reason), || {
            format!("ended by {reason:?}, expected {:?}", expect.ends)
        });
        let tally = &run.summary.tally;
        for (outcome, range) in [
            (UnlinkOutcome::Unlinked, expect.unlinked),
            (UnlinkOutcome::NotLinked, expect.not_linked),
            (UnlinkOutcome::UnlinkedReplyLost, expect.unlinked_reply_lost),
            (UnlinkOutcome::Failed, expect.failed),
            (UnlinkOutcome::InDoubt, expect.in_doubt),
        ] {
            self.range(outcome.as_str(), range, tally.of(outcome) as f64);
        }
        self.range("left", expect.left, tally.left as f64);
        self.range("seconds", expect.seconds, run.took.as_secs_f64());
        self.range("calls", expect.calls, run.observed.calls.len() as f64);
        let in_flight = run.observed.most_in_flight as f64;
        self.range("most_in_flight", expect.most_in_flight, in_flight);
        let share = throttled_share(run.observed.calls.iter());
        self.unless(share <= expect.max_throttled_share, || {
            format!(
                "throttled_share: {share}, expected at most {}",
                expect.max_throttled_share
            )
        });
        self.pauses(run, expect);
    }

    /// Checks the times between and after the attempts of a row.
    fn pauses(&mut self, run: &SimulatedRun, expect: &Expect) {
        let calls = by_row(run);
        for (nth, range) in expect.mean_pauses.iter().enumerate() {
            let pauses = calls.values().filter_map(|calls| calls.get(nth..nth + 2));
            let pauses: Vec<f64> = pauses.map(|pair| pause(pair).as_secs_f64()).collect();
            let mean = pauses.iter().sum::<f64>() / pauses.len() as f64;
            self.range(
                &format!("mean pause after attempt {}", nth + 1),
                *range,
                mean,
            );
        }
        let Some(range) = expect.seconds_to_failure else {
            return;
        };
        let failed = |row_settled: &&SettledRow| row_settled.outcome == UnlinkOutcome::Failed;
        for row_settled in run.settled.iter().filter(failed) {
            let began = calls[row_settled.user.as_str()][0].started;
            let seconds = row_settled.at.saturating_sub(began).as_secs_f64();
            self.range(
                &format!("{} failed after", row_settled.user),
                range,
                seconds,
            );
        }
    }

    fn parts(&mut self, run: &SimulatedRun, expect: &Expect) {
        for part in &expect.between {
            let (from, to) = (part.from.0, part.to.0);
            let what = format!("accepted_per_second between {from:?} and {to:?}");
            let seconds = to.saturating_sub(from).as_secs_f64();
            self.range(
                &what,
                part.accepted_per_second,
                accepted(run, from, to) / seconds,
            );
            let share = throttled_share(between(run, from, to));
            self.unless(share <= part.max_throttled_share, || {
                format!(
                    "throttled_share between {from:?} and {to:?}: {share}, expected at most {}",
                    part.max_throttled_share
                )
            });
        }
    }

    /// Checks that every count is what happened.
    fn counts(&mut self, run: &SimulatedRun) {
        let tally = &run.summary.tally;
        let rows = run.rows.len() as u64;
        self.unless(tally.adds_up(), || format!("{tally:?} does not add up"));
        self.unless(run.summary.counted_to_end && tally.read == rows, || {
            format!("{} of {rows} rows were read or counted", tally.read)
        });
        // A row that is left after an HTML reply is marked for the next run.
        let is_left = |call: &Call| {
            let mut settled = run.settled.iter();
            call.result == CallResult::Html
                && settled.all(|row_settled| row_settled.user != call.user)
        };
        let noted = run.observed.calls.iter().any(is_left);
        self.unless(run.summary.all_recorded != noted, || {
            format!("rows are left in doubt: {noted}, and the run says otherwise")
        });
        for outcome in UnlinkOutcome::ALL.iter().copied() {
            let settled = run.settled.iter();
            let recorded = settled
                .filter(|row_settled| row_settled.outcome == outcome)
                .count() as u64;
            self.unless(recorded == tally.of(outcome), || {
                format!(
                    "{recorded} rows recorded as {outcome}, {} counted",
                    tally.of(outcome)
                )
            });
        }
        let calls = run.observed.calls.len() as u64;
        self.unless(run.calls_counted == calls, || {
            format!("{} calls counted, {calls} made", run.calls_counted)
        });
        let throttled = run
            .observed
            .calls
            .iter()
            .filter(|call| call.result == CallResult::Throttled);
        let throttled = throttled.count() as u64;
        self.unless(run.throttled_counted == throttled, || {
            format!(
                "{} throttled counted, {throttled} answered",
                run.throttled_counted
            )
        });
    }

    /// Checks the limits that the run was given.
    fn limits(&mut self, run: &SimulatedRun) {
        let limits = &run.settings.limits;
        let observed = &run.observed;
        self.unless(observed.most_in_flight_of_one_identity <= 1, || {
            format!(
                "{} calls at once for one identity",
                observed.most_in_flight_of_one_identity
            )
        });
        let places = limits.concurrency.get() as usize;
        self.unless(observed.most_in_flight <= places, || {
            format!(
                "{} calls in flight, {places} allowed",
                observed.most_in_flight
            )
        });
        let unended = observed
            .calls
            .iter()
            .filter(|call| call.ended.is_none())
            .count();
        self.unless(unended == 0, || format!("{unended} calls outlive the run"));
        let bound = run.settings.open_rows + READ_AHEAD + TAKEN_AT_ONCE;
        self.unless(run.most_open <= bound, || {
            format!(
                "{} rows read and not recorded, {bound} allowed",
                run.most_open
            )
        });
        if let Some(rate) = limits.rate.per_second() {
            let burst = f64::from(limits.burst.get());
            let mut regions: HashMap<&str, Vec<f64>> = HashMap::new();
            for call in &observed.calls {
                let starts = regions.entry(&call.region).or_default();
                starts.push(call.started.as_secs_f64());
            }
            for (region, starts) in regions {
                let over = most_over_the_rate(&starts, rate);
                let allowed = burst + TIMER_LAG * rate + starts.len() as f64 * 1e-4;
                self.unless(over <= allowed, || {
                    format!(
                        "{region}: {over} calls more than the rate in some time, {allowed} allowed"
                    )
                });
            }
        }
    }

    /// Checks each row: at most one entry in the results, and that it is true.
    fn rows(&mut self, run: &SimulatedRun) {
        let calls = by_row(run);
        let mut settled: HashMap<&str, Vec<&SettledRow>> = HashMap::new();
        for row_settled in &run.settled {
            settled
                .entry(&row_settled.user)
                .or_default()
                .push(row_settled);
        }
        for (row, linked) in run.rows.iter().zip(&run.linked) {
            let user = row.link.developer_user_identifier.as_str();
            let calls = calls.get(user).map_or(&[][..], Vec::as_slice);
            let settled = settled.get(user).map_or(&[][..], Vec::as_slice);
            let check = RowCheck {
                was_linked: row.was_linked,
                linked: *linked,
                calls,
                most_counted: run.settings.policy.max_attempts as usize,
            };
            for violation in check.violations(settled) {
                self.0
                    .push(format!("{user}: {violation} ({settled:?} after {calls:?})"));
            }
        }
    }
}

impl fmt::Display for Violations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for violation in self.0.iter().take(SHOWN) {
            writeln!(f, "- {violation}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "- and {more} more"),
        }
    }
}

/// Returns the accepted calls of each run that shares a quota.
fn accepted_by_each(run: &[SimulatedRun], shared: &Shared) -> Vec<f64> {
    let accepted = run
        .iter()
        .map(|run| accepted(run, shared.from.0, shared.to.0));
    accepted.collect()
}

/// One row, before and after the run.
struct RowCheck<'a> {
    was_linked: bool,
    linked: bool,
    calls: &'a [&'a Call],
    most_counted: usize,
}

impl RowCheck<'_> {
    fn violations(&self, settled: &[&SettledRow]) -> Vec<&'static str> {
        let mut violations = failed_checks(&self.calls_are_allowed());
        violations.extend(match settled {
            [] => failed_checks(&[(
                // An HTML reply before Cognito's first answer is another endpoint's: nothing has reached Cognito.
                !self.is_unanswered() && !self.got(CallResult::Unlinked),
                "left after a call that may have taken effect",
            )]),
            [row] => {
                let mut violations = failed_checks(&self.is_recorded(row));
                violations.extend(failed_checks(&self.outcome_is_true(row.outcome)));
                violations
            }
            _ => vec!["recorded more than once"],
        });
        violations
    }

    fn got(&self, result: CallResult) -> bool {
        self.calls.iter().any(|call| call.result == result)
    }

    fn is_unanswered(&self) -> bool {
        self.got(CallResult::NoReply) || self.got(CallResult::Cancelled)
    }

    /// Checks the calls of the row, whatever its outcome.
    fn calls_are_allowed(&self) -> [(bool, &'static str); 4] {
        let is_counted = |call: &&&Call| {
            matches!(
                call.result,
                CallResult::NoReply | CallResult::Html | CallResult::InternalError
            )
        };
        let effects = self.calls.iter().filter(|call| call.effect).count();
        [
            (
                self.calls.iter().filter(is_counted).count() <= self.most_counted,
                "tried more often than --max-attempts",
            ),
            (
                self.calls
                    .is_sorted_by(|a, b| a.ended.is_some_and(|ended| ended <= b.started)),
                "called again while in flight",
            ),
            (
                self.calls
                    .windows(2)
                    .all(|pair| pause(pair) >= pair[0].retry_after.unwrap_or_default()),
                "called again sooner than the service asked for",
            ),
            (
                usize::from(self.was_linked) == usize::from(self.linked) + effects,
                "the link is gone without a call, or there after one",
            ),
        ]
    }

    fn is_recorded(&self, row: &SettledRow) -> [(bool, &'static str); 2] {
        [
            (
                row.attempts as usize == self.calls.len(),
                "attempts are miscounted",
            ),
            (!self.calls.is_empty(), "recorded without a call"),
        ]
    }

    fn outcome_is_true(&self, outcome: UnlinkOutcome) -> [(bool, &'static str); 2] {
        let is_lost = self.is_unanswered() || self.got(CallResult::Html);
        let last = self.calls.last().map(|call| call.result);
        let nothing_more = (true, "");
        match outcome {
            UnlinkOutcome::Unlinked => [
                (!self.linked, "unlinked, and still linked"),
                (
                    last == Some(CallResult::Unlinked),
                    "unlinked without the service's answer",
                ),
            ],
            UnlinkOutcome::NotLinked => [
                (
                    !self.was_linked && !is_lost,
                    "not_linked, and this run may have unlinked it",
                ),
                (
                    last == Some(CallResult::NotLinked),
                    "not_linked without the service's answer",
                ),
            ],
            UnlinkOutcome::UnlinkedReplyLost => [
                (
                    !self.linked && is_lost,
                    "unlinked_reply_lost, and no reply was lost",
                ),
                (
                    last == Some(CallResult::NotLinked),
                    "unlinked_reply_lost without the service's answer",
                ),
            ],
            UnlinkOutcome::Failed => [
                (!is_lost, "failed, and an attempt may have taken effect"),
                (self.linked == self.was_linked, "failed, and unlinked"),
            ],
            UnlinkOutcome::InDoubt => [(is_lost, "in_doubt without a lost reply"), nothing_more],
            UnlinkOutcome::Invalid
            | UnlinkOutcome::Held
            | UnlinkOutcome::Kept
            | UnlinkOutcome::Relinked => [(false, "a valid row that was not called"), nothing_more],
        }
    }
}

/// Returns the messages of the checks that failed.
fn failed_checks(checks: &[(bool, &'static str)]) -> Vec<&'static str> {
    let failed = checks.iter().filter(|(is_fine, _)| !is_fine);
    failed.map(|(_, message)| *message).collect()
}

/// Returns the calls that started in a part of the run.
pub(crate) fn between(
    run: &SimulatedRun,
    from: Duration,
    to: Duration,
) -> impl Iterator<Item = &Call> {
    let calls = run.observed.calls.iter();
    calls.filter(move |call| (from..to).contains(&call.started))
}

/// Counts those of them that were not throttled.
pub(crate) fn accepted(run: &SimulatedRun, from: Duration, to: Duration) -> f64 {
    let accepted = |call: &&Call| call.result != CallResult::Throttled;
    between(run, from, to).filter(accepted).count() as f64
}

pub(crate) fn throttled_share<'a>(calls: impl Iterator<Item = &'a Call>) -> f64 {
    let (mut all, mut throttled) = (0_u32, 0_u32);
    for call in calls {
        all += 1;
        throttled += u32::from(call.result == CallResult::Throttled);
    }
    f64::from(throttled) / f64::from(all.max(1))
}

/// Returns the time between two attempts of one row.
fn pause(pair: &[&Call]) -> Duration {
    let ended = pair[0].ended.unwrap_or(Duration::MAX);
    pair[1].started.saturating_sub(ended)
}

/// Returns the calls of each row.
fn by_row(run: &SimulatedRun) -> HashMap<&str, Vec<&Call>> {
    let mut calls: HashMap<&str, Vec<&Call>> = HashMap::new();
    for call in &run.observed.calls {
        calls.entry(&call.user).or_default().push(call);
    }
    calls
}

/// Returns the most calls that start in any stretch of time beyond `rate` times its length.
fn most_over_the_rate(starts: &[f64], rate: f64) -> f64 {
    let mut most = 0.0_f64;
    // Calls beyond the rate in the fullest stretch that ends here.
    let mut over = 0.0_f64;
    let mut before = None;
    for start in starts {
        let refilled = before.map_or(0.0, |before| (start - before) * rate);
        over = (over - refilled).max(0.0) + 1.0;
        most = most.max(over);
        before = Some(*start);
    }
    most
}
