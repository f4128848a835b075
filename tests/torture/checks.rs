//! Checks the results against the emulator's log of calls, row by row, after every run and in the end.

use std::collections::{HashMap, HashSet};

use cognito_unlink::testing::emulator::Call;

use crate::counts::Counts;
use crate::results_file::Line;
use crate::round::CONCURRENCY;
use crate::rows::Row;

/// Error code of the reply that there is nothing to unlink.
const NOTHING_THERE: &str = "ResourceNotFoundException";

/// The end of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunEnd {
    /// At any point of its work.
    Killed,
    /// By itself, because it was done or had drained after a signal.
    Orderly,
}

/// The state of a row, from the calls and the results, when the last run had ended.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are independent of each other"
)]
struct RowState {
    existed: bool,
    /// A call has removed its link.
    gone: bool,
    /// The outcome in its last line.
    outcome: Option<String>,
    /// Its last line is done.
    done: bool,
    /// The program was killed between its call and its line.
    killed: bool,
    /// A cut removed a line of it, perhaps the only trace of its calls.
    cut: bool,
}

/// The states of all rows, and the disagreements found so far.
#[derive(Debug)]
pub(crate) struct Checks {
    rows: HashMap<String, RowState>,
    lines: Vec<Line>,
    disagreements: Vec<String>,
    pub(crate) counts: Counts,
}

/// The calls and the line of a row in one run.
#[derive(Default)]
struct RowInRun<'a> {
    calls: Vec<&'a Call>,
    line: Option<&'a Line>,
}

impl RowInRun<'_> {
    fn took_effect(&self) -> bool {
        self.calls.iter().any(|call| call.effect)
    }

    /// Returns true if the reply to the last call was a success.
    fn is_confirmed(&self) -> bool {
        let last = self.calls.last();
        last.is_some_and(|call| call.effect && call.ended.is_some() && call.code.is_none())
    }
}

impl Checks {
    pub(crate) fn new(rows: &[Row]) -> Self {
        let state = |row: &Row| RowState {
            existed: row.existed,
            ..RowState::default()
        };
        Self {
            rows: rows
                .iter()
                .map(|row| (row.link.developer_user_identifier.clone(), state(row)))
                .collect(),
            lines: Vec::new(),
            disagreements: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Returns true if the results have a done line of this row.
    pub(crate) fn is_done(&self, user: &str) -> bool {
        self.rows.get(user).is_some_and(|row| row.done)
    }

    /// Returns true if the results have any line of this row.
    pub(crate) fn is_recorded(&self, user: &str) -> bool {
        self.rows.get(user).is_some_and(|row| row.outcome.is_some())
    }

    /// Adds a disagreement.
    pub(crate) fn disagree(&mut self, what: String) {
        self.disagreements.push(what);
    }

    /// Returns the disagreements so far as an error, the first ones in full.
    pub(crate) fn result(&self) -> Result<(), String> {
        let all = &self.disagreements;
        match all.len() {
            0 => Ok(()),
            count => Err(format!(
                "{count} disagreements\n  {}",
                all[..count.min(20)].join("\n  ")
            )),
        }
    }

    /// Notes that only these lines are left of the results.
    pub(crate) fn note_cut(&mut self, left: &[Line]) {
        self.counts.cuts += 1;
        for line in self.lines.split_off(left.len()) {
            self.counts.lost += 1;
            let row = self.rows.get_mut(&line.user).expect("a row of this round");
            row.cut = true;
            let before = left.iter().rfind(|left| left.user == line.user);
            row.outcome = before.map(|line| line.outcome.clone());
            row.done = before.is_some_and(Line::is_done);
        }
        if self.lines != left {
            self.disagree("the lines left by a cut are not those from before".to_owned());
        }
    }

    /// Checks a run by its `calls` and by all `lines` that the results have now. Users in `held` must not have been called; those
    /// in `held_since` were put on the hold list during the run, and may have been.
    pub(crate) fn check_run(
        &mut self,
        calls: &[Call],
        lines: Vec<Line>,
        end: RunEnd,
        held: &HashSet<String>,
        held_since: &HashSet<String>,
    ) {
        let old = self.lines.len();
        if lines.get(..old) != Some(&self.lines[..]) {
            self.disagree("a run changed lines of earlier runs".to_owned());
            return;
        }
        self.check_one_call_an_identity(calls);
        for call in calls {
            if held.contains(&call.developer_user_identifier) {
                self.disagree(format!("a held user was called: {call:?}"));
            }
        }
        for line in &lines[old..] {
            let is_held = held.contains(&line.user) || held_since.contains(&line.user);
            if line.outcome == "held" && !is_held {
                self.disagree(format!("{line:?}, but its user is not on the hold list"));
            }
            // The outcome may also be `in_doubt`.
            self.counts.held += u64::from(is_held);
        }
        let mut in_run: HashMap<&str, RowInRun<'_>> = HashMap::new();
        for call in calls {
            let row = in_run.entry(&call.developer_user_identifier).or_default();
            row.calls.push(call);
        }
        for line in &lines[old..] {
            let row = in_run.entry(&line.user).or_default();
            if row.line.replace(line).is_some() {
                self.disagree(format!("{line:?} is the second line of its row in one run"));
            }
        }
        let mut unrecorded = 0;
        for (user, in_run) in in_run {
            let Some(mut row) = self.rows.remove(user) else {
                self.disagree(format!("no row has the user {user:?}"));
                continue;
            };
            self.check_row(user, &mut row, &in_run, end);
            unrecorded += u64::from(in_run.is_confirmed() && row.killed);
            self.rows.insert(user.to_owned(), row);
        }
        self.counts.unrecorded += unrecorded;
        self.counts.most_unrecorded = self.counts.most_unrecorded.max(unrecorded);
        // A row is in flight until its line is written.
        if unrecorded > CONCURRENCY {
            self.disagree(format!(
                "{unrecorded} replies were not recorded at a kill, with at most {CONCURRENCY} calls in flight"
            ));
        }
        self.lines = lines;
    }

    /// Checks that no two calls of a run were in flight for one identity. The program may have given up a call without a reply
    /// long before the emulator sees its end, so that only calls with a reply count.
    fn check_one_call_an_identity(&mut self, calls: &[Call]) {
        let mut last: HashMap<&str, &Call> = HashMap::new();
        for call in calls {
            let before = last.insert(&call.identity_id, call);
            if let Some(before) = before
                && before.ended.is_some_and(|ended| call.began < ended)
            {
                self.disagree(format!(
                    "two calls in flight for one identity: {before:?}, {call:?}"
                ));
            }
        }
    }

    /// Checks what a run did with one row, and brings the row's state up to date.
    fn check_row(&mut self, user: &str, row: &mut RowState, in_run: &RowInRun<'_>, end: RunEnd) {
        let (was_gone, done_before) = (row.gone, row.done);
        if done_before && !in_run.calls.is_empty() {
            self.disagree(format!("{user:?} was called although it is done: {row:?}"));
        }
        let mut gone_now = false;
        for call in &in_run.calls {
            match (gone_now, was_gone) {
                (true, _) => self.counts.after_lost_reply += 1,
                (_, true) if row.cut => self.counts.after_cut += 1,
                (_, true) if row.killed => self.counts.after_kill += 1,
                (_, true) if row.outcome.as_deref() == Some("in_doubt") => {
                    self.counts.after_doubt += 1;
                }
                (_, true) => self.disagree(format!(
                    "{user:?} was called without a reason after its link was removed: {row:?}"
                )),
                _ => {}
            }
            if call.effect && (was_gone || gone_now || !row.existed) {
                self.disagree(format!("{user:?} was unlinked twice: {row:?}"));
            }
            gone_now |= call.effect;
        }
        row.gone |= gone_now;
        if let Some(line) = in_run.line {
            if done_before {
                self.disagree(format!("{line:?} follows a done line"));
            }
            if in_run.calls.len() as u64 > line.attempts {
                let calls = in_run.calls.len();
                self.disagree(format!(
                    "{line:?} has fewer attempts than the {calls} calls"
                ));
            }
            if let Err(why) = check_outcome(line, row, in_run) {
                let calls = &in_run.calls;
                self.disagree(format!("{why}: {line:?}, {row:?}, {calls:?}"));
            }
            if line.outcome == "not_linked" && row.existed {
                self.counts.lost_not_linked += 1;
            }
            row.outcome = Some(line.outcome.clone());
            row.done = line.is_done();
            if !matches!(line.outcome.as_str(), "failed" | "held") {
                (row.killed, row.cut) = (false, false);
            }
        } else if gone_now {
            match end {
                RunEnd::Killed => row.killed = true,
                RunEnd::Orderly => self.disagree(format!(
                    "{user:?} was unlinked in a run that ended by itself, and has no line: {:?}",
                    in_run.calls
                )),
            }
        }
    }

    /// Checks after the last run that every row is done once, that every link is gone, and that the totals agree.
    pub(crate) fn check_totals(&mut self, rows: &[Row], is_linked: impl Fn(&Row) -> bool) {
        for row in rows {
            let user = &row.link.developer_user_identifier;
            if is_linked(row) {
                self.disagree(format!("{user:?} is still linked"));
            }
            let lines = self.lines.iter().filter(|line| line.user == *user);
            let done: Vec<bool> = lines.map(Line::is_done).collect();
            if done.last() != Some(&true) || done.iter().filter(|&&done| done).count() != 1 {
                self.disagree(format!(
                    "{user:?} must have one done line, the last, but its lines are done: {done:?}"
                ));
            }
        }
        let with = |outcome: &str| {
            let lines = self.lines.iter().filter(|line| line.outcome == outcome);
            lines.count() as u64
        };
        let (unlinked, reply_lost, not_linked) = (
            with("unlinked"),
            with("unlinked_reply_lost"),
            with("not_linked"),
        );
        let existed = rows.iter().filter(|row| row.existed).count() as u64;
        let counts = &mut self.counts;
        (counts.unlinked, counts.reply_lost, counts.not_linked) =
            (unlinked, reply_lost, not_linked);
        (counts.rounds, counts.rows) = (1, rows.len() as u64);
        let effects = counts.effects;
        if effects != existed || unlinked > effects {
            self.disagree(format!(
                "{existed} links existed, {effects} were removed, {unlinked} are recorded as unlinked"
            ));
        }
    }
}

/// Checks the outcome in a row's line against the calls.
fn check_outcome(line: &Line, row: &RowState, in_run: &RowInRun<'_>) -> Result<(), &'static str> {
    let last = in_run.calls.last();
    let has_code = |code| last.is_some_and(|call| call.code.as_deref() == Some(code));
    match line.outcome.as_str() {
        "unlinked" => in_run
            .is_confirmed()
            .then_some(())
            .ok_or("no reply confirmed it"),
        "not_linked" if row.existed && !row.cut => Err("its link existed"),
        "not_linked" | "unlinked_reply_lost" => has_code(NOTHING_THERE)
            .then_some(())
            .ok_or("no reply said that there is nothing to unlink"),
        "failed" if in_run.took_effect() || (row.gone && !row.cut) => Err("its link is gone"),
        "held" if in_run.took_effect() => Err("it was called"),
        // A row may be in doubt without a call that took effect.
        "failed" | "in_doubt" | "held" => Ok(()),
        _ => Err("a row cannot have this outcome"),
    }
}
