//! Reasons for which a row of a resolve has no links.

/// The columns in front of the rows without links: the reason, and a sentence about it.
pub const UNRESOLVED_COLUMNS: [&str; 2] = ["reason", "detail"];

/// The reason for which a row of a resolve has no links.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unresolved {
    /// The service knows no such user.
    NoSuchUser,
    /// The identity has no developer user.
    IdentityHasNoUser,
    /// The service knows no such identity.
    IdentityNotFound,
    /// The identity is disabled.
    Disabled,
    /// The identity has more users than allowed.
    TooManyUsers,
    /// The reply does not tell.
    NotTold,
    /// The call was refused, or its attempts are used up.
    Failed,
    /// The row breaks a rule, and nothing was asked.
    Invalid,
}

impl Unresolved {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::NoSuchUser,
        Self::IdentityHasNoUser,
        Self::IdentityNotFound,
        Self::Disabled,
        Self::TooManyUsers,
        Self::NotTold,
        Self::Failed,
        Self::Invalid,
    ];

    /// Returns the word in the column `reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchUser => "no_such_user",
            Self::IdentityHasNoUser => "identity_has_no_user",
            Self::IdentityNotFound => "identity_not_found",
            Self::Disabled => "disabled",
            Self::TooManyUsers => "too_many_users",
            Self::NotTold => "not_told",
            Self::Failed => "failed",
            Self::Invalid => "invalid",
        }
    }

    /// Returns the reason of this word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == word)
    }

    /// Returns whether the service gave a definite answer, so that the row is not asked for again.
    #[must_use]
    pub fn is_definite(self) -> bool {
        !matches!(self, Self::NotTold | Self::Failed | Self::Invalid)
    }

    /// Returns whether a new run leaves the row as it is: also one that has failed, if `keeps_failed`.
    pub(super) fn is_kept(self, keeps_failed: bool) -> bool {
        self.is_definite() || keeps_failed && self != Self::Invalid
    }
}
