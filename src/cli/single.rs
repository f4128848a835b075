//! Arguments of `unlink-developer-identity`: those of the AWS CLI command of that name, parsed by clap.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, ValueEnum};

use super::values::endpoint;

/// Name of the command.
const COMMAND: &str = "unlink-developer-identity";

/// Heading of the options that the AWS CLI has for every command.
const GLOBAL: &str = "Global options";

/// Arguments that `--cli-input-json` and `--generate-cli-skeleton` make optional.
const UNLESS: [&str; 2] = ["cli_input_json", "generate_cli_skeleton"];

const SUMMARY: &str = "\
A drop-in for `aws cognito-identity unlink-developer-identity` of AWS CLI version 1; global options follow the command.
A value that is file://PATH or fileb://PATH is read from that file.
Exit codes: 0 unlinked; 2 wrong usage; 255 everything else.";

/// Every deliberate difference. `tests/single_call.toml` marks the same ones with `ours`.
const DIFFERENCES: &str = "\
Environment, AWS files, request, exit codes, retries and error messages are those of AWS CLI 1.45, but for these differences.

Calls and answers

TooManyRequestsException with HTTP 400, and RequestLimitExceeded: the AWS CLI fails at once in its default retry mode. Here they \
are retried in every mode, up to AWS_MAX_ATTEMPTS.

HTTP 200 that Cognito did not write (a captive portal): a success there. Here `An error occurred (NotCognito)`, exit code 255.

Another 2xx, or HTTP 200 with an error or anything else in it: a success there. Here the error, or a retry and then exit code 255: \
the service's success is 200 with its request id and no content.

An error after an attempt without an answer: here the message adds that the earlier attempt may have unlinked the identity.

Regions, endpoints and TLS

AWS_REGION: ignored there. Here it applies after AWS_DEFAULT_REGION and before the profile's region.

--region \"\": signs for no Region there. Refused here: it is a script's unset variable.

Trusted authorities: certifi's there, the system's here. --ca-bundle, AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE and ca_bundle work as there.

--no-verify-ssl: refused, exit code 2. Name the authority to trust with --ca-bundle.

A user name or password in the endpoint's URL: refused.

A proxy that cannot be reached, a CA bundle that cannot be read: here the message names the endpoint, or the file.

Output and logs

--query and --output: the answer is empty, so nothing is printed; the AWS CLI prints null for some expressions, and refuses those that \
are no JMESPath. Output formats in the environment and the profile are ignored.

User identifiers: --debug and error messages of this program do not show them. A message of the service is shown as it is.

Control characters in a message of the service: escaped here.

Arguments and files

Wrong values: a timeout or an endpoint URL that makes no sense is wrong usage here, exit code 2; there 255. So are unknown options and \
words that belong to no option. The wording of usage errors is this program's.

Abbreviated options: all options count. --de may be --debug or --developer-user-identifier here, and is refused.

--cli-input-json=JSON and --generate-cli-skeleton=WHICH, in one word, and abbreviations of these options: here they make the four \
parameters optional as well. So does `--generate-cli-skeleton output`, which then names the missing parameters, exit code 255.

A value that begins with a dash, is no number and has a space in it: write --option=VALUE.

A value that is an http:// or https:// URL: fetched there. Refused here, unless cli_follow_urlparam = false takes it as it is.

An argument that is not UTF-8, or half of a surrogate pair in JSON: sent there, refused here.

A broken AWS file: the AWS CLI crashes with exit code 1. Here exit code 255, or the last of two equal keys applies.

--help and --version: this program's. `help` as a word is unknown.";

/// Arguments of `unlink-developer-identity`.
#[derive(Debug, Clone, Args)]
#[command(
    infer_long_args = true,
    args_override_self = true,
    after_help = SUMMARY,
    after_long_help = format!("{SUMMARY}\n\n{DIFFERENCES}")
)]
pub struct SingleArgs {
    /// The identity
    #[arg(long, value_name = "ID", required_unless_present_any = UNLESS, allow_negative_numbers = true)]
    pub identity_id: Option<String>,
    /// The identity pool. The Region that is called is the configured one, whatever the prefix of this
    #[arg(long, value_name = "ID", required_unless_present_any = UNLESS, allow_negative_numbers = true)]
    pub identity_pool_id: Option<String>,
    /// The pool's developer provider name
    #[arg(long, value_name = "NAME", required_unless_present_any = UNLESS, allow_negative_numbers = true)]
    pub developer_provider_name: Option<String>,
    /// The user, as the developer's own system names them
    #[arg(long, value_name = "USER", required_unless_present_any = UNLESS, allow_negative_numbers = true)]
    pub developer_user_identifier: Option<String>,
    /// The four as a JSON object: the text itself or `file://PATH`. Options given beside it win
    #[arg(long, value_name = "JSON")]
    pub cli_input_json: Option<String>,
    /// Call nothing: print the object that --cli-input-json takes, or with `output` check the parameters
    #[arg(
        long,
        value_name = "WHICH",
        value_enum,
        num_args = 0..=1,
        default_missing_value = "input"
    )]
    pub generate_cli_skeleton: Option<Skeleton>,

    /// Log each attempt to standard error, without user identifiers
    #[arg(long, help_heading = GLOBAL)]
    pub debug: bool,
    /// Endpoint in place of AWS's
    #[arg(long, value_name = "URL", value_parser = endpoint, help_heading = GLOBAL)]
    pub endpoint_url: Option<String>,
    /// Refused: name the authority to trust with --ca-bundle
    #[arg(long, hide = true, help_heading = GLOBAL)]
    pub no_verify_ssl: bool,
    /// Named profile
    #[arg(long, value_name = "NAME", help_heading = GLOBAL)]
    pub profile: Option<String>,
    /// Region to call
    #[arg(long, value_name = "REGION", help_heading = GLOBAL)]
    pub region: Option<String>,
    /// Neither look for credentials nor sign
    #[arg(long, help_heading = GLOBAL)]
    pub no_sign_request: bool,
    /// PEM file of the authorities to trust in place of the system's
    #[arg(long, value_name = "FILE", help_heading = GLOBAL)]
    pub ca_bundle: Option<String>,
    /// Seconds to wait for an answer, 0 for no limit
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "60",
        allow_negative_numbers = true,
        help_heading = GLOBAL
    )]
    pub cli_read_timeout: Timeout,
    /// Seconds to wait for a connection, 0 for no limit
    #[arg(
        long,
        value_name = "SECONDS",
        default_value = "60",
        allow_negative_numbers = true,
        help_heading = GLOBAL
    )]
    pub cli_connect_timeout: Timeout,
    /// Accepted for scripts of the AWS CLI, and without effect: the call has no output.
    #[command(flatten)]
    pub without_effect: WithoutEffect,
}

/// Options of the AWS CLI about its output.
#[derive(Debug, Clone, Args)]
pub struct WithoutEffect {
    /// Accepted: there is no output to format
    #[arg(long, value_name = "FORMAT", value_parser = ["json", "text", "table"], help_heading = GLOBAL)]
    pub output: Option<String>,
    /// Accepted: there is no output to query
    #[arg(long, value_name = "EXPRESSION", help_heading = GLOBAL)]
    pub query: Option<String>,
    /// Accepted: nothing is coloured
    #[arg(long, value_name = "WHEN", value_parser = ["on", "off", "auto"], help_heading = GLOBAL)]
    pub color: Option<String>,
    /// Accepted: there are no pages
    #[arg(long, help_heading = GLOBAL)]
    pub no_paginate: bool,
    /// Accepted: there is nothing to migrate
    #[arg(long, hide = true, help_heading = GLOBAL)]
    pub v2_debug: bool,
}

/// Which skeleton is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Skeleton {
    /// The input
    Input,
    /// The output, which is nothing; the parameters are checked
    Output,
}

/// A timeout in whole seconds, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeout(pub Option<Duration>);

impl FromStr for Timeout {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds: u64 = text
            .trim()
            .parse()
            .map_err(|_| "expected a whole number of seconds, or 0 for no limit")?;
        Ok(Self((seconds > 0).then(|| Duration::from_secs(seconds))))
    }
}

/// Removes from a usage error of this command what may be a part of a user identifier: a word that belongs to no option, unless it
/// is spelt like the name of one.
pub(super) fn hide_identifiers(error: &mut clap::Error, words: &[OsString]) {
    let is_ours = words.get(1).is_some_and(|word| word == COMMAND);
    if !is_ours || error.kind() != ErrorKind::UnknownArgument {
        return;
    }
    let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg) else {
        return;
    };
    let is_name = word.strip_prefix("--").is_some_and(|name| {
        let in_names = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
        name.bytes().all(in_names)
    });
    let is_meant_as_value = words.windows(2).any(|pair| {
        let [option, value] = [&pair[0], &pair[1]].map(|word| word.to_string_lossy());
        option.starts_with("--developer-u") && !option.contains('=') && value.starts_with(word)
    });
    if !is_name || is_meant_as_value {
        error.remove(ContextKind::InvalidArg);
        let hint =
            "quote a value with spaces, and write --option=VALUE for one that begins with a dash";
        let hints = ContextValue::StyledStrs(vec![hint.into()]);
        error.insert(ContextKind::Suggested, hints);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    const LINK: [&str; 4] = [
        "--identity-id=i",
        "--identity-pool-id=p",
        "--developer-provider-name=n",
        "--developer-user-identifier=u",
    ];

    fn parse(words: &[&str]) -> Result<SingleArgs, clap::Error> {
        let words: Vec<&str> = ["cognito-unlink", COMMAND]
            .iter()
            .chain(words)
            .copied()
            .collect();
        let parsed = Cli::try_parse_from(&words).map_err(|mut error| {
            let words: Vec<OsString> = words.iter().map(Into::into).collect();
            hide_identifiers(&mut error, &words);
            error
        })?;
        match parsed.command {
            Command::UnlinkDeveloperIdentity(args) => Ok(*args),
            other => panic!("{other:?}"),
        }
    }

    fn beside_a_link(words: &[&str]) -> Result<SingleArgs, clap::Error> {
        parse(&[&LINK, words].concat())
    }

    fn refused(words: &[&str]) -> String {
        let error = beside_a_link(words).expect_err("wrong usage");
        assert_eq!(error.exit_code(), 2, "{words:?}");
        error.to_string()
    }

    #[test]
    fn timeouts_are_whole_seconds() {
        let seconds = |text: &str| {
            let parsed = text.parse();
            parsed.map(|Timeout(bound)| bound.map(|t| t.as_secs()))
        };
        assert_eq!(seconds("0"), Ok(None));
        assert_eq!(seconds(" 7 "), Ok(Some(7)));
        for wrong in ["", "x", "1.5", "-1"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        let default = beside_a_link(&[]).expect("valid").cli_read_timeout;
        assert_eq!(default.0, Some(Duration::from_secs(60)));
    }

    #[test]
    fn options_may_be_abbreviated() {
        assert!(beside_a_link(&["--deb"]).expect("valid").debug);
        let given = beside_a_link(&["--reg", "x", "--developer-u=y"]).expect("valid");
        assert_eq!(given.region.as_deref(), Some("x"));
        assert_eq!(given.developer_user_identifier.as_deref(), Some("y"));
        for ambiguous in ["--de", "--dev", "--c"] {
            refused(&[ambiguous, "x"]);
        }
        let version = beside_a_link(&["--vers"]).expect_err("no call");
        assert_eq!(version.kind(), ErrorKind::DisplayVersion);
    }

    #[test]
    fn a_value_begins_with_a_dash_only_if_it_cannot_be_an_option() {
        let region = |words: &[&str]| beside_a_link(words).expect("valid").region;
        let user = |words: &[&str]| {
            let given = beside_a_link(words).expect("valid");
            given.developer_user_identifier
        };
        for value in ["-", "-5", "-1.5"] {
            let given = user(&["--developer-user-identifier", value]);
            assert_eq!(given.as_deref(), Some(value));
        }
        for option in ["-x", "--x", "--", "-5.x"] {
            refused(&["--developer-user-identifier", option]);
        }
        assert_eq!(region(&["--region=-x"]).as_deref(), Some("-x"));
        assert_eq!(region(&["--region="]).as_deref(), Some(""));
    }

    #[test]
    fn unknown_options_are_named_and_no_value_is() {
        let told = refused(&["--foo=John"]);
        assert!(told.contains("'--foo'"), "{told}");
        for words in [
            &["--foo=John"][..],
            &["John"],
            &["--", "John"],
            &["-John"],
            &["--John"],
            &["--John Smith"],
            &["--developer-user-identifier", "-john"],
            &["--developer-user-identifier", "--john"],
            &["--developer-u", "--john=x"],
        ] {
            let told = refused(words).to_lowercase();
            assert!(!told.contains("john"), "{told}");
        }
        assert!(refused(&["John"]).contains("quote a value with spaces"));
    }

    #[test]
    fn the_parameters_are_required_beside_neither_json_nor_skeleton() {
        for words in [
            &["--cli-input-json", "{}"][..],
            &["--cli-input-json={}"],
            &["--cli-i", "{}"],
            &["--generate-cli-skeleton"],
            &["--generate-cli-skeleton", "input"],
            &["--generate-cli-skeleton=output"],
        ] {
            assert!(parse(words).is_ok(), "{words:?}");
        }
        let error = parse(&["--identity-id", "i"]).expect_err("three are missing");
        assert_eq!(error.kind(), ErrorKind::MissingRequiredArgument);
    }

    #[test]
    fn an_argument_that_is_not_utf_8_is_refused() {
        let strange = OsString::from_vec(b"--region=\xff".to_vec());
        let words = ["cognito-unlink", COMMAND].into_iter().chain(LINK);
        let words = words.map(Into::into).chain([strange]);
        let error = Cli::try_parse_from(words).expect_err("no text");
        assert_eq!(error.kind(), ErrorKind::InvalidUtf8);
    }
}
