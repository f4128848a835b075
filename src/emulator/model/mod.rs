//! Pools, identities and links, and what the operations do to them. Pure: told the time, no clock, no I/O.
//!
//! ```text
//! request → operation → shape (may it be asked?) → links / identities / pools → world: pool, open
//! ```
//!
//! Shapes and errors are those of the service model (`cognito-identity`, 2014-06-30). Where AWS documents no answer, the
//! likeliest is given; what matters to callers is a setting ([`Undocumented`]).

mod identities;
mod links;
mod open;
mod operation;
mod page;
mod pool;
mod pools;
mod shape;
mod undocumented;
mod user_hash;
mod world;

use serde::Deserialize;
use serde_json::Value;

pub use undocumented::{ErrorStatus, Invalid, NotLinked, OtherProvider, Undocumented};

pub(super) use operation::Operation;

use page::Pages;
use world::World;

/// A developer user identifier that is linked to an identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Link {
    /// `Region:GUID` of the identity.
    pub identity_id: String,
    /// `Region:GUID` of the pool.
    pub identity_pool_id: String,
    /// The pool's developer provider name.
    pub developer_provider_name: String,
    /// The user.
    pub developer_user_identifier: String,
}

/// An error of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Its code.
    pub code: &'static str,
    /// Its message.
    pub message: String,
}

impl ApiError {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn not_found(message: impl Into<String>) -> Self {
        Self::new("ResourceNotFoundException", message)
    }

    fn no_pool(id: &str) -> Self {
        Self::not_found(format!("IdentityPool '{id}' not found."))
    }

    fn no_identity(id: &str) -> Self {
        Self::not_found(format!("Identity '{id}' not found."))
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    fn conflict(message: impl Into<String>) -> Self {
        Self::new("ResourceConflictException", message)
    }
}

/// A request that breaks the operation's input.
#[derive(Debug)]
enum Refused {
    /// Some JSON is of another type than the service model says, or none.
    Malformed(String),
    /// Parameters break their rules.
    Invalid(String),
}

/// What is asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    input: Value,
}

impl Request {
    /// # Errors
    /// The body is no JSON.
    pub(super) fn new(operation: Operation, body: &[u8]) -> Result<Self, ApiError> {
        // AWS takes an empty body for no parameters.
        let body = if body.is_empty() { b"{}" } else { body };
        let mut input: Value = serde_json::from_slice(body)
            .map_err(|_| ApiError::new("SerializationException", ""))?;
        // A parameter that is null is one that is not there.
        if let Some(parameters) = input.as_object_mut() {
            parameters.retain(|_, value| !value.is_null());
        }
        Ok(Self { operation, input })
    }

    /// A parameter that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.input.get(name)?.as_str()
    }

    /// All parameters, once they have been checked.
    fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        // The check has seen every type, so this would be a mistake in the table.
        T::deserialize(&self.input)
            .map_err(|error| ApiError::new("InternalErrorException", error.to_string()))
    }
}

/// What came of a request.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Done {
    /// The answer; an unlink has none.
    pub(super) answer: Option<Value>,
    /// Whether a link was removed by its unlink.
    pub(super) unlinked: bool,
}

impl From<Value> for Done {
    fn from(answer: Value) -> Self {
        Self {
            answer: Some(answer),
            unlinked: false,
        }
    }
}

/// The service's state.
#[derive(Debug)]
pub struct Model {
    world: World,
    undocumented: Undocumented,
    pages: Pages,
}

impl Model {
    /// A world in which just `links` exist, or, without, every well-formed link. `provider` is the developer provider name
    /// of every pool; without, that of the pool's links, or any.
    #[must_use]
    pub fn new(
        links: Option<Vec<Link>>,
        provider: Option<String>,
        undocumented: Undocumented,
    ) -> Self {
        Self {
            world: World::new(links, provider),
            undocumented,
            pages: Pages::new(),
        }
    }

    /// Says what time it is, in seconds since 1970: what is made or changed from now on is dated so.
    pub fn tell_time(&mut self, seconds: f64) {
        self.world.now = seconds;
    }

    /// Whether the link is there.
    #[must_use]
    pub fn is_linked(&self, link: &Link) -> bool {
        self.world.is_linked(link)
    }

    /// `UnlinkDeveloperIdentity`, of parameters that keep to their rules. Says whether a link was removed.
    ///
    /// # Errors
    /// As the service: the pool, the identity or the link is not there.
    pub fn unlink(&mut self, link: &Link) -> Result<bool, ApiError> {
        links::unlink(self, link)
    }

    /// Carries out a request that came to a Region's endpoint.
    ///
    /// # Errors
    /// As the service.
    pub(super) fn answer(&mut self, request: &Request, region: &str) -> Result<Done, ApiError> {
        shape::check(request.operation.takes(), &request.input).map_err(
            |refused| match refused {
                Refused::Malformed(message) => ApiError::new("SerializationException", message),
                Refused::Invalid(message) => {
                    ApiError::new(self.undocumented.when_invalid.code(), message)
                }
            },
        )?;
        match request.operation {
            Operation::CreateIdentityPool => {
                pools::create(self, request.read()?, region).map(Done::from)
            }
            Operation::DeleteIdentities => {
                Ok(identities::delete(self, &request.read()?, region).into())
            }
            Operation::DescribeIdentity => {
                identities::describe(self, &request.read()?).map(Done::from)
            }
            Operation::DescribeIdentityPool => {
                pools::describe(self, &request.read()?).map(Done::from)
            }
            Operation::GetOpenIdTokenForDeveloperIdentity => {
                links::token(self, request.read()?).map(Done::from)
            }
            Operation::ListIdentities => identities::list(self, &request.read()?).map(Done::from),
            Operation::LookupDeveloperIdentity => {
                links::lookup(self, &request.read()?).map(Done::from)
            }
            Operation::MergeDeveloperIdentities => {
                links::merge(self, &request.read()?).map(Done::from)
            }
            Operation::UnlinkDeveloperIdentity => Ok(Done {
                answer: None,
                unlinked: self.unlink(&request.read()?)?,
            }),
        }
    }

    /// Whether the pool takes this developer provider; one that is not known takes any.
    ///
    /// # Errors
    /// It does not, or there is no such pool.
    fn check_provider(&self, pool_id: &str, provider: &str) -> Result<(), ApiError> {
        if self.world.takes_provider(pool_id, provider)? {
            return Ok(());
        }
        Err(ApiError::new(
            self.undocumented.when_other_provider.code(),
            "This identity pool does not support the specified developer provider",
        ))
    }
}

#[cfg(test)]
mod tests;
