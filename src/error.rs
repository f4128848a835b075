//! The error that ends a command.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

pub use crate::exit::Exit;

/// An error that ends a command in place of its report: the fault, the next step, and the exit code.
#[derive(Debug, Clone)]
pub struct Error {
    /// The exit code.
    pub exit: Exit,
    /// The fault, and where it is.
    pub message: String,
    /// The next step, if the message does not make it obvious.
    pub hint: Option<String>,
    /// The error that the message was made from, if there is one.
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error with this exit code and message.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
            source: None,
        }
    }

    /// Creates an error with the exit code for wrong usage or configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Creates an error with this exit code and the text of `error`, and keeps the sources of `error`.
    pub fn from_source(exit: Exit, error: impl StdError + Send + Sync + 'static) -> Self {
        let message = error.to_string();
        Self {
            source: Some(Arc::new(error)),
            ..Self::new(exit, message)
        }
    }

    /// Returns the same error with another exit code.
    #[must_use]
    pub fn with_exit(self, exit: Exit) -> Self {
        Self { exit, ..self }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Errors that read the same are equal.
impl PartialEq for Error {
    fn eq(&self, other: &Self) -> bool {
        (self.exit, &self.message, &self.hint) == (other.exit, &other.message, &other.hint)
    }
}

impl Eq for Error {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\n{hint}"),
            None => Ok(()),
        }
    }
}

impl StdError for Error {
    /// Returns the cause behind the message: the error that the message was made from would only repeat it.
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_ref()?.source()
    }
}
