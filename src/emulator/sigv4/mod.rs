//! AWS Signature Version 4: authenticates requests.
//!
//! [`authenticate()`] parses the `Authorization` header, and, if access keys were given, verifies the signing time and the
//! signature over the canonical request.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

mod access_key;
mod authenticate;
mod authorization;
mod canonical;
mod errors;
mod signing_time;

pub use access_key::AccessKey;

pub(super) use access_key::AccessKeys;
pub(super) use authenticate::{Signer, authenticate};

/// Signing name of Cognito Identity.
pub(super) const COGNITO: &str = "cognito-identity";
/// Signing name of STS.
pub(super) const STS: &str = "sts";

#[cfg(test)]
mod tests;
