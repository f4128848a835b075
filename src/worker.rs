//! One row from admission to its outcome: admit, call, classify, then wait and again, or done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::{Instant, sleep};

use crate::admit::{Admission, Feedback, Permit, Place, Region};
use crate::call::Unlink;
use crate::hold::{HoldError, Holds, Print};
use crate::outcome::{Cause, Class, Facts, Outcome, classify};
use crate::record::{Entry, Held, InFlight};
use crate::retry::{History, Known, Next, Policy};
use crate::row::{Link, Position, Row, RowKey};
use crate::signal::Stop;

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
    /// What the hold lists are asked of a row, if there are any.
    fn asked_of_lists(&self, link: &Link) -> Option<(&Arc<Holds>, Print)> {
        let holds = self.holds.as_ref()?;
        Some((holds, Print::of(&link.developer_user_identifier)))
    }
}

/// Counted as it happens, for whoever watches.
#[derive(Debug, Default)]
pub struct Counters {
    /// Attempts started.
    pub calls: AtomicU64,
    /// Attempts answered with "too many".
    pub throttled: AtomicU64,
    /// Whether an answer of Cognito's own was heard.
    pub cognito_heard: AtomicBool,
    /// When a signature was refused, none having been taken since.
    pub signature_refused: Mutex<Option<Instant>>,
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
}

/// Why no more calls may start.
#[derive(Debug)]
pub enum Halt {
    /// An answer says so.
    Answer(Box<HaltingAnswer>),
    /// The side file cannot be written, so that a call might be forgotten.
    Mark(std::io::Error),
    /// It is not known any more who must not be called.
    Hold(HoldError),
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
    pub facts: Facts,
}

/// How a worker ends with a row.
#[derive(Debug)]
pub struct Ended {
    /// What the row holds.
    pub held: Held,
    /// What is to be recorded; nothing for a row that is left as it was.
    pub entry: Option<Box<Entry>>,
    /// Set if the run must halt.
    pub halt: Option<Halt>,
    /// The place of its last call, to be held until the row is recorded: so many calls a kill repeats at most.
    pub place: Option<Place>,
}

/// A row for a worker.
#[derive(Debug)]
pub struct Job {
    /// The row.
    pub open: Box<OpenRow>,
    /// What it holds.
    pub held: Held,
    /// Given back when the row is admitted for the first time: it bounds the rows that wait for that.
    pub queued: Option<OwnedSemaphorePermit>,
}

/// Brings rows to their outcomes, one after the other, as long as there are jobs.
///
/// A call's state takes some 13 KB. In a task that lives on it stays where it is; a task a row would copy it nine times.
pub async fn work<C: Unlink>(
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

/// Brings one row to its outcome, or leaves it when the run stops.
async fn settle<C: Unlink>(context: &Context<C>, job: Job) -> Ended {
    let Job { open, held, queued } = job;
    let mut progress = Progress {
        history: History::new(open.in_doubt),
        started_at: None,
        latency: None,
        facts: Facts::default(),
        place: None,
    };
    let (outcome, halt) = attempt_until_settled(context, &open, held, queued, &mut progress).await;
    Ended {
        held,
        place: progress.place.take(),
        entry: outcome.map(|outcome| Box::new(progress.entry(*open, outcome))),
        halt,
    }
}

/// What has happened to a row so far.
struct Progress {
    history: History,
    started_at: Option<SystemTime>,
    latency: Option<Duration>,
    facts: Facts,
    place: Option<Place>,
}

impl Progress {
    fn entry(self, open: OpenRow, outcome: Outcome) -> Entry {
        Entry {
            position: open.row.position,
            link: open.row.link,
            carried: open.row.carried,
            key: Some(open.key),
            outcome,
            facts: self.facts,
            attempts: self.history.attempts(),
            started_at: self.started_at,
            finished_at: SystemTime::now(),
            latency: self.latency,
        }
    }

    /// What a row is told as that is on the hold list. Where an attempt may have taken effect, the doubt is what matters.
    fn when_held(&mut self) -> Outcome {
        if !self.history.is_in_doubt() {
            return Outcome::Held;
        }
        self.facts = Facts {
            code: Some("Held".to_owned()),
            message: Some(
                "the user is on the hold list; an earlier attempt may have taken effect".to_owned(),
            ),
            ..Facts::default()
        };
        Outcome::InDoubt
    }

    fn when_kept(&mut self, kept: Kept) -> (Option<Outcome>, Option<Halt>) {
        match kept {
            Kept::Stopped => (self.when_stopped(), None),
            Kept::Held => (Some(self.when_held()), None),
            Kept::Halting(halt) => (self.when_stopped(), Some(halt)),
        }
    }

    /// From which order on the row is called no more: one that has not begun heeds the first.
    fn heeds(&self) -> Stop {
        match self.history.attempts() {
            0 => Stop::Finish,
            _ => Stop::Drain,
        }
    }

    /// What a row is told as when the run stops before it is settled: nothing, unless an attempt may have taken effect.
    fn when_stopped(&self) -> Option<Outcome> {
        (self.history.attempts() > 0 && self.history.is_in_doubt()).then_some(Outcome::InDoubt)
    }
}

async fn attempt_until_settled<C: Unlink>(
    context: &Context<C>,
    open: &OpenRow,
    held: Held,
    mut queued: Option<OwnedSemaphorePermit>,
    progress: &mut Progress,
) -> (Option<Outcome>, Option<Halt>) {
    let link = &open.row.link;
    let position = &open.row.position;
    let region = context.admission.region(link.region());
    let mut stop = context.stop.clone();
    let mut marked = false;
    let user = context.asked_of_lists(link);
    loop {
        // Whoever is held already takes nobody's turn.
        if user.is_some_and(|(holds, print)| holds.hold(print)) {
            return (Some(progress.when_held()), None);
        }
        let ends_at = progress.history.ends_at(&context.policy);
        let permit = match admitted(&region, &mut stop, progress.heeds(), ends_at).await {
            Waited::Admitted(permit) => permit,
            Waited::Stopped => return (progress.when_stopped(), None),
            Waited::TooLong => return (Some(progress.history.gave_up()), None),
        };
        drop(queued.take());
        if let Err(kept) = cleared(context, &permit, user, &mut stop).await {
            return progress.when_kept(kept);
        }
        if let (Some(in_flight), false) = (&context.in_flight, marked) {
            let recorded = context.recorded.load(Ordering::Acquire);
            if let Err(error) = in_flight.mark(held.slot, open.key, recorded) {
                return progress.when_kept(Kept::Halting(Halt::Mark(error)));
            }
            marked = true;
        }
        progress.history.start(region.clock());
        progress.started_at.get_or_insert_with(SystemTime::now);
        context.counters.calls.fetch_add(1, Ordering::Relaxed);

        let answer = tokio::select! {
            biased;
            answer = context.calls.unlink(link) => answer,
            () = told(&mut stop, Stop::Abort) => {
                progress.facts = Facts {
                    code: Some("Aborted".to_owned()),
                    message: Some("the run was told to stop at once while the call was in flight".to_owned()),
                    ..Facts::default()
                };
                return (Some(Outcome::InDoubt), None);
            }
        };
        let class = classify(&answer);
        let (now, started) = (Instant::now(), permit.started());
        let known = context.counters.note(class, started, now);
        let locked = context.policy.locks(class, known);
        progress.place = Some(permit.answered(feedback(class, open.key, locked)));
        let known = Known {
            unheard_for: region.unheard_for(),
            ..known
        };
        progress.latency = Some(now - started);
        progress.facts = answer.facts;
        let chance = context
            .chance
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .f64();
        let asked = progress.facts.retry_after;
        let next =
            progress
                .history
                .next(class, asked, known, &context.policy, region.clock(), chance);
        tracing::debug!(
            row = %position, attempt = progress.history.attempts(), class = ?class,
            code = progress.facts.shown().code, status = progress.facts.http_status,
            request_id = progress.facts.shown().request_id,
            latency_ms = millis(now - started), "called"
        );
        match next {
            Next::Settle(outcome) => return (Some(outcome), None),
            Next::Halt(cause) => {
                let answer = HaltingAnswer {
                    cause,
                    position: position.clone(),
                    identity_pool_id: link.identity_pool_id.clone(),
                    facts: progress.facts.shown(),
                };
                return (
                    progress.when_stopped(),
                    Some(Halt::Answer(Box::new(answer))),
                );
            }
            Next::Again(delay) => {
                // A row in back-off holds no place among the calls in flight.
                drop(progress.place.take());
                tracing::info!(
                    row = %position, attempt = progress.history.attempts(),
                    code = progress.facts.shown().code, wait_ms = millis(delay),
                    "trying again"
                );
                tokio::select! {
                    biased;
                    () = sleep(delay) => {}
                    () = told(&mut stop, Stop::Drain) => return (progress.when_stopped(), None),
                }
            }
        }
    }
}

/// What keeps a call from starting that was admitted.
enum Kept {
    /// The run starts no more calls.
    Stopped,
    /// The user is on the hold list.
    Held,
    /// Nor may any other call start.
    Halting(Halt),
}

/// The last look before a call: at the credentials, where others are waited for, and at the hold list.
async fn cleared<C: Unlink>(
    context: &Context<C>,
    permit: &Permit,
    user: Option<(&Arc<Holds>, Print)>,
    stop: &mut watch::Receiver<Stop>,
) -> Result<(), Kept> {
    if permit.tries_credentials() {
        tokio::select! {
            biased;
            () = context.calls.renew() => {}
            () = told(stop, Stop::Drain) => return Err(Kept::Stopped),
        }
    }
    let Some((holds, print)) = user else {
        return Ok(());
    };
    let held = tokio::select! {
        biased;
        held = holds.hold_now(print) => held,
        () = told(stop, Stop::Drain) => return Err(Kept::Stopped),
    };
    match held {
        Ok(false) => Ok(()),
        Ok(true) => Err(Kept::Held),
        Err(error) => Err(Kept::Halting(Halt::Hold(error))),
    }
}

/// Waits until the run is told to stop at least this far.
async fn told(stop: &mut watch::Receiver<Stop>, far: Stop) {
    if stop.wait_for(|stop| *stop >= far).await.is_err() {
        // Nobody is left who could tell: the run is ending, and this task with it.
        std::future::pending::<()>().await;
    }
}

/// What an answer says about its Region, and about the credentials: `locked` says that others are to be waited for.
fn feedback(class: Class, key: RowKey, locked: bool) -> Feedback {
    match class {
        _ if locked => Feedback::Locked,
        Class::Throttled => Feedback::Throttled,
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is one too")]
        Class::Lost => Feedback::Silent(key.0 as u64),
        Class::NotSent => Feedback::Unsent,
        Class::Foreign | Class::Fatal(Cause::NoCredentials | Cause::OtherAccount) => {
            Feedback::Foreign
        }
        _ => Feedback::Taken,
    }
}

/// How a wait for admission ends.
enum Waited {
    Admitted(Permit),
    /// The run starts no more calls.
    Stopped,
    /// The row's life is over.
    TooLong,
}

/// Waits for a call's turn, unless the run stops `enough` for that.
async fn admitted(
    region: &Arc<Region>,
    stop: &mut watch::Receiver<Stop>,
    enough: Stop,
    ends_at: Option<Instant>,
) -> Waited {
    let waited = tokio::select! {
        biased;
        permit = region.admit() => Waited::Admitted(permit),
        () = told(stop, enough) => Waited::Stopped,
        () = ends(region, ends_at) => Waited::TooLong,
    };
    // Admission and the order to stop may come at once; then no call starts.
    if *stop.borrow() >= enough {
        return Waited::Stopped;
    }
    waited
}

/// Waits until the row's life is over, if it has begun.
async fn ends(region: &Region, at: Option<Instant>) {
    match at {
        Some(time) => region.reaches(time).await,
        None => std::future::pending().await,
    }
}

impl Counters {
    /// Counts the answer to a call that `started` then; gives back what was known before of all answers.
    fn note(&self, class: Class, started: Instant, now: Instant) -> Known {
        let mut refused = self
            .signature_refused
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let signature_refused = refused.is_some_and(|refused| started > refused);
        match class {
            Class::Lost
            | Class::NotSent
            | Class::Foreign
            | Class::Fatal(Cause::NoCredentials | Cause::OtherAccount) => {
                return Known {
                    cognito_heard: self.cognito_heard.load(Ordering::Relaxed),
                    signature_refused,
                    unheard_for: Duration::ZERO,
                };
            }
            Class::Signature => {
                refused.get_or_insert(now);
            }
            _ => *refused = None,
        }
        if class == Class::Throttled {
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

/// Milliseconds to the thousandth, as a log shows them.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
