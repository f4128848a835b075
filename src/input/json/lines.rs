//! Lines that are JSON objects.

use std::fmt;
use std::ops::Range;

use memchr::memchr;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::input::bytes::window::Window;
use crate::input::columns::{FIELDS, Match, Sought, sought};
use crate::input::error::Wanted;
use crate::input::json::document::{Extent, has_several};
use crate::input::not_an_input::NotAnInput;
use crate::input::rejects::RawRecord;
use crate::input::{Found, Settings, Stop};
use crate::row::{Carried, Field, Link, RowError, RowErrorCode, fold_name};

/// The rows of a JSONL file.
pub(crate) struct Lines {
    window: Window,
    parser: Parser,
    at_start: bool,
    /// The window begins with an object within a line that has several, as they are delivered without line ends.
    within_line: bool,
    /// The text of the last line, if it is to be given back.
    pub(crate) kept: Option<RawRecord>,
}

/// How an object becomes a row.
pub(crate) struct Parser {
    sought: Vec<Sought>,
    keys: Keys,
    /// What the line at hand says of each place.
    values: Vec<Value>,
}

/// The span of a value in its line, with how well its key matches; none if there is no such key.
type Value = Option<(Match, Range<usize>)>;

impl Lines {
    /// Looks at the first line, which tells whether this is a file of our own.
    pub(crate) fn new(mut window: Window, settings: &Settings) -> Result<Self, Stop> {
        if let Some(ours) = NotAnInput::of_window(&mut window) {
            return Err(Stop::Unreadable(ours.into()));
        }
        Ok(Self {
            window,
            parser: Parser::new(settings),
            at_start: true,
            within_line: false,
            kept: None,
        })
    }

    /// The line that comes next, or on which reading broke off.
    pub(crate) fn line(&self) -> u64 {
        self.window.line()
    }

    /// See [`Parser::looks_for`].
    pub(crate) fn looks_for(&self, name: &str) -> bool {
        self.parser.looks_for(name)
    }

    /// See [`Window::let_go`].
    pub(crate) fn let_go(&self) -> f64 {
        self.window.let_go()
    }

    pub(crate) fn next(&mut self) -> Result<Option<(u64, Found)>, Stop> {
        loop {
            if self.within_line
                && let Some(found) = self.next_within_line()
            {
                return Ok(Some(found));
            }
            if !self.window.holds_line() && self.window.view().is_empty() {
                break;
            }
            let view = self.window.view();
            let feed = memchr(b'\n', view);
            if feed.is_none() && !self.window.is_full() && self.window.is_torn() {
                break;
            }
            let text = line_of(view);
            let too_long = text.len() > self.window.bound();
            let is_bad = |found: &Found| {
                let fault = found.fault.as_ref();
                fault.is_some_and(|fault| fault.code == RowErrorCode::BadJson)
            };
            if !too_long && text.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
                self.window.skip_line();
                continue;
            }
            let found = if too_long {
                let reason = format!("the line is longer than {} bytes", self.window.bound());
                self.parser
                    .refused(RowError::new(RowErrorCode::RecordTooLong, reason))
            } else {
                self.parser.found(text)
            };
            if (too_long || is_bad(&found)) && has_several(self.window.view(), self.window.bound())
            {
                self.within_line = true;
                self.at_start = false;
                continue;
            }
            // An object that is closed is whole, whatever follows.
            if feed.is_none() && found.fault.is_some() && self.window.has_grown() {
                continue;
            }
            let text = line_of(self.window.view());
            if let Some(kept) = &mut self.kept {
                kept.keep(text, true);
            }
            let start = std::mem::replace(&mut self.at_start, false);
            if start && feed.is_none() && found.fault.is_some() && memchr(b'\r', text).is_some() {
                return Err(Stop::CarriageReturns);
            }
            let line = self.window.line();
            if self.window.skip_line() {
                return Ok(Some((line, found)));
            }
        }
        self.window.finish()
    }

    /// The object with which the window begins, in the middle of a line or of several objects. None if there is no whole one: what
    /// is there is a line like any other, then.
    fn next_within_line(&mut self) -> Option<(u64, Found)> {
        let mut extent = Extent::default();
        let end = loop {
            let view = self.window.view();
            match extent.end(view) {
                _ if !view.is_empty() && !view.starts_with(b"{") => break None,
                Some(end) => break Some(end),
                None if self.window.is_full() => break None,
                None if !self.window.more() && !self.window.has_grown() => break None,
                None => {}
            }
        };
        let bound = self.window.bound();
        let is_one =
            |end: &usize| *end <= bound && memchr(b'\n', &self.window.view()[..*end]).is_none();
        let Some(end) = end.filter(is_one) else {
            self.within_line = false;
            return None;
        };
        let line = self.window.line();
        let text = &self.window.view()[..end];
        let found = self.parser.found(text);
        if let Some(kept) = &mut self.kept {
            kept.keep(text, true);
        }
        self.window.consume(end, 0);
        self.pass_separator();
        Some((line, found))
    }

    /// Lets go of what stands between two objects on a line, or of the end of the line behind the last.
    fn pass_separator(&mut self) {
        let mut commas = 0;
        loop {
            match self.window.view().first().copied() {
                Some(b' ' | b'\t' | b'\r') => self.window.consume(1, 0),
                Some(b',') if commas == 0 => {
                    commas = 1;
                    self.window.consume(1, 0);
                }
                Some(b'\n') => {
                    self.window.consume(1, 1);
                    self.within_line = false;
                    return;
                }
                Some(b'{') => return,
                None if self.window.more() => {}
                _ => {
                    self.within_line = false;
                    return;
                }
            }
        }
    }
}

/// The first line of `view`, without its end.
fn line_of(view: &[u8]) -> &[u8] {
    let text = &view[..memchr(b'\n', view).unwrap_or(view.len())];
    // Where files were joined, one may begin with a mark.
    let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
    text.strip_suffix(b"\r").unwrap_or(text)
}

impl Parser {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            sought: sought(settings),
            keys: Keys::default(),
            values: Vec::new(),
        }
    }

    /// Whether a key of this name would be taken for a field or a carried one.
    pub(crate) fn looks_for(&self, name: &str) -> bool {
        matches_any(&self.sought, name)
    }

    /// Whether a key of this name would be taken for a field.
    pub(crate) fn is_field(&self, name: &str) -> bool {
        matches_any(&self.sought[..FIELDS], name)
    }

    /// The row that a line is.
    pub(crate) fn found(&mut self, text: &[u8]) -> Found {
        let Ok(text) = str::from_utf8(text) else {
            return self.refused(RowError::new(
                RowErrorCode::BadUtf8,
                "the line is not valid UTF-8",
            ));
        };
        let mut fault = self.locate(text).err();
        let mut read = |place: usize| {
            let (_, span) = self.values[place].as_ref()?;
            let sought = &self.sought[place];
            match value(&text[span.clone()], span.start, sought) {
                Ok(value) => Some(value),
                Err(refused) => {
                    fault.get_or_insert(refused);
                    None
                }
            }
        };
        let mut link = Link::default();
        for (place, field) in Field::ALL.into_iter().enumerate() {
            if let Some(Carried::Text(text)) = read(place) {
                *link.get_mut(field) = text;
            }
        }
        let carried = (FIELDS..self.sought.len())
            .map(|place| read(place).unwrap_or(Carried::Absent))
            .collect();
        Found {
            link,
            carried,
            fault,
        }
    }

    /// An invalid row of which nothing can be read.
    pub(crate) fn refused(&self, fault: RowError) -> Found {
        Found {
            link: Link::default(),
            carried: vec![Carried::Absent; self.sought.len() - FIELDS],
            fault: Some(fault),
        }
    }

    /// Finds the values in `text`, as far as it is JSON.
    fn locate(&mut self, text: &str) -> Result<(), RowError> {
        self.values.clear();
        self.values.resize(self.sought.len(), None);
        let mut twice = None;
        let mut json = serde_json::Deserializer::from_str(text);
        let object = Object {
            text,
            sought: &self.sought,
            keys: &mut self.keys,
            values: &mut self.values,
            twice: &mut twice,
        };
        object
            .deserialize(&mut json)
            .and_then(|()| json.end())
            .map_err(|error| bad_json(&error, 0))?;
        match twice {
            None => Ok(()),
            Some(place) => Err(RowError::new(
                RowErrorCode::DuplicateField,
                format!(
                    "the object names {} more than once",
                    self.sought[place].name()
                ),
            )),
        }
    }
}

fn matches_any(sought: &[Sought], name: &str) -> bool {
    let folded = fold_name(name);
    let mut sought = sought.iter();
    sought.any(|sought| sought.matches(name, &folded).is_some())
}

/// The value of a place from its JSON, which begins at byte `start` of its line.
fn value(raw: &str, start: usize, sought: &Sought) -> Result<Carried, RowError> {
    if raw.starts_with('"') {
        return string(raw, start).map(Carried::Text);
    }
    match &sought.wanted {
        Wanted::Field(field) | Wanted::Mapped(field, _) => digits(raw, *field).map(Carried::Text),
        Wanted::Carried(_) if raw == "null" => Ok(Carried::Absent),
        Wanted::Carried(_) => RawValue::from_string(raw.to_owned())
            .map(Carried::Json)
            .map_err(|error| bad_json(&error, start)),
    }
}

/// A field from what is not a string: the digits of an integer.
fn digits(raw: &str, field: Field) -> Result<String, RowError> {
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
    let reason = format!("{} is {kind}, not a string", field.name());
    Err(RowError::new(RowErrorCode::NotAString, reason))
}

/// The text of a JSON string that begins at byte `start` of its line.
fn string(raw: &str, start: usize) -> Result<String, RowError> {
    match raw.get(1..raw.len() - 1) {
        Some(text) if memchr(b'\\', text.as_bytes()).is_none() => Ok(text.to_owned()),
        _ => serde_json::from_str(raw).map_err(|error| bad_json(&error, start)),
    }
}

/// What serde says of the text from byte `start` of a line. It quotes a value only where it finds one of another type.
fn bad_json(error: &serde_json::Error, start: usize) -> RowError {
    let reason = if error.is_data() {
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
    RowError::new(RowErrorCode::BadJson, reason)
}

/// What the keys of the previous lines stand for, by their number in the object: most lines have the same ones.
#[derive(Default)]
struct Keys(Vec<Key>);

#[derive(Default)]
struct Key {
    /// None if it was too long to be remembered.
    name: Option<String>,
    places: Vec<(usize, Match)>,
}

impl Keys {
    const REMEMBERED: usize = 64;
    const LONGEST: usize = 256;

    /// Number of the entry that says what the `nth` key of an object stands for.
    fn entry(&mut self, nth: usize, name: &str, sought: &[Sought]) -> usize {
        let nth = nth.min(Self::REMEMBERED - 1);
        if self.0.len() <= nth {
            self.0.resize_with(nth + 1, Key::default);
        }
        let key = &mut self.0[nth];
        if key.name.as_deref() != Some(name) {
            key.name = (name.len() <= Self::LONGEST).then(|| name.to_owned());
            let folded = fold_name(name);
            let matches =
                |(place, sought): (usize, &Sought)| Some((place, sought.matches(name, &folded)?));
            key.places.clear();
            key.places
                .extend(sought.iter().enumerate().filter_map(matches));
        }
        nth
    }
}

/// Finds the values that are looked for, and leaves them as they are written.
struct Object<'a> {
    text: &'a str,
    sought: &'a [Sought],
    keys: &'a mut Keys,
    values: &'a mut [Value],
    /// The first place that two keys claim with the same right.
    twice: &'a mut Option<usize>,
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut nth = 0;
        while let Some(entry) = map.next_key_seed(KeySeed {
            keys: self.keys,
            sought: self.sought,
            nth,
        })? {
            nth += 1;
            let places = &self.keys.0[entry].places;
            if places.is_empty() {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let raw = map.next_value::<&RawValue>()?.get();
            let start = raw.as_ptr().addr() - self.text.as_ptr().addr();
            for &(place, how) in places {
                let value = &mut self.values[place];
                match value {
                    Some((before, _)) if *before > how => continue,
                    Some((before, _)) if *before == how => {
                        self.twice.get_or_insert(place);
                    }
                    _ => {}
                }
                *value = Some((how, start..start + raw.len()));
            }
        }
        Ok(())
    }
}

struct KeySeed<'a> {
    keys: &'a mut Keys,
    sought: &'a [Sought],
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
        Ok(self.keys.entry(self.nth, name, self.sought))
    }
}
