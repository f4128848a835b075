//! The program's arguments: its commands, and the completions made of them.

use clap::{Parser, Subcommand};

use super::emulator::EmulatorArgs;
use super::merge::MergeArgs;
use super::pages::{self, help};
use super::plan::PlanArgs;
use super::relink::RelinkArgs;
use super::report::ReportArgs;
use super::resolve::ResolveArgs;
use super::run::RunArgs;
use super::single::SingleArgs;
use super::verify::VerifyArgs;

/// Unlinks developer user identifiers from Amazon Cognito identities, in bulk.
///
/// It reads rows from CSV and JSONL files, calls Cognito for each at a limited rate, and records one outcome for each row. The
/// same command goes on where a run has stopped.
///
/// An unlink cannot simply be undone, and removing the last login of an identity makes that identity inaccessible.
/// Rehearse first: `cognito-unlink run people.csv --rehearse` runs the whole job against an emulator on this machine.
#[derive(Debug, Parser)]
#[command(
    name = "cognito-unlink",
    version,
    propagate_version = true,
    max_term_width = 110,
    after_long_help = help(pages::PROGRAM, "")
)]
#[command(arg_required_else_help = true, subcommand_required = true)]
pub struct Cli {
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Unlink every row of the inputs, and record the outcome of each
    ///
    /// Outcomes go to a results file beside the first input. The same command, run again, skips the rows that are done and goes on
    /// with the others. On a terminal it asks before it calls AWS.
    #[command(
        after_long_help = help(pages::RUN, "run")
    )]
    Run(Box<RunArgs>),
    /// Find the identity of each user, or the users of each identity, as rows for `run`
    ///
    /// It looks users and identities up, page by page, and changes nothing. Links go to one file, which is an input of `plan` and
    /// `run`; rows without a link go to another, with the reason. The same command, run again, goes on where it stopped.
    #[command(
        after_long_help = help(pages::RESOLVE, "resolve")
    )]
    Resolve(Box<ResolveArgs>),
    /// Check every row and forecast the run, without calling AWS
    ///
    /// It takes the options of `run`, and tells which rows are invalid, duplicate, done or held, and how long the others take.
    #[command(
        after_long_help = help(pages::PLAN, "plan")
    )]
    Plan(Box<PlanArgs>),
    /// Look up afterwards whether the links of a results file are really gone
    ///
    /// It looks up every row in doubt, and a sample of those that are done or all of them, and changes nothing. It ends with a
    /// statement of what was looked at and what was found.
    #[command(
        after_long_help = help(pages::VERIFY, "verify")
    )]
    Verify(Box<VerifyArgs>),
    /// Link users again to the identities that they were unlinked from
    ///
    /// It looks each user up, and links those that are linked nowhere to their old identity. The first rows go one by one, until a
    /// look-up shows that one is linked. It shows what it does and asks, as `run` does.
    #[command(
        after_long_help = help(pages::RELINK, "relink")
    )]
    Relink(Box<RelinkArgs>),
    /// Show what results files say: numbers, reasons, runs, and what remains
    ///
    /// It reads results, also while a run goes on and after a crash, and calls nothing.
    #[command(
        after_long_help = help(pages::REPORT, "report")
    )]
    Report(Box<ReportArgs>),
    /// Write one results file from those of shards
    ///
    /// It checks that they belong together, names shards that are missing or not finished, and calls nothing.
    #[command(
        after_long_help = help(pages::MERGE, "merge")
    )]
    Merge(Box<MergeArgs>),
    /// Unlink one user, as `aws cognito-identity unlink-developer-identity` does
    UnlinkDeveloperIdentity(Box<SingleArgs>),
    /// Serve a part of the Cognito Identity API on this machine, for rehearsals and tests
    ///
    /// It prints its URL and serves until a signal comes. It is not Cognito, keeps everything in memory, and forgets it at the end.
    #[command(
        after_long_help = help(pages::EMULATOR, "emulator")
    )]
    Emulator(Box<EmulatorArgs>),
    /// Print a script that completes commands and options in a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a man page, to be read with `man -l -`
    Man {
        /// Command whose page is printed [default: the page of the whole program]
        command: Option<String>,
    },
}

/// Returns the completions for a shell, as a script.
#[must_use]
pub fn completions(shell: clap_complete::Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut <Cli as clap::CommandFactory>::command(),
        "cognito-unlink",
        &mut script,
    );
    let script = String::from_utf8_lossy(&script);
    // For bash a hyphen in the program's name is set as `__` where a command is found, and as that of a subcommand where it
    // is looked up: nothing after the first word would be completed.
    script.replace("cognito__subcmd__unlink__", "cognito__unlink__")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::CommandFactory;

    use super::*;
    use crate::cli::{AtMost, NotLinked};
    use crate::row::Field;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    fn run(args: &[&str]) -> Result<RunArgs, clap::Error> {
        let args = ["cognito-unlink", "run", "people.csv"].iter().chain(args);
        match Cli::try_parse_from(args)?.command {
            Command::Run(run) => Ok(*run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defaults_are_the_contracts() {
        let run = run(&[]).expect("valid");
        assert_eq!(
            (
                run.job.burst.get(),
                run.job.concurrency.get(),
                run.job.max_attempts.get()
            ),
            (1, 16, 8)
        );
        assert_eq!(run.job.timeout, Duration::from_secs(10));
        assert_eq!(run.job.connect_timeout, Duration::from_secs(3));
        assert_eq!(run.job.give_up_after, Duration::from_mins(15));
        assert_eq!(run.job.max_failures, AtMost::Percent(50.0));
        assert_eq!((run.max_not_linked, run.job.max_invalid), (None, None));
        assert_eq!(run.not_linked, NotLinked::Ok);
    }

    #[test]
    fn text_is_validated() {
        for wrong in [
            &["--rate", "0"][..],
            &["--concurrency", "0"],
            &["--limit", "0"],
            &["--timeout", "0"],
            &["--timeout", "soon"],
            &["--for", "11y"],
            &["--for", "99999999999999999999"],
            &["--max-failures", "101%"],
            &["--leave", "100%"],
            &["--leave", "20"],
            &["--max-failures", "-1"],
            &["--max-invalid", "half"],
            &["--delimiter", "ab"],
            &["--delimiter", "\""],
            &["--map", "user"],
            &["--map", "person=user"],
            &["--endpoint-url", "localhost:8000"],
            &["--no-header"],
            &["--dry-run", "--rehearse"],
            &["--format", "xml"],
            &["--rate", "fast"],
            &["--expect-account", "12345"],
            &["--expect-account", "12345678901x"],
        ] {
            assert_eq!(
                run(wrong).map_err(|e| e.exit_code()).err(),
                Some(2),
                "{wrong:?}"
            );
        }
        let given = run(&[
            "--timeout",
            "2.5",
            "--for",
            "1h 30m",
            "--max-failures",
            "7",
            "--delimiter",
            "\\t",
            "--map",
            "DeveloperUserIdentifier=user=id",
        ])
        .expect("valid");
        assert_eq!(given.job.timeout, Duration::from_millis(2500));
        assert_eq!(given.job.take_for, Some(Duration::from_mins(90)));
        assert_eq!(given.job.max_failures, AtMost::Rows(7));
        assert_eq!(given.input.delimiter, Some(b'\t'));
        assert_eq!(
            given.input.map,
            [(Field::DeveloperUserIdentifier, "user=id".to_owned())]
        );
    }
}
