//! A pool: its settings, its identities, and their users.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

/// A pool.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) settings: PoolSettings,
    /// Whether nobody made it, so that every link exists in it.
    pub(super) open: bool,
    identities: BTreeMap<String, Identity>,
    identity_of: HashMap<String, String>,
    /// Further identities of users. The service has none, but links that are given may.
    also: HashMap<String, BTreeSet<String>>,
}

/// What a pool is made with, as its operations name it.
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

/// A Cognito user pool whose users may sign in.
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

/// An identity, and what leads to it.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    pub(super) users: BTreeSet<String>,
    /// Tokens by public provider.
    pub(super) logins: BTreeMap<String, String>,
    pub(super) created: f64,
    pub(super) modified: f64,
}

impl Identity {
    /// Whether nothing leads to it any more.
    pub(super) fn is_disabled(&self) -> bool {
        self.users.is_empty() && self.logins.is_empty()
    }
}

impl Pool {
    /// Without identities. If it is `open`, nobody made it.
    pub(super) fn new(settings: PoolSettings, open: bool) -> Self {
        Self {
            settings,
            open,
            ..Self::default()
        }
    }

    pub(super) fn identities(&self) -> &BTreeMap<String, Identity> {
        &self.identities
    }

    /// The identity that a look-up of the user finds.
    pub(super) fn identity_of(&self, user: &str) -> Option<&String> {
        self.identity_of.get(user)
    }

    pub(super) fn holds(&self, identity_id: &str, user: &str) -> bool {
        let identity = self.identities.get(identity_id);
        identity.is_some_and(|identity| identity.users.contains(user))
    }

    pub(super) fn link(&mut self, identity_id: &str, user: &str, now: f64) {
        let identity = self.identities.entry(identity_id.to_owned());
        let identity = identity.or_insert_with(|| Identity {
            created: now,
            ..Identity::default()
        });
        identity.modified = now;
        if !identity.users.insert(user.to_owned()) {
            return;
        }
        if self.identity_of.contains_key(user) {
            let also = self.also.entry(user.to_owned()).or_default();
            also.insert(identity_id.to_owned());
        } else {
            self.identity_of
                .insert(user.to_owned(), identity_id.to_owned());
        }
    }

    /// Says whether the link was there.
    pub(super) fn unlink(&mut self, identity_id: &str, user: &str, now: f64) -> bool {
        let Some(identity) = self.identities.get_mut(identity_id) else {
            return false;
        };
        let was_linked = identity.users.remove(user);
        if was_linked {
            identity.modified = now;
            self.part(identity_id, user);
        }
        was_linked
    }

    /// Adds public logins to an identity that is there.
    pub(super) fn log_in(
        &mut self,
        identity_id: &str,
        logins: impl IntoIterator<Item = (String, String)>,
    ) {
        if let Some(identity) = self.identities.get_mut(identity_id) {
            identity.logins.extend(logins);
        }
    }

    /// Takes an identity away, and what leads to it.
    pub(super) fn delete(&mut self, identity_id: &str) {
        if let Some(identity) = self.identities.remove(identity_id) {
            for user in &identity.users {
                self.part(identity_id, user);
            }
        }
    }

    /// Look-ups of the user find another of its identities from now on, or none.
    fn part(&mut self, identity_id: &str, user: &str) {
        let also = self.also.get_mut(user);
        if self
            .identity_of
            .get(user)
            .is_some_and(|id| id == identity_id)
        {
            match also.and_then(BTreeSet::pop_first) {
                Some(other) => self.identity_of.insert(user.to_owned(), other),
                None => self.identity_of.remove(user),
            };
        } else if let Some(also) = also {
            also.remove(identity_id);
        }
        if self.also.get(user).is_some_and(BTreeSet::is_empty) {
            self.also.remove(user);
        }
    }

    /// Whether public logins of this name may be used.
    pub(super) fn supports_login(&self, name: &str) -> bool {
        let settings = &self.settings;
        let is_named = |pool: &UserPool| pool.provider_name.as_deref() == Some(name);
        let ends = |arn: &String| arn.ends_with(&format!("/{name}")) || arn == name;
        self.open
            || settings.supported_login_providers.contains_key(name)
            || settings.cognito_identity_providers.iter().any(is_named)
            || settings.open_id_connect_provider_arns.iter().any(ends)
            || settings.saml_provider_arns.iter().any(ends)
    }
}
