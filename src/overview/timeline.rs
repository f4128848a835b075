//! Lines over time, in a bounded number of bins.
//!
//! Bins begin small and double until no more than [`MAX_BINS`] hold a line. Times without a line take none, so that pauses between runs,
//! nights and weekends, do not blur what the runs did.

use super::counts::Counts;

/// Most bins that hold a line. Doubled, the plots of the page have twice as many points, and no one sees it.
pub(super) const MAX_BINS: usize = 200;
/// Width of the first bins, in milliseconds.
const FIRST_WIDTH: i64 = 250;

/// Lines by the time at which they were recorded.
#[derive(Debug, Clone)]
pub(super) struct Timeline {
    /// Width of a bin, in milliseconds.
    width: i64,
    /// Bins with their numbers since 1970, in order.
    bins: Vec<(i64, Bin)>,
    /// Place of the bin of the last line.
    last: usize,
}

/// The lines of a while.
#[derive(Debug, Clone, Default)]
pub(super) struct Bin {
    /// Rows that were settled for good then, by outcome.
    pub(super) rows: Counts,
    /// Calls of the lines recorded then.
    pub(super) calls: u64,
    /// Those of them that repeated another.
    pub(super) repeated: u64,
    /// Latencies of last attempts.
    pub(super) latencies: Latencies,
}

impl Default for Timeline {
    fn default() -> Self {
        Self {
            width: FIRST_WIDTH,
            bins: Vec::new(),
            last: 0,
        }
    }
}

impl Timeline {
    /// Returns the bin of a time in milliseconds since 1970.
    pub(super) fn at(&mut self, millis: i64) -> &mut Bin {
        let mut number = millis.div_euclid(self.width);
        // Most lines are of the bin of the line before.
        if self.bins.get(self.last).is_none_or(|bin| bin.0 != number) {
            let mut found = self.find(number);
            while found.is_err() && self.bins.len() >= MAX_BINS {
                self.widen();
                number = millis.div_euclid(self.width);
                found = self.find(number);
            }
            self.last = found.unwrap_or_else(|place| {
                self.bins.insert(place, (number, Bin::default()));
                place
            });
        }
        &mut self.bins[self.last].1
    }

    fn find(&self, number: i64) -> Result<usize, usize> {
        self.bins.binary_search_by_key(&number, |bin| bin.0)
    }

    /// Doubles the width of all bins.
    fn widen(&mut self) {
        self.width *= 2;
        let mut bins: Vec<(i64, Bin)> = Vec::new();
        for (number, bin) in std::mem::take(&mut self.bins) {
            let number = number.div_euclid(2);
            match bins.last_mut() {
                Some((last, into)) if *last == number => into.add(&bin),
                _ => bins.push((number, bin)),
            }
        }
        self.bins = bins;
    }

    /// Returns a timeline whose bins hold `lines` lines on average, or all lines in one bin.
    pub(super) fn coarsened(mut self, lines: u64) -> Self {
        let all: u64 = self.bins.iter().map(|(_, bin)| bin.latencies.count()).sum();
        while self.bins.len() > 12 && all / (self.bins.len() as u64) < lines {
            self.widen();
        }
        self
    }

    /// Returns the width of a bin, in milliseconds.
    pub(super) fn width(&self) -> i64 {
        self.width
    }

    /// Returns the bins with the times at which they begin, in milliseconds since 1970.
    pub(super) fn bins(&self) -> impl Iterator<Item = (i64, &Bin)> {
        let bins = self.bins.iter();
        bins.map(|(number, bin)| (number * self.width, bin))
    }
}

impl Bin {
    fn add(&mut self, other: &Self) {
        self.rows.add(&other.rows);
        self.calls += other.calls;
        self.repeated += other.repeated;
        self.latencies.add(&other.latencies);
    }
}

/// Latencies in buckets that are each a twelfth wider than the one before, so that quantiles are exact to 4 %.
#[derive(Debug, Clone, Default)]
pub(super) struct Latencies(Vec<u32>);

/// Natural logarithm of the ratio of two bounds.
const LOG_RATIO: f64 = 0.08;

impl Latencies {
    /// Adds a latency in milliseconds.
    pub(super) fn push(&mut self, millis: u32) {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "of a u32 the logarithm is below 23"
        )]
        let bucket = (f64::from(millis).ln_1p() / LOG_RATIO) as usize;
        if self.0.len() <= bucket {
            self.0.resize(bucket + 1, 0);
        }
        self.0[bucket] += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (count, more) in self.0.iter_mut().zip(&other.0) {
            *count += more;
        }
    }

    /// Returns the number of latencies.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|count| u64::from(*count)).sum()
    }

    /// Returns the latency in milliseconds below which this share of all is; none if there are none.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0);
        let mut seen = 0.0;
        for (bucket, count) in self.0.iter().enumerate() {
            seen += f64::from(*count);
            if seen >= wanted {
                return Some(((bucket as f64 + 0.5) * LOG_RATIO).exp_m1());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_line_is_in_a_bin_of_a_bounded_number(times in proptest::collection::vec(-1_000_000_000_000..3_000_000_000_000_i64, 1..1000)) {
            let mut timeline = Timeline::default();
            for time in &times {
                timeline.at(*time).calls += 1;
            }
            prop_assert!(timeline.bins.len() <= MAX_BINS);
            prop_assert_eq!(timeline.bins().map(|(_, bin)| bin.calls).sum::<u64>(), times.len() as u64);
            let width = timeline.width();
            for time in &times {
                let is_within = |begin: i64| (begin..begin + width).contains(time);
                prop_assert!(timeline.bins().any(|(begin, _)| is_within(begin)));
            }
        }
    }

    #[test]
    fn a_pause_takes_no_bins() {
        let mut timeline = Timeline::default();
        let month = 30 * 86_400_000;
        for second in 0..25 {
            timeline.at(second * 1000).calls += 1;
            timeline.at(month + second * 1000).calls += 1;
        }
        assert_eq!(timeline.width(), FIRST_WIDTH);
    }

    #[test]
    fn quantiles_are_near() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile(0.5), None);
        for millis in 1..=1000 {
            latencies.push(millis);
        }
        for share in [0.01, 0.5, 0.95, 0.99] {
            let (exact, found) = (share * 1000.0, latencies.quantile(share).expect("some"));
            assert!((found / exact - 1.0).abs() < 0.08, "{share}: {found}");
        }
        latencies.push(u32::MAX);
        assert!(latencies.quantile(1.0).expect("some") > 4e9);
    }
}
