//! Argument definitions and the manual. Only text is validated here: nothing is opened or called.

mod argument;
mod emulator;
mod job;
mod man_page;
mod merge;
mod pages;
mod plan;
mod program;
mod relink;
mod report;
mod resolve;
mod run;
mod shard;
mod single;
mod values;
mod verify;

pub use argument::Argument;
pub use emulator::EmulatorArgs;
pub use job::{InputArgs, JobArgs, LogFormat, OnExpiry, ProgressStyle};
pub use man_page::man_page;
pub use merge::MergeArgs;
pub use plan::{LoginsWay, PlanArgs};
pub use program::{Cli, Command, completions};
pub use relink::RelinkArgs;
pub use report::ReportArgs;
pub use resolve::ResolveArgs;
pub use run::{LastLogin, NotLinked, RunArgs};
pub use shard::ShardChoice;
pub use single::{SingleArgs, Skeleton};
pub use values::AtMost;
pub use verify::VerifyArgs;
