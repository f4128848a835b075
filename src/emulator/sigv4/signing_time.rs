//! The time at which a request was signed.

use std::time::{Duration, SystemTime};

/// Greatest difference between the clocks of the client and the service, as AWS has it.
pub(super) const MAX_SKEW: Duration = Duration::from_mins(5);

/// A time in the form of `X-Amz-Date`: `YYYYMMDDTHHMMSSZ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SigningTime<'a> {
    pub(super) text: &'a str,
    time: SystemTime,
}

impl<'a> SigningTime<'a> {
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let is_well_formed = text.len() == 16
            && text.bytes().enumerate().all(|(index, byte)| match index {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        if !is_well_formed {
            return None;
        }
        let rfc = format!(
            "{}-{}-{}T{}:{}:{}Z",
            &text[..4],
            &text[4..6],
            &text[6..8],
            &text[9..11],
            &text[11..13],
            &text[13..15]
        );
        let time = humantime::parse_rfc3339(&rfc).ok()?;
        Some(Self { text, time })
    }

    /// Returns `YYYYMMDD`.
    pub(super) fn day(&self) -> &'a str {
        &self.text[..8]
    }

    /// Compares the time with `now`.
    ///
    /// # Errors
    /// The difference is greater than [`MAX_SKEW`]; the message is the one of AWS.
    pub(super) fn check_skew(&self, now: SystemTime) -> Result<(), String> {
        let (text, now_text) = (self.text, format(now));
        if self.time + MAX_SKEW < now {
            return Err(format!(
                "Signature expired: {text} is now earlier than {} ({now_text} - 5 min.)",
                format(now - MAX_SKEW)
            ));
        }
        if now + MAX_SKEW < self.time {
            return Err(format!(
                "Signature not yet current: {text} is still later than {} ({now_text} + 5 min.)",
                format(now + MAX_SKEW)
            ));
        }
        Ok(())
    }
}

/// Formats a time as `X-Amz-Date` has it.
fn format(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_five_minutes_but_not_a_second_more() {
        let now = SigningTime::parse("20150830T123600Z").expect("a time").time;
        let check = |text: &str| SigningTime::parse(text).expect("a time").check_skew(now);
        for fine in ["20150830T123100Z", "20150830T123600Z", "20150830T124100Z"] {
            assert_eq!(check(fine), Ok(()));
        }
        assert_eq!(
            check("20150830T123059Z").expect_err("too old"),
            "Signature expired: 20150830T123059Z is now earlier than 20150830T123100Z (20150830T123600Z - 5 min.)"
        );
        assert_eq!(
            check("20150830T124101Z").expect_err("too early"),
            "Signature not yet current: 20150830T124101Z is still later than 20150830T124100Z (20150830T123600Z + 5 min.)"
        );
    }

    #[test]
    fn malformed_times_are_refused() {
        for wrong in [
            "",
            "20150830T123600",
            "2015-08-30T12:36",
            "20151330T123600Z",
            "2015083éT12360Z",
            "20150830t123600Z",
        ] {
            assert_eq!(SigningTime::parse(wrong), None, "{wrong}");
        }
    }
}
