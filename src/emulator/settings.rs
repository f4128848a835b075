//! The emulator's settings.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::fault::FaultShare;
use super::model::{Guest, Link, Undocumented};
use super::quota::QuotaSettings;
use super::sigv4::AccessKey;

/// The emulator's settings, as its command line gives them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Host names that requests may name, besides the address and localhost.
    pub hosts: Vec<String>,
    /// The links that exist; without, every well-formed link exists until it is unlinked.
    pub links: Option<Vec<Link>>,
    /// Identities that exist and never had a login.
    pub guests: Vec<Guest>,
    /// Developer provider name of every pool; without, that of the pool's links, or any.
    pub provider: Option<String>,
    /// Quota of each operation in each Region.
    pub quota: Option<QuotaSettings>,
    /// Time from a request to its response.
    pub latency: Duration,
    /// Upper bound of a uniformly random time that is added to the latency.
    pub jitter: Duration,
    /// Shares of unlinks and of look-ups of users and identities that are answered with a fault.
    pub faults: Vec<FaultShare>,
    /// Answers to what AWS does not document.
    pub undocumented: Undocumented,
    /// Access keys whose signatures are verified; without, any access key and any signature is accepted.
    pub access_keys: Vec<AccessKey>,
    /// Account that STS returns as the caller's.
    pub account: String,
    /// Seed of everything that is random.
    pub seed: u64,
    /// Record each unlink as a [`Call`](super::Call), besides counting it.
    pub log: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            hosts: Vec::new(),
            links: None,
            guests: Vec::new(),
            provider: None,
            quota: None,
            latency: Duration::ZERO,
            jitter: Duration::ZERO,
            faults: Vec::new(),
            undocumented: Undocumented::default(),
            access_keys: Vec::new(),
            account: "123456789012".to_owned(),
            seed: 1,
            log: false,
        }
    }
}
