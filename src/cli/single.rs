//! Arguments of `unlink-developer-identity`, which are those of the AWS CLI's command of that name.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Heading of the options that the AWS CLI reads before it knows what it is to do.
pub(super) const GLOBAL: &str = "Global options";

/// Arguments of `unlink-developer-identity`. Whether all that are needed are there is told by [`super::plain_words`].
#[derive(Debug, Clone, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of its own on the command line"
)]
#[command(after_help = "\
A drop-in for `aws cognito-identity unlink-developer-identity` of AWS CLI version 1; global options follow the command.
A value that is file://PATH or fileb://PATH is read from that file.
Exit codes: 0 unlinked; 2 wrong usage; 255 everything else.")]
pub struct SingleArgs {
    /// The identity
    #[arg(long, value_name = "ID")]
    pub identity_id: Option<String>,
    /// The identity pool. The Region that is called is the configured one, whatever the prefix of this
    #[arg(long, value_name = "ID")]
    pub identity_pool_id: Option<String>,
    /// The pool's developer provider name
    #[arg(long, value_name = "NAME")]
    pub developer_provider_name: Option<String>,
    /// The user, as the developer's own system names them
    #[arg(long, value_name = "USER")]
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

    /// Log what is done to standard error, without user identifiers
    #[arg(long, help_heading = GLOBAL)]
    pub debug: bool,
    /// Endpoint in place of AWS's
    #[arg(long, value_name = "URL", value_parser = any_endpoint, help_heading = GLOBAL)]
    pub endpoint_url: Option<String>,
    /// Take any TLS certificate
    #[arg(long, help_heading = GLOBAL)]
    pub no_verify_ssl: bool,
    /// Accepted: there are no pages
    #[arg(long, help_heading = GLOBAL)]
    pub no_paginate: bool,
    /// Format of what --query finds; the call itself has no output
    #[arg(long, value_name = "FORMAT", value_enum, help_heading = GLOBAL)]
    pub output: Option<Output>,
    /// `JMESPath` expression over the output, which is empty
    #[arg(long, value_name = "EXPRESSION", help_heading = GLOBAL)]
    pub query: Option<Expression>,
    /// Named profile
    #[arg(long, value_name = "NAME", help_heading = GLOBAL)]
    pub profile: Option<String>,
    /// Region to call
    #[arg(long, value_name = "REGION", help_heading = GLOBAL)]
    pub region: Option<String>,
    /// Accepted: nothing is coloured
    #[arg(long, value_name = "WHEN", value_enum, help_heading = GLOBAL)]
    pub color: Option<Color>,
    /// Neither look for credentials nor sign
    #[arg(long, help_heading = GLOBAL)]
    pub no_sign_request: bool,
    /// PEM file of the authorities to trust in place of the system's
    #[arg(long, value_name = "FILE", help_heading = GLOBAL)]
    pub ca_bundle: Option<String>,
    /// Seconds to wait for an answer, 0 for no bound [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = GLOBAL)]
    pub cli_read_timeout: Option<Bound>,
    /// Seconds to wait for a connection, 0 for no bound [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = GLOBAL)]
    pub cli_connect_timeout: Option<Bound>,
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

/// How output is formatted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// JSON
    #[default]
    Json,
    /// Values separated by tabs
    Text,
    /// A table
    Table,
}

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// Always
    On,
    /// Never
    Off,
    /// On a terminal
    Auto,
}

/// A bound in whole seconds, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound(pub Option<Duration>);

impl Default for Bound {
    fn default() -> Self {
        Self(Some(Duration::from_mins(1)))
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let seconds: i64 = text
            .trim()
            .parse()
            .map_err(|_| "invalid literal for a whole number of seconds".to_owned())?;
        match u64::try_from(seconds) {
            Ok(0) => Ok(Self(None)),
            Ok(seconds) => Ok(Self(Some(Duration::from_secs(seconds)))),
            Err(_) => Err(
                "the timeout cannot be set to a value less than or equal to 0, but to 0 itself for none".to_owned(),
            ),
        }
    }
}

/// A `JMESPath` expression.
#[derive(Clone)]
pub struct Expression(pub jmespath::Expression<'static>);

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl FromStr for Expression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        jmespath::compile(text)
            .map(Self)
            .map_err(|error| error.to_string())
    }
}

/// An endpoint as the AWS CLI takes it. One that may have a password in it is let pass, since a refusal would quote it: the
/// command refuses it.
pub(super) fn any_endpoint(url: &str) -> Result<String, String> {
    if url.contains('@') {
        return Ok(url.to_owned());
    }
    let Some((scheme, rest)) = url.split_once(':').filter(|(scheme, _)| !scheme.is_empty()) else {
        return Err(
            "scheme is missing. Must be of the form http://<hostname>/ or https://<hostname>/"
                .to_owned(),
        );
    };
    let host = rest.strip_prefix("//").unwrap_or_default();
    match scheme {
        "http" | "https" if !host.is_empty() && !host.starts_with(['/', '?', '#']) => {
            Ok(url.to_owned())
        }
        "http" | "https" => Err(format!("Invalid endpoint: {url}")),
        _ if rest.starts_with("//") => Err(format!("Not supported URL scheme {scheme}")),
        _ => Err(format!("Invalid endpoint: {url}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_whole_seconds() {
        let seconds = |text: &str| text.parse().map(|Bound(bound)| bound.map(|t| t.as_secs()));
        assert_eq!(seconds("0"), Ok(None));
        assert_eq!(seconds(" 7 "), Ok(Some(7)));
        for wrong in ["", "x", "1.5", "-1"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Bound::default().0, Some(Duration::from_mins(1)));
    }

    #[test]
    fn an_endpoint_is_a_url() {
        for url in ["http://127.0.0.1:1", "https://h/a?b=c"] {
            assert_eq!(any_endpoint(url), Ok(url.to_owned()));
        }
        for url in [
            "",
            "localhost",
            "localhost:1",
            "http://",
            "http:///x",
            "ftp://h",
            ":x",
        ] {
            assert!(any_endpoint(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_expression_is_one() {
        assert!("foo[0].bar".parse::<Expression>().is_ok());
        assert!("foo[".parse::<Expression>().is_err());
    }
}
