//! The report on the end of a run, as far as all jobs share it: exit code, reason and message.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::exit::Exit;
use crate::exit_policy;
use crate::operation::Operation;
use crate::os_limits::NO_FILES;
use crate::pipeline::{
    Bounds, Counters, Halt, HaltingReply, OutcomeLimit, Reason, Summary, Tally, rows_judged,
};
use crate::report::{Report, log};
use crate::settings::Settings;
use crate::signal::Signal;
use crate::verdict::{CREDENTIALS_FAILED, Cause, Outcome};

/// Returns a report without an end.
#[must_use]
pub fn blank<O: Outcome>(
    settings: &Settings,
    tally: Tally<O>,
    operation: Operation,
    elapsed: Duration,
) -> Report<O> {
    Report {
        mode: settings.mode.name(),
        run_id: settings.run_id.clone(),
        shard: settings.shard,
        results: None,
        rest: None,
        page: None,
        tally,
        operation,
        calls: 0,
        looks: 0,
        looks_throttled: 0,
        throttled: 0,
        repeated: 0,
        quotas: Vec::new(),
        random: Vec::new(),
        holds: !settings.guards.holds.is_empty(),
        held_by: "hold list",
        unmatched_holds: None,
        elapsed,
        counted_to_end: true,
        unread: None,
        unrecorded: false,
        exit: Exit::Done,
        reason: "finished",
        message: None,
        statement: None,
        next: None,
    }
}

/// Reports the end of a run. Rows with one of the outcomes in `fails` count as not done. The report has no next command, and no
/// message if all rows were read.
#[must_use]
pub fn of_run<O: Outcome>(
    settings: &Settings,
    summary: &Summary<O>,
    bounds: &Bounds<O>,
    counters: &Counters,
    operation: Operation,
    elapsed: Duration,
    fails: &[O],
) -> Report<O> {
    let mut report = blank(settings, summary.tally, operation, elapsed);
    report.results = settings
        .results
        .as_ref()
        .map(|results| results.path.clone());
    report.calls = counters.calls.load(Ordering::Relaxed);
    report.looks = counters.looks.load(Ordering::Relaxed);
    report.looks_throttled = counters.looks_throttled.load(Ordering::Relaxed);
    report.throttled = counters.throttled.load(Ordering::Relaxed);
    let called_rows = counters.called_rows.load(Ordering::Relaxed);
    report.repeated = report.calls.saturating_sub(called_rows);
    report.counted_to_end = summary.counted_to_end;
    report.unrecorded = matches!(summary.reason, Reason::NotRecorded(_));
    if let Reason::Unreadable(error) = &summary.reason {
        log::causes(error);
    }
    report.exit = exit_policy::of_run(summary, fails);
    (report.reason, report.message) = ending(bounds, summary, settings.log().is_some());
    report
}

/// Replaces the end of a report whose counts do not add up.
pub fn check_counts<O: Outcome>(report: &mut Report<O>) {
    if !report.tally.adds_up() {
        report.exit = Exit::Halted;
        report.reason = "internal_error";
        report.message = Some(format!(
            "Internal error: the counts of this run do not add up ({:?}). The results file is right; please report this.",
            report.tally
        ));
    }
}

/// Returns the reason of an end as a word for scripts, and the message for people; none for a run that read all its rows.
fn ending<O: Outcome>(
    bounds: &Bounds<O>,
    summary: &Summary<O>,
    is_log: bool,
) -> (&'static str, Option<String>) {
    if exit_policy::is_out_of_files(&summary.reason) {
        return ("halted", Some(format!("Halted: {NO_FILES}.")));
    }
    match &summary.reason {
        Reason::AllRead => ("finished", None),
        Reason::Unreadable(error) if error.is_change() => {
            ("halted", Some(format!("Halted: {error}.")))
        }
        Reason::Unreadable(error) => ("input", Some(error.to_string())),
        Reason::Limit => ("limit", Some("Stopped at --limit; rows remain.".to_owned())),
        Reason::TimeIsUp => (
            "for",
            Some("Stopped as --for is over; rows remain.".to_owned()),
        ),
        Reason::TooMany(outcome) => {
            let mut limits = bounds.failure_limits.iter();
            match limits.find(|limit| limit.outcome == *outcome) {
                Some(limit) => (limit.name.reason(), Some(too_many(limit, &summary.tally))),
                None => ("halted", None),
            }
        }
        Reason::Signal(signal) => ("signal", Some(interrupted(*signal))),
        Reason::Halted(halt) => ("halted", Some(halted(halt))),
        Reason::Refused(why) => ("halted", Some(format!("Halted: {why}."))),
        Reason::NotRecorded(error) if exit_policy::taken_over(error).is_some() => (
            "taken_over",
            Some(format!(
                "Stopped: {error}, since this run wrote nothing for too long. That run treats the calls in flight here as in doubt."
            )),
        ),
        Reason::NotRecorded(error) if is_log => (
            "halted",
            Some(format!(
                "Halted: the results cannot be written ({error}). The next run treats calls without a record as in doubt."
            )),
        ),
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

/// Returns the message of a run that too many rows of an outcome have halted.
fn too_many<O: Outcome>(limit: &OutcomeLimit<O>, tally: &Tally<O>) -> String {
    format!(
        "Halted: {} of {} rows are {}, more than {} {}. See error_code and error_message in the results first.",
        tally.of(limit.outcome),
        rows_judged(limit.outcome, tally),
        limit.outcome.as_str(),
        limit.name.option(),
        limit.max
    )
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
        Halt::Job(why) => format!("Halted: {why}"),
        Halt::Hold(error) => {
            format!("Halted: {error}. No row is called while it is not known which users are held.")
        }
    }
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
        reply.cause.what(reply.operation),
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
            reply.cause.remedy(reply.operation),
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
    let remedy = reply.cause.remedy(reply.operation);
    if reply_text.is_empty() {
        let _ = write!(text, " {remedy}");
    } else if is_answered {
        let _ = write!(text, " The answer was {reply_text}. {remedy}");
    } else {
        let _ = write!(text, " {remedy} No call was sent: {reply_text}.");
    }
    text
}
