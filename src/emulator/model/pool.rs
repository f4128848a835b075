//! An identity pool: its settings, its identities, and their users.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// An identity pool.
#[derive(Debug, Default)]
pub(super) struct IdentityPool {
    pub(super) settings: PoolSettings,
    /// True if every well-formed link exists in it until it is unlinked: no call or file created the pool.
    pub(super) has_implicit_links: bool,
    identities: BTreeMap<String, Identity>,
    /// The identity that a look-up of each user finds.
    identity_of: HashMap<String, String>,
    /// Further identities of users. The service allows none, but given links may have some.
    further_identities: HashMap<String, BTreeSet<String>>,
}

/// Settings of a pool: the input of `CreateIdentityPool`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct PoolSettings {
    pub(super) identity_pool_name: String,
    pub(super) allow_unauthenticated_identities: bool,
    pub(super) allow_classic_flow: Option<bool>,
    pub(super) supported_login_providers: BTreeMap<String, String>,
    pub(super) developer_provider_name: Option<String>,
    #[serde(rename = "OpenIdConnectProviderARNs")]
    pub(super) open_id_connect_provider_arns: Vec<String>,
    pub(super) cognito_identity_providers: Vec<UserPool>,
    #[serde(rename = "SamlProviderARNs")]
    pub(super) saml_provider_arns: Vec<String>,
    pub(super) identity_pool_tags: BTreeMap<String, String>,
}

/// A Cognito user pool whose users may sign in to an identity pool.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserPool {
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server_side_token_check: Option<bool>,
}

/// An identity and its logins.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    /// Developer user identifiers.
    pub(super) users: BTreeSet<String>,
    /// Public logins: token by provider.
    pub(super) logins: BTreeMap<String, String>,
    /// True once its last login was unlinked, or it was merged into another. A guest, who never had one, is not disabled.
    pub(super) is_disabled: bool,
    /// Seconds since 1970.
    pub(super) created: f64,
    /// Seconds since 1970.
    pub(super) modified: f64,
}

impl IdentityPool {
    /// Creates a pool without stored identities.
    pub(super) fn new(settings: PoolSettings, has_implicit_links: bool) -> Self {
        Self {
            settings,
            has_implicit_links,
            ..Self::default()
        }
    }

    pub(super) fn identities(&self) -> &BTreeMap<String, Identity> {
        &self.identities
    }

    /// Returns the identity that a look-up of the user finds.
    pub(super) fn identity_of(&self, user: &str) -> Option<&String> {
        self.identity_of.get(user)
    }

    pub(super) fn is_linked(&self, identity_id: &str, user: &str) -> bool {
        let identity = self.identities.get(identity_id);
        identity.is_some_and(|identity| identity.users.contains(user))
    }

    /// Returns the identity as one that is modified now, created if it is not stored.
    pub(super) fn touch(&mut self, identity_id: &str, now: f64) -> &mut Identity {
        let identity = self.identities.entry(identity_id.to_owned());
        let identity = identity.or_insert_with(|| Identity {
            created: now,
            ..Identity::default()
        });
        identity.modified = now;
        identity
    }

    /// Links a user, which enables the identity.
    pub(super) fn link(&mut self, identity_id: &str, user: &str, now: f64) {
        let identity = self.touch(identity_id, now);
        identity.is_disabled = false;
        if !identity.users.insert(user.to_owned()) {
            return;
        }
        if self.identity_of.contains_key(user) {
            let further = self.further_identities.entry(user.to_owned()).or_default();
            further.insert(identity_id.to_owned());
        } else {
            self.identity_of
                .insert(user.to_owned(), identity_id.to_owned());
        }
    }

    /// Takes all logins from an identity, and disables it.
    pub(super) fn disable(&mut self, identity_id: &str, now: f64) {
        let identity = self.touch(identity_id, now);
        identity.is_disabled = true;
        identity.logins.clear();
        for user in std::mem::take(&mut identity.users) {
            self.forget_identity_of(identity_id, &user);
        }
    }

    /// Removes a link, and with the last login disables the identity. Returns false if there was none.
    pub(super) fn unlink(&mut self, identity_id: &str, user: &str, now: f64) -> bool {
        let Some(identity) = self.identities.get_mut(identity_id) else {
            return false;
        };
        let was_linked = identity.users.remove(user);
        if was_linked {
            identity.modified = now;
            identity.is_disabled = identity.users.is_empty() && identity.logins.is_empty();
            self.forget_identity_of(identity_id, user);
        }
        was_linked
    }

    /// Adds public logins to an identity, if it exists.
    pub(super) fn add_logins(
        &mut self,
        identity_id: &str,
        logins: impl IntoIterator<Item = (String, String)>,
    ) {
        if let Some(identity) = self.identities.get_mut(identity_id) {
            identity.logins.extend(logins);
        }
    }

    /// Deletes an identity with its logins.
    pub(super) fn delete(&mut self, identity_id: &str) {
        if let Some(identity) = self.identities.remove(identity_id) {
            for user in &identity.users {
                self.forget_identity_of(identity_id, user);
            }
        }
    }

    /// Makes look-ups of the user find another of the user's identities, or none.
    fn forget_identity_of(&mut self, identity_id: &str, user: &str) {
        let further = self.further_identities.get_mut(user);
        if self
            .identity_of
            .get(user)
            .is_some_and(|id| id == identity_id)
        {
            match further.and_then(BTreeSet::pop_first) {
                Some(other) => self.identity_of.insert(user.to_owned(), other),
                None => self.identity_of.remove(user),
            };
        } else if let Some(further) = further {
            further.remove(identity_id);
        }
        if self
            .further_identities
            .get(user)
            .is_some_and(BTreeSet::is_empty)
        {
            self.further_identities.remove(user);
        }
    }

    /// Returns true if the pool accepts public logins of this provider.
    pub(super) fn supports_login(&self, name: &str) -> bool {
        let settings = &self.settings;
        let is_named = |pool: &UserPool| pool.provider_name.as_deref() == Some(name);
        let ends = |arn: &String| arn.ends_with(&format!("/{name}")) || arn == name;
        self.has_implicit_links
            || settings.supported_login_providers.contains_key(name)
            || settings.cognito_identity_providers.iter().any(is_named)
            || settings.open_id_connect_provider_arns.iter().any(ends)
            || settings.saml_provider_arns.iter().any(ends)
    }
}
