//! A gate that is shut while calling would be in vain, but for one call at a time that tries. Pure: told the time.
//!
//! Time behind a shut gate is nobody's: rows do not age in it ([`CircuitBreaker::lost`]).

use std::time::Duration;

use tokio::time::Instant;

/// Whether a call may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passage {
    /// The gate is open.
    Free,
    /// The gate is shut, and it is time that one call tries.
    Try,
    /// Not before this time.
    NotBefore(Instant),
    /// Not before the call that tries has been answered.
    AfterTry,
}

/// Open, unless it was shut.
#[derive(Debug, Default)]
pub(super) struct CircuitBreaker {
    shut: Option<Shut>,
    lost: Duration,
    looked: Option<Instant>,
}

/// If nobody has looked for so long, the process stood still: SIGTSTP, or a debugger.
const STOOD_STILL: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy)]
struct Shut {
    since: Instant,
    try_at: Instant,
    trying: bool,
}

impl CircuitBreaker {
    /// Whether a call may pass now. It changes nothing: see [`CircuitBreaker::begin_try`].
    pub(super) fn passage(&self, now: Instant) -> Passage {
        match self.shut {
            None => Passage::Free,
            Some(shut) if shut.trying => Passage::AfterTry,
            Some(shut) if shut.try_at > now => Passage::NotBefore(shut.try_at),
            Some(_) => Passage::Try,
        }
    }

    /// A call goes out to try.
    pub(super) fn begin_try(&mut self) {
        if let Some(shut) = &mut self.shut {
            shut.trying = true;
        }
    }

    /// The call that tried was broken off: another may try.
    pub(super) fn break_off_try(&mut self) {
        if let Some(shut) = &mut self.shut {
            shut.trying = false;
        }
    }

    /// Shuts the gate, or keeps it shut after a try in vain. The next try is `pause` from now.
    pub(super) fn shut(&mut self, now: Instant, pause: Duration) {
        let since = self.shut.map_or(now, |shut| shut.since);
        self.shut = Some(Shut {
            since,
            try_at: now + pause,
            trying: false,
        });
    }

    /// Opens the gate.
    pub(super) fn open(&mut self, now: Instant) {
        self.lost = self.lost(now);
        self.shut = None;
    }

    /// Since when the gate has been shut, if it is.
    pub(super) fn shut_since(&self) -> Option<Instant> {
        self.shut.map(|shut| shut.since)
    }

    /// Until when the gate stays shut, if it is.
    pub(super) fn shut_until(&self) -> Option<Instant> {
        self.shut.map(|shut| shut.try_at)
    }

    /// Looks at the time; what has passed unseen is lost too. It must be looked at more often than [`STOOD_STILL`].
    pub(super) fn look(&mut self, now: Instant) {
        let unseen = self.looked.map_or(Duration::ZERO, |looked| {
            now.saturating_duration_since(looked)
        });
        if unseen > STOOD_STILL && self.shut.is_none() {
            self.lost += unseen;
        }
        self.looked = Some(now);
    }

    /// All the time for which the gate has been shut.
    pub(super) fn lost(&self, now: Instant) -> Duration {
        let current = self.shut.map_or(Duration::ZERO, |shut| {
            now.saturating_duration_since(shut.since)
        });
        self.lost + current
    }
}

/// Calls in a row that reach nobody, until a Region counts as silent.
const UNSENT: u32 = 5;
/// The same for calls that may have been sent. Some are lost on any day, and each is one of its row's attempts.
const UNANSWERED: u32 = 16;
/// A Region is told as silent when nothing has been answered for so long after a call that reached nobody, or after the second
/// that was not answered. Halved, one reply that is lost is told as an outage.
const TOLD_AFTER: Duration = Duration::from_millis(1500);
/// The same where the first calls of all are still under way.
const TOLD_AT_FIRST_AFTER: Duration = Duration::from_secs(4);
/// From one try to the next while nobody is reached, to begin with and at the most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The same while calls are taken and not answered; the attempt's time-out comes on top.
const PAUSE_UNANSWERED: Duration = Duration::from_millis(500);

/// Watches whether a Region answers at all, and shuts its gate while it does not: each row for itself would find out the
/// same, and none is to blame.
#[derive(Debug, Default)]
pub(super) struct OutageDetector {
    pub(super) gate: CircuitBreaker,
    /// When the first of the calls was over that have not been answered, none having been answered since.
    since: Option<Instant>,
    unsent: u32,
    unanswered: u32,
    /// Of the last unanswered call that may have been sent: one row alone may be what the service stumbles over.
    last_row: Option<u64>,
    tries: u32,
    /// When the first call of all started.
    first_call: Option<Instant>,
    /// An answer has come, ever.
    has_answered: bool,
}

impl OutageDetector {
    /// The Region answered.
    pub(super) fn heard(&mut self, now: Instant) {
        self.has_answered = true;
        if self.since.is_none() {
            return;
        }
        self.gate.open(now);
        *self = Self {
            gate: std::mem::take(&mut self.gate),
            has_answered: true,
            first_call: self.first_call,
            ..Self::default()
        };
    }

    /// A call starts.
    pub(super) fn called(&mut self, now: Instant) {
        self.first_call.get_or_insert(now);
    }

    /// Since when the Region is to be told as silent, if it is. The gate may still be open: with one row at work it is shut late.
    pub(super) fn told_since(&self, now: Instant) -> Option<Instant> {
        let lasts = |since: Instant, time| now.saturating_duration_since(since) >= time;
        let is_telling = self.unsent > 0 || self.unanswered > 1;
        let since = self.since.filter(|since| {
            self.gate.shut_since().is_some() || is_telling && lasts(*since, TOLD_AFTER)
        });
        let first = self
            .first_call
            .filter(|first| !self.has_answered && lasts(*first, TOLD_AT_FIRST_AFTER));
        since.or(first)
    }

    /// Whether the Region has answered, and is not taken for silent since.
    pub(super) fn is_answering(&self) -> bool {
        self.has_answered && self.gate.shut_since().is_none()
    }

    /// The Region did not answer a call for `row`, or `None` if the call cannot have been sent, which is no row's doing.
    /// `tried` says whether it was the call that tries the gate.
    pub(super) fn unanswered(&mut self, row: Option<u64>, tried: bool, now: Instant) {
        self.since.get_or_insert(now);
        let shut = self.gate.shut_since().is_some();
        if shut && !tried {
            return;
        }
        if row.is_none() {
            self.unsent += 1;
        }
        if row.is_none() || row != self.last_row {
            self.unanswered += 1;
        }
        self.last_row = row;
        if shut || self.unsent >= UNSENT || self.unanswered >= UNANSWERED {
            let pause = self.pause(row.is_none());
            self.gate.shut(now, pause);
        }
    }

    fn pause(&mut self, unsent: bool) -> Duration {
        if !unsent {
            return PAUSE_UNANSWERED;
        }
        let doubled = 1_u32.checked_shl(self.tries).unwrap_or(u32::MAX);
        self.tries += 1;
        PAUSE.0.saturating_mul(doubled).min(PAUSE.1)
    }

    /// For how long calls have gone out and none was answered.
    pub(super) fn unheard_for(&self, now: Instant) -> Duration {
        self.since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_shut_gate_lets_one_try_at_a_time() {
        let begin = Instant::now();
        let mut gate = CircuitBreaker::default();
        assert_eq!(gate.passage(begin), Passage::Free);
        gate.shut(begin, SECOND);
        assert_eq!(gate.passage(begin), Passage::NotBefore(begin + SECOND));
        assert_eq!(gate.passage(begin + SECOND), Passage::Try);
        gate.begin_try();
        assert_eq!(gate.passage(begin + SECOND), Passage::AfterTry);
        gate.break_off_try();
        assert_eq!(gate.passage(begin + SECOND), Passage::Try);
        gate.begin_try();
        gate.shut(begin + SECOND * 2, SECOND * 2);
        assert_eq!(
            gate.passage(begin + SECOND * 3),
            Passage::NotBefore(begin + SECOND * 4)
        );
        assert_eq!(gate.shut_since(), Some(begin));
        gate.open(begin + SECOND * 5);
        assert_eq!(gate.passage(begin + SECOND * 5), Passage::Free);
        assert_eq!(gate.lost(begin + SECOND * 9), SECOND * 5);
    }

    #[test]
    fn time_that_nobody_sees_is_lost() {
        let begin = Instant::now();
        let mut gate = CircuitBreaker::default();
        for seconds in [0, 1, 2, 12, 13] {
            gate.look(begin + SECOND * seconds);
        }
        assert_eq!(gate.lost(begin + SECOND * 13), SECOND * 10);
        // Behind a shut gate it is lost already.
        gate.shut(begin + SECOND * 13, SECOND);
        gate.look(begin + SECOND * 23);
        assert_eq!(gate.lost(begin + SECOND * 23), SECOND * 20);
    }

    #[test]
    fn a_region_is_silent_after_a_streak_of_different_rows() {
        let now = Instant::now();
        let mut silence = OutageDetector::default();
        for row in 1..u64::from(UNANSWERED) {
            silence.unanswered(Some(row), false, now);
        }
        assert_eq!(silence.gate.shut_since(), None);
        silence.heard(now);
        for row in 1..u64::from(UNANSWERED) {
            silence.unanswered(Some(row), false, now);
        }
        assert_eq!(silence.gate.shut_since(), None, "an answer ends a streak");
        silence.unanswered(Some(99), false, now);
        assert_eq!(
            silence.gate.passage(now),
            Passage::NotBefore(now + PAUSE_UNANSWERED)
        );
    }

    #[test]
    fn a_silence_is_told_within_five_seconds_whatever_its_kind() {
        let begin = Instant::now();
        let after = |millis| begin + Duration::from_millis(millis);
        // Refused, with one row at work.
        let mut silence = OutageDetector::default();
        silence.called(begin);
        silence.unanswered(None, false, begin);
        assert_eq!(silence.told_since(begin), None);
        assert_eq!(silence.told_since(after(1500)), Some(begin));
        assert_eq!(silence.gate.shut_since(), None);
        // An answer ends it, and one lost reply is none.
        silence.heard(after(1600));
        silence.unanswered(Some(7), false, after(2000));
        assert_eq!(silence.told_since(after(60_000)), None);
        silence.unanswered(Some(8), false, after(2000));
        assert_eq!(silence.told_since(after(3500)), Some(after(2000)));
        // The first call is taken and not answered.
        let mut silence = OutageDetector::default();
        assert_eq!(silence.told_since(after(60_000)), None);
        silence.called(begin);
        assert_eq!(silence.told_since(after(3999)), None);
        assert_eq!(silence.told_since(after(4000)), Some(begin));
        silence.heard(after(4100));
        assert_eq!(silence.told_since(after(60_000)), None);
    }

    #[test]
    fn one_row_alone_makes_no_silence_but_refused_connections_do() {
        let now = Instant::now();
        let mut silence = OutageDetector::default();
        for _ in 0..100 {
            silence.unanswered(Some(7), false, now);
        }
        assert_eq!(silence.gate.shut_since(), None);
        assert_eq!(silence.unheard_for(now + SECOND), SECOND);
        for _ in 0..UNSENT {
            silence.unanswered(None, false, now);
        }
        assert_eq!(silence.gate.shut_since(), Some(now));
    }

    #[test]
    fn tries_become_rare_and_an_answer_ends_the_silence() {
        let mut now = Instant::now();
        let mut silence = OutageDetector::default();
        for _ in 0..UNSENT {
            silence.unanswered(None, false, now);
        }
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let Passage::NotBefore(next) = silence.gate.passage(now) else {
                panic!("{silence:?}");
            };
            pauses.push((next - now).as_secs());
            now = next;
            silence.gate.begin_try();
            // Calls that were under way when the gate was shut say nothing new.
            silence.unanswered(None, false, now);
            silence.unanswered(None, true, now);
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        silence.heard(now);
        assert_eq!(silence.gate.passage(now), Passage::Free);
        assert_eq!(silence.gate.lost(now).as_secs(), 121);

        // The next silence begins from nothing.
        for _ in 1..UNSENT {
            silence.unanswered(None, false, now);
        }
        assert_eq!(silence.gate.passage(now), Passage::Free);
        silence.unanswered(None, false, now);
        let first = Passage::NotBefore(now + PAUSE.0);
        assert_eq!(silence.gate.passage(now), first);
    }
}
