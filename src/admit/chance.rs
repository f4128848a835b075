//! Throttling that is not the pace's doing: somebody else's bursts, or a service that refuses at random.
//!
//! Above a quota, a slower pace is throttled less. If a descent has come to a quarter of its pace and as large a share is
//! throttled as before, the pace is not what matters: it goes back up, and so much throttling is borne from then on.

/// A descent to this part of its pace is looked at.
const DEEP: f64 = 0.25;
/// Answers below half the pace that tell, with this many of them throttled at the least.
const TELLING: u32 = 60;
const THROTTLED: u32 = 3;
/// After so many answers at a low pace the descent is over.
const FORGOTTEN: u32 = 1000;
/// Of what is borne, so many times the share that was seen.
const MARGIN: f64 = 2.0;
/// More than this is never borne.
const MOST: f64 = 0.5;
/// Answers over which it is seen whether more is throttled than is borne.
const WINDOW: u32 = 100;

/// Shares of throttled answers at high and at low paces of a descent.
#[derive(Debug, Default)]
pub(super) struct Chance {
    /// The pace from which it went down.
    from: f64,
    high: Share,
    low: Share,
    /// The share that is borne.
    borne: f64,
    lately: Share,
    back_to: Option<f64>,
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

impl Chance {
    /// Notes an answer at this pace; says of a throttled one whether it is borne.
    pub(super) fn answered(&mut self, throttled: bool, pace: f64) -> bool {
        if self.borne > 0.0 {
            return self.bear(throttled);
        }
        if pace > self.from || self.low.answers > FORGOTTEN {
            *self = Self {
                from: pace,
                ..Self::default()
            };
        }
        if pace >= self.from / 2.0 {
            self.high.count(throttled);
        } else {
            self.low.count(throttled);
        }
        if pace <= self.from * DEEP && self.is_the_same_below() {
            *self = Self {
                borne: (self.low.part() * MARGIN).min(MOST),
                back_to: Some(self.from),
                ..Self::default()
            };
        }
        false
    }

    fn is_the_same_below(&self) -> bool {
        self.low.answers >= TELLING
            && self.low.throttled.min(self.high.throttled) >= THROTTLED
            && self.low.part() >= self.high.part() / 2.0
    }

    /// While so much is borne, it is looked at again and again whether it is more, or none any longer.
    fn bear(&mut self, throttled: bool) -> bool {
        self.lately.count(throttled);
        if self.lately.answers < WINDOW {
            return true;
        }
        let seen = self.lately.part();
        let borne = seen > 0.0 && seen <= self.borne;
        self.lately = Share::default();
        if !borne {
            *self = Self::default();
        }
        borne
    }

    /// The pace to go back to, told once.
    pub(super) fn back_to(&mut self) -> Option<f64> {
        self.back_to.take()
    }
}
