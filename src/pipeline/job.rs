//! A job: the work that the pipeline does on its rows.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::open_row::OpenRow;
use crate::call::{Client, LastCheck};
use crate::operation::Operation;
use crate::results::{Entry, Line};
use crate::row::{InvalidRow, MemoryReservation, Required, Row};
use crate::verdict::{End, Outcome, Reply, ReplyDetails, Verdict, classify};

/// A job of the pipeline: its calls, its verdicts, its outcomes and its lines.
///
/// The pipeline does the rest: admission, retries, in-flight marks, halts, signals, counts. It counts and records the attempts of
/// the job's own operation. Calls by another operation are looks: they change nothing, and the job's call depends on what they show.
pub trait Job: Send + Sync + 'static {
    /// The outcomes of its rows.
    type Outcome: Outcome;
    /// The findings of the calls of one row, kept until its line is made.
    type Found: Default + Send;
    /// The client that makes its calls.
    type Client: Client;
    /// The record of a settled row.
    type Line: Line<Outcome = Self::Outcome>;
    /// The operation of its own calls, in whose quota they count.
    const OPERATION: Operation;
    /// Its own calls change something: rows are marked before they are called, so that the run after a crash knows which are in
    /// doubt.
    const MARKS: bool;
    /// The lists by which rows are held, in a word or two.
    const HELD_BY: &'static str = "hold list";
    /// The operations of the looks before an own call.
    const LOOKS: &[Operation] = &[];
    /// A row keeps its [turn](Job::rows_at_once) until it is settled. Otherwise it ends when the call is sent.
    const KEEPS_TURN: bool = false;
    /// The fields that identify a row.
    const IDENTIFIED_BY: Required = Required::Link;

    /// Returns the client that makes its calls.
    fn client(&self) -> &Self::Client;

    /// Returns the next call of a row, given its findings so far, before each attempt. `in_doubt`: an attempt may have taken effect.
    fn next_call(&self, row: &Row, found: &mut Self::Found, in_doubt: bool) -> NextCall {
        let _ = (row, found, in_doubt);
        NextCall::Call(Self::OPERATION)
    }

    /// Makes a call for `row` by this operation, in the Region of its pool. Its bytes leave only when `last_check` releases them.
    /// Dropping the future aborts the call.
    fn call(
        &self,
        operation: Operation,
        row: &Row,
        found: &mut Self::Found,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = Reply> + Send;

    /// Returns the verdict on a reply to a call by this operation.
    fn judge(&self, operation: Operation, reply: &Reply) -> Verdict {
        let _ = operation;
        classify(reply)
    }

    /// Returns whether a row whose own call has succeeded needs another call, such as the next page of what it asks for. After a
    /// look there is always another step.
    fn needs_another_call(&self, row: &Row, found: &Self::Found) -> bool {
        let _ = (row, found);
        false
    }

    /// Returns the time until which the findings count: no own call may be sent later. `None`: for ever.
    fn count_until(&self, found: &Self::Found) -> Option<Instant> {
        let _ = found;
        None
    }

    /// Returns how many rows of a Region may have a turn at once at this pace of its own calls, in calls per second, if the
    /// [looks](Job::LOOKS) of a row take this long. A row takes its turn before its first look. `None`: rows need no turns.
    fn rows_at_once(&self, pace: f64, looks_take: Duration) -> Option<usize> {
        let _ = (pace, looks_take);
        None
    }

    /// Returns why the run must halt after this line, if it must: the fault and the remedy, as sentences.
    fn halts_after(&self, line: &Self::Line) -> Option<String> {
        let _ = line;
        None
    }

    /// Makes the line of a settled row.
    fn line(&self, row: SettledRow<Self::Found>) -> Self::Line;

    /// Makes the line of a row that breaks a rule and was never sent.
    fn invalid_line(&self, row: InvalidRow, memory: Option<MemoryReservation>) -> Self::Line;
}

/// The next call of a row, or its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextCall {
    /// A call by this operation.
    Call(Operation),
    /// No call: the row ends this way.
    Settle(End),
}

/// A settled row.
#[derive(Debug)]
pub struct SettledRow<F> {
    /// The row as it was read.
    pub open: OpenRow,
    /// Its end.
    pub end: End,
    /// An attempt, of this run or of an earlier one, may have taken effect.
    pub in_doubt: bool,
    /// The last reply to an own call, or the reason for which no call was made.
    pub details: ReplyDetails,
    /// The findings of its calls.
    pub found: F,
    /// Request ids of all own attempts in this run, separated by spaces.
    pub request_ids: String,
    /// Own attempts made in this run.
    pub attempts: u32,
    /// Start of the first own attempt.
    pub started_at: Option<SystemTime>,
    /// Time at which it was settled.
    pub finished_at: SystemTime,
    /// Duration of the last own attempt, without waiting.
    pub latency: Option<Duration>,
}

impl<F> SettledRow<F> {
    /// Makes the entry of the row, and returns it with the findings of its calls.
    #[must_use]
    pub fn entry<O>(self, outcome: O) -> (Entry<O>, F) {
        let Row {
            position,
            link,
            carried,
            ..
        } = self.open.row;
        let entry = Entry {
            position,
            link,
            carried,
            key: Some(self.open.key),
            outcome,
            details: self.details,
            request_ids: self.request_ids,
            logins_left: None,
            attempts: self.attempts,
            started_at: self.started_at,
            finished_at: self.finished_at,
            latency: self.latency,
            memory: self.open.memory,
        };
        (entry, self.found)
    }
}
