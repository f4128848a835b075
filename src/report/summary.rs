//! The summary of a run on standard output, for people and scripts.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::HumanCount;
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tracing::Level;

use super::human::{counted, paced, quota_name, spoken};
use super::log;
use super::messages::write_safely;
use crate::error::{Error, Exit};
use crate::operation::Operation;
use crate::pipeline::Tally;
use crate::row::Shard;
use crate::terminal::{is_one_screen, printable, printable_json};
use crate::verdict::{Outcome, Standing};

/// Everything that the summary shows.
#[derive(Debug, Clone)]
pub struct Report<O> {
    /// `run`, `rehearsal`, `dry_run`, or the command of another job.
    pub mode: &'static str,
    /// Identifies the run in every line of the results.
    pub run_id: String,
    /// The part of the job that the run did; `None` for a whole job.
    pub shard: Option<Shard>,
    /// The results file, if one was written.
    pub results: Option<PathBuf>,
    /// The file of the rows without a result, if the job writes one.
    pub rest: Option<PathBuf>,
    /// The page that reports on all runs, if one was written.
    pub page: Option<PathBuf>,
    /// Rows by outcome.
    pub tally: Tally<O>,
    /// The operation of the job's calls.
    pub operation: Operation,
    /// Attempts started.
    pub calls: u64,
    /// Attempts of look-ups before the calls.
    pub looks: u64,
    /// Those of them that were throttled.
    pub looks_throttled: u64,
    /// Attempts that were throttled.
    pub throttled: u64,
    /// Attempts that repeated an earlier one of the same row.
    pub repeated: u64,
    /// Quotas that were measured.
    pub quotas: Vec<LearnedQuota>,
    /// Operations, with their Regions, whose quota is not known because calls were throttled at random.
    pub random: Vec<(String, Operation)>,
    /// True if hold lists were read: then the number of held rows is shown even if it is zero.
    pub holds: bool,
    /// The lists by which rows are held, in a word or two.
    pub held_by: &'static str,
    /// Lines of the hold lists that match no row, if all rows were read.
    pub unmatched_holds: Option<u64>,
    /// Length of the run.
    pub elapsed: Duration,
    /// True if the inputs were read or counted to their end: otherwise there may be more rows left.
    pub counted_to_end: bool,
    /// Rows that were neither read nor counted, if their number is known or can be estimated.
    pub unread: Option<Unread>,
    /// True if some of the rows left may have been called without an entry in the results.
    pub unrecorded: bool,
    /// The exit code.
    pub exit: Exit,
    /// Reason for the end of the run, as a word for scripts.
    pub reason: &'static str,
    /// Explanation of the end and advice, unless all went well.
    pub message: Option<String>,
    /// What the job states, for scripts, in place of the counts of this run.
    pub statement: Option<serde_json::Map<String, serde_json::Value>>,
    /// The next command and what it does, if one is due.
    pub next: Option<(String, String)>,
}

/// Rows that were not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unread {
    /// This many, as a plan has counted them.
    Rows(u64),
    /// About this many, estimated from the bytes.
    About(u64),
}

impl Unread {
    /// Returns the number.
    #[must_use]
    pub fn rows(self) -> u64 {
        let (Self::Rows(rows) | Self::About(rows)) = self;
        rows
    }

    /// Returns the number in words, as in `about 1,234 more that were not read`.
    fn text(unread: Option<Self>) -> String {
        match unread {
            None | Some(Self::Rows(0) | Self::About(0)) => "more that were not read".to_owned(),
            Some(Self::Rows(rows)) => format!("{} more that were not read", HumanCount(rows)),
            Some(Self::About(rows)) => {
                format!("about {} more that were not read", HumanCount(rows))
            }
        }
    }
}

/// The measured quota of an operation in a Region.
#[derive(Debug, Clone)]
pub struct LearnedQuota {
    /// Name of the Region.
    pub region: String,
    /// The operation.
    pub operation: Operation,
    /// The quota in calls per second.
    pub calls_per_second: f64,
    /// True if an earlier run has measured it, and this one has not.
    pub is_earlier: bool,
}

impl LearnedQuota {
    fn text(&self, job: Operation) -> String {
        let name = quota_name(&self.region, self.operation, job);
        let quota = paced(self.calls_per_second);
        if self.is_earlier {
            format!("{name}: quota is about {quota}, as an earlier run has measured.")
        } else {
            format!("{name}: quota is about {quota}.")
        }
    }
}

/// Describes the rows that are held by near matches.
pub const NEAR: &str =
    "near matches of the hold list, never sent: a person must decide (error_code NearHold)";

/// Returns how many lines of the hold lists match no row, as a sentence.
#[must_use]
pub fn unmatched(lines: u64) -> String {
    let (lines, matches) = (
        counted(lines, "line"),
        if lines == 1 { "matches" } else { "match" },
    );
    format!("{lines} of the hold lists {matches} no row of the input.")
}

/// A measured quota as scripts read it.
#[derive(Serialize)]
struct JsonQuota<'a> {
    region: &'a str,
    operation: &'static str,
    calls_per_second: f64,
}

impl<'a> JsonQuota<'a> {
    fn of(quota: &'a LearnedQuota) -> Self {
        Self {
            region: &quota.region,
            operation: quota.operation.as_str(),
            calls_per_second: (quota.calls_per_second * 10.0).round() / 10.0,
        }
    }
}

impl<O: Outcome> Serialize for Report<O> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tally = &self.tally;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("mode", self.mode)?;
        map.serialize_entry("run_id", &self.run_id)?;
        if let Some(shard) = self.shard {
            map.serialize_entry("shard", &shard.to_string())?;
        }
        let results = self.results.as_ref().map(|path| path.to_string_lossy());
        map.serialize_entry("results", &results)?;
        if let Some(rest) = &self.rest {
            map.serialize_entry("unresolved", &rest.to_string_lossy())?;
        }
        if let Some(page) = &self.page {
            map.serialize_entry("report", &page.to_string_lossy())?;
        }
        map.serialize_entry("rows", &tally.read)?;
        map.serialize_entry("skipped", &tally.skipped)?;
        for outcome in O::ALL {
            map.serialize_entry(outcome.as_str(), &tally.total(*outcome))?;
        }
        if O::LEFT_ALONE.is_none() {
            map.serialize_entry("unresolved_earlier", &tally.failed_earlier)?;
        }
        map.serialize_entry("left", &tally.left)?;
        map.serialize_entry("near_holds", &tally.near_holds)?;
        map.serialize_entry("hold_lines_without_a_row", &self.unmatched_holds)?;
        map.serialize_entry("counted_to_end", &self.counted_to_end)?;
        let unread = self.unread.map(Unread::rows);
        map.serialize_entry("not_read_about", &unread)?;
        map.serialize_entry("calls", &self.calls)?;
        map.serialize_entry("looks", &self.looks)?;
        map.serialize_entry("looks_throttled", &self.looks_throttled)?;
        map.serialize_entry("throttled", &self.throttled)?;
        let quotas: Vec<_> = self.quotas.iter().map(JsonQuota::of).collect();
        map.serialize_entry("quotas", &quotas)?;
        map.serialize_entry("seconds", &(self.elapsed.as_millis() as f64 / 1000.0))?;
        map.serialize_entry("reason", self.reason)?;
        map.serialize_entry("message", &self.message)?;
        let next = self.next.as_ref().map(|(command, _)| command);
        map.serialize_entry("next", &next)?;
        map.serialize_entry("exit_code", &self.exit.code())?;
        map.end()
    }
}

impl<O: Outcome> Report<O> {
    /// Returns the summary as one JSON object, on one line.
    #[must_use]
    pub fn json(&self) -> String {
        if let Some(statement) = &self.statement {
            let report = serde_json::to_value(self);
            let mut report = report.expect("every key is a string");
            for (name, value) in statement {
                report[name] = value.clone();
            }
            return printable_json(&report.to_string());
        }
        let mut text = Vec::new();
        let mut serializer = serde_json::Serializer::new(&mut text);
        self.serialize(&mut serializer)
            .expect("memory takes any object");
        printable_json(&String::from_utf8_lossy(&text))
    }

    /// Writes to standard error why the run ended early and what to do next: a script may discard standard output. Writes nothing
    /// where a person sees the summary on the same screen, unless it is `json`.
    pub fn write_reason(&self, json: bool) {
        let Some(reason) = self.early_end() else {
            return;
        };
        let level = match self.exit {
            Exit::Stopped | Exit::HungUp | Exit::Interrupted | Exit::Terminated => Level::WARN,
            _ => Level::ERROR,
        };
        if !log::emit(&reason, level) && (json || !is_one_screen()) {
            write_safely(&reason);
        }
    }

    /// Returns what happened and the next command, unless all rows were read and called.
    fn early_end(&self) -> Option<String> {
        if matches!(self.exit, Exit::Done | Exit::NotAllDone) {
            return None;
        }
        let mut text = self.message.clone()?;
        if let Some((command, does)) = &self.next {
            let _ = write!(text, "\n{does}\n  {command}");
        }
        Some(text)
    }

    /// Returns the summary as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        if self.mode == "rehearsal" {
            text.push_str(
                "Rehearsal against the emulator on this machine: nothing was unlinked.\n",
            );
        } else if self.mode == "dry_run" {
            text.push_str("Dry run: nothing was called and nothing was written.\n");
        }
        self.counts(&mut text);
        if let Some(lines @ 1..) = self.unmatched_holds {
            text.push_str(&unmatched(lines));
            text.push('\n');
        }
        if self.calls > 0 {
            let throttled = match self.throttled {
                0 => String::new(),
                calls => format!(", {} of them throttled", HumanCount(calls)),
            };
            let seconds = self.elapsed.as_secs_f64().max(0.001);
            let _ = writeln!(
                text,
                "{} in {} ({:.1}/s){throttled}.",
                counted(self.calls, "call"),
                spoken(self.elapsed),
                self.calls as f64 / seconds
            );
        }
        if self.looks > 0 {
            let looks = counted(self.looks, "look-up");
            let throttled = match self.looks_throttled {
                0 => String::new(),
                looks => format!(", {} of them throttled", HumanCount(looks)),
            };
            let _ = writeln!(text, "{looks} just before the calls{throttled}.");
        }
        for quota in &self.quotas {
            let _ = writeln!(text, "{}", quota.text(self.operation));
        }
        for (region, operation) in &self.random {
            let name = quota_name(region, *operation, self.operation);
            let _ = writeln!(
                text,
                "{name}: calls were throttled at every pace; the quota is not known."
            );
        }
        if let Some(results) = &self.results {
            let _ = writeln!(text, "Results: {}", printable(&results.to_string_lossy()));
        }
        if let Some(rest) = &self.rest {
            let _ = writeln!(text, "Unresolved: {}", printable(&rest.to_string_lossy()));
        }
        if let Some(page) = &self.page {
            let _ = writeln!(text, "Report: {}", printable(&page.to_string_lossy()));
        }
        if let Some(message) = &self.message {
            let _ = writeln!(text, "\n{}", printable_lines(message));
        }
        if let Some((command, does)) = &self.next {
            let _ = writeln!(text, "\n{does}\n  {}", printable(command));
        }
        text
    }

    /// Writes the rows by outcome.
    fn counts(&self, text: &mut String) {
        let tally = &self.tally;
        line(text, tally.read, "rows read", "");
        let skipped = if self.mode == "rehearsal" {
            "done in an earlier rehearsal"
        } else {
            "done in an earlier run"
        };
        if tally.skipped > tally.undone_earlier {
            line(
                text,
                tally.skipped - tally.undone_earlier,
                "skipped",
                skipped,
            );
        }
        for outcome in O::ALL {
            let (name, note) = outcome.describe();
            let standing = outcome.standing();
            if tally.of(*outcome) > 0 && standing != Standing::Held {
                line(text, tally.of(*outcome), name, note);
            }
            if tally.undone_earlier > 0 && standing == Standing::Undone {
                line(text, tally.undone_earlier, name, note);
            }
            if tally.failed_earlier > 0 && O::LEFT_ALONE == Some(*outcome) {
                let note = "in an earlier run; --skip-failed leaves them alone";
                line(text, tally.failed_earlier, name, note);
            }
        }
        if tally.failed_earlier > 0 && O::LEFT_ALONE.is_none() {
            let note = "in an earlier run, for the reasons recorded then";
            line(text, tally.failed_earlier, "unresolved", note);
        }
        self.held(text);
        self.left(text);
    }

    fn held(&self, text: &mut String) {
        let tally = &self.tally;
        match tally.standing(|standing| standing == Standing::Held) - tally.near_holds {
            0 if self.holds && tally.near_holds == 0 => {
                let none = format!("no row to be called is of a user on the {}", self.held_by);
                line(text, 0, "held", &none);
            }
            0 => {}
            held => {
                let note = format!("on the {}, never sent", self.held_by);
                line(text, held, "held", &note);
            }
        }
        if tally.near_holds > 0 {
            line(text, tally.near_holds, "held", NEAR);
        }
    }

    fn left(&self, text: &mut String) {
        let left = self.tally.left;
        if left == 0 && self.counted_to_end {
            return;
        }
        let unread = Unread::text(self.unread);
        let note = match (self.mode, self.counted_to_end) {
            ("dry_run", true) => "to be called",
            _ if self.unrecorded => {
                "not recorded; some may be unlinked, and the next run tells which"
            }
            // Not "untouched": an earlier run may have left some in doubt.
            (_, true) => "for the next run",
            (_, false) if left == 0 => &format!("but {unread}"),
            (_, false) => &format!("for the next run, and {unread}"),
        };
        line(text, left, "left", note);
    }
}

/// Writes a number of rows, their outcome, and a note unless it is empty.
fn line(text: &mut String, rows: u64, name: &str, note: &str) {
    let rows = HumanCount(rows).to_string();
    let gap = if note.is_empty() { "" } else { "  " };
    let _ = writeln!(text, "{rows:>12}  {name}{gap}{note}");
}

/// Returns the summary of a run that could not begin, as one JSON object.
#[must_use]
pub fn refusal(error: &Error) -> String {
    let reason = match error.exit {
        Exit::Input => "input",
        Exit::Locked => "locked",
        Exit::HungUp | Exit::Interrupted | Exit::Terminated => "signal",
        Exit::Halted => "halted",
        _ => "usage",
    };
    let json = serde_json::json!({
        "reason": reason,
        "message": error.to_string(),
        "exit_code": error.exit.code(),
    });
    printable_json(&json.to_string())
}

fn printable_lines(message: &str) -> String {
    message
        .lines()
        .map(printable)
        .collect::<Vec<_>>()
        .join("\n")
}
