//! The numbers of an input, in the JSON output and in a saved plan alike: these names are part of both formats.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::input_summary::{InputSummary, PoolRows};
use crate::row::region_of;

/// Numbers of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Counts {
    pub(super) rows: u64,
    pub(super) valid: u64,
    pub(super) invalid: u64,
    pub(super) duplicates: u64,
    pub(super) users_with_several_identities: u64,
    pub(super) already_done: u64,
    pub(super) left: u64,
}

impl Counts {
    pub(super) fn of(input: &InputSummary) -> Self {
        Self {
            rows: input.rows,
            valid: input.valid,
            invalid: input.invalid,
            duplicates: input.repeats.duplicates,
            users_with_several_identities: input.repeats.users,
            already_done: input.already_done,
            left: input.left,
        }
    }
}

/// Numbers of rows of one pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PoolCounts {
    pub(super) identity_pool_id: String,
    pub(super) region: String,
    pub(super) developer_provider_names: BTreeSet<String>,
    pub(super) rows: u64,
    pub(super) left: u64,
}

impl PoolCounts {
    pub(super) fn all(pools: &BTreeMap<String, PoolRows>) -> Vec<Self> {
        let counts = |(id, pool): (&String, &PoolRows)| Self {
            identity_pool_id: id.clone(),
            region: region_of(id).to_owned(),
            developer_provider_names: pool.developer_provider_names.clone(),
            rows: pool.rows,
            left: pool.left,
        };
        pools.iter().map(counts).collect()
    }
}
