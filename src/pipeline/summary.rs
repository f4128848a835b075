//! Why a run ends, and how.

use std::io;

use tokio::task::JoinError;

use super::tally::Tally;
use super::worker::Halt;
use crate::input::InputError;
use crate::signal::Signal;
use crate::verdict::Outcome;

/// Why a run stopped taking rows.
#[derive(Debug)]
pub enum Reason {
    /// There are no more.
    AllRead,
    /// An input cannot be read on.
    Unreadable(InputError),
    /// `--limit` rows that need a call were taken, and there are more.
    Limit,
    /// `--for` is over.
    TimeIsUp,
    /// More rows have this outcome than `--max-failures`, `--max-not-linked` or `--max-invalid` allows.
    TooMany(Outcome),
    /// A signal came.
    Signal(Signal),
    /// Something outside the rows needs attention.
    Halted(Halt),
    /// The run would touch what it must not: why, and what to do, as one sentence without its stop.
    Refused(String),
    /// The results cannot be written.
    NotRecorded(io::Error),
    /// A bug: a task panicked.
    Panicked(JoinError),
}

impl Reason {
    /// Of several reasons, the heaviest is told: what needs attention, before what was asked for.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::AllRead | Self::Limit | Self::TimeIsUp => 0,
            Self::Unreadable(_) | Self::TooMany(_) => 1,
            Self::Signal(_) => 2,
            Self::Halted(_) | Self::Refused(_) | Self::NotRecorded(_) | Self::Panicked(_) => 3,
        }
    }

    /// Whether the reason loses its meaning when no row remains.
    pub(crate) fn is_about_the_rest(&self) -> bool {
        matches!(
            self,
            Self::Limit | Self::TimeIsUp | Self::TooMany(_) | Self::Signal(_)
        )
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Summary {
    /// What was counted.
    pub tally: Tally,
    /// Why no more rows were taken.
    pub reason: Reason,
    /// Whether the inputs were read, or at least counted, to their end.
    pub counted_to_end: bool,
    /// Whether every row that was called is recorded, those left in flight by earlier runs included.
    pub all_recorded: bool,
    /// Whether the inputs were read to their end and every row in them is settled.
    pub nothing_remains: bool,
}

impl Summary {
    /// Returns whether a row was settled by a call.
    pub(crate) fn has_called(&self) -> bool {
        let uncalled = self.tally.of(Outcome::Invalid) + self.tally.of(Outcome::Held);
        self.tally.settled() > uncalled
    }
}
