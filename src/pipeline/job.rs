//! A job: the work that the pipeline does on its rows.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::open_row::OpenRow;
use crate::call::{Client, LastCheck};
use crate::operation::Operation;
use crate::results::Line;
use crate::row::{InvalidRow, MemoryReservation, Required, Row};
use crate::verdict::{End, Outcome, Reply, ReplyDetails, Verdict, classify};

/// A job of the pipeline: its call, its verdicts, its outcomes and its lines.
///
/// The pipeline does the rest: admission, retries, in-flight marks, halts, signals, counts.
pub trait Job: Send + Sync + 'static {
    /// The outcomes of its rows.
    type Outcome: Outcome;
    /// The findings of the calls of one row, kept until its line is made.
    type Found: Default + Send;
    /// The client that makes its calls.
    type Client: Client;
    /// The record of a settled row.
    type Line: Line<Outcome = Self::Outcome>;
    /// The operation that its calls go by, in whose quota they count.
    const OPERATION: Operation;
    /// Its calls change something: rows are marked before they are called, so that the run after a crash knows which are in doubt.
    const MARKS: bool;
    /// The fields that identify a row.
    const IDENTIFIED_BY: Required = Required::Link;

    /// Returns the client that makes its calls.
    fn client(&self) -> &Self::Client;

    /// Makes one call for `row`, in the Region of its pool. Its bytes leave only when `last_check` releases them. Dropping the
    /// future aborts the call. A row whose [`Job::needs_another_call`] is called again, with the findings so far.
    fn call(
        &self,
        row: &Row,
        found: &mut Self::Found,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = Reply> + Send;

    /// Returns the verdict on a reply.
    fn judge(&self, reply: &Reply) -> Verdict {
        classify(reply)
    }

    /// Returns whether a row whose call has succeeded needs another call, such as the next page of what it asks for.
    fn needs_another_call(&self, _row: &Row, _found: &Self::Found) -> bool {
        false
    }

    /// Makes the line of a settled row.
    fn line(&self, row: SettledRow<Self::Found>) -> Self::Line;

    /// Makes the line of a row that breaks a rule and was never sent.
    fn invalid_line(&self, row: InvalidRow, memory: Option<MemoryReservation>) -> Self::Line;
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
    /// The last reply, or the reason for which no call was made.
    pub details: ReplyDetails,
    /// The findings of its calls.
    pub found: F,
    /// Request ids of all attempts in this run, separated by spaces.
    pub request_ids: String,
    /// Attempts made in this run.
    pub attempts: u32,
    /// Start of the first attempt.
    pub started_at: Option<SystemTime>,
    /// Time at which it was settled.
    pub finished_at: SystemTime,
    /// Duration of the last attempt, without waiting.
    pub latency: Option<Duration>,
}
