//! What a run can end with, and what it says then.

use std::fmt;

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
    /// A single call was not made, or failed: the AWS CLI's code for everything but wrong usage.
    CallFailed = 255,
}

impl Exit {
    /// As the shell sees it.
    #[must_use]
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// An end before or instead of a run's summary: what is wrong, what to do, and the exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The exit code.
    pub exit: Exit,
    /// What is wrong and where.
    pub message: String,
    /// What to do next, where that is not plain from the message.
    pub hint: Option<String>,
}

impl Error {
    /// An error that says `message` and ends with `exit`.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// Wrong usage or configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The same error with a hint what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n{hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
