//! Options for reading inputs.

use super::bytes::wait_token::WaitToken;
use super::fill::Fill;
use super::fingerprints::Fingerprints;
use super::format::Format;
use super::keep_text::KeepText;
use super::source::Input;
use crate::objects::Objects;
use crate::row::{Field, Required, Shard, UnusualKinds};

/// Default for the longest record: 1 MiB. Four fields as long as the service allows take less than 10 KiB. Doubled, a reader holds up to
/// 4 MiB instead of 2 MiB of a file without line ends.
pub const MAX_RECORD: usize = 1 << 20;

/// Options for reading inputs.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// `--format`: overrides the format that the name determines.
    pub format: Option<Format>,
    /// `--delimiter`: overrides the format's own delimiter between CSV fields.
    pub delimiter: Option<u8>,
    /// The origin of the names of CSV columns.
    pub header: Header,
    /// `--columns`: the one column of a list.
    pub list_column: Option<String>,
    /// `--map`: columns or keys with other names than their fields.
    pub map: Vec<(Field, String)>,
    /// `--carry`: columns or keys that are copied to the results.
    pub carry: Vec<String>,
    /// Values of fields that a row lacks.
    pub fill: Fill,
    /// The fields that a row must have.
    pub required: Required,
    /// `--as-is`: kinds of unusual values that are sent as they stand.
    pub as_is: UnusualKinds,
    /// `--shard`: the rows of other shards are passed over.
    pub shard: Option<Shard>,
    /// Keeps the text of each row.
    pub keep_text: Option<KeepText>,
    /// The longest record, in bytes without its line end. A reader holds about twice as much at most.
    pub max_record: usize,
    /// Files that are pinned to a content, or whose content is recorded as it is read.
    pub fingerprints: Fingerprints,
    /// The store that objects are read from.
    pub objects: Objects,
    /// Cancels the wait for files that are still being written.
    pub wait: WaitToken,
}

impl ReadOptions {
    /// Returns the bytes of an input that can be read again, as far as they are known without reading it.
    #[must_use]
    pub fn size_of(&self, input: &Input) -> Option<u64> {
        match input {
            Input::Stdin => None,
            Input::File(path) => {
                let metadata = std::fs::metadata(path).ok()?;
                metadata.is_file().then_some(metadata.len())
            }
            Input::Object(uri) => Some(self.objects.version(uri)?.size),
        }
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            format: None,
            delimiter: None,
            header: Header::FromFile,
            list_column: None,
            map: Vec::new(),
            carry: Vec::new(),
            fill: Fill::default(),
            required: Required::default(),
            as_is: UnusualKinds::default(),
            shard: None,
            keep_text: None,
            max_record: MAX_RECORD,
            fingerprints: Fingerprints::default(),
            objects: Objects::default(),
            wait: WaitToken::default(),
        }
    }
}

/// The origin of the names of CSV columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Header {
    /// The first record of each file.
    FromFile,
    /// `--no-header --columns`: these names; files have no header.
    Columns(Vec<String>),
}
