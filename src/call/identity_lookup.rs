//! Look-ups of identities and of the users linked to them, one page per call.

use std::future::Future;
use std::sync::Arc;

use super::client::Client;
use super::last_check::LastCheck;
use super::lookup::LookupError;
use crate::verdict::Reply;

/// A client of a job that looks up users.
pub trait UserLookup: Client {
    /// Looks up the identity of a user, or a page of the users of an identity (`LookupDeveloperIdentity`), in the Region of the
    /// pool. The bytes leave only when `last_check` releases them, and the time-out counts from there. Users come with a success
    /// only.
    fn look_up_users(
        &self,
        query: &UsersQuery<'_>,
        page: Page<'_>,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = (Reply, Users)> + Send;
}

impl<T: UserLookup> UserLookup for Arc<T> {
    fn look_up_users(
        &self,
        query: &UsersQuery<'_>,
        page: Page<'_>,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = (Reply, Users)> + Send {
        T::look_up_users(self, query, page, last_check)
    }
}

/// A client of a job that looks at identities before it calls.
pub trait IdentityDescription: Client {
    /// Describes an identity, in the Region of its id (`DescribeIdentity`). The bytes leave only when `last_check` releases them,
    /// and the time-out counts from there. The identity comes with a success only.
    fn describe_identity(
        &self,
        id: &str,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = (Reply, Identity)> + Send;
}

impl<T: IdentityDescription> IdentityDescription for Arc<T> {
    fn describe_identity(
        &self,
        id: &str,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = (Reply, Identity)> + Send {
        T::describe_identity(self, id, last_check)
    }
}

/// A client that looks up identities.
pub trait IdentityLookup: Send + Sync + 'static {
    /// Looks up the identity of a user, or the users of an identity (`LookupDeveloperIdentity`).
    fn users(
        &self,
        query: &UsersQuery<'_>,
        page: Page<'_>,
    ) -> impl Future<Output = Result<Users, LookupError>> + Send;

    /// Describes an identity, in the Region of its id (`DescribeIdentity`).
    fn identity(&self, id: &str) -> impl Future<Output = Result<Identity, LookupError>> + Send;

    /// Lists the identities of a pool, disabled ones included (`ListIdentities`).
    fn identities(
        &self,
        pool_id: &str,
        page: Page<'_>,
    ) -> impl Future<Output = Result<Identities, LookupError>> + Send;
}

/// The users to look up. With an identity and a user, the service answers whether they are linked.
#[derive(Debug, Clone, Copy)]
pub struct UsersQuery<'a> {
    /// The pool of the identity and the user.
    pub identity_pool_id: &'a str,
    /// The identity whose users are wanted.
    pub identity_id: Option<&'a str>,
    /// The user whose identity is wanted.
    pub developer_user_identifier: Option<&'a str>,
}

/// A page of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Page<'a> {
    /// Maximum number of results, 1 to 60.
    pub max_results: u8,
    /// The token that the page before has given; the first page has none.
    pub token: Option<&'a str>,
}

/// A page of the users of an identity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// The identity.
    pub identity_id: Option<String>,
    /// Developer user identifiers that are linked to it.
    pub users: Vec<String>,
    /// Token of the next page, if there is one.
    pub next: Option<String>,
}

/// An identity, as the service describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its id.
    pub id: String,
    /// Names of the providers of its logins. A guest has none; a disabled identity has `DISABLED`.
    pub logins: Vec<String>,
}

/// A page of the identities of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identities {
    /// The identities.
    pub identities: Vec<Identity>,
    /// Token of the next page, if there is one.
    pub next: Option<String>,
}
