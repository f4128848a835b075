//! The limits that the operator sets.

use std::num::NonZeroU32;

use super::rate_limit::Rate;

/// Calls of a look-up in flight at most, unless rows make them. Doubled, a run of a thousand pools begins sooner and takes more
/// connections from the job's calls.
const LOOK_UPS_IN_FLIGHT: NonZeroU32 = NonZeroU32::new(4).expect("not zero");

/// The limits of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Highest rate at which calls start, per Region and operation.
    pub rate: Rate,
    /// Tokens that may be saved up.
    pub burst: NonZeroU32,
    /// Most calls in flight of each operation that rows call, over all Regions.
    pub concurrency: NonZeroU32,
    /// Share of the quota, from 0 to 1, that is left to others once the quota is known.
    pub leave: f64,
    /// Number of processes that share the rate and the quota.
    pub processes: NonZeroU32,
}

impl Limits {
    /// Returns the limits of one of so many processes: the rate is shared, and the others find their shares of the quota as this one
    /// does.
    #[must_use]
    pub fn shared_by(mut self, processes: NonZeroU32) -> Self {
        self.rate = self.rate.shared_by(processes);
        self.processes = processes;
        self
    }

    /// Returns the most calls in flight of one operation, over all Regions: one that rows call, or a look-up beside them.
    pub(super) fn in_flight(&self, is_of_rows: bool) -> NonZeroU32 {
        if is_of_rows {
            self.concurrency
        } else {
            self.concurrency.min(LOOK_UPS_IN_FLIGHT)
        }
    }
}
