//! Hold lists: files of users who must not be unlinked, whatever the input says, read again whenever they change.
//!
//! A thread polls the files four times a second ([`Holds::watch`]). A call starts only if the last poll began no longer ago than
//! a second plus the time that the poll took; without that allowance, a list that grows faster than it can be read would stop
//! all calls. A file that has only grown is read from where the last reading ended.
//!
//! A line that is added counts at once. A line that is taken out counts at the next run, since a file that is being saved may be
//! empty for a moment. An error that is the same in two polls in a row ends the run; after one poll the file may be half
//! written.
//!
//! A list errs on holding: a row whose user matches a line only in its folded form (`fold`) is not called, and a person must
//! decide.

mod error;
mod files;
mod fingerprint;
mod fold;
mod hash;
mod held_users;
mod holds;
mod line;
mod list;
mod reading;
mod watch;
mod watched_file;

pub use error::HoldError;
pub use files::HoldFiles;
pub use fingerprint::Fingerprint;
pub use hash::{Hold, UserHashes};
pub use holds::Holds;
pub use watch::HoldWatch;

#[cfg(test)]
mod tests;
