//! The lines of a resolve, grouped by the rows that they belong to.

use std::collections::{HashMap, HashSet};

use super::key_set::KeySetBuilder;
use super::link_lines::RecordedLink;
use crate::row::RowKey;

/// Groups the lines of a resolve by the rows that were asked for.
///
/// A row is done if the file has as many lines of it as each of them says, wherever they stand: the file may have been sorted. The
/// lines at the end of the file that belong to a row that is not done do not count: a run was killed while it wrote them.
#[derive(Debug, Default)]
pub(super) struct RowGroups {
    /// Keys of rows that have all their lines.
    pub(super) done: KeySetBuilder,
    /// Keys of the links.
    pub(super) links: HashSet<RowKey>,
    /// The number of lines so far of rows that lack some. A row of which lines were removed is asked for again, and what is found
    /// then is another group, with a number of its own.
    incomplete: HashMap<(RowKey, u32), u32>,
    /// The lines with which the file ends so far.
    last: Option<LastGroup>,
}

/// Lines of a row, one after the other.
#[derive(Debug)]
struct LastGroup {
    /// The row, and the number of its lines.
    id: (RowKey, u32),
    /// Offset of the first line in the file, in bytes.
    offset: u64,
    /// Keys of the links, until the row is known to be done.
    links: Vec<RowKey>,
    is_done: bool,
}

impl RowGroups {
    /// Adds the next line.
    pub(super) fn add(&mut self, line: &RecordedLink) {
        let id = (line.row, line.links);
        let mut group = match self.last.take() {
            Some(last) if last.id == id => last,
            earlier => {
                self.links
                    .extend(earlier.into_iter().flat_map(|group| group.links));
                LastGroup {
                    id,
                    offset: line.offset,
                    links: Vec::new(),
                    is_done: false,
                }
            }
        };
        group.links.push(line.link);
        if !group.is_done {
            let lines = self.incomplete.entry(id).or_default();
            *lines += 1;
            if *lines >= line.links {
                self.incomplete.remove(&id);
                self.done.push(line.row);
                group.is_done = true;
            }
        }
        if group.is_done {
            self.links.extend(group.links.drain(..));
        }
        self.last = Some(group);
    }

    /// Returns the offset at which the file is cut off, if it ends with lines of a row that is not done.
    pub(super) fn end(&self) -> Option<u64> {
        let last = self.last.as_ref().filter(|last| !last.is_done);
        last.map(|last| last.offset)
    }
}
