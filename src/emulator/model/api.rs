//! The API: executes requests on the state.

use serde_json::Value;

use super::api_error::ApiError;
use super::guest::Guest;
use super::link::Link;
use super::operation::Operation;
use super::page::Paginator;
use super::request::ApiRequest;
use super::service_state::ServiceState;
use super::shape::InvalidInput;
use super::store::Store;
use super::undocumented::Undocumented;
use super::{identity_operations, link_operations, pool_operations};

/// Output of an operation.
#[derive(Debug, Default, PartialEq)]
pub(in crate::emulator) struct Output {
    /// The body; an unlink has none.
    pub(in crate::emulator) body: Option<Value>,
    /// True if an unlink removed a link.
    pub(in crate::emulator) unlinked: bool,
}

impl From<Value> for Output {
    fn from(body: Value) -> Self {
        Self {
            body: Some(body),
            unlinked: false,
        }
    }
}

/// A model of the service.
#[derive(Debug)]
pub struct Model {
    state: ServiceState,
}

impl Model {
    /// Creates a model in which only `links` exist, or, without, every well-formed link. `provider` is the developer
    /// provider name of every pool; without, that of the pool's links, or any.
    #[must_use]
    pub fn new(
        links: Option<Vec<Link>>,
        provider: Option<String>,
        undocumented: Undocumented,
    ) -> Self {
        Self {
            state: ServiceState {
                store: Store::new(links, provider),
                undocumented,
                paginator: Paginator::new(),
            },
        }
    }

    /// Sets the time, in seconds since 1970, that dates what is created or changed from now on.
    pub(in crate::emulator) fn set_time(&mut self, seconds: f64) {
        self.state.store.now = seconds;
    }

    /// Adds an identity that never had a login.
    pub(in crate::emulator) fn add_guest(&mut self, guest: &Guest) {
        let store = &mut self.state.store;
        store.add_guest(&guest.identity_pool_id, &guest.identity_id);
    }

    /// Returns true if the link exists.
    #[must_use]
    pub fn is_linked(&self, link: &Link) -> bool {
        self.state.store.is_linked(link)
    }

    /// Executes `UnlinkDeveloperIdentity` with valid parameters. Returns true if a link was removed.
    ///
    /// # Errors
    /// The pool, the identity or the link does not exist.
    pub fn unlink(&mut self, link: &Link) -> Result<bool, ApiError> {
        link_operations::unlink(&mut self.state, link)
    }

    /// Executes a request to the endpoint of a Region.
    ///
    /// # Errors
    /// Those of the service.
    pub(in crate::emulator) fn execute(
        &mut self,
        request: &ApiRequest,
        region: &str,
    ) -> Result<Output, ApiError> {
        request.validate().map_err(|invalid| match invalid {
            InvalidInput::WrongType(message) => ApiError::new("SerializationException", message),
            InvalidInput::Constraints(message) => {
                ApiError::new(self.state.undocumented.when_invalid.code(), message)
            }
        })?;
        let state = &mut self.state;
        let body = match request.operation {
            Operation::CreateIdentityPool => {
                pool_operations::create(state, request.parameters()?, region)
            }
            Operation::DeleteIdentities => Ok(identity_operations::delete(
                state,
                &request.parameters()?,
                region,
            )),
            Operation::DescribeIdentity => {
                identity_operations::describe(state, &request.parameters()?)
            }
            Operation::DescribeIdentityPool => {
                pool_operations::describe(state, &request.parameters()?)
            }
            Operation::GetOpenIdTokenForDeveloperIdentity => {
                link_operations::get_token(state, request.parameters()?)
            }
            Operation::ListIdentities => identity_operations::list(state, &request.parameters()?),
            Operation::LookupDeveloperIdentity => {
                link_operations::lookup(state, &request.parameters()?)
            }
            Operation::MergeDeveloperIdentities => {
                link_operations::merge(state, &request.parameters()?)
            }
            Operation::UnlinkDeveloperIdentity => {
                return Ok(Output {
                    body: None,
                    unlinked: self.unlink(&request.parameters()?)?,
                });
            }
        };
        body.map(Output::from)
    }
}
