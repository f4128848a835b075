//! The emulator as a command: from its arguments to a server, and what is said of it at its end.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use crate::cli::EmulatorArgs;
use crate::emulator::{Counters, Emulator, Link, Settings, Undocumented};
use crate::error::{Error, Exit};
use crate::exit_policy;
use crate::input::{self, Input, Read};
use crate::report::{counted, notice};
use crate::row::AsIs;

/// Starts an emulator, which serves until it is dropped.
///
/// # Errors
/// The links cannot be read, or the address cannot be listened on.
pub fn start(args: EmulatorArgs) -> Result<Emulator, Error> {
    if let Some(warning) = exposed(args.listen, !args.access_keys.is_empty()) {
        notice(&warning);
    }
    let shares: f64 = args.faults.iter().map(|fault| fault.share).sum();
    if shares > 1.0 + 1e-9 {
        return Err(Error::usage(format!(
            "the shares of --fault add up to {:.0}%; one call meets one fault at most",
            shares * 100.0
        )));
    }
    let listen = args.listen;
    Emulator::spawn(Settings {
        listen,
        hosts: args.hosts,
        links: args.links.map(links).transpose()?,
        provider: args.provider,
        quota: args.quota.map(|rate| (rate, burst(rate, args.burst))),
        latency: args.latency,
        jitter: args.jitter,
        faults: args.faults,
        undocumented: Undocumented {
            when_not_linked: args.when_not_linked,
            when_other_provider: args.when_other_provider,
            when_invalid: args.when_invalid,
            error_status: args.error_status,
        },
        access_keys: args.access_keys,
        account: args.account,
        seed: args.seed,
        log: false,
    })
    .map_err(|error| Error::usage(format!("cannot listen on {listen}: {error}")))
}

/// Says what it has served.
pub fn tell(counters: &Counters) {
    notice(&format!(
        "{} answered, {} removed, {} throttled, at most {} in flight",
        counted(counters.unlinks, "unlink"),
        counted(counters.effects, "link"),
        counters.throttled,
        counters.most_in_flight
    ));
}

/// What an address means that other machines can reach.
fn exposed(listen: SocketAddr, verifies: bool) -> Option<String> {
    let asks = if verifies {
        "who holds one of the access keys"
    } else {
        "without --access-key, whoever calls"
    };
    (!listen.ip().is_loopback()).then(|| {
        format!(
            "warning: {listen} is no loopback address. Other machines may reach the emulator, in clear text: {asks} can read and change all that it holds. It is no Cognito."
        )
    })
}

/// What a quota lets save up if nobody says: with a single call, a millisecond on the way would count as one call too many.
fn burst(rate: f64, given: Option<NonZeroU32>) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    let tenth = (rate / 10.0) as u32;
    given.map_or(tenth.max(1), NonZeroU32::get)
}

/// Reads links as `run` reads rows. A link that breaks a rule cannot exist, so the file is refused.
fn links(file: OsString) -> Result<Vec<Link>, Error> {
    let reader =
        input::open(&Input::from(file), &links_as_they_stand()).map_err(exit_policy::unreadable)?;
    reader
        .map(|read| match read.map_err(exit_policy::unreadable)? {
            Read::Row(row) => Ok(Link {
                identity_id: row.link.identity_id,
                identity_pool_id: row.link.identity_pool_id,
                developer_provider_name: row.link.developer_provider_name,
                developer_user_identifier: row.link.developer_user_identifier,
            }),
            Read::Invalid(row) => Err(Error::new(
                Exit::Input,
                format!("{}: {}", row.position, row.fault.reason),
            )),
        })
        .collect()
}

/// A service holds whatever it was given.
fn links_as_they_stand() -> input::Settings {
    input::Settings {
        as_is: AsIs::ALL,
        ..input::Settings::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_is_warned_of() {
        let exposed = |address: &str, verifies| {
            exposed(address.parse().expect("an address"), verifies).unwrap_or_default()
        };
        for loopback in ["127.0.0.1:0", "127.8.0.1:80", "[::1]:0"] {
            assert_eq!(exposed(loopback, false), "");
        }
        for other in ["0.0.0.0:0", "[::]:80", "192.0.2.1:80"] {
            assert!(exposed(other, false).contains("whoever calls"), "{other}");
            assert!(exposed(other, true).contains("access keys"), "{other}");
        }
    }
}
