//! Access keys.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

/// An access key whose signatures are verified.
#[derive(Clone, PartialEq, Eq)]
pub struct AccessKey {
    /// Access key id.
    pub id: String,
    /// Secret access key.
    pub secret: String,
    /// Session token of temporary credentials, which every request must carry.
    pub token: Option<String>,
}

impl fmt::Debug for AccessKey {
    /// Omits the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl FromStr for AccessKey {
    type Err = String;

    /// Parses `ID:SECRET`, or `ID:SECRET:TOKEN` for temporary credentials.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':').map(str::to_owned);
        let (id, secret, token) = (parts.next(), parts.next(), parts.next());
        match (id, secret) {
            (Some(id), Some(secret))
                if !id.is_empty()
                    && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                    && !secret.is_empty()
                    && token.as_ref().is_none_or(|token| !token.is_empty()) =>
            {
                Ok(Self { id, secret, token })
            }
            _ => Err("expected ID:SECRET, or ID:SECRET:TOKEN".to_owned()),
        }
    }
}

/// The access keys whose signatures are verified, by id. Without any, every access key and every signature is accepted.
#[derive(Debug, Default)]
pub(in crate::emulator) struct AccessKeys(HashMap<String, AccessKey>);

impl AccessKeys {
    pub(in crate::emulator) fn new(keys: Vec<AccessKey>) -> Self {
        Self(keys.into_iter().map(|key| (key.id.clone(), key)).collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, id: &str) -> Option<&AccessKey> {
        self.0.get(id)
    }
}
