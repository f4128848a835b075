//! The page: one file without scripts that needs no network.

use std::fmt::Write as _;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indicatif::{HumanBytes, HumanCount};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::blocks::{MOST_ROWS, MOST_TEXT, cut, cut_to, figure, percent, table, tile};
use super::counts::Counts;
use super::figures::{Overview, Run};
use super::plots::{latency_plot, outcomes_plot};
use super::scale::shown_time;
use super::verified::Verification;
use crate::clock;
use crate::report::{counted, paced};
use crate::results::{RunBegan, RunInput};
use crate::verdict::{Outcome as _, Standing};

const STYLE: &str = include_str!("style.css");

/// The first bytes of a page, by which a page of ours is known.
pub(super) const MARK: &str = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"generator\" content=\"cognito-unlink";

/// Runs whose settings are shown.
const MOST_SETTINGS: usize = 4;

impl Overview {
    /// Returns the page.
    pub(super) fn html(&self, verification: Option<&Verification>) -> String {
        let style = STANDARD.encode(Sha256::digest(STYLE));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"
        );
        let timeline = self.drawn_timeline();
        let version = env!("CARGO_PKG_VERSION");
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="generator" content={"cognito-unlink " (version)};
                    meta http-equiv="Content-Security-Policy" content=(policy);
                    meta name="viewport" content="width=device-width,initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    meta name="robots" content="noindex";
                    title { "Unlinking report: " (self.title()) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    main {
                        header {
                            p class="over" { "Report on unlinked developer user identifiers" }
                            h1 { (self.headline()) }
                            p class="lead" { (self.lead()) }
                            @for note in self.notes().into_iter().chain(self.left.note().map(|note| format!("Rows left: {note}."))) {
                                p class="note" { (cut(&note)) }
                            }
                            (self.tiles())
                        }
                        @if let Some(timeline) = &timeline {
                            section class="plots" aria-label="Plots" {
                                (figure("Outcomes over time", "Rows by last outcome, added up. Times are UTC.", &outcomes_plot(timeline)))
                                (figure("Calls over time", "Calls per second. Those that were throttled or got no good answer are repeated.", &self.calls_plot(timeline)))
                                @if let Some(plot) = latency_plot(timeline) {
                                    (figure("Latency over time", "From the request to the answer; waiting for the rate is not counted.", &plot))
                                }
                                @if self.undone() > 0 {
                                    (figure("Why rows are not done", "Rows by outcome, error code and message.", &self.bars_plot()))
                                } @else {
                                    (figure("Outcomes by pool", "Rows of each identity pool.", &self.bars_plot()))
                                }
                            }
                        }
                        (self.outcomes_table())
                        (self.reasons_table())
                        (self.pools_table())
                        (self.runs_table())
                        @if let Some(verification) = verification {
                            (self.verification(verification))
                        }
                        (self.settings())
                        (self.files_table())
                        (self.limits(verification.is_some()))
                        footer {
                            "Made by cognito-unlink " (version) " on "
                            (shown_time(&clock::rfc3339_millis(SystemTime::now()).to_string())) " UTC. "
                            "The numbers can be made again from the results with " code { "cognito-unlink report" } "."
                        }
                    }
                }
            }
        };
        page.into_string()
    }

    fn title(&self) -> String {
        let names = self.files.iter().map(|file| {
            let name = file.path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        });
        cut(&names.collect::<Vec<_>>().join(", "))
    }

    /// Returns what was done and what is left, as one sentence.
    fn headline(&self) -> String {
        let (done, rows) = (self.done(), self.rows.all());
        let left = self.left.number().unwrap_or(0);
        let about = if self.left.has_more() {
            "at least "
        } else {
            ""
        };
        let all = rows + left;
        let mut parts = Vec::new();
        for (outcome, number) in self.rows.present() {
            let standing = outcome.standing();
            if standing != Standing::Done {
                let (name, _) = outcome.describe();
                parts.push(format!("{} {name}", HumanCount(number)));
            }
        }
        if left > 0 || self.left.has_more() {
            parts.push(format!("{about}{} not reached yet", HumanCount(left)));
        }
        let rest = match parts.split_last() {
            None => String::new(),
            Some((last, [])) => format!("; {last}"),
            Some((last, head)) => format!("; {} and {last}", head.join(", ")),
        };
        match (rows, done == all && parts.is_empty()) {
            (0, _) => format!("No row is recorded{rest}."),
            (_, true) => format!("All {} are done.", counted(rows, "row")),
            _ => format!(
                "{} of {about}{} are done{rest}.",
                HumanCount(done),
                counted(all, "row")
            ),
        }
    }

    fn lead(&self) -> String {
        let mut text = String::new();
        if let (Some(first), Some(last)) = (&self.first, &self.last) {
            text = format!(
                "From {} to {} UTC, in ",
                shown_time(first),
                shown_time(last)
            );
        }
        let runs = counted(self.runs.len() as u64, "run");
        let pools = self.pools.iter().filter(|pool| !pool.id.is_empty()).count();
        let _ = write!(
            text,
            "{runs}, over {}.",
            counted(pools as u64, "identity pool")
        );
        let unlinked = self.rows.present();
        let done: Vec<_> = unlinked
            .filter(|(outcome, _)| outcome.standing() == Standing::Done)
            .map(|(outcome, rows)| {
                let (name, note) = outcome.describe();
                let note = if note.is_empty() {
                    String::new()
                } else {
                    format!(" ({note})")
                };
                format!("{} {name}{note}", HumanCount(rows))
            })
            .collect();
        if let Some(note) = self.last_logins_note() {
            let _ = write!(text, " {note}.");
        }
        if !done.is_empty() {
            let _ = write!(text, " Of those done: {}.", done.join("; "));
        }
        text
    }

    fn tiles(&self) -> Markup {
        let all = self.rows.all() + self.left.number().unwrap_or(0);
        let share = percent(self.done(), all);
        let attention = self.undone() + self.near_holds;
        let latency = self.median();
        html! {
            ul class="tiles" {
                (tile(if self.is_done() { "good" } else { "" }, &share, "done"))
                (tile(if attention > 0 { "bad" } else { "good" }, &HumanCount(attention).to_string(), "need attention"))
                @match self.left.number() {
                    Some(left) => { (tile("", &HumanCount(left).to_string(), "not reached by any run")) }
                    None => { (tile("", "?", "not reached by any run")) }
                }
                (tile("", &HumanCount(self.calls).to_string(), &format!("calls, {} of them repeated", percent(self.repeated, self.calls))))
                @if let Some(rate) = self.rate() {
                    (tile("", &paced(rate), "calls on average while runs went on"))
                }
                @if let Some(latency) = latency {
                    (tile("", &super::scale::latency(latency), "median latency"))
                }
            }
        }
    }

    /// Returns the calls per second while runs went on.
    fn rate(&self) -> Option<f64> {
        let runs = self.runs.iter().filter(|run| run.calls > 0);
        let seconds: f64 = runs
            .filter_map(Run::length)
            .map(|time| time.as_secs_f64())
            .sum();
        (seconds > 0.0 && self.calls > 0).then(|| self.calls as f64 / seconds)
    }

    fn median(&self) -> Option<f64> {
        let mut all = super::timeline::Latencies::default();
        for (_, bin) in self.timeline.bins() {
            all.add(&bin.latencies);
        }
        all.quantile(0.5)
    }

    fn verification(&self, verification: &Verification) -> Markup {
        let is_of_these = verification.sha256.as_ref().map(|sha256| {
            self.files
                .iter()
                .any(|file| file.sha256.as_ref() == Some(sha256))
        });
        html! {
            h2 { "Verification" }
            @if let Some(statement) = &verification.statement {
                @for line in statement.lines().filter(|line| !line.is_empty()) {
                    p { (line) }
                }
            } @else {
                p { (verification.text()) "." }
            }
            @if is_of_these == Some(false) {
                p class="note" { "The statement is about results of another SHA-256: the results have changed since, or are others." }
            }
            (table("Verification", &["Found", "#Rows", "Meaning"], &html! {
                @for (name, note, rows) in &verification.found {
                    tr {
                        td class="t" { (name) }
                        td class="n" { (HumanCount(*rows)) }
                        td class="soft" { (note) }
                    }
                }
            }))
            dl {
                dt { "Looked at" } dd { (HumanCount(verification.looked_at)) @if let Some(of) = verification.of { " of " (HumanCount(of)) } }
                @if let Some((from, to)) = &verification.times {
                    dt { "When" } dd { (shown_time(from)) " to " (shown_time(to)) " UTC" }
                }
                @if let Some(at_most) = verification.at_most {
                    dt { "May still be linked" } dd { "at most " (HumanCount(at_most)) }
                }
                @if let Some(seed) = verification.seed {
                    dt { "Seed" } dd { (seed) }
                }
                dt { "From" } dd { (cut(&verification.path.to_string_lossy())) }
            }
        }
    }

    fn settings(&self) -> Markup {
        let logged = self.runs.iter().filter_map(|run| run.notes.as_ref());
        let latest: Vec<_> = logged.rev().take(MOST_SETTINGS).collect();
        html! {
            h2 { "How it was run" }
            @if latest.is_empty() {
                p { "There is no log of runs beside the results, so settings, inputs and callers are not known." }
            }
            @for log in latest {
                h3 { "Run " code { (cut(&log.began.run_id)) } }
                dl {
                    dt { "Program" } dd { "cognito-unlink " (cut(&log.began.version)) }
                    dt { "Host" } dd { (cut(&log.began.host)) }
                    @if let Some(endpoint) = &log.began.endpoint {
                        dt { "Endpoint" } dd { (cut(endpoint)) }
                    }
                    dt { "Settings" } dd { (settings_of(&log.began)) }
                    @if let Some(plan) = &log.began.plan {
                        dt { "Plan" } dd { (input(plan)) }
                    }
                    @let inputs = log.ended.as_ref().map_or(&log.began.inputs, |ended| &ended.inputs);
                    @for one in inputs.iter().take(MOST_ROWS) {
                        dt { "Input" } dd { (input(one)) }
                    }
                    @if inputs.len() > MOST_ROWS {
                        dt { "Inputs" } dd { (HumanCount((inputs.len() - MOST_ROWS) as u64)) " more" }
                    }
                }
            }
        }
    }

    fn limits(&self, is_verified: bool) -> Markup {
        html! {
            h2 { "What this does not show" }
            ul class="text" {
                li { "Whether users can sign in, or what other systems hold of them: the call unlinks a developer user identifier from an identity, and does nothing else." }
                @if !is_verified {
                    li { "Whether the links are still gone. " code { "cognito-unlink verify" } " looks them up; this page has no verification." }
                }
                li { "People who were not in the input, and rows that the input had and no run has read." }
                li { "When calls were throttled: the results record how often a row was called, and when it was settled. All calls of a row are drawn where it was settled." }
                li { "Links that were made again after the run, by a sign-in or by hand." }
                @if self.last_logins.looked == 0 {
                    li { "Whether identities lost their last login and became inaccessible: only runs with " code { "--last-login keep" } " look." }
                }
                @if self.lines.of_unsure() > 0 {
                    li { "For rows in doubt or with a lost reply, which call took effect: AWS has not told." }
                }
                @if self.runs.iter().any(|run| run.notes.is_none()) {
                    li { "Settings, callers and ends of runs without a log." }
                }
            }
            h2 { "What still names people, and where" }
            ul class="text" {
                li { "This page names no user and no identity. It names accounts, callers, identity pools, hosts and files." }
                @for file in self.files.iter().take(MOST_ROWS) {
                    li { code { (cut(&file.name)) } ": identities, user identifiers, carried columns and messages of AWS, readable by its owner alone." }
                }
                li { "The inputs that were read, and what they were made from." }
                li { "Files beside the results, while they are there: the verification (" code { ".verified" } "), rows to be corrected (" code { ".remaining" } ", " code { ".invalid" } ")." }
                li { "Redacted results (" code { "--redact" } ") are pseudonymous, not anonymous: who has the key can find people again." }
                li { "AWS CloudTrail records each call with its parameters, for as long as the trail is kept." }
            }
        }
    }
}

impl Counts {
    /// Returns those of whose calls one got no reply.
    fn of_unsure(&self) -> u64 {
        let unsure = self.present().filter(|(outcome, _)| {
            outcome.standing() == Standing::InDoubt || outcome.as_str().contains("lost")
        });
        unsure.map(|(_, rows)| rows).sum()
    }
}

fn input(input: &RunInput) -> Markup {
    html! {
        (cut(&input.name))
        @if let Some(size) = input.size { ", " (HumanBytes(size)) }
        @match &input.sha256 {
            Some(sha256) => { ", SHA-256 " code { (cut(sha256)) } }
            None => { ", not read to its end" }
        }
    }
}

fn settings_of(began: &RunBegan) -> String {
    let settings = began.settings.iter().filter_map(|(name, value)| {
        let text = match value {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Array(values) if values.is_empty() => return None,
            serde_json::Value::Bool(false) => return None,
            other => other.to_string(),
        };
        Some(format!("{name} {text}"))
    });
    cut_to(&settings.collect::<Vec<_>>().join("; "), 4 * MOST_TEXT)
}
