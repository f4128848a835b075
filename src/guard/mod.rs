//! Guards before a call: the account, the pools, the operator's confirmation, the hold lists.

pub mod account;
mod admitted_lookups;
pub mod allowed;
pub mod confirm;
pub mod hold;
mod pool_checks;

pub use admitted_lookups::AdmittedLookups;
pub use allowed::Allowed;
pub use pool_checks::{PoolChecked, PoolChecks, settle_provider};
