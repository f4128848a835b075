//! The report for scripts.

use serde_json::{Map, Value, json};

use super::counts::Counts;
use super::figures::{Overview, ReadFile, Run};
use super::verified::Verification;
use crate::jobs::unlink::UnlinkOutcome;
use crate::results::Usage;
use crate::row::region_of;
use crate::terminal::printable_json;
use crate::verdict::Outcome as _;

impl Overview {
    /// Returns the report as one JSON object, on one line.
    pub(super) fn json(&self) -> String {
        let mut report = Map::new();
        report.insert("rows".to_owned(), self.rows.all().into());
        report.extend(by_outcome(&self.rows));
        let rest = json!({
            "left": self.left.number(),
            "left_is_exact": self.left.number().is_some() && !self.left.has_more(),
            "missing_shards": self.missing,
            "near_holds": self.near_holds,
            "last_logins": {"looked": self.last_logins.looked, "lost": self.last_logins.lost},
            "lines": self.lines.all(),
            "lines_by_outcome": by_outcome(&self.lines),
            "lines_replaced": self.replaced(),
            "lines_of_rehearsals": self.local_lines,
            "first_call_at": self.first,
            "last_row_at": self.last,
            "calls": self.calls,
            "repeated_calls": self.repeated,
            "most_calls_per_second": self.busiest.map(|rate| (rate * 10.0).round() / 10.0),
            "pools": self.pools.iter().map(|pool| {
                let mut value = Map::new();
                value.insert("identity_pool_id".to_owned(), pool.id.clone().into());
                value.insert("region".to_owned(), region_of(&pool.id).into());
                value.insert("rows".to_owned(), pool.rows.all().into());
                value.extend(by_outcome(&pool.rows));
                value
            }).collect::<Vec<_>>(),
            "reasons": self.reasons.iter().map(|reason| json!({
                "outcome": reason.outcome.as_str(),
                "error_code": reason.code,
                "error_message": reason.message,
                "rows": reason.rows,
            })).collect::<Vec<_>>(),
            "runs": self.runs.iter().map(run).collect::<Vec<_>>(),
            "files": self.files.iter().map(file).collect::<Vec<_>>(),
            "verification": self.verification.as_ref().map(verification),
            "written": self.written.iter().map(|written| json!({
                "option": written.option,
                "path": written.path.to_string_lossy(),
                "records": written.records,
            })).collect::<Vec<_>>(),
            "notes": self.notes().into_iter().chain(self.left.note()).collect::<Vec<_>>(),
            "next": self.next().map(|(command, _)| command),
            "exit_code": u8::from(!self.is_done()),
        });
        if let Value::Object(rest) = rest {
            report.extend(rest);
        }
        printable_json(&Value::Object(report).to_string())
    }
}

fn verification(verification: &Verification) -> Value {
    let found = verification.found.iter();
    json!({
        "path": verification.path.to_string_lossy(),
        "looked_at": verification.looked_at,
        "of": verification.of,
        "found": found.map(|(name, _, rows)| json!({"outcome": name.replace(' ', "_"), "rows": rows})).collect::<Vec<_>>(),
        "at_most": verification.at_most,
        "seed": verification.seed,
        "from": verification.times.as_ref().map(|(from, _)| from),
        "to": verification.times.as_ref().map(|(_, to)| to),
        "sha256": verification.sha256,
        "statement": verification.statement,
    })
}

fn by_outcome(counts: &Counts) -> Map<String, Value> {
    let all = UnlinkOutcome::ALL.iter();
    all.map(|outcome| (outcome.as_str().to_owned(), counts.of(*outcome).into()))
        .collect()
}

fn run(run: &Run) -> Value {
    let log = run.notes.as_ref();
    let ended = log.and_then(|log| log.ended.as_ref());
    json!({
        "run_id": run.id,
        "lines": run.lines.all(),
        "lines_by_outcome": by_outcome(&run.lines),
        "calls": run.calls,
        "repeated_calls": run.repeated,
        "first_call_at": Some(&run.first).filter(|time| !time.is_empty()),
        "last_row_at": Some(&run.last).filter(|time| !time.is_empty()),
        "seconds": run.length().map(|time| time.as_millis() as f64 / 1000.0),
        "began": log.map(|log| &log.began),
        "ended": ended,
    })
}

fn file(file: &ReadFile) -> Value {
    json!({
        "path": file.name,
        "bytes": file.size,
        "sha256": file.sha256,
        "lines": file.lines,
        "torn_bytes": file.torn,
        "state": match file.usage {
            Usage::AtRest => "at_rest",
            Usage::Locked(_) => "a_run_is_writing",
            Usage::Interrupted(_) => "interrupted",
        },
    })
}
