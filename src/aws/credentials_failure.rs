//! Diagnosis of credentials that failed to load: the source, the reason, and what to do.
//!
//! The SDK reports most failures as text only, so the diagnosis reads that text. What it does not recognise is quoted.

use std::error::Error as StdError;
use std::io;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cognitoidentity::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

use super::causes::{causes, find_cause};
use super::credentials_origin::{CredentialsOrigin, ProfileSources};
use super::credentials_unavailable::CredentialsUnavailable;
use super::describe::describe;

/// Longest quotation from a command or the SDK, in characters: a `credential_process` may print a page.
const LONGEST_QUOTATION: usize = 300;

/// The SDK's report of credentials that failed to load.
#[derive(Debug, Default)]
pub(super) struct LoadFailure {
    /// Nothing is configured.
    is_missing: bool,
    timed_out: bool,
    /// The causes, without the SDK's own layers.
    text: String,
    /// The call that failed was STS's `AssumeRole` or `AssumeRoleWithWebIdentity`.
    assuming: bool,
    /// STS's error code and message.
    sts_error: Option<(String, String)>,
    /// The error of reading a file.
    read_error: Option<String>,
}

impl LoadFailure {
    pub(super) fn of(error: &CredentialsError) -> Self {
        let role = find_cause::<SdkError<AssumeRoleError>>(error);
        let web_identity = find_cause::<SdkError<AssumeRoleWithWebIdentityError>>(error);
        // A failed connection has an I/O error too, below other errors; a file's is the first.
        let is_of_credentials = |error: &(dyn StdError + 'static)| error.is::<CredentialsError>();
        let first = causes(error).find(|&cause| !is_of_credentials(cause));
        let read_error = first.and_then(|cause| cause.downcast_ref::<io::Error>());
        Self {
            is_missing: matches!(error, CredentialsError::CredentialsNotLoaded(_)),
            timed_out: causes(error).any(|cause| {
                let cause = cause.downcast_ref::<CredentialsError>();
                matches!(cause, Some(CredentialsError::ProviderTimedOut(_)))
            }),
            text: describe(error),
            assuming: role.is_some() || web_identity.is_some(),
            sts_error: role
                .and_then(code_and_message)
                .or_else(|| web_identity.and_then(code_and_message)),
            read_error: read_error.map(ToString::to_string),
        }
    }

    /// Returns true if the SDK has given the reason with an earlier failure.
    pub(super) fn is_repeated(&self) -> bool {
        self.says("error already taken")
    }

    fn says(&self, words: &str) -> bool {
        self.text.contains(words)
    }

    fn says_any(&self, words: &[&str]) -> bool {
        words.iter().any(|words| self.says(words))
    }

    fn lacks_region(&self) -> bool {
        self.says("Missing Region") || self.says("A region must be set")
    }

    /// Returns the text after `words`.
    fn behind(&self, words: &str) -> Option<&str> {
        self.text.split_once(words).map(|(_, behind)| behind)
    }

    /// Returns the problem and its remedy. The order matters: the sources nearest to the failure come first.
    pub(super) fn diagnose(&self, origin: &CredentialsOrigin) -> CredentialsUnavailable {
        self.of_login(origin)
            .or_else(|| self.of_process(origin))
            .or_else(|| self.of_role(origin))
            .or_else(|| self.of_token_file(origin))
            .or_else(|| self.of_region(origin))
            .or_else(|| self.of_sso(origin))
            .or_else(|| self.of_timeout(origin))
            .or_else(|| self.of_nothing_configured(origin))
            .or_else(|| self.of_metadata())
            .unwrap_or_else(|| self.of_profile(origin))
    }

    /// A session of `aws login`, for which the SDK needs a feature that is not compiled in.
    fn of_login(&self, origin: &CredentialsOrigin) -> Option<CredentialsUnavailable> {
        if !self.says("credentials-login") {
            return None;
        }
        let profile = &origin.profile_with(|profile| profile.has_login)?.profile;
        Some(CredentialsUnavailable::new(
            format!(
                "profile {profile} signs in with `aws login`, whose sessions cannot be read here"
            ),
            format!(
                "Add a profile with the line `credential_process = aws configure export-credentials --profile {profile} --format process`, and name that one."
            ),
        ))
    }

    /// A `credential_process`: the words of the command come first.
    fn of_process(&self, origin: &CredentialsOrigin) -> Option<CredentialsUnavailable> {
        let sources = origin.profile_with(|profile| profile.has_process)?;
        let command = format!("the credential_process of profile {}", sources.profile);
        let problem = if let Some(ended) = self.behind("external process exited with code ") {
            let (status, stderr) = ended.split_once(". Stderr: ").unwrap_or((ended, ""));
            let code = status.trim_start_matches("exit status: ");
            let line = stderr.lines().map(str::trim).find(|line| !line.is_empty());
            match line {
                Some(line) => format!(
                    "\"{}\", says {command}, and ends with exit code {code}",
                    quotation(line)
                ),
                None => format!("{command} ends with exit code {code} and says nothing"),
            }
        } else if let Some(reason) = self.behind("could not parse response: ") {
            format!("{command} prints none: {}", quotation(reason))
        } else {
            let reason = self.behind("from external process: ")?;
            format!("{command} cannot be run: {}", quotation(reason))
        };
        Some(CredentialsUnavailable::new(
            problem,
            "Run that command by hand to see what it needs.",
        ))
    }

    fn of_role(&self, origin: &CredentialsOrigin) -> Option<CredentialsUnavailable> {
        if !self.assuming || self.lacks_region() {
            return None;
        }
        let (role, named_by) = origin.role()?;
        let (reason, remedy) = match &self.sts_error {
            Some((code, message)) => (
                quotation(&format!("STS says {code}: {message}")),
                "Check the role's trust policy and whose credentials ask for it.",
            ),
            None => (
                quotation(&self.text),
                "Check the network, the proxy settings and the Region.",
            ),
        };
        Some(CredentialsUnavailable::new(
            format!("the role {role} ({named_by}) cannot be assumed: {reason}"),
            remedy,
        ))
    }

    fn of_token_file(&self, origin: &CredentialsOrigin) -> Option<CredentialsUnavailable> {
        let reason = self.read_error.as_ref()?;
        let (path, named_by) = origin.token_file()?;
        Some(CredentialsUnavailable::new(
            format!("the web identity token file {path} cannot be read: {reason}"),
            format!("{named_by} names it; check whether it is mounted and may be read."),
        ))
    }

    fn of_region(&self, origin: &CredentialsOrigin) -> Option<CredentialsUnavailable> {
        if !self.lacks_region() {
            return None;
        }
        let (role, named_by) = origin.role()?;
        Some(CredentialsUnavailable::new(
            format!("no Region is set, and STS needs one to assume the role {role} ({named_by})"),
            "Set AWS_REGION or region in the profile, or name one with --region.",
        ))
    }

    fn of_sso(&self, origin: &CredentialsOrigin) -> Option<CredentialsUnavailable> {
        let profile = &origin.profile_with(|profile| profile.has_sso)?.profile;
        if self.sts_error.is_some() || !self.says_any(&["SSO", "sso", "Unauthorized", "Forbidden"])
        {
            return None;
        }
        if self.says_any(&["SSO token", "sso/cache", "Unauthorized", "InvalidGrant"]) {
            return Some(CredentialsUnavailable::new(
                format!("the SSO session of profile {profile} has expired, or was never begun"),
                format!(
                    "Run `aws sso login --profile {}`, and then the same command again.",
                    shell_word(profile)
                ),
            ));
        }
        Some(CredentialsUnavailable::new(
            format!(
                "SSO gives none for profile {profile}: {}",
                quotation(&self.text)
            ),
            "Check sso_account_id and sso_role_name, and whether that role is assigned to you.",
        ))
    }

    fn of_timeout(&self, origin: &CredentialsOrigin) -> Option<CredentialsUnavailable> {
        if !self.timed_out {
            return None;
        }
        Some(CredentialsUnavailable::new(
            format!(
                "loading them from {origin} takes too long: {}",
                quotation(&self.text)
            ),
            "Find out what it waits for.",
        ))
    }

    fn of_nothing_configured(&self, origin: &CredentialsOrigin) -> Option<CredentialsUnavailable> {
        if !self.is_missing || origin.only_profile {
            return None;
        }
        let metadata = if origin.metadata_is_off {
            "instance metadata is off (AWS_EC2_METADATA_DISABLED)"
        } else if self.says("could not communicate with IMDS") {
            "instance metadata does not answer"
        } else {
            "instance metadata has no role"
        };
        Some(CredentialsUnavailable {
            none_configured: true,
            ..CredentialsUnavailable::new(
                format!("neither environment, AWS files nor container have any, and {metadata}"),
                "",
            )
        })
    }

    fn of_metadata(&self) -> Option<CredentialsUnavailable> {
        if !self.says("IMDS") {
            return None;
        }
        Some(CredentialsUnavailable::new(
            format!("instance metadata gives none: {}", quotation(&self.text)),
            "Check the instance's role and its metadata options, or name a profile with --profile.",
        ))
    }

    /// Any other failure, quoted.
    fn of_profile(&self, origin: &CredentialsOrigin) -> CredentialsUnavailable {
        let text = self
            .behind("ProfileFile provider could not be built: ")
            .unwrap_or(&self.text);
        let no_provider = self.says("no providers in chain") || self.text.is_empty();
        let has_none = origin.only_profile
            && origin.chain.iter().all(|sources| {
                let none = ProfileSources {
                    profile: sources.profile.clone(),
                    ..ProfileSources::default()
                };
                *sources == none
            });
        let problem = if no_provider || (self.is_missing && has_none) {
            format!("{} has no credentials", origin.name)
        } else {
            format!("{origin} gives none: {}", quotation(text))
        };
        CredentialsUnavailable {
            none_configured: self.is_missing,
            ..CredentialsUnavailable::new(
                problem,
                "Check its settings in the AWS files (`aws configure list` shows what it has).",
            )
        }
    }
}

fn code_and_message<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<(String, String)> {
    let error = error.as_service_error()?;
    let message = error.message().unwrap_or_default();
    Some((error.code()?.to_owned(), message.to_owned()))
}

/// Quotes a profile's name as a shell reads it back.
fn shell_word(name: &str) -> String {
    if name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@%+".contains(&byte))
    {
        name.to_owned()
    } else {
        format!("'{name}'")
    }
}

/// Returns the first line that is not empty, of bounded length and without control characters, which a terminal would obey.
fn quotation(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.unwrap_or_default().trim_end_matches(['.', ' ']);
    let mut shown: String = line
        .chars()
        .take(LONGEST_QUOTATION)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if line.chars().count() > LONGEST_QUOTATION {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::profile::{NamedBy, ProfileName};
    use super::*;

    fn origin(chain: &[ProfileSources]) -> CredentialsOrigin {
        CredentialsOrigin {
            name: ProfileName {
                name: "p".to_owned(),
                named_by: NamedBy::Variable("AWS_PROFILE"),
            },
            only_profile: true,
            chain: chain.to_vec(),
            token_file: None,
            role_arn: None,
            metadata_is_off: false,
        }
    }

    fn sources() -> ProfileSources {
        ProfileSources {
            profile: "p".to_owned(),
            ..ProfileSources::default()
        }
    }

    const ROLE: &str = "arn:aws-us-gov:iam::123456789012:role/purge";

    fn diagnosis(error: &CredentialsError, origin: &CredentialsOrigin) -> String {
        LoadFailure::of(error).diagnose(origin).to_string()
    }

    #[test]
    fn a_command_is_quoted_on_one_bounded_line() {
        let origin = origin(&[ProfileSources {
            has_process: true,
            ..sources()
        }]);
        let diagnosis =
            |text: &str| diagnosis(&CredentialsError::provider_error(text.to_owned()), &origin);
        let long = "x".repeat(1000);
        for (text, start) in [
            (
                "Error retrieving credentials: external process exited with code exit status: 3. Stderr: \n  log in \u{1b}[1mfirst.\nand more",
                "\"log in \u{fffd}[1mfirst\", says the credential_process of profile p, and ends with exit code 3. Run that",
            ),
            (
                "Error retrieving credentials: external process exited with code exit status: 1. Stderr: ",
                "the credential_process of profile p ends with exit code 1 and says nothing. ",
            ),
            (
                "Error retrieving credentials from external process, could not parse response: no JSON",
                "the credential_process of profile p prints none: no JSON. ",
            ),
            (
                "Error retrieving credentials from external process: No such file",
                "the credential_process of profile p cannot be run: No such file. ",
            ),
        ] {
            let message = diagnosis(text);
            assert!(message.starts_with(start), "{message}");
        }
        let message = diagnosis(&format!(
            "Error retrieving credentials: external process exited with code exit status: 1. Stderr: {long}"
        ));
        assert!(message.len() < 500, "{message}");
    }

    #[test]
    fn each_source_has_its_diagnosis_and_remedy() {
        let sso = ProfileSources {
            has_sso: true,
            profile: "team a".to_owned(),
            ..sources()
        };
        let login = ProfileSources {
            has_login: true,
            ..sources()
        };
        let role = ProfileSources {
            role_arn: Some(ROLE.to_owned()),
            ..sources()
        };
        let token = ProfileSources {
            token_file: Some("/run/token".to_owned()),
            ..role.clone()
        };
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        for (error, chain, start) in [
            (
                CredentialsError::provider_error(
                    "the SSO token has expired and cannot be refreshed",
                ),
                vec![role.clone(), sso.clone()],
                "the SSO session of profile team a has expired, or was never begun. Run `aws sso login --profile 'team a'`",
            ),
            (
                CredentialsError::provider_error("ForbiddenException: No access"),
                vec![sso],
                "SSO gives none for profile team a: ForbiddenException: No access. Check sso_account_id",
            ),
            (
                CredentialsError::invalid_configuration(
                    "ProfileFile provider could not be built: This behavior requires following cargo feature(s) enabled: credentials-login.",
                ),
                vec![login],
                "profile p signs in with `aws login`, whose sessions cannot be read here. Add a profile with the line `credential_process = aws configure export-credentials --profile p --format process`",
            ),
            (
                CredentialsError::provider_error(not_found()),
                vec![token],
                "the web identity token file /run/token cannot be read: entity not found. web_identity_token_file of profile p names it",
            ),
            (
                CredentialsError::provider_error("Invalid Configuration: Missing Region"),
                vec![role.clone()],
                "no Region is set, and STS needs one to assume the role arn:aws-us-gov:iam::123456789012:role/purge (profile p). Set AWS_REGION",
            ),
            (
                CredentialsError::provider_timed_out(std::time::Duration::from_secs(30)),
                vec![role.clone()],
                "loading them from profile p takes too long: ",
            ),
            (
                CredentialsError::provider_error("failed to load IMDS session token"),
                vec![role],
                "instance metadata gives none: failed to load IMDS session token. ",
            ),
            (
                CredentialsError::not_loaded("profile `p` did not contain credential information"),
                vec![sources()],
                "AWS_PROFILE=p has no credentials. ",
            ),
            (
                CredentialsError::not_loaded(
                    "profile `q` was not defined: could not find source profile q referenced from p",
                ),
                vec![ProfileSources {
                    role_arn: Some(ROLE.to_owned()),
                    ..sources()
                }],
                "profile p gives none: profile `q` was not defined: could not find source profile q referenced from p. ",
            ),
        ] {
            let message = diagnosis(&error, &origin(&chain));
            assert!(message.starts_with(start), "{message}");
        }
    }

    #[test]
    fn sts_is_quoted_with_the_role() {
        let failure = LoadFailure {
            assuming: true,
            sts_error: Some((
                "AccessDenied".to_owned(),
                "User: u is not authorized.".to_owned(),
            )),
            ..LoadFailure::default()
        };
        let origin = CredentialsOrigin {
            role_arn: Some(ROLE.to_owned()),
            ..origin(&[])
        };
        let message = failure.diagnose(&origin).to_string();
        let start = format!(
            "the role {ROLE} (AWS_ROLE_ARN) cannot be assumed: STS says AccessDenied: User: u is not authorized. Check"
        );
        assert!(message.starts_with(&start), "{message}");
    }

    #[test]
    fn without_credentials_every_source_that_was_tried_is_named() {
        let failure = LoadFailure {
            is_missing: true,
            text: "no providers in chain provided credentials".to_owned(),
            ..LoadFailure::default()
        };
        let mut origin = CredentialsOrigin {
            only_profile: false,
            ..origin(&[])
        };
        let unavailable = failure.diagnose(&origin);
        assert!(unavailable.none_configured);
        assert!(
            unavailable
                .problem
                .ends_with("instance metadata has no role")
        );
        origin.metadata_is_off = true;
        let unavailable = failure.diagnose(&origin);
        assert!(unavailable.problem.ends_with("(AWS_EC2_METADATA_DISABLED)"));
    }
}
