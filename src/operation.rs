//! Operations of the Cognito Identity API. AWS counts a quota for each of them, per account and Region.

use std::collections::BTreeMap;
use std::fmt;

/// An operation that this program calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Unlinks a developer user identifier from an identity.
    UnlinkDeveloperIdentity,
    /// Describes an identity pool.
    DescribeIdentityPool,
    /// Returns the identity of a user, or the users of an identity.
    LookupDeveloperIdentity,
    /// Describes an identity.
    DescribeIdentity,
    /// Lists the identities of a pool.
    ListIdentities,
    /// Links a developer user identifier to an identity, and returns a token that opens the identity.
    GetOpenIdTokenForDeveloperIdentity,
}

/// Quotas in calls per second, by Region and operation.
pub type OperationQuotas = BTreeMap<(String, Operation), f64>;

impl Operation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::UnlinkDeveloperIdentity,
        Self::DescribeIdentityPool,
        Self::LookupDeveloperIdentity,
        Self::DescribeIdentity,
        Self::ListIdentities,
        Self::GetOpenIdTokenForDeveloperIdentity,
    ];

    /// Returns the name that AWS gives the operation.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnlinkDeveloperIdentity => "UnlinkDeveloperIdentity",
            Self::DescribeIdentityPool => "DescribeIdentityPool",
            Self::LookupDeveloperIdentity => "LookupDeveloperIdentity",
            Self::DescribeIdentity => "DescribeIdentity",
            Self::ListIdentities => "ListIdentities",
            Self::GetOpenIdTokenForDeveloperIdentity => "GetOpenIdTokenForDeveloperIdentity",
        }
    }

    /// Returns whether rows call the operation, and not only the program beside them.
    #[must_use]
    pub const fn is_of_rows(self) -> bool {
        !matches!(self, Self::DescribeIdentityPool | Self::ListIdentities)
    }

    /// Returns the quota in calls per second that AWS publishes, if it publishes one.
    #[must_use]
    pub const fn published_quota(self) -> Option<f64> {
        match self {
            Self::ListIdentities => Some(5.0),
            Self::GetOpenIdTokenForDeveloperIdentity => Some(50.0),
            _ => None,
        }
    }

    /// Returns the operation of this name, if this program calls it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|operation| operation.as_str() == name)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
