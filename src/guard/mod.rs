//! Guards before a call: the account, the pools, the operator's confirmation, the hold lists.

pub mod account;
mod admitted_lookups;
pub mod allowed;
pub mod confirm;
mod controls;
pub mod hold;
mod pool_checks;

pub use admitted_lookups::{AdmittedLookups, retried};
pub use allowed::Allowed;
pub use controls::{Controls, Meaning, NO_ACCESS};
pub use pool_checks::{PoolChecked, PoolChecks, settle_provider};
