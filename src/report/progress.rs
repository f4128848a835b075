//! Shows progress on standard error: a bar on a terminal, a line every half minute elsewhere.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use console::Term;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::drawing::Drawing;
use super::human::{counted, spoken, time_of_day, whole_rate};
use super::messages::{notice, warning};
use super::{NoAnswer, Snapshot};
use crate::admission::{Blocked, CREDENTIALS_PAUSE, Rate};
use crate::pipeline::Tally;
use crate::signal::Stop;
use crate::stderr;
use crate::verdict::Outcome;

/// The form in which progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// A bar, redrawn in place.
    Bar,
    /// A line every 30 seconds.
    Plain,
    /// Nothing.
    None,
}

/// Time between two plain lines.
const BETWEEN_LINES: Duration = Duration::from_secs(30);
/// Answers after which the run warns if most say that there is nothing to unlink.
const JUDGED_ANSWERS: u64 = 100;
/// Rows after which the run warns if most are invalid.
const JUDGED_ROWS: u64 = 1000;
/// Calls in [`RECENT`] that settled no row after which retries are named as the limit.
const JUDGED_RETRIES: u64 = 3;
/// Columns of the bar and the space behind it.
const BAR_COLUMNS: usize = 9;
/// Time over which the present speed is measured.
const RECENT: Duration = Duration::from_secs(20);

/// The size of the job and its limits.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Rows of all inputs, if a plan has counted them.
    pub rows: Option<u64>,
    /// Bytes of all inputs on disk, if all are files.
    pub bytes: Option<u64>,
    /// The part of them that was read.
    pub reading: Arc<Reading>,
    /// Rows to call after which the run stops (`--limit`).
    pub limit: Option<u64>,
    /// Highest rate (`--rate`).
    pub rate: Rate,
    /// Most calls in flight (`--concurrency`).
    pub concurrency: usize,
    /// Time-out of an attempt, which limits how long stopping takes.
    pub timeout: Duration,
}

impl Totals {
    /// Estimates the number of rows from the share of the bytes that was read.
    pub(crate) fn estimate(bytes: u64, reading: &Reading) -> Option<u64> {
        let rows = reading.rows.load(Ordering::Relaxed);
        let read = reading.bytes.load(Ordering::Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate of a number of rows"
        )]
        let estimate = (rows as f64 * (bytes as f64 / read as f64)) as u64;
        (rows > 0 && read > 0).then_some(estimate)
    }
}

/// The part of the inputs that was read, which is ahead of the rows taken from them.
#[derive(Debug, Default)]
pub struct Reading {
    /// Rows.
    pub rows: AtomicU64,
    /// Bytes of these rows in the files on disk.
    pub bytes: AtomicU64,
}

/// Shows a run while it goes on.
#[derive(Debug)]
pub struct Progress {
    style: Style,
    bar: ProgressBar,
    totals: Totals,
    last_line: Duration,
    /// Elapsed time, rows settled and calls made, during [`RECENT`].
    recent: VecDeque<(Duration, u64, u64)>,
    stop: Stop,
    in_vain: Option<Blocked>,
    /// True if the first answers have been judged.
    judged_answers: bool,
    /// True if the first rows have been judged.
    judged_rows: bool,
}

impl Progress {
    /// Creates the progress of a run; shows nothing yet.
    #[must_use]
    pub fn new(style: Style, totals: Totals) -> Self {
        let bar = ProgressBar::hidden();
        if style == Style::Bar && !ProgressDrawTarget::stderr().is_hidden() {
            bar.set_length(0);
            let drawing = Box::new(Drawing::new(stderr::bar));
            bar.set_draw_target(ProgressDrawTarget::term_like_with_hz(drawing, 10));
        }
        let template = "{bar:8} {wide_msg}";
        bar.set_style(
            ProgressStyle::with_template(template)
                .expect("the template is well formed")
                .progress_chars("━╸─"),
        );
        Self {
            style,
            bar,
            totals,
            last_line: Duration::ZERO,
            recent: VecDeque::new(),
            stop: Stop::Go,
            in_vain: None,
            judged_answers: false,
            judged_rows: false,
        }
    }

    /// Shows the run at a moment.
    pub fn update(&mut self, now: &Snapshot) {
        self.remember(now);
        for line in &now.news {
            notice(line);
        }
        if now.stop != self.stop {
            self.stop = now.stop;
            warning(&self.stopping(now));
        }
        if now.in_vain != self.in_vain {
            let text = blocked_message(
                self.in_vain.as_ref(),
                now.in_vain.as_ref(),
                now.no_answer.as_ref(),
            );
            match now.in_vain {
                Some(_) => warning(&text),
                None => notice(&text),
            }
            self.in_vain.clone_from(&now.in_vain);
        }
        self.warn_of_nothing(&now.tally);
        self.warn_of_invalid(&now.tally);
        match self.style {
            Style::None => {}
            Style::Bar => {
                let (done, total) = self.extent(now);
                self.bar.set_length(total.unwrap_or(0).max(1));
                self.bar
                    .set_position(if total.is_some() { done } else { 0 });
                let columns = usize::from(Term::stderr().size().1);
                let columns = columns.saturating_sub(BAR_COLUMNS);
                self.bar.set_message(self.line_within(now, columns));
            }
            Style::Plain => {
                if now.elapsed >= self.last_line + BETWEEN_LINES {
                    self.last_line = now.elapsed;
                    notice(&joined(&self.parts(now)));
                }
            }
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Warns once, after [`JUDGED_ANSWERS`], if most of them say that there is nothing to unlink.
    fn warn_of_nothing(&mut self, tally: &Tally) {
        let answered = tally.settled() - tally.of(Outcome::Invalid) - tally.of(Outcome::Held);
        if self.judged_answers || answered < JUDGED_ANSWERS {
            return;
        }
        self.judged_answers = true;
        let nothing = tally.of(Outcome::NotLinked);
        if nothing * 2 > answered {
            notice(&format!(
                "Warning: {nothing} of the first {answered} answers say that there is nothing to unlink. A wrong pool or \
                 an old export looks like this; --max-not-linked stops a run for it."
            ));
        }
    }

    /// Warns once, after [`JUDGED_ROWS`], if most of them are invalid.
    fn warn_of_invalid(&mut self, tally: &Tally) {
        if self.judged_rows || tally.read < JUDGED_ROWS {
            return;
        }
        self.judged_rows = true;
        let invalid = tally.of(Outcome::Invalid);
        if invalid * 2 > tally.read {
            notice(&format!(
                "Warning: {invalid} of the first {read} rows are invalid. A wrong delimiter, encoding or column looks like \
                 this; see error_message in the results. --max-invalid halts a run for it.",
                read = tally.read
            ));
        }
    }

    fn stopping(&self, now: &Snapshot) -> String {
        match (now.stop, now.in_flight) {
            (Stop::Abort, _) => "Stopping at once.".to_owned(),
            (Stop::Finish, _) => "Time is up: no more rows are begun.".to_owned(),
            (_, 0) => "Stopping.".to_owned(),
            (_, calls) => format!(
                "Stopping: waiting for {} in flight, {} at most. Once more stops at once.",
                counted(calls as u64, "call"),
                spoken(self.totals.timeout)
            ),
        }
    }

    fn remember(&mut self, now: &Snapshot) {
        self.recent
            .push_back((now.elapsed, now.tally.settled(), now.calls));
        while self
            .recent
            .front()
            .is_some_and(|oldest| now.elapsed > oldest.0 + RECENT)
        {
            self.recent.pop_front();
        }
    }

    /// Returns the rows settled and the calls made per second during [`RECENT`].
    fn speed(&self) -> (f64, f64) {
        match (self.recent.front(), self.recent.back()) {
            (Some(from), Some(to)) if to.0 > from.0 => {
                let seconds = to.0.saturating_sub(from.0).as_secs_f64();
                let per_second = |from: u64, to: u64| (to - from) as f64 / seconds;
                (per_second(from.1, to.1), per_second(from.2, to.2))
            }
            _ => (0.0, 0.0),
        }
    }

    /// Returns the rows that are done, and of how many: estimated until all are read, unless a plan has counted them.
    fn extent(&self, now: &Snapshot) -> (u64, Option<u64>) {
        let done = now.tally.settled() + now.tally.known();
        let read = now.tally.read;
        let total = match self.totals.bytes {
            _ if now.all_read => Some(read),
            _ if self.totals.rows.is_some() => self.totals.rows,
            Some(bytes) => Totals::estimate(bytes, &self.totals.reading).map(|rows| rows.max(read)),
            _ => None,
        };
        let uncalled =
            now.tally.known() + now.tally.of(Outcome::Invalid) + now.tally.of(Outcome::Held);
        let limited = self.totals.limit.map(|limit| limit + uncalled);
        match (total, limited) {
            (Some(total), Some(limited)) => (done, Some(total.min(limited))),
            (total, limited) => (done, total.or(limited)),
        }
    }

    /// Returns as many parts of the line as `columns` hold.
    fn line_within(&self, now: &Snapshot, columns: usize) -> String {
        let mut parts = self.parts(now);
        while parts.len() > 1 && joined(&parts).chars().count() > columns {
            parts.pop();
        }
        joined(&parts)
    }

    /// Returns the parts of the line. The least important comes last: a narrow terminal leaves it out.
    fn parts(&self, now: &Snapshot) -> Vec<String> {
        let (done, total) = self.extent(now);
        let (rows_now, calls_now) = self.speed();
        let mut rows = HumanCount(done).to_string();
        if let Some(total) = total {
            let is_known = now.all_read || self.totals.rows.is_some();
            let about = if is_known { "" } else { "~" };
            let _ = write!(rows, " of {about}{}", HumanCount(total));
        }
        let mut parts = vec![rows];
        let is_well = |outcome: &Outcome| {
            !matches!(
                outcome,
                Outcome::Failed | Outcome::InDoubt | Outcome::Invalid
            )
        };
        let rows_of = |outcome| {
            part(
                now.tally.in_all(outcome),
                &outcome.as_str().replace('_', " "),
            )
        };
        let (well, unwell): (Vec<_>, Vec<_>) = Outcome::ALL.into_iter().partition(is_well);
        parts.extend(unwell.into_iter().filter_map(rows_of));
        let left = total.map_or(0, |total| total.saturating_sub(done));
        if left > 0 && rows_now > 0.0 && now.stop == Stop::Go {
            let seconds = (left as f64 / rows_now).min(1e9);
            parts.push(format!("{} left", spoken(Duration::from_secs_f64(seconds))));
        }
        let ceiling = now.throttled_to.map_or(self.totals.rate, Rate::PerSecond);
        let of = match ceiling {
            Rate::Unlimited => String::new(),
            Rate::PerSecond(rate) => {
                let rate = large_rate(rate).unwrap_or_else(|| ceiling.to_string());
                format!(" of {rate}")
            }
        };
        let speed = large_rate(calls_now).unwrap_or_else(|| format!("{calls_now:.1}/s"));
        parts.push(speed + &of);
        parts.extend(self.held_back_by(now).map(str::to_owned));
        parts.push(format!("{} in flight", now.in_flight));
        parts.extend(part(now.tally.skipped, "skipped"));
        parts.extend(well.into_iter().filter_map(rows_of));
        parts
    }

    /// Returns what keeps the run from going faster.
    fn held_back_by(&self, now: &Snapshot) -> Option<&'static str> {
        if now.stop != Stop::Go {
            None
        } else if let Some(blocked) = &now.in_vain {
            Some(match blocked {
                Blocked::Credentials => "limit: credentials",
                Blocked::Outage(_) => "limit: no answer",
                Blocked::RetryAfter(..) => "limit: Retry-After",
            })
        } else if now.all_read && now.queued == 0 {
            None
        } else if now.throttled_to.is_some()
            && now.wanted_in_flight < self.totals.concurrency as f64
        {
            Some("limit: throttling")
        } else if now.in_flight >= self.totals.concurrency {
            Some("limit: latency (see --concurrency)")
        } else if now.queued == 0 {
            Some("limit: input")
        } else if self.calls_settle_nothing(now) {
            Some("limit: retries (see -v)")
        } else {
            Some("limit: rate")
        }
    }

    /// Returns whether calls have ended during [`RECENT`], and none of them has settled a row.
    fn calls_settle_nothing(&self, now: &Snapshot) -> bool {
        self.recent.front().is_some_and(|oldest| {
            let ended = (now.calls - oldest.2).saturating_sub(now.in_flight as u64);
            now.tally.settled() == oldest.1 && ended >= JUDGED_RETRIES
        })
    }
}

/// Returns the message for the moment when no call can succeed from now on, or calls can again.
fn blocked_message(
    before: Option<&Blocked>,
    now: Option<&Blocked>,
    no_answer: Option<&NoAnswer>,
) -> String {
    match (before, now) {
        (_, Some(Blocked::Credentials)) => format!(
            "The AWS credentials have expired. Renew them and this run goes on: they are tried every {}.",
            spoken(CREDENTIALS_PAUSE)
        ),
        (_, Some(Blocked::Outage(region))) => {
            let details = no_answer.map_or(String::new(), |NoAnswer { host, how, .. }| {
                host.as_ref()
                    .map_or_else(|| format!(" ({how})"), |host| format!(" ({host}: {how})"))
            });
            let until = no_answer.and_then(|no_answer| no_answer.until);
            let until = until.map_or(String::new(), |until| {
                format!(" until {}", time_of_day(until, SystemTime::now()))
            });
            format!(
                "No answer from {region}{details}. It is tried again{until}; no row fails for it."
            )
        }
        (_, Some(Blocked::RetryAfter(region, until))) => {
            let left = until.saturating_duration_since(Instant::now());
            format!(
                "{region} asks for a wait (Retry-After): no call goes there for {}, and no row fails for it.",
                spoken(left)
            )
        }
        (Some(Blocked::RetryAfter(region, _)), None) => format!("{region} is called again."),
        (Some(Blocked::Credentials), None) => "The AWS credentials are accepted again.".to_owned(),
        (Some(Blocked::Outage(region)), None) => format!("{region} answers again."),
        (None, None) => String::new(),
    }
}

/// Returns a number of rows with what they are, unless it is zero.
fn part(rows: u64, name: &str) -> Option<String> {
    (rows > 0).then(|| format!("{} {name}", HumanCount(rows)))
}

fn joined(parts: &[String]) -> String {
    parts.join(" · ")
}

/// Returns a rate without decimals, if it is a hundred calls per second or more.
fn large_rate(per_second: f64) -> Option<String> {
    (per_second >= 100.0).then(|| whole_rate(per_second.round()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(rows: Option<u64>, bytes: Option<u64>, rate: Rate) -> Totals {
        Totals {
            rows,
            bytes,
            reading: Arc::new(Reading {
                rows: 100.into(),
                bytes: 1000.into(),
            }),
            limit: None,
            rate,
            concurrency: 16,
            timeout: Duration::ZERO,
        }
    }

    fn shown(totals: Totals) -> Progress {
        Progress::new(Style::None, totals)
    }

    fn snapshot(tally: Tally) -> Snapshot {
        Snapshot {
            tally,
            elapsed: Duration::ZERO,
            calls: 0,
            throttled: 0,
            in_flight: 0,
            wanted_in_flight: 0.0,
            queued: 0,
            throttled_to: None,
            in_vain: None,
            no_answer: None,
            all_read: false,
            stop: Stop::Go,
            news: Vec::new(),
        }
    }

    #[test]
    fn the_total_is_that_of_the_plan_if_there_is_one() {
        let mut tally = Tally::default();
        (tally.read, tally.skipped) = (10, 3);
        let now = snapshot(tally);
        for (rows, bytes, total, text) in [
            (Some(400), Some(2000), Some(400), "3 of 400 "),
            (None, Some(2000), Some(200), "3 of ~200 "),
            (None, None, None, "3 "),
        ] {
            let progress = shown(totals(rows, bytes, Rate::Unlimited));
            assert_eq!(progress.extent(&now), (3, total));
            let line = joined(&progress.parts(&now));
            assert!(line.starts_with(text), "{line}");
        }
    }

    #[test]
    fn a_narrow_terminal_keeps_the_most_important_parts() {
        let mut progress = shown(totals(Some(20_000), None, Rate::PerSecond(10.0)));
        let mut tally = Tally::default();
        (tally.read, tally.skipped) = (9000, 8000);
        let mut now = snapshot(tally);
        for _ in 0..4 {
            now.tally.settle(Outcome::Failed);
            progress.update(&now);
            for _ in 0..9 {
                now.tally.settle(Outcome::Unlinked);
            }
            now.elapsed += Duration::from_secs(1);
            now.calls += 10;
            (now.in_flight, now.queued) = (2, 5);
        }
        progress.update(&now);
        assert_eq!(
            joined(&progress.parts(&now)),
            "8,040 of 20,000 · 4 failed · 20 min 26 s left · 10.0/s of 10/s · limit: rate · 2 in flight · 8,000 skipped · \
             36 unlinked"
        );
        let narrow = "8,040 of 20,000 · 4 failed · 20 min 26 s left";
        for (columns, text) in [
            (0, "8,040 of 20,000"),
            (25, "8,040 of 20,000"),
            (26, "8,040 of 20,000 · 4 failed"),
            (45, narrow),
            (61, narrow),
        ] {
            assert_eq!(progress.line_within(&now, columns), text, "{columns}");
        }
    }

    #[test]
    fn throttling_is_named_if_it_is_the_limit() {
        let progress = shown(totals(None, None, Rate::PerSecond(10.0)));
        let mut now = snapshot(Tally::default());
        (now.throttled_to, now.queued) = (Some(7.5), 1);
        for (wanted, text) in [
            (1.0, "0 · 0.0/s of 7.5/s · limit: throttling · 16 in flight"),
            (
                16.0,
                "0 · 0.0/s of 7.5/s · limit: latency (see --concurrency) · 16 in flight",
            ),
        ] {
            (now.in_flight, now.wanted_in_flight) = (16, wanted);
            assert_eq!(joined(&progress.parts(&now)), text);
        }
    }

    #[test]
    fn an_outage_is_reported_with_host_cause_and_end() {
        let outage = Blocked::Outage("us-east-1".to_owned());
        let at = |text| humantime::parse_rfc3339(text).expect("a time");
        let until = at("2031-05-04T14:35:59Z");
        let mut no_answer = NoAnswer {
            host: Some("localhost:4000".to_owned()),
            how: "connection refused",
            until: Some(until),
        };
        let message = |no_answer: &NoAnswer| blocked_message(None, Some(&outage), Some(no_answer));
        assert_eq!(
            message(&no_answer),
            "No answer from us-east-1 (localhost:4000: connection refused). It is tried again until 2031-05-04 14:35 UTC; no \
             row fails for it."
        );
        (no_answer.host, no_answer.until) = (None, None);
        assert_eq!(
            message(&no_answer),
            "No answer from us-east-1 (connection refused). It is tried again; no row fails for it."
        );
        assert_eq!(time_of_day(until, at("2031-05-04T00:00:00Z")), "14:35 UTC");

        let progress = shown(totals(None, None, Rate::PerSecond(10.0)));
        let mut now = snapshot(Tally::default());
        // All rows are being called, and the rate delays none of them.
        (now.all_read, now.in_vain) = (true, Some(outage));
        assert_eq!(progress.held_back_by(&now), Some("limit: no answer"));
    }

    #[test]
    fn rates_of_a_hundred_and_more_have_no_decimals() {
        for (rate, text) in [
            (99.9, None),
            (100.0, Some("100/s")),
            (1410.95, Some("1,411/s")),
        ] {
            assert_eq!(large_rate(rate).as_deref(), text);
        }
    }

    #[test]
    fn retries_are_named_if_calls_settle_no_row() {
        let mut progress = shown(totals(Some(20), None, Rate::PerSecond(10.0)));
        let mut now = snapshot(Tally::default());
        now.queued = 5;
        progress.update(&now);
        now.elapsed = Duration::from_secs(1);
        for (calls, in_flight, text) in [
            (4, 4, "limit: rate"),
            (6, 4, "limit: rate"),
            (7, 4, "limit: retries (see -v)"),
        ] {
            (now.calls, now.in_flight) = (calls, in_flight);
            progress.update(&now);
            assert_eq!(progress.held_back_by(&now), Some(text), "{calls}");
        }
        now.tally.settle(Outcome::Unlinked);
        progress.update(&now);
        assert_eq!(progress.held_back_by(&now), Some("limit: rate"));
    }
}
