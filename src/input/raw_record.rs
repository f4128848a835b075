//! The text of a record as the input has it.

/// The text of the last record, kept so that an invalid row can be written to the rejects file as it stood. Does nothing until
/// [`RawRecord::enable`] is called.
#[derive(Default)]
pub(crate) struct RawRecord {
    is_enabled: bool,
    text: Vec<u8>,
    is_parsable: bool,
}

impl RawRecord {
    /// Keeps records from now on.
    pub(crate) fn enable(&mut self) {
        self.is_enabled = true;
    }

    /// Keeps the text of a record, without its line end. `is_parsable`: its fields can be separated.
    pub(crate) fn keep(&mut self, text: &[u8], is_parsable: bool) {
        if self.is_enabled {
            self.text.clear();
            self.text.extend_from_slice(text);
            self.is_parsable = is_parsable;
        }
    }

    /// Puts members in front of those of the record, if it is a JSON object.
    pub(crate) fn add_members(&mut self, members: &[String]) {
        let Some(rest) = self.text.strip_prefix(b"{").filter(|_| self.is_enabled) else {
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

    /// Returns the text of the last record; `None` if records are not kept.
    pub(crate) fn text(&self) -> Option<&[u8]> {
        self.is_enabled.then_some(&self.text)
    }

    /// Returns whether the fields of the record can be separated.
    pub(crate) fn is_parsable(&self) -> bool {
        self.is_parsable
    }
}
