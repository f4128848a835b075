//! Arguments of `emulator`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use super::values::{account, any_time, positive};
use crate::emulator::{
    AccessKey, ErrorStatus, FaultShare, Invalid, NotLinked as WhenNotLinked, OtherProvider,
};

/// Arguments of `emulator`.
#[derive(Debug, Args)]
pub struct EmulatorArgs {
    /// Address to listen on; port 0 picks a free one. Whoever reaches it can call it
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// Another name under which it is called, as in a container network; repeatable. Requests with any other Host are refused
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// Links that exist, in the input format of `run` [default: every well-formed link, until it is unlinked]
    #[arg(long, value_name = "FILE")]
    pub links: Option<OsString>,
    /// Developer provider name of every pool [default: any]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Calls a second of each operation that each Region takes [default: any number]
    #[arg(long, value_name = "RPS", value_parser = positive)]
    pub quota: Option<f64>,
    /// Calls that the quota lets save up [default: those of a tenth of a second, at least 1]
    #[arg(long, value_name = "N")]
    pub burst: Option<NonZeroU32>,
    /// Time to every answer
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = any_time)]
    pub latency: Duration,
    /// Added to the latency, between nothing and this
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = any_time)]
    pub jitter: Duration,
    /// Answer a share of unlinks with a fault, as in throttle=5%; repeatable
    #[arg(long = "fault", value_name = "KIND=SHARE")]
    pub faults: Vec<FaultShare>,
    /// Answer to an unlink of what is not linked: resource-not-found, not-authorized or ok; AWS documents none
    #[arg(long, value_name = "ANSWER", default_value = "resource-not-found")]
    pub when_not_linked: WhenNotLinked,
    /// Answer to another developer provider than the pool's: invalid-parameter, not-authorized or resource-not-found; only
    /// its message is known
    #[arg(long, value_name = "ANSWER", default_value = "invalid-parameter")]
    pub when_other_provider: OtherProvider,
    /// Answer to a parameter that breaks its rule: invalid-parameter as documented, or validation as seen
    #[arg(long, value_name = "ANSWER", default_value = "invalid-parameter")]
    pub when_invalid: Invalid,
    /// HTTP status of errors: wire (400, as seen) or modelled (403, 404, 409, 429)
    #[arg(long, value_name = "WHICH", default_value = "wire")]
    pub error_status: ErrorStatus,
    /// Access key that is known, with its session token if it is a temporary one; repeatable. Signatures are verified then
    /// [default: any key, any signature]
    #[arg(long = "access-key", value_name = "ID:SECRET[:TOKEN]")]
    pub access_keys: Vec<AccessKey>,
    /// Account that `aws sts get-caller-identity` names as the caller's
    #[arg(long, value_name = "ID", default_value = "123456789012", value_parser = account)]
    pub account: String,
    /// Seed of everything that is left to chance
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
}
