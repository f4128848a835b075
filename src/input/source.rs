//! Inputs as the user names them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;
use std::sync::Arc;

/// An input as the user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input, named `-`.
    Stdin,
    /// A file, by the path that the user typed.
    File(PathBuf),
}

impl From<OsString> for Input {
    fn from(typed: OsString) -> Self {
        if typed == "-" {
            Self::Stdin
        } else {
            Self::File(typed.into())
        }
    }
}

impl Input {
    /// Returns the name that the user gave it.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        match self {
            Self::Stdin => "-".into(),
            Self::File(path) => path.to_string_lossy().into(),
        }
    }

    /// Returns whether it can be read twice. A pipe cannot: reading ahead would take rows out of it.
    #[must_use]
    pub fn can_be_read_again(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::File(path) => !fs::metadata(path).is_ok_and(|metadata| {
                let kind = metadata.file_type();
                kind.is_fifo() || kind.is_char_device() || kind.is_socket()
            }),
        }
    }
}
