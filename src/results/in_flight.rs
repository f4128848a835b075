//! Marks rows in flight in the side file beside the results.
//!
//! The mark of a row is written into the row's slot before its first attempt starts. It stands until another row takes the slot,
//! or until the row is left without a call. A mark notes how long the results were when it was written, so the results
//! themselves show whether the row was recorded since. A `write` survives the death of the process; a power failure may lose
//! the last second of writes, here as in the results.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use super::completed_rows::CompletedRows;
use super::marks::{MarkFuture, Marks};
use super::options::ResultsOptions;
use super::paths::{OwnFile, side_file_path};
use super::side_file::{
    HEADER_BYTES, Header, LockHolder, Mark, MarkState, SLOT_BYTES, VERSION, boot_id, hash_of_tail,
};
use crate::clock;
use crate::files::{self, Identity, PRIVATE};
use crate::row::RowKey;

/// Marks rows in flight, each in its slot.
///
/// The results stay locked while this lives, so that no other run creates a side file under the name that this run still
/// removes.
#[derive(Debug)]
pub struct InFlight {
    file: File,
    side_file: OwnFile,
    /// Slots before this one hold marks of earlier runs that this run has not settled yet.
    first_slot: usize,
    slots: usize,
    /// Sync every mark to the disk before its call starts.
    durable: bool,
    doubtful: bool,
    /// A handle of the results. The lock is released when the last one is closed.
    _locked: File,
}

impl InFlight {
    /// Creates the side file of the locked `results`, with the marks of `completed` that are still unsettled. It atomically replaces
    /// an earlier one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn create(
        options: &ResultsOptions,
        key: [u8; 16],
        completed: &CompletedRows,
        results: &File,
    ) -> io::Result<Self> {
        let path = side_file_path(&options.path);
        let of_results = Identity::of(&results.metadata()?);
        let slots = completed.marks.len() + options.open_rows;
        let header = Header {
            version: VERSION,
            holder: this_run(options),
            key: format!("{:032x}", u128::from_le_bytes(key)),
            slots,
            boot: boot_id(),
            device: of_results.device,
            inode: of_results.inode,
            length: completed.length,
            tail: hash_of_tail(results, completed.length)?,
            doubt: completed.doubt.is_some(),
            check: String::new(),
        };
        let mut bytes = header.to_bytes()?;
        for mark in &completed.marks {
            bytes.extend(mark.to_slot(MarkState::Sent));
        }
        bytes.resize(HEADER_BYTES + slots * SLOT_BYTES, 0);
        let file = files::replace(&path, PRIVATE, &bytes)?;
        Ok(Self {
            side_file: OwnFile::new(path, &file)?,
            file,
            first_slot: completed.marks.len(),
            slots: options.open_rows,
            durable: options.durable,
            doubtful: completed.doubt.is_some(),
            _locked: results.try_clone()?,
        })
    }

    pub(super) fn side_file(&self) -> &OwnFile {
        &self.side_file
    }

    fn reserve_now(&self, slot: usize, key: RowKey, recorded: u64) -> io::Result<()> {
        self.write(slot, key, recorded, MarkState::Reserved)?;
        if self.durable {
            // A sync may take long, so another thread takes over the other tasks of this one.
            tokio::task::block_in_place(|| self.file.sync_data())?;
        }
        Ok(())
    }

    fn write(&self, slot: usize, key: RowKey, since: u64, state: MarkState) -> io::Result<()> {
        let bytes = Mark { key, since }.to_slot(state);
        self.file.write_all_at(&bytes, self.offset(slot))
    }

    fn offset(&self, slot: usize) -> u64 {
        debug_assert!(slot < self.slots, "the slot is behind the last one");
        (HEADER_BYTES + (self.first_slot + slot) * SLOT_BYTES) as u64
    }
}

impl Marks for InFlight {
    fn slots(&self) -> usize {
        self.slots
    }

    fn is_doubtful(&self) -> bool {
        self.doubtful
    }

    /// With `--durable` this waits for the disk. After a power failure the row may have been called, since the later mark that it was
    /// sent may be lost.
    fn reserve(&self, slot: usize, key: RowKey, recorded: u64) -> MarkFuture<'_> {
        Box::pin(std::future::ready(self.reserve_now(slot, key, recorded)))
    }

    /// The mark is not synced; only a disk that takes long for a write delays the call.
    fn mark_sent(
        &self,
        slot: usize,
        key: RowKey,
        recorded: u64,
        is_sent: bool,
    ) -> io::Result<bool> {
        if !is_sent {
            self.write(slot, key, recorded, MarkState::Sent)?;
        }
        Ok(true)
    }

    fn clear(&self, slot: usize) -> io::Result<()> {
        self.file.write_all_at(&[0; SLOT_BYTES], self.offset(slot))
    }

    fn remove(&self) -> io::Result<()> {
        self.side_file.check()?;
        fs::remove_file(self.side_file.path())
    }
}

/// Returns the run that these options are of, for other runs.
pub(super) fn this_run(options: &ResultsOptions) -> LockHolder {
    LockHolder {
        pid: std::process::id(),
        host: host_name(),
        started: clock::rfc3339_seconds(options.started).to_string(),
        run_id: options.run_id.clone(),
    }
}

/// Returns the host name, without characters that JSON would escape.
#[must_use]
pub fn host_name() -> String {
    fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| fs::read_to_string("/etc/hostname"))
        .or_else(|_| std::env::var("HOSTNAME"))
        .unwrap_or_else(|_| "localhost".to_owned())
        .chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
        .take(64)
        .collect()
}

#[cfg(test)]
#[path = "in_flight_tests.rs"]
mod tests;
