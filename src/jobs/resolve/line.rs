//! The record of a row: its links, or the reason why it has none.

use super::outcome::ResolveOutcome;
use crate::results::{AskedBy, FoundLink, Layout, Line, RowLinks};
use crate::row::{Carried, MemoryReservation, RowKey, SourceText};

/// The record of a row.
#[derive(Debug)]
pub struct ResolvedLine {
    /// Its outcome.
    pub(super) outcome: ResolveOutcome,
    /// Its key; an invalid row has none.
    pub(super) key: Option<RowKey>,
    /// The links that no earlier row has found, and the fields by which they were.
    pub(super) links: Option<(AskedBy, Vec<FoundLink>)>,
    /// Values of the carried columns.
    pub(super) carried: Vec<Carried>,
    /// The row as it stood, for the file of rows without links.
    pub(super) text: Option<SourceText>,
    /// A sentence about the outcome, or nothing.
    pub(super) detail: String,
    /// Memory that a large row takes until its line is written.
    pub(super) memory: Option<MemoryReservation>,
}

impl Line for ResolvedLine {
    type Outcome = ResolveOutcome;

    fn outcome(&self) -> ResolveOutcome {
        self.outcome
    }

    fn key(&self) -> Option<RowKey> {
        self.key
    }

    fn is_near_hold(&self) -> bool {
        false
    }

    fn is_large(&self) -> bool {
        self.memory.is_some()
    }

    fn write<'a>(lines: impl Iterator<Item = &'a Self>, layout: &Layout, into: &mut Vec<u8>) {
        let rows = lines.filter_map(|line| {
            let (asked_by, found) = line.links.as_ref()?;
            Some(RowLinks {
                asked_by: *asked_by,
                links: found,
                carried: &line.carried,
            })
        });
        layout.write_links(rows, into);
    }

    fn write_unresolved<'a>(lines: impl Iterator<Item = &'a Self>, into: &mut Vec<u8>) {
        for line in lines {
            if let (ResolveOutcome::Unresolved(reason), Some(text)) = (line.outcome, &line.text) {
                text.write(&[reason.as_str(), &line.detail], into);
            }
        }
    }
}
