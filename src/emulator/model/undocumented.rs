//! Settings for the answers that AWS does not document.

use std::str::FromStr;

/// Answers to what AWS does not document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Undocumented {
    /// Answer to an unlink of a link that does not exist.
    pub when_not_linked: NotLinkedAnswer,
    /// Answer to a look-up of a user that is linked nowhere.
    pub when_unknown_user: UnknownUserAnswer,
    /// Answer to a look-up of a disabled identity's users.
    pub when_disabled_lookup: DisabledLookupAnswer,
    /// Answer to a user that is to be linked to a disabled identity.
    pub when_disabled: DisabledLinkAnswer,
    /// Answer to a developer provider name that is not the pool's.
    pub when_other_provider: OtherProviderAnswer,
    /// Answer to a parameter that breaks a constraint.
    pub when_invalid: InvalidParameterAnswer,
    /// HTTP status of errors.
    pub error_status: ErrorStatus,
}

/// The answer to an unlink of a link that does not exist. AWS documents none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NotLinkedAnswer {
    /// `ResourceNotFoundException`
    #[default]
    ResourceNotFound,
    /// `NotAuthorizedException`
    NotAuthorized,
    /// Success, as if the link had existed.
    Ok,
}

impl FromStr for NotLinkedAnswer {
    type Err = String;

    /// Parses `resource-not-found`, `not-authorized` or `ok`.
    fn from_str(text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[
                ("resource-not-found", Self::ResourceNotFound),
                ("not-authorized", Self::NotAuthorized),
                ("ok", Self::Ok),
            ],
        )
    }
}

/// The answer to a look-up of a user that is linked nowhere. AWS documents none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnknownUserAnswer {
    /// `NotAuthorizedException`, as a user reports it.
    #[default]
    NotAuthorized,
    /// `ResourceNotFoundException`
    ResourceNotFound,
    /// Success without an identity and without users.
    Empty,
}

impl FromStr for UnknownUserAnswer {
    type Err = String;

    /// Parses `not-authorized`, `resource-not-found` or `empty`.
    fn from_str(text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[
                ("not-authorized", Self::NotAuthorized),
                ("resource-not-found", Self::ResourceNotFound),
                ("empty", Self::Empty),
            ],
        )
    }
}

/// The answer to a look-up of a disabled identity's users. AWS documents none; other operations refuse such an identity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DisabledLookupAnswer {
    /// `NotAuthorizedException`
    #[default]
    NotAuthorized,
    /// Success without users.
    Empty,
}

impl FromStr for DisabledLookupAnswer {
    type Err = String;

    /// Parses `not-authorized` or `empty`.
    fn from_str(text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[
                ("not-authorized", Self::NotAuthorized),
                ("empty", Self::Empty),
            ],
        )
    }
}

/// The answer to a user that is to be linked to a disabled identity. AWS documents that the identity becomes inaccessible, but
/// not whether a new login revives it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DisabledLinkAnswer {
    /// The user is linked, and the identity enabled.
    #[default]
    Revived,
    /// `NotAuthorizedException`: the identity stays disabled.
    Refused,
}

impl FromStr for DisabledLinkAnswer {
    type Err = String;

    /// Parses `revived` or `refused`.
    fn from_str(text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[("revived", Self::Revived), ("refused", Self::Refused)],
        )
    }
}

/// The error code for a developer provider name that is not the pool's. Only the message is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtherProviderAnswer {
    /// `InvalidParameterException`
    #[default]
    InvalidParameter,
    /// `NotAuthorizedException`
    NotAuthorized,
    /// `ResourceNotFoundException`
    ResourceNotFound,
}

impl OtherProviderAnswer {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::InvalidParameter => "InvalidParameterException",
            Self::NotAuthorized => "NotAuthorizedException",
            Self::ResourceNotFound => "ResourceNotFoundException",
        }
    }
}

impl FromStr for OtherProviderAnswer {
    type Err = String;

    /// Parses `invalid-parameter`, `not-authorized` or `resource-not-found`.
    fn from_str(text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[
                ("invalid-parameter", Self::InvalidParameter),
                ("not-authorized", Self::NotAuthorized),
                ("resource-not-found", Self::ResourceNotFound),
            ],
        )
    }
}

/// The error code for a parameter that breaks a constraint. The service model has one; another was observed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum InvalidParameterAnswer {
    /// `InvalidParameterException`, as in the service model.
    #[default]
    InvalidParameter,
    /// `ValidationException`, as users of `GetId` and `CreateIdentityPool` report it.
    Validation,
}

impl InvalidParameterAnswer {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::InvalidParameter => "InvalidParameterException",
            Self::Validation => "ValidationException",
        }
    }
}

impl FromStr for InvalidParameterAnswer {
    type Err = String;

    /// Parses `invalid-parameter` or `validation`.
    fn from_str(text: &str) -> Result<Self, String> {
        one_of(
            text,
            &[
                ("invalid-parameter", Self::InvalidParameter),
                ("validation", Self::Validation),
            ],
        )
    }
}

/// The HTTP status of errors. The service model has several; every error observed on the wire had 400.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorStatus {
    /// 400, and 500 for `InternalErrorException`.
    #[default]
    Wire,
    /// 403, 404, 409 and 429 where newer versions of the service model have them.
    Modelled,
}

impl ErrorStatus {
    /// Returns the status of an error with this code.
    #[must_use]
    pub fn of(self, code: &str) -> u16 {
        match (self, code) {
            (_, "InternalErrorException") => 500,
            (Self::Modelled, "NotAuthorizedException") => 403,
            (Self::Modelled, "ResourceNotFoundException") => 404,
            (
                Self::Modelled,
                "ResourceConflictException" | "DeveloperUserAlreadyRegisteredException",
            ) => 409,
            (Self::Modelled, "TooManyRequestsException") => 429,
            _ => 400,
        }
    }
}

impl FromStr for ErrorStatus {
    type Err = String;

    /// Parses `wire` or `modelled`.
    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &[("wire", Self::Wire), ("modelled", Self::Modelled)])
    }
}

/// Returns the value of this name.
fn one_of<T: Copy>(text: &str, values: &[(&str, T)]) -> Result<T, String> {
    let found = values.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        format!("expected {}", names.join(" or "))
    })
}
