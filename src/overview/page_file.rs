//! The file of the page. It replaces an earlier page, and nothing else.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::new_file::Written;
use super::page::MARK;
use crate::command_line;
use crate::error::{Error, Exit};
use crate::files::{self, Draft};

/// Mode of a page, which names no user and is made to be handed on.
const MODE: u32 = 0o644;

/// A file that may be written.
#[derive(Debug, Clone)]
pub struct PageFile {
    option: &'static str,
    path: PathBuf,
}

impl PageFile {
    /// Checks that a page can be written there.
    ///
    /// # Errors
    /// The name is not that of a page, something else stands there, or the operating system refuses.
    pub fn check(option: &'static str, path: &Path) -> Result<Self, Error> {
        let refused = |why: &str| {
            Error::usage(format!("--{option} {}: {why}", path.display()))
                .hint("Name another file, which ends in .html.")
        };
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        if ending != "html" && ending != "htm" {
            return Err(refused("the name of a page ends in .html"));
        }
        match starts_as_page(path) {
            Ok(true) => {}
            Ok(false) => return Err(refused("the file is there already, and is no report")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(refused(&error.to_string())),
        }
        // It is removed when it is dropped.
        Draft::create(path, MODE)
            .map_err(|error| refused(&format!("it cannot be written: {error}")))?;
        Ok(Self {
            option,
            path: path.to_owned(),
        })
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the command that writes the page later.
    #[must_use]
    pub fn command(&self, results: &Path) -> String {
        let words = ["cognito-unlink", "report"].map(str::to_owned);
        let (results, page) = (results.to_string_lossy(), self.path.to_string_lossy());
        command_line::changed(&words, &[], &[&results, "--html", &page])
    }

    /// Writes the page, in one step.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(super) fn write(&self, html: &str) -> Result<Written, Error> {
        files::replace(&self.path, MODE, html.as_bytes()).map_err(|error| {
            let name = self.path.display();
            Error::new(
                Exit::Halted,
                format!("--{} {name} cannot be written: {error}", self.option),
            )
            .hint("Check the folder, the disk and the permissions. The results are as they were.")
        })?;
        Ok(Written {
            option: self.option,
            path: self.path.clone(),
            records: html.len() as u64,
        })
    }
}

/// Returns whether the file begins as a page of ours.
fn starts_as_page(path: &Path) -> io::Result<bool> {
    let file = files::open(path, File::options().read(true))?;
    let mut start = Vec::new();
    file.take(MARK.len() as u64).read_to_end(&mut start)?;
    Ok(start == MARK.as_bytes())
}
