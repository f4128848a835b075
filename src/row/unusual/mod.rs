//! Unusual values: what a spreadsheet, a database or a script left in place of an identifier.
//!
//! The service accepts any text as a user identifier and answers for a wrong one that it is not linked, so a mangled list would
//! look like completed work. A value that [`UnusualPolicy`] rejects is therefore not sent, unless `--as-is` allows its kind.

mod detect;
mod kind;
mod policy;
#[cfg(test)]
mod tests;

pub use self::kind::UnusualKind;
pub use self::policy::{UnusualKinds, UnusualPolicy};
