//! Shows a run to people and scripts: progress, messages, log and summary. Never calls AWS, never touches the results file.

mod drawing;
mod human;
pub mod log;
mod messages;
mod progress;
mod summary;

pub use human::{counted, paced, quota_name, spoken};
pub use messages::{complaint, notice};
pub use progress::{Progress, Style, Totals};
pub use summary::{LearnedQuota, NEAR, Report, Unread, refusal, unmatched};
