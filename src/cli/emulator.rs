//! Arguments of `emulator`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use super::values::{account, any_time, positive, traffic};
use crate::emulator::{
    AccessKey, DisabledLinkAnswer, DisabledLookupAnswer, ErrorStatus, FaultShare, Guest,
    InvalidParameterAnswer, NotLinkedAnswer, OtherProviderAnswer, UnknownUserAnswer,
};

/// Arguments of `emulator`.
#[derive(Debug, Args)]
pub struct EmulatorArgs {
    /// Listen on this address; port 0 picks a free one. Any program that reaches it can call it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// Accept requests for this host name too, e.g. in a container network; repeatable. Any other Host is refused
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Hold the links in this file, in the input format of `run` [default: every well-formed link, until it is unlinked]
    #[arg(long, value_name = "FILE")]
    pub links: Option<OsString>,
    /// Hold this guest identity, which never had a login; repeatable
    #[arg(long = "guest", value_name = "POOL=IDENTITY")]
    pub guests: Vec<Guest>,
    /// Give every pool this developer provider name [default: any]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Accept this many calls a second of each operation in each Region [default: any number]
    #[arg(long, value_name = "RPS", value_parser = positive)]
    pub quota: Option<f64>,
    /// Accept this many look-ups of users, and of identities, instead, with the same burst [default: as --quota]
    #[arg(long, value_name = "RPS", requires = "quota", value_parser = positive)]
    pub look_up_quota: Option<f64>,
    /// Let the quota save up this many calls [default: those of a tenth of a second, at least 1]
    #[arg(long, value_name = "N")]
    pub burst: Option<NonZeroU32>,
    /// Divide rate and burst of the quota among this many front ends; a call arrives at a random one
    #[arg(long, value_name = "N", default_value = "1", requires = "quota", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub front_ends: u32,
    /// Count the quota in each second of the clock, instead of in a bucket
    #[arg(long, requires = "quota", conflicts_with_all = ["burst", "front_ends"])]
    pub fixed_window: bool,
    /// Let production use the quota too, with this many unlinks a second in each Region, at random times
    #[arg(long, value_name = "RPS", requires = "quota", value_parser = traffic)]
    pub production: Option<f64>,
    /// Answer after this time, e.g. 40ms
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = any_time)]
    pub latency: Duration,
    /// Add a random time of at most this to the latency
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = any_time)]
    pub jitter: Duration,
    /// Answer this share of unlinks, links and look-ups of users and identities with a fault, e.g. throttle=5%; repeatable. Kinds: throttle, internal-error, html-500,
    /// reset-before, reset-after, hang, hang-after, truncate, expired-token, access-denied, bad-signature
    #[arg(long = "fault", value_name = "KIND=SHARE")]
    pub faults: Vec<FaultShare>,
    /// Answer an unlink of what is not linked with: resource-not-found, not-authorized or ok
    #[arg(long, value_name = "ANSWER", default_value = "resource-not-found")]
    pub when_not_linked: NotLinkedAnswer,
    /// Answer a look-up of a user that is linked nowhere with: not-authorized (as seen), resource-not-found or empty
    #[arg(long, value_name = "ANSWER", default_value = "not-authorized")]
    pub when_unknown_user: UnknownUserAnswer,
    /// Answer a look-up of a disabled identity's users with: not-authorized (as other operations do) or empty
    #[arg(long, value_name = "ANSWER", default_value = "not-authorized")]
    pub when_disabled_lookup: DisabledLookupAnswer,
    /// Answer a link to a disabled identity with: revived (linked, and enabled again) or refused (as AWS suggests)
    #[arg(long, value_name = "ANSWER", default_value = "revived")]
    pub when_disabled: DisabledLinkAnswer,
    /// Answer another developer provider than the pool's with: invalid-parameter, not-authorized or resource-not-found
    #[arg(long, value_name = "ANSWER", default_value = "invalid-parameter")]
    pub when_other_provider: OtherProviderAnswer,
    /// Answer a parameter that breaks its rule with: invalid-parameter (as documented) or validation (as seen)
    #[arg(long, value_name = "ANSWER", default_value = "invalid-parameter")]
    pub when_invalid: InvalidParameterAnswer,
    /// Send errors with HTTP status: wire (400, as seen) or modelled (403, 404, 409, 429)
    #[arg(long, value_name = "WHICH", default_value = "wire")]
    pub error_status: ErrorStatus,
    /// Verify signatures, up to five minutes old or early, by this access key and, if it is temporary, its session token;
    /// repeatable [default: any key, any signature]
    #[arg(long = "access-key", value_name = "ID:SECRET[:TOKEN]")]
    pub access_keys: Vec<AccessKey>,
    /// Name this account in the answer to `aws sts get-caller-identity`
    #[arg(long, value_name = "ID", default_value = "123456789012", value_parser = account)]
    pub account: String,
    /// Seed everything that is random with this number
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
}
