//! The parts that both framings of JSON work on.

use super::lookup::{ListedUser, Lookup};
use super::object_parser::ObjectParser;
use super::pages::{Pages, missing_page};
use crate::input::bytes::window::Window;
use crate::input::parsed_row::ParsedRow;
use crate::input::raw_record::RawRecord;
use crate::row::{Carried, Field, RowError, RowErrorCode, fold_name};

/// The window on the text, the parser of its objects, the text of the last record, and the pages of lists.
pub(super) struct JsonSource {
    pub(super) window: Window,
    pub(super) parser: ObjectParser,
    pub(super) raw: RawRecord,
    pub(super) pages: Pages,
}

impl JsonSource {
    /// Parses the first `end` bytes of the view as an object, and keeps them.
    pub(super) fn parse(&mut self, end: usize) -> ParsedRow {
        let text = &self.window.view()[..end];
        self.raw.keep(text, true);
        self.parser.parse(text)
    }

    /// Makes an invalid row of a record that is too long. `what`: a line or an object.
    pub(super) fn too_long(&self, what: &str) -> ParsedRow {
        let bound = self.window.max_record();
        let message = format!("the {what} is longer than {bound} bytes");
        self.parser
            .reject(RowError::new(RowErrorCode::RecordTooLong, message))
    }

    /// Returns an invalid row for a page that is missing, with the line of the token that announces it.
    pub(super) fn missing_page(&mut self) -> Option<(u64, ParsedRow)> {
        let line = self.pages.take_missing()?;
        self.raw.keep(b"{\"NextToken\":\"\"}", true);
        Some((line, self.parser.reject(missing_page())))
    }

    /// Adds fields to the kept record, which is an object that lacks them.
    pub(super) fn add_to_raw<'a>(&mut self, fields: impl Iterator<Item = (Field, &'a str)>) {
        if !self.raw.is_enabled() {
            return;
        }
        let keys: Vec<&str> = self.parser.keys().take(Field::ALL.len()).collect();
        let members = fields.map(|(field, value)| member(keys[field as usize], &json(value)));
        self.raw.add_members(&members.collect::<Vec<_>>());
    }

    /// Makes a row of the next user of a lookup, and keeps it as an object of its own.
    pub(super) fn next_of(&mut self, lookup: &mut Lookup) -> Option<(u64, ParsedRow)> {
        let user = lookup.users.next()?;
        let mut row = lookup.row.clone();
        if self.raw.is_enabled() {
            let object = self.object_of(&row, &user);
            self.raw.keep(object.as_bytes(), true);
        }
        match self.parser.parse_user(&user) {
            Ok(value) => row.link.developer_user_identifier = value,
            Err(error) => row.error = Some(error),
        }
        Some((lookup.line + user.feeds, row))
    }

    /// Writes a user of a lookup as an object of its own.
    fn object_of(&self, row: &ParsedRow, user: &ListedUser<'_>) -> String {
        let field = |field| match field {
            Field::DeveloperUserIdentifier => Some(user.raw.to_owned()),
            field => Some(row.link.get(field))
                .filter(|value| !value.is_empty())
                .map(json),
        };
        let carried = row.carried.iter().map(|value| match value {
            Carried::Absent => None,
            Carried::Text(text) => Some(json(text)),
            Carried::Json(value) => Some(value.get().to_owned()),
        });
        let mut names = Vec::new();
        let mut members = Vec::new();
        for (key, value) in self
            .parser
            .keys()
            .zip(Field::ALL.map(field).into_iter().chain(carried))
        {
            // A field that is carried as well is written once.
            if let Some(value) = value.filter(|_| !names.contains(&fold_name(key))) {
                names.push(fold_name(key));
                members.push(member(key, &value));
            }
        }
        format!("{{{}}}", members.join(","))
    }
}

fn member(key: &str, value: &str) -> String {
    format!("{}:{value}", json(key))
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
