//! Arguments of `unlink-developer-identity`: those of the AWS CLI command of that name, parsed by clap.

use std::ffi::OsString;
use std::str::FromStr;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, ValueEnum};

use super::pages::{SINGLE, help};
use super::values::endpoint;

/// Name of the command.
const COMMAND: &str = "unlink-developer-identity";

/// Heading of the options that the AWS CLI has for every command.
const GLOBAL: &str = "Global options";

/// Arguments that `--cli-input-json` and `--generate-cli-skeleton` make optional.
const UNLESS: [&str; 2] = ["cli_input_json", "generate_cli_skeleton"];

/// Arguments of `unlink-developer-identity`.
#[derive(Debug, Clone, Args)]
#[command(
    infer_long_args = true,
    args_override_self = true,
    about = "Unlink one developer user identifier, as the AWS CLI command of that name does",
    long_about = "Unlink one developer user identifier: a drop-in for `aws cognito-identity unlink-developer-identity` of AWS CLI version 1.\n\nGlobal options follow the command. A value that is file://PATH or fileb://PATH is read from that file.",
    after_help = "Exit codes: 0 unlinked; 2 wrong usage; 255 everything else.",
    after_long_help = help(SINGLE, COMMAND)
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
        assert_eq!(default.0, Some(Duration::from_mins(1)));
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
        let message = refused(&["--foo=John"]);
        assert!(message.contains("'--foo'"), "{message}");
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
            let message = refused(words).to_lowercase();
            assert!(!message.contains("john"), "{message}");
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
