//! What must hold after every run, and at the end: the emulator's record against the results, row by row.

use std::collections::{HashMap, HashSet};

use cognito_unlink::emulator::Call;

use crate::book::Line;
use crate::counts::Counts;
use crate::people::Person;
use crate::round::CONCURRENCY;

/// What the program says when the service says that there is nothing to unlink.
const NOTHING_THERE: &str = "ResourceNotFoundException";

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// In the middle of whatever it did.
    Killed,
    /// By itself, also if a signal had asked for it.
    Itself,
}

/// What is known of a row, from the emulator and from the results, as they were when the last run ended.
#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each can be so or not, whatever the others"
)]
struct Known {
    existed: bool,
    /// A call has removed its link.
    gone: bool,
    /// Its last line in the results.
    outcome: Option<String>,
    /// Its last line is a done one.
    done: bool,
    /// A kill came between its call and its line.
    killed: bool,
    /// A cut took a line of it, and with that perhaps all knowledge of its calls.
    cut: bool,
}

/// Everything that is known, and what disagrees.
#[derive(Debug)]
pub(crate) struct Verdict {
    rows: HashMap<String, Known>,
    lines: Vec<Line>,
    disagreements: Vec<String>,
    pub(crate) counts: Counts,
}

/// A run's part in the life of one row.
#[derive(Default)]
struct Part<'a> {
    calls: Vec<&'a Call>,
    line: Option<&'a Line>,
}

impl Part<'_> {
    fn took_effect(&self) -> bool {
        self.calls.iter().any(|call| call.effect)
    }

    /// Whether the last call was answered with a success.
    fn is_confirmed(&self) -> bool {
        let last = self.calls.last();
        last.is_some_and(|call| call.effect && call.ended.is_some() && call.code.is_none())
    }
}

impl Verdict {
    pub(crate) fn new(people: &[Person]) -> Self {
        let known = |person: &Person| Known {
            existed: person.existed,
            ..Known::default()
        };
        Self {
            rows: people
                .iter()
                .map(|person| (person.link.developer_user_identifier.clone(), known(person)))
                .collect(),
            lines: Vec::new(),
            disagreements: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Whether a done line of this row stands in the results.
    pub(crate) fn is_done(&self, user: &str) -> bool {
        self.rows.get(user).is_some_and(|row| row.done)
    }

    /// Whether a line of this row, whatever its outcome, stands in the results.
    pub(crate) fn is_told(&self, user: &str) -> bool {
        self.rows.get(user).is_some_and(|row| row.outcome.is_some())
    }

    /// Notes something that should not be.
    pub(crate) fn disagree(&mut self, what: String) {
        self.disagreements.push(what);
    }

    /// What should not be, if anything is.
    pub(crate) fn so_far(&self) -> Result<(), String> {
        let all = &self.disagreements;
        match all.len() {
            0 => Ok(()),
            some => Err(format!(
                "{some} disagreements\n  {}",
                all[..some.min(20)].join("\n  ")
            )),
        }
    }

    /// The results' tail was cut off behind these lines.
    pub(crate) fn cut(&mut self, left: &[Line]) {
        self.counts.cuts += 1;
        for line in self.lines.split_off(left.len()) {
            self.counts.lost += 1;
            let row = self.rows.get_mut(&line.user).expect("it was read before");
            row.cut = true;
            let before = left.iter().rfind(|left| left.user == line.user);
            row.outcome = before.map(|line| line.outcome.clone());
            row.done = before.is_some_and(Line::is_done);
        }
        if self.lines != left {
            self.disagree("what is left after a cut is not what stood there".to_owned());
        }
    }

    /// A run has made `calls`, and left these `lines`. Nobody of the `held` may have been called in it; who is `held_since` was put
    /// on the list while it went on.
    pub(crate) fn run(
        &mut self,
        calls: &[Call],
        lines: Vec<Line>,
        end: End,
        held: &HashSet<String>,
        held_since: &HashSet<String>,
    ) {
        let old = self.lines.len();
        if lines.get(..old) != Some(&self.lines[..]) {
            self.disagree("a run has changed lines of earlier runs".to_owned());
            return;
        }
        self.hold_apart(calls);
        for call in calls {
            if held.contains(&call.developer_user_identifier) {
                self.disagree(format!("who is held was called: {call:?}"));
            }
        }
        for line in &lines[old..] {
            let is_held = held.contains(&line.user) || held_since.contains(&line.user);
            if line.outcome == "held" && !is_held {
                self.disagree(format!("{line:?} is on no list"));
            }
            // Where all are in doubt, so are those that are held.
            self.counts.held += u64::from(is_held);
        }
        let mut parts: HashMap<&str, Part<'_>> = HashMap::new();
        for call in calls {
            let part = parts.entry(&call.developer_user_identifier).or_default();
            part.calls.push(call);
        }
        for line in &lines[old..] {
            let part = parts.entry(&line.user).or_default();
            if part.line.replace(line).is_some() {
                self.disagree(format!("{line:?} is the row's second line of one run"));
            }
        }
        let mut unrecorded = 0;
        for (user, part) in parts {
            let Some(mut row) = self.rows.remove(user) else {
                self.disagree(format!("{user:?} is nobody's"));
                continue;
            };
            self.judge(user, &mut row, &part, end);
            unrecorded += u64::from(part.is_confirmed() && row.killed);
            self.rows.insert(user.to_owned(), row);
        }
        self.counts.unrecorded += unrecorded;
        self.counts.most_unrecorded = self.counts.most_unrecorded.max(unrecorded);
        // A row holds its place among the calls in flight until its line is written.
        if unrecorded > CONCURRENCY {
            self.disagree(format!(
                "{unrecorded} answers without a line at a kill, with {CONCURRENCY} calls in flight at most"
            ));
        }
        self.lines = lines;
    }

    /// No two calls of one run were in flight for one identity. A call that got no answer may have been given up long
    /// before the emulator sees its end, so only answered ones tell.
    fn hold_apart(&mut self, calls: &[Call]) {
        let mut last: HashMap<&str, &Call> = HashMap::new();
        for call in calls {
            let before = last.insert(&call.identity_id, call);
            if let Some(before) = before
                && before.ended.is_some_and(|ended| call.began < ended)
            {
                self.disagree(format!(
                    "two calls at once for one identity: {before:?}, {call:?}"
                ));
            }
        }
    }

    fn judge(&mut self, user: &str, row: &mut Known, part: &Part<'_>, end: End) {
        let (was_gone, done_before) = (row.gone, row.done);
        if done_before && !part.calls.is_empty() {
            self.disagree(format!("{user:?} was called although it is done: {row:?}"));
        }
        let mut gone_now = false;
        for call in &part.calls {
            match (gone_now, was_gone) {
                (true, _) => self.counts.after_lost_reply += 1,
                (_, true) if row.cut => self.counts.after_cut += 1,
                (_, true) if row.killed => self.counts.after_kill += 1,
                (_, true) if row.outcome.as_deref() == Some("in_doubt") => {
                    self.counts.after_doubt += 1;
                }
                (_, true) => self.disagree(format!(
                    "{user:?} was called for no reason, its link being gone: {row:?}"
                )),
                _ => {}
            }
            if call.effect && (was_gone || gone_now || !row.existed) {
                self.disagree(format!("{user:?} was unlinked twice: {row:?}"));
            }
            gone_now |= call.effect;
        }
        row.gone |= gone_now;
        if let Some(line) = part.line {
            if done_before {
                self.disagree(format!("{line:?} follows a done line"));
            }
            if part.calls.len() as u64 > line.attempts {
                let calls = part.calls.len();
                self.disagree(format!(
                    "{line:?} tells fewer attempts than its {calls} calls"
                ));
            }
            if let Err(why) = fits(line, row, part) {
                let calls = &part.calls;
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
                End::Killed => row.killed = true,
                End::Itself => self.disagree(format!(
                    "{user:?} was unlinked, the run ended in peace, and no line says so: {:?}",
                    part.calls
                )),
            }
        }
    }

    /// After the last run: every row is done, every link is gone, and all that was counted agrees.
    pub(crate) fn at_the_end(&mut self, people: &[Person], is_linked: impl Fn(&Person) -> bool) {
        for person in people {
            let user = &person.link.developer_user_identifier;
            if is_linked(person) {
                self.disagree(format!("{user:?} is linked still"));
            }
            let lines = self.lines.iter().filter(|line| line.user == *user);
            let done: Vec<bool> = lines.map(Line::is_done).collect();
            if done.last() != Some(&true) || done.iter().filter(|&&done| done).count() != 1 {
                self.disagree(format!(
                    "{user:?} has not one done line, its last, but {done:?}"
                ));
            }
        }
        let told = |outcome: &str| {
            let lines = self.lines.iter().filter(|line| line.outcome == outcome);
            lines.count() as u64
        };
        let (unlinked, reply_lost, not_linked) = (
            told("unlinked"),
            told("unlinked_reply_lost"),
            told("not_linked"),
        );
        let existed = people.iter().filter(|person| person.existed).count() as u64;
        let counts = &mut self.counts;
        (counts.unlinked, counts.reply_lost, counts.not_linked) =
            (unlinked, reply_lost, not_linked);
        (counts.rounds, counts.rows) = (1, people.len() as u64);
        let effects = counts.effects;
        if effects != existed || unlinked > effects {
            self.disagree(format!(
                "{existed} links existed, {effects} were removed, {unlinked} were told as unlinked"
            ));
        }
    }
}

/// Whether the emulator's record bears the line out.
fn fits(line: &Line, row: &Known, part: &Part<'_>) -> Result<(), &'static str> {
    let last = part.calls.last();
    let told = |code| last.is_some_and(|call| call.code.as_deref() == Some(code));
    match line.outcome.as_str() {
        "unlinked" => part
            .is_confirmed()
            .then_some(())
            .ok_or("no answer confirmed it"),
        "not_linked" if row.existed && !row.cut => Err("it was linked once"),
        "not_linked" | "unlinked_reply_lost" => told(NOTHING_THERE)
            .then_some(())
            .ok_or("no answer said that there is nothing"),
        "failed" if part.took_effect() || (row.gone && !row.cut) => Err("its link is gone"),
        "held" if part.took_effect() => Err("it was called"),
        // Doubts may be groundless.
        "failed" | "in_doubt" | "held" => Ok(()),
        _ => Err("no row can end like this"),
    }
}
