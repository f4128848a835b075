//! A developer user identifier linked to an identity.

use std::fmt;

use super::error::{RowError, RowErrorCode};
use super::field::Field;
use super::id::region_of;
use super::invisible::is_invisible;
use super::unusual::{UnusualKind, UnusualPolicy};

/// A developer user identifier linked to an identity: the parameters of one `UnlinkDeveloperIdentity`.
///
/// Values are exactly those of the input. In an invalid row, a value that could not be read is empty.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Link {
    /// `REGION:GUID` of the identity.
    pub identity_id: String,
    /// `REGION:GUID` of the identity pool; its prefix is the Region that is called.
    pub identity_pool_id: String,
    /// The pool's developer provider name.
    pub developer_provider_name: String,
    /// The user as the developer's own system names them. It identifies a person and stays out of messages and logs.
    pub developer_user_identifier: String,
}

impl fmt::Debug for Link {
    /// Leaves the user identifier out, so that no log or panic message can show it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("identity_id", &self.identity_id)
            .field("identity_pool_id", &self.identity_pool_id)
            .field("developer_provider_name", &self.developer_provider_name)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Returns the value of `field`.
    #[must_use]
    pub fn get(&self, field: Field) -> &str {
        match field {
            Field::IdentityId => &self.identity_id,
            Field::IdentityPoolId => &self.identity_pool_id,
            Field::DeveloperProviderName => &self.developer_provider_name,
            Field::DeveloperUserIdentifier => &self.developer_user_identifier,
        }
    }

    /// Returns the value of `field`, to be set.
    pub fn get_mut(&mut self, field: Field) -> &mut String {
        match field {
            Field::IdentityId => &mut self.identity_id,
            Field::IdentityPoolId => &mut self.identity_pool_id,
            Field::DeveloperProviderName => &mut self.developer_provider_name,
            Field::DeveloperUserIdentifier => &mut self.developer_user_identifier,
        }
    }

    /// Returns the Region that serves the pool.
    #[must_use]
    pub fn region(&self) -> &str {
        region_of(&self.identity_pool_id)
    }

    /// Checks the four values: see [`check`].
    ///
    /// # Errors
    /// The first rule that a value breaks.
    pub fn check(&self, required: Required, policy: UnusualPolicy) -> Result<(), RowError> {
        check(Field::ALL.map(|field| self.get(field)), required, policy)
    }
}

/// The fields that a row must have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Required {
    /// All four, as an unlink needs them.
    #[default]
    Link,
    /// The pool, and the identity, the user or both, as a look-up needs them. The provider may be absent.
    LookupKey,
}

impl Required {
    /// Returns whether a row with these values may lack `field`.
    fn may_lack(self, field: Field, [identity_id, .., user]: [&str; 4]) -> bool {
        self == Self::LookupKey
            && match field {
                Field::IdentityId => !user.is_empty(),
                Field::DeveloperUserIdentifier => !identity_id.is_empty(),
                Field::DeveloperProviderName => true,
                Field::IdentityPoolId => false,
            }
    }
}

/// Checks the values of the fields, in the order of [`Field::ALL`]: the service model's rules, then unusual values, then that identity
/// and pool are in one Region.
///
/// # Errors
/// The first rule that a value breaks. The message never quotes a value, which may be a person's.
pub fn check(values: [&str; 4], required: Required, policy: UnusualPolicy) -> Result<(), RowError> {
    for (field, value) in Field::ALL.into_iter().zip(values) {
        if value.is_empty() && required.may_lack(field, values) {
            continue;
        }
        field.check(value).map_err(|error| {
            // If a value does not match the pattern, its kind explains more than the pattern does.
            let kind = policy
                .rejects(value)
                .filter(|_| error.code == RowErrorCode::BadValue);
            kind.map_or(error, |kind| unusual(field, value, kind, ""))
        })?;
    }
    // A well-formed id is of no unusual kind.
    for field in [Field::DeveloperProviderName, Field::DeveloperUserIdentifier] {
        let value = values[field as usize];
        if let Some(kind) = policy.rejects(value) {
            let advice = format!("; correct it, or send it as it stands with --as-is {kind}");
            return Err(unusual(field, value, kind, &advice));
        }
    }
    let [identity_id, identity_pool_id, ..] = values;
    if identity_id.is_empty() || region_of(identity_id) == region_of(identity_pool_id) {
        Ok(())
    } else {
        Err(RowError::new(
            RowErrorCode::RegionMismatch,
            "identity_id and identity_pool_id name different Regions",
        ))
    }
}

/// Describes an unusual value of `field` without quoting it. An invisible character is named by its code point, since it cannot be found
/// by looking.
fn unusual(field: Field, value: &str, kind: UnusualKind, advice: &str) -> RowError {
    let character = value
        .chars()
        .find(|&c| kind == UnusualKind::Invisible && is_invisible(c));
    let code_point = character.map_or(String::new(), |c| format!(" (U+{:04X})", u32::from(c)));
    let message = format!(
        "{} {}{code_point}{advice}",
        field.name(),
        kind.description()
    );
    RowError::new(RowErrorCode::Unusual(kind), message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link() -> Link {
        Link {
            identity_id: "us-east-1:0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0".into(),
            identity_pool_id: "us-east-1:11111111-2222-3333-4444-555555555555".into(),
            developer_provider_name: "login.example.com".into(),
            developer_user_identifier: "u-1".into(),
        }
    }

    fn error_code(change: impl FnOnce(&mut Link)) -> RowErrorCode {
        let mut link = link();
        change(&mut link);
        link.check(Required::Link, UnusualPolicy::ALLOW_ALL)
            .expect_err("the rule is broken")
            .code
    }

    #[test]
    fn a_link_follows_the_rules_of_the_service_model() {
        assert_eq!(
            link().check(Required::Link, UnusualPolicy::ALLOW_ALL),
            Ok(())
        );
        assert_eq!(
            error_code(|l| l.identity_id.clear()),
            RowErrorCode::MissingField
        );
        assert_eq!(
            error_code(|l| l.identity_id = "us-east-1:ABC".into()),
            RowErrorCode::BadValue
        );
        assert_eq!(
            error_code(|l| l.identity_id = "us-east-1:0f\n".into()),
            RowErrorCode::BadValue
        );
        assert_eq!(
            error_code(|l| l.identity_pool_id = ":0f".into()),
            RowErrorCode::BadValue
        );
        for id in ["a:b:c", "us east:0f", "us-east-1:", "us-east-1"] {
            let changed = error_code(|l| l.identity_pool_id = id.into());
            assert_eq!(changed, RowErrorCode::BadValue, "{id}");
        }
        assert_eq!(
            error_code(|l| l.identity_pool_id = format!("us-east-1:{}", "0".repeat(46))),
            RowErrorCode::TooLong
        );
        for provider in ["a b", "a/b", "a:b", "\u{e9}"] {
            let changed = error_code(|l| l.developer_provider_name = provider.into());
            assert_eq!(changed, RowErrorCode::BadValue, "{provider}");
        }
        assert_eq!(
            error_code(|l| l.developer_provider_name = "a".repeat(129)),
            RowErrorCode::TooLong
        );
        assert_eq!(
            error_code(|l| l.developer_user_identifier = "é".repeat(1025)),
            RowErrorCode::TooLong
        );
        assert_eq!(
            error_code(|l| l.identity_id = "eu-west-1:0f".into()),
            RowErrorCode::RegionMismatch
        );
    }

    #[test]
    fn lengths_count_characters_and_not_bytes() {
        let mut link = link();
        link.developer_user_identifier = "\u{1f600}".repeat(1024);
        assert_eq!(link.check(Required::Link, UnusualPolicy::ALLOW_ALL), Ok(()));
        link.identity_pool_id = format!("us-east-1:{}", "0".repeat(45));
        assert_eq!(link.check(Required::Link, UnusualPolicy::ALLOW_ALL), Ok(()));
    }

    #[test]
    fn a_lookup_key_has_an_identity_or_a_user() {
        let check = |change: fn(&mut Link)| {
            let mut link = link();
            change(&mut link);
            link.check(Required::LookupKey, UnusualPolicy::default())
                .map_err(|error| error.code)
        };
        let missing = Err(RowErrorCode::MissingField);
        assert_eq!(check(|_| ()), Ok(()));
        assert_eq!(check(|l| l.identity_id.clear()), Ok(()));
        assert_eq!(check(|l| l.developer_user_identifier.clear()), Ok(()));
        assert_eq!(check(|l| l.developer_provider_name.clear()), Ok(()));
        assert_eq!(check(|l| l.identity_pool_id.clear()), missing);
        assert_eq!(
            check(|l| {
                l.identity_id.clear();
                l.developer_user_identifier.clear();
            }),
            missing
        );
        // What is there follows the rules.
        assert_eq!(
            check(|l| {
                l.developer_user_identifier.clear();
                l.identity_id = "eu-west-1:0f".into();
            }),
            Err(RowErrorCode::RegionMismatch)
        );
        assert_eq!(
            check(|l| {
                l.identity_id.clear();
                l.developer_user_identifier = "NULL".into();
            }),
            Err(RowErrorCode::Unusual(UnusualKind::Placeholder))
        );
    }

    #[test]
    fn debug_output_leaves_out_the_user() {
        assert!(!format!("{:?}", link()).contains("u-1"));
    }
}
