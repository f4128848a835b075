//! The report on the end of a run: exit code, message and next command.

use std::path::Path;
use std::time::Duration;

use super::outcome::UnlinkOutcome;
use crate::command_line;
use crate::exit::Exit;
use crate::exit_policy;
use crate::input::{self, Compression, Format, Input};
use crate::operation::Operation;
use crate::pipeline::Tally;
use crate::report::Report;
use crate::runner::ending;
use crate::settings::{Mode, Settings};

/// Completes the report on the end of a run: with a message, if all rows were read, and the next command.
pub(super) fn complete(
    mut report: Report<UnlinkOutcome>,
    settings: &Settings,
) -> Report<UnlinkOutcome> {
    if report.reason == "finished" {
        report.message = undone(settings, &report.tally);
    }
    report.next = next(settings, &report.tally, report.exit)
        .or_else(|| report_on_all_runs(settings, report.exit));
    ending::check_counts(&mut report);
    report
}

/// Returns the outcomes that the settings count as not done for the exit code.
pub(super) fn undone_outcomes(settings: &Settings) -> &'static [UnlinkOutcome] {
    if settings.not_linked_fails {
        &[UnlinkOutcome::NotLinked]
    } else {
        &[]
    }
}

/// Reports the end of a dry run.
pub(super) fn dry_report(
    settings: &Settings,
    tally: Tally<UnlinkOutcome>,
    elapsed: Duration,
) -> Report<UnlinkOutcome> {
    let operation = Operation::UnlinkDeveloperIdentity;
    let mut report = ending::blank(settings, tally, operation, elapsed);
    report.exit = exit_policy::conclusion(&tally, &[]);
    report.message = settings
        .stop_rules
        .limit
        .filter(|limit| *limit < tally.left)
        .map(|limit| {
            format!("With --limit {limit}, a run stops when so many of the rows left are settled.")
        });
    report.next = if tally.left == 0 {
        extract_invalid(settings, &tally)
    } else {
        // Without a name for its results, as of standard input, a rehearsal would be refused.
        settings.results.as_ref().map(|_| {
            (
                command_line::changed(&settings.command, &["--dry-run"], &["--rehearse"]),
                "Next, rehearse it:".to_owned(),
            )
        })
    };
    report
}

/// Returns the message of a run that read all its rows.
fn undone(settings: &Settings, tally: &Tally<UnlinkOutcome>) -> Option<String> {
    let invalid = tally.of(UnlinkOutcome::Invalid);
    if invalid > 0 {
        return Some(format!(
            "Invalid rows stand in the results with their line and reason ({invalid} of them). Correct them in the input, or in a file of their own."
        ));
    }
    if tally.near_holds > 0 {
        return Some(near_holds(tally.near_holds));
    }
    let results = settings.results.as_ref()?;
    let is_known = settings.mode == Mode::Rehearsal && tally.skipped > 0 && tally.settled() == 0;
    is_known.then(|| {
        format!(
            "All of it was rehearsed before. To rehearse it from the beginning, remove {} first.",
            results.path.display()
        )
    })
}

/// Returns the message on near matches, which a person has to decide.
fn near_holds(rows: u64) -> String {
    format!(
        "{} held by near matches of the hold list. Decide whether they are the users that the lines mean. If so, write the lines as \
         the rows have them; if not, give the line as sha256:<hex> of the other identifier.",
        match rows {
            1 => "1 row is".to_owned(),
            _ => format!("{rows} rows are"),
        }
    )
}

/// Returns the next command to run, and what it does.
fn next(settings: &Settings, tally: &Tally<UnlinkOutcome>, exit: Exit) -> Option<(String, String)> {
    let command = &settings.command;
    let in_doubt = tally.of(UnlinkOutcome::InDoubt);
    let failed = tally.total(UnlinkOutcome::Failed);
    let skips_failed = command.iter().any(|word| word == SKIP_FAILED);
    let does = match exit {
        Exit::Done if settings.mode == Mode::Rehearsal => {
            return Some((
                command_line::after_rehearsal(command, settings.has_low_rate()),
                "Next, for real:".to_owned(),
            ));
        }
        Exit::Done | Exit::Usage | Exit::Locked | Exit::CallFailed => return None,
        Exit::NotAllDone if failed + in_doubt == 0 => return extract_invalid(settings, tally),
        Exit::NotAllDone if skips_failed && in_doubt == 0 => {
            return Some((
                command_line::changed(command, &[SKIP_FAILED], &[]),
                "Next, without --skip-failed what has failed is tried again:".to_owned(),
            ));
        }
        Exit::NotAllDone if skips_failed => "Next, the same command tries what is in doubt again:",
        Exit::NotAllDone => {
            "Next, the same command tries what is failed or in doubt again (--skip-failed leaves what failed):"
        }
        Exit::Input => "Next, once the input can be read, the same command goes on:",
        Exit::Halted => "Then the same command goes on where this run stopped:",
        Exit::Stopped | Exit::HungUp | Exit::Interrupted | Exit::Terminated => {
            "Next, the same command goes on where this run stopped:"
        }
    };
    Some((command_line::changed(command, &[], &[]), does.to_owned()))
}

/// Returns the command that reports on all runs of the results.
fn report_on_all_runs(settings: &Settings, exit: Exit) -> Option<(String, String)> {
    let is_finished = matches!(exit, Exit::Done | Exit::NotAllDone);
    let results = settings.results.as_ref().filter(|_| is_finished)?;
    let program = settings.command.first()?.clone();
    let results = results.path.to_string_lossy();
    Some((
        command_line::changed(&[program, "report".to_owned()], &[], &[&results]),
        "Next, what all runs of these results have done, with reasons (--html FILE for a page):"
            .to_owned(),
    ))
}

const SKIP_FAILED: &str = "--skip-failed";

/// Returns the command that writes the invalid rows to a file, where they can be corrected. It cannot read a pipe again, nor the
/// rows of a saved plan.
fn extract_invalid(settings: &Settings, tally: &Tally<UnlinkOutcome>) -> Option<(String, String)> {
    let is_planned = settings.rows.is_some();
    if tally.of(UnlinkOutcome::Invalid) == 0 || is_planned || settings.command.get(1)? != "run" {
        return None;
    }
    let format = |input| input::format_of(input, &settings.input).ok();
    let first = settings.inputs.first()?;
    let alike = |input| matches!(input, &Input::File(_)) && format(input) == format(first);
    let Input::File(path) = first else {
        return None;
    };
    let mut to = path.clone();
    if Compression::of_name(&to) != Compression::None {
        to.set_extension("");
    }
    if Format::of_name(&to).is_some() {
        to.set_extension("");
    }
    let mut to = to.into_os_string();
    to.push(format!(".invalid.{}", format(first)?.ending()));
    if !settings.inputs.iter().all(alike) || Path::new(&to).exists() {
        return None;
    }
    let mut command = settings.command.clone();
    "plan".clone_into(&mut command[1]);
    let to = to.to_string_lossy();
    let command = command_line::changed(
        &command,
        &["--dry-run", "--rehearse", "--yes", "-y"],
        &["--invalid", &to],
    );
    Some((
        command,
        "Next, have the invalid rows written to a file of their own, with the reasons, and correct them there:".to_owned(),
    ))
}
