//! Decides when an attempt may start. Knows neither rows nor HTTP.
//!
//! Every attempt asks for admission, retries included. It waits in the queue of its Region and operation, first come first served,
//! until four things hold at once: no circuit breaker is open, fewer calls are in flight than may be, the rate limit has a token,
//! and the pacer's next start is due. The [`Permit`] ends before the row's back-off begins, so that a row in back-off takes up
//! no concurrency.
//!
//! A token is valid only for a moment. An attempt that is delayed between its admission and its first byte takes another one
//! ([`Queue::renew_token`]): otherwise calls that were delayed together would be sent together.
//!
//! AWS counts a quota per account, Region and operation. So look-ups beside the job's calls have limits and a pace of their own:
//! they neither slow the job down nor are slowed down by it.
//!
//! Three circuit breakers stand before each call: that of its queue, open while the service has asked for a wait; that of its
//! Region, open while the Region does not answer; and one for all Regions, open while the credentials are not accepted. Of the
//! latter two an open one lets one trial call through at a time.
//!
//! | file | decides by |
//! |---|---|
//! | `rate_limit` | what the operator allows |
//! | `pacer` | what the service accepts |
//! | `circuit_breaker`, `outage_detector`, `credentials_breaker` | whether calls can succeed at all |
//! | `queue`, `region`, `permit` | all of it together, for one attempt |
//! | `turns` | how many rows may prepare for a call of the queue |

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
mod queue;
mod rate_limit;
mod region;
mod turns;

pub use admission::{Admission, Blocked};
pub use credentials_breaker::CREDENTIALS_PAUSE;
pub use feedback::Feedback;
pub use limits::Limits;
pub use permit::{InFlightPermit, Permit};
pub use queue::Queue;
pub use rate_limit::Rate;
pub use turns::Turn;

#[cfg(test)]
mod tests;
