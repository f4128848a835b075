//! What people and scripts see of a run. It never calls and never touches the results file.

mod drawing;
pub mod log;
mod progress;
mod summary;

use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use indicatif::{HumanCount, HumanFloatCount};
use tracing::Level;

pub use progress::{Progress, Style, Totals};
pub use summary::{LearnedQuota, NEAR, Report, Unread, refusal, unmatched};

use crate::admission::Rate;
use crate::pipeline::Reading;
use crate::stderr::{self, Kind};
use crate::terminal::printable;

impl Totals {
    /// Returns about how many rows there are, as far as what was read of them tells.
    pub(crate) fn estimate(bytes: u64, reading: &Reading) -> Option<u64> {
        let rows = reading.rows.load(Ordering::Relaxed);
        let read = reading.bytes.load(Ordering::Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate of a number of rows"
        )]
        let estimate = (rows as f64 * (bytes as f64 / read as f64)) as u64;
        (rows > 0 && read > 0).then_some(estimate)
    }
}

/// A time as people read it, to the minute and with its date if that is not today's.
fn time_of_day(time: SystemTime, now: SystemTime) -> String {
    let text = crate::clock::rfc3339_seconds(time).to_string();
    let today = crate::clock::rfc3339_seconds(now).to_string();
    let (date, minute) = (&text[..10], &text[11..16]);
    if today.starts_with(date) {
        format!("{minute} UTC")
    } else {
        format!("{date} {minute} UTC")
    }
}

/// Writes a line for people to standard error, safe for a terminal; where the log is JSON, as an object of it.
pub fn notice(text: &str) {
    let level = if text.starts_with("Warning: ") {
        Level::WARN
    } else {
        Level::INFO
    };
    say(text, level);
}

/// The same for what a person should look at, though it does not begin with `Warning: `.
pub fn warning(text: &str) {
    say(text, Level::WARN);
}

fn say(text: &str, level: Level) {
    if !log::said(text, level) {
        write_safely(text);
    }
}

/// The same for why the program ends without having done what it was asked to.
pub fn complaint(text: &str) {
    if !log::said(text, Level::ERROR) {
        write_safely(&format!("error: {text}"));
    }
}

fn write_safely(text: &str) {
    let text = text.lines().map(printable).collect::<Vec<_>>().join("\n");
    stderr::line(Kind::Notice, &text);
}

/// Returns a number with its noun, as in `1 call` and `1,234 calls`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", HumanCount(number))
}

/// Calls a second that were measured: a hundred or more without decimals, as in `1,501/s`.
#[must_use]
pub fn paced(calls_per_second: f64) -> String {
    if calls_per_second < 99.5 {
        return Rate::PerSecond(calls_per_second).to_string();
    }
    whole_rate(calls_per_second)
}

fn whole_rate(per_second: f64) -> String {
    format!("{}/s", HumanFloatCount(per_second.round()))
}

/// A length of time with its two largest units, as in `3 h 12 min`.
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
    fn what_was_measured_is_told_no_finer_than_it_is_known() {
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
    fn times_are_told_by_their_two_largest_units() {
        let told = |seconds| spoken(Duration::from_secs_f64(seconds));
        assert_eq!(told(0.04), "0.0 s");
        assert_eq!(told(9.94), "9.9 s");
        assert_eq!(told(59.9), "59 s");
        assert_eq!(told(60.0), "1 min");
        assert_eq!(told(3599.0), "59 min 59 s");
        assert_eq!(told(11_520.0), "3 h 12 min");
        assert_eq!(told(90_000.0), "1 d 1 h");
    }
}
