//! What stops a run before it does more harm: too many rows of an outcome that says something is wrong.

use std::fmt;

/// More rows of an outcome than this stop a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FailureLimit {
    /// This many rows.
    Rows(u64),
    /// This part, in percent, of the rows that are judged, from [`Breaker::JUDGED_FROM`] of them on.
    Percent(f64),
}

impl FailureLimit {
    /// Fewer rows say nothing about a percentage.
    pub const JUDGED_FROM: u64 = 100;

    /// Whether `rows` of `judged` are too many.
    pub(crate) fn trips(self, rows: u64, judged: u64) -> bool {
        match self {
            Self::Rows(most) => rows > most,
            Self::Percent(most) => {
                judged >= Self::JUDGED_FROM && rows as f64 * 100.0 > most * judged as f64
            }
        }
    }
}

impl fmt::Display for FailureLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => write!(f, "{rows}"),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_the_bound_trips_and_the_bound_does_not() {
        assert!(!FailureLimit::Rows(3).trips(3, 3));
        assert!(FailureLimit::Rows(3).trips(4, 4));
        assert!(FailureLimit::Rows(0).trips(1, 1_000_000));
        assert!(!FailureLimit::Percent(50.0).trips(99, 99));
        assert!(!FailureLimit::Percent(50.0).trips(50, 100));
        assert!(FailureLimit::Percent(50.0).trips(51, 100));
        assert!(!FailureLimit::Percent(100.0).trips(500, 500));
    }
}
