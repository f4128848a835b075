//! The text of a row as its input has it, from which a line of another file is written.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::field::fold_name;

/// The key of a line of JSON that is no object.
const LINE: &str = "line";

/// The text of a row as its input has it. It is written as a line of its own, with other values in front: a reason, say.
///
/// They come first, so that a row with too few or too many fields keeps each of its fields under the column where it stood.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceText {
    text: Box<[u8]>,
    form: Form,
}

#[derive(Clone, PartialEq, Eq)]
enum Form {
    /// The fields of a CSV record with this delimiter.
    Fields(u8),
    /// A text whose fields cannot be separated: one CSV field, so that the rows after it can be read, and so that no part of it
    /// passes for a value before it is corrected.
    OneField(u8),
    /// A line of JSON; a record that was shortened is no object, whatever it looks like.
    Json {
        is_shortened: bool,
        names: Arc<MemberNames>,
    },
}

/// The names of the members in front of a JSON object.
#[derive(Debug, PartialEq, Eq)]
pub struct MemberNames {
    /// The names, unless an object has members of these names itself.
    pub leading: &'static [&'static str],
    /// Names that no other member may have, [folded](fold_name).
    pub taken: Vec<String>,
}

impl fmt::Debug for SourceText {
    /// Leaves the text out, which names people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceText")
            .field("bytes", &self.text.len())
            .finish_non_exhaustive()
    }
}

impl SourceText {
    /// Keeps the fields of a CSV record.
    #[must_use]
    pub fn fields(text: Vec<u8>, delimiter: u8) -> Self {
        Self {
            text: text.into(),
            form: Form::Fields(delimiter),
        }
    }

    /// Keeps a text whose fields cannot be separated.
    #[must_use]
    pub fn one_field(text: Vec<u8>, delimiter: u8) -> Self {
        Self {
            text: text.into(),
            form: Form::OneField(delimiter),
        }
    }

    /// Keeps a JSON object, or a line that should be one.
    #[must_use]
    pub fn json(text: &[u8], is_shortened: bool, names: Arc<MemberNames>) -> Self {
        // An object of a document may be on several lines. No JSON string holds a line end.
        let on_one_line = text.trim_ascii().iter().map(|byte| match byte {
            b'\n' | b'\r' => b' ',
            other => *other,
        });
        Self {
            text: on_one_line.collect(),
            form: Form::Json {
                is_shortened,
                names,
            },
        }
    }

    /// Returns its size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// Appends the row as a whole line, with `values` in front. Without any, it is written as it stood.
    pub fn write(&self, values: &[&str], into: &mut Vec<u8>) {
        match &self.form {
            Form::Fields(delimiter) => {
                let front = csv_line(*delimiter, values.iter().map(|value| value.as_bytes()));
                if let Some(front) = front.strip_suffix(b"\n") {
                    into.extend_from_slice(front);
                    into.push(*delimiter);
                }
                into.extend_from_slice(&self.text);
                into.push(b'\n');
            }
            Form::OneField(delimiter) => {
                let values = values.iter().map(|value| value.as_bytes());
                into.append(&mut csv_line(*delimiter, values.chain([&*self.text])));
            }
            Form::Json {
                is_shortened,
                names,
            } => self.write_json(*is_shortened, names, values, into),
        }
    }

    /// Adds members to an object. A text that is no object becomes the value of a member.
    fn write_json(
        &self,
        is_shortened: bool,
        names: &MemberNames,
        values: &[&str],
        into: &mut Vec<u8>,
    ) {
        let lossy = String::from_utf8_lossy(&self.text);
        let object = serde_json::from_str::<Map<String, Value>>(&lossy).ok();
        let object = object.filter(|_| !is_shortened);
        let is_taken = |name: &str| {
            let name = fold_name(name);
            let mut keys = object.iter().flat_map(Map::keys);
            names.taken.contains(&name) || keys.any(|key| fold_name(key) == name)
        };
        into.push(b'{');
        let mut is_first = true;
        let mut comma = |into: &mut Vec<u8>| {
            if !std::mem::take(&mut is_first) {
                into.push(b',');
            }
        };
        for (name, value) in names.leading.iter().zip(values) {
            comma(into);
            write_member(&free_name(name, is_taken), value, into);
        }
        if let Some(object) = &object {
            if !object.is_empty() {
                comma(into);
            }
            // Its own bytes, whether or not they are UTF-8.
            into.extend_from_slice(&self.text[1..]);
        } else {
            comma(into);
            write_member(&free_name(LINE, is_taken), &lossy, into);
            into.push(b'}');
        }
        into.push(b'\n');
    }

    /// Returns the value that stands first: of a CSV record the first field, of a JSON object the first member. `None` if it is no
    /// string, or if the values cannot be separated.
    #[must_use]
    pub fn first_value(&self) -> Option<String> {
        match &self.form {
            Form::Fields(delimiter) => {
                let mut reader = csv::ReaderBuilder::new()
                    .delimiter(*delimiter)
                    .has_headers(false)
                    .from_reader(&*self.text);
                let mut record = csv::ByteRecord::new();
                reader.read_byte_record(&mut record).ok()?;
                let first = record.get(0)?;
                str::from_utf8(first).ok().map(str::to_owned)
            }
            Form::OneField(_) => None,
            Form::Json { .. } => first_member(&self.text).map(|(_, value)| value),
        }
    }
}

/// Returns the name and the value of the first member of a JSON object, if the value is a string.
#[must_use]
pub fn first_member(object: &[u8]) -> Option<(String, String)> {
    let text = object.trim_ascii_start().strip_prefix(b"{")?;
    let (name, rest) = first_string(text)?;
    let (value, _) = first_string(rest.trim_ascii_start().strip_prefix(b":")?)?;
    Some((name, value))
}

/// Returns the JSON string with which a text begins, and the text after it.
fn first_string(text: &[u8]) -> Option<(String, &[u8])> {
    let mut strings = serde_json::Deserializer::from_slice(text).into_iter::<String>();
    let string = strings.next()?.ok()?;
    let end = strings.byte_offset();
    Some((string, &text[end..]))
}

/// Appends a member of a JSON object; an empty value is null, as in results.
fn write_member(name: &str, value: &str, into: &mut Vec<u8>) {
    let value = Some(value).filter(|value| !value.is_empty());
    serde_json::to_writer(&mut *into, name).expect("memory takes any string");
    into.push(b':');
    serde_json::to_writer(into, &value).expect("memory takes any string");
}

/// Returns one CSV record with its line end; nothing without fields.
pub fn csv_line<'a>(delimiter: u8, fields: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut fields = fields.into_iter().peekable();
    if fields.peek().is_none() {
        return Vec::new();
    }
    let mut writer = csv::WriterBuilder::new()
        .delimiter(delimiter)
        .from_writer(Vec::new());
    writer
        .write_record(fields)
        .expect("memory takes any record");
    writer.into_inner().expect("memory takes any record")
}

/// Returns `name`, or one like it that is not taken.
pub fn free_name(name: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let others = (1..).map(|n| match n {
        1 => format!("invalid_{name}"),
        n => format!("invalid_{name}_{n}"),
    });
    std::iter::once(name.to_owned())
        .chain(others)
        .find(|name| !is_taken(name))
        .expect("names do not run out")
}
