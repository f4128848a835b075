//! One row to its outcome: attempt after attempt, with a back-off between them.
//!
//! An attempt is a series of steps in one order, the order in which they may wait ([`attempt`]): whatever can take long comes
//! before what is checked last.
//!
//! | step | why there |
//! |---|---|
//! | turn of the identity | the dispatcher's: the next row of an identity starts when the one before is recorded |
//! | back-off | holds no place, no token |
//! | credentials at hand | may take half a minute; the SDK must not fetch them behind the checks |
//! | mark *reserved* | may wait for the disk |
//! | hold lists fresh | may wait for a file system; a held row takes no token |
//! | admission | waits for the gates, a place, the pace and a token |
//! | connection | bounded by `--connect-timeout`; the last check is behind it |
//! | last check | order to stop, age of the token, hold lists, mark *sent*: nothing of it waits ([`last_check`](super::last_check)) |
//! | the bytes | from here on the attempt may have taken effect, and its time counts |

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep};

use super::last_check::{Check, HeldBack, Left, Mark, Sending};
use super::worker::{Context, Ended, Halt, HaltingAnswer, Job, OpenRow};
use crate::admission::{Admission, Feedback, InFlightPermit, Permit, Region};
use crate::call::{LastCheck, Unlink};
use crate::guard::hold::{Hold, Holds, NEAR_HOLD, UserHashes};
use crate::os_limits;
use crate::results::Entry;
use crate::row::{Row, RowKey};
use crate::signal::Stop;
use crate::verdict::retry::{History, Known, Next as Step};
use crate::verdict::{Cause, Outcome, ReplyDetails, Verdict, classify};

/// Brings one row to its outcome, or leaves it when the run stops.
pub(crate) async fn settle<C: Unlink>(context: &Arc<Context<C>>, job: Job) -> Ended {
    let Job { open, held, queued } = job;
    let mut row = AtWork {
        open: &open,
        slot: held.slot,
        queued,
        mark: None,
        log: AttemptLog {
            history: History::new(open.in_doubt),
            started_at: None,
            latency: None,
            facts: ReplyDetails::default(),
            place: None,
            is_doubtful: false,
        },
    };
    let (outcome, halt) = attempt_until_settled(context, &mut row).await;
    let mut log = row.log;
    Ended {
        held,
        place: log.place.take(),
        is_doubtful: log.is_doubtful,
        entry: outcome.map(|outcome| Box::new(log.entry(*open, outcome))),
        halt,
    }
}

/// Why a row is held that no line of a hold list is equal to.
const NEARLY_HELD: &str = "a line of the hold list is equal to the user but for case, white space, invisible characters, quotes or the Unicode \
                           form; correct the line or the row if they are not the same";

/// A row that a worker has.
struct AtWork<'a> {
    open: &'a OpenRow,
    slot: usize,
    queued: Option<OwnedSemaphorePermit>,
    /// Once it is reserved.
    mark: Option<Mark>,
    log: AttemptLog,
}

/// What has happened to a row so far.
struct AttemptLog {
    history: History,
    started_at: Option<SystemTime>,
    latency: Option<Duration>,
    facts: ReplyDetails,
    place: Option<InFlightPermit>,
    is_doubtful: bool,
}

impl AttemptLog {
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
            room: open.room,
        }
    }

    /// Returns the outcome of a row that is on the hold list. Where an attempt may have taken effect, the doubt is what matters.
    fn when_held(&mut self, hold: Hold) -> Outcome {
        let is_in_doubt = self.history.is_in_doubt();
        let (code, how) = match hold {
            Hold::Exact => ("Held", "the user is on the hold list"),
            Hold::Near => (NEAR_HOLD, NEARLY_HELD),
        };
        if hold == Hold::Near || is_in_doubt {
            let doubt = if is_in_doubt {
                "; an earlier attempt may have taken effect"
            } else {
                ""
            };
            self.facts = ReplyDetails {
                code: Some(code.to_owned()),
                message: Some(format!("{how}{doubt}")),
                ..ReplyDetails::default()
            };
        }
        if is_in_doubt {
            Outcome::InDoubt
        } else {
            Outcome::Held
        }
    }

    /// What follows when the row is to be tried again.
    fn again(&mut self, row: &Row, delay: Duration) -> Next {
        tracing::info!(
            row = %row.position, attempt = self.history.attempts(),
            code = self.facts.shown().code, wait_ms = millis(delay),
            "trying again"
        );
        // A row in back-off holds no place among the calls in flight.
        drop(self.place.take());
        Next::Again(delay)
    }

    /// What follows when no byte has left.
    fn when_held_back(&mut self, why: HeldBack) -> Next {
        match why {
            HeldBack::Stopped => Next::Over(self.when_stopped(), None),
            HeldBack::Held(hold) => Next::Over(Some(self.when_held(hold)), None),
            HeldBack::Halting(halt) => Next::Over(self.when_stopped(), Some(halt)),
            HeldBack::TooLate => Next::Again(Duration::ZERO),
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

/// What follows an attempt.
enum Next {
    /// The row is over: its outcome, or nothing if it is left as it was, and why the run must halt, if it must.
    Over(Option<Outcome>, Option<Halt>),
    /// Another attempt, so long after.
    Again(Duration),
}

async fn attempt_until_settled<C: Unlink>(
    context: &Arc<Context<C>>,
    row: &mut AtWork<'_>,
) -> (Option<Outcome>, Option<Halt>) {
    let mut stop = context.stop.clone();
    loop {
        let delay = match attempt(context, row, &mut stop).await {
            Next::Over(outcome, halt) => return (outcome, halt),
            Next::Again(delay) => delay,
        };
        if delay.is_zero() {
            continue;
        }
        tokio::select! {
            biased;
            () = sleep(delay) => {}
            () = told(&mut stop, Stop::Drain) => return (row.log.when_stopped(), None),
        }
    }
}

/// One attempt, in the order that the top of this file gives.
async fn attempt<C: Unlink>(
    context: &Arc<Context<C>>,
    row: &mut AtWork<'_>,
    stop: &mut watch::Receiver<Stop>,
) -> Next {
    let link = &row.open.row.link;
    let region = context.admission.region(link.region());
    let user = context.hashes(link);
    let heeds = row.log.heeds();
    let ends_at = row.log.history.ends_at(&context.policy);

    // No row fails for what all have to wait for.
    let prepared = unless(&region, stop, heeds, None, prepare(context, row, user)).await;
    match prepared {
        Waited::Done(Ok(())) => {}
        Waited::Done(Err(why)) => return row.log.when_held_back(why),
        // Without an end it is never too long.
        Waited::Stopped | Waited::TooLong => return Next::Over(row.log.when_stopped(), None),
    }
    let admitted = admitted(&context.admission, &region, link.region(), &mut row.queued);
    let permit = match unless(&region, stop, heeds, ends_at, admitted).await {
        Waited::Done(Some(permit)) => permit,
        // The Region is given up: the row is left as it is.
        Waited::Done(None) | Waited::Stopped => return Next::Over(row.log.when_stopped(), None),
        Waited::TooLong => return Next::Over(Some(row.log.history.gave_up()), None),
    };
    drop(row.queued.take());
    // Admission may have taken hours. Where this takes long, the last check takes a newer token.
    let refreshed = async {
        if permit.is_credentials_trial() {
            context.calls.renew().await;
        }
        if !context.calls.is_ready() {
            context.calls.ready().await;
        }
        fresh(context.holds.as_deref()).await
    };
    match unless(&region, stop, heeds, None, refreshed).await {
        Waited::Done(Ok(())) => {}
        Waited::Done(Err(why)) => return row.log.when_held_back(why),
        Waited::Stopped | Waited::TooLong => return Next::Over(row.log.when_stopped(), None),
    }
    let check = Check::new(context, &region, permit.token(), user, heeds, row.mark);
    call(context, row, stop, permit, Arc::new(check)).await
}

/// Does whatever may take long before a call: credentials, the mark on the disk, a look at the hold lists.
async fn prepare<C: Unlink>(
    context: &Arc<Context<C>>,
    row: &mut AtWork<'_>,
    user: Option<UserHashes>,
) -> Result<(), HeldBack> {
    let holds = context.holds.as_ref().zip(user);
    if let Some(hold) = holds.and_then(|(holds, user)| holds.hold(&user)) {
        return Err(HeldBack::Held(hold));
    }
    context.calls.ready().await;
    if let (Some(in_flight), None) = (&context.in_flight, row.mark) {
        let mark = Mark {
            slot: row.slot,
            key: row.open.key,
            recorded: context.recorded.load(Ordering::Acquire),
            is_sent: false,
        };
        in_flight
            .reserve(mark.slot, mark.key, mark.recorded)
            .map_err(|error| HeldBack::Halting(Halt::Mark(error)))?;
        row.mark = Some(mark);
    }
    fresh(context.holds.as_deref()).await
}

/// Waits until the hold lists tell who is held now.
async fn fresh(holds: Option<&Holds>) -> Result<(), HeldBack> {
    match holds {
        Some(holds) => holds
            .fresh()
            .await
            .map_err(|error| HeldBack::Halting(Halt::Hold(error))),
        None => Ok(()),
    }
}

/// Waits for admission. A row whose Region is not called at present lets others into the queue, where other Regions answer. Where
/// none does it stays: each further row in the queue would be one more to try with, and to be in doubt.
async fn admitted(
    admission: &Admission,
    region: &Arc<Region>,
    name: &str,
    queued: &mut Option<OwnedSemaphorePermit>,
) -> Option<Permit> {
    let admitted = region.admit();
    tokio::pin!(admitted);
    tokio::select! {
        biased;
        permit = &mut admitted => return permit,
        () = region.blocked() => {}
    }
    if admission.others_answer(name) {
        drop(queued.take());
    }
    admitted.await
}

/// Makes the call that `check` releases, and says what follows.
async fn call<C: Unlink>(
    context: &Arc<Context<C>>,
    row: &mut AtWork<'_>,
    stop: &mut watch::Receiver<Stop>,
    mut permit: Permit,
    check: Arc<Check<C>>,
) -> Next {
    let link = &row.open.row.link;
    let region = context.admission.region(link.region());
    let log = &mut row.log;
    let before = log.history;
    log.history.start(region.clock());
    let begun = (Instant::now(), SystemTime::now());

    let answer = {
        let last: Arc<dyn LastCheck> = check.clone();
        let call = context.calls.unlink(link, last);
        tokio::pin!(call);
        let heeded = told(stop, check.heeds());
        let answered = tokio::select! {
            biased;
            answer = &mut call => Some(answer),
            () = heeded => None,
        };
        match answered {
            Some(answer) => Some(answer),
            None if check.hold_back() => None,
            None => tokio::select! {
                biased;
                answer = &mut call => Some(answer),
                () = told(stop, Stop::Abort) => None,
            },
        }
    };
    if let Some(mark) = &mut row.mark {
        mark.is_sent = check.is_marked();
    }
    let left = match check.sending() {
        Sending::HeldBack(token, why) => {
            log.history = before;
            permit.cancel(token);
            return log.when_held_back(why);
        }
        Sending::NotSent => None,
        Sending::Sent(left) => Some(left),
    };
    let Some(answer) = answer else {
        log.facts = ReplyDetails {
            code: Some("Aborted".to_owned()),
            message: Some(
                "the run was told to stop at once while the call was in flight".to_owned(),
            ),
            ..ReplyDetails::default()
        };
        return Next::Over(Some(Outcome::InDoubt), None);
    };
    let (started, time) = left.map_or(begun, |Left { at, time }| (at, time));
    permit.sent_at(started);
    log.started_at.get_or_insert(time);
    let class = match classify(&answer) {
        class @ (Verdict::Refused | Verdict::Fatal(_)) => class,
        // Whatever is said of half a request, none of it is about the row.
        _ if left.is_none() => Verdict::NotSent,
        class => class,
    };
    let class = match class {
        Verdict::NotSent | Verdict::Fatal(Cause::NoCredentials)
            if os_limits::lacks_files(answer.facts.message.as_deref()) =>
        {
            Verdict::Fatal(Cause::NoFiles)
        }
        class => class,
    };
    let now = Instant::now();
    // A signature is as old as the request.
    let known = context.counters.note(class, left.is_some(), begun.0, now);
    let locked = context.policy.locks(class, known);
    let feedback = match class {
        // No request could be made: that says nothing about the Region.
        Verdict::Refused if left.is_none() => Feedback::Inconclusive,
        class => feedback(class, row.open.key, locked),
    };
    log.place = Some(permit.answered(feedback));
    log.latency = Some(now - started);
    context.counters.hear(link.region(), class, &answer.facts);
    log.facts = answer.facts;
    decide(context, row, &region, class, known)
}

/// Says what follows from an attempt of this class.
fn decide<C: Unlink>(
    context: &Context<C>,
    row: &mut AtWork<'_>,
    region: &Region,
    class: Verdict,
    known: Known,
) -> Next {
    let OpenRow { row: of, .. } = row.open;
    let log = &mut row.log;
    let known = Known {
        unheard_for: region.unanswered_for(),
        ..known
    };
    let chance = context
        .chance
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .f64();
    let asked = log.facts.retry_after;
    let verdict = log
        .history
        .next(class, asked, known, &context.policy, region.clock(), chance);
    tracing::debug!(
        row = %of.position, attempt = log.history.attempts(), class = ?class,
        code = log.facts.shown().code, status = log.facts.http_status,
        request_id = log.facts.shown().request_id,
        latency_ms = log.latency.map(millis), "called"
    );
    match verdict {
        Step::Settle(outcome) => Next::Over(Some(outcome), None),
        Step::Halt(cause) => {
            // What answers with a page may stand before a service that has done its part.
            log.is_doubtful = class == Verdict::Foreign;
            let answer = HaltingAnswer {
                cause,
                position: of.position.clone(),
                identity_pool_id: of.link.identity_pool_id.clone(),
                facts: log.facts.shown(),
            };
            Next::Over(log.when_stopped(), Some(Halt::Answer(Box::new(answer))))
        }
        Step::Again(delay) => log.again(of, delay),
        Step::RegionWaits { asked, then } => {
            region.set_retry_after(asked);
            log.again(of, then)
        }
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
fn feedback(class: Verdict, key: RowKey, locked: bool) -> Feedback {
    match class {
        _ if locked => Feedback::CredentialsRejected,
        Verdict::Throttled => Feedback::Throttled,
        #[expect(clippy::cast_possible_truncation, reason = "half of a hash is one too")]
        Verdict::Lost => Feedback::Unanswered(key.0 as u64),
        Verdict::NotSent => Feedback::NotSent,
        Verdict::Foreign
        | Verdict::Fatal(Cause::NoCredentials | Cause::OtherAccount | Cause::NoFiles) => {
            Feedback::Inconclusive
        }
        _ => Feedback::Accepted,
    }
}

/// How a wait before a call ends.
enum Waited<T> {
    Done(T),
    /// The run starts no more calls.
    Stopped,
    /// The row's life is over.
    TooLong,
}

/// Waits for `what`, unless the run stops `enough` for that, or the row's life ends.
async fn unless<T>(
    region: &Region,
    stop: &mut watch::Receiver<Stop>,
    enough: Stop,
    ends_at: Option<Instant>,
    what: impl Future<Output = T>,
) -> Waited<T> {
    let waited = tokio::select! {
        biased;
        done = what => Waited::Done(done),
        () = told(stop, enough) => Waited::Stopped,
        () = ends(region, ends_at) => Waited::TooLong,
    };
    // Both may come at once; then no call starts.
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

/// Milliseconds to the thousandth, as a log shows them.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
