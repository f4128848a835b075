//! The runs log of results, wherever they are.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::appender::Shared;
use crate::results::runs_log::{RunEvent, append};

/// Time-out of the last segment of a run: 5 s. Halved, a slow store leaves a run without its end; doubled, a run that a signal stops
/// takes longer.
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// The runs log of results.
#[derive(Debug, Clone)]
pub enum LogEvents {
    /// A file beside the results.
    File(PathBuf),
    /// The segments of the results themselves.
    Segments(LogEnd),
}

/// The handle with which a run records its begin, and its end as its last segment.
#[derive(Debug, Clone)]
pub struct LogEnd(pub(super) Arc<Shared>);

impl LogEnd {
    /// Puts the last segment, unless the log is another run's by now.
    ///
    /// # Errors
    /// The store refuses, or does not answer in time.
    pub async fn put(&self, event: Option<RunEvent>) -> io::Result<()> {
        let shared = &self.0;
        {
            let mut state = shared.state();
            if state.is_over {
                return Ok(());
            }
            state.events.extend(event);
        }
        let mut segment = shared.make(Vec::new())?;
        // Nothing is called any more.
        segment.tail.claim.clear();
        segment.tail.end = true;
        let put = timeout(END_TIMEOUT, shared.put(&segment, &|_| {})).await;
        put.unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time")))
    }
}

impl LogEvents {
    /// Records that a run begins.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn begin(&self, event: RunEvent) -> io::Result<()> {
        match self {
            Self::File(path) => append(path, &event),
            Self::Segments(LogEnd(shared)) => {
                shared.state().events.push(event);
                Ok(())
            }
        }
    }

    /// Records that a run has ended, and that another one may begin at once.
    ///
    /// # Errors
    /// It cannot be recorded.
    pub async fn end(&self, event: RunEvent) -> io::Result<()> {
        match self {
            Self::File(path) => append(path, &event),
            Self::Segments(end) => end.put(Some(event)).await,
        }
    }

    /// Returns the name for messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Segments(LogEnd(shared)) => shared.name(),
        }
    }
}
