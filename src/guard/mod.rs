//! What must be true before a call: account, pools, confirmation, hold lists.

pub mod account;
pub mod confirm;
pub mod hold;
pub mod pool_lookups;
pub mod pools;
