//! Inputs as the user names them.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::objects::{ObjectUri, is_object};

/// An input as the user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Standard input, named `-`.
    Stdin,
    /// A file, by the path that the user typed.
    File(PathBuf),
    /// An object in S3, named `s3://bucket/key`.
    Object(ObjectUri),
}

impl From<OsString> for Input {
    fn from(typed: OsString) -> Self {
        if typed == "-" {
            Self::Stdin
        } else if is_object(&typed) {
            Self::Object(ObjectUri::of(&typed))
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
            Self::Object(uri) => uri.to_string().into(),
        }
    }

    /// Returns the path or key whose ending determines the format and the compression; standard input has none.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Stdin => None,
            Self::File(path) => Some(path),
            Self::Object(uri) => Some(Path::new(&uri.key)),
        }
    }

    /// Returns whether it can be read twice. A pipe cannot: reading ahead would take rows out of it.
    #[must_use]
    pub fn can_be_read_again(&self) -> bool {
        match self {
            Self::Stdin => false,
            Self::Object(_) => true,
            Self::File(path) => !fs::metadata(path).is_ok_and(|metadata| {
                let kind = metadata.file_type();
                kind.is_fifo() || kind.is_char_device() || kind.is_socket()
            }),
        }
    }
}
