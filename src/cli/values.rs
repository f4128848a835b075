//! Values of options, from their text.

use std::num::{NonZeroU32, NonZeroU64};
use std::str::FromStr;
use std::time::Duration;

use crate::row::Field;
use crate::url::is_http;

/// A number of rows, or a part of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AtMost {
    /// This many.
    Rows(u64),
    /// This part, in percent.
    Percent(f64),
}

pub(super) fn at_most(text: &str) -> Result<AtMost, String> {
    let parsed = match text.strip_suffix('%') {
        None => text.parse().ok().map(AtMost::Rows),
        Some(percent) => percent
            .parse()
            .ok()
            .filter(|percent| (0.0..=100.0).contains(percent))
            .map(AtMost::Percent),
    };
    parsed.ok_or_else(|| "expected a number of rows, or a percentage from 0% to 100%".to_owned())
}

/// A part, from 0 to 1, of which something must be left.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let percent = text
        .strip_suffix('%')
        .and_then(|percent| percent.parse().ok());
    percent
        .filter(|percent| (0.0..=90.0).contains(percent))
        .map(|percent: f64| percent / 100.0)
        .ok_or_else(|| "expected a percentage from 0% to 90%".to_owned())
}

/// A number of something that must be there.
pub(super) fn count<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| "expected a whole number from 1".to_owned())
}

pub(super) fn limit(text: &str) -> Result<NonZeroU64, String> {
    count(text).map_err(|expected| match text.parse() {
        Ok(0) => format!("{expected}; --dry-run reads everything and calls nothing"),
        _ => expected,
    })
}

pub(super) fn concurrency(text: &str) -> Result<NonZeroU32, String> {
    let number: Option<NonZeroU32> = text.parse().ok();
    number
        .filter(|number| number.get() <= 10_000)
        .ok_or_else(|| "expected a whole number from 1 to 10000".to_owned())
}

pub(super) fn positive(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    number
        .filter(|number| number.is_finite() && *number > 0.0)
        .ok_or_else(|| "expected a positive number".to_owned())
}

/// More calls a second of simulated traffic would keep the emulator busy by themselves.
const MOST_TRAFFIC: f64 = 100_000.0;

pub(super) fn traffic(text: &str) -> Result<f64, String> {
    let calls = positive(text)?;
    (calls <= MOST_TRAFFIC)
        .then_some(calls)
        .ok_or_else(|| format!("expected at most {MOST_TRAFFIC} calls a second"))
}

/// Longer is a mistake, and would not fit the clock.
const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

pub(super) fn any_time(text: &str) -> Result<Duration, String> {
    // As the AWS CLI has it, a bare number is seconds.
    let seconds = text.parse().ok();
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map_or_else(|| humantime::parse_duration(text), Ok)
        .ok()
        .filter(|time| *time <= LONGEST)
        .ok_or_else(|| {
            "expected a time, as in 500ms, 10s, 15m or 8h, of ten years at most".to_owned()
        })
}

pub(super) fn time(text: &str) -> Result<Duration, String> {
    any_time(text).and_then(|time| {
        if time.is_zero() {
            Err("expected a time longer than nothing".to_owned())
        } else {
            Ok(time)
        }
    })
}

/// Shorter, and a garbage collection in the store or a busy machine looks like the death of a run.
const SHORTEST_TAKE_OVER: Duration = Duration::from_secs(3);

pub(super) fn take_over_after(text: &str) -> Result<Duration, String> {
    let time = any_time(text)?;
    (time >= SHORTEST_TAKE_OVER)
        .then_some(time)
        .ok_or_else(|| "expected a time of 3s at least".to_owned())
}

pub(super) fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("expected one ASCII character other than a quote or a line end".to_owned()),
    }
}

pub(super) fn mapping(text: &str) -> Result<(Field, String), String> {
    let (field, column) = text
        .split_once('=')
        .ok_or("expected FIELD=COLUMN, as in developer_user_identifier=user")?;
    let field = Field::named(field).ok_or_else(|| {
        let names = Field::ALL.map(Field::name).join(", ");
        format!("no such field; the fields are {names}")
    })?;
    Ok((field, column.to_owned()))
}

pub(super) fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("expected the twelve digits of an account".to_owned())
    }
}

/// Parses an endpoint. One that may contain a password passes, since clap would quote it in its refusal; the settings refuse it.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    if text.contains('@') {
        return Ok(text.to_owned());
    }
    if is_http(text) {
        Ok(text.to_owned())
    } else {
        Err("expected a URL that begins with http:// or https://".to_owned())
    }
}
