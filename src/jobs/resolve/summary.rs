//! The report on the end of a `resolve`: message and next command.

use super::outcome::ResolveOutcome;
use crate::command_line::{self, quoted};
use crate::exit::Exit;
use crate::report::{Report, counted};
use crate::results::Unresolved;
use crate::runner::ending;
use crate::settings::ResolveSettings;

/// Completes the report on the end of a run. `ambiguous`: pools that answer unknown users as they answer callers without access;
/// `held`: links found whose users are on the hold list.
pub(super) fn complete(
    mut report: Report<ResolveOutcome>,
    settings: &ResolveSettings,
    ambiguous: &[String],
    held: u64,
) -> Report<ResolveOutcome> {
    report.mode = "resolve";
    // Rows are looked up whether their users are held or not.
    report.holds = false;
    report.rest = Some(settings.unresolved.clone());
    if report.reason == "finished" {
        let held = (held > 0).then(|| {
            format!(
                "{} found of users on the hold list (column held). `run` does not read that column: give it the list with --hold.",
                counted(held, "link")
            )
        });
        let parts = [explanation(&report, ambiguous), held];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        report.message = (!parts.is_empty()).then(|| parts.join("\n"));
    }
    report.next = next(&report, settings);
    ending::check_counts(&mut report);
    report
}

/// Explains what people cannot read from the counts.
fn explanation(report: &Report<ResolveOutcome>, ambiguous: &[String]) -> Option<String> {
    if report
        .tally
        .of(ResolveOutcome::Unresolved(Unresolved::NotTold))
        == 0
        || ambiguous.is_empty()
    {
        return None;
    }
    let found = report.tally.of(ResolveOutcome::Resolved);
    let hint = if found > 0 {
        format!(
            " Other look-ups of this run were answered ({}), so permission is probably there.",
            counted(found, "row")
        )
    } else {
        String::new()
    };
    Some(format!(
        "A look-up of a user that cannot exist was answered with NotAuthorizedException in {}. AWS does not document its answer, and \
         a caller without access may get the same one: such rows are not_told, and not no_such_user.{hint}",
        ambiguous.join(", ")
    ))
}

fn next(report: &Report<ResolveOutcome>, settings: &ResolveSettings) -> Option<(String, String)> {
    let again = || command_line::changed(&settings.job.command, &[], &[]);
    let does = match report.exit {
        Exit::Done | Exit::NotAllDone => {
            let found = report.tally.of(ResolveOutcome::Resolved) + report.tally.skipped;
            let results = report.results.as_ref().filter(|_| found > 0)?;
            let program = settings.job.command.first()?;
            let results = quoted(&results.to_string_lossy());
            return Some((
                format!("{program} plan {results}"),
                "Next, check the links that were found:".to_owned(),
            ));
        }
        Exit::Usage | Exit::Locked | Exit::CallFailed => return None,
        Exit::Input => "Next, once the input can be read, the same command goes on:",
        Exit::Halted => "Then the same command goes on where this run stopped:",
        Exit::Stopped | Exit::HungUp | Exit::Interrupted | Exit::Terminated => {
            "Next, the same command goes on where this run stopped:"
        }
    };
    Some((again(), does.to_owned()))
}
