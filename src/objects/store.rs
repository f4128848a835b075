//! The interface of a store of objects.

use std::fmt;
use std::pin::Pin;

use bytes::Bytes;

use super::uri::ObjectUri;

/// A request to a store, under way once it is polled.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// A store of objects, each with a key in a bucket. Requests are made once: the caller knows which of them may be repeated, and how.
pub trait ObjectStore: fmt::Debug + Send + Sync {
    /// Opens an object at this byte, if it still is of this version.
    fn open(
        &self,
        uri: &ObjectUri,
        from: u64,
        version: Option<&ObjectVersion>,
    ) -> Pending<OpenObject>;

    /// Returns the whole content of an object; `None` if there is no such object.
    fn read(&self, uri: &ObjectUri) -> Pending<Option<Bytes>>;

    /// Creates an object, unless there is one of that name already.
    fn create(&self, uri: &ObjectUri, content: Bytes) -> Pending<Created>;

    /// Returns the keys that begin with the key of `prefix`, in their order, as many as the store returns at once. `after`: only those
    /// behind this key. With a `delimiter`, keys that have it behind the prefix are returned once, up to it.
    fn list(
        &self,
        prefix: &ObjectUri,
        after: Option<&str>,
        delimiter: Option<char>,
    ) -> Pending<Listing>;
}

/// The version of an object's content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectVersion {
    /// The entity tag, with its quotes (RFC 9110, section 8.8.3).
    pub tag: String,
    /// The id, in a bucket that keeps versions.
    pub id: Option<String>,
    /// Bytes of the whole object.
    pub size: u64,
}

/// An object that is open.
pub struct OpenObject {
    /// Its version.
    pub version: ObjectVersion,
    /// Its content from where it was opened.
    pub body: Box<dyn ObjectBody>,
}

impl fmt::Debug for OpenObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenObject")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// The content of an object, a chunk at a time.
pub trait ObjectBody: Send {
    /// Returns the next chunk and the rest; `None` at the end.
    fn next(self: Box<Self>) -> Pending<Option<(Bytes, Box<dyn ObjectBody>)>>;
}

/// The result of creating an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It was created.
    New,
    /// There is an object of that name already.
    Exists,
}

/// A page of a list of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// The keys.
    pub keys: Vec<String>,
    /// Beginnings of keys, up to the delimiter.
    pub common: Vec<String>,
    /// Key to pass as `after` for the next page; `None` on the last.
    pub after: Option<String>,
}

/// A request that has failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    /// Its kind.
    pub kind: StoreErrorKind,
    /// The fault, and the remedy where it is known. No content of an object is in it.
    pub message: String,
}

impl StoreError {
    /// Returns whether the same request may succeed later.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(
            self.kind,
            StoreErrorKind::Temporary | StoreErrorKind::Expired
        )
    }
}

/// The kind of a request's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// No object of that name.
    Missing,
    /// The object is of another version.
    Changed,
    /// The request may succeed if it is made again: no answer, a server's error, throttled.
    Temporary,
    /// The credentials have expired. New ones are loaded for the next request.
    Expired,
    /// Credentials, permissions, no such bucket, or a request that the store does not support.
    Refused,
}
