//! Reads the inputs again, for the rows that are left to do.

use std::slice::Iter;

use crate::error::Error;
use crate::exit_policy::unreadable;
use crate::input::{self, Input, InputRow, Reader};
use crate::row::{Field, Link};
use crate::scan::{Scan, Scanned};
use crate::settings::Settings;

/// Passes the four fields of each row that is left to `take`, in the order of [`Field::ALL`]. Most rows are checked and not built,
/// which takes less time than [`LeftRows`].
///
/// # Errors
/// An input cannot be read.
pub(super) fn for_each_left(
    settings: &Settings,
    scan: &Scan,
    mut take: impl FnMut([&str; 4]),
) -> Result<(), Error> {
    let mut take_left = |values: [&str; 4]| {
        if scan.values(values) == Scanned::ToDo {
            take(values);
        }
    };
    for input in &settings.inputs {
        let mut reader = input::open(input, &settings.input).map_err(unreadable)?;
        loop {
            reader.take_valid(|_, values| take_left(values));
            match reader.next().transpose().map_err(unreadable)? {
                Some(InputRow::Valid(row)) => {
                    take_left(Field::ALL.map(|field| row.link.get(field)));
                }
                Some(InputRow::Invalid(_)) => {}
                None => break,
            }
        }
    }
    Ok(())
}

/// An iterator over the rows that are left to do: valid, and neither done nor held.
pub(super) struct LeftRows<'a> {
    settings: &'a Settings,
    scan: &'a Scan,
    inputs: Iter<'a, Input>,
    reader: Option<Reader>,
}

impl<'a> LeftRows<'a> {
    pub(super) fn new(settings: &'a Settings, scan: &'a Scan) -> Self {
        Self {
            settings,
            scan,
            inputs: settings.inputs.iter(),
            reader: None,
        }
    }

    fn read(&mut self) -> Result<Option<Link>, Error> {
        loop {
            let Some(reader) = &mut self.reader else {
                let Some(input) = self.inputs.next() else {
                    return Ok(None);
                };
                let reader = input::open(input, &self.settings.input).map_err(unreadable)?;
                self.reader = Some(reader);
                continue;
            };
            match reader.next().transpose().map_err(unreadable)? {
                Some(InputRow::Valid(row)) if self.scan.link(&row.link) == Scanned::ToDo => {
                    return Ok(Some(row.link));
                }
                Some(_) => {}
                None => self.reader = None,
            }
        }
    }
}

impl Iterator for LeftRows<'_> {
    type Item = Result<Link, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.read().transpose()
    }
}
