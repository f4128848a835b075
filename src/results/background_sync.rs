//! Syncs files on a thread of its own.

use std::fs::File;
use std::io;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// A thread that syncs the results: a slow disk must not delay lines, and with them calls.
pub(super) struct BackgroundSync {
    requests: Option<SyncSender<()>>,
    failure: Arc<Mutex<Option<io::Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl BackgroundSync {
    pub(super) fn start(files: Vec<File>) -> io::Result<Self> {
        // One request may wait while a sync is in progress: its own sync covers everything written before that begins.
        let (requests, requested) = sync_channel(1);
        let failure: Arc<Mutex<Option<io::Error>>> = Arc::default();
        let found = Arc::clone(&failure);
        let thread = std::thread::Builder::new()
            .name("sync".to_owned())
            .spawn(move || {
                while requested.recv().is_ok() {
                    if let Err(error) = files.iter().try_for_each(File::sync_data) {
                        *found.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        return;
                    }
                }
            })?;
        Ok(Self {
            requests: Some(requests),
            failure,
            thread: Some(thread),
        })
    }

    /// Requests a sync of everything written so far. Returns whether there will be one.
    pub(super) fn request(&self) -> bool {
        self.requests
            .as_ref()
            .is_some_and(|requests| requests.try_send(()).is_ok())
    }

    /// Returns the error of a sync that has failed since the last check.
    ///
    /// # Errors
    /// A sync has failed.
    pub(super) fn check(&self) -> io::Result<()> {
        let failure = &mut *self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.take().map_or(Ok(()), Err)
    }

    /// Waits for the sync in progress, and ends the thread.
    ///
    /// # Errors
    /// A sync has failed.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        drop(self.requests.take());
        if let Some(thread) = self.thread.take() {
            // If the thread has panicked, the caller's own last sync shows whether the disk works.
            let _ = thread.join();
        }
        self.check()
    }
}
