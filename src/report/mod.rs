//! Shows a run to people and scripts: progress, messages, log and summary. Never calls AWS, never touches the results file.

mod drawing;
mod human;
pub mod log;
mod lookup_progress;
mod messages;
mod progress;
mod reading;
mod summary;

pub use human::{counted, paced, quota_name, spoken};
pub use lookup_progress::LookupProgress;
pub use messages::{complaint, notice};
pub use progress::{Progress, Style, Totals};
pub use reading::ReadingProgress;
pub use summary::{LearnedQuota, NEAR, Report, Unread, refusal, unmatched};
