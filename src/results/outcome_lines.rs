//! Lines with outcomes, as the next run reads them.

use std::borrow::Cow;

use serde::Deserialize;

use super::format::{Edition, Format};
use super::recorded_line::{LOCAL_RUN_SUFFIX, LineReader};
use crate::row::{Keyer, RowKey};
use crate::verdict::{Outcome, Standing};

/// Columns of the four fields that make the key of a row.
const KEY_COLUMNS: [usize; 4] = [3, 4, 5, 6];
const OUTCOME_COLUMN: usize = 7;
const RUN_ID_COLUMN: usize = 16;

/// Makes rows of lines: by the keys of this run, and the outcomes of its job.
#[derive(Clone, Copy)]
pub(super) struct OutcomeReader<'a> {
    keyer: &'a Keyer,
    /// Returns the standing of the outcome of this name.
    standing_of: fn(&[u8]) -> Option<Standing>,
}

impl<'a> OutcomeReader<'a> {
    /// Reads lines with the outcomes of a job.
    pub(super) fn new<O: Outcome>(keyer: &'a Keyer) -> Self {
        Self {
            keyer,
            standing_of: |name| O::named(name).map(O::standing),
        }
    }
}

/// The part of a line with an outcome that the next run needs.
pub(super) struct RecordedLine<'a> {
    pub(super) key: RowKey,
    pub(super) run_id: Cow<'a, [u8]>,
    pub(super) standing: Standing,
    /// Offset of the line in the file, in bytes.
    pub(super) offset: u64,
}

impl RecordedLine<'_> {
    /// Returns whether the line was appended when the file had this length or more. After a carriage return the CSV reader
    /// counts a line from the line feed before it.
    pub(super) fn follows(&self, length: u64) -> bool {
        self.offset + 1 >= length
    }

    /// Returns whether the line is of a run that called this machine, as a rehearsal does.
    pub(super) fn is_local(&self) -> bool {
        self.run_id.ends_with(LOCAL_RUN_SUFFIX.as_bytes())
    }
}

/// The keys of a line that the next run needs.
#[derive(Deserialize)]
struct JsonLine<'a> {
    #[serde(borrow)]
    identity_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    identity_pool_id: Option<Cow<'a, str>>,
    #[serde(borrow)]
    developer_provider_name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    developer_user_identifier: Option<Cow<'a, str>>,
    #[serde(borrow)]
    outcome: Cow<'a, str>,
    #[serde(borrow)]
    run_id: Cow<'a, str>,
}

impl LineReader for OutcomeReader<'_> {
    const EDITIONS: &'static [Edition] = &Edition::OF_RUN;
    const OPTION: &'static str = "--results";
    type Line<'l> = RecordedLine<'l>;

    fn of_record<'l>(
        &self,
        record: &'l csv::ByteRecord,
        format: Format,
        offset: u64,
    ) -> Option<RecordedLine<'l>> {
        let fields = KEY_COLUMNS.map(|column| format.plain(record.get(column).unwrap_or_default()));
        Some(RecordedLine {
            standing: (self.standing_of)(record.get(OUTCOME_COLUMN)?)?,
            key: self.keyer.key_of(fields),
            run_id: Cow::Borrowed(record.get(RUN_ID_COLUMN).unwrap_or_default()),
            offset,
        })
    }

    fn of_json<'l>(&self, line: &'l [u8], offset: u64) -> Option<RecordedLine<'l>> {
        let line: JsonLine<'l> = serde_json::from_slice(line).ok()?;
        // In the order of `Field::ALL`.
        let fields = [
            &line.identity_id,
            &line.identity_pool_id,
            &line.developer_provider_name,
            &line.developer_user_identifier,
        ];
        let fields = fields.map(|field| field.as_deref().unwrap_or_default().as_bytes());
        Some(RecordedLine {
            standing: (self.standing_of)(line.outcome.as_bytes())?,
            key: self.keyer.key_of(fields),
            run_id: match line.run_id {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            offset,
        })
    }
}
