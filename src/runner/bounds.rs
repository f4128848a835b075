//! The bounds of a run, from its settings.

use crate::pipeline::{Bounds, FailureLimit, LimitName, OutcomeLimit};
use crate::settings::Settings;
use crate::verdict::Outcome;

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
        queued: settings.limits.concurrency.get() as usize,
        limit: stop.limit,
        take_for: stop.take_for,
        failure_limits: limits.collect(),
    }
}
