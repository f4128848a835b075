//! Arguments of `emulator`.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;

use super::values::{account, any_time, positive};
use crate::emulator::{FaultShare, NotLinked as WhenNotLinked};

/// Arguments of `emulator`.
#[derive(Debug, Args)]
pub struct EmulatorArgs {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// Links that exist, in the input format of `run` [default: every well-formed link, until it is unlinked]
    #[arg(long, value_name = "FILE")]
    pub links: Option<OsString>,
    /// Developer provider name of every pool [default: any]
    #[arg(long, value_name = "NAME")]
    pub provider: Option<String>,
    /// Calls a second that each Region takes [default: any number]
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
    /// Answer to an unlink of what is not linked; what AWS answers is not documented
    #[arg(long, value_name = "ANSWER", default_value = "resource-not-found")]
    pub when_not_linked: WhenNotLinked,
    /// Account that STS `GetCallerIdentity` names as the caller's
    #[arg(long, value_name = "ID", default_value = "123456789012", value_parser = account)]
    pub account: String,
    /// Seed of everything that is left to chance
    #[arg(long, value_name = "N", default_value = "1")]
    pub seed: u64,
}
