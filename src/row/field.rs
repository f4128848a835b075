//! The four fields of a row and the service model's rules for each.

use super::bytes::{all_bytes, is_word};
use super::error::{RowError, RowErrorCode};
use super::id::{describe_id_error, is_id};

/// A field of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// `identity_id`
    IdentityId,
    /// `identity_pool_id`
    IdentityPoolId,
    /// `developer_provider_name`
    DeveloperProviderName,
    /// `developer_user_identifier`
    DeveloperUserIdentifier,
}

impl Field {
    /// All four, in the order of the results' columns.
    pub const ALL: [Self; 4] = [
        Self::IdentityId,
        Self::IdentityPoolId,
        Self::DeveloperProviderName,
        Self::DeveloperUserIdentifier,
    ];

    /// Returns the name of the field's column or key.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IdentityId => "identity_id",
            Self::IdentityPoolId => "identity_pool_id",
            Self::DeveloperProviderName => "developer_provider_name",
            Self::DeveloperUserIdentifier => "developer_user_identifier",
        }
    }

    /// Returns the field that a column or key of this name means, without regard to case, `_`, `-` and spaces.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let folded = fold_name(name);
        Self::ALL
            .into_iter()
            .find(|field| fold_name(field.name()) == folded)
    }

    /// Checks a value against the service model's rules for this field. The Region of an id must be a host label as well: the model's
    /// pattern accepts `us_east_1:…`, for which no endpoint can exist.
    ///
    /// # Errors
    /// The first rule that the value breaks. The message never quotes the value, which may be a person's, except for a Region that
    /// is recognisably misspelt.
    pub fn check(self, value: &str) -> Result<(), RowError> {
        let name = self.name();
        let error = |code, rule: &str| Err(RowError::new(code, format!("{name} {rule}")));
        if value.is_empty() {
            return error(RowErrorCode::MissingField, "is missing or empty");
        }
        let longest = match self {
            Self::IdentityId | Self::IdentityPoolId => 55,
            Self::DeveloperProviderName => 128,
            Self::DeveloperUserIdentifier => 1024,
        };
        // Smithy counts Unicode scalar values; there are never more of them than bytes, so most values need no count.
        if value.len() > longest && value.chars().count() > longest {
            return error(
                RowErrorCode::TooLong,
                &format!("is longer than {longest} characters"),
            );
        }
        let bytes = value.as_bytes();
        let is_provider_byte = |byte| is_word(byte) || byte == b'.' || byte == b'-';
        match self {
            Self::IdentityId | Self::IdentityPoolId if !is_id(bytes) => {
                error(RowErrorCode::BadValue, &describe_id_error(value))
            }
            Self::DeveloperProviderName if !all_bytes(bytes, is_provider_byte) => error(
                RowErrorCode::BadValue,
                "may hold only letters, digits, '.', '_' and '-'",
            ),
            _ => Ok(()),
        }
    }
}

/// Removes from a column name everything that does not distinguish columns: case, `_`, `-` and spaces.
#[must_use]
pub fn fold_name(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_a_lower_case_host_label() {
        const GUID: &str = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0";
        for field in [Field::IdentityId, Field::IdentityPoolId] {
            for region in [
                "us-east-1",
                "mx-central-1",
                "r",
                "us-gov-west-1",
                "1",
                "a--b",
            ] {
                assert_eq!(field.check(&format!("{region}:{GUID}")), Ok(()), "{region}");
            }
            for (region, quoted) in [
                ("us_east_1", true),
                ("US-EAST-1", true),
                ("us-east-1-", true),
                ("-us-gov-west_1", true),
                ("-", false),
                ("_", false),
                ("us-", false),
                ("Us", false),
                ("us--east-1_", false),
                // Possibly a name.
                ("alice_smith", false),
                ("Alice", false),
                ("al-Smith", false),
                ("Al-1", false),
                ("al-alice1-A", false),
            ] {
                let error = field.check(&format!("{region}:{GUID}")).expect_err(region);
                assert_eq!(error.code, RowErrorCode::BadValue, "{region}");
                assert!(error.message.starts_with(field.name()), "{error}");
                let quotation = format!(" names the Region {region}; ");
                assert_eq!(
                    error.message.contains(&quotation),
                    quoted,
                    "{region}: {error}"
                );
                assert!(error.message.contains("Region"), "{error}");
            }
        }
    }

    #[test]
    fn field_names_match_without_regard_to_case_and_separators() {
        for name in ["IdentityId", "identity-id", "IDENTITY ID", "identity_id"] {
            assert_eq!(Field::named(name), Some(Field::IdentityId), "{name}");
        }
        assert_eq!(Field::named("identity"), None);
    }
}
