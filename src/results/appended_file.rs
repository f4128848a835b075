//! A file to which one thread alone appends.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::paths::check_same_file;

/// A file to which one thread alone appends, in batches: a batch is in it as a whole, or not at all.
#[derive(Debug)]
pub(super) struct AppendedFile {
    file: File,
    path: PathBuf,
    /// Length without the current batch, in bytes.
    length: Arc<AtomicU64>,
    /// Bytes of the current batch.
    batch: u64,
}

impl AppendedFile {
    /// Wraps a file of this length, which is positioned at its end.
    pub(super) fn new(file: File, path: PathBuf, length: u64) -> Self {
        Self {
            file,
            path,
            length: Arc::new(AtomicU64::new(length)),
            batch: 0,
        }
    }

    /// Returns its length as far as whole batches were handed to the operating system.
    pub(super) fn length(&self) -> &Arc<AtomicU64> {
        &self.length
    }

    pub(super) fn try_clone(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Returns whether nothing was written to it.
    pub(super) fn is_empty(&self) -> bool {
        self.length.load(Ordering::Acquire) + self.batch == 0
    }

    /// Checks that the file is still at its path and that no other process has written to it.
    pub(super) fn check_unchanged(&self) -> io::Result<()> {
        let metadata = check_same_file(&self.path, &self.file)?;
        if metadata.len() == self.length.load(Ordering::Acquire) {
            Ok(())
        } else {
            Err(io::Error::other("another process has written to it"))
        }
    }

    /// Appends to the current batch.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.batch += bytes.len() as u64;
        Ok(())
    }

    /// Ends the current batch.
    pub(super) fn commit(&mut self) {
        let batch = std::mem::take(&mut self.batch);
        // No other thread changes it.
        self.length.fetch_add(batch, Ordering::Release);
    }

    /// Removes the current batch. Half a line would break programs that read the file meanwhile; if this fails, the next start
    /// cuts it off.
    pub(super) fn roll_back(&mut self) {
        self.batch = 0;
        let _ = self.file.set_len(self.length.load(Ordering::Acquire));
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
