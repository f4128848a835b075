//! Recognises throttling that does not depend on the pace: bursts of other callers, or a service that rejects at random.
//!
//! Above a quota, a lower pace is throttled less. If the pace has gone down to a seventh and as large a share of calls is still
//! throttled there, and stays throttled for a while, the pace is not the cause. From then on twice the share that is seen below
//! the quota is tolerated, and the pace ramps up again.

// The samples of a descent.

/// Pace at which samples are taken, as a share of the pace from which the descent began.
const LOW_PACE: f64 = 0.15;
/// Size of a sample in answers, and the fewest of them that are throttled. Two samples in a row must agree: when another caller
/// takes the quota away, many calls are throttled at first and then few.
const SAMPLE_ANSWERS: u32 = 120;
const SAMPLE_THROTTLED: u32 = 5;
/// Largest factor between the shares of two samples that agree.
const SAMPLES_DIFFER: f64 = 2.0;
/// Largest factor by which the share at the high pace may exceed that of a sample. Doubled, throttling by a quota passes for
/// random rejections.
const HIGH_EXCEEDS: f64 = 2.0;
/// Answers at half the pace or less after which a descent is over.
const DESCENT_ANSWERS: u32 = 1500;

// The tolerated share.

/// Tolerated share of throttled calls, as a multiple of the share in the samples.
const MARGIN: f64 = 2.0;
/// Highest share that is ever tolerated. Doubled, a run could have two calls of five throttled for hours.
const MAX_TOLERATED: f64 = 0.2;
/// Throttled calls that are tolerated in a row.
const MAX_CREDIT: f64 = 6.0;
/// The share is measured again whenever this many throttled answers could have been tolerated; toleration ends if less than
/// [`MIN_TOLERATED`] is left of it.
const WINDOW: f64 = 24.0;
const MIN_TOLERATED: f64 = 0.01;

/// Compares the shares of throttled answers at the high and the low paces of a descent.
#[derive(Debug, Default)]
pub(super) struct RandomRejections {
    /// Pace from which the descent began.
    from: f64,
    /// Answers at half of that pace or more.
    high: Share,
    /// Answers below half of it.
    below: Share,
    /// The last complete sample at a low pace, and the one being taken.
    last_sample: Share,
    sample: Share,
    /// Share of throttled calls that is tolerated; zero unless rejections are random.
    tolerated: f64,
    /// Throttled answers that may be tolerated now.
    credit: f64,
    /// Answers below the quota while some are tolerated.
    recent: Share,
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
    /// Records an answer at this pace. Returns whether it is a throttled one that is tolerated.
    pub(super) fn answered(&mut self, throttled: bool, pace: f64, quota: Option<f64>) -> bool {
        if self.tolerated > 0.0 {
            return self.tolerate(throttled, quota.is_some_and(|quota| pace < quota));
        }
        if pace > self.from || self.below.answers > DESCENT_ANSWERS {
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
        if pace <= self.from * LOW_PACE {
            self.sample.count(throttled);
        }
        if self.sample.answers >= SAMPLE_ANSWERS && self.sample.throttled >= SAMPLE_THROTTLED {
            self.examine();
        }
        false
    }

    /// Returns whether calls may be throttled for a reason other than the pace: some are tolerated, or a descent has passed half of
    /// its pace and as large a share is throttled there as before. A quota measured meanwhile is none.
    pub(super) fn is_suspected(&self) -> bool {
        let as_before = self.below.part() >= self.high.part() / HIGH_EXCEEDS;
        self.tolerated > 0.0 || self.below.throttled >= SAMPLE_THROTTLED && as_before
    }

    /// Compares a complete sample with the one before, and tolerates some throttling if both are as high as at the high pace.
    fn examine(&mut self) {
        let (before, now) = (self.last_sample.part(), self.sample.part());
        let (least, most) = (before.min(now), before.max(now));
        if least >= self.high.part() / HIGH_EXCEEDS && most <= SAMPLES_DIFFER * least {
            *self = Self {
                tolerated: (f64::midpoint(before, now) * MARGIN).min(MAX_TOLERATED),
                ..Self::default()
            };
        } else {
            self.last_sample = self.sample;
            self.sample = Share::default();
        }
    }

    /// Returns whether the answer is a throttled one that is tolerated. Only answers below the quota measure the share: above it
    /// calls are throttled for the pace as well.
    fn tolerate(&mut self, throttled: bool, is_below_quota: bool) -> bool {
        self.credit = (self.credit + self.tolerated).min(MAX_CREDIT);
        if is_below_quota {
            self.recent.count(throttled);
        }
        if f64::from(self.recent.answers) * self.tolerated >= WINDOW {
            self.tolerated = (self.recent.part() * MARGIN).min(MAX_TOLERATED);
            self.recent = Share::default();
            if self.tolerated < MIN_TOLERATED {
                *self = Self::default();
                return false;
            }
        }
        let is_tolerated = throttled && self.credit >= 1.0;
        if is_tolerated {
            self.credit -= 1.0;
        }
        is_tolerated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds answers at a pace to `rejections`, below a quota of 200, every n-th of them throttled. Returns how many were
    /// tolerated.
    fn answers(
        rejections: &mut RandomRejections,
        answers: u32,
        pace: f64,
        throttled_every: u32,
    ) -> u32 {
        (1..=answers)
            .filter(|nth| {
                let throttled = nth.is_multiple_of(throttled_every);
                rejections.answered(throttled, pace, Some(200.0)) && throttled
            })
            .count()
            .try_into()
            .expect("no more than answers")
    }

    #[test]
    fn throttling_unchanged_at_a_seventh_of_the_pace_is_tolerated_until_it_ends() {
        let mut rejections = RandomRejections::default();
        assert_eq!(answers(&mut rejections, 400, 199.0, 20), 0);
        assert_eq!(answers(&mut rejections, 240, 29.0, 20), 0);
        assert_eq!(answers(&mut rejections, 400, 150.0, 20), 20);
        answers(&mut rejections, 1000, 150.0, u32::MAX);
        assert_eq!(answers(&mut rejections, 20, 150.0, 20), 0);
    }

    #[test]
    fn throttling_unchanged_at_half_the_pace_is_suspected() {
        let mut rejections = RandomRejections::default();
        answers(&mut rejections, 400, 199.0, 20);
        assert!(!rejections.is_suspected());
        answers(&mut rejections, 100, 90.0, 20);
        assert!(rejections.is_suspected());
        // Below a quota hardly any call is throttled.
        let mut rejections = RandomRejections::default();
        answers(&mut rejections, 400, 199.0, 20);
        answers(&mut rejections, 400, 90.0, 80);
        assert!(!rejections.is_suspected());
        // Tolerated throttling stays suspected as long as it lasts.
        let mut rejections = RandomRejections::default();
        answers(&mut rejections, 400, 199.0, 20);
        answers(&mut rejections, 240, 29.0, 20);
        assert!(rejections.is_suspected());
        answers(&mut rejections, 1000, 150.0, u32::MAX);
        assert!(!rejections.is_suspected());
    }

    #[test]
    fn at_most_twice_the_sampled_share_is_tolerated() {
        let mut rejections = RandomRejections::default();
        answers(&mut rejections, 400, 199.0, 20);
        answers(&mut rejections, 240, 29.0, 20);
        // Answers above the quota do not measure the share of random rejections.
        let tolerated = answers(&mut rejections, 1000, 250.0, 2);
        assert!((95..=105).contains(&tolerated), "{tolerated}");
    }

    #[test]
    fn throttling_that_becomes_rare_at_a_low_pace_is_a_quota() {
        let mut rejections = RandomRejections::default();
        answers(&mut rejections, 200, 199.0, 50);
        answers(&mut rejections, 120, 29.0, 3);
        answers(&mut rejections, 600, 29.0, 80);
        assert_eq!(answers(&mut rejections, 100, 150.0, 20), 0);
    }
}
