//! Progress on standard error: a bar on a terminal, a plain line now and then elsewhere.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use console::Term;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::drawing::Drawing;
use super::{counted, notice, spoken, time_of_day, warning, whole_rate};
use crate::admission::{Blocked, CREDENTIALS_PAUSE, Rate};
use crate::jobs::unlink::UnlinkOutcome;
use crate::pipeline::{NoReply, Reading, Snapshot, Tally};
use crate::signal::Stop;
use crate::stderr;
use crate::verdict::Outcome as _;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Redrawn in place.
    Bar,
    /// A line every 30 seconds.
    Plain,
    /// Not at all.
    None,
}

/// From one plain line to the next.
const BETWEEN_LINES: Duration = Duration::from_secs(30);
/// So many answers tell whether the input is what it should be.
const TELLING: u64 = 100;
/// So many rows tell whether the input is read as it should be.
const TELLING_ROWS: u64 = 1000;
/// So many calls that settle no row are no chance.
const TELLING_RETRIES: u64 = 3;
/// Columns that the bar and the space behind it take.
const BEFORE_TEXT: usize = 9;
/// Over which the present speed is measured.
const RECENT: Duration = Duration::from_secs(20);

/// What is known of the size of the job and its bounds.
#[derive(Debug, Clone)]
pub struct Totals {
    /// Rows of all inputs, where a plan has counted them.
    pub rows: Option<u64>,
    /// Bytes of all inputs on disk, if all are files.
    pub bytes: Option<u64>,
    /// How much of them has been read.
    pub reading: Arc<Reading>,
    /// Rows to be called after which the run stops.
    pub limit: Option<u64>,
    /// Ceiling of the rate.
    pub rate: Rate,
    /// Calls in flight at most.
    pub concurrency: usize,
    /// Bound on one attempt, and so on the drain.
    pub timeout: Duration,
}

/// Shows a run while it goes on.
#[derive(Debug)]
pub struct Progress {
    style: Style,
    bar: ProgressBar,
    totals: Totals,
    last_line: Duration,
    /// Elapsed time, rows settled and calls made, lately.
    recent: VecDeque<(Duration, u64, u64)>,
    stop: Stop,
    in_vain: Option<Blocked>,
    /// Whether the first answers have been judged.
    judged: bool,
    /// The same of the first rows.
    first_rows_judged: bool,
}

impl Progress {
    /// Nothing is shown yet.
    ///
    /// # Panics
    /// Never: the bar's template is fixed.
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
            judged: false,
            first_rows_judged: false,
        }
    }

    /// Shows a moment of the run.
    pub fn update(&mut self, now: &Snapshot<UnlinkOutcome>) {
        self.remember(now);
        for line in &now.notices {
            notice(line);
        }
        if now.stop != self.stop {
            self.stop = now.stop;
            warning(&self.stopping(now));
        }
        if now.blocked != self.in_vain {
            let text = in_vain(
                self.in_vain.as_ref(),
                now.blocked.as_ref(),
                now.no_reply.as_ref(),
            );
            match now.blocked {
                Some(_) => warning(&text),
                None => notice(&text),
            }
            self.in_vain.clone_from(&now.blocked);
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
                let columns = columns.saturating_sub(BEFORE_TEXT);
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

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// Warns once, when there are enough answers to tell, if most of them say that there is nothing to unlink.
    fn warn_of_nothing(&mut self, tally: &Tally<UnlinkOutcome>) {
        let answered =
            tally.settled() - tally.of(UnlinkOutcome::Invalid) - tally.of(UnlinkOutcome::Held);
        if self.judged || answered < TELLING {
            return;
        }
        self.judged = true;
        let nothing = tally.of(UnlinkOutcome::NotLinked);
        if nothing * 2 > answered {
            notice(&format!(
                "Warning: {nothing} of the first {answered} answers say that there is nothing to unlink. A wrong pool or \
                 an old export looks like this; --max-not-linked stops a run for it."
            ));
        }
    }

    /// Warns once, when there are enough rows to tell, if most of them are invalid.
    fn warn_of_invalid(&mut self, tally: &Tally<UnlinkOutcome>) {
        if self.first_rows_judged || tally.read < TELLING_ROWS {
            return;
        }
        self.first_rows_judged = true;
        let invalid = tally.of(UnlinkOutcome::Invalid);
        if invalid * 2 > tally.read {
            notice(&format!(
                "Warning: {invalid} of the first {read} rows are invalid. A wrong delimiter, encoding or column looks like \
                 this; see error_message in the results. --max-invalid halts a run for it.",
                read = tally.read
            ));
        }
    }

    fn stopping(&self, now: &Snapshot<UnlinkOutcome>) -> String {
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

    fn remember(&mut self, now: &Snapshot<UnlinkOutcome>) {
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

    /// Rows settled and calls made per second, lately.
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

    /// Rows dealt with, and how many there are: exactly once all are read, before that as far as the bytes tell.
    fn extent(&self, now: &Snapshot<UnlinkOutcome>) -> (u64, Option<u64>) {
        let done = now.tally.settled() + now.tally.known();
        let read = now.tally.read;
        let total = match self.totals.bytes {
            _ if now.all_read => Some(read),
            _ if self.totals.rows.is_some() => self.totals.rows,
            Some(bytes) => Totals::estimate(bytes, &self.totals.reading).map(|rows| rows.max(read)),
            _ => None,
        };
        let uncalled = now.tally.known()
            + now.tally.of(UnlinkOutcome::Invalid)
            + now.tally.of(UnlinkOutcome::Held);
        let limited = self.totals.limit.map(|limit| limit + uncalled);
        match (total, limited) {
            (Some(total), Some(limited)) => (done, Some(total.min(limited))),
            (total, limited) => (done, total.or(limited)),
        }
    }

    /// As much of it as `columns` hold, in whole parts.
    fn line_within(&self, now: &Snapshot<UnlinkOutcome>, columns: usize) -> String {
        let mut parts = self.parts(now);
        while parts.len() > 1 && joined(&parts).chars().count() > columns {
            parts.pop();
        }
        joined(&parts)
    }

    /// What is told of a moment. What matters least comes last: a narrow screen leaves it out.
    fn parts(&self, now: &Snapshot<UnlinkOutcome>) -> Vec<String> {
        let (done, total) = self.extent(now);
        let (rows_now, calls_now) = self.speed();
        let mut rows = HumanCount(done).to_string();
        if let Some(total) = total {
            let is_known = now.all_read || self.totals.rows.is_some();
            let about = if is_known { "" } else { "~" };
            let _ = write!(rows, " of {about}{}", HumanCount(total));
        }
        let mut parts = vec![rows];
        let is_well = |outcome: &UnlinkOutcome| {
            !matches!(
                outcome,
                UnlinkOutcome::Failed | UnlinkOutcome::InDoubt | UnlinkOutcome::Invalid
            )
        };
        let told = |outcome| {
            part(
                now.tally.in_all(outcome),
                &outcome.as_str().replace('_', " "),
            )
        };
        let (well, unwell): (Vec<_>, Vec<_>) =
            UnlinkOutcome::ALL.iter().copied().partition(is_well);
        parts.extend(unwell.into_iter().filter_map(told));
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
        parts.extend(well.into_iter().filter_map(told));
        parts
    }

    /// What keeps the run from going faster.
    fn held_back_by(&self, now: &Snapshot<UnlinkOutcome>) -> Option<&'static str> {
        if now.stop != Stop::Go {
            None
        } else if let Some(vain) = &now.blocked {
            Some(match vain {
                Blocked::Credentials => "limit: credentials",
                Blocked::Region(_) => "limit: no answer",
                Blocked::Asked(..) => "limit: Retry-After",
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

    /// Whether calls have ended lately, and none of them has settled a row.
    fn calls_settle_nothing(&self, now: &Snapshot<UnlinkOutcome>) -> bool {
        self.recent.front().is_some_and(|oldest| {
            let ended = (now.calls - oldest.2).saturating_sub(now.in_flight as u64);
            now.tally.settled() == oldest.1 && ended >= TELLING_RETRIES
        })
    }
}

/// What is said when calling is in vain from now on, or no more.
fn in_vain(before: Option<&Blocked>, now: Option<&Blocked>, no_reply: Option<&NoReply>) -> String {
    match (before, now) {
        (_, Some(Blocked::Credentials)) => format!(
            "The AWS credentials have expired. Renew them and this run goes on: they are tried every {}.",
            spoken(CREDENTIALS_PAUSE)
        ),
        (_, Some(Blocked::Region(region))) => {
            let who = no_reply.map_or(String::new(), |NoReply { host, how, .. }| {
                host.as_ref()
                    .map_or_else(|| format!(" ({how})"), |host| format!(" ({host}: {how})"))
            });
            let until = no_reply.and_then(|no_reply| no_reply.until);
            let until = until.map_or(String::new(), |until| {
                format!(" until {}", time_of_day(until, SystemTime::now()))
            });
            format!("No answer from {region}{who}. It is tried again{until}; no row fails for it.")
        }
        (_, Some(Blocked::Asked(region, until))) => {
            let left = until.saturating_duration_since(Instant::now());
            format!(
                "{region} asks for a wait (Retry-After): no call goes there for {}, and no row fails for it.",
                spoken(left)
            )
        }
        (Some(Blocked::Asked(region, _)), None) => format!("{region} is called again."),
        (Some(Blocked::Credentials), None) => "The AWS credentials are accepted again.".to_owned(),
        (Some(Blocked::Region(region)), None) => format!("{region} answers again."),
        (None, None) => String::new(),
    }
}

/// A number of rows, where there are some.
fn part(rows: u64, name: &str) -> Option<String> {
    (rows > 0).then(|| format!("{} {name}", HumanCount(rows)))
}

fn joined(parts: &[String]) -> String {
    parts.join(" · ")
}

/// A rate, if only its whole number matters.
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

    fn snapshot(tally: Tally<UnlinkOutcome>) -> Snapshot<UnlinkOutcome> {
        Snapshot {
            tally,
            elapsed: Duration::ZERO,
            calls: 0,
            in_flight: 0,
            wanted_in_flight: 0.0,
            queued: 0,
            throttled_to: None,
            blocked: None,
            no_reply: None,
            all_read: false,
            stop: Stop::Go,
            notices: Vec::new(),
        }
    }

    #[test]
    fn the_total_is_the_plans_where_there_is_one() {
        let mut tally = Tally::default();
        (tally.read, tally.skipped) = (10, 3);
        let now = snapshot(tally);
        for (rows, bytes, total, told) in [
            (Some(400), Some(2000), Some(400), "3 of 400 "),
            (None, Some(2000), Some(200), "3 of ~200 "),
            (None, None, None, "3 "),
        ] {
            let progress = shown(totals(rows, bytes, Rate::Unlimited));
            assert_eq!(progress.extent(&now), (3, total));
            let line = joined(&progress.parts(&now));
            assert!(line.starts_with(told), "{line}");
        }
    }

    #[test]
    fn what_matters_most_leads_the_line() {
        let mut progress = shown(totals(Some(20_000), None, Rate::PerSecond(10.0)));
        let mut tally = Tally::default();
        (tally.read, tally.skipped) = (9000, 8000);
        let mut now = snapshot(tally);
        for _ in 0..4 {
            now.tally.settle(UnlinkOutcome::Failed);
            progress.update(&now);
            for _ in 0..9 {
                now.tally.settle(UnlinkOutcome::Unlinked);
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
        for (columns, told) in [
            (0, "8,040 of 20,000"),
            (25, "8,040 of 20,000"),
            (26, "8,040 of 20,000 · 4 failed"),
            (45, narrow),
            (61, narrow),
        ] {
            assert_eq!(progress.line_within(&now, columns), told, "{columns}");
        }
    }

    #[test]
    fn throttling_is_told_where_it_binds() {
        let progress = shown(totals(None, None, Rate::PerSecond(10.0)));
        let mut now = snapshot(Tally::default());
        (now.throttled_to, now.queued) = (Some(7.5), 1);
        for (wanted, told) in [
            (1.0, "0 · 0.0/s of 7.5/s · limit: throttling · 16 in flight"),
            (
                16.0,
                "0 · 0.0/s of 7.5/s · limit: latency (see --concurrency) · 16 in flight",
            ),
        ] {
            (now.in_flight, now.wanted_in_flight) = (16, wanted);
            assert_eq!(joined(&progress.parts(&now)), told);
        }
    }

    #[test]
    fn who_does_not_answer_is_told_with_how_and_until_when() {
        let vain = Blocked::Region("us-east-1".to_owned());
        let at = |text| humantime::parse_rfc3339(text).expect("a time");
        let until = at("2031-05-04T14:35:59Z");
        let mut no_reply = NoReply {
            host: Some("localhost:4000".to_owned()),
            how: "connection refused",
            until: Some(until),
        };
        let told = |no_reply: &NoReply| in_vain(None, Some(&vain), Some(no_reply));
        assert_eq!(
            told(&no_reply),
            "No answer from us-east-1 (localhost:4000: connection refused). It is tried again until 2031-05-04 14:35 UTC; no \
             row fails for it."
        );
        (no_reply.host, no_reply.until) = (None, None);
        assert_eq!(
            told(&no_reply),
            "No answer from us-east-1 (connection refused). It is tried again; no row fails for it."
        );
        assert_eq!(time_of_day(until, at("2031-05-04T00:00:00Z")), "14:35 UTC");

        let progress = shown(totals(None, None, Rate::PerSecond(10.0)));
        let mut now = snapshot(Tally::default());
        // All rows are at work, and the rate holds none of them back.
        (now.all_read, now.blocked) = (true, Some(vain));
        assert_eq!(progress.held_back_by(&now), Some("limit: no answer"));
    }

    #[test]
    fn rates_from_a_hundred_on_are_whole() {
        for (rate, told) in [
            (99.9, None),
            (100.0, Some("100/s")),
            (1410.95, Some("1,411/s")),
        ] {
            assert_eq!(large_rate(rate).as_deref(), told);
        }
    }

    #[test]
    fn calls_that_settle_nothing_are_not_the_rates_fault() {
        let mut progress = shown(totals(Some(20), None, Rate::PerSecond(10.0)));
        let mut now = snapshot(Tally::default());
        now.queued = 5;
        progress.update(&now);
        now.elapsed = Duration::from_secs(1);
        for (calls, in_flight, told) in [
            (4, 4, "limit: rate"),
            (6, 4, "limit: rate"),
            (7, 4, "limit: retries (see -v)"),
        ] {
            (now.calls, now.in_flight) = (calls, in_flight);
            progress.update(&now);
            assert_eq!(progress.held_back_by(&now), Some(told), "{calls}");
        }
        now.tally.settle(UnlinkOutcome::Unlinked);
        progress.update(&now);
        assert_eq!(progress.held_back_by(&now), Some("limit: rate"));
    }
}
