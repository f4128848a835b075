//! The record of one settled row.

use std::time::{Duration, SystemTime};

use crate::row::{Carried, InvalidRow, Link, MemoryReservation, Position, RowKey};
use crate::verdict::{End, Outcome, ReplyDetails};

/// The record of one settled row: a line of the results file, less the run's id.
#[derive(Debug)]
pub struct Entry<O> {
    /// Position of the row in the input.
    pub position: Position,
    /// The identity and the user that the row names.
    pub link: Link,
    /// Values of the carried columns.
    pub carried: Vec<Carried>,
    /// Key of the row; an invalid row has none.
    pub key: Option<RowKey>,
    /// Final state of the row in this run.
    pub outcome: O,
    /// Error code, message, status and request id of the last reply, or of the fault in the row.
    pub details: ReplyDetails,
    /// Request ids of all attempts in this run, separated by spaces. An attempt without a reply has none.
    pub request_ids: String,
    /// Logins of the identity beside the row's own, as far as a look just before the call has shown them.
    pub logins_left: Option<u64>,
    /// Attempts made in this run.
    pub attempts: u32,
    /// Start of the first attempt.
    pub started_at: Option<SystemTime>,
    /// Time at which the row was settled.
    pub finished_at: SystemTime,
    /// Latency of the last attempt, without the wait for admission.
    pub latency: Option<Duration>,
    /// Memory that a large row takes until its line is written.
    pub memory: Option<MemoryReservation>,
}

impl<O: Outcome> Entry<O> {
    /// Returns the entry of a row that breaks a rule and is never sent.
    #[must_use]
    pub fn invalid(
        row: InvalidRow,
        memory: Option<MemoryReservation>,
        finished_at: SystemTime,
    ) -> Self {
        Self {
            position: row.position,
            link: row.link,
            carried: row.carried,
            key: None,
            outcome: O::of(End::Invalid, false),
            details: ReplyDetails {
                code: Some(row.error.code.as_str().to_owned()),
                message: Some(row.error.message),
                ..ReplyDetails::default()
            },
            request_ids: String::new(),
            logins_left: None,
            attempts: 0,
            started_at: None,
            finished_at,
            latency: None,
            memory,
        }
    }
}
