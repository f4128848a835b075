//! The text of a record as the input has it.

use super::read_options::ReadOptions;

/// The text of the last record, until it is taken for its row. It is empty unless the options request it.
pub(crate) struct RawRecord {
    /// Columns that will be put in front of it.
    columns: Option<&'static [&'static str]>,
    text: Vec<u8>,
    is_parsable: bool,
}

impl RawRecord {
    pub(crate) fn new(options: &ReadOptions) -> Self {
        Self {
            columns: options.keep_text.as_ref().map(super::KeepText::columns),
            text: Vec::new(),
            is_parsable: false,
        }
    }

    /// Returns whether records are kept.
    pub(crate) fn is_enabled(&self) -> bool {
        self.columns.is_some()
    }

    /// Keeps the text of a record, without its line end. `is_parsable`: its fields can be separated.
    pub(crate) fn keep(&mut self, text: &[u8], is_parsable: bool) {
        if self.is_enabled() {
            self.text.clear();
            self.text.extend_from_slice(text);
            self.is_parsable = is_parsable;
        }
    }

    /// Puts members in front of those of the record, if it is a JSON object.
    pub(crate) fn add_members(&mut self, members: &[String]) {
        let Some(rest) = self.text.strip_prefix(b"{").filter(|_| self.is_enabled()) else {
            return;
        };
        if members.is_empty() {
            return;
        }
        let comma = if rest.trim_ascii_start() == b"}" {
            ""
        } else {
            ","
        };
        self.text = [b"{", members.join(",").as_bytes(), comma.as_bytes(), rest].concat();
    }

    /// Takes the last record; `None` if records are not kept.
    pub(crate) fn take(&mut self) -> Option<TakenRecord> {
        Some(TakenRecord {
            columns: self.columns?,
            text: std::mem::take(&mut self.text),
            is_parsable: self.is_parsable,
        })
    }
}

/// The text of a record that was taken for its row.
pub(crate) struct TakenRecord {
    /// Columns that will be put in front of it.
    pub(crate) columns: &'static [&'static str],
    pub(crate) text: Vec<u8>,
    /// Its fields can be separated.
    pub(crate) is_parsable: bool,
}
