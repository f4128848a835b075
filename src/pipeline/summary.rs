//! The end of a run, and its reason.

use std::io;

use super::halt::Halt;
use super::tally::Tally;
use crate::input::InputError;
use crate::signal::Signal;
use crate::verdict::Outcome;

/// The reason for which a run takes no more rows.
#[derive(Debug)]
pub enum Reason<O> {
    /// All rows were read.
    AllRead,
    /// The rest of an input cannot be read.
    Unreadable(InputError),
    /// `--limit` rows that need a call were taken, and there are more.
    Limit,
    /// The time of `--for` is up.
    TimeIsUp,
    /// More rows have this outcome than a failure limit allows.
    TooMany(O),
    /// A signal arrived.
    Signal(Signal),
    /// Something outside the rows needs attention.
    Halted(Halt),
    /// The run would touch what it must not: the reason and the remedy, as one sentence without its stop.
    Refused(String),
    /// The results cannot be written.
    NotRecorded(io::Error),
    /// A bug: a task panicked.
    Panicked(String),
}

impl<O> Reason<O> {
    /// Returns the rank among several reasons: what needs attention outranks what was asked for.
    pub(crate) fn weight(&self) -> u8 {
        match self {
            Self::AllRead | Self::Limit | Self::TimeIsUp => 0,
            Self::Unreadable(_) | Self::TooMany(_) => 1,
            Self::Signal(_) => 2,
            Self::Halted(_) | Self::Refused(_) | Self::NotRecorded(_) | Self::Panicked(_) => 3,
        }
    }

    /// Returns whether the reason loses its meaning when no row remains.
    pub(crate) fn needs_rows_left(&self) -> bool {
        matches!(
            self,
            Self::Limit | Self::TimeIsUp | Self::TooMany(_) | Self::Signal(_)
        )
    }
}

/// The end of a run.
#[derive(Debug)]
pub struct Summary<O> {
    /// The counts.
    pub tally: Tally<O>,
    /// The reason for which no more rows were taken.
    pub reason: Reason<O>,
    /// The inputs were read, or at least counted, to their end.
    pub counted_to_end: bool,
    /// Every row that was called is recorded, those left in flight by earlier runs included.
    pub all_recorded: bool,
    /// The inputs were read to their end, and every row in them is settled.
    pub nothing_remains: bool,
}

impl<O: Outcome> Summary<O> {
    /// Returns whether a row was settled by a call.
    pub(crate) fn has_called(&self) -> bool {
        self.tally.settled() > self.tally.unsent()
    }
}
