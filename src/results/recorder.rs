//! The recorder of a run: of a results file, or of a log.

use std::io;
use std::thread::JoinHandle;

use super::line::Line;
use super::log::Appender;
use super::recording::Recording;
use super::writer::Writer;

/// Records the rows of a run: in a file, or in a log.
#[derive(Debug)]
pub enum Recorder {
    /// In a file.
    File(Box<Writer>),
    /// In a log of segments.
    Log(Appender),
}

impl Recorder {
    /// Starts the recording thread, for at most `open_rows` rows that are not recorded yet.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn start<L: Line>(self, open_rows: usize) -> io::Result<(Recording<L>, JoinHandle<()>)> {
        match self {
            Self::File(writer) => writer.start(open_rows),
            Self::Log(appender) => appender.start(open_rows),
        }
    }
}
