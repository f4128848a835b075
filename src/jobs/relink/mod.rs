//! `relink`: links users again to the identities that they were unlinked from.
//!
//! ```text
//! results → selection → question → look-up → link again (the first rows one by one, each seen by a look-up) → record, and results
//! ```

mod job;
mod outcome;
mod question;
mod run;
mod selection;
mod trial;

pub use run::open;
