//! Rows as the parsers of the formats find them.

use crate::row::{Carried, Link, RowError};

/// A row as the parser of its format finds it, before options fill its fields and the rules for values apply.
#[derive(Clone)]
pub(crate) struct ParsedRow {
    pub(crate) link: Link,
    /// One value for each `--carry`.
    pub(crate) carried: Vec<Carried>,
    /// The first rule of the format that the row breaks.
    pub(crate) error: Option<RowError>,
}
