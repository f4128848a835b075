//! The end of a call that was not made or failed.

use crate::error::{Error, Exit};

/// Ends with the AWS CLI's exit code for everything but wrong usage.
pub(super) fn failed(message: impl Into<String>) -> Error {
    Error::new(Exit::CallFailed, message)
}
