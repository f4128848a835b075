//! What a run has shown, held against what must be: the scenario's own ranges, and what holds for every run.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use cognito_unlink::jobs::unlink::UnlinkOutcome;
use cognito_unlink::verdict::Outcome as _;

use crate::reply::Told;
use crate::scenario::{Expect, Range, Shared};
use crate::service::Call;
use crate::stage::{AHEAD, AT_ONCE, Played, Record};

/// How much later than its timer a call may start, and be followed that much sooner: see `admit`.
const TIMER_LAG: f64 = 0.002;

/// What is wrong with a run; nothing, if all is well.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Vec<String>);

impl Complaints {
    pub(crate) fn of(played: &Played, expect: &Expect) -> Self {
        let mut complaints = Self::default();
        complaints.expectations(played, expect);
        complaints.parts(played, expect);
        complaints.counts(played);
        complaints.limits(played);
        complaints.rows(played);
        complaints
    }

    /// Of runs that share a quota.
    pub(crate) fn of_shares(played: &[Played], shared: &Shared) -> Self {
        let mut complaints = Self::default();
        let taken = taken_by_each(played, shared);
        let all = taken.iter().sum::<f64>();
        for taken in taken {
            complaints.range("percent of a run", shared.percent, taken / all * 100.0);
        }
        let seconds = shared.to.0.saturating_sub(shared.from.0).as_secs_f64();
        complaints.range(
            "taken_per_second by both",
            shared.taken_per_second,
            all / seconds,
        );
        complaints
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn unless(&mut self, fine: bool, complaint: impl FnOnce() -> String) {
        if !fine {
            self.0.push(complaint());
        }
    }

    fn range(&mut self, what: &str, range: Range, number: f64) {
        self.unless(range.holds(number), || {
            format!("{what}: {number}, expected {range}")
        });
    }

    fn expectations(&mut self, played: &Played, expect: &Expect) {
        let reason = &played.summary.reason;
        self.unless(expect.ends.is(reason), || {
            format!("ended by {reason:?}, expected {:?}", expect.ends)
        });
        let tally = &played.summary.tally;
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
        self.range("seconds", expect.seconds, played.took.as_secs_f64());
        self.range("calls", expect.calls, played.seen.calls.len() as f64);
        let in_flight = played.seen.most_in_flight as f64;
        self.range("most_in_flight", expect.most_in_flight, in_flight);
        let share = throttled_share(played.seen.calls.iter());
        self.unless(share <= expect.throttled_share, || {
            format!(
                "throttled_share: {share}, expected at most {}",
                expect.throttled_share
            )
        });
        self.pauses(played, expect);
    }

    /// What lies between and behind the attempts of single rows.
    fn pauses(&mut self, played: &Played, expect: &Expect) {
        let calls = by_row(played);
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
        let failed = |record: &&Record| record.outcome == UnlinkOutcome::Failed;
        for record in played.records.iter().filter(failed) {
            let began = calls[record.user.as_str()][0].started;
            let life = record.at.saturating_sub(began).as_secs_f64();
            self.range(&format!("{} failed after", record.user), range, life);
        }
    }

    fn parts(&mut self, played: &Played, expect: &Expect) {
        for part in &expect.between {
            let (from, to) = (part.from.0, part.to.0);
            let what = format!("taken_per_second between {from:?} and {to:?}");
            let seconds = to.saturating_sub(from).as_secs_f64();
            self.range(
                &what,
                part.taken_per_second,
                taken(played, from, to) / seconds,
            );
            let share = throttled_share(between(played, from, to));
            self.unless(share <= part.throttled_share, || {
                format!(
                    "throttled_share between {from:?} and {to:?}: {share}, expected at most {}",
                    part.throttled_share
                )
            });
        }
    }

    /// What was counted is what happened.
    fn counts(&mut self, played: &Played) {
        let tally = &played.summary.tally;
        let rows = played.rows.len() as u64;
        self.unless(tally.adds_up(), || format!("{tally:?} does not add up"));
        self.unless(played.summary.counted_to_end && tally.read == rows, || {
            format!("{} of {rows} rows were read or counted", tally.read)
        });
        // A row that a page was answered for and that is left is noted for the next run.
        let is_left = |call: &Call| {
            let mut records = played.records.iter();
            call.told == Told::Page && records.all(|record| record.user != call.user)
        };
        let noted = played.seen.calls.iter().any(is_left);
        self.unless(played.summary.all_recorded != noted, || {
            format!("rows are left in doubt: {noted}, and the run says otherwise")
        });
        for outcome in UnlinkOutcome::ALL.iter().copied() {
            let records = played.records.iter();
            let recorded = records.filter(|record| record.outcome == outcome).count() as u64;
            self.unless(recorded == tally.of(outcome), || {
                format!(
                    "{recorded} rows recorded as {outcome}, {} counted",
                    tally.of(outcome)
                )
            });
        }
        let calls = played.seen.calls.len() as u64;
        self.unless(played.calls_counted == calls, || {
            format!("{} calls counted, {calls} made", played.calls_counted)
        });
        let throttled = played
            .seen
            .calls
            .iter()
            .filter(|call| call.told == Told::Throttled);
        let throttled = throttled.count() as u64;
        self.unless(played.throttled_counted == throttled, || {
            format!(
                "{} throttled counted, {throttled} answered",
                played.throttled_counted
            )
        });
    }

    /// What the run was told to keep to.
    fn limits(&mut self, played: &Played) {
        let limits = &played.settings.limits;
        let seen = &played.seen;
        self.unless(seen.most_in_flight_of_one_identity <= 1, || {
            format!(
                "{} calls at once for one identity",
                seen.most_in_flight_of_one_identity
            )
        });
        let places = limits.concurrency.get() as usize;
        self.unless(seen.most_in_flight <= places, || {
            format!("{} calls in flight, {places} allowed", seen.most_in_flight)
        });
        let unended = seen
            .calls
            .iter()
            .filter(|call| call.ended.is_none())
            .count();
        self.unless(unended == 0, || format!("{unended} calls outlive the run"));
        let bound = played.settings.open_rows + AHEAD + AT_ONCE;
        self.unless(played.most_open <= bound, || {
            format!(
                "{} rows read and not recorded, {bound} allowed",
                played.most_open
            )
        });
        if let Some(rate) = limits.rate.per_second() {
            let burst = f64::from(limits.burst.get());
            let mut regions: HashMap<&str, Vec<f64>> = HashMap::new();
            for call in &seen.calls {
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

    /// Row by row: one record or none, and the truth.
    fn rows(&mut self, played: &Played) {
        let calls = by_row(played);
        let mut records: HashMap<&str, Vec<&Record>> = HashMap::new();
        for record in &played.records {
            records.entry(&record.user).or_default().push(record);
        }
        for (row, linked) in played.rows.iter().zip(&played.linked) {
            let user = row.link.developer_user_identifier.as_str();
            let calls = calls.get(user).map_or(&[][..], Vec::as_slice);
            let records = records.get(user).map_or(&[][..], Vec::as_slice);
            let life = Life {
                was_linked: row.was_linked,
                linked: *linked,
                calls,
                most_counted: played.settings.policy.max_attempts as usize,
            };
            for wrong in life.wrongs(records) {
                self.0
                    .push(format!("{user}: {wrong} ({records:?} after {calls:?})"));
            }
        }
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 20;
        for complaint in self.0.iter().take(SHOWN) {
            writeln!(f, "- {complaint}")?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => writeln!(f, "- and {more} more"),
        }
    }
}

/// Of runs that share a quota.
fn taken_by_each(played: &[Played], shared: &Shared) -> Vec<f64> {
    let taken = played
        .iter()
        .map(|played| taken(played, shared.from.0, shared.to.0));
    taken.collect()
}

/// One row from before the run to after it.
struct Life<'a> {
    was_linked: bool,
    linked: bool,
    calls: &'a [&'a Call],
    most_counted: usize,
}

impl Life<'_> {
    fn wrongs(&self, records: &[&Record]) -> Vec<&'static str> {
        let mut wrongs = Vec::new();
        let mut unless = |fine: bool, wrong| {
            if !fine {
                wrongs.push(wrong);
            }
        };
        let told = |told| self.calls.iter().any(|call| call.told == told);
        let unanswered = told(Told::Nothing) || told(Told::HungUp);
        let lost = unanswered || told(Told::Page);
        let counted =
            |call: &&&Call| matches!(call.told, Told::Nothing | Told::Page | Told::InternalError);
        unless(
            self.calls.iter().filter(counted).count() <= self.most_counted,
            "tried more often than --max-attempts",
        );
        unless(
            self.calls
                .is_sorted_by(|a, b| a.ended.is_some_and(|ended| ended <= b.started)),
            "called again while in flight",
        );
        unless(
            self.calls
                .windows(2)
                .all(|pair| pause(pair) >= pair[0].asked.unwrap_or_default()),
            "called again sooner than the service asked for",
        );
        let effects = self.calls.iter().filter(|call| call.effect).count();
        unless(
            usize::from(self.was_linked) == usize::from(self.linked) + effects,
            "the link is gone without a call, or there after one",
        );
        let [record] = records else {
            unless(records.is_empty(), "recorded more than once");
            // A page before Cognito's first answer is another endpoint's: it says that nothing has reached Cognito.
            unless(
                !unanswered && !told(Told::Unlinked),
                "left after a call that may have taken effect",
            );
            return wrongs;
        };
        unless(
            record.attempts as usize == self.calls.len(),
            "attempts are miscounted",
        );
        let told_last = self.calls.last().map(|call| call.told);
        unless(told_last.is_some(), "recorded without a call");
        match record.outcome {
            UnlinkOutcome::Unlinked => {
                unless(!self.linked, "unlinked, and still linked");
                unless(
                    told_last == Some(Told::Unlinked),
                    "unlinked without the service's word",
                );
            }
            UnlinkOutcome::NotLinked => {
                unless(
                    !self.was_linked && !lost,
                    "not_linked, and this run may have unlinked it",
                );
                unless(
                    told_last == Some(Told::NothingThere),
                    "not_linked without the service's word",
                );
            }
            UnlinkOutcome::UnlinkedReplyLost => {
                unless(
                    !self.linked && lost,
                    "unlinked_reply_lost, and no reply was lost",
                );
                unless(
                    told_last == Some(Told::NothingThere),
                    "unlinked_reply_lost without the service's word",
                );
            }
            UnlinkOutcome::Failed => {
                unless(!lost, "failed, and an attempt may have taken effect");
                unless(self.linked == self.was_linked, "failed, and unlinked");
            }
            UnlinkOutcome::InDoubt => {
                unless(lost, "in_doubt without a lost reply");
            }
            UnlinkOutcome::Invalid | UnlinkOutcome::Held => {
                unless(false, "a valid row that was not called")
            }
        }
        wrongs
    }
}

/// The calls that started in a part of the run.
fn between(played: &Played, from: Duration, to: Duration) -> impl Iterator<Item = &Call> {
    let calls = played.seen.calls.iter();
    calls.filter(move |call| (from..to).contains(&call.started))
}

/// Those of them that were not throttled.
fn taken(played: &Played, from: Duration, to: Duration) -> f64 {
    let taken = |call: &&Call| call.told != Told::Throttled;
    between(played, from, to).filter(taken).count() as f64
}

fn throttled_share<'a>(calls: impl Iterator<Item = &'a Call>) -> f64 {
    let (mut all, mut throttled) = (0_u32, 0_u32);
    for call in calls {
        all += 1;
        throttled += u32::from(call.told == Told::Throttled);
    }
    f64::from(throttled) / f64::from(all.max(1))
}

/// Time between two attempts of one row.
fn pause(pair: &[&Call]) -> Duration {
    let ended = pair[0].ended.unwrap_or(Duration::MAX);
    pair[1].started.saturating_sub(ended)
}

/// The calls of each row.
fn by_row(played: &Played) -> HashMap<&str, Vec<&Call>> {
    let mut calls: HashMap<&str, Vec<&Call>> = HashMap::new();
    for call in &played.seen.calls {
        calls.entry(&call.user).or_default().push(call);
    }
    calls
}

/// Of all stretches of time, the most calls that start beyond `rate` times its length.
fn most_over_the_rate(starts: &[f64], rate: f64) -> f64 {
    let mut most = 0.0_f64;
    // Of the stretches that end here, what the fullest has beyond the rate.
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
