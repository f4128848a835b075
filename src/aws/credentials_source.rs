//! Where credentials come from, and what to say when they cannot be loaded or sent: the source that failed, why, and what to do.
//!
//! Every source passes here, also when it is asked anew in the middle of a run.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use aws_config::profile::Profile;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_cognitoidentity::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;

use super::SettingsError;
use super::answer::{causes, find, told};
use super::profile::{Chosen, Name};
use crate::verdict::{Answer, CREDENTIALS_FAILED, ReplyDetails, ReplyKind};

/// A command's words are shown up to here: it may print a page.
const MOST_WORDS: usize = 300;

/// A profile's settings that say where its credentials come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Step {
    name: String,
    has_process: bool,
    has_login: bool,
    has_sso: bool,
    role_arn: Option<String>,
    token_file: Option<String>,
}

impl Step {
    fn of(profile: &Profile) -> Self {
        let has = |key| profile.get(key).is_some();
        Self {
            name: profile.name().to_owned(),
            has_process: has("credential_process"),
            has_login: has("login_session"),
            has_sso: has("sso_session") || has("sso_start_url") || has("sso_account_id"),
            role_arn: profile.get("role_arn").map(str::to_owned),
            token_file: profile.get("web_identity_token_file").map(str::to_owned),
        }
    }
}

/// Where credentials come from, as it is configured.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    /// The profile, as it was named.
    name: Name,
    /// Whether nothing else than the profile is asked.
    only_profile: bool,
    /// The profile and those that it starts from.
    steps: Vec<Step>,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` and `AWS_ROLE_ARN`, where they count.
    token_file: Option<String>,
    role_arn: Option<String>,
    /// Whether `AWS_EC2_METADATA_DISABLED` says so.
    metadata_is_off: bool,
}

impl Origin {
    pub(super) fn of(chosen: &Chosen) -> Self {
        let only_profile = chosen.gives_credentials();
        let variable = |name| std::env::var(name).ok().filter(|_| !only_profile);
        Self {
            name: chosen.name.clone(),
            only_profile,
            steps: chosen.lineage().into_iter().map(Step::of).collect(),
            token_file: variable("AWS_WEB_IDENTITY_TOKEN_FILE"),
            role_arn: variable("AWS_ROLE_ARN"),
            metadata_is_off: variable("AWS_EC2_METADATA_DISABLED")
                .is_some_and(|value| value.eq_ignore_ascii_case("true")),
        }
    }

    fn step(&self, has: impl Fn(&Step) -> bool) -> Option<&Step> {
        self.steps.iter().find(|step| has(step))
    }

    /// The role that is assumed, and where it is named.
    fn role(&self) -> Option<(&str, String)> {
        let of_environment = self
            .role_arn
            .as_deref()
            .map(|arn| (arn, "AWS_ROLE_ARN".to_owned()));
        of_environment.or_else(|| {
            let step = self.step(|step| step.role_arn.is_some())?;
            Some((step.role_arn.as_deref()?, format!("profile {}", step.name)))
        })
    }

    fn token_file(&self) -> Option<(&str, String)> {
        let variable = "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned();
        let of_environment = self.token_file.as_deref().map(|path| (path, variable));
        of_environment.or_else(|| {
            let step = self.step(|step| step.token_file.is_some())?;
            let named_by = format!("web_identity_token_file of profile {}", step.name);
            Some((step.token_file.as_deref()?, named_by))
        })
    }
}

/// Credentials of an [`Origin`].
#[derive(Debug)]
pub(super) struct Known {
    source: SharedCredentialsProvider,
    origin: Origin,
    /// The last failure: of a profile that cannot be used the SDK tells only once why.
    failed: Mutex<Option<(String, String)>>,
}

impl Known {
    pub(super) fn new(source: SharedCredentialsProvider, origin: Origin) -> Self {
        Self {
            source,
            origin,
            failed: Mutex::default(),
        }
    }

    fn explained(&self, error: CredentialsError) -> CredentialsError {
        let is_missing = matches!(error, CredentialsError::CredentialsNotLoaded(_));
        let failure = Failure::of(&error);
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut explained = explain(&failure, &self.origin);
        if failure.says("error already taken")
            && let Some((what, remedy)) = failed.clone()
        {
            (explained.what, explained.remedy) = (what, remedy);
        }
        *failed = Some((explained.what.clone(), explained.remedy.clone()));
        explained.source = Some(error);
        if is_missing {
            CredentialsError::not_loaded(explained)
        } else {
            CredentialsError::provider_error(explained)
        }
    }

    async fn checked(&self) -> provider::Result {
        let loaded = self.source.provide_credentials().await;
        let credentials = loaded.map_err(|error| self.explained(error))?;
        match unfit(&credentials) {
            None => Ok(credentials),
            Some(part) => Err(CredentialsError::provider_error(unsendable(
                part,
                &self.origin,
            ))),
        }
    }
}

impl ProvideCredentials for Known {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.checked())
    }
}

/// Returns the part of credentials that cannot be sent in a header; the SDK would panic at it.
fn unfit(credentials: &Credentials) -> Option<&'static str> {
    [
        ("access key id", Some(credentials.access_key_id())),
        ("secret access key", Some(credentials.secret_access_key())),
        ("session token", credentials.session_token()),
    ]
    .into_iter()
    .find_map(|(part, value)| value.filter(|value| !is_sendable(value)).map(|_| part))
}

/// Returns whether a key or token has only characters that AWS's have: visible ones of ASCII.
pub(super) fn is_sendable(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What to say of a key that cannot be sent. It is not shown.
pub(super) const NOT_SENDABLE: &str = "has a character in it that no AWS key has (a line feed, a blank, a control character or one that is \
     not ASCII)";

fn unsendable(part: &str, origin: &Origin) -> Explained {
    Explained {
        what: format!("the {part} that {} gives {NOT_SENDABLE}", place(origin)),
        remedy: "Set it again without that.".to_owned(),
        is_missing: false,
        source: None,
    }
}

fn place(origin: &Origin) -> String {
    if origin.only_profile {
        format!("profile {}", origin.name.name)
    } else {
        "the environment, the container or the machine".to_owned()
    }
}

/// Why there are no credentials, and what to do about it.
#[derive(Debug)]
pub(super) struct Explained {
    pub(super) what: String,
    pub(super) remedy: String,
    /// Nothing is configured that could have given some.
    pub(super) is_missing: bool,
    source: Option<CredentialsError>,
}

impl Explained {
    /// For settings that cannot be used any more.
    pub(super) fn settings(error: &SettingsError) -> Self {
        Self {
            what: error.to_string(),
            remedy: "Mend that, and run the same command again.".to_owned(),
            is_missing: false,
            source: None,
        }
    }

    /// Returns what a call comes to that was not sent for it.
    pub(super) fn answer(&self) -> Answer {
        let code = if self.is_missing {
            "NoCredentials"
        } else {
            CREDENTIALS_FAILED
        };
        let facts = ReplyDetails {
            code: Some(code.to_owned()),
            message: Some(self.to_string()),
            ..ReplyDetails::default()
        };
        Answer {
            heard: ReplyKind::NoCredentials,
            facts,
        }
    }
}

/// The remedy comes last, and ends with a full stop.
impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        if self.remedy.is_empty() {
            return Ok(());
        }
        write!(f, ". {}", self.remedy)
    }
}

/// Credentials that never load.
#[derive(Debug)]
pub(super) struct Unusable(pub(super) SettingsError);

impl ProvideCredentials for Unusable {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let explained = Explained::settings(&self.0);
        future::ProvideCredentials::ready(Err(CredentialsError::provider_error(explained)))
    }
}

impl StdError for Explained {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.source.as_ref();
        source.map(|error| error as &(dyn StdError + 'static))
    }
}

/// What the SDK says of a loading that failed.
#[derive(Debug, Default)]
struct Failure {
    /// Nothing was configured.
    is_missing: bool,
    /// It took longer than allowed.
    timed_out: bool,
    /// The causes, without the SDK's own layers.
    text: String,
    /// STS was asked for a role.
    assuming: bool,
    /// STS's code and message.
    refusal: Option<(String, String)>,
    /// A file that could not be read.
    unreadable: Option<String>,
}

impl Failure {
    fn of(error: &CredentialsError) -> Self {
        let role = find::<SdkError<AssumeRoleError>>(error);
        let web_identity = find::<SdkError<AssumeRoleWithWebIdentityError>>(error);
        // Of a connection that failed there is one too, with other errors above it.
        let is_of_credentials = |error: &(dyn StdError + 'static)| error.is::<CredentialsError>();
        let first = causes(error).find(|&cause| !is_of_credentials(cause));
        let unreadable = first.and_then(|cause| cause.downcast_ref::<io::Error>());
        Self {
            is_missing: matches!(error, CredentialsError::CredentialsNotLoaded(_)),
            timed_out: causes(error).any(|cause| {
                let cause = cause.downcast_ref::<CredentialsError>();
                matches!(cause, Some(CredentialsError::ProviderTimedOut(_)))
            }),
            text: told(error),
            assuming: role.is_some() || web_identity.is_some(),
            refusal: role
                .and_then(refusal)
                .or_else(|| web_identity.and_then(refusal)),
            unreadable: unreadable.map(ToString::to_string),
        }
    }

    fn says(&self, words: &str) -> bool {
        self.text.contains(words)
    }

    fn lacks_region(&self) -> bool {
        self.says("Missing Region") || self.says("A region must be set")
    }

    /// What stands behind `words`.
    fn behind(&self, words: &str) -> Option<&str> {
        self.text.split_once(words).map(|(_, behind)| behind)
    }
}

fn refusal<E: ProvideErrorMetadata>(error: &SdkError<E>) -> Option<(String, String)> {
    let error = error.as_service_error()?;
    let message = error.message().unwrap_or_default();
    Some((error.code()?.to_owned(), message.to_owned()))
}

/// Returns what failed and what to do about it.
fn explain(failure: &Failure, origin: &Origin) -> Explained {
    let said = |what: String, remedy: String| Explained {
        what,
        remedy,
        is_missing: false,
        source: None,
    };
    let login = origin.step(|step| step.has_login);
    if failure.says("credentials-login")
        && let Some(step) = login
    {
        return said(
            format!(
                "profile {} signs in with `aws login`, whose sessions cannot be read here",
                step.name
            ),
            format!(
                "Add a profile with the line `credential_process = aws configure export-credentials --profile {} --format process`, and name that one.",
                step.name
            ),
        );
    }
    if let Some((what, remedy)) = of_process(failure, origin) {
        return said(what, remedy);
    }
    if failure.assuming
        && let Some((role, named_by)) = origin.role()
        && !failure.lacks_region()
    {
        let (why, remedy) = match &failure.refusal {
            Some((code, message)) => (
                bounded(&format!("STS says {code}: {message}")),
                "Check the role's trust policy and whose credentials ask for it.",
            ),
            None => (
                bounded(&failure.text),
                "Check the network, the proxy settings and the Region.",
            ),
        };
        return said(
            format!("the role {role} ({named_by}) cannot be assumed: {why}"),
            remedy.to_owned(),
        );
    }
    if let (Some(why), Some((path, named_by))) = (&failure.unreadable, origin.token_file()) {
        return said(
            format!("the web identity token file {path} cannot be read: {why}"),
            format!("{named_by} names it; check whether it is mounted and may be read."),
        );
    }
    if failure.lacks_region()
        && let Some((role, named_by)) = origin.role()
    {
        return said(
            format!("no Region is set, and STS is asked in one for the role {role} ({named_by})"),
            "Set AWS_REGION or region in the profile, or name one with --region.".to_owned(),
        );
    }
    if let Some(step) = origin.step(|step| step.has_sso)
        && failure.refusal.is_none()
        && ["SSO", "sso", "Unauthorized", "Forbidden"]
            .iter()
            .any(|word| failure.says(word))
    {
        return of_sso(failure, step, said);
    }
    if failure.timed_out {
        return said(
            format!(
                "loading them from {} takes too long: {}",
                place(origin),
                bounded(&failure.text)
            ),
            "Find out what it waits for.".to_owned(),
        );
    }
    if failure.is_missing && !origin.only_profile {
        let metadata = if origin.metadata_is_off {
            "instance metadata is off (AWS_EC2_METADATA_DISABLED)"
        } else if failure.says("could not communicate with IMDS") {
            "instance metadata does not answer"
        } else {
            "instance metadata has no role"
        };
        return Explained {
            what: format!("neither environment, AWS files nor container have any, and {metadata}"),
            remedy: String::new(),
            is_missing: true,
            source: None,
        };
    }
    if failure.says("IMDS") {
        return said(
            format!("instance metadata gives none: {}", bounded(&failure.text)),
            "Check the instance's role and its metadata options, or name a profile with --profile."
                .to_owned(),
        );
    }
    of_profile(failure, origin)
}

fn of_profile(failure: &Failure, origin: &Origin) -> Explained {
    let text = ["ProfileFile provider could not be built: "]
        .into_iter()
        .find_map(|layer| failure.behind(layer))
        .unwrap_or(&failure.text);
    let is_without = failure.says("no providers in chain") || failure.text.is_empty();
    let has_none = origin.only_profile
        && origin.steps.iter().all(|step| {
            *step
                == Step {
                    name: step.name.clone(),
                    ..Step::default()
                }
        });
    let what = if is_without || (failure.is_missing && has_none) {
        format!("{} has no credentials", origin.name)
    } else {
        format!("{} gives none: {}", place(origin), bounded(text))
    };
    Explained {
        what,
        remedy: "Check its settings in the AWS files (`aws configure list` shows what it has)."
            .to_owned(),
        is_missing: failure.is_missing,
        source: None,
    }
}

/// A `credential_process`: its own words come first.
fn of_process(failure: &Failure, origin: &Origin) -> Option<(String, String)> {
    let step = origin.step(|step| step.has_process)?;
    let command = format!("the credential_process of profile {}", step.name);
    let remedy = "Run that command by hand to see what it needs.".to_owned();
    let what = if let Some(ended) = failure.behind("external process exited with code ") {
        let (status, words) = ended.split_once(". Stderr: ").unwrap_or((ended, ""));
        let code = status.trim_start_matches("exit status: ");
        let words = words.lines().map(str::trim).find(|line| !line.is_empty());
        match words {
            Some(words) => format!(
                "\"{}\", says {command}, and ends with exit code {code}",
                bounded(words)
            ),
            None => format!("{command} ends with exit code {code} and says nothing"),
        }
    } else if let Some(why) = failure.behind("could not parse response: ") {
        format!("{command} prints none: {}", bounded(why))
    } else {
        let why = failure.behind("from external process: ")?;
        format!("{command} cannot be run: {}", bounded(why))
    };
    Some((what, remedy))
}

fn of_sso(failure: &Failure, step: &Step, said: impl Fn(String, String) -> Explained) -> Explained {
    let name = &step.name;
    let is_over = ["SSO token", "sso/cache", "Unauthorized", "InvalidGrant"]
        .iter()
        .any(|word| failure.says(word));
    if is_over {
        return said(
            format!("the SSO session of profile {name} has expired, or was never begun"),
            format!(
                "Run `aws sso login --profile {}`, and then the same command again.",
                quoted(name)
            ),
        );
    }
    said(
        format!(
            "SSO gives none for profile {name}: {}",
            bounded(&failure.text)
        ),
        "Check sso_account_id and sso_role_name, and whether that role is assigned to you."
            .to_owned(),
    )
}

/// As a shell reads it back.
fn quoted(name: &str) -> String {
    if name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_./:@%+".contains(&byte))
    {
        name.to_owned()
    } else {
        format!("'{name}'")
    }
}

/// One line of bounded length, with nothing in it that a terminal obeys.
fn bounded(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let line = line.unwrap_or_default().trim_end_matches(['.', ' ']);
    let mut shown: String = line
        .chars()
        .take(MOST_WORDS)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if line.chars().count() > MOST_WORDS {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::profile::By;
    use super::*;

    fn origin(steps: &[Step]) -> Origin {
        Origin {
            name: Name {
                name: "p".to_owned(),
                by: By::Variable("AWS_PROFILE"),
            },
            only_profile: true,
            steps: steps.to_vec(),
            token_file: None,
            role_arn: None,
            metadata_is_off: false,
        }
    }

    fn step() -> Step {
        Step {
            name: "p".to_owned(),
            ..Step::default()
        }
    }

    const ROLE: &str = "arn:aws-us-gov:iam::123456789012:role/purge";

    fn of_error(error: &CredentialsError, origin: &Origin) -> String {
        explain(&Failure::of(error), origin).to_string()
    }

    #[test]
    fn a_command_has_the_first_word() {
        let origin = origin(&[Step {
            has_process: true,
            ..step()
        }]);
        let of = |text: &str| of_error(&CredentialsError::provider_error(text.to_owned()), &origin);
        let long = "x".repeat(1000);
        for (text, says) in [
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
            let told = of(text);
            assert!(told.starts_with(says), "{told}");
        }
        let told = of(&format!(
            "Error retrieving credentials: external process exited with code exit status: 1. Stderr: {long}"
        ));
        assert!(told.len() < 500, "{told}");
    }

    #[test]
    fn what_is_to_be_done_is_said_for_each_source() {
        let sso = Step {
            has_sso: true,
            name: "team a".to_owned(),
            ..step()
        };
        let login = Step {
            has_login: true,
            ..step()
        };
        let role = Step {
            role_arn: Some(ROLE.to_owned()),
            ..step()
        };
        let token = Step {
            token_file: Some("/run/token".to_owned()),
            ..role.clone()
        };
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        for (error, steps, says) in [
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
                "no Region is set, and STS is asked in one for the role arn:aws-us-gov:iam::123456789012:role/purge (profile p). Set AWS_REGION",
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
                vec![step()],
                "AWS_PROFILE=p has no credentials. ",
            ),
            (
                CredentialsError::not_loaded(
                    "profile `q` was not defined: could not find source profile q referenced from p",
                ),
                vec![Step {
                    role_arn: Some(ROLE.to_owned()),
                    ..step()
                }],
                "profile p gives none: profile `q` was not defined: could not find source profile q referenced from p. ",
            ),
        ] {
            let told = of_error(&error, &origin(&steps));
            assert!(told.starts_with(says), "{told}");
        }
    }

    #[test]
    fn sts_is_quoted_with_the_role() {
        let failure = Failure {
            assuming: true,
            refusal: Some((
                "AccessDenied".to_owned(),
                "User: u is not authorized.".to_owned(),
            )),
            ..Failure::default()
        };
        let origin = Origin {
            role_arn: Some(ROLE.to_owned()),
            ..origin(&[])
        };
        let told = explain(&failure, &origin).to_string();
        let says = format!(
            "the role {ROLE} (AWS_ROLE_ARN) cannot be assumed: STS says AccessDenied: User: u is not authorized. Check"
        );
        assert!(told.starts_with(&says), "{told}");
    }

    #[test]
    fn nothing_found_says_where_it_was_looked_for() {
        let failure = Failure {
            is_missing: true,
            text: "no providers in chain provided credentials".to_owned(),
            ..Failure::default()
        };
        let mut origin = Origin {
            only_profile: false,
            ..origin(&[])
        };
        let explained = explain(&failure, &origin);
        assert!(explained.is_missing);
        assert!(explained.what.ends_with("instance metadata has no role"));
        origin.metadata_is_off = true;
        let explained = explain(&failure, &origin);
        assert!(explained.what.ends_with("(AWS_EC2_METADATA_DISABLED)"));
    }

    #[test]
    fn keys_that_no_header_holds_are_not_sent_and_not_shown() {
        for (key, secret, token, part) in [
            ("AKID\n", "s", None, Some("access key id")),
            ("AKIDé", "s", None, Some("access key id")),
            ("AKID", " s", None, Some("secret access key")),
            ("AKID", "s", Some("t\u{7f}"), Some("session token")),
            ("AKID", "s/+=", Some("t//=="), None),
        ] {
            let credentials = Credentials::from_keys(key, secret, token.map(str::to_owned));
            assert_eq!(unfit(&credentials), part, "{key:?}");
        }
        let told = unsendable("access key id", &origin(&[])).to_string();
        assert!(
            told.starts_with("the access key id that profile p gives has a character"),
            "{told}"
        );
    }
}
