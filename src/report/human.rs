//! Numbers and times as people read them.

use std::time::{Duration, SystemTime};

use indicatif::{HumanCount, HumanFloatCount};

use crate::admission::Rate;
use crate::clock;
use crate::operation::Operation;
use crate::terminal::printable;

/// Returns a number with its noun, as in `1 call` and `1,234 calls`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(number))
}

/// Returns a measured rate: a hundred or more calls per second without decimals, as in `1,501/s`.
#[must_use]
pub fn paced(calls_per_second: f64) -> String {
    if calls_per_second < 99.5 {
        return Rate::PerSecond(calls_per_second).to_string();
    }
    whole_rate(calls_per_second)
}

/// Names a quota by its Region, and by its operation unless that is the job's, as in `us-east-1, DescribeIdentityPool`.
#[must_use]
pub fn quota_name(region: &str, operation: Operation, job: Operation) -> String {
    let region = printable(region);
    if operation == job {
        region.into_owned()
    } else {
        format!("{region}, {operation}")
    }
}

/// Returns a rate without decimals.
pub(super) fn whole_rate(per_second: f64) -> String {
    format!("{}/s", HumanFloatCount(per_second.round()))
}

/// Returns a length of time in its two largest units, as in `3 h 12 min`.
#[must_use]
pub fn spoken(time: Duration) -> String {
    let seconds = time.as_secs();
    let two = |large: u64, unit: &str, small: u64, subunit: &str| match small {
        0 => format!("{large} {unit}"),
        _ => format!("{large} {unit} {small} {subunit}"),
    };
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86400 => two(seconds / 3600, "h", seconds / 60 % 60, "min"),
        _ => two(seconds / 86400, "d", seconds / 3600 % 24, "h"),
    }
}

/// Returns a time to the minute, with its date unless that is today's.
pub(super) fn time_of_day(time: SystemTime, now: SystemTime) -> String {
    let text = clock::rfc3339_seconds(time).to_string();
    let today = clock::rfc3339_seconds(now).to_string();
    let (date, minute) = (&text[..10], &text[11..16]);
    if today.starts_with(date) {
        format!("{minute} UTC")
    } else {
        format!("{date} {minute} UTC")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (number, text) in [
            (0, "0 rows"),
            (1, "1 row"),
            (999, "999 rows"),
            (1000, "1,000 rows"),
            (1_234_567, "1,234,567 rows"),
        ] {
            assert_eq!(counted(number, "row"), text);
        }
    }

    #[test]
    fn large_measured_rates_have_no_decimals() {
        for (calls, text) in [
            (0.5, "30/m"),
            (46.219, "46.22/s"),
            (99.49, "99.49/s"),
            (99.96, "100/s"),
            (1501.01, "1,501/s"),
        ] {
            assert_eq!(paced(calls), text);
        }
    }

    #[test]
    fn times_have_their_two_largest_units() {
        let text = |seconds| spoken(Duration::from_secs_f64(seconds));
        assert_eq!(text(0.04), "0.0 s");
        assert_eq!(text(9.94), "9.9 s");
        assert_eq!(text(59.9), "59 s");
        assert_eq!(text(60.0), "1 min");
        assert_eq!(text(3599.0), "59 min 59 s");
        assert_eq!(text(11_520.0), "3 h 12 min");
        assert_eq!(text(90_000.0), "1 d 1 h");
    }
}
