//! What a plan says, to people and to scripts.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use indicatif::HumanCount;

use super::forecast::{Forecast, Region};
use super::json::Json;
use super::online::{Looked, Told};
use super::repeats::{Pair, SHOWN};
use super::survey::Survey;
use crate::admission::Rate;
use crate::clock;
use crate::error::Exit;
use crate::report::{NEAR, counted, paced, spoken, unmatched};
use crate::row::region_of;
use crate::settings::{Origin, Sourced};
use crate::terminal::{printable, printable_json};

/// Everything that a plan tells.
#[derive(Debug, Clone)]
pub struct Plan {
    /// What stands in the inputs.
    pub survey: Survey,
    /// Whether hold lists were read: then it is told, too, if nobody of the rows is on them.
    pub holds: bool,
    /// How long it takes.
    pub forecast: Forecast,
    /// When that was reckoned.
    pub now: SystemTime,
    /// Where earlier runs have left their results, if they have.
    pub results: Option<PathBuf>,
    /// Rows to be called after which the run stops.
    pub limit: Option<u64>,
    /// Time after which the run takes no more rows.
    pub take_for: Option<Duration>,
    /// What a team may keep in its configuration, and where it came from.
    pub sources: Vec<Sourced>,
    /// What was looked up, if anything was.
    pub looked: Option<Looked>,
    /// What a run would be stopped by.
    pub problems: Vec<String>,
    /// The file of invalid rows, if one was written.
    pub invalid: Option<PathBuf>,
    /// The file that the plan was saved in.
    pub out: Option<PathBuf>,
    /// When the plan was made that stood there before, if one did.
    pub replaced: Option<String>,
    /// The next command, and what it does.
    pub next: Option<(String, &'static str)>,
}

impl Plan {
    /// 0 when every row is valid, 1 when some are not or near matches of a hold list are for a person to decide, 5 when a run would be stopped.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.survey.invalid + self.survey.near_holds {
            _ if !self.problems.is_empty() => Exit::Halted,
            0 => Exit::Done,
            _ => Exit::NotAllDone,
        }
    }

    /// The account that was looked up.
    pub(super) fn account(&self) -> Option<&str> {
        let caller = self.looked.as_ref()?.caller.as_ref()?;
        Some(&caller.account)
    }

    /// When a run that begins now ends, if that is known and within a lifetime.
    pub(super) fn finish(&self) -> Option<SystemTime> {
        let seconds = self.forecast.seconds()?;
        let length = Duration::try_from_secs_f64(seconds).ok()?;
        (length < LONGEST).then(|| self.now + length)
    }

    /// One JSON object, on one line.
    #[must_use]
    pub fn json(&self) -> String {
        let text = serde_json::to_string(&Json::of(self)).expect("memory takes any object");
        printable_json(&text)
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match &self.looked {
            None => String::from("Plan: nothing was called.\n"),
            Some(_) => {
                String::from("Plan: nothing was changed; account and pools were asked for.\n")
            }
        };
        self.counts(&mut text);
        for region in &self.forecast.regions {
            self.region(region, &mut text);
        }
        self.length(&mut text);
        self.settings(&mut text);
        self.problems(&mut text);
        if let Some(path) = &self.invalid {
            let name = path.to_string_lossy();
            let _ = writeln!(
                text,
                "Invalid rows: {}; mend them there, and feed that file as it stands.",
                printable(&name)
            );
        }
        if let Some(path) = &self.out {
            let _ = write!(text, "Saved: {}", printable(&path.to_string_lossy()));
            if let Some(time) = &self.replaced {
                let _ = write!(text, " (replaced the plan of {})", printable(time));
            }
            text.push('\n');
        }
        if let Some((command, does)) = &self.next {
            let _ = writeln!(text, "\n{does}\n  {}", printable(command));
        }
        text
    }

    fn counts(&self, text: &mut String) {
        let survey = &self.survey;
        let line = |text: &mut String, number: u64, what: &str| {
            let _ = writeln!(text, "{:>12}  {what}", HumanCount(number).to_string());
        };
        line(text, survey.rows, "rows");
        line(text, survey.valid, "valid");
        if survey.invalid > 0 {
            line(text, survey.invalid, "invalid  never sent");
            for (source, at, reason) in &survey.first_invalid {
                finding(text, &format!("{source}:{at}: {reason}"));
            }
            more(text, survey.invalid);
        }
        for (kind, unusual) in &survey.unusual {
            let what = format!(
                "unusual  {}; --as-is {kind} sends them as they stand",
                kind.description()
            );
            line(text, unusual.rows, &what);
            for (source, at) in &unusual.first {
                finding(text, &format!("{source}:{at}"));
            }
            more(text, unusual.rows);
        }
        let pair = |pair: &Pair, between: &str| {
            let (source, line) = survey.at(pair.later);
            let (earlier, at) = survey.at(pair.earlier);
            format!("{source}:{line} {between} {earlier}:{at}")
        };
        let repeats = &survey.repeats;
        if repeats.duplicates > 0 {
            let what =
                "duplicates  the same four fields as an earlier row; the run calls them again";
            line(text, repeats.duplicates, what);
            for found in &repeats.first_duplicates {
                finding(text, &pair(found, "repeats"));
            }
            more(text, repeats.duplicates);
        }
        if repeats.users > 0 {
            let what = "users with several identities  each is unlinked from all that are named";
            line(text, repeats.users, what);
            for found in &repeats.first_users {
                finding(text, &pair(found, "names the user of"));
            }
            more(text, repeats.users);
        }
        if let (Some(results), 1..) = (&self.results, survey.already_done) {
            let what = format!("done already  in {}", printable(&results.to_string_lossy()));
            line(text, survey.already_done, &what);
        }
        if survey.failed_earlier > 0 {
            let what = "failed  in an earlier run; --skip-failed leaves them alone";
            line(text, survey.failed_earlier, what);
        }
        match survey.held - survey.near_holds {
            0 if self.holds && survey.near_holds == 0 => {
                line(text, 0, "held  no row is of a user on the hold list");
            }
            0 => {}
            held => line(text, held, "held  on the hold list, never sent"),
        }
        if survey.near_holds > 0 {
            line(text, survey.near_holds, &format!("held  {NEAR}"));
        }
        if let Some(lines @ 1..) = survey.unmatched_holds {
            finding(text, &unmatched(lines));
        }
        line(text, survey.left, "left");
    }

    fn region(&self, region: &Region, text: &mut String) {
        let _ = write!(
            text,
            "\n{}: at least {}",
            printable(&region.name),
            counted(region.calls, "call")
        );
        if let Some(seconds) = region.seconds_at_rate {
            let _ = write!(text, ", {} at {}", long(seconds), self.forecast.rate);
        }
        if let (Some(quota), Some(seconds)) = (region.learned, region.seconds_at_learned_rate) {
            let why = if region.is_held_back {
                "--rate holds it below".to_owned()
            } else {
                format!("{} by", long(seconds))
            };
            let quota = paced(quota);
            let _ = write!(
                text,
                "; {why} the {quota} that an earlier run found it to bear"
            );
        }
        text.push('\n');
        for (id, pool) in &self.survey.pools {
            if region_of(id) == region.name {
                let names: Vec<_> = pool.developer_provider_names.iter().map(|n| &**n).collect();
                let told = self.looked.as_ref().and_then(|looked| looked.pools.get(id));
                let told = match told {
                    None => String::new(),
                    Some(Told::Is(pool)) => format!(", called {:?}", pool.name),
                    Some(Told::NotPermitted) => {
                        ", which these credentials may not look up".to_owned()
                    }
                    Some(Told::Missing(_)) => ", which does not exist".to_owned(),
                    Some(Told::Unknown(_)) => ", which could not be looked up".to_owned(),
                };
                let _ = writeln!(
                    text,
                    "{:>12}  of {} rows left in pool {} ({}){}",
                    HumanCount(pool.left).to_string(),
                    HumanCount(pool.rows),
                    printable(id),
                    printable(&names.join(", ")),
                    printable(&told)
                );
            }
        }
    }

    /// What the team's configuration says; the defaults of a run without one are no news.
    fn settings(&self, text: &mut String) {
        if let Some(caller) = self
            .looked
            .as_ref()
            .and_then(|looked| looked.caller.as_ref())
        {
            let _ = writeln!(
                text,
                "The credentials are those of account {} ({}).",
                printable(&caller.account),
                printable(&caller.arn)
            );
        }
        if self
            .sources
            .iter()
            .any(|setting| matches!(setting.from, Origin::Config(_)))
        {
            for setting in &self.sources {
                let line = format!("{}: {} ({})", setting.name, setting.value, setting.from);
                let _ = writeln!(text, "{}", printable(&line));
            }
        }
    }

    fn problems(&self, text: &mut String) {
        if self.problems.is_empty() {
            return;
        }
        text.push_str("\nA run would be stopped, and no plan is saved:\n");
        for problem in self.problems.iter().take(SHOWN) {
            let _ = writeln!(text, "  {}", printable(problem));
        }
        if let more @ 1.. = self.problems.len().saturating_sub(SHOWN) {
            let _ = writeln!(text, "  and {more} more");
        }
    }

    fn length(&self, text: &mut String) {
        text.push('\n');
        if let Some(limit) = self.limit {
            let _ = writeln!(
                text,
                "A run stops when it has settled {}.",
                counted(limit, "row")
            );
        }
        if let Some(time) = self.take_for {
            let _ = writeln!(text, "A run takes no more rows after {}.", spoken(time));
        }
        if self.survey.calls() == 0 {
            text.push_str(match (self.survey.left, self.survey.invalid) {
                (0, 0) if self.survey.rows > 0 => "There is nothing left to do.\n",
                (0, 1..) => "There is nothing left to do but to mend the invalid rows.\n",
                _ => "There is nothing to call.\n",
            });
            return;
        }
        let (Some(seconds), Some(finish)) = (self.forecast.seconds(), self.finish()) else {
            let _ = writeln!(
                text,
                "How long that takes is not known: {}.",
                match self.forecast.rate {
                    Rate::Unlimited =>
                        "the rate is unlimited, and no earlier run has found what each Region bears",
                    Rate::PerSecond(_) => "it is longer than a lifetime",
                }
            );
            return;
        };
        let finish = clock::rfc3339_seconds(finish).to_string();
        let _ = writeln!(
            text,
            "Begun now, a run takes at least {} and ends about {} UTC.",
            long(seconds),
            finish.trim_end_matches('Z').replace('T', " ")
        );
    }
}

/// A run of a hundred years is a mistake, and no calendar need hold its end.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

fn long(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "for ever".to_owned(), spoken)
}

fn finding(text: &mut String, what: &str) {
    let _ = writeln!(text, "{:14}{}", "", printable(what));
}

fn more(text: &mut String, all: u64) {
    if let more @ 1.. = all.saturating_sub(SHOWN as u64) {
        finding(text, &format!("and {} more", HumanCount(more)));
    }
}
