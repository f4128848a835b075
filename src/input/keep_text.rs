//! Keeping the text of rows, so that they can be written to another file.

use std::sync::{Arc, OnceLock};

use crate::row::{csv_line, fold_name, free_name};

/// Keeps the text of each row, so that rows can be written to one file, with columns in front ([`SourceText`](crate::row::SourceText)).
///
/// Clones share the form of the first input that is opened with one of them. Another input must have the same.
#[derive(Debug, Clone)]
pub struct KeepText {
    columns: &'static [&'static str],
    first: Arc<OnceLock<(Arc<str>, TextForm)>>,
}

/// The form of a file that takes rows as an input has them, with columns in front.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TextForm {
    /// CSV with a header.
    Csv {
        /// Delimiter between fields.
        delimiter: u8,
        /// Names of all columns.
        names: Vec<String>,
        /// A line `sep=C` names the delimiter.
        has_separator_line: bool,
    },
    /// JSON lines.
    Jsonl,
}

impl KeepText {
    /// Keeps the text of each row, for a file with these columns in front.
    #[must_use]
    pub fn new(columns: &'static [&'static str]) -> Self {
        Self {
            columns,
            first: Arc::default(),
        }
    }

    /// Returns the names of the columns in front.
    #[must_use]
    pub fn columns(&self) -> &'static [&'static str] {
        self.columns
    }

    /// Returns the form of the file; `None` before an input was opened.
    #[must_use]
    pub fn form(&self) -> Option<&TextForm> {
        self.first.get().map(|(_, form)| form)
    }

    /// Adds an input, and returns the name of the first one if that has another form.
    pub(crate) fn differs_from(&self, input: &Arc<str>, form: &TextForm) -> Option<Arc<str>> {
        let first = self.first.get_or_init(|| (Arc::clone(input), form.clone()));
        (first.1 != *form).then(|| Arc::clone(&first.0))
    }
}

impl TextForm {
    /// Puts columns in front of those of an input in CSV, under names that it does not have itself.
    pub(crate) fn csv(
        columns: &[&str],
        delimiter: u8,
        own: &[String],
        has_separator_line: bool,
    ) -> Self {
        let is_taken = |name: &str| own.iter().any(|own| fold_name(own) == fold_name(name));
        let leading = columns.iter().map(|name| free_name(name, is_taken));
        Self::Csv {
            delimiter,
            names: leading.chain(own.iter().cloned()).collect(),
            has_separator_line,
        }
    }

    /// Returns the text before the first row; none for JSON.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        let Self::Csv {
            delimiter,
            names,
            has_separator_line,
        } = self
        else {
            return Vec::new();
        };
        let header = csv_line(*delimiter, names.iter().map(String::as_bytes));
        if *has_separator_line {
            [b"sep=", &[*delimiter][..], b"\n", &header].concat()
        } else {
            header
        }
    }
}
