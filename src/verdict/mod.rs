//! Judges a reply, and decides the next step of its row. Pure: no clock, no I/O.
//!
//! ```text
//! Reply (as it came) → Verdict (what it means) → Step (retry: again, halt, or over) → End → the job's Outcome
//! ```

mod classify;
mod outcome;
mod redact;
mod reply;
mod retry;

pub use classify::{Cause, Verdict, classify};
pub use outcome::{End, NEAR_HOLD, Outcome, Standing};
pub use redact::{MASK, shown_code, shown_message, shown_request_id};
pub use reply::{CREDENTIALS_FAILED, Reply, ReplyDetails, ReplyKind};
pub use retry::{History, Policy, RunEvidence, Step};
