//! `--redact`: the results with pseudonyms in place of what names people.
//!
//! A pseudonym is HMAC-SHA-256 of the column's name and the value, cut to 128 bits. The same key gives the same names, so rows can still
//! be counted and compared; without the key a name leads to no person, and with it to anyone whose identifier is known. So the key is
//! kept apart, and the file is pseudonymous, not anonymous.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::new_file::{NewFile, Written};
use super::reading::{OpenFiles, Sink};
use crate::error::Error;
use crate::files;
use crate::jobs::unlink::UnlinkOutcome;
use crate::report::notice;
use crate::results::{Column, Format, RecordedRow};
use crate::row::{Carried, Field, region_of};
use crate::verdict::{MASK, Outcome as _, Standing, shown_code, shown_request_id};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Bytes of a pseudonym: 128 bits, so that two of ten million values have the same one with a probability below 1 in 10^24.
const PSEUDONYM_BYTES: usize = 16;

/// Makes pseudonyms.
struct Pseudonyms(Hmac<Sha256>);

impl Pseudonyms {
    /// Reads the key, or makes one where there is none.
    fn of_file(path: &Path) -> Result<Self, Error> {
        let failed = |error: std::io::Error| {
            Error::usage(format!("--key {} cannot be used: {error}", path.display()))
        };
        let key = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let mut key = [0; KEY_BYTES];
                getrandom::fill(&mut key).map_err(|error| failed(std::io::Error::other(error)))?;
                let mut file = files::create(path).map_err(failed)?;
                file.write_all(&key)
                    .and_then(|()| file.sync_all())
                    .map_err(failed)?;
                notice(&format!(
                    "{}: a new key was made. Who has it can find out whom a name stands for; keep it apart from the redacted file.",
                    path.display()
                ));
                key
            }
            _ => {
                let file = files::open(path, OpenOptions::new().read(true)).map_err(failed)?;
                read_key(&file, path)?
            }
        };
        let hmac = Hmac::new_from_slice(&key).expect("a key of any length");
        Ok(Self(hmac))
    }

    /// Returns the pseudonym of a value in a column; nothing stays nothing.
    fn of(&self, column: &str, value: &str) -> String {
        if value.is_empty() {
            return String::new();
        }
        let mut mac = self.0.clone();
        mac.update(&(column.len() as u64).to_le_bytes());
        mac.update(column.as_bytes());
        mac.update(value.as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..PSEUDONYM_BYTES])
    }

    /// Returns the pseudonym of an identity. It keeps its Region, by which reports count.
    fn of_identity(&self, column: &str, id: &str) -> String {
        let name = self.of(column, id);
        match Field::IdentityId.check(id) {
            Ok(()) => format!("{}:{name}", region_of(id)),
            Err(_) => name,
        }
    }

    /// Returns the value if it has the form that is expected, which names no person, and its pseudonym otherwise.
    fn unless(&self, is_fit: bool, column: &str, value: &str) -> String {
        if is_fit {
            value.to_owned()
        } else {
            self.of(column, value)
        }
    }
}

fn read_key(file: &File, path: &Path) -> Result<[u8; KEY_BYTES], Error> {
    let failed = |why: &str| Error::usage(format!("--key {}: {why}", path.display()));
    let metadata = file
        .metadata()
        .map_err(|error| failed(&error.to_string()))?;
    if metadata.mode() & 0o077 != 0 {
        return Err(failed("others can read the key").hint(format!(
            "Make it private with: chmod 600 {}",
            path.display()
        )));
    }
    let mut key = Vec::new();
    file.take(KEY_BYTES as u64 + 1)
        .read_to_end(&mut key)
        .map_err(|error| failed(&error.to_string()))?;
    key.try_into().map_err(|_| {
        failed("it is no key, which has 32 bytes")
            .hint("Name a file that is not there yet, to have a key made.")
    })
}

/// What decides on the values of a line.
#[derive(Debug, Clone, Copy)]
struct LineKind {
    /// A server has answered: its code may be anything.
    is_answer: bool,
    /// The row keeps the rules, so that pool and provider stand in their columns.
    is_sound: bool,
}

/// The file of redacted results.
pub(super) struct RedactedFile {
    file: NewFile,
    names: Pseudonyms,
    columns: Vec<String>,
    /// Columns before the carried ones.
    own: usize,
    /// Numbers of sources, by their names.
    sources: HashMap<String, usize>,
}

impl RedactedFile {
    /// Creates the file, and the key if it is absent.
    ///
    /// # Errors
    /// The results have different columns or formats, or a file cannot be created or read.
    pub(super) fn create(path: &Path, key: &Path, results: &OpenFiles) -> Result<Self, Error> {
        let mut all = results.iter();
        let Some((first, head)) = all.next() else {
            return Err(Error::usage("there are no results"));
        };
        let is_json = |format: Format| format == Format::Jsonl;
        let differs = |other: &crate::results::RecordedResults| {
            other.columns() != head.columns() || is_json(other.format()) != is_json(head.format())
        };
        if let Some((other, _)) = all.find(|(_, results)| differs(results)) {
            return Err(Error::usage(format!(
                "--redact: {} and {} have different columns or formats",
                first.display(),
                other.display()
            ))
            .hint("Redact them one by one, with the same --key."));
        }
        if Format::of_name(path).is_some_and(|format| is_json(format) != is_json(head.format())) {
            return Err(Error::usage(format!(
                "--redact {}: the file has the format of the results, and its name says another",
                path.display()
            )));
        }
        let columns = head.columns().to_vec();
        let file = NewFile::create("redact", path, columns.clone())?;
        Ok(Self {
            file,
            names: Pseudonyms::of_file(key)?,
            own: columns.len() - head.carry().len(),
            columns,
            sources: HashMap::new(),
        })
    }

    /// Completes the file.
    ///
    /// # Errors
    /// It could not be written.
    pub(super) fn finish(self) -> Result<Written, Error> {
        self.file.finish()
    }

    fn number_of(&mut self, source: &str) -> String {
        let next = self.sources.len() + 1;
        let number = match self.sources.get(source) {
            Some(number) => *number,
            None => *self.sources.entry(source.to_owned()).or_insert(next),
        };
        number.to_string()
    }

    /// Returns the value of one of our own columns as it may be handed over.
    fn redacted(&mut self, place: usize, value: &str, line: LineKind) -> String {
        let names = &self.names;
        let column = &*self.columns[place];
        match place {
            _ if place == Column::Source as usize => self.number_of(value),
            _ if place == Column::IdentityId as usize => names.of_identity(column, value),
            _ if place == Column::DeveloperUserIdentifier as usize
                || place == Column::ErrorMessage as usize =>
            {
                names.of(column, value)
            }
            // Pools and providers are no persons, unless a person stands in their column.
            _ if place == Column::IdentityPoolId as usize => {
                let is_fit = line.is_sound && Field::IdentityPoolId.check(value).is_ok();
                names.unless(is_fit, column, value)
            }
            _ if place == Column::DeveloperProviderName as usize => {
                let is_fit = line.is_sound && Field::DeveloperProviderName.check(value).is_ok();
                names.unless(is_fit, column, value)
            }
            _ if place == Column::ErrorCode as usize => {
                let is_fit = !line.is_answer || shown_code(value) != MASK;
                names.unless(is_fit, column, value)
            }
            _ if place == Column::RequestId as usize || place == Column::RequestIds as usize => {
                let ids = value
                    .split(' ')
                    .map(|id| names.unless(shown_request_id(id) != MASK, column, id));
                ids.collect::<Vec<_>>().join(" ")
            }
            _ if place <= Column::RunId as usize => value.to_owned(),
            // Of a later version; a number names no person.
            _ => names.unless(
                value.bytes().all(|byte| byte.is_ascii_digit()),
                column,
                value,
            ),
        }
    }
}

impl Sink for RedactedFile {
    fn take(&mut self, _: usize, line: &RecordedRow<'_, UnlinkOutcome>, _: bool) {
        let kind = LineKind {
            is_answer: !line.text(Column::HttpStatus).is_empty(),
            is_sound: line.outcome.standing() != Standing::Invalid,
        };
        let columns = std::mem::take(&mut self.columns);
        let values: Vec<Carried> = line.values(&columns).collect();
        self.columns = columns;
        let values = values.into_iter().enumerate().map(|(place, value)| {
            let is_carried = place >= self.own;
            match value {
                Carried::Absent => Carried::Absent,
                // Numbers of our own.
                Carried::Json(json) if !is_carried => Carried::Json(json),
                value if is_carried => {
                    let name = self.names.of(&self.columns[place], value.as_cell());
                    Carried::Text(name)
                }
                value => Carried::Text(self.redacted(place, value.as_cell(), kind)),
            }
        });
        let values: Vec<Carried> = values.collect();
        self.file.write(&values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_is_that_of_a_value_in_a_column_under_a_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let names = |file: &str| Pseudonyms::of_file(&folder.path().join(file)).expect("a key");
        let (one, again, other) = (names("one"), names("one"), names("other"));
        let name = one.of("ticket", "T-7");
        assert_eq!(name.len(), 32);
        assert_eq!(again.of("ticket", "T-7"), name);
        for different in [
            other.of("ticket", "T-7"),
            one.of("ticket", "T-8"),
            one.of("ticke", "tT-7"),
        ] {
            assert_ne!(different, name);
        }
        assert_eq!(one.of("ticket", ""), "");
        let identity = one.of_identity("identity_id", "us-east-1:00ff");
        assert!(identity.starts_with("us-east-1:"), "{identity}");
        assert!(Field::IdentityId.check(&identity).is_ok(), "{identity}");
        assert!(!one.of_identity("identity_id", "ann:smith").contains("ann"));
    }

    #[test]
    fn a_key_that_is_none_or_is_not_private_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key");
        for (bytes, mode) in [(31, 0o600), (33, 0o600), (32, 0o640)] {
            fs::write(&path, vec![7; bytes]).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("ours");
            assert!(Pseudonyms::of_file(&path).is_err(), "{bytes} {mode:o}");
        }
    }
}
