//! Errors of AWS about signatures.

use super::super::model::ApiError;

/// Message of AWS for a signature that is not the one it calculates.
pub(super) const MISMATCH: &str = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.";

/// Returns the error of a malformed `Authorization` header.
pub(super) fn incomplete(required: &str) -> ApiError {
    ApiError::new(
        "IncompleteSignatureException",
        format!("Authorization header requires {required}."),
    )
}

/// Returns the error of a wrong signature.
pub(super) fn invalid(message: String) -> ApiError {
    ApiError::new("InvalidSignatureException", message)
}
