//! Keeps the claims of a run. Does no I/O; the caller passes the time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::row::RowKey;

/// Rows claimed ahead, as a multiple of the calls in one cycle of segments. At 1, a segment slower than the last one would stall the
/// run; at 3, a kill leaves twice as many rows in doubt.
const AHEAD: f64 = 1.5;
/// Time after which a claimed row that is not called waits for something else than its turn, such as a Region that does not reply: 5 s.
/// Other rows are claimed meanwhile. Halved, slow calls look like that; doubled, the rows of other Regions wait twice as long.
const STUCK: Duration = Duration::from_secs(5);
/// Rows of a segment for each call in flight: with so many, settled or claimed, it is put before its time. Halved, a fast run costs twice
/// as many requests; doubled, its rows wait longer for their record.
const ROWS_PER_CALL: usize = 4;

/// The rows of a run that may be called, by their slots.
#[derive(Debug)]
pub(super) struct Claims {
    /// Calls in flight at most.
    concurrency: usize,
    /// Rows that wait to be claimed, first come first served.
    wanted: VecDeque<(usize, RowKey)>,
    /// Rows of the segment that is being put. Without a slot: the row was left meanwhile.
    asked: Vec<(Option<usize>, RowKey)>,
    /// Rows that may be called.
    granted: HashMap<usize, Granted>,
    /// Rows that were claimed and left without a call, and are not in a segment yet.
    released: Vec<RowKey>,
    /// Rows called since the last segment.
    called: u64,
    /// Rows called per second lately.
    speed: f64,
    /// Time at which the last segment was made.
    made: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
struct Granted {
    key: RowKey,
    /// Time of the claim.
    since: Duration,
    is_called: bool,
}

/// The claims and releases of a segment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) claim: Vec<RowKey>,
    pub(super) released: Vec<RowKey>,
}

impl Claims {
    pub(super) fn new(concurrency: usize) -> Self {
        Self {
            concurrency,
            wanted: VecDeque::new(),
            asked: Vec::new(),
            granted: HashMap::new(),
            released: Vec::new(),
            called: 0,
            speed: 0.0,
            made: None,
        }
    }

    /// Asks for a claim on the row in this slot.
    pub(super) fn want(&mut self, slot: usize, key: RowKey) {
        self.wanted.push_back((slot, key));
    }

    /// Returns whether the row in this slot may be called.
    pub(super) fn is_granted(&self, slot: usize) -> bool {
        self.granted.contains_key(&slot)
    }

    /// Notes that the row in this slot is called, and returns whether it may be.
    pub(super) fn call(&mut self, slot: usize) -> bool {
        let Some(granted) = self.granted.get_mut(&slot) else {
            return false;
        };
        self.called += u64::from(!std::mem::replace(&mut granted.is_called, true));
        true
    }

    /// Gives up the claim on the row in this slot: no attempt for it can have taken effect.
    pub(super) fn release(&mut self, slot: usize) {
        self.wanted.retain(|(wanted, _)| *wanted != slot);
        if let Some(asked) = self
            .asked
            .iter_mut()
            .find(|(asked, _)| *asked == Some(slot))
        {
            asked.0 = None;
        }
        if let Some(granted) = self.granted.remove(&slot) {
            self.released.push(granted.key);
        }
    }

    /// Forgets the row in this slot: its line is in an acknowledged segment.
    pub(super) fn recorded(&mut self, slot: usize) {
        self.granted.remove(&slot);
    }

    /// Returns how many rows the next segment can claim, if a segment takes this long from one to the next.
    pub(super) fn claimable(&self, cycle: Duration) -> usize {
        let uncalled = || self.granted.values().filter(|granted| !granted.is_called);
        let made = self.made.unwrap_or_default();
        let waiting = uncalled().filter(|granted| granted.since + STUCK >= made);
        let ahead = (self.speed * cycle.as_secs_f64() * AHEAD).ceil();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a number of rows is small and not negative"
        )]
        let ahead = (ahead as usize).max(self.concurrency);
        let free = ahead.saturating_sub(waiting.count());
        let room = (self.full() * 4).saturating_sub(uncalled().count());
        free.min(room).min(self.wanted.len()).min(self.full())
    }

    /// Returns the number of rows with which a segment is full.
    pub(super) fn full(&self) -> usize {
        self.concurrency * ROWS_PER_CALL
    }

    /// Returns the number of rows that are claimed while nothing is known of the speed.
    pub(super) fn at_first(&self) -> usize {
        self.concurrency
    }

    /// Returns whether nothing was claimed yet.
    pub(super) fn are_new(&self) -> bool {
        self.made.is_none()
    }

    /// Returns whether the next segment has something to say.
    pub(super) fn has_news(&self, cycle: Duration) -> bool {
        self.claimable(cycle) > 0 || !self.released.is_empty()
    }

    /// Returns what the segment made now says about claims. One follows the other: the last one was acknowledged.
    pub(super) fn ask(&mut self, now: Duration, cycle: Duration) -> Asked {
        if let Some(made) = self.made.replace(now) {
            let seconds = now.saturating_sub(made).as_secs_f64().max(0.1);
            let speed = self.called as f64 / seconds;
            // Up at once, and down by and by.
            self.speed = speed.max(self.speed.midpoint(speed));
        }
        self.called = 0;
        let claimable = self.claimable(cycle);
        let asked = self.wanted.drain(..claimable);
        self.asked = asked.map(|(slot, key)| (Some(slot), key)).collect();
        Asked {
            claim: self.asked.iter().map(|(_, key)| *key).collect(),
            released: std::mem::take(&mut self.released),
        }
    }

    /// Grants what the last segment has asked for: it is acknowledged.
    pub(super) fn acknowledge(&mut self) {
        let since = self.made.unwrap_or_default();
        for (slot, key) in self.asked.drain(..) {
            if let Some(slot) = slot {
                let granted = Granted {
                    key,
                    since,
                    is_called: false,
                };
                self.granted.insert(slot, granted);
            } else {
                self.released.push(key);
            }
        }
    }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn claims(rows: usize) -> Claims {
        let mut claims = Claims::new(4);
        for slot in 0..rows {
            claims.want(slot, RowKey(slot as u128));
        }
        claims
    }

    #[test]
    fn no_row_is_called_before_its_claim_is_acknowledged() {
        let mut claims = claims(2);
        assert!(!claims.call(0));
        let asked = claims.ask(SECOND, SECOND);
        assert_eq!(asked.claim, [RowKey(0), RowKey(1)]);
        assert!(!claims.call(0));
        claims.acknowledge();
        assert!(claims.call(0) && claims.is_granted(1));
        assert!(!claims.call(2));
    }

    #[test]
    fn claims_run_ahead_by_about_a_second_of_calls() {
        let mut claims = claims(1000);
        // Nothing is known of the speed: as many as can be in flight.
        assert_eq!(claims.ask(SECOND, SECOND).claim.len(), 4);
        claims.acknowledge();
        // Three of them were called within a second: half as many more are claimed, less the one that is left.
        for slot in 0..3 {
            assert!(claims.call(slot));
            claims.recorded(slot);
        }
        assert_eq!(claims.ask(2 * SECOND, SECOND).claim.len(), 4);
        claims.acknowledge();
        // Twenty calls a second: half as many more are claimed ahead, in segments of sixteen.
        let mut at = 3 * SECOND;
        for _ in 0..20 {
            let granted: Vec<usize> = claims.granted.keys().copied().take(20).collect();
            for slot in granted {
                assert!(claims.call(slot));
                claims.recorded(slot);
            }
            let asked = claims.ask(at, SECOND).claim.len();
            assert!(asked <= 16, "{asked}");
            claims.acknowledge();
            at += SECOND;
        }
        let ahead = claims.granted.len();
        assert!((16..=30).contains(&ahead), "{ahead}");
    }

    #[test]
    fn a_row_that_is_left_is_released_wherever_it_stands() {
        let mut claims = claims(3);
        claims.release(2);
        assert_eq!(claims.ask(SECOND, SECOND).claim, [RowKey(0), RowKey(1)]);
        claims.release(0);
        claims.acknowledge();
        assert!(!claims.is_granted(0) && claims.is_granted(1));
        claims.release(1);
        assert!(claims.has_news(SECOND));
        assert_eq!(claims.ask(SECOND, SECOND).released, [RowKey(0), RowKey(1)]);
        assert!(!claims.has_news(SECOND));
    }
}
