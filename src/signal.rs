//! What signals do to a run. The rule is pure; only [`listen`] touches the operating system.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::error::Exit;

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

/// Catches the signals from now on.
///
/// # Errors
/// The operating system refuses.
pub fn listen() -> io::Result<mpsc::Receiver<Signal>> {
    // A file that may not grow any more is an error of the write, as a full disk is; unheard, this would kill the process.
    let _ = signal(SignalKind::from_raw(SIGXFSZ))?;
    // More than two say no more than two.
    let (tell, told) = mpsc::channel(2);
    for (kind, meaning) in [
        (SignalKind::hangup(), Signal::HangUp),
        (SignalKind::interrupt(), Signal::Interrupt),
        (SignalKind::terminate(), Signal::Terminate),
    ] {
        let mut caught = signal(kind)?;
        let tell = tell.clone();
        tokio::spawn(async move {
            while caught.recv().await.is_some() {
                let _ = tell.try_send(meaning);
            }
        });
    }
    Ok(told)
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
    fn exit_codes_are_128_and_the_signals_number() {
        assert_eq!(Signal::HangUp.exit().code(), 128 + 1);
        assert_eq!(Signal::Interrupt.exit().code(), 128 + 2);
        assert_eq!(Signal::Terminate.exit().code(), 128 + 15);
    }
}
