//! Links that exist without anybody having made them.

use std::collections::HashSet;

use super::Link;
use super::user_hash::Printer;

/// Where a user is linked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Whereabouts {
    /// To this identity.
    At(String),
    /// To none.
    Nowhere,
    /// To whichever identity one asks for, since nothing has become of the user yet.
    Anywhere,
}

/// What has become of links that nobody made. Takes 16 bytes for a link and 8 for its user.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) printer: Printer,
    /// Links that were unlinked.
    gone: HashSet<u128>,
    /// Users that were unlinked from some identity, so that no look-up finds them.
    parted: HashSet<u64>,
    /// Users and identities that were linked, made, merged or deleted: their pools know all that there is of them.
    settled: HashSet<u64>,
}

impl Open {
    pub(super) fn new() -> Self {
        Self {
            printer: Printer::new(),
            gone: HashSet::new(),
            parted: HashSet::new(),
            settled: HashSet::new(),
        }
    }

    /// Where a user is linked that its pool does not know of.
    pub(super) fn whereabouts(&self, pool_id: &str, user: &str) -> Whereabouts {
        let print = self.user(pool_id, user);
        if self.settled.contains(&print) || self.parted.contains(&print) {
            Whereabouts::Nowhere
        } else {
            Whereabouts::Anywhere
        }
    }

    pub(super) fn implies_identity(&self, id: &str) -> bool {
        !self.settled.contains(&self.identity(id))
    }

    /// From now on the link is gone.
    pub(super) fn unlink(&mut self, link: &Link) {
        self.gone.insert(self.print(link));
        let user = self.user(&link.identity_pool_id, &link.developer_user_identifier);
        self.parted.insert(user);
    }

    /// From now on the pool knows all that there is of the user.
    pub(super) fn settle_user(&mut self, pool_id: &str, user: &str) {
        self.settled.insert(self.user(pool_id, user));
    }

    /// From now on its pool knows all that there is of the identity.
    pub(super) fn settle_identity(&mut self, id: &str) {
        self.settled.insert(self.identity(id));
    }

    fn print(&self, link: &Link) -> u128 {
        self.printer.print(&[
            &link.identity_id,
            &link.identity_pool_id,
            &link.developer_provider_name,
            &link.developer_user_identifier,
        ])
    }

    fn user(&self, pool_id: &str, user: &str) -> u64 {
        self.printer.short(&["user", pool_id, user])
    }

    fn identity(&self, id: &str) -> u64 {
        self.printer.short(&["identity", id])
    }

    /// Whether the link exists without anybody having made it.
    pub(super) fn implies(&self, link: &Link) -> bool {
        let user = self.user(&link.identity_pool_id, &link.developer_user_identifier);
        !self.settled.contains(&user)
            && !self.settled.contains(&self.identity(&link.identity_id))
            && !self.gone.contains(&self.print(link))
    }
}
