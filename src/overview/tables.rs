//! The tables of the page.

use indicatif::HumanCount;
use maud::{Markup, html};

use super::blocks::{MOST_ROWS, cut, others, percent, swatch, table};
use super::counts::Counts;
use super::figures::Overview;
use super::plots::class_of;
use super::scale::shown_time;
use crate::report::spoken;
use crate::row::region_of;
use crate::verdict::Outcome as _;

impl Overview {
    pub(super) fn outcomes_table(&self) -> Markup {
        let all = self.rows.all();
        html! {
            h2 { "Outcomes" }
            (table("Outcomes", &["Outcome", "#Rows", "#Share", "Meaning"], &html! {
                @for (outcome, rows) in self.rows.present() {
                    @let (name, note) = outcome.describe();
                    tr {
                        td class="t" { (swatch(&class_of(outcome))) (name) }
                        td class="n" { (HumanCount(rows)) }
                        td class="n" { (percent(rows, all)) }
                        td class="soft" { (note) }
                    }
                }
                @if let Some(left) = self.left.number().filter(|left| *left > 0) {
                    tr {
                        td { "left" }
                        td class="n" { (HumanCount(left)) }
                        td class="n" { "–" }
                        td class="soft" { "not reached by any run, and not in the results" }
                    }
                }
            }))
        }
    }

    pub(super) fn reasons_table(&self) -> Markup {
        html! {
            @if !self.reasons.is_empty() {
                h2 { "Reasons" }
                p { "Error codes and messages as the service gave them, with " code { "…" } " in place of everything that may be an identifier." }
                (table("Reasons", &["Outcome", "#Rows", "Error code", "Message"], &html! {
                    @for reason in self.reasons.iter().take(MOST_ROWS) {
                        tr {
                            td class="t" { (swatch(&class_of(reason.outcome))) (reason.outcome.describe().0) }
                            td class="n" { (HumanCount(reason.rows)) }
                            td { code { (cut(&reason.code)) } }
                            td { (cut(&reason.message)) }
                        }
                    }
                    (others(self.reasons.len(), 4))
                }))
            }
        }
    }

    pub(super) fn pools_table(&self) -> Markup {
        let outcomes: Vec<_> = self.rows.present().map(|(outcome, _)| outcome).collect();
        let names = outcomes
            .iter()
            .map(|outcome| format!("#{}", outcome.describe().0));
        let names: Vec<_> = names.collect();
        let mut columns = vec!["Region", "Identity pool", "#Rows"];
        columns.extend(names.iter().map(String::as_str));
        let cells = |rows: &Counts| {
            html! {
                td class="n" { (HumanCount(rows.all())) }
                @for outcome in &outcomes {
                    td class="n" { (HumanCount(rows.of(*outcome))) }
                }
            }
        };
        let regions = self.regions();
        html! {
            h2 { "Pools" }
            (table("Pools", &columns, &html! {
                @for pool in self.pools.iter().take(MOST_ROWS) {
                    tr {
                        td class="t" { (region_of(&pool.id)) }
                        td {
                            @if pool.id.is_empty() { "other rows, such as invalid ones" } @else { code { (pool.id) } }
                        }
                        (cells(&pool.rows))
                    }
                }
                (others(self.pools.len(), columns.len()))
                @if regions.len() > 1 {
                    @for (region, rows) in &regions {
                        tr {
                            td class="t" { @if region.is_empty() { "none" } @else { (region) } }
                            td class="soft" { "all pools" }
                            (cells(rows))
                        }
                    }
                }
            }))
        }
    }

    pub(super) fn runs_table(&self) -> Markup {
        let hidden = self.runs.len().saturating_sub(MOST_ROWS);
        html! {
            h2 { "Runs" }
            (table("Runs", &["Run", "Began (UTC)", "Took", "End", "#Rows settled", "#Calls",
                "#Throttled", "#Repeated", "#Calls/s", "Account", "Caller"], &html! {
                @for run in self.runs.iter().skip(hidden) {
                    @let log = run.notes.as_ref();
                    @let ended = log.and_then(|log| log.ended.as_ref());
                    @let calls = ended.map_or(run.calls, |ended| ended.calls);
                    tr {
                        td { code { (cut(&run.id)) } }
                        td class="t" { (shown_time(run.began())) }
                        td class="t" { @if let Some(length) = run.length() { (spoken(length)) } }
                        td { (cut(&run.end())) }
                        td class="n" { (HumanCount(run.lines.all())) }
                        td class="n" { (HumanCount(calls)) }
                        td class="n" { @match ended { Some(ended) => (HumanCount(ended.throttled)), None => "?" } }
                        td class="n" { (HumanCount(ended.map_or(run.repeated, |ended| ended.repeated))) }
                        td class="n" { @if let Some(length) = run.length().filter(|length| length.as_secs_f64() > 0.0) { (format!("{:.1}", calls as f64 / length.as_secs_f64())) } }
                        td class="t" { (log.map_or("", |log| ended.and_then(|ended| ended.account.as_deref()).or(log.began.account.as_deref()).unwrap_or("not looked up"))) }
                        td { @if let Some(arn) = log.and_then(|log| log.began.caller.as_deref()) { code { (cut(arn)) } } }
                    }
                }
                @if hidden > 0 {
                    tr { td class="soft" colspan="11" { (HumanCount(hidden as u64)) " earlier runs" } }
                }
            }))
            @for run in self.runs.iter().skip(hidden) {
                @if let Some(message) = run.notes.as_ref().and_then(|log| log.ended.as_ref()).and_then(|ended| ended.message.as_deref()) {
                    p class="lead" { code { (cut(&run.id)) } " " (cut(message)) }
                }
            }
        }
    }

    pub(super) fn files_table(&self) -> Markup {
        html! {
            h2 { "Results" }
            (table("Results", &["File", "#Lines", "#Bytes", "SHA-256 of its whole lines"], &html! {
                @for file in self.files.iter().take(MOST_ROWS) {
                    tr {
                        td { (cut(&file.name)) }
                        td class="n" { (HumanCount(file.lines)) }
                        td class="n" { (HumanCount(file.size)) }
                        td { code { (file.sha256.as_deref().unwrap_or_default()) } }
                    }
                }
                (others(self.files.len(), 4))
            }))
            @if self.replaced() > 0 {
                p { (HumanCount(self.replaced())) " lines are of rows that were tried again. The last line of a row counts." }
            }
        }
    }
}
