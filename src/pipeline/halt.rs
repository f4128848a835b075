//! The reasons for which no more calls may start.

use std::io;

use crate::guard::hold::HoldError;
use crate::operation::Operation;
use crate::row::Position;
use crate::verdict::{Cause, ReplyDetails};

/// A reason to start no more calls.
#[derive(Debug)]
pub enum Halt {
    /// A reply.
    Reply(Box<HaltingReply>),
    /// The side file cannot be written, so that a call might be forgotten.
    Mark(io::Error),
    /// The side file is gone or was replaced, so that calls might be forgotten.
    SideFile(io::Error),
    /// The hold lists can no longer be read.
    Hold(HoldError),
    /// The job, after a row: the fault and the remedy, as sentences.
    Job(String),
    /// A Region did not reply while others did: its rows are left, and the rows of other Regions were finished.
    Region(Box<HaltingReply>),
}

/// The reply that halts a run, and the row that got it.
#[derive(Debug)]
pub struct HaltingReply {
    /// Its meaning.
    pub cause: Cause,
    /// The operation that was called.
    pub operation: Operation,
    /// The row that was called.
    pub position: Position,
    /// The pool of the row.
    pub identity_pool_id: String,
    /// The reply, as it may be shown: see [`ReplyDetails::shown`].
    pub details: ReplyDetails,
}
