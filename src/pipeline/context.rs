//! The state that all workers of a run share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::admission::Admission;
use crate::guard::hold::{Holds, UserHashes};
use crate::results::Marks;
use crate::row::Link;
use crate::signal::Stop;
use crate::verdict::{Cause, Policy, ReplyDetails, RunEvidence, Verdict};

/// The state that all workers of a run share.
#[derive(Debug)]
pub struct Context<J> {
    /// Makes the calls and the lines.
    pub job: J,
    /// Admits attempts, and look-ups beside them.
    pub admission: Arc<Admission>,
    /// Bounds the retries.
    pub policy: Policy,
    /// The hold lists, if there are any.
    pub holds: Option<Arc<Holds>>,
    /// Marks rows before they are called; a simulation has no file to mark them in.
    pub in_flight: Option<Box<dyn Marks>>,
    /// Bytes of results handed to the operating system so far.
    pub recorded: Arc<AtomicU64>,
    /// The order to stop.
    pub stop: watch::Receiver<Stop>,
    /// The source of the jitter.
    pub random: Mutex<fastrand::Rng>,
    /// Counts of calls and replies.
    pub counters: Counters,
}

impl<J> Context<J> {
    /// Returns the hashes under which hold lists store the row's user, if there are any lists.
    pub(super) fn hashes(&self, link: &Link) -> Option<UserHashes> {
        let holds = self.holds.as_ref();
        holds.map(|_| UserHashes::of(&link.developer_user_identifier))
    }

    /// Returns a random number, uniform in `[0, 1)`.
    pub(super) fn random(&self) -> f64 {
        lock(&self.random).f64()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts of calls and replies, kept as they happen.
#[derive(Debug, Default)]
pub struct Counters {
    /// Attempts of the job's own call whose bytes have left.
    pub calls: AtomicU64,
    /// Rows of which such an attempt has left.
    pub called_rows: AtomicU64,
    /// Attempts of looks before it whose bytes have left.
    pub looks: AtomicU64,
    /// Attempts of looks that were throttled.
    pub looks_throttled: AtomicU64,
    /// Attempts of the job's own call that were throttled.
    pub throttled: AtomicU64,
    /// Cognito itself has replied.
    pub cognito_replied: AtomicBool,
    /// Time of the first refused signature since one was accepted.
    pub signature_refused: Mutex<Option<Instant>>,
    /// The last fault of each Region that did not reply, in a word or two.
    pub unanswered: Mutex<HashMap<String, &'static str>>,
}

impl Counters {
    /// Returns the last fault of a Region that did not reply.
    #[must_use]
    pub fn last_fault(&self, region: &str) -> &'static str {
        let unanswered = lock(&self.unanswered);
        unanswered.get(region).copied().unwrap_or("no answer yet")
    }

    /// Records the fault of a Region, if it did not reply.
    pub(super) fn note_fault(&self, region: &str, verdict: Verdict, details: &ReplyDetails) {
        if matches!(verdict, Verdict::Lost | Verdict::NotSent) {
            lock(&self.unanswered).insert(region.to_owned(), details.connection_fault());
        }
    }

    /// Counts the reply to a call that `started` then, and returns the evidence of all replies before it.
    pub(super) fn count(
        &self,
        verdict: Verdict,
        is_sent: bool,
        started: Instant,
        now: Instant,
    ) -> RunEvidence {
        let mut refused = lock(&self.signature_refused);
        let evidence = |cognito_replied| RunEvidence {
            cognito_replied,
            signature_refused: refused.is_some_and(|refused| started > refused),
            silent_for: Duration::ZERO,
        };
        let is_no_reply_of_cognito = matches!(
            verdict,
            Verdict::Lost
                | Verdict::NotSent
                | Verdict::Foreign
                | Verdict::Fatal(Cause::NoCredentials | Cause::OtherAccount | Cause::NoFiles)
        );
        if !is_sent || is_no_reply_of_cognito {
            return evidence(self.cognito_replied.load(Ordering::Relaxed));
        }
        let evidence = evidence(true);
        if verdict == Verdict::Signature {
            refused.get_or_insert(now);
        } else {
            *refused = None;
        }
        self.cognito_replied.store(true, Ordering::Relaxed);
        evidence
    }

    /// Counts an attempt that was throttled.
    pub(super) fn count_throttled(&self, verdict: Verdict, is_look: bool) {
        let count = if is_look {
            &self.looks_throttled
        } else {
            &self.throttled
        };
        count.fetch_add(u64::from(verdict == Verdict::Throttled), Ordering::Relaxed);
    }
}
