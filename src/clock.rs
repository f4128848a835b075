//! Times in RFC 3339, in UTC. `humantime` panics outside of 1970 to 9999, so times are clamped to these years: a clock that is set
//! wrong must not end a run.

use std::time::{Duration, SystemTime};

use humantime::Rfc3339Timestamp;

/// 9999-12-31T23:59:59Z, as the time since 1970.
const LAST: Duration = Duration::from_secs(253_402_300_799);

fn within_range(time: SystemTime) -> SystemTime {
    time.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST)
}

/// Returns the time to the second, as in `2026-11-28T16:31:32Z`.
#[must_use]
pub fn rfc3339_seconds(time: SystemTime) -> Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(within_range(time))
}

/// Returns the time to the millisecond.
#[must_use]
pub fn rfc3339_millis(time: SystemTime) -> Rfc3339Timestamp {
    humantime::format_rfc3339_millis(within_range(time))
}

/// Returns the time to the microsecond.
#[must_use]
pub fn rfc3339_micros(time: SystemTime) -> Rfc3339Timestamp {
    humantime::format_rfc3339_micros(within_range(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_can_be_formatted() {
        let day = Duration::from_hours(24);
        for (time, text) in [
            (SystemTime::UNIX_EPOCH - day, "1970-01-01T00:00:00Z"),
            (SystemTime::UNIX_EPOCH + day, "1970-01-02T00:00:00Z"),
            (SystemTime::UNIX_EPOCH + LAST + day, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339_seconds(time).to_string(), text);
            assert_eq!(rfc3339_millis(time).to_string()[..19], text[..19]);
            assert_eq!(rfc3339_micros(time).to_string()[..19], text[..19]);
        }
    }
}
