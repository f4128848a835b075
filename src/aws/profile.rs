//! The active profile, and whether its credentials or the environment's are used.
//!
//! A profile that is named must exist, and credentials that are configured must load: the SDK would go on to the role of the
//! container or the machine, which may be another account's.

use std::ffi::{OsStr, OsString};
use std::fmt;

use aws_config::profile::{Profile, ProfileSet};

use super::access_keys::{NOT_SENDABLE, is_sendable};
use super::config_files::{load_profiles, paths};
use super::region::is_region;
use super::settings::SettingsError;

/// Settings of a profile that name a source of credentials.
const CREDENTIAL_SETTINGS: [&str; 10] = [
    "aws_access_key_id",
    "credential_process",
    "credential_source",
    "login_session",
    "role_arn",
    "source_profile",
    "sso_account_id",
    "sso_session",
    "sso_start_url",
    "web_identity_token_file",
];

/// The origin of a profile's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NamedBy {
    Option,
    Variable(&'static str),
    Default,
}

/// The name of a profile, with its origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProfileName {
    pub(super) name: String,
    pub(super) named_by: NamedBy,
}

/// Shows the option or variable with its value, on one line.
impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.replace(|c: char| c.is_control(), "\u{fffd}");
        match self.named_by {
            NamedBy::Option => write!(f, "--profile {name}"),
            NamedBy::Variable(variable) => write!(f, "{variable}={name}"),
            NamedBy::Default => write!(f, "profile {name}"),
        }
    }
}

impl ProfileName {
    /// Returns the profile of the option, or else of the environment. Where two variables differ, the AWS CLI and the SDKs
    /// disagree on which one wins, so neither is used.
    ///
    /// # Errors
    /// Two variables name different profiles, or one is not UTF-8.
    pub(super) fn resolve(
        option: Option<&str>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        if let Some(name) = option {
            return Ok(Self {
                name: name.to_owned(),
                named_by: NamedBy::Option,
            });
        }
        let mut named = Vec::new();
        for name in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
            let Some(value) = variable(name).filter(|value| !value.is_empty()) else {
                continue;
            };
            let value = value
                .into_string()
                .map_err(|_| SettingsError::Invalid(format!("{name} is not in UTF-8")))?;
            named.push(Self {
                name: value,
                named_by: NamedBy::Variable(name),
            });
        }
        match &named[..] {
            [one, other] if one.name != other.name => Err(SettingsError::Invalid(format!(
                "{one} and {other} name two profiles: unset one of them, or name one with --profile"
            ))),
            [one, ..] => Ok(one.clone()),
            [] => Ok(Self {
                name: "default".to_owned(),
                named_by: NamedBy::Default,
            }),
        }
    }
}

/// The profile of this process, with the AWS files.
#[derive(Debug)]
pub(super) struct ActiveProfile {
    pub(super) name: ProfileName,
    pub(super) profiles: ProfileSet,
    /// `AWS_ACCESS_KEY_ID` is set.
    keys_in_environment: bool,
}

impl ActiveProfile {
    /// Reads the AWS files with the profile of the option, or else of the environment.
    ///
    /// # Errors
    /// The files cannot be read, or have no profile of the given name.
    pub(super) async fn load(option: Option<&str>) -> Result<Self, SettingsError> {
        let name = ProfileName::resolve(option, |name| std::env::var_os(name))?;
        let profiles = load_profiles(&name.name).await?;
        if name.named_by != NamedBy::Default && profiles.get_profile(&name.name).is_none() {
            let message = missing_profile(&name, &profiles, &quoted_sections());
            return Err(SettingsError::Invalid(message));
        }
        Ok(Self::new(name, profiles))
    }

    pub(super) fn new(name: ProfileName, profiles: ProfileSet) -> Self {
        let key_id = std::env::var_os("AWS_ACCESS_KEY_ID");
        Self {
            name,
            profiles,
            keys_in_environment: key_id.is_some_and(|value| !is_blank(&value)),
        }
    }

    /// Returns true if the keys in the environment are used. With `--profile` they are not: they may be another account's.
    pub(super) fn has_keys_in_environment(&self) -> bool {
        self.keys_in_environment && self.name.named_by != NamedBy::Option
    }

    /// Checks the keys in the environment and in the files. They are never shown.
    ///
    /// # Errors
    /// A key cannot be sent in a header, or half of a pair is missing.
    pub(super) fn check_keys(&self) -> Result<(), SettingsError> {
        check_variables(|name| std::env::var_os(name))?;
        if self.has_keys_in_environment() {
            check_environment_keys(|name| std::env::var_os(name))?;
        }
        if !self.gives_credentials() {
            return Ok(());
        }
        for profile in self.lineage() {
            for key in [
                "aws_access_key_id",
                "aws_secret_access_key",
                "aws_session_token",
            ] {
                if profile.get(key).is_some_and(|value| !is_sendable(value)) {
                    let name = profile.name();
                    return Err(SettingsError::Invalid(format!(
                        "{key} of profile {name} in the AWS files {NOT_SENDABLE}: set it again"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Returns true if credentials come from the profile alone. Keys in the environment win over a profile that the environment
    /// names, as in the AWS CLI, but not over `--profile`.
    pub(super) fn gives_credentials(&self) -> bool {
        match self.name.named_by {
            NamedBy::Option => true,
            _ if self.keys_in_environment => false,
            NamedBy::Variable(_) => true,
            NamedBy::Default => self.profile().is_some_and(|profile| {
                let mut settings = CREDENTIAL_SETTINGS.iter();
                settings.any(|setting| profile.get(setting).is_some())
            }),
        }
    }

    fn profile(&self) -> Option<&Profile> {
        self.profiles.get_profile(&self.name.name)
    }

    /// Returns the profile and its chain of `source_profile`s, nearest first.
    pub(super) fn lineage(&self) -> Vec<&Profile> {
        lineage(&self.profiles, &self.name.name)
    }

    /// Returns the Region that is configured, if one is.
    ///
    /// # Errors
    /// The configured value is no name of a Region: it would become part of a host name.
    pub(super) fn region(&self, option: Option<&str>) -> Result<Option<String>, SettingsError> {
        let variable = |name: &str| Some((std::env::var(name).ok()?, name.to_owned()));
        let of_profile = || {
            let region = self.profile()?.get("region")?;
            Some((region.to_owned(), format!("region of {}", self.name)))
        };
        let filled = |(region, _): &(String, String)| !region.is_empty();
        let configured = option
            .map(|region| (region.to_owned(), "--region".to_owned()))
            .or_else(|| variable("AWS_REGION").filter(filled))
            .or_else(|| variable("AWS_DEFAULT_REGION").filter(filled))
            .or_else(|| of_profile().filter(filled));
        match configured {
            Some((region, from)) if !is_region(&region) => Err(SettingsError::Invalid(format!(
                "{from}: {region:?} is no name of a Region, like eu-west-1"
            ))),
            configured => Ok(configured.map(|(region, _)| region)),
        }
    }
}

fn is_blank(value: &OsStr) -> bool {
    value.to_string_lossy().trim().is_empty()
}

/// Checks variables at which the SDK panics, or fails with every call.
fn check_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), SettingsError> {
    let value = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
    // It becomes part of the user agent.
    if value("AWS_EXECUTION_ENV").is_some_and(|value| value.contains(|c: char| c.is_control())) {
        return Err(SettingsError::Invalid(
            "AWS_EXECUTION_ENV has a control character in it, and is sent with each call: set it again"
                .to_owned(),
        ));
    }
    let uri = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let is_url = |value: &String| value.starts_with("http://") || value.starts_with("https://");
    if value(uri).is_some_and(|value| !value.is_empty() && !is_url(&value)) {
        return Err(SettingsError::Invalid(format!(
            "{uri} is no URL that begins with http:// or https://"
        )));
    }
    Ok(())
}

fn check_environment_keys(
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(), SettingsError> {
    let filled = |name| variable(name).filter(|value| !is_blank(value));
    let secret = ["AWS_SECRET_ACCESS_KEY", "SECRET_ACCESS_KEY"];
    if !secret.into_iter().any(|name| filled(name).is_some()) {
        return Err(SettingsError::Invalid(
            "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not: set both, or neither"
                .to_owned(),
        ));
    }
    for name in [
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
    ] {
        let Some(value) = filled(name) else {
            continue;
        };
        // The SDK trims a token, and does not trim a key.
        let is_sendable = value.to_str().is_some_and(|value| match name {
            "AWS_SESSION_TOKEN" => is_sendable(value.trim()),
            _ => is_sendable(value),
        });
        if !is_sendable {
            return Err(SettingsError::Invalid(format!(
                "{name} {NOT_SENDABLE}: set it again"
            )));
        }
    }
    Ok(())
}

fn lineage<'a>(profiles: &'a ProfileSet, name: &str) -> Vec<&'a Profile> {
    let mut lineage: Vec<&Profile> = Vec::new();
    let mut next = profiles.get_profile(name);
    while let Some(profile) = next {
        lineage.push(profile);
        let source = profile.get("source_profile");
        next = source
            .and_then(|source| profiles.get_profile(source))
            .filter(|next| !lineage.iter().any(|known| known.name() == next.name()));
    }
    lineage
}

/// Returns the quoted names of profiles in the AWS files. The AWS CLI reads `[profile "my team"]`; the SDK skips it.
fn quoted_sections() -> Vec<String> {
    let texts = paths(|name| std::env::var_os(name))
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let sections = texts.flat_map(|text| {
        let lines = text.lines().filter_map(quoted_section);
        lines.collect::<Vec<_>>()
    });
    sections.collect()
}

fn quoted_section(line: &str) -> Option<String> {
    let header = line.trim().strip_prefix('[')?.split(']').next()?;
    let name = header.trim().strip_prefix("profile")?;
    unquoted(name.trim()).map(str::to_owned)
}

fn unquoted(name: &str) -> Option<&str> {
    ['"', '\'']
        .into_iter()
        .find_map(|quote| name.strip_prefix(quote)?.strip_suffix(quote))
}

/// Returns the message for a profile that does not exist.
fn missing_profile(
    name: &ProfileName,
    profiles: &ProfileSet,
    quoted_sections: &[String],
) -> String {
    let exists = |name: &str| profiles.get_profile(name).is_some();
    if let Some(inner) = unquoted(&name.name).filter(|inner| exists(inner)) {
        return format!(
            "{name}: the quotes are a part of that name, and the AWS files have {inner} without them: take them out"
        );
    }
    if quoted_sections.contains(&name.name) {
        return format!(
            "{name}: the AWS files quote the name of that profile, which is not supported here: give it a name without spaces and quotes"
        );
    }
    format!(
        "{name}: the AWS files have no profile of that name; `aws configure list-profiles` lists the profiles that exist"
    )
}

#[cfg(test)]
mod tests {
    use super::super::config_files::parsed;
    use super::*;

    fn name(option: Option<&str>, set: &[(&str, &str)]) -> Result<ProfileName, SettingsError> {
        ProfileName::resolve(option, |variable| {
            let mut set = set.iter();
            let found = set.find(|(name, _)| *name == variable);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn a_profile_is_named_by_the_option_or_else_by_one_variable() {
        for (option, set, expected) in [
            (None, &[][..], "profile default"),
            (None, &[("AWS_PROFILE", "")], "profile default"),
            (None, &[("AWS_PROFILE", "a")], "AWS_PROFILE=a"),
            (
                None,
                &[("AWS_DEFAULT_PROFILE", "a")],
                "AWS_DEFAULT_PROFILE=a",
            ),
            (
                None,
                &[("AWS_PROFILE", "a"), ("AWS_DEFAULT_PROFILE", "a")],
                "AWS_PROFILE=a",
            ),
            (Some("b"), &[("AWS_PROFILE", "a")], "--profile b"),
        ] {
            let name = name(option, set).expect("a name");
            assert_eq!(name.to_string(), expected);
        }
        let two = [("AWS_PROFILE", "a"), ("AWS_DEFAULT_PROFILE", "b")];
        let error = name(None, &two).expect_err("two").to_string();
        assert!(
            error.contains("AWS_PROFILE=a and AWS_DEFAULT_PROFILE=b"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn configured_credentials_are_the_only_ones_used() {
        let config = "[default]\nregion = eu-west-1\n[profile r]\nrole_arn = x\nsource_profile = s\n[profile s]\nsource_profile = r\n";
        let profiles = parsed(config, None).await;
        for (name, named_by, keys_in_environment, expected) in [
            ("default", NamedBy::Default, false, false),
            ("r", NamedBy::Default, false, true),
            ("r", NamedBy::Default, true, false),
            ("default", NamedBy::Variable("AWS_PROFILE"), false, true),
            ("default", NamedBy::Variable("AWS_PROFILE"), true, false),
            ("default", NamedBy::Option, true, true),
        ] {
            let active = ActiveProfile {
                name: ProfileName {
                    name: name.to_owned(),
                    named_by,
                },
                profiles: profiles.clone(),
                keys_in_environment,
            };
            assert_eq!(active.gives_credentials(), expected, "{name} {named_by:?}");
        }
        // A circle of source profiles ends.
        let names: Vec<_> = lineage(&profiles, "r").iter().map(|p| p.name()).collect();
        assert_eq!(names, ["r", "s"]);
    }

    #[test]
    fn variables_at_which_the_sdk_panics_are_refused() {
        let is_accepted = |name: &str, value: &str| {
            check_variables(|variable| (variable == name).then(|| OsString::from(value))).is_ok()
        };
        for (name, value, accepted) in [
            ("AWS_EXECUTION_ENV", "AWS_Lambda_python3.9 (é)", true),
            ("AWS_EXECUTION_ENV", "a\nb", false),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "", true),
            (
                "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                "http://127.0.0.1:1/x",
                true,
            ),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "127.0.0.1:1", false),
        ] {
            assert_eq!(is_accepted(name, value), accepted, "{name}={value:?}");
        }
    }

    #[test]
    fn keys_in_the_environment_are_complete_and_sendable() {
        let check = |set: &[(&str, &str)]| {
            let found = |variable: &str| {
                let mut set = set.iter();
                let found = set.find(|(name, _)| *name == variable);
                found.map(|(_, value)| OsString::from(value))
            };
            check_environment_keys(found).map_err(|error| error.to_string())
        };
        let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
        assert_eq!(check(&[(id, "AKID"), (secret, "hunter2")]), Ok(()));
        assert_eq!(check(&[(id, "AKID"), ("SECRET_ACCESS_KEY", "s")]), Ok(()));
        let token = ("AWS_SESSION_TOKEN", "t\n");
        assert_eq!(check(&[(id, "AKID"), (secret, "s"), token]), Ok(()));
        for (set, says) in [
            (&[(id, "AKID")][..], "AWS_SECRET_ACCESS_KEY is not"),
            (
                &[(id, "AKID"), (secret, " ")],
                "AWS_SECRET_ACCESS_KEY is not",
            ),
            (
                &[(id, "AKID\n"), (secret, "s")],
                "AWS_ACCESS_KEY_ID has a character",
            ),
            (
                &[(id, "AKID"), (secret, "hunter2\r")],
                "AWS_SECRET_ACCESS_KEY has a character",
            ),
            (
                &[(id, "AKID"), (secret, "s"), ("AWS_SESSION_TOKEN", "t\nu")],
                "AWS_SESSION_TOKEN has a character",
            ),
        ] {
            let error = check(set).expect_err(says);
            assert!(
                error.contains(says) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_missing_profile_is_named_with_its_quotes() {
        let profiles = parsed("[profile purge]\nregion = eu-west-1\n", None).await;
        let sections = [quoted_section("[profile \"my team\"]").expect("quoted")];
        for (given, says) in [
            (
                "absent",
                "AWS_PROFILE=absent: the AWS files have no profile",
            ),
            (
                "\"purge\"",
                "AWS_PROFILE=\"purge\": the quotes are a part of that name",
            ),
            ("'purge'", "the AWS files have purge without them"),
            ("\"absent\"", "have no profile of that name"),
            ("my team", "the AWS files quote the name of that profile"),
        ] {
            let name = ProfileName {
                name: given.to_owned(),
                named_by: NamedBy::Variable("AWS_PROFILE"),
            };
            let text = missing_profile(&name, &profiles, &sections);
            assert!(text.contains(says), "{text}");
        }
        assert_eq!(quoted_section("[profile purge]"), None);
    }
}
