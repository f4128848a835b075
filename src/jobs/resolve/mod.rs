//! `resolve`: finds the identity of each user, or the users of each identity, and changes nothing.
//!
//! Links go to one file, an input of `run`; rows without a link go to another, with the reason.

mod job;
mod line;
mod outcome;
mod run;
mod summary;

pub use run::open;
