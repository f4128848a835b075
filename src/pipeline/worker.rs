//! The workers of a run: each brings one row after the other to its outcome ([`attempt`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::Instant;

use super::attempt::settle;
use crate::admission::{Admission, InFlightPermit};
use crate::call::Unlink;
use crate::guard::hold::{HoldError, Holds, UserHashes};
use crate::results::{Entry, InFlight, RowLease};
use crate::row::{Link, MemoryReservation, Position, Row, RowKey};
use crate::signal::Stop;
use crate::verdict::retry::{Known, Policy};
use crate::verdict::{Cause, ReplyDetails, Verdict};

/// What all workers of a run share.
#[derive(Debug)]
pub struct Context<C> {
    /// Makes the calls.
    pub calls: C,
    /// Says when they may start.
    pub admission: Admission,
    /// Says how often.
    pub policy: Policy,
    /// Who must not be called, if there is anybody.
    pub holds: Option<Arc<Holds>>,
    /// Marks rows before they are called; a simulation has no file to mark them in.
    pub in_flight: Option<InFlight>,
    /// Bytes of results handed to the operating system so far.
    pub recorded: Arc<AtomicU64>,
    /// How far the run has been told to stop.
    pub stop: watch::Receiver<Stop>,
    /// Where the jitter of back-off comes from.
    pub chance: Mutex<fastrand::Rng>,
    /// What has been counted so far.
    pub counters: Counters,
}

impl<C> Context<C> {
    /// What the hold lists know the row's user by, if there are any.
    pub(crate) fn hashes(&self, link: &Link) -> Option<UserHashes> {
        let holds = self.holds.as_ref();
        holds.map(|_| UserHashes::of(&link.developer_user_identifier))
    }
}

/// Counted as it happens, for whoever watches.
#[derive(Debug, Default)]
pub struct Counters {
    /// Attempts whose bytes have left.
    pub calls: AtomicU64,
    /// Attempts answered with "too many".
    pub throttled: AtomicU64,
    /// Whether an answer of Cognito's own was heard.
    pub cognito_heard: AtomicBool,
    /// When a signature was refused, none having been taken since.
    pub signature_refused: Mutex<Option<Instant>>,
    /// How each Region last failed to answer.
    pub unanswered: Mutex<HashMap<String, &'static str>>,
}

/// A row on its way, read and not yet recorded.
#[derive(Debug)]
pub struct OpenRow {
    /// The row.
    pub row: Row,
    /// What it is known by.
    pub key: RowKey,
    /// Stands for its identity; two identities that share it are merely called one after the other.
    pub identity: u64,
    /// An attempt of an earlier run may have taken effect.
    pub in_doubt: bool,
    /// The room that it takes, if it is large.
    pub room: Option<MemoryReservation>,
}

/// Why no more calls may start.
#[derive(Debug)]
pub enum Halt {
    /// An answer says so.
    Answer(Box<HaltingAnswer>),
    /// The side file cannot be written, so that a call might be forgotten.
    Mark(std::io::Error),
    /// The side file is gone or another one, so that calls might be forgotten.
    SideFile(std::io::Error),
    /// It is not known any more who must not be called.
    Hold(HoldError),
    /// A Region did not answer, while others did: its rows are left, and the others have gone on to their end.
    Region(Box<HaltingAnswer>),
}

/// The answer that halts a run, and to whom it was given.
#[derive(Debug)]
pub struct HaltingAnswer {
    /// What it means.
    pub cause: Cause,
    /// The row that was called.
    pub position: Position,
    /// Its pool.
    pub identity_pool_id: String,
    /// The reply, as it may be shown: see [`Facts::shown`].
    pub facts: ReplyDetails,
}

/// How a worker ends with a row.
#[derive(Debug)]
pub(crate) struct Ended {
    /// What the row holds.
    pub held: RowLease,
    /// What is to be recorded; nothing for a row that is left as it was.
    pub entry: Option<Box<Entry>>,
    /// Set if the run must halt.
    pub halt: Option<Halt>,
    /// The place of its last call, to be held until the row is recorded: so many calls a kill repeats at most.
    pub place: Option<InFlightPermit>,
    /// The row is left, and its last call may have taken effect all the same: its mark stays for the next run.
    pub is_doubtful: bool,
}

/// A row for a worker.
#[derive(Debug)]
pub(crate) struct Job {
    /// The row.
    pub open: Box<OpenRow>,
    /// What it holds.
    pub held: RowLease,
    /// Given back when the row is admitted for the first time: it bounds the rows that wait for that.
    pub queued: Option<OwnedSemaphorePermit>,
}

/// Brings rows to their outcomes, one after the other, as long as there are jobs.
///
/// A call's state takes some 13 KB. In a task that lives on it stays where it is; a task a row would copy it nine times.
pub(crate) async fn work<C: Unlink>(
    context: Arc<Context<C>>,
    mut jobs: mpsc::Receiver<Job>,
    done: mpsc::Sender<Ended>,
) {
    while let Some(job) = jobs.recv().await {
        if done.send(settle(&context, job).await).await.is_err() {
            return;
        }
    }
}

impl Counters {
    /// Returns how a Region has last failed to answer.
    #[must_use]
    pub fn how_unanswered(&self, region: &str) -> &'static str {
        let unanswered = self.unanswered.lock();
        let unanswered = unanswered.unwrap_or_else(PoisonError::into_inner);
        unanswered.get(region).copied().unwrap_or("no answer yet")
    }

    /// Notes how a Region has failed to answer, if it has.
    pub(crate) fn hear(&self, region: &str, class: Verdict, facts: &ReplyDetails) {
        if matches!(class, Verdict::Lost | Verdict::NotSent) {
            let unanswered = self.unanswered.lock();
            let mut unanswered = unanswered.unwrap_or_else(PoisonError::into_inner);
            unanswered.insert(region.to_owned(), facts.how_unanswered());
        }
    }

    /// Counts the answer to a call that `started` then; gives back what was known before of all answers.
    pub(crate) fn note(
        &self,
        class: Verdict,
        is_sent: bool,
        started: Instant,
        now: Instant,
    ) -> Known {
        let mut refused = self
            .signature_refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let signature_refused = refused.is_some_and(|refused| started > refused);
        match class {
            _ if !is_sent => {
                return Known {
                    cognito_heard: self.cognito_heard.load(Ordering::Relaxed),
                    signature_refused,
                    unheard_for: Duration::ZERO,
                };
            }
            Verdict::Lost
            | Verdict::NotSent
            | Verdict::Foreign
            | Verdict::Fatal(Cause::NoCredentials | Cause::OtherAccount | Cause::NoFiles) => {
                return Known {
                    cognito_heard: self.cognito_heard.load(Ordering::Relaxed),
                    signature_refused,
                    unheard_for: Duration::ZERO,
                };
            }
            Verdict::Signature => {
                refused.get_or_insert(now);
            }
            _ => *refused = None,
        }
        if class == Verdict::Throttled {
            self.throttled.fetch_add(1, Ordering::Relaxed);
        }
        self.cognito_heard.store(true, Ordering::Relaxed);
        Known {
            cognito_heard: true,
            signature_refused,
            unheard_for: Duration::ZERO,
        }
    }
}
