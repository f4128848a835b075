//! The emulator as a command: from its arguments to a server that runs until a signal.

use std::ffi::OsString;
use std::num::NonZeroU32;

use crate::cli::EmulatorArgs;
use crate::emulator::{Emulator, Link, Settings};
use crate::error::{Error, Exit};
use crate::input::{self, Input, Read};
use crate::report::notice;
use crate::signal;

/// Serves until a signal; tells the URL when it can be called.
///
/// # Errors
/// The links cannot be read, or the address cannot be listened on.
pub async fn serve(
    args: EmulatorArgs,
    tell: impl FnOnce(&str) -> Result<(), Error>,
) -> Result<Exit, Error> {
    if !args.listen.ip().is_loopback() {
        return Err(Error::usage(format!(
            "{} is not a loopback address; the emulator serves this machine only",
            args.listen
        )));
    }
    let shares: f64 = args.faults.iter().map(|fault| fault.share).sum();
    if shares > 1.0 + 1e-9 {
        return Err(Error::usage(format!(
            "the shares of --fault add up to {:.0}%; one call meets one fault at most",
            shares * 100.0
        )));
    }
    let listen = args.listen;
    let emulator = Emulator::spawn(Settings {
        listen,
        links: args.links.map(links).transpose()?,
        provider: args.provider,
        quota: args.quota.map(|rate| (rate, burst(rate, args.burst))),
        latency: args.latency,
        jitter: args.jitter,
        faults: args.faults,
        when_not_linked: args.when_not_linked,
        account: args.account,
        seed: args.seed,
        log: false,
    })
    .map_err(|error| Error::usage(format!("cannot listen on {listen}: {error}")))?;
    let mut signals = signal::listen()
        .map_err(|error| Error::usage(format!("signals cannot be caught: {error}")))?;
    tell(&emulator.url())?;
    signals.recv().await;
    let counters = emulator.counters();
    notice(&format!(
        "{} unlinks answered, {} links removed, {} throttled, at most {} in flight",
        counters.unlinks, counters.effects, counters.throttled, counters.most_in_flight
    ));
    Ok(Exit::Done)
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
    let unreadable = |error: &input::InputError| {
        let exit = if error.is_usage() {
            Exit::Usage
        } else {
            Exit::Input
        };
        Error::new(exit, error.to_string())
    };
    let reader = input::open(&Input::from(file), &input::Settings::default())
        .map_err(|error| unreadable(&error))?;
    reader
        .map(|read| match read.map_err(|error| unreadable(&error))? {
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
