//! What follows from an attempt's class after the attempts before it. Pure: the caller brings the time and the chance.

use std::time::Duration;

use tokio::time::Instant;

use crate::outcome::{Cause, Class, Outcome};

/// A service that asks for a longer wait (`Retry-After`) than this, and than a row lives, halts the run: somebody should look why.
pub const LONGEST_ASKED: Duration = Duration::from_hours(1);

/// How long and how often a row is tried.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Attempts that were answered with a server's error or not answered; throttled ones do not count.
    pub max_attempts: u32,
    /// Bound on a row's whole life, from its first attempt.
    pub give_up_after: Duration,
    /// Ceiling of the first back-off; each further one doubles it.
    pub first_backoff: Duration,
    /// Ceiling of any back-off.
    pub longest_backoff: Duration,
    /// Whether to wait for other credentials when those at hand have expired, instead of halting.
    pub wait_for_credentials: bool,
}

impl Policy {
    /// The contract's defaults.
    pub const DEFAULT: Self = Self {
        max_attempts: 8,
        give_up_after: Duration::from_mins(15),
        first_backoff: Duration::from_millis(200),
        longest_backoff: Duration::from_secs(20),
        wait_for_credentials: false,
    };

    /// Whether an answer of this class means to wait for other credentials. Where none have worked yet, they are wrong
    /// rather than expired.
    #[must_use]
    pub fn locks(&self, class: Class, known: Known) -> bool {
        self.wait_for_credentials
            && match class {
                Class::Fatal(Cause::Expired) => true,
                Class::Fatal(Cause::NoCredentials) => known.cognito_heard,
                _ => false,
            }
    }

    /// Whether it is the Region's fault, and no row's, that a row gets no answer: nobody in it has been answered for as long
    /// as a row may live, or for most of that time when this row's `last` wait, which it is too old for, would be over.
    fn is_unreachable(&self, unheard_for: Duration, last: Option<Duration>) -> bool {
        let is_most = |last| unheard_for.saturating_add(last) >= self.give_up_after / 2;
        unheard_for >= self.give_up_after || (!unheard_for.is_zero() && last.is_some_and(is_most))
    }

    /// Full jitter: anywhere between nothing and a ceiling that doubles. `chance` is uniform in `[0, 1)`.
    fn backoff(&self, tries: u32, chance: f64) -> Duration {
        let doubled = self.first_backoff.saturating_mul(
            1_u32
                .checked_shl(tries.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        doubled.min(self.longest_backoff).mul_f64(chance)
    }
}

/// What to do with a row after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It is over: this is its outcome.
    Settle(Outcome),
    /// Wait this long, then ask for admission again.
    Again(Duration),
    /// The service asks for a longer wait than a row lives: its Region starts no call for so long, and no row ages. Then wait
    /// for as long as any row does.
    RegionWaits {
        /// What the service asks for.
        asked: Duration,
        /// The row's own back-off.
        then: Duration,
    },
    /// Leave the row as it was and halt the run.
    Halt(Cause),
}

/// What other rows' answers have told in this run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Cognito itself has answered: if not, an answer of somebody else's is a wrong endpoint rather than a bad moment.
    pub cognito_heard: bool,
    /// A signature was refused before this attempt started and none taken since: the clock's skew is known by now.
    pub signature_refused: bool,
    /// For how long calls have gone out in the row's Region and none at all was answered.
    pub unheard_for: Duration,
}

/// The attempts of one row so far.
#[derive(Debug, Clone, Copy)]
pub struct History {
    began: Option<Instant>,
    attempts: u32,
    counted: u32,
    signature_errors: u32,
    /// An attempt, of this run or of an earlier one, got no conclusive answer and may have taken effect.
    in_doubt: bool,
}

impl History {
    /// No attempt in this run yet; `in_doubt` tells of one in an earlier run.
    #[must_use]
    pub fn new(in_doubt: bool) -> Self {
        Self {
            began: None,
            attempts: 0,
            counted: 0,
            signature_errors: 0,
            in_doubt,
        }
    }

    /// Notes that an attempt starts.
    pub fn start(&mut self, now: Instant) {
        self.began.get_or_insert(now);
        self.attempts += 1;
    }

    /// Attempts started in this run.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// Whether an attempt may have taken effect without anybody knowing.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.in_doubt
    }

    /// Decides what follows from `class`.
    pub fn next(
        &mut self,
        class: Class,
        asked: Option<Duration>,
        known: Known,
        policy: &Policy,
        now: Instant,
        chance: f64,
    ) -> Next {
        match class {
            Class::Unlinked => return Next::Settle(Outcome::Unlinked),
            Class::NothingThere if self.in_doubt => {
                return Next::Settle(Outcome::UnlinkedReplyLost);
            }
            Class::NothingThere => return Next::Settle(Outcome::NotLinked),
            Class::Refused => return Next::Settle(self.gave_up()),
            Class::Fatal(_) if policy.locks(class, known) => return Next::Again(Duration::ZERO),
            Class::Fatal(cause) => return Next::Halt(cause),
            Class::Foreign if !known.cognito_heard => return Next::Halt(Cause::NotCognito),
            Class::Signature if known.signature_refused || self.signature_errors > 0 => {
                return Next::Halt(Cause::BadCredentials);
            }
            Class::Signature => self.signature_errors += 1,
            Class::Transient => self.counted += 1,
            Class::Lost | Class::Foreign => {
                self.counted += 1;
                self.in_doubt = true;
            }
            Class::Throttled | Class::NotSent => {}
        }
        let backoff = policy.backoff(self.attempts, chance);
        let age = self
            .began
            .map_or(Duration::ZERO, |began| now.saturating_duration_since(began));
        let is_too_old = |delay: Duration| age.saturating_add(delay) > policy.give_up_after;
        let delay = backoff.max(asked.unwrap_or_default());
        let too_old = is_too_old(delay);
        if self.counted >= policy.max_attempts {
            Next::Settle(self.gave_up())
        } else if matches!(class, Class::Lost | Class::NotSent)
            && policy.is_unreachable(known.unheard_for, too_old.then_some(delay))
        {
            Next::Halt(Cause::Unreachable)
        } else if let Some(asked) = asked.filter(|_| too_old && !is_too_old(backoff)) {
            // It is the service that wants to wait, and no row's fault.
            if asked > LONGEST_ASKED {
                Next::Halt(Cause::AskedToWait)
            } else {
                Next::RegionWaits {
                    asked,
                    then: backoff,
                }
            }
        } else if too_old {
            Next::Settle(self.gave_up())
        } else {
            Next::Again(delay)
        }
    }

    /// When the row's life is over; nothing before its first attempt.
    #[must_use]
    pub fn ends_at(&self, policy: &Policy) -> Option<Instant> {
        self.began
            .and_then(|began| began.checked_add(policy.give_up_after))
    }

    /// What a row is told as that is tried no more.
    #[must_use]
    pub fn gave_up(&self) -> Outcome {
        if self.in_doubt {
            Outcome::InDoubt
        } else {
            Outcome::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const POLICY: Policy = Policy::DEFAULT;
    const KNOWN: Known = Known {
        cognito_heard: true,
        signature_refused: false,
        unheard_for: Duration::ZERO,
    };

    /// What follows from these classes one after the other, half a second apart.
    fn after(in_doubt: bool, classes: &[Class]) -> Next {
        let begin = Instant::now();
        let mut history = History::new(in_doubt);
        let mut next = Next::Again(Duration::ZERO);
        for (nth, class) in (0_u32..).zip(classes) {
            assert!(matches!(next, Next::Again(_)), "{next:?} before {class:?}");
            let now = begin + Duration::from_millis(500) * nth;
            history.start(now);
            next = history.next(*class, None, KNOWN, &POLICY, now, 0.5);
        }
        next
    }

    #[test]
    fn nothing_there_is_told_by_what_went_before() {
        use Class::{Foreign, Lost, NotSent, NothingThere, Throttled, Transient};
        let settles = |classes: &[Class], outcome| {
            assert_eq!(after(false, classes), Next::Settle(outcome), "{classes:?}");
        };
        settles(&[NothingThere], Outcome::NotLinked);
        settles(&[Throttled, NothingThere], Outcome::NotLinked);
        settles(&[Transient, NothingThere], Outcome::NotLinked);
        settles(&[NotSent, NothingThere], Outcome::NotLinked);
        settles(&[Lost, NothingThere], Outcome::UnlinkedReplyLost);
        settles(&[Foreign, NothingThere], Outcome::UnlinkedReplyLost);
        settles(&[Lost, Transient, NothingThere], Outcome::UnlinkedReplyLost);
        assert_eq!(
            after(true, &[NothingThere]),
            Next::Settle(Outcome::UnlinkedReplyLost)
        );
    }

    #[test]
    fn a_no_after_a_lost_reply_is_no_definite_no() {
        assert_eq!(
            after(false, &[Class::Refused]),
            Next::Settle(Outcome::Failed)
        );
        assert_eq!(
            after(false, &[Class::Lost, Class::Refused]),
            Next::Settle(Outcome::InDoubt)
        );
        assert_eq!(
            after(true, &[Class::Refused]),
            Next::Settle(Outcome::InDoubt)
        );
    }

    #[test]
    fn attempts_are_used_up_by_faults_and_not_by_throttling() {
        assert_eq!(
            after(false, &[Class::Transient; 8]),
            Next::Settle(Outcome::Failed)
        );
        assert_eq!(
            after(false, &[Class::Lost; 8]),
            Next::Settle(Outcome::InDoubt)
        );
        assert!(matches!(
            after(false, &[Class::Throttled; 100]),
            Next::Again(_)
        ));
        assert!(matches!(
            after(false, &[Class::NotSent; 100]),
            Next::Again(_)
        ));
    }

    #[test]
    fn a_rows_life_has_an_end() {
        let begin = Instant::now();
        let mut history = History::new(false);
        history.start(begin);
        let late = begin + POLICY.give_up_after;
        let next = |history: &mut History, chance| {
            history.next(Class::Throttled, None, KNOWN, &POLICY, late, chance)
        };
        assert_eq!(next(&mut history, 0.0), Next::Again(Duration::ZERO));
        assert_eq!(next(&mut history, 0.5), Next::Settle(Outcome::Failed));
    }

    #[test]
    fn a_row_whose_region_is_silent_does_not_fail_for_the_wait_before_its_last_attempt() {
        let policy = Policy {
            give_up_after: Duration::from_secs(3),
            ..POLICY
        };
        let begin = Instant::now();
        let after = |unheard_millis, chance| {
            let known = Known {
                unheard_for: Duration::from_millis(unheard_millis),
                ..KNOWN
            };
            let mut history = History::new(false);
            for _ in 0..5 {
                history.start(begin);
            }
            let now = begin + Duration::from_millis(1300);
            history.next(Class::NotSent, None, known, &policy, now, chance)
        };
        // The longest wait of a fifth attempt is 3.2 s.
        assert_eq!(after(1290, 0.9), Next::Halt(Cause::Unreachable));
        assert!(matches!(after(1290, 0.5), Next::Again(_)));
        // Others are answered.
        assert_eq!(after(0, 0.9), Next::Settle(Outcome::Failed));
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
            history.next(Class::Throttled, None, KNOWN, &POLICY, after_it, 0.0),
            Next::Settle(Outcome::Failed)
        );
    }

    #[test]
    fn other_credentials_are_waited_for_where_that_is_asked_and_some_have_worked() {
        let waiting = Policy {
            wait_for_credentials: true,
            ..POLICY
        };
        let (expired, none) = (
            Class::Fatal(Cause::Expired),
            Class::Fatal(Cause::NoCredentials),
        );
        let nothing_known = Known::default();
        assert!(waiting.locks(expired, nothing_known) && waiting.locks(expired, KNOWN));
        assert!(waiting.locks(none, KNOWN) && !waiting.locks(none, nothing_known));
        for class in [
            Class::Fatal(Cause::OtherAccount),
            Class::Fatal(Cause::BadCredentials),
            Class::Throttled,
        ] {
            assert!(!waiting.locks(class, KNOWN), "{class:?}");
        }
        assert!(!POLICY.locks(expired, KNOWN) && !POLICY.locks(none, KNOWN));

        let now = Instant::now();
        let mut history = History::new(false);
        history.start(now);
        let mut after = |policy| history.next(expired, None, KNOWN, policy, now, 0.5);
        assert_eq!(after(&waiting), Next::Again(Duration::ZERO));
        assert_eq!(after(&POLICY), Next::Halt(Cause::Expired));
    }

    #[test]
    fn a_signature_error_is_tried_once_more() {
        assert!(matches!(after(false, &[Class::Signature]), Next::Again(_)));
        assert_eq!(
            after(false, &[Class::Signature, Class::Signature]),
            Next::Halt(Cause::BadCredentials)
        );
        let now = Instant::now();
        let mut history = History::new(false);
        history.start(now);
        let known = Known {
            signature_refused: true,
            ..KNOWN
        };
        assert_eq!(
            history.next(Class::Signature, None, known, &POLICY, now, 0.5),
            Next::Halt(Cause::BadCredentials)
        );
    }

    #[test]
    fn a_foreign_answer_halts_until_cognito_was_heard() {
        let now = Instant::now();
        let mut history = History::new(false);
        history.start(now);
        assert_eq!(
            history.next(Class::Foreign, None, Known::default(), &POLICY, now, 0.5),
            Next::Halt(Cause::NotCognito)
        );
        assert!(!history.is_in_doubt());
    }

    #[test]
    fn a_region_that_never_answers_halts_the_run_and_fails_no_row() {
        let begin = Instant::now();
        let after = |class, age, unheard_for| {
            let mut history = History::new(false);
            history.start(begin);
            let known = Known {
                unheard_for,
                ..KNOWN
            };
            history.next(class, None, known, &POLICY, begin + age, 0.5)
        };
        let (minute, life) = (Duration::from_mins(1), POLICY.give_up_after);
        for class in [Class::Lost, Class::NotSent] {
            assert!(matches!(after(class, minute, minute), Next::Again(_)));
            assert_eq!(after(class, minute, life), Next::Halt(Cause::Unreachable));
            assert_eq!(after(class, life, life / 2), Next::Halt(Cause::Unreachable));
        }
        assert_eq!(
            after(Class::NotSent, life, minute),
            Next::Settle(Outcome::Failed)
        );
        assert_eq!(
            after(Class::Lost, life, minute),
            Next::Settle(Outcome::InDoubt)
        );
        // Whoever answers, however badly, is reached.
        for class in [Class::Transient, Class::Throttled] {
            assert!(matches!(after(class, minute, life), Next::Again(_)));
            let over = after(class, life, life);
            assert_eq!(over, Next::Settle(Outcome::Failed), "{class:?}");
        }
    }

    #[test]
    fn a_wait_beyond_a_rows_life_is_the_regions_and_no_row_fails() {
        let begin = Instant::now();
        let after = |class, asked| {
            let mut history = History::new(false);
            history.start(begin);
            history.next(class, Some(asked), KNOWN, &POLICY, begin, 0.5)
        };
        let (life, then) = (POLICY.give_up_after, POLICY.backoff(1, 0.5));
        for class in [Class::Throttled, Class::Transient] {
            assert_eq!(after(class, life), Next::Again(life));
            for asked in [life + Duration::from_millis(1), LONGEST_ASKED] {
                let waits = Next::RegionWaits { asked, then };
                assert_eq!(after(class, asked), waits, "{class:?}");
            }
            for asked in [LONGEST_ASKED + Duration::from_secs(1), Duration::MAX] {
                assert_eq!(after(class, asked), Next::Halt(Cause::AskedToWait));
            }
        }
    }

    proptest! {
        #[test]
        fn back_off_is_jittered_doubled_bounded_and_as_long_as_asked(
            tries in 1_u32..100, chance in 0.0..1.0_f64, asked in 0_u64..60_000,
        ) {
            let ceiling = POLICY.first_backoff.as_secs_f64() * 2_f64.powi(tries.cast_signed() - 1);
            let backoff = POLICY.backoff(tries, chance);
            let ceiling = ceiling.min(POLICY.longest_backoff.as_secs_f64());
            prop_assert!((backoff.as_secs_f64() - ceiling * chance).abs() < 1e-6);

            let now = Instant::now();
            let asked = Duration::from_millis(asked);
            let mut history = History::new(false);
            history.start(now);
            for _ in 1..tries {
                history.start(now);
            }
            let next = history.next(Class::Throttled, Some(asked), KNOWN, &POLICY, now, chance);
            prop_assert_eq!(next, Next::Again(backoff.max(asked)));
        }
    }
}
