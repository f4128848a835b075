//! Options that fill fields.

use crate::row::{Field, Link, RowError, RowErrorCode};

/// Values for fields that a row lacks or leaves empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fill {
    /// `--identity-pool-id`
    pub identity_pool_id: Option<String>,
    /// `--developer-provider-name`
    pub developer_provider_name: Option<String>,
}

impl Fill {
    /// Returns the value that fills `field`.
    pub(crate) fn value(&self, field: Field) -> Option<&String> {
        match field {
            Field::IdentityPoolId => self.identity_pool_id.as_ref(),
            Field::DeveloperProviderName => self.developer_provider_name.as_ref(),
            Field::IdentityId | Field::DeveloperUserIdentifier => None,
        }
    }

    /// Fills the empty fields of `link`, all of them even if one conflicts.
    ///
    /// # Errors
    /// The first field whose value differs from the option: a row is never silently overridden.
    pub(crate) fn complete(&self, link: &mut Link) -> Result<(), RowError> {
        let mut result = Ok(());
        for field in Field::ALL {
            let Some(value) = self.value(field) else {
                continue;
            };
            let own = link.get_mut(field);
            if own.is_empty() {
                own.clone_from(value);
            } else if own != value && result.is_ok() {
                let message = format!(
                    "{} is not the one that --{} gives",
                    field.name(),
                    field.name().replace('_', "-")
                );
                result = Err(RowError::new(RowErrorCode::Conflict, message));
            }
        }
        result
    }
}
