//! The side file: a header line and slots of a fixed size, each with a checksum of its own.
//!
//! The header identifies the results that the file belongs to by parts that appending does not change: their length when the
//! run began, and a hash of their last bytes up to that length. A side file that is damaged, cut off or of other results puts
//! every row that is not done in doubt. It is never read as "no row was in flight".

mod header;
mod interrupted_run;
mod lock_holder;
mod slot;

pub(super) use header::{HEADER_BYTES, Header, VERSION, boot_id, hash_of_tail};
pub(super) use interrupted_run::{InterruptedRun, Origin};
pub use lock_holder::LockHolder;
pub(super) use slot::{Mark, MarkState, SLOT_BYTES};

#[cfg(test)]
mod tests;
