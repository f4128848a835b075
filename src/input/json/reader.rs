//! The reader of a JSON file.

use std::sync::Arc;

use super::document::{Document, is_document};
use super::lines::Lines;
use super::lookup::Lookup;
use super::object_parser::ObjectParser;
use super::pages::Pages;
use super::source::JsonSource;
use crate::input::bytes::window::Window;
use crate::input::format::Format;
use crate::input::not_an_input::{HEAD, NotAnInput};
use crate::input::parsed_row::ParsedRow;
use crate::input::raw_record::{RawRecord, TakenRecord};
use crate::input::read_error::ReadError;
use crate::input::read_options::ReadOptions;
use crate::row::{MemberNames, SourceText, fold_name};

/// The reader of a JSON file: of lines or of a document.
pub(crate) struct JsonReader {
    source: JsonSource,
    framing: Framing,
    /// The lookup whose users are the next rows.
    lookup: Option<Lookup>,
    /// The names of members in front of its objects, once they are needed.
    member_names: Option<Arc<MemberNames>>,
}

enum Framing {
    Lines(Lines),
    Document(Document),
}

impl JsonReader {
    /// Reads enough to recognise the framing, and to rule out a plan or results.
    pub(crate) fn start(
        mut window: Window,
        format: Format,
        options: &ReadOptions,
    ) -> Result<Self, ReadError> {
        let mut parser = ObjectParser::new(options);
        let framing = if format == Format::Json || is_document(&mut window, &mut parser) {
            Framing::Document(Document::new(options))
        } else {
            Framing::Lines(Lines::new())
        };
        if let Some(own_file) = NotAnInput::of_beginning(window.peek_beginning(HEAD)) {
            return Err(own_file.into());
        }
        let source = JsonSource {
            window,
            parser,
            raw: RawRecord::new(options),
            pages: Pages::default(),
        };
        Ok(Self {
            source,
            framing,
            lookup: None,
            member_names: None,
        })
    }

    /// Returns the next row with the line on which it begins.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, ParsedRow)>, ReadError> {
        loop {
            if let Some(page) = self.source.missing_page() {
                return Ok(Some(page));
            }
            if let Some(lookup) = &mut self.lookup {
                if let Some(row) = self.source.next_of(lookup) {
                    return Ok(Some(row));
                }
                self.lookup = None;
            }
            let next = match &mut self.framing {
                Framing::Lines(lines) => lines.next(&mut self.source)?,
                Framing::Document(document) => document.next(&mut self.source)?,
            };
            let Some((line, row)) = next else {
                self.source.pages.end_list();
                return Ok(self.source.missing_page());
            };
            let Some(users) = self.source.parser.take_users() else {
                return Ok(Some((line, row)));
            };
            let token_line = users.token_feeds.map(|feeds| line + feeds);
            self.source.pages.begin(&row.link.identity_id);
            self.source.pages.end(token_line);
            self.lookup = Some(Lookup { row, line, users });
        }
    }

    pub(crate) fn is_document(&self) -> bool {
        matches!(self.framing, Framing::Document(_))
    }

    pub(crate) fn window(&self) -> &Window {
        &self.source.window
    }

    /// See [`FormatReader::take_text`](crate::input::format_reader::FormatReader::take_text).
    pub(crate) fn take_text(&mut self, most: usize) -> Option<SourceText> {
        let TakenRecord { columns, text, .. } = self.source.raw.take()?;
        let parser = &self.source.parser;
        let names = self.member_names.get_or_insert_with(|| {
            Arc::new(MemberNames {
                leading: columns,
                taken: parser.keys().map(fold_name).collect(),
            })
        });
        let is_shortened = most < usize::MAX;
        let text = &text[..text.len().min(most)];
        Some(SourceText::json(text, is_shortened, Arc::clone(names)))
    }
}
