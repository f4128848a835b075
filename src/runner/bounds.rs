//! The bounds of a run, from its settings.

use crate::pipeline::{Bounds, FailureLimit, LimitName, OutcomeLimit};
use crate::settings::Settings;
use crate::verdict::Outcome;

/// Rows that may wait for their first admission, for each call in flight, if they are claimed in a log meanwhile: twice as many as a
/// segment holds. Halved, a fast run waits for claims; doubled, rows wait longer behind each other.
const QUEUED_IN_LOG: usize = 8;

/// Returns the bounds of a run with these settings, and with those of these limits that are set.
#[must_use]
pub fn bounds<O: Outcome>(
    settings: &Settings,
    limits: &[(O, LimitName, Option<FailureLimit>)],
) -> Bounds<O> {
    let stop = &settings.stop_rules;
    let limits = limits.iter().filter_map(|(outcome, name, max)| {
        Some(OutcomeLimit {
            outcome: *outcome,
            max: (*max)?,
            name: *name,
        })
    });
    Bounds {
        open_rows: settings.open_rows,
        queued: queued(settings),
        limit: stop.limit,
        take_for: stop.take_for,
        failure_limits: limits.collect(),
    }
}

/// Returns the number of rows that may wait for their first admission.
fn queued(settings: &Settings) -> usize {
    let concurrency = settings.limits.concurrency.get() as usize;
    match settings.log() {
        None => concurrency,
        Some(_) => concurrency * QUEUED_IN_LOG,
    }
}
