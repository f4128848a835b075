//! Throttling that is not the pace's doing: somebody else's bursts, or a service that refuses at random.
//!
//! Above a quota, a slower pace is throttled less. If a descent has come to a seventh of its pace, and as large a share is
//! throttled there as before, and for a while, the pace is not what matters: as much throttling is borne from then on as is
//! seen below the quota, and the pace climbs again.

/// A descent to this part of its pace is looked at.
const DEEP: f64 = 0.15;
/// Answers at that pace that tell, with this many of them throttled at the least. Two such looks must agree: when
/// somebody else takes the quota away, much is throttled at first and then little.
const TELLING: u32 = 120;
const THROTTLED: u32 = 5;
/// By what factor two looks may differ, and a look from what was throttled at the high pace.
const AGREED: f64 = 2.0;
const AS_LARGE: f64 = 2.0;
/// After so many answers at half the pace or less the descent is over.
const FORGOTTEN: u32 = 1500;
/// Of what is borne, so many times the share that was seen.
const MARGIN: f64 = 2.0;
/// More than this is never borne.
const MOST: f64 = 0.2;
/// Throttled calls that are borne at once.
const AT_ONCE: f64 = 6.0;
/// It is looked at anew whenever so many throttled answers could have been borne, and over if it is less than this.
const WINDOW: f64 = 24.0;
const LEAST: f64 = 0.01;

/// Shares of throttled answers at high and at low paces of a descent.
#[derive(Debug, Default)]
pub(super) struct RandomRejections {
    /// The pace from which it went down.
    from: f64,
    high: Share,
    /// Answers below half of it.
    below: Share,
    /// The last look at a low pace, and the one that is being taken.
    before: Share,
    low: Share,
    /// The share that is borne.
    borne: f64,
    /// Throttled answers that may be borne now.
    credit: f64,
    /// Answers below the quota while some are borne.
    lately: Share,
}

#[derive(Debug, Default, Clone, Copy)]
struct Share {
    answers: u32,
    throttled: u32,
}

impl Share {
    fn count(&mut self, throttled: bool) {
        self.answers += 1;
        self.throttled += u32::from(throttled);
    }

    fn part(self) -> f64 {
        f64::from(self.throttled) / f64::from(self.answers.max(1))
    }
}

impl RandomRejections {
    /// Notes an answer at this pace, which may be below the `quota` as far as that is known; says of a throttled one whether
    /// it is borne.
    pub(super) fn answered(&mut self, throttled: bool, pace: f64, quota: Option<f64>) -> bool {
        if self.borne > 0.0 {
            return self.bear(throttled, quota.is_some_and(|quota| pace < quota));
        }
        if pace > self.from || self.below.answers > FORGOTTEN {
            *self = Self {
                from: pace,
                ..Self::default()
            };
        }
        if pace >= self.from / 2.0 {
            self.high.count(throttled);
            return false;
        }
        self.below.count(throttled);
        if pace <= self.from * DEEP {
            self.low.count(throttled);
        }
        if self.low.answers >= TELLING && self.low.throttled >= THROTTLED {
            self.look();
        }
        false
    }

    /// Returns whether the pace may not be what calls are throttled for: some are tolerated, or a descent has come to half of its pace and as
    /// large a share is throttled there as before. What was measured then is no quota.
    pub(super) fn is_suspected(&self) -> bool {
        let as_before = self.below.part() >= self.high.part() / AS_LARGE;
        self.borne > 0.0 || self.below.throttled >= THROTTLED && as_before
    }

    fn look(&mut self) {
        let (before, now) = (self.before.part(), self.low.part());
        let (least, most) = (before.min(now), before.max(now));
        if least >= self.high.part() / AS_LARGE && most <= AGREED * least {
            *self = Self {
                borne: (f64::midpoint(before, now) * MARGIN).min(MOST),
                ..Self::default()
            };
        } else {
            self.before = self.low;
            self.low = Share::default();
        }
    }

    fn bear(&mut self, throttled: bool, below: bool) -> bool {
        self.credit = (self.credit + self.borne).min(AT_ONCE);
        if below {
            self.lately.count(throttled);
        }
        if f64::from(self.lately.answers) * self.borne >= WINDOW {
            self.borne = (self.lately.part() * MARGIN).min(MOST);
            self.lately = Share::default();
            if self.borne < LEAST {
                *self = Self::default();
                return false;
            }
        }
        let borne = throttled && self.credit >= 1.0;
        if borne {
            self.credit -= 1.0;
        }
        borne
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers at a pace, below a quota of 200, every so-manieth throttled; says how many of them were borne.
    fn answers(
        chance: &mut RandomRejections,
        answers: u32,
        pace: f64,
        throttled_every: u32,
    ) -> u32 {
        (1..=answers)
            .filter(|nth| {
                let throttled = nth.is_multiple_of(throttled_every);
                chance.answered(throttled, pace, Some(200.0)) && throttled
            })
            .count()
            .try_into()
            .expect("no more than answers")
    }

    #[test]
    fn what_is_the_same_at_a_seventh_of_the_pace_is_borne_until_it_is_over() {
        let mut chance = RandomRejections::default();
        assert_eq!(answers(&mut chance, 400, 199.0, 20), 0);
        assert_eq!(answers(&mut chance, 240, 29.0, 20), 0);
        assert_eq!(answers(&mut chance, 400, 150.0, 20), 20);
        answers(&mut chance, 1000, 150.0, u32::MAX);
        assert_eq!(answers(&mut chance, 20, 150.0, 20), 0);
    }

    #[test]
    fn what_is_the_same_at_half_the_pace_is_suspected() {
        let mut chance = RandomRejections::default();
        answers(&mut chance, 400, 199.0, 20);
        assert!(!chance.is_suspected());
        answers(&mut chance, 100, 90.0, 20);
        assert!(chance.is_suspected());
        // Below a quota calls are hardly throttled.
        let mut chance = RandomRejections::default();
        answers(&mut chance, 400, 199.0, 20);
        answers(&mut chance, 400, 90.0, 80);
        assert!(!chance.is_suspected());
        // Tolerated, it stays so while it goes on.
        let mut chance = RandomRejections::default();
        answers(&mut chance, 400, 199.0, 20);
        answers(&mut chance, 240, 29.0, 20);
        assert!(chance.is_suspected());
        answers(&mut chance, 1000, 150.0, u32::MAX);
        assert!(!chance.is_suspected());
    }

    #[test]
    fn twice_as_much_as_was_seen_and_no_more() {
        let mut chance = RandomRejections::default();
        answers(&mut chance, 400, 199.0, 20);
        answers(&mut chance, 240, 29.0, 20);
        // Above the quota, and nothing of it tells what is thrown by chance.
        let borne = answers(&mut chance, 1000, 250.0, 2);
        assert!((95..=105).contains(&borne), "{borne}");
    }

    #[test]
    fn much_at_first_and_then_little_is_a_quota() {
        let mut chance = RandomRejections::default();
        answers(&mut chance, 200, 199.0, 50);
        answers(&mut chance, 120, 29.0, 3);
        answers(&mut chance, 600, 29.0, 80);
        assert_eq!(answers(&mut chance, 100, 150.0, 20), 0);
    }
}
