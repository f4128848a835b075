//! The report for the terminal.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount};

use super::counts::Counts;
use super::figures::{Overview, ReadFile, Run};
use super::last_logins::LastLogins;
use super::logged::Left;
use super::new_file::Written;
use crate::command_line;
use crate::report::{counted, paced, spoken};
use crate::results::{LockHolder, Usage, names};
use crate::settings::remaining_path;
use crate::terminal::printable;
use crate::verdict::{Outcome as _, Standing};

/// Most reasons, pools and runs that are listed.
const MOST_LISTED: usize = 20;

impl Overview {
    /// Returns the report as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for note in self.notes() {
            let _ = writeln!(text, "{}\n", printable(&note));
        }
        self.counts(&mut text);
        self.reasons(&mut text);
        self.pools(&mut text);
        self.runs(&mut text);
        self.calls(&mut text);
        for file in &self.files {
            let _ = writeln!(
                text,
                "Results: {} ({}, {})",
                printable(&file.name),
                counted(file.lines, "line"),
                HumanBytes(file.size)
            );
        }
        if let Some(verification) = &self.verification {
            let shown = verification.text();
            let shown = shown.lines().map(printable).collect::<Vec<_>>().join("\n");
            let _ = writeln!(text, "Verification: {shown}");
        }
        for written in &self.written {
            let _ = writeln!(
                text,
                "{}: {} ({})",
                written.title(),
                printable(&written.path.to_string_lossy()),
                counted(written.records, written.noun())
            );
        }
        if let Some((command, does)) = self.next() {
            let _ = writeln!(text, "\n{does}\n  {}", printable(&command));
        }
        text
    }

    /// Returns what must be known to read the numbers: rehearsals, runs that go on, torn lines.
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        match (self.local_lines, self.lines.all()) {
            (0, _) => {}
            (local, all) if local == all => notes.push(
                "Rehearsal, or an endpoint on this machine: nothing was unlinked at AWS."
                    .to_owned(),
            ),
            (local, _) => notes.push(format!(
                "{} of a rehearsal or an endpoint on this machine: they unlinked nothing at AWS.",
                match local {
                    1 => "1 line is".to_owned(),
                    _ => format!("{} lines are", HumanCount(local)),
                }
            )),
        }
        if !self.missing.is_empty() {
            let missing = self.missing.iter().map(PathBuf::from);
            notes.push(format!(
                "Results of shards are missing: {}. Their rows do not count.",
                names(missing)
            ));
        }
        notes.extend(self.files.iter().flat_map(ReadFile::notes));
        notes
    }

    fn counts(&self, text: &mut String) {
        line(text, self.rows.all(), "rows", "");
        for (outcome, rows) in self.rows.present() {
            let (name, note) = outcome.describe();
            line(text, rows, name, note);
        }
        if self.near_holds > 0 {
            let note = "by near matches of a hold list: a person must decide (error_code NearHold)";
            line(text, self.near_holds, "of them held", note);
        }
        if let Some(note) = self.last_logins_note() {
            let _ = writeln!(text, "{:>12}  {note}", "");
        }
        match (self.left.number(), self.left.has_more()) {
            (Some(0), false) | (None, _) => {}
            (Some(left), false) => line(text, left, "left", "not reached by any run"),
            (Some(left), true) => line(
                text,
                left,
                "left",
                "or more: the input was not counted to its end",
            ),
        }
        if let Some(note) = self.left.note() {
            let _ = writeln!(text, "{:>12}  left  {note}", "?");
        }
        if self.replaced() > 0 {
            let note = "of rows that were tried again: their last lines count";
            line(text, self.replaced(), "earlier lines", note);
        }
    }

    /// Returns how many identities are inaccessible now, if runs have looked.
    pub(super) fn last_logins_note(&self) -> Option<String> {
        let LastLogins { looked, lost } = self.last_logins;
        (looked > 0).then(|| {
            format!(
                "{} lost the last login and became inaccessible, of {} that were looked at just before",
                counted_identities(lost),
                counted(looked, "unlinked row")
            )
        })
    }

    fn reasons(&self, text: &mut String) {
        if self.reasons.is_empty() {
            return;
        }
        text.push_str("\nReasons\n");
        for reason in self.reasons.iter().take(MOST_LISTED) {
            let (name, _) = reason.outcome.describe();
            line(text, reason.rows, name, &printable(&reason.text()));
        }
        more(text, self.reasons.len());
    }

    fn pools(&self, text: &mut String) {
        text.push_str("\nPools\n");
        for pool in self.pools.iter().take(MOST_LISTED) {
            let id = printable(&pool.id);
            let id = if id.is_empty() { "(other rows)" } else { &*id };
            line(text, pool.rows.all(), id, &by_outcome(&pool.rows));
        }
        more(text, self.pools.len());
        let regions = self.regions();
        if regions.len() > 1 {
            text.push_str("\nRegions\n");
            for (region, rows) in regions {
                let region = printable(region);
                let region = if region.is_empty() {
                    "(other rows)"
                } else {
                    &*region
                };
                line(text, rows.all(), region, &by_outcome(&rows));
            }
        }
        text.push('\n');
    }

    fn runs(&self, text: &mut String) {
        let known: Vec<_> = self.runs.iter().collect();
        text.push_str("Runs\n");
        for run in known.iter().rev().take(MOST_LISTED).rev() {
            line(text, run.lines.all(), &printable(&run.id), &run.describe());
        }
        more(text, known.len());
        text.push('\n');
    }

    fn calls(&self, text: &mut String) {
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            let _ = writeln!(text, "First call {first}, last row {last}.");
        }
        if self.calls > 0 {
            let repeated = match self.repeated {
                0 => "none of them repeated".to_owned(),
                repeated => format!("{} of them repeated", HumanCount(repeated)),
            };
            let busiest = self
                .busiest
                .filter(|_| self.calls > 20)
                .map(|rate| format!(", at most {}", paced(rate)));
            let _ = writeln!(
                text,
                "{}, {repeated}{}.",
                counted(self.calls, "call"),
                busiest.unwrap_or_default()
            );
        }
    }

    /// Returns the next command and what it does, if one is due and known.
    pub(super) fn next(&self) -> Option<(String, String)> {
        if self.is_done() {
            return None;
        }
        let invalid = self.rows.standing(|standing| standing == Standing::Invalid);
        if !self.missing.is_empty() {
            return None;
        }
        if self.undone() == invalid && !self.remains {
            return (invalid > 0).then(|| self.next_remaining()).flatten();
        }
        let latest = self.runs.iter().rev().find_map(|run| run.notes.as_ref());
        let is_running = matches!(self.left, Left::Running(_));
        let command = latest.filter(|_| !is_running)?.began.command.clone();
        let does = if self.remains {
            "Next, the same command goes on with the rows that are left, and tries what is failed or in doubt again:"
        } else {
            "Next, the same command tries what is failed or in doubt again:"
        };
        (!command.is_empty()).then(|| (command, does.to_owned()))
    }
}

impl Overview {
    /// Returns the command that writes the rows that remain to a file.
    fn next_remaining(&self) -> Option<(String, String)> {
        let first = self.first_file.as_ref()?;
        let to = remaining_path(first);
        if self
            .written
            .iter()
            .any(|written| written.option == "remaining")
            || to.exists()
        {
            return None;
        }
        let mut command = vec!["cognito-unlink".to_owned(), "report".to_owned()];
        let named = self.arguments.iter();
        command.extend(named.map(|path| path.to_string_lossy().into_owned()));
        let to = to.to_string_lossy();
        Some((
            command_line::changed(&command, &[], &["--remaining", &to]),
            "Next, have the invalid rows written to a file of their own, with the reasons, and correct them there:"
                .to_owned(),
        ))
    }
}

impl Written {
    fn title(&self) -> &'static str {
        match self.option {
            "remaining" => "Remaining",
            "redact" => "Redacted (pseudonymous, not anonymous)",
            _ => "Page",
        }
    }

    fn noun(&self) -> &'static str {
        match self.option {
            "remaining" => "row",
            "redact" => "line",
            _ => "byte",
        }
    }
}

impl Left {
    /// Returns why the number is not known.
    pub(super) fn note(&self) -> Option<String> {
        Some(match self {
            Self::NoLog => {
                "rows that no run has reached are not known: there is no log of runs beside the results"
                    .to_owned()
            }
            Self::Running(began) => format!(
                "not known before the end of run {}, which goes on",
                began.run_id
            ),
            Self::NoEnd(began) => format!(
                "not known: run {} has recorded no end; it was killed, or goes on elsewhere",
                began.run_id
            ),
            Self::Counted(_) | Self::Sum { .. } => return None,
        })
    }
}

impl ReadFile {
    fn notes(&self) -> Vec<String> {
        let name = self.path.display();
        let by = |holder: &Option<LockHolder>| {
            let holder = holder.as_ref();
            holder.map_or_else(String::new, |holder| format!(": {holder}"))
        };
        let mut notes = Vec::new();
        match &self.usage {
            Usage::AtRest => {}
            Usage::Locked(holder) => notes.push(format!(
                "A run is writing to {name}{}. These are its numbers so far.",
                by(holder)
            )),
            Usage::Interrupted(holder) => notes.push(format!(
                "The last run of {name} has left its side file{}. Rows that were in flight then are in doubt; the next run settles them.",
                by(holder)
            )),
        }
        let is_running = matches!(self.usage, Usage::Locked(_));
        if self.torn > 0 && !is_running {
            notes.push(format!(
                "The last line of {name} is torn ({}). It does not count; the next run cuts it off and tries its row again.",
                counted(self.torn, "byte")
            ));
        }
        notes
    }
}

impl Run {
    /// Returns the time at which the run began, as far as it is known.
    pub(super) fn began(&self) -> &str {
        self.notes
            .as_ref()
            .map_or(&*self.first, |log| &*log.began.at)
    }

    /// Returns the length of the run, as far as it is known.
    pub(super) fn length(&self) -> Option<Duration> {
        let ended = self.notes.as_ref().and_then(|log| log.ended.as_ref());
        if let Some(ended) = ended {
            return Duration::try_from_secs_f64(ended.seconds).ok();
        }
        let time = |time: &str| humantime::parse_rfc3339(time).ok();
        time(&self.last)?.duration_since(time(&self.first)?).ok()
    }

    /// Returns how the run ended.
    pub(super) fn end(&self) -> String {
        match &self.notes {
            None => "no log".to_owned(),
            Some(log) => match &log.ended {
                None => "no end recorded".to_owned(),
                Some(ended) => format!("{}, exit {}", ended.reason, ended.exit_code),
            },
        }
    }

    fn describe(&self) -> String {
        let mut text = format!("{}, {}", self.began(), counted(self.calls, "call"));
        if let Some(length) = self.length() {
            let _ = write!(text, " in {}", spoken(length));
            let seconds = length.as_secs_f64();
            if self.calls > 0 && seconds > 0.0 {
                let _ = write!(text, " ({:.1}/s)", self.calls as f64 / seconds);
            }
        }
        let _ = write!(text, "; {}", self.end());
        text
    }
}

fn counted_identities(number: u64) -> String {
    match number {
        1 => "1 identity".to_owned(),
        _ => format!("{} identities", HumanCount(number)),
    }
}

/// Returns the numbers by outcome, in one line.
fn by_outcome(rows: &Counts) -> String {
    let parts = rows.present().map(|(outcome, rows)| {
        let (name, _) = outcome.describe();
        format!("{} {name}", HumanCount(rows))
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn more(text: &mut String, all: usize) {
    if all > MOST_LISTED {
        let others = HumanCount((all - MOST_LISTED) as u64);
        let _ = writeln!(text, "{:>12}  {others} more, in --json and --html", "");
    }
}

/// Writes a number, its name, and a note unless it is empty.
fn line(text: &mut String, number: u64, name: &str, note: &str) {
    let number = HumanCount(number).to_string();
    let gap = if note.is_empty() { "" } else { "  " };
    let _ = writeln!(text, "{number:>12}  {name}{gap}{note}");
}
