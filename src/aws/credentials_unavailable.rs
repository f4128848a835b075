//! The error of credentials that cannot be used, in an operator's words.

use std::error::Error as StdError;

use crate::verdict::{CREDENTIALS_FAILED, Reply, ReplyDetails, ReplyKind};

/// No usable credentials: what failed, and what to do about it. The remedy comes last and ends with a full stop.
#[derive(Debug, thiserror::Error)]
#[error("{problem}{}{remedy}", if remedy.is_empty() { "" } else { ". " })]
pub(super) struct CredentialsUnavailable {
    pub(super) problem: String,
    /// Empty if the problem suffices.
    pub(super) remedy: String,
    /// No source of credentials is configured at all.
    pub(super) none_configured: bool,
    pub(super) source: Option<Box<dyn StdError + Send + Sync>>,
}

impl CredentialsUnavailable {
    /// Credentials whose configured source failed.
    pub(super) fn new(problem: String, remedy: impl Into<String>) -> Self {
        Self {
            problem,
            remedy: remedy.into(),
            none_configured: false,
            source: None,
        }
    }

    /// Returns the answer of an attempt that was not sent because of this error.
    pub(super) fn answer(&self) -> Reply {
        let code = if self.none_configured {
            "NoCredentials"
        } else {
            CREDENTIALS_FAILED
        };
        Reply {
            kind: ReplyKind::NoCredentials,
            details: ReplyDetails {
                code: Some(code.to_owned()),
                message: Some(self.to_string()),
                ..ReplyDetails::default()
            },
        }
    }
}
