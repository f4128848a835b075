//! The library behind the `cognito-unlink` program; it promises nothing about its versions.

pub mod admission;
pub mod aws;
pub mod aws_cli;
pub mod call;
pub mod cli;
pub mod clock;
pub mod command_line;
pub mod emulator;
pub mod error;
pub mod exit;
pub mod exit_policy;
pub mod files;
pub mod guard;
pub mod input;
pub mod jobs;
pub mod os_limits;
pub mod pipeline;
pub mod plan;
mod program;
pub mod report;
pub mod results;
pub mod row;
pub mod saved_quotas;
pub mod scan;
pub mod settings;
pub mod signal;
pub mod stderr;
pub mod supervisor;
pub mod terminal;
pub mod url;
pub mod verdict;

/// Runs the program with the arguments of this process, and returns its exit code.
#[must_use]
pub fn main() -> std::process::ExitCode {
    program::main()
}
