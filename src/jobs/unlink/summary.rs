//! The report on the end of a run: exit code, message and next command.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::job::bounds;
use super::outcome::UnlinkOutcome;
use crate::command_line;
use crate::exit::Exit;
use crate::exit_policy;
use crate::input::{self, Compression, Format, Input, InputError};
use crate::os_limits::NO_FILES;
use crate::pipeline::{
    Counters, FailureLimit, Halt, HaltingReply, Reason, Summary, Tally, rows_judged,
};
use crate::report::{Report, log};
use crate::settings::{Mode, Settings};
use crate::signal::Signal;
use crate::verdict::{CREDENTIALS_FAILED, Cause};

/// Reports the end of a run.
pub(super) fn report(
    settings: &Settings,
    summary: &Summary<UnlinkOutcome>,
    counters: &Counters,
    elapsed: Duration,
) -> Report {
    let mut report = blank(settings, summary.tally, elapsed);
    report.results = settings
        .results
        .as_ref()
        .map(|results| results.path.clone());
    report.calls = counters.calls.load(Ordering::Relaxed);
    report.throttled = counters.throttled.load(Ordering::Relaxed);
    report.counted_to_end = summary.counted_to_end;
    report.unrecorded = matches!(summary.reason, Reason::NotRecorded(_));
    if let Reason::Unreadable(error) = &summary.reason {
        log::causes(error);
    }
    report.exit = exit_policy::of_run(summary, undone_outcomes(settings));
    (report.reason, report.message) = ending(settings, summary);
    report.next = next(settings, &report.tally, report.exit);
    if !summary.tally.adds_up() {
        report.exit = Exit::Halted;
        report.reason = "internal_error";
        report.message = Some(format!(
            "Internal error: the counts of this run do not add up ({:?}). The results file is right; please report this.",
            summary.tally
        ));
    }
    report
}

/// Returns the outcomes that the settings count as not done for the exit code.
fn undone_outcomes(settings: &Settings) -> &'static [UnlinkOutcome] {
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
) -> Report {
    let mut report = blank(settings, tally, elapsed);
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

fn blank(settings: &Settings, tally: Tally<UnlinkOutcome>, elapsed: Duration) -> Report {
    Report {
        mode: settings.mode.name(),
        run_id: settings.run_id.clone(),
        results: None,
        tally,
        calls: 0,
        throttled: 0,
        quotas: Vec::new(),
        random: Vec::new(),
        holds: !settings.guards.holds.is_empty(),
        unmatched_holds: None,
        elapsed,
        counted_to_end: true,
        unread: None,
        unrecorded: false,
        exit: Exit::Done,
        reason: "finished",
        message: None,
        next: None,
    }
}

/// Returns the reason of an end as a word for scripts, and the message for people.
fn ending(settings: &Settings, summary: &Summary<UnlinkOutcome>) -> (&'static str, Option<String>) {
    if exit_policy::is_out_of_files(&summary.reason) {
        return ("halted", Some(format!("Halted: {NO_FILES}.")));
    }
    match &summary.reason {
        Reason::AllRead => ("finished", undone(settings, &summary.tally)),
        Reason::Unreadable(error @ InputError::Changed { .. }) => {
            ("halted", Some(format!("Halted: {error}.")))
        }
        Reason::Unreadable(error) => ("input", Some(error.to_string())),
        Reason::Limit => ("limit", Some("Stopped at --limit; rows remain.".to_owned())),
        Reason::TimeIsUp => (
            "for",
            Some("Stopped as --for is over; rows remain.".to_owned()),
        ),
        Reason::TooMany(outcome) => (
            failure_limit_of(*outcome).0,
            bounds(settings)
                .failure_limits
                .iter()
                .find(|limit| limit.outcome == *outcome)
                .map(|limit| too_many(*outcome, limit.max, &summary.tally)),
        ),
        Reason::Signal(signal) => ("signal", Some(interrupted(*signal))),
        Reason::Halted(halt) => ("halted", Some(halted(halt))),
        Reason::Refused(why) => ("halted", Some(format!("Halted: {why}."))),
        Reason::NotRecorded(error) => (
            "halted",
            Some(format!(
                "Halted: the results file cannot be written ({error}). {}; calls without a record are known to the next run.",
                remedy(error)
            )),
        ),
        Reason::Panicked(error) => (
            "internal_error",
            Some(format!(
                "Internal error: a task ended abruptly ({error}). Please report this."
            )),
        ),
    }
}

/// Returns the message of a halt.
fn halted(halt: &Halt) -> String {
    match halt {
        Halt::Reply(reply) => halted_by_reply(reply),
        Halt::Region(reply) => format!(
            "{} The rows of other Regions were called to their end.",
            halted_by_reply(reply)
        ),
        Halt::Mark(error) => format!(
            "Halted: the side file of the results cannot be written ({error}). Check the disk."
        ),
        Halt::SideFile(error) => format!(
            "Halted: the side file of the results is not as this run left it ({error}). What was in flight is recorded. Find out who did that before the next run."
        ),
        Halt::Hold(error) => {
            format!("Halted: {error}. No row is called while it is not known which users are held.")
        }
    }
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

/// Returns what to do about results that cannot be written.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "If it was moved, put it back before the next run",
        // The recorder found that the file itself was changed.
        ErrorKind::Other => "Find out who did that, and put back what this run had written",
        _ => "Check the disk",
    }
}

/// Returns the reason and the option for too many rows of an outcome.
fn failure_limit_of(outcome: UnlinkOutcome) -> (&'static str, &'static str) {
    match outcome {
        UnlinkOutcome::NotLinked => ("max_not_linked", "--max-not-linked"),
        UnlinkOutcome::Invalid => ("max_invalid", "--max-invalid"),
        _ => ("max_failures", "--max-failures"),
    }
}

/// Returns the message of a run that too many rows of an outcome have halted.
fn too_many(outcome: UnlinkOutcome, max: FailureLimit, tally: &Tally<UnlinkOutcome>) -> String {
    format!(
        "Halted: {} of {} rows are {outcome}, more than {} {max}. See error_code and error_message in the results first.",
        tally.of(outcome),
        rows_judged(outcome, tally),
        failure_limit_of(outcome).1
    )
}

fn interrupted(signal: Signal) -> String {
    let name = match signal {
        Signal::HangUp => "SIGHUP",
        Signal::Interrupt => "SIGINT",
        Signal::Terminate => "SIGTERM",
    };
    format!("Stopped by {name}; rows remain.")
}

/// Returns the message of a halt by a reply: the fault, the reply, and the next step.
fn halted_by_reply(reply: &HaltingReply) -> String {
    let details = &reply.details;
    let mut text = format!(
        "Halted: {} (at {}, pool {}).",
        reply.cause.what(),
        reply.position,
        reply.identity_pool_id
    );
    if details.code.as_deref() == Some(CREDENTIALS_FAILED) {
        let why = details.message.as_deref().unwrap_or_default();
        return format!(
            "Halted: the AWS credentials cannot be loaded (at {}, pool {}): {why}",
            reply.position, reply.identity_pool_id
        );
    }
    if reply.cause == Cause::Unreachable {
        let _ = write!(
            text,
            " {} The last call: {}.",
            reply.cause.remedy(),
            details.connection_fault()
        );
        return text;
    }
    let is_answered = reply.cause != Cause::NoCredentials;
    // Without a reply, the code is this program's own.
    let code = details.code.clone().filter(|_| is_answered);
    let status = details.http_status.map(|status| format!("HTTP {status}"));
    let message = details.message.as_deref();
    let message = message.and_then(|message| message.lines().next().map(str::to_owned));
    let reply_text: Vec<String> = [code.or(status), message].into_iter().flatten().collect();
    let reply_text = reply_text.join(": ");
    let reply_text = reply_text.trim_end_matches('.');
    let remedy = reply.cause.remedy();
    if reply_text.is_empty() {
        let _ = write!(text, " {remedy}");
    } else if is_answered {
        let _ = write!(text, " The answer was {reply_text}. {remedy}");
    } else {
        let _ = write!(text, " {remedy} No call was sent: {reply_text}.");
    }
    text
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
