//! JSON documents: an array of objects, an object that holds one array of objects, as AWS prints them, or several of either.
//!
//! A document is not held. Its objects are framed by their brackets, one at a time, and each is parsed for itself; what stands
//! between them is held against the grammar. A document that breaks it, or that has two arrays of objects, is refused.

use std::io;

use memchr::{memchr, memchr_iter};
use serde::de::IgnoredAny;

use crate::input::bytes::window::Window;
use crate::input::json::lines::Parser;
use crate::input::rejects::RawRecord;
use crate::input::{Found, Settings, Stop};
use crate::row::{RowError, RowErrorCode};

/// The rows of a JSON document.
pub(crate) struct Documents {
    window: Window,
    parser: Parser,
    place: Place,
    /// The text of the last object, if it is to be given back.
    pub(crate) kept: Option<RawRecord>,
}

/// What the text at hand stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// No document.
    Outside,
    /// An array, within an object or not, where an element or a comma is due.
    Array { in_object: bool, comma_due: bool },
    /// The object that holds the array, behind the array.
    Object { comma_due: bool },
}

/// The object with which a document begins.
enum Beginning {
    /// It goes on behind what is held.
    More,
    /// It is a row, and ends here.
    Row(usize),
    /// It holds rows, and the first of them may begin here.
    Array(usize),
    /// It holds an empty array, and ends here.
    Empty(usize),
    /// It is no JSON.
    Damaged,
}

/// A value that begins the window.
enum Value {
    /// It ends here.
    Held(usize),
    /// It is longer than a record may be, and was passed over.
    TooLong,
}

/// Returns whether a text is a document and not lines of JSON: it begins with an array, or with an object on several lines.
pub(crate) fn is_document(window: &mut Window) -> bool {
    loop {
        let text = window.view().trim_ascii_start();
        match text.first().copied() {
            Some(b'[') => return true,
            Some(b'{') => {
                let rest = &text[1..];
                let line_end = rest
                    .iter()
                    .position(|byte| !matches!(byte, b' ' | b'\t' | b'\r'));
                let behind = line_end.map(|at| rest[at]);
                match behind {
                    Some(byte) => return byte == b'\n',
                    None if window.is_full() || !window.more() => return false,
                    None => {}
                }
            }
            Some(_) => return false,
            None if window.is_full() || !window.more() => return false,
            None => {}
        }
    }
}

impl Documents {
    pub(crate) fn new(mut window: Window, settings: &Settings) -> Result<Self, Stop> {
        if let Some(ours) = crate::input::NotAnInput::of_window(&mut window) {
            return Err(Stop::Unreadable(ours.into()));
        }
        Ok(Self {
            window,
            parser: Parser::new(settings),
            place: Place::Outside,
            kept: None,
        })
    }

    /// The line of the next value, or on which reading broke off.
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
            let byte = skip_space(&mut self.window);
            match (self.place, byte) {
                (Place::Outside, None) => return self.window.finish(),
                (_, None) => return Err(self.cut_off()),
                (Place::Outside, Some(b'[')) => {
                    self.window.consume(1, 0);
                    self.place = Place::Array {
                        in_object: false,
                        comma_due: false,
                    };
                }
                (Place::Outside, Some(b'{')) => {
                    if let Some(found) = self.begin_object()? {
                        return Ok(Some(found));
                    }
                }
                (Place::Array { in_object, .. }, Some(b']')) => {
                    self.window.consume(1, 0);
                    self.place = if in_object {
                        Place::Object { comma_due: true }
                    } else {
                        Place::Outside
                    };
                }
                (
                    Place::Array {
                        in_object,
                        comma_due: true,
                    },
                    Some(b','),
                ) => {
                    self.window.consume(1, 0);
                    self.place = Place::Array {
                        in_object,
                        comma_due: false,
                    };
                }
                (
                    Place::Array {
                        in_object,
                        comma_due: false,
                    },
                    Some(byte),
                ) if begins_value(byte) => {
                    self.place = Place::Array {
                        in_object,
                        comma_due: true,
                    };
                    let line = self.window.line();
                    let found = match self.hold_value()? {
                        Value::Held(end) => self.row(end),
                        Value::TooLong => self.too_long(),
                    };
                    return Ok(Some((line, found)));
                }
                (Place::Object { .. }, Some(b'}')) => {
                    self.window.consume(1, 0);
                    self.place = Place::Outside;
                }
                (Place::Object { comma_due: true }, Some(b',')) => {
                    self.window.consume(1, 0);
                    self.place = Place::Object { comma_due: false };
                }
                (Place::Object { comma_due: false }, Some(b'"')) => {
                    self.pass_member()?;
                    self.place = Place::Object { comma_due: true };
                }
                _ => return Err(damaged("it breaks the rules of JSON")),
            }
        }
    }

    /// Reads the object with which a document begins: the row that it is, or none if rows stand in it.
    fn begin_object(&mut self) -> Result<Option<(u64, Found)>, Stop> {
        let line = self.window.line();
        loop {
            let parser = &self.parser;
            match beginning(self.window.view(), |name| parser.is_field(name)) {
                Beginning::Row(end) => return Ok(Some((line, self.row(end)))),
                Beginning::Array(at) => {
                    consume(&mut self.window, at);
                    self.place = Place::Array {
                        in_object: true,
                        comma_due: false,
                    };
                    return Ok(None);
                }
                Beginning::Empty(end) => {
                    consume(&mut self.window, end);
                    return Ok(None);
                }
                Beginning::Damaged => return Err(damaged("it breaks the rules of JSON")),
                Beginning::More if self.window.is_full() => {
                    return Err(damaged("an object is longer than a row may be"));
                }
                Beginning::More => {
                    if !self.window.more() && !self.window.has_grown() {
                        return Err(self.cut_off());
                    }
                }
            }
        }
    }

    /// Passes over a member of an object, which must be no array of objects.
    fn pass_member(&mut self) -> Result<(), Stop> {
        self.pass_value()?;
        match skip_space(&mut self.window) {
            Some(b':') => self.window.consume(1, 0),
            Some(_) => return Err(damaged("a colon is due behind a key")),
            None => return Err(self.cut_off()),
        }
        match skip_space(&mut self.window) {
            Some(b'[') => {
                self.window.consume(1, 0);
                if skip_space(&mut self.window) == Some(b'{') {
                    return Err(damaged(
                        "it has two arrays of objects, and which of them holds the rows is not known; keep one",
                    ));
                }
                loop {
                    match skip_space(&mut self.window) {
                        None => return Err(self.cut_off()),
                        Some(b']') => {
                            self.window.consume(1, 0);
                            return Ok(());
                        }
                        Some(b',') => self.window.consume(1, 0),
                        Some(_) => self.pass_value()?,
                    }
                }
            }
            Some(byte) if begins_value(byte) => self.pass_value(),
            Some(_) => Err(damaged("a value is due behind a key")),
            None => Err(self.cut_off()),
        }
    }

    fn pass_value(&mut self) -> Result<(), Stop> {
        if let Value::Held(end) = self.hold_value()? {
            consume(&mut self.window, end);
        }
        Ok(())
    }

    /// The row that the held value is.
    fn row(&mut self, end: usize) -> Found {
        let text = &self.window.view()[..end];
        let found = self.parser.found(text);
        if let Some(kept) = &mut self.kept {
            kept.keep(text, true);
        }
        consume(&mut self.window, end);
        found
    }

    fn too_long(&mut self) -> Found {
        if let Some(kept) = &mut self.kept {
            kept.keep(b"", false);
        }
        let bound = self.window.bound();
        let reason = format!("the object is longer than {bound} bytes");
        self.parser
            .refused(RowError::new(RowErrorCode::RecordTooLong, reason))
    }

    /// Holds the value with which the window begins.
    fn hold_value(&mut self) -> Result<Value, Stop> {
        let mut extent = Extent::default();
        let mut long = false;
        loop {
            let view = self.window.view();
            if let Some(end) = extent.end(view) {
                if !long && end <= self.window.bound() {
                    return Ok(Value::Held(end));
                }
                consume(&mut self.window, end);
                return Ok(Value::TooLong);
            }
            if self.window.is_full() {
                long = true;
                let held = self.window.view().len();
                consume(&mut self.window, held);
                extent.at = 0;
                continue;
            }
            if !self.window.more() && !self.window.has_grown() {
                return Err(self.cut_off());
            }
        }
    }

    /// Why a document is not there to its end.
    fn cut_off(&mut self) -> Stop {
        match self.window.finish::<()>() {
            Err(stop) => stop,
            Ok(_) => damaged("the document breaks off before its end"),
        }
    }
}

fn damaged(why: &str) -> Stop {
    Stop::Unreadable(io::Error::new(io::ErrorKind::InvalidData, why))
}

fn begins_value(byte: u8) -> bool {
    matches!(
        byte,
        b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'
    )
}

/// Lets go of `n` held bytes.
pub(crate) fn consume(window: &mut Window, n: usize) {
    let feeds = memchr_iter(b'\n', &window.view()[..n]).count() as u64;
    window.consume(n, feeds);
}

/// Lets go of white space, and of marks where files were joined, and returns the byte behind it.
fn skip_space(window: &mut Window) -> Option<u8> {
    loop {
        let view = window.view();
        let space = view.len() - view.trim_ascii_start().len();
        consume(window, space);
        let view = window.view();
        if view.first() == Some(&0xef) && view.len() < 3 && window.more() {
            continue;
        }
        if window.view().starts_with("\u{feff}".as_bytes()) {
            window.consume(3, 0);
            continue;
        }
        if let Some(&byte) = window.view().first() {
            return Some(byte);
        }
        if !window.more() {
            return None;
        }
    }
}

/// Finds the end of a JSON value by its brackets, in a text that grows.
#[derive(Default)]
pub(crate) struct Extent {
    /// So much of the text was looked at.
    at: usize,
    depth: u32,
    quoted: bool,
    escaped: bool,
    /// A number or a word, which ends where something else begins.
    bare: bool,
}

impl Extent {
    pub(crate) fn end(&mut self, text: &[u8]) -> Option<usize> {
        while let Some(&byte) = text.get(self.at) {
            self.at += 1;
            if self.quoted {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => {
                        self.quoted = false;
                        if self.depth == 0 {
                            return Some(self.at);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            if self.bare
                && (byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}' | b':'))
            {
                return Some(self.at - 1);
            }
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
                _ if self.depth == 0 => self.bare = true,
                _ => {}
            }
        }
        None
    }
}

/// Tells a row from an object that holds rows: a row has the key of a field, and the other an array whose first element is an object.
fn beginning(text: &[u8], is_field: impl Fn(&str) -> bool) -> Beginning {
    let space = |at: usize| at + text[at..].len() - text[at..].trim_ascii_start().len();
    let value_end = |at: usize| Extent::default().end(&text[at..]).map(|end| at + end);
    let (mut is_row, mut has_array, mut at) = (false, false, 1);
    loop {
        at = space(at);
        match text.get(at) {
            None => return Beginning::More,
            Some(b'}') if has_array && !is_row => return Beginning::Empty(at + 1),
            Some(b'}') => return Beginning::Row(at + 1),
            Some(b',') => {
                at += 1;
                continue;
            }
            Some(b'"') => {}
            Some(_) => return Beginning::Damaged,
        }
        let Some(end) = value_end(at) else {
            return Beginning::More;
        };
        let key = serde_json::from_slice::<String>(&text[at..end]);
        is_row |= key.is_ok_and(|key| is_field(&key));
        at = space(end);
        match text.get(at) {
            None => return Beginning::More,
            Some(b':') => at = space(at + 1),
            Some(_) => return Beginning::Damaged,
        }
        match text.get(at) {
            None => return Beginning::More,
            Some(b'[') => {
                let first = space(at + 1);
                match text.get(first) {
                    None => return Beginning::More,
                    Some(b'{') if !is_row => return Beginning::Array(first),
                    Some(b']') => has_array = true,
                    Some(_) => {}
                }
            }
            Some(byte) if begins_value(*byte) => {}
            Some(_) => return Beginning::Damaged,
        }
        let Some(end) = value_end(at) else {
            return Beginning::More;
        };
        at = end;
    }
}

/// Returns whether the first line of a text begins with an object of no more than `bound` bytes, behind which another one follows, or a
/// comma: several were joined.
pub(crate) fn has_several(text: &[u8], bound: usize) -> bool {
    let line = &text[..memchr(b'\n', text).unwrap_or(text.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !line.starts_with(b"{") {
        return false;
    }
    let Some(end) = Extent::default().end(line).filter(|end| *end <= bound) else {
        return false;
    };
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let rest = &line[end..];
    let mut rest = rest.iter().skip_while(is_space).peekable();
    let has_comma = rest.next_if(|byte| **byte == b',').is_some();
    let follows = match rest.find(|byte| !is_space(byte)) {
        None => has_comma,
        Some(byte) => *byte == b'{',
    };
    follows && serde_json::from_slice::<IgnoredAny>(&line[..end]).is_ok()
}
