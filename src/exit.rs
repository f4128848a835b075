//! The exit codes.

/// The documented exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Every row is done.
    Done = 0,
    /// The run finished; some rows are failed, in doubt or invalid.
    NotAllDone = 1,
    /// Wrong usage or configuration; nothing was called.
    Usage = 2,
    /// The input cannot be read, or could not be read to its end.
    Input = 3,
    /// Stopped early as asked; rows remain.
    Stopped = 4,
    /// Something outside the rows needs attention first.
    Halted = 5,
    /// Another run holds the results file.
    Locked = 6,
    /// Stopped by SIGHUP; rows remain.
    HungUp = 129,
    /// Stopped by SIGINT; rows remain.
    Interrupted = 130,
    /// Stopped by SIGTERM; rows remain.
    Terminated = 143,
    /// A single call was not made, or failed: the code of the AWS CLI for everything but wrong usage.
    CallFailed = 255,
}

impl Exit {
    /// Returns the code that the shell sees.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}
