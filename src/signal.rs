//! What signals do to a run. The rules are pure; only [`Signals`] touches the operating system.
//!
//! A signal that was ignored when the program started stays ignored: `nohup` ignores SIGHUP, and a shell without job control
//! ignores SIGINT for what it starts in the background. Linux tells which in `/proc/self/status`; where there is no such file,
//! every signal is caught.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use tokio::signal::unix::{self, SignalKind};

use crate::exit::Exit;

/// The same number on Linux and macOS.
const SIGXFSZ: i32 = 25;

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

    /// The exit code of a run that it stopped: 128 and its number.
    #[must_use]
    pub fn exit(self) -> Exit {
        match self {
            Self::HangUp => Exit::HungUp,
            Self::Interrupt => Exit::Interrupted,
            Self::Terminate => Exit::Terminated,
        }
    }
}

/// How far a run has been told to stop. It only ever goes on to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Not at all.
    Go,
    /// Begin no more rows; those that have had an attempt go on to their end.
    Finish,
    /// Start no more calls; wait for those in flight.
    Drain,
    /// Wait for nothing.
    Abort,
}

impl Stop {
    /// After one more signal: the first drains, the second aborts.
    #[must_use]
    pub fn after_signal(self) -> Self {
        match self {
            Self::Go | Self::Finish => Self::Drain,
            Self::Drain | Self::Abort => Self::Abort,
        }
    }
}

/// The signals of this process, caught as long as the process lives.
#[derive(Debug)]
pub struct Signals {
    caught: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// Catches those that are not ignored. Called within the runtime that will wait for them.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn catch() -> io::Result<Self> {
        // Once caught, a signal is ignored no more: the mask is read first.
        let ignored = std::fs::read_to_string("/proc/self/status");
        let ignored = ignored.map_or(0, |status| ignored_of(&status));
        // A file that may not grow any more is an error of the write, as a full disk is; unheard, this would kill the process.
        let _ = unix::signal(SignalKind::from_raw(SIGXFSZ))?;
        let mut caught = Vec::new();
        for signal in Signal::ALL {
            if !is_in(ignored, signal.kind()) {
                caught.push((signal, unix::signal(signal.kind())?));
            }
        }
        Ok(Self { caught })
    }

    /// Waits for the next one.
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

/// Returns the mask of ignored signals in a `/proc/PID/status`; none where the text tells of none.
fn ignored_of(status: &str) -> u64 {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}

/// Signal 1 is the lowest bit.
fn is_in(mask: u64, kind: SignalKind) -> bool {
    let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(u32::MAX);
    mask.checked_shr(bit).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_drains_and_the_second_aborts() {
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
            Signal::ALL.map(|signal| is_in(ignored_of(&status), signal.kind()))
        };
        for (mask, hang_up_interrupt_terminate) in [
            // SIGPIPE, as in every program of Rust's.
            ("0000000000001000", [false, false, false]),
            // As under `nohup`.
            ("0000000000001001", [true, false, false]),
            // As in the background of `sh`: SIGQUIT, too.
            ("0000000000001006", [false, true, false]),
            ("0000000000005003", [true, true, true]),
            ("ffffffffffffffff", [true, true, true]),
            ("", [false, false, false]),
            ("none", [false, false, false]),
        ] {
            assert_eq!(ignored(mask), hang_up_interrupt_terminate, "{mask}");
        }
        assert_eq!(ignored_of("SigCgt:\t0000000000000001\n"), 0);
        assert_eq!(ignored_of(""), 0);
    }

    #[test]
    fn exit_codes_are_128_and_the_signals_number() {
        assert_eq!(Signal::HangUp.exit().code(), 128 + 1);
        assert_eq!(Signal::Interrupt.exit().code(), 128 + 2);
        assert_eq!(Signal::Terminate.exit().code(), 128 + 15);
    }
}
