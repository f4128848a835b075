//! The lines of a resolve: one for each link that was found. A row has as many lines as it has links, and they are appended together.

use std::borrow::Cow;
use std::fmt;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use super::entry_lines::{CarriedValue, present};
use super::format::{Edition, Format, csv_writer};
use super::line::Layout;
use super::recorded_line::LineReader;
use crate::row::{Carried, Field, Keyer, Link, RowKey};

const ASKED_BY_COLUMN: usize = 4;
const LINKS_COLUMN: usize = 5;

/// Value of the column `held` for a user on a hold list.
const HELD: &str = "yes";

/// The fields by which a row was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// The user; the identity was found.
    User,
    /// The identity; its users were found.
    Identity,
    /// The identity and the user.
    Both,
}

impl AskedBy {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::User, Self::Identity, Self::Both];

    /// Returns the fields by which a row is asked for; `None` if it has neither an identity nor a user.
    #[must_use]
    pub fn of(row: &Link) -> Option<Self> {
        let has = |field| !row.get(field).is_empty();
        match (has(Field::IdentityId), has(Field::DeveloperUserIdentifier)) {
            (false, true) => Some(Self::User),
            (true, false) => Some(Self::Identity),
            (true, true) => Some(Self::Both),
            (false, false) => None,
        }
    }

    /// Returns the name in the column `asked_by`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Identity => "identity",
            Self::Both => "both",
        }
    }

    /// Returns the key of the row that was asked for, by the fields of a link that was found.
    fn key(self, keyer: &Keyer, link: [&[u8]; 4]) -> RowKey {
        let [identity, pool, _, user] = link;
        match self {
            Self::User => keyer.lookup_key([b"", pool, b"", user]),
            Self::Identity => keyer.lookup_key([identity, pool, b"", b""]),
            Self::Both => keyer.lookup_key(link),
        }
    }
}

impl fmt::Display for AskedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A link that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundLink {
    /// The link.
    pub link: Link,
    /// Its user is on a hold list.
    pub is_held: bool,
}

/// The links of a row that go to the results.
#[derive(Debug, Clone, Copy)]
pub struct RowLinks<'a> {
    /// The fields by which the row was asked for.
    pub asked_by: AskedBy,
    /// All its links. Their number is on each of their lines.
    pub links: &'a [FoundLink],
    /// Values of the carried columns.
    pub carried: &'a [Carried],
}

impl Layout {
    /// Appends the lines of these rows to `lines`.
    pub fn write_links<'a>(
        &self,
        rows: impl IntoIterator<Item = RowLinks<'a>>,
        lines: &mut Vec<u8>,
    ) {
        match self.format {
            Format::Csv | Format::SpreadsheetCsv => {
                let mut writer = csv_writer(lines);
                for row in rows {
                    for found in row.links {
                        self.write_csv_link(row, found, &mut writer)
                            .expect("memory takes any record");
                    }
                }
            }
            Format::Jsonl => {
                for row in rows {
                    for found in row.links {
                        let line = JsonLink {
                            row,
                            found,
                            layout: self,
                        };
                        serde_json::to_writer(&mut *lines, &line).expect("memory takes any line");
                        lines.push(b'\n');
                    }
                }
            }
        }
    }

    fn write_csv_link(
        &self,
        row: RowLinks<'_>,
        found: &FoundLink,
        writer: &mut csv::Writer<&mut Vec<u8>>,
    ) -> csv::Result<()> {
        for field in Field::ALL {
            writer.write_field(&*self.format.cell(found.link.get(field)))?;
        }
        writer.write_field(row.asked_by.as_str())?;
        writer.write_field(row.links.len().to_string())?;
        writer.write_field(if found.is_held { HELD } else { "" })?;
        for carried in row.carried {
            writer.write_field(&*self.format.cell(carried.as_cell()))?;
        }
        writer.write_record(None::<&[u8]>)
    }
}

/// A link as a JSON object: the columns of a CSV file in the same order, empty ones null.
struct JsonLink<'a> {
    row: RowLinks<'a>,
    found: &'a FoundLink,
    layout: &'a Layout,
}

impl Serialize for JsonLink<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { row, found, layout } = self;
        let mut map = serializer.serialize_map(None)?;
        for field in Field::ALL {
            map.serialize_entry(field.name(), &present(found.link.get(field)))?;
        }
        map.serialize_entry("asked_by", row.asked_by.as_str())?;
        map.serialize_entry("links", &row.links.len())?;
        map.serialize_entry("held", &found.is_held.then_some(HELD))?;
        for (name, carried) in layout.carry.iter().zip(row.carried) {
            map.serialize_entry(name, &CarriedValue(carried))?;
        }
        map.end()
    }
}

/// Reads the lines of a resolve.
#[derive(Clone, Copy)]
pub(super) struct LinkReader<'a> {
    pub(super) keyer: &'a Keyer,
}

/// The part of a link's line that the next run needs.
pub(super) struct RecordedLink {
    /// Key of the row that was asked for.
    pub(super) row: RowKey,
    /// Key of the link.
    pub(super) link: RowKey,
    /// The number of lines that the row has.
    pub(super) links: u32,
    /// Offset of the line in the file, in bytes.
    pub(super) offset: u64,
}

impl LinkReader<'_> {
    fn recorded(
        self,
        link: [&[u8]; 4],
        asked_by: &[u8],
        links: u32,
        offset: u64,
    ) -> Option<RecordedLink> {
        let mut all = AskedBy::ALL.into_iter();
        let asked_by = all.find(|by| by.as_str().as_bytes() == asked_by)?;
        (links > 0).then(|| RecordedLink {
            row: asked_by.key(self.keyer, link),
            link: self.keyer.key_of(link),
            links,
            offset,
        })
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
    asked_by: Cow<'a, str>,
    links: u32,
}

impl LineReader for LinkReader<'_> {
    const EDITIONS: &'static [Edition] = &[Edition::Resolved];
    const OPTION: &'static str = "--out";
    type Line<'l> = RecordedLink;

    fn of_record(
        &self,
        record: &csv::ByteRecord,
        format: Format,
        offset: u64,
    ) -> Option<RecordedLink> {
        let cell = |column| record.get(column).unwrap_or_default();
        let fields = [0, 1, 2, 3].map(|column| format.plain(cell(column)));
        let links = str::from_utf8(cell(LINKS_COLUMN)).ok()?.parse().ok()?;
        self.recorded(fields, cell(ASKED_BY_COLUMN), links, offset)
    }

    fn of_json(&self, line: &[u8], offset: u64) -> Option<RecordedLink> {
        let line: JsonLine<'_> = serde_json::from_slice(line).ok()?;
        // In the order of `Field::ALL`.
        let fields = [
            &line.identity_id,
            &line.identity_pool_id,
            &line.developer_provider_name,
            &line.developer_user_identifier,
        ];
        let fields = fields.map(|field| field.as_deref().unwrap_or_default().as_bytes());
        self.recorded(fields, line.asked_by.as_bytes(), line.links, offset)
    }
}
