//! The clients' interface to the rest of the program: traits, without the AWS SDK.
//!
//! A [`Client`] has credentials. An attempt ([`Unlink`]) sends one link and returns a [`Reply`](crate::verdict::Reply), which is judged elsewhere. Its bytes wait
//! for a [`LastCheck`]. A [`Lookup`](lookup::Lookup) of a pool or an [`IdentityLookup`](identity_lookup::IdentityLookup) changes
//! nothing. `aws` implements all of them; simulations implement them without a network.

mod client;
pub mod identity_lookup;
mod last_check;
pub mod lookup;
mod relink;
mod unlink;

pub use client::Client;
pub use last_check::{LastCheck, Release, released};
pub use relink::Relink;
pub use unlink::Unlink;
