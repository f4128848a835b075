//! Decides the step after a verdict, given the attempts before it. Pure: the caller passes in the time and the randomness.

use std::time::Duration;

use tokio::time::Instant;

use super::classify::{Cause, Verdict};
use super::outcome::End;

/// The longest `Retry-After` that a run honours. Beyond it the run halts, so that an operator can find out why.
pub const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(1);

/// Bounds on the attempts of a row.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Maximum number of attempts that get a server error or no reply; throttled ones do not count.
    pub max_attempts: u32,
    /// Bound on a row's life, from its first attempt.
    pub give_up_after: Duration,
    /// Ceiling of the first back-off; each further one doubles it.
    pub first_backoff: Duration,
    /// Ceiling of any back-off.
    pub longest_backoff: Duration,
    /// Waits for new credentials when the current ones have expired, instead of halting.
    pub wait_for_credentials: bool,
}

impl Policy {
    /// The defaults of the command line.
    pub const DEFAULT: Self = Self {
        max_attempts: 8,
        give_up_after: Duration::from_mins(15),
        first_backoff: Duration::from_millis(200),
        longest_backoff: Duration::from_secs(20),
        wait_for_credentials: false,
    };

    /// Returns whether all calls wait for new credentials after this verdict. If none have worked yet, the current ones are wrong
    /// rather than expired.
    #[must_use]
    pub fn waits_for_credentials(&self, verdict: Verdict, evidence: RunEvidence) -> bool {
        self.wait_for_credentials
            && match verdict {
                Verdict::Fatal(Cause::Expired) => true,
                Verdict::Fatal(Cause::NoCredentials) => evidence.cognito_replied,
                _ => false,
            }
    }

    /// Returns whether the Region is unreachable, which is no row's fault: it has not replied to any row for as long as a row may
    /// live, or, by the end of this row's `last` wait, for which the row is too old, for at least half of that time.
    fn is_unreachable(&self, silent_for: Duration, last: Option<Duration>) -> bool {
        let is_most = |last| silent_for.saturating_add(last) >= self.give_up_after / 2;
        silent_for >= self.give_up_after || (!silent_for.is_zero() && last.is_some_and(is_most))
    }

    /// Returns a back-off with full jitter: anywhere between zero and a ceiling that doubles. `random` is uniform in `[0, 1)`.
    fn backoff(&self, tries: u32, random: f64) -> Duration {
        let doubled = self.first_backoff.saturating_mul(
            1_u32
                .checked_shl(tries.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        doubled.min(self.longest_backoff).mul_f64(random)
    }
}

/// The step that follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The row is over.
    Settle {
        /// Its end.
        end: End,
        /// An attempt may have taken effect.
        in_doubt: bool,
    },
    /// The row backs off for this long, then asks for admission again.
    Retry(Duration),
    /// The service asks for a longer wait than a row lives: its Region starts no call for that time, and no row ages meanwhile.
    RegionWaits {
        /// The wait that the service asks for.
        retry_after: Duration,
        /// The row's own back-off after it.
        backoff: Duration,
    },
    /// The row stays as it was, and the run halts.
    Halt(Cause),
}

/// Evidence from the replies to other rows of this run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunEvidence {
    /// Cognito itself has replied. Before that, a foreign reply means a wrong endpoint rather than a passing fault.
    pub cognito_replied: bool,
    /// A signature was refused before this attempt started, and none accepted since: the clock's skew is known by now.
    pub signature_refused: bool,
    /// For how long calls have gone out in the row's Region without any reply.
    pub silent_for: Duration,
}

/// The attempts of one row so far.
#[derive(Debug, Clone, Copy)]
pub struct History {
    began: Option<Instant>,
    attempts: u32,
    counted_attempts: u32,
    signature_errors: u32,
    /// An attempt, of this run or of an earlier one, got no conclusive reply and may have taken effect.
    in_doubt: bool,
}

impl History {
    /// Begins a history without attempts. `in_doubt`: an attempt of an earlier run may have taken effect.
    #[must_use]
    pub fn new(in_doubt: bool) -> Self {
        Self {
            began: None,
            attempts: 0,
            counted_attempts: 0,
            signature_errors: 0,
            in_doubt,
        }
    }

    /// Records that an attempt starts.
    pub fn start(&mut self, now: Instant) {
        self.began.get_or_insert(now);
        self.attempts += 1;
    }

    /// Returns the number of attempts started in this run.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Returns whether an attempt may have taken effect without a record of it.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Decides what follows `verdict`. `retry_after` is the wait that the service asks for, `random` uniform in `[0, 1)`.
    pub fn step(
        &mut self,
        verdict: Verdict,
        retry_after: Option<Duration>,
        evidence: RunEvidence,
        policy: &Policy,
        now: Instant,
        random: f64,
    ) -> Step {
        match verdict {
            Verdict::Succeeded => return self.over(End::Succeeded),
            Verdict::NothingThere => return self.over(End::NothingThere),
            Verdict::Refused => return self.over(End::Failed),
            Verdict::Fatal(_) if policy.waits_for_credentials(verdict, evidence) => {
                return Step::Retry(Duration::ZERO);
            }
            Verdict::Fatal(cause) => return Step::Halt(cause),
            Verdict::Foreign if !evidence.cognito_replied => return Step::Halt(Cause::NotCognito),
            Verdict::Signature if evidence.signature_refused || self.signature_errors > 0 => {
                return Step::Halt(Cause::BadCredentials);
            }
            Verdict::Signature => self.signature_errors += 1,
            Verdict::Transient => self.counted_attempts += 1,
            Verdict::Lost | Verdict::Foreign => {
                self.counted_attempts += 1;
                self.in_doubt = true;
            }
            Verdict::Throttled | Verdict::NotSent => {}
        }
        if self.counted_attempts >= policy.max_attempts {
            return self.over(End::Failed);
        }
        self.retry(verdict, retry_after, evidence, policy, now, random)
    }

    /// Decides between another attempt and the end of the row's life.
    fn retry(
        &self,
        verdict: Verdict,
        retry_after: Option<Duration>,
        evidence: RunEvidence,
        policy: &Policy,
        now: Instant,
        random: f64,
    ) -> Step {
        let backoff = policy.backoff(self.attempts, random);
        let age = self
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let is_too_old = |delay: Duration| age.saturating_add(delay) > policy.give_up_after;
        let delay = backoff.max(retry_after.unwrap_or_default());
        let too_old = is_too_old(delay);
        if matches!(verdict, Verdict::Lost | Verdict::NotSent)
            && policy.is_unreachable(evidence.silent_for, too_old.then_some(delay))
        {
            Step::Halt(Cause::Unreachable)
        } else if let Some(retry_after) = retry_after.filter(|_| too_old && !is_too_old(backoff)) {
            // The service asks for the wait, so the row must not fail for it.
            if retry_after > LONGEST_RETRY_AFTER {
                Step::Halt(Cause::RetryAfterTooLong)
            } else {
                Step::RegionWaits {
                    retry_after,
                    backoff,
                }
            }
        } else if too_old {
            self.over(End::Failed)
        } else {
            Step::Retry(delay)
        }
    }

    /// Returns the end of the row's life; `None` before its first attempt.
    #[must_use]
    pub fn ends_at(&self, policy: &Policy) -> Option<Instant> {
        self.began
            .and_then(|began| began.checked_add(policy.give_up_after))
    }

    fn over(&self, end: End) -> Step {
        Step::Settle {
            end,
            in_doubt: self.in_doubt,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn over(end: End, in_doubt: bool) -> Step {
        Step::Settle { end, in_doubt }
    }

    const POLICY: Policy = Policy::DEFAULT;
    const EVIDENCE: RunEvidence = RunEvidence {
        cognito_replied: true,
        signature_refused: false,
        silent_for: Duration::ZERO,
    };

    /// Returns the step after these verdicts, half a second apart.
    fn after(in_doubt: bool, verdicts: &[Verdict]) -> Step {
        let begin = Instant::now();
        let mut history = History::new(in_doubt);
        let mut step = Step::Retry(Duration::ZERO);
        for (nth, verdict) in (0_u32..).zip(verdicts) {
            assert!(
                matches!(step, Step::Retry(_)),
                "{step:?} before {verdict:?}"
            );
            let now = begin + Duration::from_millis(500) * nth;
            history.start(now);
            step = history.step(*verdict, None, EVIDENCE, &POLICY, now, 0.5);
        }
        step
    }

    #[test]
    fn nothing_there_after_a_lost_reply_is_in_doubt() {
        use Verdict::{Foreign, Lost, NotSent, NothingThere, Throttled, Transient};
        let settles = |verdicts: &[Verdict], step| {
            assert_eq!(after(false, verdicts), step, "{verdicts:?}");
        };
        settles(&[NothingThere], over(End::NothingThere, false));
        settles(&[Throttled, NothingThere], over(End::NothingThere, false));
        settles(&[Transient, NothingThere], over(End::NothingThere, false));
        settles(&[NotSent, NothingThere], over(End::NothingThere, false));
        settles(&[Lost, NothingThere], over(End::NothingThere, true));
        settles(&[Foreign, NothingThere], over(End::NothingThere, true));
        settles(
            &[Lost, Transient, NothingThere],
            over(End::NothingThere, true),
        );
        assert_eq!(after(true, &[NothingThere]), over(End::NothingThere, true));
    }

    #[test]
    fn a_refusal_after_a_lost_reply_is_in_doubt() {
        assert_eq!(after(false, &[Verdict::Refused]), over(End::Failed, false));
        assert_eq!(
            after(false, &[Verdict::Lost, Verdict::Refused]),
            over(End::Failed, true)
        );
        assert_eq!(after(true, &[Verdict::Refused]), over(End::Failed, true));
    }

    #[test]
    fn server_errors_use_up_attempts_and_throttling_does_not() {
        assert_eq!(
            after(false, &[Verdict::Transient; 8]),
            over(End::Failed, false)
        );
        assert_eq!(after(false, &[Verdict::Lost; 8]), over(End::Failed, true));
        assert!(matches!(
            after(false, &[Verdict::Throttled; 100]),
            Step::Retry(_)
        ));
        assert!(matches!(
            after(false, &[Verdict::NotSent; 100]),
            Step::Retry(_)
        ));
    }

    #[test]
    fn a_rows_life_has_an_end() {
        let begin = Instant::now();
        let mut history = History::new(false);
        history.start(begin);
        let late = begin + POLICY.give_up_after;
        let step = |history: &mut History, random| {
            history.step(Verdict::Throttled, None, EVIDENCE, &POLICY, late, random)
        };
        assert_eq!(step(&mut history, 0.0), Step::Retry(Duration::ZERO));
        assert_eq!(step(&mut history, 0.5), over(End::Failed, false));
    }

    #[test]
    fn a_row_whose_region_is_silent_does_not_fail_for_the_wait_before_its_last_attempt() {
        let policy = Policy {
            give_up_after: Duration::from_secs(3),
            ..POLICY
        };
        let begin = Instant::now();
        let after = |silent_millis, random| {
            let evidence = RunEvidence {
                silent_for: Duration::from_millis(silent_millis),
                ..EVIDENCE
            };
            let mut history = History::new(false);
            for _ in 0..5 {
                history.start(begin);
            }
            let now = begin + Duration::from_millis(1300);
            history.step(Verdict::NotSent, None, evidence, &policy, now, random)
        };
        // The longest wait of a fifth attempt is 3.2 s.
        assert_eq!(after(1290, 0.9), Step::Halt(Cause::Unreachable));
        assert!(matches!(after(1290, 0.5), Step::Retry(_)));
        // Others are answered.
        assert_eq!(after(0, 0.9), over(End::Failed, false));
    }

    #[test]
    fn a_rows_life_begins_with_its_first_attempt() {
        let begin = Instant::now();
        let mut history = History::new(false);
        assert_eq!(history.ends_at(&POLICY), None);
        history.start(begin);
        history.start(begin + POLICY.give_up_after / 2);
        let end = begin + POLICY.give_up_after;
        assert_eq!(history.ends_at(&POLICY), Some(end));
        let after_it = end + Duration::from_millis(1);
        assert_eq!(
            history.step(Verdict::Throttled, None, EVIDENCE, &POLICY, after_it, 0.0),
            over(End::Failed, false)
        );
    }

    #[test]
    fn expired_credentials_are_waited_for_if_asked_and_if_some_have_worked() {
        let waiting = Policy {
            wait_for_credentials: true,
            ..POLICY
        };
        let (expired, none) = (
            Verdict::Fatal(Cause::Expired),
            Verdict::Fatal(Cause::NoCredentials),
        );
        let no_evidence = RunEvidence::default();
        assert!(
            waiting.waits_for_credentials(expired, no_evidence)
                && waiting.waits_for_credentials(expired, EVIDENCE)
        );
        assert!(
            waiting.waits_for_credentials(none, EVIDENCE)
                && !waiting.waits_for_credentials(none, no_evidence)
        );
        for verdict in [
            Verdict::Fatal(Cause::OtherAccount),
            Verdict::Fatal(Cause::BadCredentials),
            Verdict::Throttled,
        ] {
            assert!(
                !waiting.waits_for_credentials(verdict, EVIDENCE),
                "{verdict:?}"
            );
        }
        assert!(
            !POLICY.waits_for_credentials(expired, EVIDENCE)
                && !POLICY.waits_for_credentials(none, EVIDENCE)
        );

        let now = Instant::now();
        let mut history = History::new(false);
        history.start(now);
        let mut after = |policy| history.step(expired, None, EVIDENCE, policy, now, 0.5);
        assert_eq!(after(&waiting), Step::Retry(Duration::ZERO));
        assert_eq!(after(&POLICY), Step::Halt(Cause::Expired));
    }

    #[test]
    fn a_signature_error_is_tried_once_more() {
        assert!(matches!(
            after(false, &[Verdict::Signature]),
            Step::Retry(_)
        ));
        assert_eq!(
            after(false, &[Verdict::Signature, Verdict::Signature]),
            Step::Halt(Cause::BadCredentials)
        );
        let now = Instant::now();
        let mut history = History::new(false);
        history.start(now);
        let evidence = RunEvidence {
            signature_refused: true,
            ..EVIDENCE
        };
        assert_eq!(
            history.step(Verdict::Signature, None, evidence, &POLICY, now, 0.5),
            Step::Halt(Cause::BadCredentials)
        );
    }

    #[test]
    fn a_foreign_reply_halts_until_cognito_has_replied() {
        let now = Instant::now();
        let mut history = History::new(false);
        history.start(now);
        assert_eq!(
            history.step(
                Verdict::Foreign,
                None,
                RunEvidence::default(),
                &POLICY,
                now,
                0.5
            ),
            Step::Halt(Cause::NotCognito)
        );
        assert!(!history.is_in_doubt());
    }

    #[test]
    fn a_region_that_never_answers_halts_the_run_and_fails_no_row() {
        let begin = Instant::now();
        let after = |verdict, age, silent_for| {
            let mut history = History::new(false);
            history.start(begin);
            let evidence = RunEvidence {
                silent_for,
                ..EVIDENCE
            };
            history.step(verdict, None, evidence, &POLICY, begin + age, 0.5)
        };
        let (minute, life) = (Duration::from_mins(1), POLICY.give_up_after);
        for verdict in [Verdict::Lost, Verdict::NotSent] {
            assert!(matches!(after(verdict, minute, minute), Step::Retry(_)));
            assert_eq!(after(verdict, minute, life), Step::Halt(Cause::Unreachable));
            assert_eq!(
                after(verdict, life, life / 2),
                Step::Halt(Cause::Unreachable)
            );
        }
        assert_eq!(
            after(Verdict::NotSent, life, minute),
            over(End::Failed, false)
        );
        assert_eq!(after(Verdict::Lost, life, minute), over(End::Failed, true));
        // A service that answers, however badly, is reached.
        for verdict in [Verdict::Transient, Verdict::Throttled] {
            assert!(matches!(after(verdict, minute, life), Step::Retry(_)));
            let step = after(verdict, life, life);
            assert_eq!(step, over(End::Failed, false), "{verdict:?}");
        }
    }

    #[test]
    fn a_wait_beyond_a_rows_life_is_the_regions_and_no_row_fails() {
        let begin = Instant::now();
        let after = |verdict, retry_after| {
            let mut history = History::new(false);
            history.start(begin);
            history.step(verdict, Some(retry_after), EVIDENCE, &POLICY, begin, 0.5)
        };
        let (life, backoff) = (POLICY.give_up_after, POLICY.backoff(1, 0.5));
        for verdict in [Verdict::Throttled, Verdict::Transient] {
            assert_eq!(after(verdict, life), Step::Retry(life));
            for retry_after in [life + Duration::from_millis(1), LONGEST_RETRY_AFTER] {
                let waits = Step::RegionWaits {
                    retry_after,
                    backoff,
                };
                assert_eq!(after(verdict, retry_after), waits, "{verdict:?}");
            }
            for retry_after in [LONGEST_RETRY_AFTER + Duration::from_secs(1), Duration::MAX] {
                assert_eq!(
                    after(verdict, retry_after),
                    Step::Halt(Cause::RetryAfterTooLong)
                );
            }
        }
    }

    proptest! {
        #[test]
        fn back_off_is_jittered_doubled_bounded_and_as_long_as_asked(
            tries in 1_u32..100, random in 0.0..1.0_f64, retry_after in 0_u64..60_000,
        ) {
            let ceiling = POLICY.first_backoff.as_secs_f64() * 2_f64.powi(tries.cast_signed() - 1);
            let backoff = POLICY.backoff(tries, random);
            let ceiling = ceiling.min(POLICY.longest_backoff.as_secs_f64());
            prop_assert!((backoff.as_secs_f64() - ceiling * random).abs() < 1e-6);

            let now = Instant::now();
            let retry_after = Duration::from_millis(retry_after);
            let mut history = History::new(false);
            history.start(now);
            for _ in 1..tries {
                history.start(now);
            }
            let step = history.step(Verdict::Throttled, Some(retry_after), EVIDENCE, &POLICY, now, random);
            prop_assert_eq!(step, Step::Retry(backoff.max(retry_after)));
        }
    }
}
