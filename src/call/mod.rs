//! The clients' interface to the rest of the program: traits, without the AWS SDK.
//!
//! An attempt ([`Unlink`]) sends one link and returns a [`Reply`](crate::verdict::Reply), which is judged elsewhere. Its bytes wait
//! for a [`LastCheck`]. A [`Lookup`](lookup::Lookup) changes nothing. `aws` implements both; simulations implement them without a
//! network.

mod last_check;
pub mod lookup;
mod unlink;

pub use last_check::{LastCheck, Release, released};
pub use unlink::Unlink;
