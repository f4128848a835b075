//! The profile that a run goes by, and whether its credentials or the environment's count.
//!
//! A profile that is named must exist, and credentials that are configured must load: the SDK would go on to the container's or
//! the machine's role, which may be another account's.

use std::ffi::OsString;
use std::fmt;

use aws_config::profile::{Profile, ProfileSet};

use super::SettingsError;
use super::config_files::{paths, profiles};
use super::credentials_source::{NOT_SENDABLE, is_sendable};
use super::region::is_region;

/// Settings of a profile that say where credentials come from.
const SOURCES: [&str; 10] = [
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

/// Where the name of a profile comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Option,
    Variable(&'static str),
    Default,
}

/// The name of a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) name: String,
    pub(super) by: By,
}

/// As it was given, on one line.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.name.replace(|c: char| c.is_control(), "\u{fffd}");
        match self.by {
            By::Option => write!(f, "--profile {name}"),
            By::Variable(variable) => write!(f, "{variable}={name}"),
            By::Default => write!(f, "profile {name}"),
        }
    }
}

impl Name {
    /// Returns the profile of the option, or else of the environment. Of two variables that differ the AWS CLI and the SDKs take
    /// different ones, so neither is taken.
    ///
    /// # Errors
    /// It cannot be told which one is meant.
    pub(super) fn of(
        option: Option<&str>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, SettingsError> {
        if let Some(name) = option {
            let (name, by) = (name.to_owned(), By::Option);
            return Ok(Self { name, by });
        }
        let mut named = Vec::new();
        for by in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"] {
            let Some(value) = variable(by).filter(|value| !value.is_empty()) else {
                continue;
            };
            let name = value
                .into_string()
                .map_err(|_| SettingsError(format!("{by} is not in UTF-8")))?;
            let by = By::Variable(by);
            named.push(Self { name, by });
        }
        match &named[..] {
            [one, other] if one.name != other.name => Err(SettingsError(format!(
                "{one} and {other} name two profiles: unset one of them, or name one with --profile"
            ))),
            [one, ..] => Ok(one.clone()),
            [] => Ok(Self {
                name: "default".to_owned(),
                by: By::Default,
            }),
        }
    }
}

/// The profile that a run goes by.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) name: Name,
    pub(super) profiles: ProfileSet,
    /// Whether the environment has keys.
    keys_in_environment: bool,
}

impl Chosen {
    /// Reads the AWS files.
    ///
    /// # Errors
    /// The files cannot be read, have no profile of the name that is given, or hold keys that cannot be sent.
    pub(super) async fn of(option: Option<&str>) -> Result<Self, SettingsError> {
        let variable = |name: &str| std::env::var_os(name);
        let name = Name::of(option, variable)?;
        let profiles = profiles(&name.name)
            .await
            .map_err(|why| SettingsError(format!("the AWS files cannot be read: {why}")))?;
        if name.by != By::Default && profiles.get_profile(&name.name).is_none() {
            return Err(SettingsError(missing(&name, &profiles, &quoted_sections())));
        }
        Ok(Self::new(name, profiles))
    }

    pub(super) fn new(name: Name, profiles: ProfileSet) -> Self {
        Self {
            name,
            profiles,
            keys_in_environment: is_set("AWS_ACCESS_KEY_ID"),
        }
    }

    pub(super) fn has_keys_in_environment(&self) -> bool {
        self.keys_in_environment && self.name.by != By::Option
    }

    /// Checks the keys that stand in the environment or in the files. They are never shown.
    ///
    /// # Errors
    /// One of them cannot be sent in a header, or the other half is missing.
    pub(super) fn check_keys(&self) -> Result<(), SettingsError> {
        check_variables(|name| std::env::var_os(name))?;
        if self.has_keys_in_environment() {
            check_environment(|name| std::env::var_os(name))?;
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
                    return Err(SettingsError(format!(
                        "{key} of profile {name} in the AWS files {NOT_SENDABLE}: set it again"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Returns whether credentials come from the profile and from nothing else. Keys of the environment go before a profile that
    /// is named by the environment, as in the AWS CLI, and not before `--profile`: they may be another account's.
    pub(super) fn gives_credentials(&self) -> bool {
        match self.name.by {
            By::Option => true,
            _ if self.keys_in_environment => false,
            By::Variable(_) => true,
            By::Default => self.profile().is_some_and(|profile| {
                let mut sources = SOURCES.iter();
                sources.any(|source| profile.get(source).is_some())
            }),
        }
    }

    pub(super) fn profile(&self) -> Option<&Profile> {
        self.profiles.get_profile(&self.name.name)
    }

    /// Returns the profile with those whose credentials it starts from, the nearest first.
    pub(super) fn lineage(&self) -> Vec<&Profile> {
        lineage(&self.profiles, &self.name.name)
    }

    /// Returns the Region that is configured, if one is.
    ///
    /// # Errors
    /// What is configured is no name of a Region: it would become a part of a host name.
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
            Some((region, from)) if !is_region(&region) => Err(SettingsError(format!(
                "{from}: {region:?} is no name of a Region, like eu-west-1"
            ))),
            configured => Ok(configured.map(|(region, _)| region)),
        }
    }
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.to_string_lossy().trim().is_empty())
}

/// Checks the variables at which the SDK panics, or fails at every call.
fn check_variables(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), SettingsError> {
    let value = |name| variable(name).map(|value| value.to_string_lossy().into_owned());
    // It becomes a part of the user agent.
    if value("AWS_EXECUTION_ENV").is_some_and(|value| value.contains(|c: char| c.is_control())) {
        return Err(SettingsError(
            "AWS_EXECUTION_ENV has a control character in it, and is sent with each call: set it again"
                .to_owned(),
        ));
    }
    let uri = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let is_url = |value: &String| value.starts_with("http://") || value.starts_with("https://");
    if value(uri).is_some_and(|value| !value.is_empty() && !is_url(&value)) {
        return Err(SettingsError(format!(
            "{uri} is no URL that begins with http:// or https://"
        )));
    }
    Ok(())
}

fn check_environment(variable: impl Fn(&str) -> Option<OsString>) -> Result<(), SettingsError> {
    let filled = |name| variable(name).filter(|value| !value.to_string_lossy().trim().is_empty());
    let secret = ["AWS_SECRET_ACCESS_KEY", "SECRET_ACCESS_KEY"];
    if !secret.into_iter().any(|name| filled(name).is_some()) {
        return Err(SettingsError(
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
        // The SDK takes white space off a token's ends, and not off a key's.
        let is_sendable = value.to_str().is_some_and(|value| match name {
            "AWS_SESSION_TOKEN" => is_sendable(value.trim()),
            _ => is_sendable(value),
        });
        if !is_sendable {
            return Err(SettingsError(format!(
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

/// Sections of the AWS files whose name is quoted. The AWS CLI reads `[profile "my team"]`; the SDK leaves it out.
fn quoted_sections() -> Vec<String> {
    let read = paths(|name| std::env::var_os(name))
        .into_iter()
        .filter_map(|path| std::fs::read_to_string(path).ok());
    let sections = read.flat_map(|text| {
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

/// What to say of a profile that is not there.
fn missing(name: &Name, profiles: &ProfileSet, quoted_sections: &[String]) -> String {
    let is_there = |name: &str| profiles.get_profile(name).is_some();
    if let Some(inner) = unquoted(&name.name).filter(|inner| is_there(inner)) {
        return format!(
            "{name}: the quotes are a part of that name, and the AWS files have {inner} without them: take them out"
        );
    }
    if quoted_sections.contains(&name.name) {
        return format!(
            "{name}: the AWS files quote the name of that profile, and it is not read so: give it a name without blanks and quotes"
        );
    }
    format!(
        "{name}: the AWS files have no profile of that name; `aws configure list-profiles` lists those that they have"
    )
}

#[cfg(test)]
mod tests {
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};

    use super::*;

    async fn parsed(config: &str) -> ProfileSet {
        let files = EnvConfigFiles::builder()
            .with_contents(EnvConfigFileKind::Config, config)
            .build();
        let (fs, env) = Default::default();
        aws_config::profile::load(&fs, &env, &files, None)
            .await
            .expect("a valid file")
    }

    fn name(option: Option<&str>, set: &[(&str, &str)]) -> Result<Name, SettingsError> {
        Name::of(option, |variable| {
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
    async fn credentials_that_are_configured_are_the_only_ones() {
        let config = "[default]\nregion = eu-west-1\n[profile r]\nrole_arn = x\nsource_profile = s\n[profile s]\nsource_profile = r\n";
        let profiles = parsed(config).await;
        for (name, by, keys_in_environment, expected) in [
            ("default", By::Default, false, false),
            ("r", By::Default, false, true),
            ("r", By::Default, true, false),
            ("default", By::Variable("AWS_PROFILE"), false, true),
            ("default", By::Variable("AWS_PROFILE"), true, false),
            ("default", By::Option, true, true),
        ] {
            let chosen = Chosen {
                name: Name {
                    name: name.to_owned(),
                    by,
                },
                profiles: profiles.clone(),
                keys_in_environment,
            };
            assert_eq!(chosen.gives_credentials(), expected, "{name} {by:?}");
        }
        // A circle ends.
        let names: Vec<_> = lineage(&profiles, "r").iter().map(|p| p.name()).collect();
        assert_eq!(names, ["r", "s"]);
    }

    #[test]
    fn variables_at_which_the_sdk_panics_are_refused() {
        let checked = |name: &str, value: &str| {
            check_variables(|variable| (variable == name).then(|| OsString::from(value))).is_ok()
        };
        for (name, value, is_fit) in [
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
            assert_eq!(checked(name, value), is_fit, "{name}={value:?}");
        }
    }

    #[test]
    fn keys_of_the_environment_are_whole_and_can_be_sent() {
        let checked = |set: &[(&str, &str)]| {
            let found = |variable: &str| {
                let mut set = set.iter();
                let found = set.find(|(name, _)| *name == variable);
                found.map(|(_, value)| OsString::from(value))
            };
            check_environment(found).map_err(|error| error.to_string())
        };
        let (id, secret) = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY");
        assert_eq!(checked(&[(id, "AKID"), (secret, "hunter2")]), Ok(()));
        assert_eq!(checked(&[(id, "AKID"), ("SECRET_ACCESS_KEY", "s")]), Ok(()));
        let token = ("AWS_SESSION_TOKEN", "t\n");
        assert_eq!(checked(&[(id, "AKID"), (secret, "s"), token]), Ok(()));
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
            let error = checked(set).expect_err(says);
            assert!(
                error.contains(says) && !error.contains("hunter2"),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_profile_that_is_not_there_is_told_with_its_quotes() {
        let profiles = parsed("[profile purge]\nregion = eu-west-1\n").await;
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
            let name = Name {
                name: given.to_owned(),
                by: By::Variable("AWS_PROFILE"),
            };
            let text = missing(&name, &profiles, &sections);
            assert!(text.contains(says), "{text}");
        }
        assert_eq!(quoted_section("[profile purge]"), None);
    }
}
