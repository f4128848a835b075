//! Keys of documents that AWS prints, beside the fields of a row.

/// A key that has a meaning in a document as AWS prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DocumentKey {
    /// Holds the row, in a line of a DynamoDB export and in the answer to `get-item`.
    Item,
    /// Lists the users of an identity, in the answer to `lookup-developer-identity`.
    Users,
    /// Where the next page begins, unless it is empty.
    NextToken,
    /// Where the next page of DynamoDB's begins, unless it is null.
    LastEvaluatedKey,
}

impl DocumentKey {
    /// All keys.
    pub(super) const ALL: [Self; 4] = [
        Self::Item,
        Self::Users,
        Self::NextToken,
        Self::LastEvaluatedKey,
    ];

    /// Returns its name as AWS prints it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Item => "Item",
            Self::Users => "DeveloperUserIdentifierList",
            Self::NextToken => "NextToken",
            Self::LastEvaluatedKey => "LastEvaluatedKey",
        }
    }

    /// Returns the key with this name, which matches as the names of fields do.
    pub(super) fn named(folded: &str) -> Option<Self> {
        match folded {
            "item" => Some(Self::Item),
            "developeruseridentifierlist" => Some(Self::Users),
            "nexttoken" => Some(Self::NextToken),
            "lastevaluatedkey" => Some(Self::LastEvaluatedKey),
            _ => None,
        }
    }

    /// Returns whether it says, with this JSON value, that another page follows.
    pub(super) fn announces_page(self, value: &[u8]) -> bool {
        matches!(self, Self::NextToken | Self::LastEvaluatedKey)
            && !matches!(value, b"null" | b"\"\"" | b"{}")
    }
}

/// Returns whether an array under this key, folded, holds rows even beside the fields of a pool.
pub(super) fn holds_rows(folded: &str) -> bool {
    matches!(folded, "identities" | "items")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::fold_name;

    #[test]
    fn keys_are_found_by_their_names() {
        for key in DocumentKey::ALL {
            assert_eq!(DocumentKey::named(&fold_name(key.name())), Some(key));
        }
        assert_eq!(DocumentKey::named("identityid"), None);
    }
}
