//! Begins and ends a run of any job: the service that it calls, quotas, inputs, results, and the report on its end.
//!
//! A job's command checks its inputs ([`check_inputs`]), connects to the service ([`Service`]), opens its results
//! ([`open_results`]), and drives a [`Run`] to its end, which is a report ([`ending`]).

mod backend;
mod bounds;
pub mod ending;
mod learned_quotas;
mod open;
mod run;
mod run_log;
mod service;

pub use bounds::bounds;
pub use open::{
    check_inputs, check_read, open_log, open_record, open_results, read_holds, report_record,
};
pub use run::Run;
pub use run_log::RunLog;
pub use service::Service;
