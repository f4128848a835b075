//! The axes of plots: where ticks stand, and what is written beside them.

use std::time::{Duration, UNIX_EPOCH};

use indicatif::HumanFloatCount;

use crate::clock;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Distances of ticks on a time axis, in milliseconds.
const TIME_STEPS: [i64; 22] = [
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    15 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    28 * DAY,
    364 * DAY,
];

/// Part of the time shown above which a pause is left out.
const LONGEST_PAUSE: f64 = 0.05;
/// Width of a pause that is left out.
const PAUSE_WIDTH: f64 = 12.0;

/// A time axis that leaves long pauses out.
#[derive(Debug)]
pub(super) struct TimeAxis {
    /// Stretches of time, in milliseconds since 1970, each with its place on the axis.
    stretches: Vec<(i64, i64, f64)>,
    /// Units for a millisecond.
    scale: f64,
}

impl TimeAxis {
    /// Returns the axis of bins that begin at these times, of which there is at least one, from `left` on and `width` wide.
    pub(super) fn new(begins: &[i64], bin: i64, left: f64, width: f64) -> Self {
        let all = begins.len() as f64 * bin as f64;
        let longest = (all * LONGEST_PAUSE).max(4.0 * bin as f64);
        let mut stretches: Vec<(i64, i64, f64)> = Vec::new();
        for begin in begins {
            match stretches.last_mut() {
                Some((_, end, _)) if (begin - *end) as f64 <= longest => *end = begin + bin,
                _ => stretches.push((*begin, begin + bin, 0.0)),
            }
        }
        let shown: i64 = stretches.iter().map(|(from, to, _)| to - from).sum();
        let pauses = stretches.len().saturating_sub(1) as f64;
        // With very many pauses they would take it all.
        let pause = PAUSE_WIDTH.min(width / 2.0 / pauses.max(1.0));
        let scale = (width - pauses * pause) / shown.max(1) as f64;
        let mut at = left;
        for (from, to, place) in &mut stretches {
            *place = at;
            at += (*to - *from) as f64 * scale + pause;
        }
        Self { stretches, scale }
    }

    /// Returns the place of a time.
    pub(super) fn x(&self, time: i64) -> f64 {
        let mut stretches = self.stretches.iter().rev();
        let stretch = stretches.find(|(from, ..)| *from <= time);
        let (from, to, place) = stretch
            .or(self.stretches.first())
            .copied()
            .unwrap_or_default();
        place + (time.clamp(from, to) - from) as f64 * self.scale
    }

    /// Returns the stretches, as from where to where they go on the axis.
    pub(super) fn stretches(&self) -> impl Iterator<Item = (f64, f64)> + '_ {
        let stretches = self.stretches.iter();
        stretches.map(|(from, to, place)| (*place, place + (to - from) as f64 * self.scale))
    }

    /// Returns whether a pause is left out between two times.
    pub(super) fn is_apart(&self, earlier: i64, later: i64) -> bool {
        let of = |time| {
            self.stretches
                .iter()
                .position(|(from, to, _)| (*from..*to).contains(&time))
        };
        of(earlier) != of(later)
    }

    /// Returns the ticks, about `most` of them: the place, the time, and the date where it is another than that of the tick before.
    pub(super) fn ticks(&self, most: f64) -> Vec<(f64, String, Option<String>)> {
        let shown: i64 = self.stretches.iter().map(|(from, to, _)| to - from).sum();
        let is_fit = |step: &&i64| shown as f64 / **step as f64 <= most;
        let step = TIME_STEPS.iter().find(is_fit).copied().unwrap_or(364 * DAY);
        let mut ticks = Vec::new();
        let mut last_date = String::new();
        let mut last_x = f64::MIN;
        for (from, to, _) in &self.stretches {
            let first = from.div_euclid(step) + i64::from(from.rem_euclid(step) > 0);
            let end = to.div_euclid(step) + i64::from(to.rem_euclid(step) > 0);
            let mut times: Vec<i64> = (first..end).map(|n| n * step).collect();
            if times.is_empty() {
                times.push(*from);
            }
            for time in times {
                let x = self.x(time);
                // Labels would run into each other.
                if x - last_x < 44.0 {
                    continue;
                }
                last_x = x;
                let (date, clock) = date_and_time(time, step < MINUTE);
                let label = if step >= DAY { date.clone() } else { clock };
                let is_new = step < DAY && date != last_date;
                ticks.push((x, label, is_new.then(|| date.clone())));
                last_date = date;
            }
        }
        ticks
    }
}

/// Returns a time's date, as `28 Nov`, and its time of day.
fn date_and_time(millis: i64, with_seconds: bool) -> (String, String) {
    let since = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    let text = clock::rfc3339_seconds(UNIX_EPOCH + since).to_string();
    let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month: usize = text[5..7].parse().unwrap_or(1);
    let date = format!(
        "{} {}",
        text[8..10].trim_start_matches('0'),
        months[month - 1]
    );
    let time = if with_seconds {
        &text[11..19]
    } else {
        &text[11..16]
    };
    (date, time.to_owned())
}

/// Returns a time of RFC 3339 as people read it: `28 Nov 2026 16:31`.
pub(super) fn shown_time(time: &str) -> String {
    match humantime::parse_rfc3339(time) {
        Ok(parsed) => {
            let since = parsed.duration_since(UNIX_EPOCH).unwrap_or_default();
            let millis = i64::try_from(since.as_millis()).unwrap_or(0);
            let (date, clock) = date_and_time(millis, false);
            format!("{date} {} {clock}", &time[..4])
        }
        Err(_) => time.to_owned(),
    }
}

/// Returns ticks from zero to at least `top`, about `most` of them; the last one is the top of the axis.
pub(super) fn linear_ticks(top: f64, most: f64) -> Vec<f64> {
    let rough = (top / most).max(f64::MIN_POSITIVE);
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0].map(|step| step * power);
    let step = steps.into_iter().find(|step| *step >= rough * 0.999_999);
    let step = step.unwrap_or(rough);
    let mut ticks = vec![0.0];
    while ticks.last().is_some_and(|last| *last < top * 0.999_999) {
        ticks.push(ticks.len() as f64 * step);
    }
    ticks
}

/// Returns ticks of a logarithmic axis that reach from `low` to `high`.
pub(super) fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let power = 10_f64.powf(low.log10().floor());
    let steps: &[f64] = if high / low > 300.0 {
        &[1.0]
    } else if high / low > 20.0 {
        &[1.0, 3.0]
    } else {
        &[1.0, 2.0, 5.0]
    };
    let mut ticks = Vec::new();
    let mut decade = power;
    loop {
        for step in steps {
            let tick = decade * step;
            ticks.push(tick);
            if tick >= high {
                // Of those at or below the lowest value one is enough.
                let below = ticks.iter().filter(|tick| **tick <= low).count();
                ticks.drain(..below.saturating_sub(1));
                return ticks;
            }
        }
        decade *= 10.0;
    }
}

/// Returns a number in few characters: `950`, `1.2k`, `10M`.
pub(super) fn short(number: f64) -> String {
    let (value, unit) = match number {
        n if n >= 1e9 => (n / 1e9, "G"),
        n if n >= 1e6 => (n / 1e6, "M"),
        n if n >= 1e4 => (n / 1e3, "k"),
        n => (n, ""),
    };
    let decimals = match value {
        value if unit.is_empty() && value.fract() == 0.0 => {
            return HumanFloatCount(value).to_string();
        }
        value if value >= 100.0 => 0,
        value if value >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{value:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{unit}")
}

/// Returns a latency in its unit: `40 ms`, `1.5 s`.
pub(super) fn latency(millis: f64) -> String {
    if millis < 1000.0 {
        format!("{} ms", short(millis.round()))
    } else {
        format!("{} s", short((millis / 100.0).round() / 10.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_reach_the_top() {
        for (top, ticks) in [
            (10.0, vec![0.0, 2.5, 5.0, 7.5, 10.0]),
            (9.3, vec![0.0, 2.5, 5.0, 7.5, 10.0]),
            (1000.0, vec![0.0, 250.0, 500.0, 750.0, 1000.0]),
            (3.0, vec![0.0, 1.0, 2.0, 3.0]),
        ] {
            assert_eq!(linear_ticks(top, 4.0), ticks, "{top}");
        }
    }

    #[test]
    fn log_ticks_reach_around_all_values() {
        for (low, high) in [(1.0, 2.0), (38.0, 52.0), (0.4, 900.0), (20.0, 90_000.0)] {
            let ticks = log_ticks(low, high);
            assert!(
                ticks[0] <= low && ticks[ticks.len() - 1] >= high,
                "{ticks:?}"
            );
            assert!((2..9).contains(&ticks.len()), "{ticks:?}");
        }
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0.0, "0"),
            (2.5, "2.5"),
            (950.0, "950"),
            (7500.0, "7,500"),
            (11_559.0, "11.6k"),
            (12.26, "12.3"),
            (12_500.0, "12.5k"),
            (10_000_000.0, "10M"),
        ] {
            assert_eq!(short(number), text);
        }
        assert_eq!(latency(39.6), "40 ms");
        assert_eq!(latency(1500.0), "1.5 s");
    }

    #[test]
    fn a_time_axis_leaves_long_pauses_out() {
        let begins: Vec<i64> = (0..10).chain(1000..1010).map(|n| n * MINUTE).collect();
        let axis = TimeAxis::new(&begins, MINUTE, 40.0, 212.0);
        assert!((axis.x(0) - 40.0).abs() < 1e-9);
        assert!((axis.x(10 * MINUTE) - 140.0).abs() < 1e-9);
        assert!((axis.x(500 * MINUTE) - 140.0).abs() < 1e-9);
        assert!((axis.x(1000 * MINUTE) - 152.0).abs() < 1e-9);
        assert!((axis.x(1010 * MINUTE) - 252.0).abs() < 1e-9);
        assert!(axis.is_apart(9 * MINUTE, 1000 * MINUTE));
        assert!(!axis.is_apart(MINUTE, 2 * MINUTE));
        let ticks = axis.ticks(6.0);
        assert_eq!(ticks[0].2.as_deref(), Some("1 Jan"));
        assert!((2..8).contains(&ticks.len()), "{ticks:?}");
    }

    #[test]
    fn times_are_shown_as_people_write_them() {
        assert_eq!(shown_time("2026-11-08T16:31:32.123Z"), "8 Nov 2026 16:31");
        assert_eq!(shown_time("?"), "?");
    }
}
