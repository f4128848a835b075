//! JSON documents: an array of objects, an object that holds one array of objects, as AWS prints them, or several of either.
//!
//! A document is not held in memory. Its objects are framed by their brackets, one at a time, and each is parsed by itself; the
//! text between them is checked against the grammar. A document that breaks it, or that has two arrays of objects, is refused. The
//! object around an array may name the pool of its rows before them, and say that another page follows: see [`Envelope`].

use std::io;

use memchr::{memchr, memrchr};

use super::envelope::Envelope;
use super::object_parser::ObjectParser;
use super::source::JsonSource;
use super::value_scanner::{ValueScanner, begins_value};
use crate::input::bytes::window::{Window, count_feeds};
use crate::input::fill::Fill;
use crate::input::parsed_row::ParsedRow;
use crate::input::read_error::ReadError;
use crate::input::read_options::ReadOptions;
use crate::row::{Field, Required};

/// The framing of JSON documents.
pub(super) struct Document {
    state: State,
    /// The object around the array in which the window begins.
    envelope: Envelope,
    fill: Fill,
    required: Required,
}

/// The part of a document in which the window begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before or between documents.
    Outside,
    /// An array, within an object or not, before an element or a comma.
    Array { in_object: bool, comma_due: bool },
    /// The object that holds the array, after the array.
    Object { comma_due: bool },
}

/// A step over the next byte that is not white space.
enum Step {
    /// Consumes one byte and enters the state.
    Punctuation(State),
    /// Reads the object with which a document begins.
    Begin,
    /// Reads an element of the array, and is in the state after it.
    Element(State),
    /// Passes over a member of the object, and is in the state after it.
    Member(State),
}

impl State {
    /// Returns the step that the grammar allows before this byte.
    fn step(self, byte: u8) -> Option<Step> {
        Some(match (self, byte) {
            (Self::Outside, b'[') => Step::Punctuation(Self::Array {
                in_object: false,
                comma_due: false,
            }),
            (Self::Outside, b'{') => Step::Begin,
            (Self::Array { in_object, .. }, b']') => Step::Punctuation(if in_object {
                Self::Object { comma_due: true }
            } else {
                Self::Outside
            }),
            (
                Self::Array {
                    in_object,
                    comma_due,
                },
                _,
            ) => {
                let after = Self::Array {
                    in_object,
                    comma_due: !comma_due,
                };
                match byte {
                    b',' if comma_due => Step::Punctuation(after),
                    _ if !comma_due && begins_value(byte) => Step::Element(after),
                    _ => return None,
                }
            }
            (Self::Object { .. }, b'}') => Step::Punctuation(Self::Outside),
            (Self::Object { comma_due: true }, b',') => {
                Step::Punctuation(Self::Object { comma_due: false })
            }
            (Self::Object { comma_due: false }, b'"') => {
                Step::Member(Self::Object { comma_due: true })
            }
            _ => return None,
        })
    }
}

/// The object with which a document begins.
enum Beginning {
    /// It continues after the held text.
    Incomplete,
    /// It is a row, and ends here.
    Row(usize),
    /// It holds rows, and the first of them may begin here.
    Array(usize, Envelope),
    /// It holds an empty array, and ends here.
    Empty(usize, Envelope),
    /// It is not JSON.
    Damaged,
}

/// A value with which the window begins.
enum HeldValue {
    /// It ends here.
    Held(usize),
    /// It is longer than a record may be, and was consumed.
    TooLong,
}

/// Returns whether a text is a document and not JSON lines: it begins with an array, with an object on several lines, or with a line
/// that is a list of AWS's and no row.
pub(super) fn is_document(window: &mut Window, parser: &mut ObjectParser) -> bool {
    loop {
        let view = window.view();
        let text = view.trim_ascii_start();
        let space = &view[..view.len() - text.len()];
        let blank_lines = memrchr(b'\n', space).map_or(0, |feed| feed + 1);
        window.consume_counting(blank_lines);
        match window.view().trim_ascii_start().first().copied() {
            Some(b'[') => return true,
            Some(b'{') => break,
            Some(_) => return false,
            None if window.is_full() || !window.read_more() => return false,
            None => {}
        }
    }
    let is_held = window.holds_line();
    let text = window.view().trim_ascii_start();
    let line = &text[..memchr(b'\n', text).unwrap_or(text.len())];
    let is_alone = is_held && line[1..].trim_ascii().is_empty();
    if is_alone {
        return true;
    }
    let (Beginning::Array(_, envelope) | Beginning::Empty(_, envelope)) =
        beginning(line, 1, parser)
    else {
        return false;
    };
    let row = parser.parse(line).link;
    envelope.is_list() && row.identity_id.is_empty() && row.developer_user_identifier.is_empty()
}

impl Document {
    pub(super) fn new(options: &ReadOptions) -> Self {
        Self {
            state: State::Outside,
            envelope: Envelope::default(),
            fill: options.fill.clone(),
            required: options.required,
        }
    }

    /// Returns the next row with its line.
    pub(super) fn next(
        &mut self,
        source: &mut JsonSource,
    ) -> Result<Option<(u64, ParsedRow)>, ReadError> {
        loop {
            if let Some(page) = source.missing_page() {
                return Ok(Some(page));
            }
            let Some(byte) = skip_space(&mut source.window) else {
                if self.state != State::Outside {
                    return Err(cut_off(&mut source.window));
                }
                source.window.take_failure()?;
                return Ok(None);
            };
            match self.state.step(byte) {
                Some(Step::Punctuation(state)) => {
                    source.window.consume(1, 0);
                    if matches!(self.state, State::Object { .. }) && state == State::Outside {
                        // Its elements may have been pages themselves.
                        source.pages.begin(&self.envelope.subject());
                        source.pages.end(self.envelope.token_line);
                        self.envelope = Envelope::default();
                    }
                    self.state = state;
                }
                Some(Step::Begin) => {
                    if let Some(row) = self.begin_object(source)? {
                        return Ok(Some(row));
                    }
                }
                Some(Step::Element(state)) => {
                    self.state = state;
                    let line = source.window.line();
                    let row = match hold_value(&mut source.window)? {
                        HeldValue::Held(end) => {
                            let mut row = parse_and_consume(source, end);
                            source.add_to_raw(self.envelope.filled(&row));
                            self.envelope.complete(&mut row, self.required);
                            row
                        }
                        HeldValue::TooLong => {
                            source.raw.keep(b"", false);
                            source.too_long("object")
                        }
                    };
                    return Ok(Some((line, row)));
                }
                Some(Step::Member(state)) => {
                    self.pass_member(source)?;
                    self.state = state;
                }
                None => return Err(damaged("it breaks the rules of JSON")),
            }
        }
    }

    /// Reads the object with which a document begins: returns the row that it is, or `None` if it holds rows.
    fn begin_object(
        &mut self,
        source: &mut JsonSource,
    ) -> Result<Option<(u64, ParsedRow)>, ReadError> {
        let line = source.window.line();
        loop {
            match beginning(source.window.view(), line, &source.parser) {
                Beginning::Row(end) => return Ok(Some((line, parse_and_consume(source, end)))),
                Beginning::Array(at, envelope) => {
                    source.window.consume_counting(at);
                    source.pages.begin(&envelope.subject());
                    self.envelope = envelope;
                    self.state = State::Array {
                        in_object: true,
                        comma_due: false,
                    };
                    return Ok(None);
                }
                Beginning::Empty(end, envelope) => {
                    source.window.consume_counting(end);
                    source.pages.begin(&envelope.subject());
                    source.pages.end(envelope.token_line);
                    return Ok(None);
                }
                Beginning::Damaged => return Err(damaged("it breaks the rules of JSON")),
                Beginning::Incomplete if source.window.is_full() => {
                    return Err(damaged("an object is longer than a row may be"));
                }
                Beginning::Incomplete => {
                    if !source.window.read_more() && !source.window.await_growth() {
                        return Err(cut_off(&mut source.window));
                    }
                }
            }
        }
    }

    /// Passes over a member of the object behind the array: not another array of objects, and no field, which would be one of rows
    /// that were read without it.
    fn pass_member(&mut self, source: &mut JsonSource) -> Result<(), ReadError> {
        let key = match hold_value(&mut source.window)? {
            HeldValue::Held(end) => {
                let key = serde_json::from_slice::<String>(&source.window.view()[..end]);
                source.window.consume_counting(end);
                key.map_err(|_| damaged("a key is not a string"))?
            }
            HeldValue::TooLong => String::new(),
        };
        let window = &mut source.window;
        match skip_space(window) {
            Some(b':') => window.consume(1, 0),
            Some(_) => return Err(damaged("a colon is due behind a key")),
            None => return Err(cut_off(window)),
        }
        match skip_space(window) {
            Some(b'[') => return pass_array(window),
            Some(byte) if begins_value(byte) => {}
            Some(_) => return Err(damaged("a value is due behind a key")),
            None => return Err(cut_off(window)),
        }
        let line = window.line();
        let HeldValue::Held(end) = hold_value(window)? else {
            return Ok(());
        };
        let value = &window.view()[..end];
        if let Some(field) = source.parser.field_named(&key) {
            let named = serde_json::from_slice::<String>(value).ok();
            let is_known = named.is_some() && named.as_ref() == self.fill.value(field);
            if !is_known && value != b"null" {
                return Err(damaged(&field_behind(field)));
            }
        } else {
            self.envelope.add_value(&key, value, line, &source.parser);
        }
        window.consume_counting(end);
        Ok(())
    }
}

/// Describes a field that stands behind an array of objects, and the remedy.
fn field_behind(field: Field) -> String {
    let name = field.name();
    let option = match field {
        Field::IdentityPoolId | Field::DeveloperProviderName => {
            format!(", or give it with --{}", name.replace('_', "-"))
        }
        Field::IdentityId | Field::DeveloperUserIdentifier => String::new(),
    };
    format!("{name} stands behind the array that it belongs to; put it before that{option}")
}

fn parse_and_consume(source: &mut JsonSource, end: usize) -> ParsedRow {
    let row = source.parse(end);
    source.window.consume_counting(end);
    row
}

fn pass_array(window: &mut Window) -> Result<(), ReadError> {
    window.consume(1, 0);
    if skip_space(window) == Some(b'{') {
        return Err(damaged(
            "it has two arrays of objects, and which of them holds the rows is not known; keep one",
        ));
    }
    loop {
        match skip_space(window) {
            None => return Err(cut_off(window)),
            Some(b']') => {
                window.consume(1, 0);
                return Ok(());
            }
            Some(b',') => window.consume(1, 0),
            Some(_) => pass_value(window)?,
        }
    }
}

fn pass_value(window: &mut Window) -> Result<(), ReadError> {
    if let HeldValue::Held(end) = hold_value(window)? {
        window.consume_counting(end);
    }
    Ok(())
}

/// Reads on until the window holds the value with which it begins, or consumes the value if it is too long.
fn hold_value(window: &mut Window) -> Result<HeldValue, ReadError> {
    let mut scanner = ValueScanner::default();
    let mut is_too_long = false;
    loop {
        let view = window.view();
        if let Some(end) = scanner.find_end(view) {
            if !is_too_long && end <= window.max_record() {
                return Ok(HeldValue::Held(end));
            }
            window.consume_counting(end);
            return Ok(HeldValue::TooLong);
        }
        if window.is_full() {
            is_too_long = true;
            window.consume_counting(view.len());
            scanner.restart_text();
            continue;
        }
        if !window.read_more() && !window.await_growth() {
            return Err(cut_off(window));
        }
    }
}

/// Returns the reason why a document ends too early: the failure to read it, or that it was cut off.
fn cut_off(window: &mut Window) -> ReadError {
    match window.take_failure() {
        Err(error) => error.into(),
        Ok(()) => damaged("the document breaks off before its end"),
    }
}

fn damaged(why: &str) -> ReadError {
    io::Error::new(io::ErrorKind::InvalidData, why).into()
}

/// Consumes white space, and byte order marks where files were joined, and returns the byte after it.
fn skip_space(window: &mut Window) -> Option<u8> {
    loop {
        let view = window.view();
        let space = view.len() - view.trim_ascii_start().len();
        window.consume_counting(space);
        let view = window.view();
        if view.first() == Some(&0xef) && view.len() < 3 && window.read_more() {
            continue;
        }
        if window.view().starts_with("\u{feff}".as_bytes()) {
            window.consume(3, 0);
            continue;
        }
        if let Some(&byte) = window.view().first() {
            return Some(byte);
        }
        if !window.read_more() {
            return None;
        }
    }
}

/// Distinguishes a row from an object that holds rows: a row has the key of a field, and the other an array whose first element is
/// an object. `line`: on which the text begins.
fn beginning(text: &[u8], line: u64, parser: &ObjectParser) -> Beginning {
    let skip_space = |at: usize| at + text[at..].len() - text[at..].trim_ascii_start().len();
    let value_end = |at: usize| Some(at + ValueScanner::default().find_end(&text[at..])?);
    let (mut envelope, mut at) = (Envelope::default(), 1);
    loop {
        at = skip_space(at);
        match text.get(at) {
            None => return Beginning::Incomplete,
            Some(b'}') if envelope.has_array() && !envelope.is_row => {
                return Beginning::Empty(at + 1, envelope);
            }
            Some(b'}') => return Beginning::Row(at + 1),
            Some(b',') => {
                at += 1;
                continue;
            }
            Some(b'"') => {}
            Some(_) => return Beginning::Damaged,
        }
        let Some(end) = value_end(at) else {
            return Beginning::Incomplete;
        };
        let key = serde_json::from_slice::<String>(&text[at..end]).unwrap_or_default();
        envelope.add_key(&key, parser);
        at = skip_space(end);
        match text.get(at) {
            None => return Beginning::Incomplete,
            Some(b':') => at = skip_space(at + 1),
            Some(_) => return Beginning::Damaged,
        }
        match text.get(at) {
            None => return Beginning::Incomplete,
            Some(b'[') => {
                let first = skip_space(at + 1);
                match text.get(first) {
                    None => return Beginning::Incomplete,
                    Some(b'{') if envelope.add_array(&key) => {
                        return Beginning::Array(first, envelope);
                    }
                    Some(b']') => {
                        envelope.add_array(&key);
                    }
                    Some(_) => {}
                }
            }
            Some(byte) if begins_value(*byte) => {}
            Some(_) => return Beginning::Damaged,
        }
        let Some(end) = value_end(at) else {
            return Beginning::Incomplete;
        };
        let feeds = count_feeds(&text[..at]);
        envelope.add_value(&key, &text[at..end], line + feeds, parser);
        at = end;
    }
}
