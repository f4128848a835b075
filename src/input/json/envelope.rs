//! The object around an array of rows.

use super::document_key::{self, DocumentKey};
use super::object_parser::ObjectParser;
use crate::input::parsed_row::ParsedRow;
use crate::row::{Field, Required, RowError, RowErrorCode, fold_name};

/// Fields that are the same for all rows of an object, as in the answer to `list-identities`.
const SHARED: [Field; 2] = [Field::IdentityPoolId, Field::DeveloperProviderName];

/// The reason for which an identity of a list is no row of an unlink, and the remedy.
const NO_USER: &str = "developer_user_identifier is missing: a list of identities names no users; ask for each identity's with: \
                       cognito-unlink resolve";

/// An object around an array: what it says of the rows in its array.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// The values of [`SHARED`], empty if there are none.
    values: [String; SHARED.len()],
    /// It names a field of [`SHARED`].
    is_shared: bool,
    /// It names a field that each row has for itself, so it is a row.
    pub(super) is_row: bool,
    /// The key of the array, folded.
    array: Option<String>,
    /// Line of the token that announces another page.
    pub(super) token_line: Option<u64>,
}

impl Envelope {
    /// Takes in a key, before its value.
    pub(super) fn add_key(&mut self, key: &str, parser: &ObjectParser) {
        match parser.field_named(key) {
            Some(field) if SHARED.contains(&field) => self.is_shared = true,
            Some(_) => self.is_row = true,
            None => {}
        }
    }

    /// Takes in the array under this key, unless it is no array of rows. Returns whether it is one, if it holds objects.
    pub(super) fn add_array(&mut self, key: &str) -> bool {
        let folded = fold_name(key);
        let holds_rows = !self.is_row && (!self.is_shared || document_key::holds_rows(&folded));
        if holds_rows {
            self.array.get_or_insert(folded);
        }
        holds_rows
    }

    /// Takes in a value that begins on this line.
    pub(super) fn add_value(&mut self, key: &str, value: &[u8], line: u64, parser: &ObjectParser) {
        let field = parser.field_named(key);
        let shared = SHARED.into_iter().position(|shared| Some(shared) == field);
        if let Some(shared) = shared {
            self.values[shared] = serde_json::from_slice(value).unwrap_or_default();
        } else if DocumentKey::named(&fold_name(key)).is_some_and(|key| key.announces_page(value)) {
            self.token_line = Some(line);
        }
    }

    /// Returns whether its array is named as the lists of AWS are.
    pub(super) fn is_list(&self) -> bool {
        self.array.as_deref().is_some_and(document_key::holds_rows)
    }

    /// Returns whether it has an array that may hold rows.
    pub(super) fn has_array(&self) -> bool {
        self.array.is_some()
    }

    /// Returns the name of the list, which its pages share.
    pub(super) fn subject(&self) -> String {
        let [pool, _] = &self.values;
        format!("{} {pool}", self.array.as_deref().unwrap_or_default())
    }

    /// Returns the fields of `row` that it fills, with their values.
    pub(super) fn filled<'a>(
        &'a self,
        row: &'a ParsedRow,
    ) -> impl Iterator<Item = (Field, &'a str)> {
        let values = SHARED
            .into_iter()
            .zip(self.values.iter().map(String::as_str));
        values.filter(|(field, value)| row.link.get(*field).is_empty() && !value.is_empty())
    }

    /// Fills the empty fields of `row`. A row that says something else is invalid, never silently overridden.
    pub(super) fn complete(&self, row: &mut ParsedRow, required: Required) {
        for (field, value) in SHARED.into_iter().zip(&self.values) {
            let own = row.link.get_mut(field);
            if own.is_empty() {
                own.clone_from(value);
            } else if own != value && !value.is_empty() {
                let message = format!("{} is not the one of the list around it", field.name());
                row.error
                    .get_or_insert(RowError::new(RowErrorCode::Conflict, message));
            }
        }
        let lacks_user = row.link.developer_user_identifier.is_empty();
        let is_identity = self.array.as_deref() == Some("identities");
        if required == Required::Link && is_identity && lacks_user {
            row.error
                .get_or_insert_with(|| RowError::new(RowErrorCode::MissingField, NO_USER));
        }
    }
}
