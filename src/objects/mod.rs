//! Objects in a store such as Amazon S3, as inputs and results name them: `s3://bucket/key`.
//!
//! [`ObjectStore`] is what a store must do; `aws` implements it for S3. [`Objects`] is the handle that readers hold: it waits for
//! the store from threads that may block, and pins each object to the version that was read first.

// Without a store to make handles of, the parts that only a store needs are unused.
#![cfg_attr(not(feature = "s3"), allow(dead_code, unused_imports))]

mod handle;
mod store;
mod uri;

pub use handle::{ObjectChanged, Objects};
pub use store::{
    Created, Listing, ObjectBody, ObjectStore, ObjectVersion, OpenObject, Pending, StoreError,
    StoreErrorKind,
};
pub use uri::{ObjectUri, is_object};
