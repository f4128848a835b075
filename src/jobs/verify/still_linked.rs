//! The control of users who must still be linked (`--still-linked`): if one of them is not, answers prove nothing.

use std::path::Path;

use crate::aws::AwsCalls;
use crate::call::identity_lookup::UsersQuery;
use crate::error::{Error, Exit};
use crate::exit_policy::{forbidden, unreadable};
use crate::guard::{AdmittedLookups, Allowed, retried};
use crate::input::{self, Format, Input, InputRow, ReadOptions};
use crate::report::counted;
use crate::row::{Link, Position};

/// Users who must still be linked.
#[derive(Debug)]
pub(super) struct StillLinked(Vec<(Position, Link)>);

impl StillLinked {
    /// Reads the file of users: an input of `resolve`, or a list with one user a line. `pool_id` is the pool of rows that name none.
    ///
    /// # Errors
    /// The file cannot be read, a row breaks a rule or has no user, or its pool is not allowed.
    pub(super) fn read(
        path: &Path,
        mut options: ReadOptions,
        pool_id: Option<&str>,
        allowed: &Allowed,
    ) -> Result<Self, Error> {
        if Format::of_name(path).is_none() {
            options.format = Some(Format::Lines);
        }
        options.fill.identity_pool_id = pool_id.map(str::to_owned);
        let input = Input::from(path.as_os_str().to_owned());
        let mut users = Vec::new();
        for row in input::open(&input, &options).map_err(unreadable)? {
            let row = match row.map_err(unreadable)? {
                InputRow::Valid(row) => row,
                InputRow::Invalid(row) => {
                    return Err(
                        Error::usage(format!("{}: {}", row.position, row.error.message)).hint(
                            "Each row of --still-linked names a user, and its pool if the results have several.",
                        ),
                    );
                }
            };
            if row.link.developer_user_identifier.is_empty() {
                return Err(Error::usage(format!("{}: it names no user", row.position)));
            }
            if let Some(why) = allowed.refuses_pool(&row.link.identity_pool_id) {
                return Err(forbidden(&why, &row.position));
            }
            users.push((row.position, row.link));
        }
        if users.is_empty() {
            let path = path.display();
            return Err(Error::usage(format!(
                "--still-linked {path}: it names no user"
            )));
        }
        Ok(Self(users))
    }

    /// Looks all of them up, and returns their number.
    ///
    /// # Errors
    /// One of them is not linked, or not to the identity that its row names: the control failed.
    pub(super) async fn check(&self, lookups: &AdmittedLookups<AwsCalls>) -> Result<u64, Error> {
        for (position, link) in &self.0 {
            let query = UsersQuery {
                identity_pool_id: &link.identity_pool_id,
                identity_id: None,
                developer_user_identifier: Some(&link.developer_user_identifier),
            };
            let found = retried(|| lookups.users(&query)).await;
            let why = match found {
                Ok(users) => match users.identity_id.filter(|id| !id.is_empty()) {
                    Some(id) if link.identity_id.is_empty() || id == link.identity_id => continue,
                    Some(_) => "the user is linked to another identity".to_owned(),
                    None => "no identity has the user".to_owned(),
                },
                Err(error) => format!("the answer was {error}"),
            };
            return Err(Error::new(
                Exit::Halted,
                format!(
                    "the control failed: a user who must still be linked was not found ({position}): {why}"
                ),
            )
            .hint(format!(
                "Nothing is stated. Check the account, the pool and the permission for LookupDeveloperIdentity, and whether {} in that \
                 file are the right ones.",
                counted(self.0.len() as u64, "user")
            )));
        }
        Ok(self.0.len() as u64)
    }
}
