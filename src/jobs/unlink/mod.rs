//! The main job: `UnlinkDeveloperIdentity` for every row.
//!
//! [`keep`] looks at each identity before it calls. [`run`] opens a run, drives it and closes it; [`dry_run`] reads and scans everything and calls nothing.

mod dry_run;
mod early_warnings;
mod job;
mod keep;
mod outcome;
mod run;
mod summary;

pub use job::{UnlinkJob, bounds};
pub use outcome::UnlinkOutcome;
pub use run::{Opened, open};
