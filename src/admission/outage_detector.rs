//! Finds out that a Region does not answer, and opens its circuit breaker: each row alone would find out the same, and no row is
//! the cause. Pure: every function gets the time as an argument.

use std::time::Duration;

use tokio::time::Instant;

use super::circuit_breaker::CircuitBreaker;

// Calls in a row without an answer that open the breaker.

/// Calls that cannot have been sent.
const NOT_SENT: u32 = 5;
/// Calls of different rows that may have been sent. A few replies are lost on any day. Doubled, twice as many rows are in doubt
/// at the start of an outage.
const UNANSWERED: u32 = 16;

// Delays of the report: at most five seconds for every kind of outage.

/// Time without any answer after a call that was not sent, or after the second that was not answered. Halved, one lost reply is
/// reported as an outage.
const REPORTED_AFTER: Duration = Duration::from_millis(1500);
/// Time after the very first call, while no call has ever been answered.
const REPORTED_AFTER_FIRST_CALL: Duration = Duration::from_secs(4);

// Pauses between trial calls.

/// First and longest pause while calls cannot be sent; doubled after each failed trial.
const NOT_SENT_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Pause while calls are sent and not answered, in addition to the attempt's time-out.
const UNANSWERED_PAUSE: Duration = Duration::from_millis(500);

/// Counts the calls to a Region that are not answered.
#[derive(Debug, Default)]
pub(super) struct OutageDetector {
    pub(super) breaker: CircuitBreaker,
    /// Time of the first failed call that no answer has followed.
    since: Option<Instant>,
    not_sent: u32,
    unanswered: u32,
    /// Row of the last unanswered call: a single row may be what the service fails on.
    last_row: Option<u64>,
    failed_trials: u32,
    /// Start of the very first call.
    first_call: Option<Instant>,
    has_answered: bool,
}

impl OutageDetector {
    /// Records an answer, and closes the breaker.
    pub(super) fn answered(&mut self, now: Instant) {
        self.has_answered = true;
        if self.since.is_none() {
            return;
        }
        self.breaker.close(now);
        *self = Self {
            breaker: std::mem::take(&mut self.breaker),
            has_answered: true,
            first_call: self.first_call,
            ..Self::default()
        };
    }

    /// Records the start of a call.
    pub(super) fn call_started(&mut self, now: Instant) {
        self.first_call.get_or_insert(now);
    }

    /// Records a call whose credentials were not accepted: the wait for others is no silence of the Region.
    pub(super) fn credentials_rejected(&mut self) {
        self.first_call = None;
    }

    /// Returns since when the Region has been out, once that is to be reported. The breaker may still be closed: while a single
    /// row is called, it opens late.
    pub(super) fn outage_since(&self, now: Instant) -> Option<Instant> {
        let lasts = |since: Instant, time| now.saturating_duration_since(since) >= time;
        let is_significant = self.not_sent > 0 || self.unanswered > 1;
        let since = self.since.filter(|since| {
            self.breaker.is_open() || is_significant && lasts(*since, REPORTED_AFTER)
        });
        let first = self
            .first_call
            .filter(|first| !self.has_answered && lasts(*first, REPORTED_AFTER_FIRST_CALL));
        since.or(first)
    }

    /// Returns whether the Region has answered, and has had no outage since.
    pub(super) fn is_answering(&self) -> bool {
        self.has_answered && !self.breaker.is_open()
    }

    /// Records a call that was not answered. `row` identifies its row, or is none if the call cannot have been sent, which no
    /// row can cause.
    pub(super) fn unanswered(&mut self, row: Option<u64>, is_trial: bool, now: Instant) {
        self.since.get_or_insert(now);
        let is_open = self.breaker.is_open();
        if is_open && !is_trial {
            return;
        }
        if row.is_none() {
            self.not_sent += 1;
        }
        if row.is_none() || row != self.last_row {
            self.unanswered += 1;
        }
        self.last_row = row;
        if is_open || self.not_sent >= NOT_SENT || self.unanswered >= UNANSWERED {
            let pause = self.pause(row.is_none());
            self.breaker.open(now, pause);
        }
    }

    fn pause(&mut self, is_not_sent: bool) -> Duration {
        if !is_not_sent {
            return UNANSWERED_PAUSE;
        }
        let (first, longest) = NOT_SENT_PAUSE;
        let factor = 1_u32.checked_shl(self.failed_trials).unwrap_or(u32::MAX);
        self.failed_trials += 1;
        first.saturating_mul(factor).min(longest)
    }

    /// Returns the time since the first of the calls that were followed by no answer.
    pub(super) fn unanswered_for(&self, now: Instant) -> Duration {
        self.since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::super::circuit_breaker::Decision;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn unanswered_calls_of_different_rows_open_the_breaker() {
        let now = Instant::now();
        let mut outage = OutageDetector::default();
        for row in 1..u64::from(UNANSWERED) {
            outage.unanswered(Some(row), false, now);
        }
        assert_eq!(outage.breaker.open_since(), None);
        outage.answered(now);
        for row in 1..u64::from(UNANSWERED) {
            outage.unanswered(Some(row), false, now);
        }
        let opened = outage.breaker.open_since();
        assert_eq!(opened, None, "an answer starts the count again");
        outage.unanswered(Some(99), false, now);
        assert_eq!(
            outage.breaker.decide(now),
            Decision::NotBefore(now + UNANSWERED_PAUSE)
        );
    }

    #[test]
    fn every_kind_of_outage_is_reported_within_five_seconds() {
        let begin = Instant::now();
        let after = |millis| begin + Duration::from_millis(millis);
        // Refused connections, while a single row is called.
        let mut outage = OutageDetector::default();
        outage.call_started(begin);
        outage.unanswered(None, false, begin);
        assert_eq!(outage.outage_since(begin), None);
        assert_eq!(outage.outage_since(after(1500)), Some(begin));
        assert_eq!(outage.breaker.open_since(), None);
        // An answer ends the outage, and one lost reply is none.
        outage.answered(after(1600));
        outage.unanswered(Some(7), false, after(2000));
        assert_eq!(outage.outage_since(after(60_000)), None);
        outage.unanswered(Some(8), false, after(2000));
        assert_eq!(outage.outage_since(after(3500)), Some(after(2000)));
        // The first call is sent and not answered.
        let mut outage = OutageDetector::default();
        assert_eq!(outage.outage_since(after(60_000)), None);
        outage.call_started(begin);
        assert_eq!(outage.outage_since(after(3999)), None);
        assert_eq!(outage.outage_since(after(4000)), Some(begin));
        outage.answered(after(4100));
        assert_eq!(outage.outage_since(after(60_000)), None);
        // The credentials of the first call are not accepted, and the next call is not answered.
        let mut outage = OutageDetector::default();
        outage.call_started(begin);
        outage.credentials_rejected();
        assert_eq!(outage.outage_since(after(60_000)), None);
        outage.call_started(after(60_000));
        assert_eq!(outage.outage_since(after(64_000)), Some(after(60_000)));
    }

    #[test]
    fn one_row_alone_does_not_open_the_breaker_but_refused_connections_do() {
        let now = Instant::now();
        let mut outage = OutageDetector::default();
        for _ in 0..100 {
            outage.unanswered(Some(7), false, now);
        }
        assert_eq!(outage.breaker.open_since(), None);
        assert_eq!(outage.unanswered_for(now + SECOND), SECOND);
        for _ in 0..NOT_SENT {
            outage.unanswered(None, false, now);
        }
        assert_eq!(outage.breaker.open_since(), Some(now));
    }

    #[test]
    fn pauses_between_trials_double_and_an_answer_ends_the_outage() {
        let mut now = Instant::now();
        let mut outage = OutageDetector::default();
        for _ in 0..NOT_SENT {
            outage.unanswered(None, false, now);
        }
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let Decision::NotBefore(next) = outage.breaker.decide(now) else {
                panic!("{outage:?}");
            };
            pauses.push((next - now).as_secs());
            now = next;
            outage.breaker.begin_trial();
            // Calls that were in flight when the breaker opened say nothing new.
            outage.unanswered(None, false, now);
            outage.unanswered(None, true, now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        outage.answered(now);
        assert_eq!(outage.breaker.decide(now), Decision::Call);
        assert_eq!(outage.breaker.suspended(now).as_secs(), 121);

        // The next outage is counted from zero.
        for _ in 1..NOT_SENT {
            outage.unanswered(None, false, now);
        }
        assert_eq!(outage.breaker.decide(now), Decision::Call);
        outage.unanswered(None, false, now);
        let first = Decision::NotBefore(now + NOT_SENT_PAUSE.0);
        assert_eq!(outage.breaker.decide(now), first);
    }
}
