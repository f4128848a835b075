//! The file beside the results that takes lines too: rows without results, or the results whose rows a job changes.

use std::fs::File;
use std::io;

use super::appended_file::AppendedFile;
use super::line::{Layout, Line};
use super::unresolved_file::UnresolvedFile;

/// A second file to which the recording thread appends.
#[derive(Debug)]
pub(super) enum Beside {
    /// The rows without links of a resolve.
    Unresolved(UnresolvedFile),
    /// The results of earlier runs, some of whose rows this run changes.
    Changed(AppendedFile, Layout),
}

impl Beside {
    /// Appends the lines that belong in this file to the current batch. `buffer` is used for them.
    pub(super) fn write<'a, L: Line>(
        &mut self,
        lines: impl Iterator<Item = &'a L>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        buffer.clear();
        match self {
            Self::Unresolved(file) => {
                L::write_unresolved(lines, buffer);
                file.write(buffer)
            }
            Self::Changed(file, layout) => {
                L::write_changed(lines, layout, buffer);
                file.write(buffer)
            }
        }
    }

    pub(super) fn file(&mut self) -> &mut AppendedFile {
        match self {
            Self::Unresolved(unresolved) => &mut unresolved.file,
            Self::Changed(file, _) => file,
        }
    }

    pub(super) fn try_clone(&self) -> io::Result<File> {
        match self {
            Self::Unresolved(unresolved) => unresolved.file.try_clone(),
            Self::Changed(file, _) => file.try_clone(),
        }
    }

    /// Checks that the file is still at its path and that no other process has written to it.
    pub(super) fn check_unchanged(&self) -> io::Result<()> {
        match self {
            Self::Unresolved(unresolved) => unresolved.check_unchanged(),
            Self::Changed(file, _) => file.check_unchanged(),
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Unresolved(unresolved) => unresolved.sync(),
            Self::Changed(file, _) => file.sync(),
        }
    }
}
