//! A link.

use serde::Deserialize;

/// A developer user identifier that is linked to an identity: the parameters of `UnlinkDeveloperIdentity`. It is not the
/// program's own link, from which the emulator is independent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Link {
    /// Id of the identity: `Region:GUID`.
    pub identity_id: String,
    /// Id of the identity pool: `Region:GUID`.
    pub identity_pool_id: String,
    /// Developer provider name of the pool.
    pub developer_provider_name: String,
    /// Developer user identifier.
    pub developer_user_identifier: String,
}
