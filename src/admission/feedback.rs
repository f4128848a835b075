//! Feedback to admission from the end of a call.

/// The result of a call, as admission uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// The Region answered and did not throttle.
    Accepted,
    /// The Region throttled the call.
    Throttled,
    /// The Region did not answer. The number identifies the row, which may be what the service fails on.
    Unanswered(u64),
    /// The call cannot have been sent: no connection was made.
    NotSent,
    /// The credentials are no longer accepted: no call can succeed before they are renewed.
    CredentialsRejected,
    /// The call proves nothing about the Region: another server answered, or no request could be made.
    Inconclusive,
}
