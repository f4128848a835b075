//! Counts lines.

use std::collections::HashMap;

use super::counts::Counts;
use super::figures::{Pool, Run};
use super::last_logins::LastLogins;
use super::reasons::Reasons;
use super::timeline::Timeline;
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::{Column, RecordedRow};
use crate::row::{Field, Keyer, RowKey};
use crate::verdict::{NEAR_HOLD, Outcome as _, Standing};

/// Most pools that are told apart; input of a wrong column has as many as rows.
const MAX_POOLS: usize = 1000;
/// Most runs that are told apart.
const MAX_RUNS: usize = 10_000;

/// The counts of lines.
#[derive(Debug, Default)]
pub(super) struct Collection {
    pub(super) rows: Counts,
    pub(super) lines: Counts,
    pub(super) near_holds: u64,
    pub(super) pools: Vec<Pool>,
    pub(super) reasons: Reasons,
    pub(super) runs: Vec<Run>,
    pub(super) timeline: Timeline,
    pub(super) local_lines: u64,
    pub(super) last_logins: LastLogins,
    pools_by_id: HashMap<String, usize>,
    runs_by_id: HashMap<String, usize>,
    /// Places of those of the last line, which are most often those of the next.
    last_pool: usize,
    last_run: usize,
    clock: Clock,
}

impl Collection {
    /// Counts a line as the last one of its row. `has_logins` tells that its file has the column of the logins left.
    pub(super) fn add(&mut self, line: &RecordedRow<'_, UnlinkOutcome>, has_logins: bool) {
        let logins = LastLogins::of(line, has_logins);
        self.last_logins.looked += logins.looked;
        self.last_logins.lost += logins.lost;
        self.lines.count(line.outcome);
        self.rows.count(line.outcome);
        self.near_holds += u64::from(is_near_hold(line));
        let pool = self.pool_of(line);
        self.pools[pool].rows.count(line.outcome);
        if let Some(rows) = self.reasons.of(line) {
            *rows += 1;
        }
        self.local_lines += u64::from(line.is_local());
        let calls: u64 = line.text(Column::Attempts).parse().unwrap_or(0);
        let repeated = calls.saturating_sub(1);
        let finished = line.text(Column::FinishedAt);
        self.add_to_run(line, calls, &finished);
        if let Some(millis) = self.clock.millis(&finished) {
            let bin = self.timeline.at(millis);
            bin.rows.count(line.outcome);
            bin.calls += calls;
            bin.repeated += repeated;
            if let Ok(latency) = line.text(Column::LatencyMs).parse() {
                bin.latencies.push(latency);
            }
        }
    }

    /// Takes a line out of the counts of rows, since a later line replaces it.
    pub(super) fn take_out(&mut self, line: &RecordedRow<'_, UnlinkOutcome>, has_logins: bool) {
        let logins = LastLogins::of(line, has_logins);
        self.last_logins.looked -= logins.looked;
        self.last_logins.lost -= logins.lost;
        self.rows.take_out(line.outcome);
        self.near_holds -= u64::from(is_near_hold(line)).min(self.near_holds);
        let pool = self.pool_of(line);
        self.pools[pool].rows.take_out(line.outcome);
        if let Some(rows) = self.reasons.of(line) {
            *rows = rows.saturating_sub(1);
        }
        if let Some(millis) = self.clock.millis(&line.text(Column::FinishedAt)) {
            self.timeline.at(millis).rows.take_out(line.outcome);
        }
    }

    fn pool_of(&mut self, line: &RecordedRow<'_, UnlinkOutcome>) -> usize {
        let id = line.identity_pool_id();
        let last = self.pools.get(self.last_pool);
        let is_invalid = line.outcome.standing() == Standing::Invalid;
        if last.is_some_and(|pool| pool.id == id) && !is_invalid {
            return self.last_pool;
        }
        // An invalid row may have anything in the column of its pool, a person's name too.
        let is_sound = !is_invalid && Field::IdentityPoolId.check(&id).is_ok();
        let mut id = if is_sound { &*id } else { "" };
        if self.pools.len() >= MAX_POOLS && !self.pools_by_id.contains_key(id) {
            id = "";
        }
        self.last_pool = self.pools_by_id.get(id).copied().unwrap_or_else(|| {
            self.pools.push(Pool {
                id: id.to_owned(),
                ..Pool::default()
            });
            self.pools_by_id.insert(id.to_owned(), self.pools.len() - 1);
            self.pools.len() - 1
        });
        self.last_pool
    }

    fn add_to_run(&mut self, line: &RecordedRow<'_, UnlinkOutcome>, calls: u64, finished: &str) {
        let id = line.text(Column::RunId);
        if self.runs.get(self.last_run).is_none_or(|run| run.id != id) {
            let mut id = &*id;
            if self.runs.len() >= MAX_RUNS && !self.runs_by_id.contains_key(id) {
                id = "";
            }
            self.last_run = self.runs_by_id.get(id).copied().unwrap_or_else(|| {
                self.runs.push(Run {
                    id: id.to_owned(),
                    ..Run::default()
                });
                self.runs_by_id.insert(id.to_owned(), self.runs.len() - 1);
                self.runs.len() - 1
            });
        }
        let run = &mut self.runs[self.last_run];
        run.lines.count(line.outcome);
        run.calls += calls;
        run.repeated += calls.saturating_sub(1);
        // Times of one form sort as text does.
        let started = line.text(Column::StartedAt);
        if !started.is_empty() && (run.first.is_empty() || *started < *run.first) {
            run.first = started.into_owned();
        }
        if *finished > *run.last {
            finished.clone_into(&mut run.last);
        }
    }
}

fn is_near_hold(line: &RecordedRow<'_, UnlinkOutcome>) -> bool {
    line.outcome.standing() == Standing::Held && line.text(Column::ErrorCode) == NEAR_HOLD
}

/// Returns the key of a line's row. Rows without all four fields are different rows if they stood at different places in the input.
pub(super) fn key_of(line: &RecordedRow<'_, UnlinkOutcome>, keyer: &Keyer) -> RowKey {
    let key = line.key(keyer);
    let is_complete = line.outcome.standing() != Standing::Invalid
        || [
            Column::IdentityId,
            Column::IdentityPoolId,
            Column::DeveloperProviderName,
            Column::DeveloperUserIdentifier,
        ]
        .iter()
        .all(|column| !line.text(*column).is_empty());
    if is_complete {
        return key;
    }
    let (source, row) = (line.text(Column::Source), line.text(Column::Row));
    let place = keyer.key_of([b"", source.as_bytes(), row.as_bytes(), b""]);
    RowKey(key.0 ^ place.0)
}

/// Reads times, most of which are within the second of the one before.
#[derive(Debug, Default)]
struct Clock {
    /// A time without its fraction, and its seconds since 1970.
    second: Option<(String, i64)>,
}

/// Length of `2026-11-28T16:31:32`.
const TO_THE_SECOND: usize = 19;

impl Clock {
    /// Returns a time of RFC 3339 in milliseconds since 1970.
    fn millis(&mut self, time: &str) -> Option<i64> {
        let (head, fraction) = time.split_at_checked(TO_THE_SECOND)?;
        let seconds = match &self.second {
            Some((known, seconds)) if known == head => *seconds,
            _ => {
                let parsed = humantime::parse_rfc3339(&format!("{head}Z")).ok()?;
                let since = parsed.duration_since(std::time::UNIX_EPOCH).ok()?;
                let seconds = i64::try_from(since.as_secs()).ok()?;
                self.second = Some((head.to_owned(), seconds));
                seconds
            }
        };
        let millis = fraction.strip_prefix('.').and_then(|rest| rest.get(..3));
        let millis: i64 = millis.and_then(|digits| digits.parse().ok()).unwrap_or(0);
        Some(seconds * 1000 + millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read() {
        let mut clock = Clock::default();
        for (time, millis) in [
            ("1970-01-01T00:00:01.250Z", Some(1250)),
            ("1970-01-01T00:00:01.500Z", Some(1500)),
            ("1970-01-01T00:00:01Z", Some(1000)),
            ("1970-01-02T00:00:00.001Z", Some(86_400_001)),
            ("", None),
            ("yesterday", None),
            ("é970-01-01T00:00:01.250Z", None),
        ] {
            assert_eq!(clock.millis(time), millis, "{time}");
        }
    }
}
