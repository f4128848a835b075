//! A run at one moment, for progress.

use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime};

use super::tally::Tally;
use crate::admission::Blocked;
use crate::signal::Stop;

/// A run at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot<O> {
    /// Rows by outcome.
    pub tally: Tally<O>,
    /// Time since the run began.
    pub elapsed: Duration,
    /// Attempts started.
    pub calls: u64,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls in flight that the pace requires, by Little's law from the measured latency.
    pub wanted_in_flight: f64,
    /// Rows that wait for their first admission.
    pub queued: usize,
    /// The rate that throttling holds a Region to, if it does.
    pub throttled_to: Option<f64>,
    /// The reason for which no call starts at present, if there is one.
    pub blocked: Option<Blocked>,
    /// Details of the Region that does not reply.
    pub no_reply: Option<NoReply>,
    /// The input was read to its end, so that the total is known.
    pub all_read: bool,
    /// The order to stop that is in effect.
    pub stop: Stop,
    /// Time for which calls in flight are waited for at most, if a signal limits it.
    pub drain_timeout: Option<Duration>,
    /// Notices, each to be printed once.
    pub notices: Vec<String>,
}

/// A Region that does not reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoReply {
    /// The host that is called, where it is known.
    pub host: Option<String>,
    /// The fault in a word or two: see [`ReplyDetails::connection_fault`](crate::verdict::ReplyDetails::connection_fault).
    pub fault: &'static str,
    /// The time until which it is retried, unless that is forever.
    pub until: Option<SystemTime>,
}

/// The amount of input that was read, which is ahead of the rows taken.
#[derive(Debug, Default)]
pub struct Reading {
    /// Rows.
    pub rows: AtomicU64,
    /// Bytes of the files on disk that these rows take.
    pub bytes: AtomicU64,
}
