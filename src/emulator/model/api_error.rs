//! Errors of the API.

/// An error that the API returns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// Error code, e.g. `ResourceNotFoundException`.
    pub code: &'static str,
    /// Message.
    pub message: String,
}

impl ApiError {
    pub(in crate::emulator) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    pub(super) fn no_pool(id: &str) -> Self {
        Self::not_found(format!("IdentityPool '{id}' not found."))
    }

    pub(super) fn no_identity(id: &str) -> Self {
        Self::not_found(format!("Identity '{id}' not found."))
    }

    /// Returns the refusal of an identity that is disabled.
    pub(super) fn forbidden_identity(id: &str) -> Self {
        Self::not_authorized(format!("Access to Identity '{id}' is forbidden."))
    }

    pub(super) fn not_authorized(message: impl Into<String>) -> Self {
        Self::new("NotAuthorizedException", message)
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new("ResourceConflictException", message)
    }
}
