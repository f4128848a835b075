//! Shows a run to people and scripts: progress, messages, log and summary. Never calls AWS, never touches the results file.

mod drawing;
mod human;
pub mod log;
mod messages;
mod progress;
mod summary;

use std::time::{Duration, SystemTime};

pub use human::{counted, paced, spoken};
pub use messages::{complaint, notice, warning};
pub use progress::{Progress, Reading, Style, Totals};
pub use summary::{LearnedQuota, NEAR, Report, Unread, conclusion, refusal, unmatched};

use crate::admission::Blocked;
use crate::pipeline::Tally;
use crate::signal::Stop;

/// A run at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Rows by what became of them.
    pub tally: Tally,
    /// Since the run began.
    pub elapsed: Duration,
    /// Attempts started.
    pub calls: u64,
    /// Attempts answered with "too many".
    pub throttled: u64,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls in flight that the pace comes to, by Little's law from the measured latency.
    pub wanted_in_flight: f64,
    /// Rows that wait for their first admission.
    pub queued: usize,
    /// The rate that throttling holds a Region to, if it does.
    pub throttled_to: Option<f64>,
    /// Why calling is in vain at present, if it is.
    pub in_vain: Option<Blocked>,
    /// How the Region that does not answer fails to.
    pub no_answer: Option<NoAnswer>,
    /// Whether the input has been read to its end, so that the total is known.
    pub all_read: bool,
    /// How far the run has been told to stop.
    pub stop: Stop,
    /// What is to be said, once.
    pub news: Vec<String>,
}

/// How a Region fails to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoAnswer {
    /// The host that is called, where it is known.
    pub host: Option<String>,
    /// In a word or two: see [`Facts::how_unanswered`](crate::verdict::ReplyDetails::how_unanswered).
    pub how: &'static str,
    /// Until when it is tried, unless that is without end.
    pub until: Option<SystemTime>,
}
