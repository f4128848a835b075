//! Signals, and the orders to stop that follow from them. The rules are pure; only [`Signals`] calls the operating system.
//!
//! A signal that was ignored when the program started stays ignored: `nohup` ignores SIGHUP, and a shell without job control
//! ignores SIGINT for programs in the background. Linux lists them in `/proc/self/status`; without that file, every signal is
//! caught.

use std::future::poll_fn;
use std::io;
use std::task::Poll;
use std::time::Duration;

use tokio::signal::unix::{self, SignalKind};

use crate::exit::Exit;

/// Number of SIGXFSZ, on Linux and macOS.
const SIGXFSZ: i32 = 25;

/// Time after SIGTERM for which calls in flight are waited for: an engine that ends a job sends SIGKILL 30 s later, and Slurm's
/// default is 30 s, too. With the results written and a page, the program ends within 15 s. Doubled, it would be killed in its drain
/// where the engine's grace is shorter; halved, calls that `--timeout` gives 10 s are left in doubt.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(12);

/// A signal that ends a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP: the terminal is gone.
    HangUp,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
}

impl Signal {
    const ALL: [Self; 3] = [Self::HangUp, Self::Interrupt, Self::Terminate];

    fn kind(self) -> SignalKind {
        match self {
            Self::HangUp => SignalKind::hangup(),
            Self::Interrupt => SignalKind::interrupt(),
            Self::Terminate => SignalKind::terminate(),
        }
    }

    /// Returns the time after the signal for which calls in flight are waited for; `None` if it is not limited. At a terminal a person
    /// decides, and sends another signal.
    #[must_use]
    pub fn drain_timeout(self) -> Option<Duration> {
        match self {
            Self::Terminate => Some(DRAIN_TIMEOUT),
            Self::HangUp | Self::Interrupt => None,
        }
    }

    /// Returns the exit code of a run that the signal stopped: 128 plus its number.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            Self::HangUp => Exit::HungUp,
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }
}

/// An order to stop. A run only ever moves on to a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Do not stop.
    Go,
    /// Start no more rows; rows that have had an attempt are finished.
    Finish,
    /// Start no more calls; wait for the calls in flight.
    Drain,
    /// Wait for no call.
    Abort,
}

impl Stop {
    /// Returns the stop after one more signal: the first drains, the second aborts.
    #[must_use]
    pub fn after_signal(self) -> Self {
        match self {
            Self::Go | Self::Finish => Self::Drain,
            Self::Drain | Self::Abort => Self::Abort,
        }
    }
}

/// The signals of this process, caught for as long as it lives.
#[derive(Debug)]
pub struct Signals {
    caught: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// Catches the signals that are not ignored. Must be called within the runtime that will wait for them.
    ///
    /// # Errors
    /// The operating system refuses a handler.
    pub fn catch() -> io::Result<Self> {
        // Catching a signal removes it from the mask, so the mask is read first.
        let ignored = std::fs::read_to_string("/proc/self/status");
        let ignored = ignored.map_or(0, |status| ignored_mask(&status));
        // Uncaught, SIGXFSZ would kill the process when a file reaches its size limit. Caught, the write fails as on a full disk.
        let _ = unix::signal(SignalKind::from_raw(SIGXFSZ))?;
        let mut caught = Vec::new();
        for signal in Signal::ALL {
            if !is_in(ignored, signal.kind()) {
                caught.push((signal, unix::signal(signal.kind())?));
            }
        }
        Ok(Self { caught })
    }

    /// Waits for the next signal.
    pub async fn recv(&mut self) -> Signal {
        poll_fn(|context| {
            for (signal, stream) in &mut self.caught {
                if let Poll::Ready(Some(())) = stream.poll_recv(context) {
                    return Poll::Ready(*signal);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// Reads the mask of ignored signals in a `/proc/PID/status`; an empty mask if there is none.
fn ignored_mask(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Returns whether a signal is in the mask, in which signal 1 is the lowest bit.
fn is_in(mask: u64, kind: SignalKind) -> bool {
    let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(u32::MAX);
    mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_drains_and_the_second_aborts() {
        let first = Stop::Go.after_signal();
        assert_eq!(first, Stop::Drain);
        assert_eq!(first.after_signal(), Stop::Abort);
        assert_eq!(Stop::Abort.after_signal(), Stop::Abort);
        assert_eq!(Stop::Finish.after_signal(), Stop::Drain);
        assert!([Stop::Go, Stop::Finish, Stop::Drain, Stop::Abort].is_sorted());
    }

    #[test]
    fn the_mask_of_ignored_signals_is_read_from_the_status() {
        let ignored = |mask: &str| {
            let status = format!(
                "Name:\tcognito-unlink\nSigBlk:\t0000000000000007\nSigIgn:\t{mask}\nSigCgt:\t0\n"
            );
            Signal::ALL.map(|signal| is_in(ignored_mask(&status), signal.kind()))
        };
        for (mask, hang_up_interrupt_terminate) in [
            // SIGPIPE, as in every Rust program.
            ("0000000000001000", [false, false, false]),
            // Under `nohup`.
            ("0000000000001001", [true, false, false]),
            // In the background of `sh`, with SIGQUIT.
            ("0000000000001006", [false, true, false]),
            ("0000000000005003", [true, true, true]),
            ("ffffffffffffffff", [true, true, true]),
            ("", [false, false, false]),
            ("none", [false, false, false]),
        ] {
            assert_eq!(ignored(mask), hang_up_interrupt_terminate, "{mask}");
        }
        assert_eq!(ignored_mask("SigCgt:\t0000000000000001\n"), 0);
        assert_eq!(ignored_mask(""), 0);
    }

    #[test]
    fn exit_codes_are_128_and_the_signals_number() {
        assert_eq!(Signal::HangUp.exit().code(), 128 + 1);
        assert_eq!(Signal::Interrupt.exit().code(), 128 + 2);
        assert_eq!(Signal::Terminate.exit().code(), 128 + 15);
    }
}
