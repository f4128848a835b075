//! The configured sources of credentials: profiles, roles, token files, instance metadata.

use std::fmt;

use aws_config::profile::Profile;

use super::profile::{ActiveProfile, ProfileName};

/// The sources of credentials that one profile configures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProfileSources {
    /// Name of the profile.
    pub(super) profile: String,
    pub(super) has_process: bool,
    pub(super) has_login: bool,
    pub(super) has_sso: bool,
    pub(super) role_arn: Option<String>,
    pub(super) token_file: Option<String>,
}

impl ProfileSources {
    fn of(profile: &Profile) -> Self {
        let has = |key| profile.get(key).is_some();
        Self {
            profile: profile.name().to_owned(),
            has_process: has("credential_process"),
            has_login: has("login_session"),
            has_sso: has("sso_session") || has("sso_start_url") || has("sso_account_id"),
            role_arn: profile.get("role_arn").map(str::to_owned),
            token_file: profile.get("web_identity_token_file").map(str::to_owned),
        }
    }
}

/// The configured sources of credentials.
#[derive(Debug, Clone)]
pub(super) struct CredentialsOrigin {
    /// The active profile.
    pub(super) name: ProfileName,
    /// The chain uses the profile alone, and neither environment, container nor instance.
    pub(super) only_profile: bool,
    /// The profile and its chain of `source_profile`s, nearest first.
    pub(super) chain: Vec<ProfileSources>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE`, where it is used.
    pub(super) token_file: Option<String>,
    /// `AWS_ROLE_ARN`, where it is used.
    pub(super) role_arn: Option<String>,
    /// `AWS_EC2_METADATA_DISABLED` is true.
    pub(super) metadata_is_off: bool,
}

impl CredentialsOrigin {
    pub(super) fn of(active: &ActiveProfile) -> Self {
        let only_profile = active.gives_credentials();
        let variable = |name| std::env::var(name).ok().filter(|_| !only_profile);
        Self {
            name: active.name.clone(),
            only_profile,
            chain: active
                .lineage()
                .into_iter()
                .map(ProfileSources::of)
                .collect(),
            token_file: variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
            role_arn: variable("AWS_ROLE_ARN"),
            metadata_is_off: variable("AWS_EC2_METADATA_DISABLED")
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
        }
    }

    /// Returns the first profile of the chain that `has` a source.
    pub(super) fn profile_with(
        &self,
        has: impl Fn(&ProfileSources) -> bool,
    ) -> Option<&ProfileSources> {
        self.chain.iter().find(|profile| has(profile))
    }

    /// Returns the role that is assumed, and the variable or profile that names it.
    pub(super) fn role(&self) -> Option<(&str, String)> {
        if let Some(arn) = &self.role_arn {
            return Some((arn, "AWS_ROLE_ARN".to_owned()));
        }
        let sources = self.profile_with(|profile| profile.role_arn.is_some())?;
        let named_by = format!("profile {}", sources.profile);
        Some((sources.role_arn.as_deref()?, named_by))
    }

    /// Returns the web identity token file, and the variable or setting that names it.
    pub(super) fn token_file(&self) -> Option<(&str, String)> {
        if let Some(path) = &self.token_file {
            return Some((path, "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned()));
        }
        let sources = self.profile_with(|profile| profile.token_file.is_some())?;
        let named_by = format!("web_identity_token_file of profile {}", sources.profile);
        Some((sources.token_file.as_deref()?, named_by))
    }
}

/// Names the sources as a whole.
impl fmt::Display for CredentialsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.only_profile {
            write!(f, "profile {}", self.name.name)
        } else {
            f.write_str("the environment, the container or the machine")
        }
    }
}
