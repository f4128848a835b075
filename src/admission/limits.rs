//! The limits that the operator sets.

use std::num::NonZeroU32;

use super::rate_limit::Rate;

/// The limits of a run.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Highest rate at which calls start, per Region.
    pub rate: Rate,
    /// Tokens that may be saved up.
    pub burst: NonZeroU32,
    /// Most calls in flight, over all Regions.
    pub concurrency: NonZeroU32,
    /// Share of the quota, from 0 to 1, that is left to others once the quota is known.
    pub leave: f64,
}
