//! The settings of a run: the arguments resolved, and the configuration file.

mod arguments;
mod checks;
mod config;
mod guards;
mod lookup_settings;
mod mode;
mod results_path;
mod run_settings;
mod source;

pub use guards::{Guards, PlannedLastLogins};
pub use lookup_settings::{ResolveSettings, VerifySettings};
pub use mode::Mode;
pub use run_settings::Settings;
pub use source::{Origin, Sourced};
