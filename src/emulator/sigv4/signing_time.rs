//! When a request was signed.

use std::time::{Duration, SystemTime};

/// How far the caller's clock may be from the service's.
pub(super) const SKEW: Duration = Duration::from_mins(5);

/// A time as `X-Amz-Date` has it: `YYYYMMDDTHHMMSSZ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp<'a> {
    pub(super) text: &'a str,
    time: SystemTime,
}

impl<'a> Stamp<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let is_in_form = text.len() == 16
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 => byte == b'T',
                15 => byte == b'Z',
                _ => byte.is_ascii_digit(),
            });
        if !is_in_form {
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

    /// `YYYYMMDD`
    pub(super) fn day(&self) -> &'a str {
        &self.text[..8]
    }

    /// # Errors
    /// It is too far from `now`; the message says how AWS sees it.
    pub(super) fn check(&self, now: SystemTime) -> Result<(), String> {
        let (text, shown) = (self.text, stamp(now));
        if self.time + SKEW < now {
            return Err(format!(
                "Signature expired: {text} is now earlier than {} ({shown} - 5 min.)",
                stamp(now - SKEW)
            ));
        }
        if now + SKEW < self.time {
            return Err(format!(
                "Signature not yet current: {text} is still later than {} ({shown} + 5 min.)",
                stamp(now + SKEW)
            ));
        }
        Ok(())
    }
}

fn stamp(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    text.replace(['-', ':'], "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_minutes_are_borne_and_not_a_second_more() {
        let now = Stamp::read("20150830T123600Z").expect("a time").time;
        let check = |text: &str| Stamp::read(text).expect("a time").check(now);
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
    fn what_is_no_time_is_refused() {
        for wrong in [
            "",
            "20150830T123600",
            "2015-08-30T12:36",
            "20151330T123600Z",
            "2015083éT12360Z",
            "20150830t123600Z",
        ] {
            assert_eq!(Stamp::read(wrong), None, "{wrong}");
        }
    }
}
