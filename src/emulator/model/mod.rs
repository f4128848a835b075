//! Identity pools, identities and links, and the operations on them. Pure: the time is set from outside, no I/O.
//!
//! ```text
//! request → operation → shape (validation) → link / identity / pool operations → store: pool, implicit links
//! ```
//!
//! Shapes and errors are those of the service model (`cognito-identity`, 2014-06-30). Where AWS documents no answer, the
//! emulator gives the likeliest; where it matters to callers, it is a setting ([`Undocumented`]).

mod api;
mod api_error;
mod guest;
mod identity_operations;
mod implicit_links;
mod keyed_hash;
mod link;
mod link_operations;
mod operation;
mod page;
mod pool;
mod pool_operations;
mod request;
mod service_state;
mod shape;
mod store;
mod undocumented;

pub use api::Model;
pub use api_error::ApiError;
pub use guest::Guest;
pub use link::Link;
pub use undocumented::{
    DisabledLinkAnswer, DisabledLookupAnswer, ErrorStatus, InvalidParameterAnswer, NotLinkedAnswer,
    OtherProviderAnswer, Undocumented, UnknownUserAnswer,
};

pub(super) use api::Output;
pub(super) use operation::{LOOKS, Operation};
pub(super) use request::ApiRequest;

#[cfg(test)]
mod tests;
