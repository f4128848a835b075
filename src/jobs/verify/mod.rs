//! `verify`: looks up afterwards whether the links of a results file are really gone, and changes nothing.
//!
//! ```text
//! results → selection (rows in doubt, a sample of those done) → controls → look-ups → record → statement
//! ```

mod bound;
mod job;
mod outcome;
mod run;
mod selection;
mod statement;
mod still_linked;

pub use outcome::VerifyOutcome;
pub use run::open;
