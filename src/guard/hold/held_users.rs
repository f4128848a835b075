//! The users that one file holds, and the merge of a new reading into them.

use std::sync::Arc;

use super::hash::{Hold, LineHash, UserHashes};
use super::list::{LineMarks, List};

/// Lines that are sorted at a time when a file is read again: 4 MB. A second copy of the whole list would take twice its memory.
const BATCH: usize = 1 << 18;
/// Room for lines in a batch of which only a few are expected.
const SMALL_BATCH: usize = 64;
/// Upper bound on the lines of a merged list, which for a moment exists beside its parts.
const MAX_MERGED: usize = 1 << 20;

/// The users that one file holds: the list of the first reading, and lists of lines added since. No two hold the same line.
#[derive(Debug, Clone, Default)]
pub(super) struct HeldUsers {
    lists: Vec<Arc<List>>,
    /// A line of the file is, or was, hashed.
    hashed: bool,
}

impl HeldUsers {
    pub(super) fn new(list: List, hashed: bool) -> Self {
        Self {
            lists: vec![Arc::new(list)],
            hashed,
        }
    }

    /// Returns the hold on the user, if there is one.
    pub(super) fn hold(&self, user: &UserHashes) -> Option<Hold> {
        let lists = self.lists.iter();
        lists
            .filter_map(|list| list.find(user, self.hashed, |_| {}))
            .max()
    }

    /// Returns the list of the first reading, and whether it may have hashed lines.
    pub(super) fn first_list(&self) -> Option<(Arc<List>, bool)> {
        let list = self.lists.first()?;
        Some((Arc::clone(list), self.hashed))
    }

    pub(super) fn len(&self) -> usize {
        self.lists.iter().map(|list| list.len()).sum()
    }

    /// Adds the new lines of a reading.
    pub(super) fn add(&mut self, added: Vec<List>, hashed: bool) {
        self.hashed |= hashed;
        for list in added {
            self.add_list(list);
        }
    }

    /// Adds lines of which none is held yet. Lists of similar length are merged, so that there are few lists and each line is
    /// copied only a few times.
    fn add_list(&mut self, list: List) {
        let mut list = Arc::new(list);
        while let Some(last) = self.lists.pop() {
            if last.len() > list.len() * 2 || last.len() + list.len() > MAX_MERGED {
                self.lists.push(last);
                break;
            }
            list = Arc::new(last.merged_with(&list));
        }
        self.lists.push(list);
    }
}

/// Collects the lines of a new reading, and separates those that are held already from new ones.
pub(super) struct Comparison<'a> {
    held: &'a HeldUsers,
    /// The lines of each held list that were found again.
    marks: Vec<LineMarks>,
    batch: Vec<LineHash>,
    first: Option<LineHash>,
    /// New lines, in lists of which no two hold the same.
    added: Vec<List>,
}

/// The result of a [`Comparison`].
pub(super) struct Compared {
    /// The first line of the reading.
    pub(super) first: Option<LineHash>,
    /// Held lines that were found again.
    pub(super) found_again: usize,
    /// New lines, in lists of which no two hold the same.
    pub(super) added: Vec<List>,
}

impl<'a> Comparison<'a> {
    pub(super) fn with(held: &'a HeldUsers) -> Self {
        Self {
            held,
            marks: held
                .lists
                .iter()
                .map(|list| LineMarks::none_of(list))
                .collect(),
            batch: Vec::new(),
            first: None,
            added: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, hash: LineHash) {
        self.first.get_or_insert(hash);
        if self.batch.len() == self.batch.capacity() {
            // The file has gained a few lines, or it is read from the start.
            let room = if self.batch.is_empty() {
                SMALL_BATCH
            } else {
                BATCH
            };
            self.batch.reserve_exact(room - self.batch.len());
        }
        self.batch.push(hash);
        if self.batch.len() == BATCH {
            self.compare_batch();
        }
    }

    fn compare_batch(&mut self) {
        let mut batch = List::of(std::mem::take(&mut self.batch));
        for (list, marks) in self.held.lists.iter().zip(&self.marks) {
            marks.mark_common(list, &batch);
            batch.subtract(list);
        }
        for list in &self.added {
            batch.subtract(list);
        }
        if batch.len() > 0 {
            self.added.push(batch.clone());
        }
        // The memory is reused: the allocator keeps some of every freed batch, which would add up.
        self.batch = batch.into_buffer();
    }

    pub(super) fn finish(mut self) -> Compared {
        self.compare_batch();
        Compared {
            first: self.first,
            found_again: self.marks.iter().map(LineMarks::count).sum(),
            added: self.added,
        }
    }
}
