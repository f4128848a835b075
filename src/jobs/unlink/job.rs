//! The call of the unlink job, its lines and its bounds.

use std::sync::Arc;
use std::time::SystemTime;

use super::outcome::UnlinkOutcome;
use crate::call::{LastCheck, Unlink};
use crate::operation::Operation;
use crate::pipeline::{Bounds, Job, LimitName, SettledRow};
use crate::results::Entry;
use crate::row::{InvalidRow, MemoryReservation, Row};
use crate::runner;
use crate::settings::Settings;
use crate::verdict::{Outcome as _, Reply};

/// Unlinks through a client.
#[derive(Debug)]
pub struct UnlinkJob<C>(pub C);

impl<C: Unlink> Job for UnlinkJob<C> {
    type Outcome = UnlinkOutcome;
    /// An unlink finds nothing beyond its reply.
    type Found = ();
    type Client = C;
    type Line = Entry<UnlinkOutcome>;
    const OPERATION: Operation = Operation::UnlinkDeveloperIdentity;
    const MARKS: bool = true;

    fn client(&self) -> &C {
        &self.0
    }

    fn call(
        &self,
        _operation: Operation,
        row: &Row,
        _found: &mut (),
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = Reply> + Send {
        self.0.unlink(&row.link, last_check)
    }

    fn line(&self, row: SettledRow<()>) -> Self::Line {
        let outcome = UnlinkOutcome::of(row.end, row.in_doubt);
        row.entry(outcome).0
    }

    fn invalid_line(&self, row: InvalidRow, memory: Option<MemoryReservation>) -> Self::Line {
        Entry::invalid(row, memory, SystemTime::now())
    }
}

/// Returns the bounds of a run with these settings.
#[must_use]
pub fn bounds(settings: &Settings) -> Bounds<UnlinkOutcome> {
    let stop = &settings.stop_rules;
    runner::bounds(
        settings,
        &[
            (
                UnlinkOutcome::Failed,
                LimitName::Failures,
                Some(stop.max_failures),
            ),
            (
                UnlinkOutcome::NotLinked,
                LimitName::NotLinked,
                stop.max_not_linked,
            ),
            (UnlinkOutcome::Invalid, LimitName::Invalid, stop.max_invalid),
        ],
    )
}
