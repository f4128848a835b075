//! End to end: the real executable, real files, real signals, and the emulator on a real socket.
//!
//! A process is brought to a known state by a call that the emulator holds, never by sleeping.

mod account;
mod admission;
mod aws_documents;
mod changed_inputs;
mod config_file;
mod confirmation;
mod credentials;
mod disk;
mod formats;
mod hold_list;
mod hostile_input;
mod http_server;
mod invalid_rows;
mod keep_last_login;
mod last_logins;
mod learned_quotas;
mod manual;
mod merge;
mod network;
mod outages;
mod output;
mod plan;
mod pool_checks;
mod pool_lookup_proxy;
mod redaction;
mod rehearsal;
mod relink;
mod replies;
mod report;
mod request_ids;
mod resolve;
mod results_as_input;
mod resume;
mod row_limit;
mod runs_log;
#[path = "../s3/mod.rs"]
mod s3;
#[cfg(feature = "s3")]
mod s3_doubts;
#[cfg(feature = "s3")]
mod s3_inputs;
#[cfg(feature = "s3")]
mod s3_results;
#[cfg(feature = "s3")]
mod s3_server;
mod sandbox;
mod saved_plan;
mod shards;
mod signals;
mod single_call;
mod stalled_calls;
mod stop_reasons;
mod system_limits;
mod torn_rows;
mod user_agent;
mod verdicts;
mod verify;
