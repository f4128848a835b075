//! What AWS does not document, so that whoever rehearses can choose.

use std::str::FromStr;

/// How what is not documented is answered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Undocumented {
    /// An unlink of what is not linked.
    pub when_not_linked: NotLinked,
    /// A developer provider that is not the pool's.
    pub when_other_provider: OtherProvider,
    /// A parameter that breaks its rule.
    pub when_invalid: Invalid,
    /// The HTTP status of errors.
    pub error_status: ErrorStatus,
}

/// The answer to an unlink of what is not linked: AWS documents none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NotLinked {
    /// `ResourceNotFoundException`
    #[default]
    ResourceNotFound,
    /// `NotAuthorizedException`
    NotAuthorized,
    /// Success, as though it had been linked.
    Ok,
}

impl FromStr for NotLinked {
    type Err = String;

    /// `resource-not-found`, `not-authorized` or `ok`.
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

/// The code of the answer to a developer provider that is not the pool's: only its message is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OtherProvider {
    /// `InvalidParameterException`
    #[default]
    InvalidParameter,
    /// `NotAuthorizedException`
    NotAuthorized,
    /// `ResourceNotFoundException`
    ResourceNotFound,
}

impl OtherProvider {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::InvalidParameter => "InvalidParameterException",
            Self::NotAuthorized => "NotAuthorizedException",
            Self::ResourceNotFound => "ResourceNotFoundException",
        }
    }
}

impl FromStr for OtherProvider {
    type Err = String;

    /// `invalid-parameter`, `not-authorized` or `resource-not-found`.
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

/// The code of the answer to a parameter that breaks its rule: the service model has one, and another was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Invalid {
    /// `InvalidParameterException`, as the service model has it.
    #[default]
    InvalidParameter,
    /// `ValidationException`, as users of `GetId` and `CreateIdentityPool` report it.
    Validation,
}

impl Invalid {
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::InvalidParameter => "InvalidParameterException",
            Self::Validation => "ValidationException",
        }
    }
}

impl FromStr for Invalid {
    type Err = String;

    /// `invalid-parameter` or `validation`.
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

/// The HTTP status of errors: the service model has several, everything seen on the wire has 400.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorStatus {
    /// 400, and 500 for `InternalErrorException`.
    #[default]
    Wire,
    /// 403, 404, 409 and 429 where the newer service model has them.
    Modelled,
}

impl ErrorStatus {
    /// The status of an error with this code.
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

    /// `wire` or `modelled`.
    fn from_str(text: &str) -> Result<Self, String> {
        one_of(text, &[("wire", Self::Wire), ("modelled", Self::Modelled)])
    }
}

fn one_of<T: Copy>(text: &str, values: &[(&str, T)]) -> Result<T, String> {
    let found = values.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
        format!("expected {}", names.join(" or "))
    })
}
