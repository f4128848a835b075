//! Feedback to admission from the end of a call.

/// The end of a call, as far as admission learns from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feedback {
    /// The Region answered and did not throttle.
    Accepted,
    /// The Region throttled the call.
    Throttled,
    /// The Region did not answer. The number identifies the row, which may be what the service fails on.
    Unanswered(u64),
    /// The call cannot have been sent: no connection came about.
    NotSent,
    /// The credentials are no longer accepted: no call can succeed before they are renewed.
    CredentialsRejected,
    /// The call says nothing about the Region: the answer was another server's, or no request could be made.
    Inconclusive,
}
