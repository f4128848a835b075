//! The `emulator` subcommand: turns its arguments into a server, and prints the counts at its end. The only file of the
//! emulator that knows the rest of the program.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::num::NonZeroU32;

use crate::cli::EmulatorArgs;
use crate::emulator::{
    Counters, Emulator, Link, QuotaSettings, QuotaShape, Settings, Undocumented,
};
use crate::error::{Error, Exit};
use crate::exit_policy;
use crate::input::{self, Input, InputRow};
use crate::report::{counted, notice};
use crate::row::UnusualKinds;

/// Starts an emulator, which runs until it is dropped.
///
/// # Errors
/// The links cannot be read, or the address cannot be listened on.
pub fn start(args: EmulatorArgs) -> Result<Emulator, Error> {
    if let Some(warning) = exposure_warning(args.listen, !args.access_keys.is_empty()) {
        notice(&warning);
    }
    let shares: f64 = args.faults.iter().map(|fault| fault.share).sum();
    if shares > 1.0 + 1e-9 {
        return Err(Error::usage(format!(
            "the shares of --fault add up to {:.0}%; at most 100% is possible, since a call gets at most one fault",
            shares * 100.0
        )));
    }
    let (listen, quota) = (args.listen, quota(&args));
    Emulator::spawn(Settings {
        listen,
        hosts: args.hosts,
        links: args.links.map(read_links).transpose()?,
        guests: args.guests,
        provider: args.provider,
        quota,
        latency: args.latency,
        jitter: args.jitter,
        faults: args.faults,
        undocumented: Undocumented {
            when_not_linked: args.when_not_linked,
            when_unknown_user: args.when_unknown_user,
            when_disabled_lookup: args.when_disabled_lookup,
            when_disabled: args.when_disabled,
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

/// Prints the counts at the end.
pub fn print_counters(counters: &Counters) {
    notice(&format!(
        "{} answered, {} removed, {} throttled, at most {} in flight",
        counted(counters.unlinks, "unlink"),
        counted(counters.effects, "link"),
        counters.throttled,
        counters.most_in_flight
    ));
    let production = counters.production;
    if production.calls > 0 {
        notice(&format!(
            "production: {}, {} throttled",
            counted(production.calls, "call"),
            production.throttled
        ));
    }
}

/// Returns a warning about an address that other machines can reach.
fn exposure_warning(listen: SocketAddr, verifies: bool) -> Option<String> {
    let callers = if verifies {
        "any caller that signs with one of the access keys"
    } else {
        "any caller, since no --access-key is given,"
    };
    (!listen.ip().is_loopback()).then(|| {
        format!(
            "warning: {listen} is not a loopback address. Other machines may reach the emulator, over HTTP without TLS: {callers} can read and change all of its data. Use it for rehearsals and tests only; it does not replace Amazon Cognito."
        )
    })
}

fn quota(args: &EmulatorArgs) -> Option<QuotaSettings> {
    let rate = args.quota?;
    let shape = if args.fixed_window {
        QuotaShape::FixedWindow
    } else {
        QuotaShape::TokenBucket {
            burst: args
                .burst
                .map_or_else(|| default_burst(rate), NonZeroU32::get),
            front_ends: args.front_ends,
        }
    };
    Some(QuotaSettings {
        rate,
        look_up_rate: args.look_up_quota,
        shape,
        production: args.production.unwrap_or_default(),
    })
}

/// Returns the burst of a quota without `--burst`: the calls of a tenth of a second. With a burst of 1, a call that arrives a
/// millisecond early would be throttled.
fn default_burst(rate: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it saturates"
    )]
    let tenth = (rate / 10.0) as u32;
    tenth.max(1)
}

/// Reads links as `run` reads rows. A link that breaks a rule cannot exist, so its file is refused.
fn read_links(file: OsString) -> Result<Vec<Link>, Error> {
    let reader =
        input::open(&Input::from(file), &link_read_options()).map_err(exit_policy::unreadable)?;
    reader
        .map(|read| match read.map_err(exit_policy::unreadable)? {
            InputRow::Valid(row) => Ok(Link {
                identity_id: row.link.identity_id,
                identity_pool_id: row.link.identity_pool_id,
                developer_provider_name: row.link.developer_provider_name,
                developer_user_identifier: row.link.developer_user_identifier,
            }),
            InputRow::Invalid(row) => Err(Error::new(
                Exit::Input,
                format!("{}: {}", row.position, row.error.message),
            )),
        })
        .collect()
}

/// Returns options that accept every value as it stands: a service holds unusual identifiers too.
fn link_read_options() -> input::ReadOptions {
    input::ReadOptions {
        as_is: UnusualKinds::ALL,
        ..input::ReadOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_beyond_loopback_get_a_warning() {
        let warning = |address: &str, verifies| {
            exposure_warning(address.parse().expect("an address"), verifies).unwrap_or_default()
        };
        for loopback in ["127.0.0.1:0", "127.8.0.1:80", "[::1]:0"] {
            assert_eq!(warning(loopback, false), "");
        }
        for other in ["0.0.0.0:0", "[::]:80", "192.0.2.1:80"] {
            assert!(
                warning(other, false).contains("any caller, since no --access-key"),
                "{other}"
            );
            assert!(warning(other, true).contains("access keys"), "{other}");
        }
    }
}
