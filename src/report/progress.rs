//! Shows progress on standard error: a bar on a terminal, a line every half minute elsewhere.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use console::Term;
use indicatif::{HumanCount, ProgressBar};
use tokio::time::Instant;

use super::drawing::new_bar;
use super::human::{counted, spoken, time_of_day, whole_rate};
use super::messages::{notice, warning};
use crate::admission::{Blocked, CREDENTIALS_PAUSE, Rate};
use crate::pipeline::{NoReply, Reading, Snapshot};
use crate::signal::Stop;
use crate::verdict::Outcome;

/// The style of progress.
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
pub(super) const BETWEEN_LINES: Duration = Duration::from_secs(30);
/// Number of calls in [`RECENT`] without a settled row from which retries are shown as the limit.
const JUDGED_RETRIES: u64 = 3;
/// Columns of the bar and the space after it.
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

/// Shows the progress of a run.
#[derive(Debug)]
pub struct Progress {
    style: Style,
    bar: ProgressBar,
    totals: Totals,
    last_line: Duration,
    /// Elapsed time, rows settled and calls made, during [`RECENT`].
    recent: VecDeque<(Duration, u64, u64)>,
    stop: Stop,
    blocked: Option<Blocked>,
}

impl Progress {
    /// Creates the progress of a run; shows nothing yet.
    #[must_use]
    pub fn new(style: Style, totals: Totals) -> Self {
        Self {
            style,
            bar: new_bar(style == Style::Bar),
            totals,
            last_line: Duration::ZERO,
            recent: VecDeque::new(),
            stop: Stop::Go,
            blocked: None,
        }
    }

    /// Shows the run at a moment.
    pub fn update<O: Outcome>(&mut self, now: &Snapshot<O>) {
        self.remember(now);
        for line in &now.notices {
            notice(line);
        }
        if now.stop != self.stop {
            self.stop = now.stop;
            warning(&self.stopping(now));
        }
        if now.blocked != self.blocked {
            let text = blocked_message(
                self.blocked.as_ref(),
                now.blocked.as_ref(),
                now.no_reply.as_ref(),
            );
            match now.blocked {
                Some(_) => warning(&text),
                None => notice(&text),
            }
            self.blocked.clone_from(&now.blocked);
        }
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

    fn stopping<O: Outcome>(&self, now: &Snapshot<O>) -> String {
        match (now.stop, now.in_flight) {
            (Stop::Abort, _) => "Stopping at once.".to_owned(),
            (Stop::Finish, _) => "Time is up: no more rows are begun.".to_owned(),
            (_, 0) => "Stopping.".to_owned(),
            (_, calls) => format!(
                "Stopping: waiting for {} in flight, {} at most. Once more stops at once.",
                counted(calls as u64, "call"),
                spoken(
                    now.drain_timeout
                        .unwrap_or(Duration::MAX)
                        .min(self.totals.timeout)
                )
            ),
        }
    }

    fn remember<O: Outcome>(&mut self, now: &Snapshot<O>) {
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
    fn extent<O: Outcome>(&self, now: &Snapshot<O>) -> (u64, Option<u64>) {
        let done = now.tally.settled() + now.tally.settled_earlier();
        let read = now.tally.read;
        let total = match self.totals.bytes {
            _ if now.all_read => Some(read),
            _ if self.totals.rows.is_some() => self.totals.rows,
            Some(bytes) => Totals::estimate(bytes, &self.totals.reading).map(|rows| rows.max(read)),
            _ => None,
        };
        let uncalled = now.tally.settled_earlier() + now.tally.unsent();
        let limited = self.totals.limit.map(|limit| limit + uncalled);
        match (total, limited) {
            (Some(total), Some(limited)) => (done, Some(total.min(limited))),
            (total, limited) => (done, total.or(limited)),
        }
    }

    /// Returns as many parts of the line as `columns` hold.
    fn line_within<O: Outcome>(&self, now: &Snapshot<O>, columns: usize) -> String {
        let mut parts = self.parts(now);
        while parts.len() > 1 && joined(&parts).chars().count() > columns {
            parts.pop();
        }
        joined(&parts)
    }

    /// Returns the parts of the line. The least important comes last: a narrow terminal leaves it out.
    fn parts<O: Outcome>(&self, now: &Snapshot<O>) -> Vec<String> {
        let (done, total) = self.extent(now);
        let (rows_now, calls_now) = self.speed();
        let mut rows = HumanCount(done).to_string();
        if let Some(total) = total {
            let is_known = now.all_read || self.totals.rows.is_some();
            let about = if is_known { "" } else { "~" };
            let _ = write!(rows, " of {about}{}", HumanCount(total));
        }
        let mut parts = vec![rows];
        let rows_of = |outcome: O| {
            part(
                now.tally.total(outcome),
                &outcome.as_str().replace('_', " "),
            )
        };
        let (undone, rest): (Vec<_>, Vec<_>) = O::ALL
            .iter()
            .copied()
            .partition(|outcome| outcome.standing().is_undone());
        parts.extend(undone.into_iter().filter_map(rows_of));
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
        parts.extend(rest.into_iter().filter_map(rows_of));
        parts
    }

    /// Returns what keeps the run from going faster.
    fn held_back_by<O: Outcome>(&self, now: &Snapshot<O>) -> Option<&'static str> {
        if now.stop != Stop::Go {
            None
        } else if let Some(blocked) = &now.blocked {
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
    fn calls_settle_nothing<O: Outcome>(&self, now: &Snapshot<O>) -> bool {
        self.recent.front().is_some_and(|oldest| {
            let ended = (now.calls - oldest.2).saturating_sub(now.in_flight as u64);
            now.tally.settled() == oldest.1 && ended >= JUDGED_RETRIES
        })
    }
}

/// Returns the message for when calls begin to be blocked, or are no longer blocked.
fn blocked_message(
    before: Option<&Blocked>,
    now: Option<&Blocked>,
    no_reply: Option<&NoReply>,
) -> String {
    match (before, now) {
        (_, Some(Blocked::Credentials)) => format!(
            "The AWS credentials have expired. Renew them and this run goes on: they are tried every {}.",
            spoken(CREDENTIALS_PAUSE)
        ),
        (_, Some(Blocked::Outage(region))) => {
            let details = no_reply.map_or(String::new(), |NoReply { host, fault, .. }| {
                host.as_ref().map_or_else(
                    || format!(" ({fault})"),
                    |host| format!(" ({host}: {fault})"),
                )
            });
            let until = no_reply.and_then(|no_reply| no_reply.until);
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
    use crate::jobs::unlink::UnlinkOutcome;
    use crate::pipeline::Tally;

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
            drain_timeout: None,
            notices: Vec::new(),
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
        let mut no_reply = NoReply {
            host: Some("localhost:4000".to_owned()),
            fault: "connection refused",
            until: Some(until),
        };
        let message = |no_reply: &NoReply| blocked_message(None, Some(&outage), Some(no_reply));
        assert_eq!(
            message(&no_reply),
            "No answer from us-east-1 (localhost:4000: connection refused). It is tried again until 2031-05-04 14:35 UTC; no \
             row fails for it."
        );
        (no_reply.host, no_reply.until) = (None, None);
        assert_eq!(
            message(&no_reply),
            "No answer from us-east-1 (connection refused). It is tried again; no row fails for it."
        );
        assert_eq!(time_of_day(until, at("2031-05-04T00:00:00Z")), "14:35 UTC");

        let progress = shown(totals(None, None, Rate::PerSecond(10.0)));
        let mut now = snapshot(Tally::default());
        // All rows are being called, and the rate delays none of them.
        (now.all_read, now.blocked) = (true, Some(outage));
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
        now.tally.settle(UnlinkOutcome::Unlinked);
        progress.update(&now);
        assert_eq!(progress.held_back_by(&now), Some("limit: rate"));
    }
}
