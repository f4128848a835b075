//! Decides when an attempt may start. Knows neither rows nor HTTP.
//!
//! Every attempt asks for admission, retries included. It waits in its Region's queue, first come first served, until four things
//! hold at once: no circuit breaker is open, fewer calls than `--concurrency` are in flight, the rate limit has a token, and the
//! pacer's next start is due. The [`Permit`] ends before the row's back-off begins, so that a row in back-off takes up no
//! concurrency.
//!
//! A token is valid only for a moment. An attempt that is delayed between its admission and its first byte takes another one
//! ([`Region::renew_token`]): otherwise calls that were delayed together would be sent together.
//!
//! Two circuit breakers stand before each call: that of its Region, open while the Region does not answer, and one for all
//! Regions, open while the credentials are not accepted. An open breaker lets one trial call through at a time.
//!
//! | file | decides by |
//! |---|---|
//! | `rate_limit` | what the operator allows |
//! | `pacer` | what the service accepts |
//! | `circuit_breaker`, `outage_detector`, `credentials_breaker` | whether calls can succeed at all |
//! | `region`, `permit` | all of it together, for one attempt |

#[expect(
    clippy::module_inception,
    reason = "the file is named after the type that it defines"
)]
mod admission;
mod circuit_breaker;
mod credentials_breaker;
mod feedback;
mod limits;
mod outage_detector;
mod pacer;
mod permit;
mod rate_limit;
mod region;

pub use admission::{Admission, Blocked};
pub use credentials_breaker::CREDENTIALS_PAUSE;
pub use feedback::Feedback;
pub use limits::Limits;
pub use permit::{InFlightPermit, Permit};
pub use rate_limit::Rate;
pub use region::Region;

#[cfg(test)]
mod tests;
