//! Arguments of `unlink-developer-identity`, which are those of the AWS CLI's command of that name.

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
    /// The four as a JSON object: the text itself or file://PATH. Options given beside it win
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
    #[arg(long, value_name = "URL", help_heading = GLOBAL)]
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
    pub query: Option<String>,
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
    pub cli_read_timeout: Option<String>,
    /// Seconds to wait for a connection, 0 for no bound [default: 60]
    #[arg(long, value_name = "SECONDS", help_heading = GLOBAL)]
    pub cli_connect_timeout: Option<String>,
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
