//! Pages of lists: a list whose last page is missing is not the whole list.

use std::mem;

use crate::row::{RowError, RowErrorCode};

/// Follows the pages of lists that stand one behind the other.
///
/// Only the list that is being read is remembered. It is whole if one of its pages, in whatever order, announces no other.
#[derive(Default)]
pub(super) struct Pages {
    list: Option<List>,
    /// The line of a token whose page does not follow.
    missing: Option<u64>,
}

/// A list of which pages were read.
struct List {
    /// The identity or the pool of the list.
    subject: String,
    /// A page announced no other.
    is_whole: bool,
    /// Line of the last token.
    token_line: Option<u64>,
}

impl Pages {
    /// Begins a page of the list of `subject`.
    pub(super) fn begin(&mut self, subject: &str) {
        if self
            .list
            .as_ref()
            .is_none_or(|list| list.subject != subject)
        {
            self.end_list();
            self.list = Some(List {
                subject: subject.to_owned(),
                is_whole: false,
                token_line: None,
            });
        }
    }

    /// Ends a page. `token_line`: the line of the token that announces another page.
    pub(super) fn end(&mut self, token_line: Option<u64>) {
        if let Some(list) = &mut self.list {
            list.is_whole |= token_line.is_none();
            list.token_line = token_line.or(list.token_line);
        }
    }

    /// Ends the list, because nothing or another list follows.
    pub(super) fn end_list(&mut self) {
        if let Some(list) = self.list.take().filter(|list| !list.is_whole) {
            self.missing = list.token_line;
        }
    }

    /// Returns the line of a token whose page is missing, once.
    pub(super) fn take_missing(&mut self) -> Option<u64> {
        mem::take(&mut self.missing)
    }
}

/// Describes a missing page and the remedy.
pub(super) fn missing_page() -> RowError {
    RowError::new(
        RowErrorCode::MorePages,
        "the list goes on where this token points, and the next page is not in this file; get the pages up to the one without a \
         token, and put all of them into one file, one behind the other",
    )
}
