//! The faults that the emulator can inject, and the share of calls that gets one.

use std::fmt;
use std::str::FromStr;

/// A way in which a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// `TooManyRequestsException`, whatever the quota.
    Throttle,
    /// `InternalErrorException`, without effect.
    InternalError,
    /// HTTP 500 with a page in HTML, as a proxy sends it, without effect.
    Html500,
    /// The connection closes before the call takes effect.
    ResetBefore,
    /// The connection closes after the call has taken effect, without a response.
    ResetAfter,
    /// No response ever, without effect.
    Hang,
    /// No response ever, after taking effect.
    HangAfter,
    /// The response breaks off, after taking effect.
    Truncate,
    /// `ExpiredTokenException`
    ExpiredToken,
    /// `AccessDeniedException`
    AccessDenied,
    /// `InvalidSignatureException`
    BadSignature,
}

impl FaultKind {
    /// All kinds, in the order in which help names them.
    pub const ALL: [Self; 11] = [
        Self::Throttle,
        Self::InternalError,
        Self::Html500,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Hang,
        Self::HangAfter,
        Self::Truncate,
        Self::ExpiredToken,
        Self::AccessDenied,
        Self::BadSignature,
    ];

    /// Returns the name that `--fault` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::InternalError => "internal-error",
            Self::Html500 => "html-500",
            Self::ResetBefore => "reset-before",
            Self::ResetAfter => "reset-after",
            Self::Hang => "hang",
            Self::HangAfter => "hang-after",
            Self::Truncate => "truncate",
            Self::ExpiredToken => "expired-token",
            Self::AccessDenied => "access-denied",
            Self::BadSignature => "bad-signature",
        }
    }

    /// Returns true if the link is removed although the caller gets no answer that confirms it.
    pub(super) fn takes_effect(self) -> bool {
        matches!(self, Self::ResetAfter | Self::HangAfter | Self::Truncate)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault, and the share of unlinks that gets it, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultShare {
    /// The fault.
    pub kind: FaultKind,
    /// The share, from 0 to 1.
    pub share: f64,
}

impl FromStr for FaultShare {
    type Err = String;

    /// Parses `throttle=0.05` or `throttle=5%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, share) = text
            .split_once('=')
            .ok_or("expected KIND=SHARE, as in throttle=5%")?;
        let kind = FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let names = FaultKind::ALL.map(FaultKind::name).join(", ");
                format!("unknown fault; the kinds are {names}")
            })?;
        let share = match share.strip_suffix('%') {
            Some(percent) => percent.parse().map(|percent: f64| percent / 100.0),
            None => share.parse(),
        };
        share
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
            .map(|share| Self { kind, share })
            .ok_or_else(|| "expected a share from 0 to 1, or from 0% to 100%".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_parsed_as_documented() {
        let read = |text: &str| text.parse::<FaultShare>().map(|f| (f.kind, f.share));
        assert_eq!(read("throttle=5%"), Ok((FaultKind::Throttle, 0.05)));
        assert_eq!(read("reset-after=0.5"), Ok((FaultKind::ResetAfter, 0.5)));
        for wrong in [
            "throttle",
            "throttle=",
            "throttle=101%",
            "throttle=-1",
            "x=1%",
            "hang=nan",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
