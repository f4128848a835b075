//! The retry policy: botocore's in each of its modes, except that a throttled call is retried in all of them.

use std::fmt;
use std::time::Duration;

use super::answer;
use super::failure::failed;
use crate::aws::single::Reply;
use crate::error::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Legacy,
    Standard,
    Adaptive,
}

/// Mode and number of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RetryPolicy {
    mode: Mode,
    /// Attempts, the first one included.
    max_attempts: u32,
}

/// Codes of throttled calls, retried in every mode. botocore's legacy mode, the AWS CLI's default, gives up at the first
/// `TooManyRequestsException` with HTTP 400, and a script loses the row.
const THROTTLED: [&str; 9] = [
    "TooManyRequestsException",
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestLimitExceeded",
    "SlowDown",
    "ProvisionedThroughputExceededException",
];

/// Codes that only the standard and the adaptive mode retry.
const STANDARD: [&str; 7] = [
    "RequestTimeout",
    "RequestTimeoutException",
    "PriorRequestNotComplete",
    "TransactionInProgressException",
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "EC2ThrottledException",
];

impl RetryPolicy {
    /// Parses the settings.
    ///
    /// # Errors
    /// A setting has no valid value.
    pub(super) fn new(mode: Option<&str>, max_attempts: Option<&str>) -> Result<Self, Error> {
        let mode = match mode {
            None | Some("legacy") => Mode::Legacy,
            Some("standard") => Mode::Standard,
            Some("adaptive") => Mode::Adaptive,
            Some(other) => {
                return Err(failed(format!(
                    "Invalid value provided to \"mode\": \"{other}\" must be one of: ('legacy', 'standard', 'adaptive')"
                )));
            }
        };
        let max_attempts = match max_attempts.map(|text| text.trim().parse::<i64>()) {
            None => match mode {
                Mode::Legacy => 5,
                Mode::Standard | Mode::Adaptive => 3,
            },
            Some(Ok(number @ 1..)) => u32::try_from(number).unwrap_or(u32::MAX),
            Some(Ok(number)) => {
                return Err(failed(format!(
                    "Value provided to \"max_attempts\": {number} must be an integer greater than or equal to 1."
                )));
            }
            Some(Err(_)) => {
                return Err(failed(
                    "AWS_MAX_ATTEMPTS or max_attempts: invalid literal for a whole number",
                ));
            }
        };
        Ok(Self { mode, max_attempts })
    }

    /// Returns the delay before the next attempt after this reply to attempt number `attempt`, if one is due: exponential back-off with
    /// full jitter. `jitter` is uniform in `[0, 1)`.
    pub(super) fn delay(self, attempt: u32, reply: &Reply, jitter: f64) -> Option<Duration> {
        if attempt >= self.max_attempts || !self.is_retryable(reply) {
            return None;
        }
        let longest = 2_f64.powi(i32::try_from(attempt - 1).unwrap_or(i32::MAX));
        Some(Duration::from_secs_f64(jitter * longest.min(20.0)))
    }

    /// Returns the number of retries after the last allowed attempt, where the AWS CLI reports it: in the legacy mode at retryable errors
    /// only, in the others at every error.
    pub(super) fn exhausted(self, attempt: u32, reply: &Reply) -> Option<u32> {
        let is_reported = self.mode != Mode::Legacy || self.is_retryable(reply);
        (attempt >= self.max_attempts && is_reported).then(|| attempt - 1)
    }

    fn is_retryable(self, reply: &Reply) -> bool {
        match reply {
            Reply::NoAnswer { .. } => true,
            Reply::ServiceError { status, body, .. } => self.is_retryable_error(*status, body),
            Reply::Success
            | Reply::NotCognito { .. }
            | Reply::NoCredentials
            | Reply::CredentialsFailed(_)
            | Reply::NotBuilt(_) => false,
        }
    }

    fn is_retryable_error(self, status: u16, body: &[u8]) -> bool {
        let code = answer::parse(status, body).code;
        let throttled = status == 429 || THROTTLED.contains(&code.as_str());
        throttled
            || match self.mode {
                Mode::Legacy => matches!(status, 500 | 502 | 503 | 504 | 509),
                Mode::Standard | Mode::Adaptive => {
                    matches!(status, 500 | 502 | 503 | 504) || STANDARD.contains(&code.as_str())
                }
            }
    }
}

impl fmt::Display for RetryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = match self.mode {
            Mode::Legacy => "legacy",
            Mode::Standard => "standard",
            Mode::Adaptive => "adaptive",
        };
        write!(f, "retry mode {mode}, {} attempts", self.max_attempts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, code: &str) -> Reply {
        Reply::ServiceError {
            status,
            body: format!(r#"{{"__type":"{code}"}}"#).into_bytes(),
            request_id: None,
        }
    }

    #[test]
    fn each_mode_retries_as_in_botocore() {
        let [legacy, standard, adaptive] = ["legacy", "standard", "adaptive"]
            .map(|mode| RetryPolicy::new(Some(mode), None).expect("a mode"));
        assert_eq!(
            [legacy, standard, adaptive].map(|retries| retries.max_attempts),
            [5, 3, 3]
        );
        for (status, code, in_legacy, in_standard) in [
            (500, "InternalErrorException", true, true),
            (503, "X", true, true),
            (509, "X", true, false),
            (501, "X", false, false),
            (400, "ResourceNotFoundException", false, false),
            (400, "TooManyRequestsException", true, true),
            (400, "ThrottlingException", true, true),
            (400, "RequestLimitExceeded", true, true),
            (429, "X", true, true),
            (400, "RequestTimeout", false, true),
            (400, "LimitExceededException", false, true),
        ] {
            let reply = refused(status, code);
            let due =
                [legacy, standard, adaptive].map(|retries| retries.delay(1, &reply, 0.5).is_some());
            assert_eq!(
                due,
                [in_legacy, in_standard, in_standard],
                "{status} {code}"
            );
        }
        assert!(legacy.delay(1, &Reply::NoCredentials, 0.5).is_none());
    }

    #[test]
    fn delays_double_and_end() {
        let retries = RetryPolicy::new(None, Some("9")).expect("a number");
        let reply = refused(500, "X");
        let delays = [1, 2, 3, 8].map(|attempt| retries.delay(attempt, &reply, 0.5));
        assert_eq!(
            delays.map(|delay| delay.map(|delay| delay.as_millis())),
            [Some(500), Some(1000), Some(2000), Some(10_000)]
        );
        assert_eq!(retries.delay(9, &reply, 0.5), None);
        assert_eq!(retries.exhausted(9, &reply), Some(8));
        assert_eq!(retries.exhausted(8, &reply), None);
        assert_eq!(retries.exhausted(9, &refused(400, "X")), None);
        let standard = RetryPolicy::new(Some("standard"), Some("1")).expect("a mode");
        assert_eq!(standard.exhausted(1, &refused(400, "X")), Some(0));
    }

    #[test]
    fn invalid_settings_are_refused() {
        for (mode, attempts) in [
            (Some("STANDARD"), None),
            (Some(""), None),
            (None, Some("0")),
            (None, Some("-1")),
            (None, Some("")),
            (None, Some("many")),
        ] {
            assert!(
                RetryPolicy::new(mode, attempts).is_err(),
                "{mode:?} {attempts:?}"
            );
        }
    }
}
