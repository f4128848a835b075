//! Parses a JSON object into a row.

use std::fmt;
use std::ops::Range;

use memchr::memchr;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::attribute_value::AttributeValue;
use super::document_key::DocumentKey;
use super::lookup::{ListedUser, UserList};
use crate::input::parsed_row::ParsedRow;
use crate::input::read_options::ReadOptions;
use crate::input::requested_column::{ColumnMatcher, MatchQuality, RequestedColumn};
use crate::row::{Carried, Field, Link, RowError, RowErrorCode, fold_name};

/// Makes rows of JSON objects.
pub(super) struct ObjectParser {
    /// The requested keys: first the fields in the order of [`Field::ALL`], then the carried ones.
    requested: Vec<ColumnMatcher>,
    keys: KeyCache,
    /// The value of each requested key in the current object, then that of each [`DocumentKey`].
    values: Vec<FoundValue>,
    /// The users that the last object lists.
    users: Option<UserList>,
}

/// The span of a value in its text, and the quality with which its key matches; `None` if there is no such key.
type FoundValue = Option<(MatchQuality, Range<usize>)>;

impl ObjectParser {
    pub(super) fn new(options: &ReadOptions) -> Self {
        Self {
            requested: ColumnMatcher::all(options),
            keys: KeyCache::default(),
            values: Vec::new(),
            users: None,
        }
    }

    /// Returns the field for which a key of this name would be taken.
    pub(super) fn field_named(&self, name: &str) -> Option<Field> {
        let folded = fold_name(name);
        Field::ALL
            .into_iter()
            .zip(&self.requested)
            .find_map(|(field, matcher)| matcher.compare(name, &folded).map(|_| field))
    }

    /// Returns the key of each field and of each carried value.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.requested
            .iter()
            .map(|matcher| matcher.requested.column())
    }

    /// Parses the text of an object.
    pub(super) fn parse(&mut self, text: &[u8]) -> ParsedRow {
        let Ok(text) = str::from_utf8(text) else {
            return self.reject(RowError::new(
                RowErrorCode::BadUtf8,
                "the line is not valid UTF-8",
            ));
        };
        self.users = None;
        let mut error = self.find_values(text).err();
        let (text, offset) = match self.item(text) {
            Some(item) if error.is_none() => {
                error = self.find_values(&text[item.clone()]).err();
                (&text[item.clone()], item.start)
            }
            _ => (text, 0),
        };
        let mut read = |index: usize| {
            let (_, span) = self.values[index].as_ref()?;
            let requested = &self.requested[index].requested;
            match parse_value(&text[span.clone()], offset + span.start, requested) {
                Ok(value) => Some(value),
                Err(wrong) => {
                    error.get_or_insert(wrong);
                    None
                }
            }
        };
        let mut link = Link::default();
        for (index, field) in Field::ALL.into_iter().enumerate() {
            if let Some(Carried::Text(text)) = read(index) {
                *link.get_mut(field) = text;
            }
        }
        let carried = (Field::ALL.len()..self.requested.len())
            .map(|index| read(index).unwrap_or(Carried::Absent))
            .collect();
        if error.is_none() && offset == 0 {
            self.users = self.user_list(text);
        }
        ParsedRow {
            link,
            carried,
            error,
        }
    }

    /// Makes an invalid row of which nothing can be read.
    pub(super) fn reject(&self, error: RowError) -> ParsedRow {
        ParsedRow {
            link: Link::default(),
            carried: vec![Carried::Absent; self.requested.len() - Field::ALL.len()],
            error: Some(error),
        }
    }

    /// Returns the users that the last object lists, once.
    pub(super) fn take_users(&mut self) -> Option<UserList> {
        self.users.take()
    }

    /// Parses a user of a list.
    pub(super) fn parse_user(&self, user: &ListedUser<'_>) -> Result<String, RowError> {
        let column = &self.requested[Field::DeveloperUserIdentifier as usize];
        match parse_value(user.raw, user.start, &column.requested)? {
            Carried::Text(text) => Ok(text),
            Carried::Absent | Carried::Json(_) => Ok(String::new()),
        }
    }

    /// Returns the item that holds the row, unless the current object is a row itself.
    fn item(&self, text: &str) -> Option<Range<usize>> {
        let item = self.document_value(DocumentKey::Item)?;
        let is_row = self.values[..Field::ALL.len()].iter().any(Option::is_some);
        (!is_row && text[item.clone()].starts_with('{')).then(|| item.clone())
    }

    /// Returns the users that the current object lists, unless it names one itself.
    fn user_list(&self, text: &str) -> Option<UserList> {
        let list = self.document_value(DocumentKey::Users)?;
        if self.values[Field::DeveloperUserIdentifier as usize].is_some()
            || !text[list.clone()].starts_with('[')
        {
            return None;
        }
        let mut tokens = DocumentKey::ALL.into_iter().filter_map(|key| {
            let value = self.document_value(key)?;
            key.announces_page(text[value.clone()].as_bytes())
                .then_some(value.start)
        });
        Some(UserList::new(
            text,
            list.start,
            &text[list.clone()],
            tokens.next(),
        ))
    }

    /// Returns the span of the value of this key in the current object.
    fn document_value(&self, key: DocumentKey) -> Option<&Range<usize>> {
        let (_, span) = self.values[self.requested.len() + key as usize].as_ref()?;
        Some(span)
    }

    /// Finds the values of the requested keys in `text`, up to where it stops being JSON.
    fn find_values(&mut self, text: &str) -> Result<(), RowError> {
        self.values.clear();
        self.values
            .resize(self.requested.len() + DocumentKey::ALL.len(), None);
        let mut duplicate = None;
        let mut json = serde_json::Deserializer::from_str(text);
        let finder = ValueFinder {
            text,
            requested: &self.requested,
            keys: &mut self.keys,
            values: &mut self.values,
            duplicate: &mut duplicate,
        };
        finder
            .deserialize(&mut json)
            .and_then(|()| json.end())
            .map_err(|error| bad_json(&error, 0))?;
        let name = |index: usize| match self.requested.get(index) {
            Some(matcher) => Some(matcher.requested.name()),
            // Beside a user of its own, such a key means nothing.
            None if self.values[Field::DeveloperUserIdentifier as usize].is_some() => None,
            None => Some(DocumentKey::ALL[index - self.requested.len()].name()),
        };
        match duplicate.and_then(name) {
            None => Ok(()),
            Some(name) => Err(RowError::new(
                RowErrorCode::DuplicateField,
                format!("the object names {name} more than once"),
            )),
        }
    }
}

/// Parses the JSON of a value, typed as DynamoDB writes it or not, which begins at byte `start` of its line.
fn parse_value(raw: &str, start: usize, requested: &RequestedColumn) -> Result<Carried, RowError> {
    let string_start = |value: &RawValue| start + value.get().as_ptr().addr() - raw.as_ptr().addr();
    match AttributeValue::read(raw) {
        Some(AttributeValue::Text(value)) => {
            parse_string(value.get(), string_start(value)).map(Carried::Text)
        }
        Some(AttributeValue::Number(value)) => {
            let number = parse_string(value.get(), string_start(value))?;
            match number.as_bytes().first() {
                Some(b'-' | b'0'..=b'9') => parse_untyped(&number, start, requested),
                _ => parse_untyped(raw, start, requested),
            }
        }
        Some(AttributeValue::Null(_)) => parse_untyped("null", start, requested),
        None => parse_untyped(raw, start, requested),
    }
}

/// Parses the JSON of a value that has no type around it.
fn parse_untyped(
    raw: &str,
    start: usize,
    requested: &RequestedColumn,
) -> Result<Carried, RowError> {
    if raw.starts_with('"') {
        return parse_string(raw, start).map(Carried::Text);
    }
    match requested {
        RequestedColumn::Field(field) | RequestedColumn::Mapped(field, _) => {
            parse_integer(raw, *field).map(Carried::Text)
        }
        RequestedColumn::Carried(_) if raw == "null" => Ok(Carried::Absent),
        RequestedColumn::Carried(_) => RawValue::from_string(raw.to_owned())
            .map(Carried::Json)
            .map_err(|error| bad_json(&error, start)),
    }
}

/// Returns the digits of an integer. Any other value that is not a string is an error.
fn parse_integer(raw: &str, field: Field) -> Result<String, RowError> {
    let kind = match raw.as_bytes() {
        [b'-' | b'0'..=b'9', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            return Ok(raw.to_owned());
        }
        [b'-' | b'0'..=b'9', ..] => "a number that is not written as an integer",
        [b'n', ..] => "null",
        [b'[', ..] => "an array",
        [b'{', ..] => "an object",
        _ => "a boolean",
    };
    let message = format!("{} is {kind}, not a string", field.name());
    Err(RowError::new(RowErrorCode::NotAString, message))
}

/// Parses a JSON string that begins at byte `start` of its line.
fn parse_string(raw: &str, start: usize) -> Result<String, RowError> {
    match raw.get(1..raw.len() - 1) {
        Some(text) if memchr(b'\\', text.as_bytes()).is_none() => Ok(text.to_owned()),
        _ => serde_json::from_str(raw).map_err(|error| bad_json(&error, start)),
    }
}

/// Describes an error of serde in the text from byte `start` of a line on. Only for a value of another type does serde quote the value; that
/// message is replaced.
fn bad_json(error: &serde_json::Error, start: usize) -> RowError {
    let message = if error.is_data() {
        "the line is not a JSON object".to_owned()
    } else {
        let whole = error.to_string();
        let what = whole
            .rsplit_once(" at line ")
            .map_or(whole.as_str(), |(what, _)| what);
        format!(
            "the line is not JSON: {what} at column {}",
            start + error.column()
        )
    };
    RowError::new(RowErrorCode::BadJson, message)
}

/// The meaning of the keys of the previous lines, by their number in the object: most lines have the same keys.
#[derive(Default)]
struct KeyCache(Vec<CachedKey>);

#[derive(Default)]
struct CachedKey {
    /// `None` if it was too long to be kept.
    name: Option<String>,
    /// The requested keys that it matches, by their index.
    matches: Vec<(usize, MatchQuality)>,
}

impl KeyCache {
    /// Keys of an object that are cached. Further keys share the last entry.
    const SIZE: usize = 64;
    /// Bytes of the longest key that is cached. With [`KeyCache::SIZE`], a cache takes 16 KiB at most.
    const LONGEST: usize = 256;

    /// Returns the index of the entry for the `nth` key of an object.
    fn entry(&mut self, nth: usize, name: &str, requested: &[ColumnMatcher]) -> usize {
        let nth = nth.min(Self::SIZE - 1);
        if self.0.len() <= nth {
            self.0.resize_with(nth + 1, CachedKey::default);
        }
        let key = &mut self.0[nth];
        if key.name.as_deref() != Some(name) {
            key.name = (name.len() <= Self::LONGEST).then(|| name.to_owned());
            let folded = fold_name(name);
            let compare = |(index, matcher): (usize, &ColumnMatcher)| {
                Some((index, matcher.compare(name, &folded)?))
            };
            key.matches.clear();
            key.matches
                .extend(requested.iter().enumerate().filter_map(compare));
            let document_key =
                DocumentKey::named(&folded).map(|key| requested.len() + key as usize);
            key.matches
                .extend(document_key.map(|index| (index, MatchQuality::Folded)));
        }
        nth
    }
}

/// Finds the values of the requested keys, and leaves them unparsed.
struct ValueFinder<'a> {
    text: &'a str,
    requested: &'a [ColumnMatcher],
    keys: &'a mut KeyCache,
    values: &'a mut [FoundValue],
    /// The first key in the order of [`ObjectParser::values`] that two keys match equally well.
    duplicate: &'a mut Option<usize>,
}

impl<'de> DeserializeSeed<'de> for ValueFinder<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ValueFinder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut nth = 0;
        while let Some(entry) = map.next_key_seed(KeySeed {
            keys: self.keys,
            requested: self.requested,
            nth,
        })? {
            nth += 1;
            let matches = &self.keys.0[entry].matches;
            if matches.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = map.next_value::<&RawValue>()?.get();
            let start = raw.as_ptr().addr() - self.text.as_ptr().addr();
            for &(index, quality) in matches {
                let value = &mut self.values[index];
                match value {
                    Some((before, _)) if *before > quality => continue,
                    Some((before, _)) if *before == quality => {
                        let first = self.duplicate.map_or(index, |other| other.min(index));
                        *self.duplicate = Some(first);
                    }
                    _ => {}
                }
                *value = Some((quality, start..start + raw.len()));
            }
        }
        Ok(())
    }
}

struct KeySeed<'a> {
    keys: &'a mut KeyCache,
    requested: &'a [ColumnMatcher],
    nth: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = usize;

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<usize, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, name: &str) -> Result<usize, E> {
        Ok(self.keys.entry(self.nth, name, self.requested))
    }
}
