//! The settings of a run: the arguments resolved, and the configuration file.

mod arguments;
mod checks;
mod config;
mod guards;
mod job_settings;
mod mode;
mod results_files;
mod results_path;
mod run_settings;
mod shard;
mod source;

pub use guards::{Guards, PlannedLastLogins};
pub use job_settings::{RelinkSettings, Relinked, ResolveSettings, VerifySettings};
pub use mode::Mode;
pub use results_files::find_results;
pub use results_path::{remaining_path, runs_path};
pub use run_settings::{Settings, environment_objects, progress_style};
pub use source::{Origin, Sourced};
