//! A row: the link that it names, its position in the input, and the key by which a later run recognises it.
//!
//! A [`Link`] passes [`Link::check`] before it becomes a [`Row`]: first the service model's patterns and lengths ([`Field::check`]),
//! then the rules for unusual values ([`UnusualPolicy`]), then one Region for identity and pool. A row that breaks a rule
//! becomes an [`InvalidRow`] with a [`RowError`], which never quotes a value: values are people's.

mod bytes;
mod carried;
mod error;
mod field;
mod id;
mod invisible;
mod key;
mod link;
mod memory_budget;
mod position;
mod rows;
mod shard;
mod source_text;
mod unusual;

pub use self::carried::Carried;
pub use self::error::{RowError, RowErrorCode};
pub use self::field::{Field, fold_name};
pub use self::id::region_of;
pub use self::invisible::is_invisible;
pub use self::key::{Keyer, RowKey};
pub use self::link::{Link, Required, check};
pub use self::memory_budget::{LARGE_ROW_BUDGET, MemoryBudget, MemoryReservation};
pub use self::position::Position;
pub use self::rows::{InvalidRow, Row};
pub use self::shard::Shard;
pub use self::source_text::{MemberNames, SourceText, csv_line, first_member, free_name};
pub use self::unusual::{UnusualKind, UnusualKinds, UnusualPolicy};
