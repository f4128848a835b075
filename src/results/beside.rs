//! The file beside the results that takes lines too: rows without results, or the results whose rows a job changes, which may be those of
//! several shards.

use std::fs::File;
use std::io;

use super::appended_file::AppendedFile;
use super::line::{Layout, Line};
use super::log::ChangedLog;
use super::unresolved_file::UnresolvedFile;
use crate::row::Shard;

/// A second file to which the recording thread appends.
#[derive(Debug)]
pub(super) enum Beside {
    /// The rows without links of a resolve.
    Unresolved(UnresolvedFile),
    /// The results of earlier runs, some of whose rows this run changes.
    Changed(Vec<ChangedFile>),
    /// The same, in a store.
    ChangedLogs(Vec<ChangedLog>),
}

/// Results of earlier runs.
#[derive(Debug)]
pub(super) struct ChangedFile {
    /// The shard whose rows they hold; `None` if they hold those of a whole job.
    pub(super) shard: Option<Shard>,
    pub(super) file: AppendedFile,
    pub(super) layout: Layout,
}

impl Beside {
    /// Appends the lines that belong in this file to the current batch. `buffer` is used for them.
    pub(super) fn write<'a, L: Line>(
        &mut self,
        lines: impl Iterator<Item = &'a L> + Clone,
        buffer: &mut Vec<u8>,
    ) -> io::Result<()> {
        buffer.clear();
        match self {
            Self::Unresolved(file) => {
                L::write_unresolved(lines, buffer);
                file.write(buffer)
            }
            Self::Changed(files) => {
                for changed in files {
                    buffer.clear();
                    L::write_changed(lines.clone(), &changed.layout, changed.shard, buffer);
                    changed.file.write(buffer)?;
                }
                Ok(())
            }
            Self::ChangedLogs(logs) => {
                for changed in logs {
                    buffer.clear();
                    L::write_changed(lines.clone(), &changed.layout, changed.shard, buffer);
                    changed.append(buffer)?;
                }
                Ok(())
            }
        }
    }

    /// Returns the files.
    pub(super) fn files(&mut self) -> Vec<&mut AppendedFile> {
        match self {
            Self::Unresolved(unresolved) => vec![&mut unresolved.file],
            Self::Changed(files) => files.iter_mut().map(|changed| &mut changed.file).collect(),
            Self::ChangedLogs(_) => Vec::new(),
        }
    }

    pub(super) fn try_clone(&self) -> io::Result<Vec<File>> {
        match self {
            Self::Unresolved(unresolved) => Ok(vec![unresolved.file.try_clone()?]),
            Self::Changed(files) => files
                .iter()
                .map(|changed| changed.file.try_clone())
                .collect(),
            Self::ChangedLogs(_) => Ok(Vec::new()),
        }
    }

    /// Checks that the file is still at its path and that no other process has written to it.
    pub(super) fn check_unchanged(&self) -> io::Result<()> {
        match self {
            Self::Unresolved(unresolved) => unresolved.check_unchanged(),
            Self::Changed(files) => files
                .iter()
                .try_for_each(|changed| changed.file.check_unchanged()),
            Self::ChangedLogs(_) => Ok(()),
        }
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        match self {
            Self::Unresolved(unresolved) => unresolved.sync(),
            Self::Changed(files) => files.iter().try_for_each(|changed| changed.file.sync()),
            // A line that was appended is in an acknowledged segment.
            Self::ChangedLogs(_) => Ok(()),
        }
    }
}
