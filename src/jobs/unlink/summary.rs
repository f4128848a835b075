//! From how a run ended to what is said about it: exit code, sentence, next command.

use std::fmt::Write as _;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::error::Exit;
use crate::input::{self, Compression, Format, Input, InputError};
use crate::os_limits::{NO_FILES, tells_of_no_files};
use crate::pipeline::{
    Counters, FailureLimit, Halt, HaltingAnswer, Reason, Summary, Tally, rows_judged,
};
use crate::report::{Report, conclusion};
use crate::settings::{Mode, Settings};
use crate::signal::Signal;
use crate::verdict::{CREDENTIALS_FAILED, Cause, Outcome};

/// What is said at the end of a run.
pub(super) fn report(
    settings: &Settings,
    summary: &Summary,
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
    let ending = Ending::of(settings, summary);
    report.exit = ending.exit;
    report.reason = ending.reason;
    report.message = ending.message;
    report.next = next(settings, &report.tally, ending.exit);
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

/// What is said at the end of a dry run.
pub(super) fn dry_report(settings: &Settings, tally: Tally, elapsed: Duration) -> Report {
    let mut report = blank(settings, tally, elapsed);
    report.exit = conclusion(&tally, false);
    report.message = settings
        .bounds
        .limit
        .filter(|limit| *limit < tally.left)
        .map(|limit| {
            format!("With --limit {limit}, a run stops when so many of the rows left are settled.")
        });
    report.next = if tally.left == 0 {
        to_be_mended(settings, &tally)
    } else {
        // Without a name for its results, as of standard input, a rehearsal would be refused.
        settings.results.as_ref().map(|_| {
            (
                command_without(&settings.command, &["--dry-run"], &["--rehearse"]),
                "Next, rehearse it:".to_owned(),
            )
        })
    };
    report
}

fn blank(settings: &Settings, tally: Tally, elapsed: Duration) -> Report {
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

struct Ending {
    exit: Exit,
    reason: &'static str,
    message: Option<String>,
}

impl Ending {
    fn of(settings: &Settings, summary: &Summary) -> Self {
        if is_for_want_of_files(&summary.reason) {
            return Self {
                exit: Exit::Halted,
                reason: "halted",
                message: Some(format!("Halted: {NO_FILES}.")),
            };
        }
        let (exit, reason, message) = match &summary.reason {
            Reason::AllRead => (
                conclusion(&summary.tally, settings.not_linked_fails),
                "finished",
                undone(settings, &summary.tally),
            ),
            Reason::Unreadable(error @ InputError::Changed { .. }) => {
                (Exit::Halted, "halted", Some(format!("Halted: {error}.")))
            }
            // Found only when a pipe is read; if nothing was called before, it is as if it had been found at the start.
            Reason::Unreadable(error) if error.is_usage() && !summary.has_called() => {
                (Exit::Usage, "input", Some(error.to_string()))
            }
            Reason::Unreadable(error) => (Exit::Input, "input", Some(error.to_string())),
            Reason::Limit => (
                Exit::Stopped,
                "limit",
                Some("Stopped at --limit; rows remain.".to_owned()),
            ),
            Reason::TimeIsUp => (
                Exit::Stopped,
                "for",
                Some("Stopped as --for is over; rows remain.".to_owned()),
            ),
            Reason::TooMany(outcome) => (
                Exit::Halted,
                breaker_of(*outcome).0,
                settings
                    .bounds
                    .breaker(*outcome)
                    .map(|breaker| too_many(*outcome, breaker, &summary.tally)),
            ),
            Reason::Signal(signal) => (signal.exit(), "signal", Some(interrupted(*signal))),
            Reason::Halted(Halt::Answer(answer)) => (Exit::Halted, "halted", Some(halted(answer))),
            Reason::Halted(Halt::Region(answer)) => (
                Exit::Halted,
                "halted",
                Some(format!(
                    "{} The rows of other Regions were called to their end.",
                    halted(answer)
                )),
            ),
            Reason::Halted(Halt::Mark(error)) => (
                Exit::Halted,
                "halted",
                Some(format!(
                    "Halted: the side file of the results cannot be written ({error}). See to the disk."
                )),
            ),
            Reason::Halted(Halt::SideFile(error)) => (
                Exit::Halted,
                "halted",
                Some(format!(
                    "Halted: the side file of the results is not as this run left it ({error}). What was in flight is recorded. Find out who did that before the next run."
                )),
            ),
            Reason::Halted(Halt::Hold(error)) => (
                Exit::Halted,
                "halted",
                Some(format!(
                    "Halted: {error}. Nobody is called as long as it is not known who must not be."
                )),
            ),
            Reason::Refused(why) => (Exit::Halted, "halted", Some(format!("Halted: {why}."))),
            Reason::NotRecorded(error) => (
                Exit::Halted,
                "halted",
                Some(format!(
                    "Halted: the results file cannot be written ({error}). {}; calls without a record are known to the next run.",
                    remedy(error)
                )),
            ),
            Reason::Panicked(error) => (
                Exit::Halted,
                "internal_error",
                Some(format!(
                    "Internal error: a task ended abruptly ({error}). Please report this."
                )),
            ),
        };
        Self {
            exit,
            reason,
            message,
        }
    }
}

/// Returns whether the reason is that no more files may be opened. Neither what was opened nor a row is to blame then.
fn is_for_want_of_files(reason: &Reason) -> bool {
    match reason {
        Reason::Unreadable(error) => tells_of_no_files(&error.to_string()),
        Reason::NotRecorded(error) | Reason::Halted(Halt::Mark(error) | Halt::SideFile(error)) => {
            tells_of_no_files(&error.to_string())
        }
        Reason::Halted(Halt::Hold(error)) => tells_of_no_files(&error.to_string()),
        Reason::Halted(Halt::Answer(answer) | Halt::Region(answer)) => {
            answer.cause == Cause::NoFiles
        }
        _ => false,
    }
}

/// What is to be said of rows that were all read.
fn undone(settings: &Settings, tally: &Tally) -> Option<String> {
    let invalid = tally.of(Outcome::Invalid);
    if invalid > 0 {
        return Some(format!(
            "Invalid rows stand in the results with their line and reason ({invalid} of them). Mend them in the input, or in a file of their own."
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

/// Says what a person has to decide.
fn near_holds(rows: u64) -> String {
    format!(
        "{} held by near matches of the hold list. Are they the people whom its lines mean? If so, write these lines as the rows \
         have them; if not, have the line given as sha256:<hex> of the other identifier.",
        match rows {
            1 => "1 row is".to_owned(),
            _ => format!("{rows} rows are"),
        }
    )
}

/// What is to be done about results that cannot be written.
fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::NotFound => "If it was moved, put it back before the next run",
        // What the recording thread has found out about the file itself.
        ErrorKind::Other => "Find out who did that, and put back what this run had written",
        _ => "See to the disk",
    }
}

/// The reason and the option for too many rows of an outcome.
fn breaker_of(outcome: Outcome) -> (&'static str, &'static str) {
    match outcome {
        Outcome::NotLinked => ("max_not_linked", "--max-not-linked"),
        Outcome::Invalid => ("max_invalid", "--max-invalid"),
        _ => ("max_failures", "--max-failures"),
    }
}

/// `breaker` says how many are too many.
fn too_many(outcome: Outcome, breaker: FailureLimit, tally: &Tally) -> String {
    format!(
        "Halted: {} of {} rows are {outcome}, more than {} {breaker}. See error_code and error_message in the results first.",
        tally.of(outcome),
        rows_judged(outcome, tally),
        breaker_of(outcome).1
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

/// One sentence on what is wrong, what was said, and what to do.
fn halted(answer: &HaltingAnswer) -> String {
    let facts = &answer.facts;
    let mut text = format!(
        "Halted: {} (at {}, pool {}).",
        answer.cause.what(),
        answer.position,
        answer.identity_pool_id
    );
    if facts.code.as_deref() == Some(CREDENTIALS_FAILED) {
        let why = facts.message.as_deref().unwrap_or_default();
        return format!(
            "Halted: the AWS credentials cannot be loaded (at {}, pool {}): {why}",
            answer.position, answer.identity_pool_id
        );
    }
    if answer.cause == Cause::Unreachable {
        let _ = write!(
            text,
            " {} The last call: {}.",
            answer.cause.remedy(),
            facts.how_unanswered()
        );
        return text;
    }
    let is_answered = answer.cause != Cause::NoCredentials;
    // Where no one was asked, the code is our own word.
    let code = facts.code.clone().filter(|_| is_answered);
    let status = facts.http_status.map(|status| format!("HTTP {status}"));
    let message = facts.message.as_deref();
    let message = message.and_then(|message| message.lines().next().map(str::to_owned));
    let said: Vec<String> = [code.or(status), message].into_iter().flatten().collect();
    let said = said.join(": ");
    let said = said.trim_end_matches('.');
    let remedy = answer.cause.remedy();
    if said.is_empty() {
        let _ = write!(text, " {remedy}");
    } else if is_answered {
        let _ = write!(text, " The answer was {said}. {remedy}");
    } else {
        let _ = write!(text, " {remedy} No call was sent: {said}.");
    }
    text
}

/// The command that is due next, and what it does.
fn next(settings: &Settings, tally: &Tally, exit: Exit) -> Option<(String, String)> {
    let command = &settings.command;
    let in_doubt = tally.of(Outcome::InDoubt);
    let failed = tally.in_all(Outcome::Failed);
    let skips_failed = command.iter().any(|word| word == SKIP_FAILED);
    let does = match exit {
        Exit::Done if settings.mode == Mode::Rehearsal => {
            return Some((real_command(command), "Next, for real:".to_owned()));
        }
        Exit::Done | Exit::Usage | Exit::Locked | Exit::CallFailed => return None,
        Exit::NotAllDone if failed + in_doubt == 0 => return to_be_mended(settings, tally),
        Exit::NotAllDone if skips_failed && in_doubt == 0 => {
            return Some((
                command_without(command, &[SKIP_FAILED], &[]),
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
    Some((command_without(command, &[], &[]), does.to_owned()))
}

const SKIP_FAILED: &str = "--skip-failed";

/// The command that does for real what was rehearsed. Its rate is not taken along: a rehearsal is made fast to be short, and the
/// quota of AWS is another.
fn real_command(command: &[String]) -> String {
    let mut words = Vec::new();
    let mut typed = command.iter();
    while let Some(word) = typed.next() {
        match word.as_str() {
            // What stands behind it names inputs.
            "--" => {
                words.push(word.clone());
                words.extend(typed.by_ref().cloned());
            }
            "--rate" => _ = typed.next(),
            rate if rate.starts_with("--rate=") => {}
            _ => words.push(word.clone()),
        }
    }
    command_without(&words, &["--rehearse"], &[])
}

/// The command that writes the invalid rows to a file, to be mended there. It takes none from a pipe, nor from a saved plan.
fn to_be_mended(settings: &Settings, tally: &Tally) -> Option<(String, String)> {
    let is_planned = settings.rows.is_some();
    if tally.of(Outcome::Invalid) == 0 || is_planned || settings.command.get(1)? != "run" {
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
    let command = command_without(
        &command,
        &["--dry-run", "--rehearse", "--yes", "-y"],
        &["--invalid", &to],
    );
    Some((
        command,
        "Next, have the invalid rows written to a file of their own, with the reasons, and mend them there:".to_owned(),
    ))
}

/// The command without some flags and with others, quoted for a shell.
fn command_without(command: &[String], without: &[&str], with: &[&str]) -> String {
    command
        .iter()
        .map(String::as_str)
        .filter(|arg| !without.contains(arg))
        .chain(with.iter().copied())
        .map(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

/// As a POSIX shell reads it back.
#[must_use]
pub fn quoted(arg: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,%@+".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) {
        arg.to_owned()
    } else {
        format!("'{}'", arg.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_pasted_into_a_shell() {
        let command =
            ["cognito-unlink", "run", "it's here.csv", "--rehearse", ""].map(String::from);
        assert_eq!(
            command_without(&command, &["--rehearse"], &["--yes"]),
            r"cognito-unlink run 'it'\''s here.csv' '' --yes"
        );
    }

    #[test]
    fn a_rehearsals_rate_is_not_taken_along() {
        for (typed, real) in [
            ("run p.csv --rehearse --rate 1000", "run p.csv"),
            (
                "run --rate=unlimited --rehearse p.csv --yes",
                "run p.csv --yes",
            ),
            (
                "run --rate 5/m --burst 2 p.csv --rehearse",
                "run --burst 2 p.csv",
            ),
            (
                "run --rehearse -- --rate=1.csv --rate",
                "run -- --rate=1.csv --rate",
            ),
        ] {
            let words: Vec<_> = typed.split(' ').map(str::to_owned).collect();
            assert_eq!(real_command(&words), real, "{typed}");
        }
    }
}
