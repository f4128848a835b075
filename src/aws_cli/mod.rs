//! The command `unlink-developer-identity`: one call, a drop-in for `aws cognito-identity unlink-developer-identity` of AWS CLI
//! version 1. `tests/single_call.toml` lists invocations and their results as observed with the AWS CLI, and deliberate differences.

mod answer;
mod command;
mod failure;
mod parameters;
mod retries;
mod values;

pub use command::run;
