//! A plan as people read it.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::HumanCount;

use super::forecast::RegionForecast;
use super::input_summary::InputSummary;
use super::logins::LastLogins;
use super::online::PoolFinding;
use super::plan::Plan;
use super::repeats::{MAX_SHOWN, Repeats, RowPair};
use crate::admission::Rate;
use crate::clock;
use crate::report::{NEAR, counted, paced, spoken, unmatched};
use crate::row::region_of;
use crate::settings::Origin;
use crate::terminal::printable;

impl Plan {
    /// Returns the plan as text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = match &self.online {
            None => String::from("Plan: nothing was called.\n"),
            Some(_) => {
                String::from("Plan: nothing was changed; account and pools were looked up.\n")
            }
        };
        if let Some((shard, _)) = &self.forecast.shared {
            let _ = writeln!(
                text,
                "Shard {} of {}, numbered from 0: only its rows are counted.",
                shard.index(),
                shard.of()
            );
        }
        self.counts(&mut text);
        for region in &self.forecast.regions {
            self.region(region, &mut text);
        }
        self.length(&mut text);
        self.last_logins(&mut text);
        self.settings(&mut text);
        self.problems(&mut text);
        if let Some(path) = &self.invalid {
            let name = path.to_string_lossy();
            let _ = writeln!(
                text,
                "Invalid rows: {}; correct them there, and feed that file as it stands.",
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

    /// Writes how many rows there are of each kind, with the first lines of those that need attention.
    fn counts(&self, text: &mut String) {
        let input = &self.input;
        count(text, input.rows, "rows");
        count(text, input.valid, "valid");
        invalid(input, text);
        repeats(&input.repeats, input, text);
        if let (Some(results), 1..) = (&self.results, input.already_done) {
            let what = format!("done already  in {}", printable(&results.to_string_lossy()));
            count(text, input.already_done, &what);
        }
        if input.failed_earlier > 0 {
            let what = "failed  in an earlier run; --skip-failed leaves them alone";
            count(text, input.failed_earlier, what);
        }
        if input.relinked > 0 {
            let what = "relinked  since they were unlinked; --again unlinks them again";
            count(text, input.relinked, what);
        }
        self.held(text);
        count(text, input.left, "left");
    }

    fn held(&self, text: &mut String) {
        let input = &self.input;
        match input.held - input.near_holds {
            0 if self.holds && input.near_holds == 0 => {
                count(
                    text,
                    0,
                    "held  no row to be called is of a user on the hold list",
                );
            }
            0 => {}
            held => count(text, held, "held  on the hold list, never sent"),
        }
        if input.near_holds > 0 {
            count(text, input.near_holds, &format!("held  {NEAR}"));
        }
        if let Some(lines @ 1..) = input.unmatched_holds {
            detail(text, &unmatched(lines));
        }
    }

    /// Writes the calls to a Region, how long they take, and its pools.
    fn region(&self, region: &RegionForecast, text: &mut String) {
        let _ = write!(
            text,
            "\n{}: at least {}",
            printable(&region.name),
            counted(region.calls, "call")
        );
        if let Some(seconds) = region.seconds_at_rate {
            let _ = write!(text, ", {} at {}", long(seconds), self.forecast.rate);
            if let Some((shard, rate)) = &self.forecast.shared {
                let _ = write!(text, ", which is {rate} shared by {} shards", shard.of());
            }
        }
        if let (Some(quota), Some(seconds)) = (region.learned, region.seconds_at_learned_rate) {
            let pace = if region.is_held_back {
                "--rate holds it below".to_owned()
            } else {
                format!("{} at", long(seconds))
            };
            let quota = paced(quota);
            let _ = write!(
                text,
                "; {pace} its quota of {quota}, as an earlier run has measured"
            );
        }
        text.push('\n');
        for (id, pool) in &self.input.pools {
            if region_of(id) == region.name {
                let names: Vec<_> = pool.developer_provider_names.iter().map(|n| &**n).collect();
                let _ = writeln!(
                    text,
                    "{:>12}  of {} rows left in pool {} ({}){}",
                    HumanCount(pool.left).to_string(),
                    HumanCount(pool.rows),
                    printable(id),
                    printable(&names.join(", ")),
                    printable(&self.found_of_pool(id))
                );
            }
        }
    }

    /// Returns what AWS answered for a pool, as the end of its line.
    fn found_of_pool(&self, id: &str) -> String {
        let online = self.online.as_ref();
        match online.and_then(|online| online.pools.get(id)) {
            None => String::new(),
            Some(PoolFinding::Found(pool)) => format!(", called {:?}", pool.name),
            Some(PoolFinding::NotPermitted) => {
                ", which these credentials have no permission to look up".to_owned()
            }
            Some(PoolFinding::Missing(_)) => ", which does not exist".to_owned(),
            Some(PoolFinding::Unknown(_)) => ", which could not be looked up".to_owned(),
        }
    }

    /// Writes how many identities lose their last login, or what it takes to know that.
    fn last_logins(&self, text: &mut String) {
        if let Some(costs) = &self.login_costs {
            if self.input.left > 0 {
                let _ = writeln!(text, "\nLast logins: not looked at. {}", costs.words());
            }
            return;
        }
        let Some(found) = &self.last_logins else {
            return;
        };
        let _ = writeln!(text, "\n{}", last_logins(found));
        for (identities, are) in [
            (found.keep, "keep a login, or have none that a row names"),
            (found.disabled, "are disabled already"),
            (found.guests, "never had a login"),
            (found.not_found, "do not exist in the pool of their rows"),
            (
                found.forbidden,
                "are out of reach: disabled, or of another pool",
            ),
        ] {
            if identities > 0 {
                count(text, identities, are);
            }
        }
    }

    /// Writes the account, and the settings if a configuration file has set any: the defaults are not shown.
    fn settings(&self, text: &mut String) {
        if let Some(caller) = self
            .online
            .as_ref()
            .and_then(|online| online.caller.as_ref())
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
        for problem in self.problems.iter().take(MAX_SHOWN) {
            let _ = writeln!(text, "  {}", printable(problem));
        }
        if let more @ 1.. = self.problems.len().saturating_sub(MAX_SHOWN) {
            let _ = writeln!(text, "  and {more} more");
        }
    }

    /// Writes how long the run takes.
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
            let _ = writeln!(text, "A run starts no more rows after {}.", spoken(time));
        }
        if self.input.calls() == 0 {
            text.push_str(match (self.input.left, self.input.invalid) {
                (0, 0) if self.input.rows > 0 => "There is nothing left to do.\n",
                (0, 1..) => "There is nothing left to do but to correct the invalid rows.\n",
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
                        "the rate is unlimited, and no earlier run has measured the quota of each Region",
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

/// Writes a number of rows and what they are.
fn count(text: &mut String, rows: u64, what: &str) {
    let _ = writeln!(text, "{:>12}  {what}", HumanCount(rows).to_string());
}

fn last_logins(found: &LastLogins) -> String {
    let most = if found.upper_bound { "At most " } else { "" };
    let (lose, all) = (found.lose, HumanCount(found.identities));
    match lose {
        0 => format!("No identity of {all} would lose its last login."),
        1 => format!(
            "{most}1 identity of {all} would lose its last login, and become inaccessible for good."
        ),
        _ => format!(
            "{most}{} identities of {all} would lose their last login, and become inaccessible for good.",
            HumanCount(lose)
        ),
    }
}

fn invalid(input: &InputSummary, text: &mut String) {
    if input.invalid > 0 {
        count(text, input.invalid, "invalid  never sent");
        for (source, line, reason) in &input.first_invalid {
            detail(text, &format!("{source}:{line}: {reason}"));
        }
        more(text, input.invalid);
    }
    for (kind, unusual) in &input.unusual {
        let what = format!(
            "unusual  {}; --as-is {kind} sends them as they stand",
            kind.description()
        );
        count(text, unusual.rows, &what);
        for (source, line) in &unusual.first {
            detail(text, &format!("{source}:{line}"));
        }
        more(text, unusual.rows);
    }
}

fn repeats(repeats: &Repeats, input: &InputSummary, text: &mut String) {
    let pair = |pair: &RowPair, between: &str| {
        let (source, line) = input.position_of(pair.later);
        let (earlier, at) = input.position_of(pair.earlier);
        format!("{source}:{line} {between} {earlier}:{at}")
    };
    if repeats.duplicates > 0 {
        let what = "duplicates  the same four fields as an earlier row; the run calls them again";
        count(text, repeats.duplicates, what);
        for rows in &repeats.first_duplicates {
            detail(text, &pair(rows, "repeats"));
        }
        more(text, repeats.duplicates);
    }
    if repeats.users > 0 {
        let what = "users with several identities  each is unlinked from all that are named";
        count(text, repeats.users, what);
        for rows in &repeats.first_users {
            detail(text, &pair(rows, "names the user of"));
        }
        more(text, repeats.users);
    }
}

fn long(seconds: f64) -> String {
    Duration::try_from_secs_f64(seconds).map_or_else(|_| "for ever".to_owned(), spoken)
}

/// Writes a line below a number of rows.
fn detail(text: &mut String, what: &str) {
    let _ = writeln!(text, "{:14}{}", "", printable(what));
}

/// Writes how many rows of `all` are not shown.
fn more(text: &mut String, all: u64) {
    if let more @ 1.. = all.saturating_sub(MAX_SHOWN as u64) {
        detail(text, &format!("and {} more", HumanCount(more)));
    }
}
