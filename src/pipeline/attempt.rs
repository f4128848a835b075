//! Settles one row: attempt after attempt, with a back-off in between.
//!
//! An attempt is one of the job's own call, or of a look before it (see [`Job`]). A look has retries of its own, counts no attempt
//! of the row, and changes nothing: if it fails, so does the row, without a call.
//!
//! The steps of an attempt have a fixed order ([`attempt`]): every step that can take long comes before the last check.
//!
//! | step | why there |
//! |---|---|
//! | turn of the identity | taken by the dispatcher: the next row of an identity starts when the one before is recorded |
//! | back-off | holds neither permit nor token |
//! | turn before a look | what a look shows must not get old before the call |
//! | credentials loaded | may take half a minute; the SDK must not load them after the checks |
//! | mark *reserved* | may wait for the disk, or for a store |
//! | hold lists fresh | may wait for a file system; a held row takes no token |
//! | admission | waits for the circuit breakers, a permit, the pace and a token |
//! | connection | bounded by `--connect-timeout`; the last check comes after it |
//! | last check | order to stop, age of the looks, age of the token, hold lists, mark *sent*: none of these waits ([`last_check`](super::last_check)) |
//! | the bytes | from here on the attempt may have taken effect, and its latency counts |

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep};

use super::assignment::{Assignment, Ended};
use super::context::Context;
use super::halt::{Halt, HaltingReply};
use super::job::{Job, NextCall, SettledRow};
use super::last_check::{Check, HeldBack, Mark, Sending, Sends, SentAt};
use super::open_row::OpenRow;
use crate::admission::{Admission, Feedback, InFlightPermit, Permit, Queue, Turn};
use crate::call::{Client as _, LastCheck};
use crate::guard::hold::{Hold, Holds, UserHashes};
use crate::operation::Operation;
use crate::os_limits;
use crate::row::RowKey;
use crate::signal::Stop;
use crate::verdict::{
    Cause, End, History, NEAR_HOLD, Policy, Reply, ReplyDetails, RunEvidence, Step, Verdict,
};

/// Message of a row that is held although it equals no line of a list exactly, behind "a line of the hold list".
const NEAR_HOLD_MESSAGE: &str = "is equal to the user but for case, white space, invisible characters, quotes or the Unicode form; \
                                 correct the line or the row if they are not the same";

/// Settles one row, or leaves it when the run stops.
pub(super) async fn settle<J: Job>(
    context: &Arc<Context<J>>,
    assignment: Assignment,
) -> Ended<J::Line> {
    let Assignment {
        open,
        lease,
        queue_permit,
    } = assignment;
    let mut row = RowInWork {
        open: &open,
        slot: lease.slot,
        queue_permit,
        mark: None,
        turn: None,
        found: J::Found::default(),
        log: AttemptLog::new(open.in_doubt, J::HELD_BY),
    };
    let (end, halt) = attempt_until_over(context, &mut row).await;
    let RowInWork { found, mut log, .. } = row;
    let (permit, is_doubtful) = (log.permit.take(), log.is_doubtful);
    // A call that changes nothing leaves nothing in doubt: the next run makes it again.
    let end = end.filter(|end| J::MARKS || *end != End::Aborted);
    let line = end.map(|end| context.job.line(log.settled(*open, end, found)));
    let halts = || context.job.halts_after(line.as_ref()?);
    let halt = halt.or_else(|| halts().map(Halt::Job));
    Ended {
        lease,
        line: line.map(Box::new),
        halt,
        permit,
        is_doubtful,
    }
}

/// The row that a worker is processing.
struct RowInWork<'a, F> {
    open: &'a OpenRow,
    slot: usize,
    queue_permit: Option<OwnedSemaphorePermit>,
    /// Its mark in the side file, once that is reserved.
    mark: Option<Mark>,
    /// Its turn, from before its first look.
    turn: Option<Turn>,
    found: F,
    log: AttemptLog,
}

/// The attempts of a row so far.
struct AttemptLog {
    /// The attempts of the present own call.
    history: History,
    /// Attempts of the own calls before it.
    earlier_attempts: u32,
    /// The attempts of the present look, and its last reply.
    look: History,
    look_reply: ReplyDetails,
    started_at: Option<SystemTime>,
    latency: Option<Duration>,
    details: ReplyDetails,
    /// Request ids of the replies, separated by spaces.
    request_ids: String,
    permit: Option<InFlightPermit>,
    is_doubtful: bool,
    /// An own call has succeeded and changed something: whatever looks follow, the row is recorded.
    has_changed: bool,
    held_by: &'static str,
}

impl AttemptLog {
    fn new(in_doubt: bool, held_by: &'static str) -> Self {
        Self {
            has_changed: false,
            held_by,
            history: History::new(in_doubt),
            earlier_attempts: 0,
            look: History::new(false),
            look_reply: ReplyDetails::default(),
            started_at: None,
            latency: None,
            details: ReplyDetails::default(),
            request_ids: String::new(),
            permit: None,
            is_doubtful: false,
        }
    }

    fn settled<F>(self, open: OpenRow, end: End, found: F) -> SettledRow<F> {
        let attempts = self.attempts();
        SettledRow {
            open,
            end,
            in_doubt: self.history.is_in_doubt(),
            details: self.details,
            found,
            request_ids: self.request_ids,
            attempts,
            started_at: self.started_at,
            finished_at: SystemTime::now(),
            latency: self.latency,
        }
    }

    /// Returns the attempts of all calls.
    fn attempts(&self) -> u32 {
        self.earlier_attempts + self.history.attempts()
    }

    /// Returns the attempts of the present call.
    fn history(&mut self, is_look: bool) -> &mut History {
        if is_look {
            &mut self.look
        } else {
            &mut self.history
        }
    }

    /// Returns the end of the life of the row, or of its present look if that is earlier.
    fn ends_at(&self, is_look: bool, policy: &Policy) -> Option<Instant> {
        let of_look = self.look.ends_at(policy).filter(|_| is_look);
        let of_row = self.history.ends_at(policy);
        of_look.into_iter().chain(of_row).min()
    }

    /// Begins another call of the row after one that has succeeded, with attempts and a life of its own. After a look, the own
    /// call keeps the attempts that it has had.
    fn begin_another_call(&mut self, is_look: bool, changes: bool) -> AfterAttempt {
        if is_look {
            self.look = History::new(false);
        } else {
            self.has_changed |= changes;
            self.earlier_attempts = self.attempts();
            self.history = History::new(self.history.is_in_doubt());
        }
        drop(self.permit.take());
        AfterAttempt::Again(Duration::ZERO)
    }

    /// Ends a row whose call was refused, or has used up its attempts or its time. After a failed look the row's own call is not
    /// made, or not again.
    fn when_failed(&mut self, operation: Operation, is_look: bool) -> AfterAttempt {
        if is_look {
            let reply = std::mem::take(&mut self.look_reply);
            let message = reply.message.as_deref().unwrap_or("no answer");
            self.details = ReplyDetails {
                message: Some(format!("{operation} before the call: {message}")),
                ..reply
            };
        }
        AfterAttempt::Over(Some(End::Failed), None)
    }

    fn note_reply(&mut self, details: ReplyDetails) {
        if let Some(id) = &details.request_id {
            let space = if self.request_ids.is_empty() { "" } else { " " };
            self.request_ids.extend([space, id]);
        }
        self.details = details;
    }

    /// Ends a row that is on the hold list. If an earlier attempt may have taken effect, the record says so.
    fn when_held(&mut self, hold: Hold) -> End {
        let list = self.held_by;
        let (code, message) = match hold {
            Hold::Exact => ("Held", format!("the user is on the {list}")),
            Hold::Near => (
                NEAR_HOLD,
                format!("a line of the {list} {NEAR_HOLD_MESSAGE}"),
            ),
        };
        let in_doubt = self.history.is_in_doubt();
        if hold == Hold::Near || in_doubt {
            let doubt = if in_doubt {
                "; an earlier attempt may have taken effect"
            } else {
                ""
            };
            self.details = ReplyDetails {
                code: Some(code.to_owned()),
                message: Some(format!("{message}{doubt}")),
                ..ReplyDetails::default()
            };
        }
        End::Held
    }

    /// Returns the step after an attempt that sent no byte.
    fn when_held_back(&mut self, why: HeldBack) -> AfterAttempt {
        match why {
            HeldBack::Stopped => self.stopped(None),
            HeldBack::Held(hold) => AfterAttempt::Over(Some(self.when_held(hold)), None),
            HeldBack::Halting(halt) => self.stopped(Some(halt)),
            HeldBack::TooLate => AfterAttempt::Again(Duration::ZERO),
        }
    }

    /// Returns the order to stop at which the row starts no more calls: a row without an attempt obeys the mildest.
    fn stops_at(&self) -> Stop {
        match self.attempts() {
            0 => Stop::Finish,
            _ => Stop::Drain,
        }
    }

    /// Returns the end of a row that the run stops early: `None`, unless an attempt has taken effect, or may have.
    fn when_stopped(&self) -> Option<End> {
        if self.has_changed {
            return Some(End::Succeeded);
        }
        (self.attempts() > 0 && self.history.is_in_doubt()).then_some(End::Aborted)
    }

    fn stopped(&self, halt: Option<Halt>) -> AfterAttempt {
        AfterAttempt::Over(self.when_stopped(), halt)
    }
}

impl<F> RowInWork<'_, F> {
    /// Releases the permit, since a row in back-off is not a call in flight, and its turn, and returns the next step.
    fn again(&mut self, call: &Replied, keeps_turn: bool, delay: Duration) -> AfterAttempt {
        let attempts = self.log.history(call.is_look).attempts();
        tracing::info!(
            row = %self.open.row.position, operation = call.operation.as_str(), attempt = attempts,
            code = call.details.shown().code, wait_ms = millis(delay),
            "trying again"
        );
        drop(self.log.permit.take());
        if !keeps_turn {
            self.turn = None;
        }
        AfterAttempt::Again(delay)
    }
}

/// A call with its reply.
struct Replied {
    operation: Operation,
    is_look: bool,
    details: ReplyDetails,
    latency: Duration,
}

/// The step that follows an attempt.
enum AfterAttempt {
    /// The row is over: its end, `None` if it is left as it was, and the halt of the run, if there is one.
    Over(Option<End>, Option<Halt>),
    /// Another attempt, after this back-off.
    Again(Duration),
}

async fn attempt_until_over<J: Job>(
    context: &Arc<Context<J>>,
    row: &mut RowInWork<'_, J::Found>,
) -> (Option<End>, Option<Halt>) {
    let mut stop = context.stop.clone();
    loop {
        let delay = match attempt(context, row, &mut stop).await {
            AfterAttempt::Over(end, halt) => return (end, halt),
            AfterAttempt::Again(delay) => delay,
        };
        if delay.is_zero() {
            continue;
        }
        tokio::select! {
            biased;
            () = sleep(delay) => {}
            () = stop_ordered(&mut stop, Stop::Drain) => return (row.log.when_stopped(), None),
        }
    }
}

/// Makes one attempt, in the order that the top of this file gives.
async fn attempt<J: Job>(
    context: &Arc<Context<J>>,
    row: &mut RowInWork<'_, J::Found>,
    stop: &mut watch::Receiver<Stop>,
) -> AfterAttempt {
    let link = &row.open.row.link;
    let in_doubt = row.log.history.is_in_doubt();
    let next = context
        .job
        .next_call(&row.open.row, &mut row.found, in_doubt);
    let operation = match next {
        NextCall::Call(operation) => operation,
        NextCall::Settle(end) => return AfterAttempt::Over(Some(end), None),
    };
    let is_look = operation != J::OPERATION;
    let queue = context.admission.queue(link.region(), operation);
    let user = context.hashes(link);
    let stops_at = row.log.stops_at();
    let ends_at = row.log.ends_at(is_look, &context.policy);

    let marks = context.in_flight.as_ref();
    if is_look && J::MARKS && marks.is_some_and(|marks| marks.are_claims()) {
        // A claim takes about a second: what a look shows must not get old meanwhile, nor a turn be held.
        let reserved = reserve(context, row);
        match unless_stopped(&queue, stop, stops_at, None, reserved).await {
            Waited::Done(Ok(())) => {}
            Waited::Done(Err(why)) => return row.log.when_held_back(why),
            Waited::Stopped | Waited::TooLong => return row.log.stopped(None),
        }
    }
    if is_look && row.turn.is_none() {
        let turn = turn(context, link.region(), &mut row.queue_permit);
        match unless_stopped(&queue, stop, stops_at, None, turn).await {
            Waited::Done(turn) => row.turn = turn,
            Waited::Stopped | Waited::TooLong => return row.log.stopped(None),
        }
    }
    // A wait that all rows share must not end a row's life.
    let prepared = prepare(context, row, user, is_look);
    match unless_stopped(&queue, stop, stops_at, None, prepared).await {
        Waited::Done(Ok(())) => {}
        Waited::Done(Err(why)) => return row.log.when_held_back(why),
        Waited::Stopped | Waited::TooLong => return row.log.stopped(None),
    }
    let admitted = in_queue(
        &context.admission,
        &queue,
        link.region(),
        &mut row.queue_permit,
        queue.admit(),
    );
    let permit = match unless_stopped(&queue, stop, stops_at, ends_at, admitted).await {
        Waited::Done(Some(permit)) => permit,
        // The Region is given up.
        Waited::Done(None) | Waited::Stopped => return row.log.stopped(None),
        Waited::TooLong => return row.log.when_failed(operation, is_look),
    };
    drop(row.queue_permit.take());
    // Admission may have taken hours. If this takes long, the last check takes a newer token.
    match unless_stopped(&queue, stop, stops_at, None, refresh(context, &permit)).await {
        Waited::Done(Ok(())) => {}
        Waited::Done(Err(why)) => return row.log.when_held_back(why),
        Waited::Stopped | Waited::TooLong => return row.log.stopped(None),
    }
    let count_until = context.job.count_until(&row.found).filter(|_| !is_look);
    let sends = Sends {
        is_look,
        mark: row.mark.filter(|_| !is_look),
        count_until,
    };
    let check = Check::new(context, &queue, permit.token(), user, stops_at, sends);
    call(context, row, operation, stop, permit, Arc::new(check)).await
}

/// Waits for a turn before the first look, if the job's rows need one.
async fn turn<J: Job>(
    context: &Context<J>,
    region: &str,
    queue_permit: &mut Option<OwnedSemaphorePermit>,
) -> Option<Turn> {
    context.job.rows_at_once(f64::MAX, Duration::ZERO)?;
    let admission = &context.admission;
    let queue = admission.queue(region, J::OPERATION);
    let latency = |look: &Operation| admission.queue(region, *look).latency();
    let most = |pace| {
        let looks_take = J::LOOKS.iter().map(latency).sum();
        let rows = context.job.rows_at_once(pace, looks_take);
        rows.unwrap_or(usize::MAX)
    };
    let turn = queue.take_turn(most);
    Some(in_queue(admission, &queue, region, queue_permit, turn).await)
}

/// Does everything slow before admission: credentials, the mark on the disk, the hold lists.
async fn prepare<J: Job>(
    context: &Arc<Context<J>>,
    row: &mut RowInWork<'_, J::Found>,
    user: Option<UserHashes>,
    is_look: bool,
) -> Result<(), HeldBack> {
    let holds = context.holds.as_ref().zip(user);
    if let Some(hold) = holds.and_then(|(holds, user)| holds.hold(&user)) {
        return Err(HeldBack::Held(hold));
    }
    context.job.client().ready().await;
    if J::MARKS && !is_look {
        reserve(context, row).await?;
        if let Some(in_flight) = &context.in_flight {
            let current = in_flight.wait_until_current().await;
            current.map_err(|error| HeldBack::Halting(Halt::Mark(error)))?;
        }
    }
    refresh_holds(context.holds.as_deref()).await
}

/// Reserves the row's mark, unless that is done.
async fn reserve<J: Job>(
    context: &Arc<Context<J>>,
    row: &mut RowInWork<'_, J::Found>,
) -> Result<(), HeldBack> {
    if let (Some(in_flight), None) = (&context.in_flight, row.mark) {
        let mark = Mark {
            slot: row.slot,
            key: row.open.key,
            recorded: context.recorded.load(Ordering::Acquire),
            is_sent: false,
        };
        in_flight
            .reserve(mark.slot, mark.key, mark.recorded)
            .await
            .map_err(|error| HeldBack::Halting(Halt::Mark(error)))?;
        row.mark = Some(mark);
    }
    Ok(())
}

/// Refreshes, after admission, the credentials and hold lists that were prepared before it.
async fn refresh<J: Job>(context: &Context<J>, permit: &Permit) -> Result<(), HeldBack> {
    if permit.is_credentials_trial() {
        context.job.client().renew().await;
    }
    if !context.job.client().is_ready() {
        context.job.client().ready().await;
    }
    refresh_holds(context.holds.as_deref()).await
}

async fn refresh_holds(holds: Option<&Holds>) -> Result<(), HeldBack> {
    match holds {
        Some(holds) => holds
            .wait_until_fresh()
            .await
            .map_err(|error| HeldBack::Halting(Halt::Hold(error))),
        None => Ok(()),
    }
}

/// Waits for a row's turn or its admission. While the Region is blocked and other Regions reply, the row gives up its place in the
/// queue. If no Region replies it keeps it: each further row in the queue would be one more to call, and one more in doubt.
async fn in_queue<T>(
    admission: &Admission,
    queue: &Queue,
    region: &str,
    queue_permit: &mut Option<OwnedSemaphorePermit>,
    future: impl Future<Output = T>,
) -> T {
    tokio::pin!(future);
    tokio::select! {
        biased;
        done = &mut future => return done,
        () = queue.blocked() => {}
    }
    if admission.others_answer(region) {
        drop(queue_permit.take());
    }
    future.await
}

/// Makes the call that `check` releases, and returns what follows.
async fn call<J: Job>(
    context: &Arc<Context<J>>,
    row: &mut RowInWork<'_, J::Found>,
    operation: Operation,
    stop: &mut watch::Receiver<Stop>,
    mut permit: Permit,
    check: Arc<Check<J>>,
) -> AfterAttempt {
    let region = row.open.row.link.region();
    let queue = context.admission.queue(region, operation);
    let is_look = operation != J::OPERATION;
    let before = *row.log.history(is_look);
    row.log.history(is_look).start(queue.clock());
    let begun = (Instant::now(), SystemTime::now());

    let reply = reply_unless_stopped(context, row, operation, stop, &check).await;
    if let Some(mark) = row.mark.as_mut().filter(|_| !is_look) {
        mark.is_sent = check.is_marked();
    }
    let sent = match check.sending() {
        Sending::HeldBack(token, why) => {
            *row.log.history(is_look) = before;
            permit.cancel(token);
            return row.log.when_held_back(why);
        }
        Sending::NotSent => None,
        Sending::Sent(sent) => {
            if !is_look && row.log.started_at.is_none() {
                let called_rows = &context.counters.called_rows;
                called_rows.fetch_add(1, Ordering::Relaxed);
            }
            Some(sent)
        }
    };
    if !is_look && !J::KEEPS_TURN {
        row.turn = None;
    }
    let Some(reply) = reply else {
        if is_look {
            return row.log.stopped(None);
        }
        row.log.details = ReplyDetails {
            code: Some("Aborted".to_owned()),
            message: Some(
                "the run was told to stop at once while the call was in flight".to_owned(),
            ),
            ..ReplyDetails::default()
        };
        return AfterAttempt::Over(Some(End::Aborted), None);
    };
    let (started, time) = sent.map_or(begun, |SentAt { at, time }| (at, time));
    permit.sent_at(started);
    let verdict = verdict(&context.job, operation, &reply, sent.is_some());
    let now = Instant::now();
    // The age of a signature counts from the request, not from its first byte.
    let (counters, is_sent) = (&context.counters, sent.is_some());
    let evidence = counters.count(verdict, is_sent, begun.0, now);
    counters.count_throttled(verdict, is_look);
    let waits = context.policy.waits_for_credentials(verdict, evidence);
    let feedback = feedback(verdict, row.open.key, waits, is_sent);
    row.log.permit = Some(permit.answered(feedback));
    counters.note_fault(region, verdict, &reply.details);
    let replied = Replied {
        operation,
        is_look,
        details: reply.details,
        latency: now - started,
    };
    if is_look {
        row.log.look_reply = replied.details.clone();
    } else {
        row.log.started_at.get_or_insert(time);
        row.log.latency = Some(replied.latency);
        row.log.note_reply(replied.details.clone());
    }
    decide(context, row, &queue, &replied, verdict, evidence)
}

/// Waits for the reply; returns `None` if an order to stop holds the call back before its first byte, or aborts it.
async fn reply_unless_stopped<J: Job>(
    context: &Arc<Context<J>>,
    row: &mut RowInWork<'_, J::Found>,
    operation: Operation,
    stop: &mut watch::Receiver<Stop>,
    check: &Arc<Check<J>>,
) -> Option<Reply> {
    let last_check: Arc<dyn LastCheck> = check.clone();
    let (open, found) = (&row.open.row, &mut row.found);
    let call = context.job.call(operation, open, found, last_check);
    tokio::pin!(call);
    tokio::select! {
        biased;
        reply = &mut call => return Some(reply),
        () = stop_ordered(stop, check.stops_at()) => {}
    }
    if check.hold_back() {
        return None;
    }
    tokio::select! {
        biased;
        reply = &mut call => Some(reply),
        () = stop_ordered(stop, Stop::Abort) => None,
    }
}

/// Returns the verdict on a reply, given whether the whole request has left.
fn verdict<J: Job>(job: &J, operation: Operation, reply: &Reply, is_sent: bool) -> Verdict {
    let verdict = match job.judge(operation, reply) {
        verdict @ (Verdict::Refused | Verdict::Fatal(_)) => verdict,
        // A reply to an incomplete request says nothing about the row.
        _ if !is_sent => Verdict::NotSent,
        verdict => verdict,
    };
    match verdict {
        Verdict::NotSent | Verdict::Fatal(Cause::NoCredentials)
            if os_limits::lacks_files(reply.details.message.as_deref()) =>
        {
            Verdict::Fatal(Cause::NoFiles)
        }
        verdict => verdict,
    }
}

/// Decides what follows an attempt with this verdict.
fn decide<J: Job>(
    context: &Context<J>,
    row: &mut RowInWork<'_, J::Found>,
    queue: &Queue,
    replied: &Replied,
    verdict: Verdict,
    evidence: RunEvidence,
) -> AfterAttempt {
    let open = row.open;
    let log = &mut row.log;
    let is_look = replied.is_look;
    let evidence = RunEvidence {
        silent_for: queue.unanswered_for(),
        ..evidence
    };
    let details = &replied.details;
    let retry_after = details.retry_after;
    let (policy, clock) = (&context.policy, queue.clock());
    let step = log.history(is_look).step(
        verdict,
        retry_after,
        evidence,
        policy,
        clock,
        context.random(),
    );
    tracing::debug!(
        row = %open.row.position, operation = replied.operation.as_str(),
        attempt = log.history(is_look).attempts(), class = ?verdict,
        code = details.shown().code, status = details.http_status,
        request_id = details.shown().request_id,
        latency_ms = millis(replied.latency), "called"
    );
    let needs_another_call = || is_look || context.job.needs_another_call(&open.row, &row.found);
    match step {
        Step::Settle {
            end: End::Succeeded,
            ..
        } if needs_another_call() => log.begin_another_call(is_look, J::MARKS),
        Step::Settle { .. } if is_look => log.when_failed(replied.operation, is_look),
        Step::Settle { end, .. } => AfterAttempt::Over(Some(end), None),
        Step::Halt(cause) => {
            // A proxy's page may hide a call that took effect.
            log.is_doubtful = verdict == Verdict::Foreign && !is_look;
            let reply = HaltingReply {
                cause,
                operation: replied.operation,
                position: open.row.position.clone(),
                identity_pool_id: open.row.link.identity_pool_id.clone(),
                details: details.shown(),
            };
            log.stopped(Some(Halt::Reply(Box::new(reply))))
        }
        Step::Retry(delay) => row.again(replied, J::KEEPS_TURN, delay),
        Step::RegionWaits {
            retry_after,
            backoff,
        } => {
            queue.set_retry_after(retry_after);
            row.again(replied, J::KEEPS_TURN, backoff)
        }
    }
}

/// Waits until the run is ordered to stop at least at this `level`.
async fn stop_ordered(stop: &mut watch::Receiver<Stop>, level: Stop) {
    if stop.wait_for(|stop| *stop >= level).await.is_err() {
        // The sender is gone: the run is ending, and this task with it.
        std::future::pending::<()>().await;
    }
}

/// Returns the feedback of a verdict to admission. `waits`: all calls wait for new credentials.
fn feedback(verdict: Verdict, key: RowKey, waits: bool, is_sent: bool) -> Feedback {
    match verdict {
        // No request could be built, which says nothing about the Region.
        Verdict::Refused if !is_sent => Feedback::Inconclusive,
        _ if waits => Feedback::CredentialsRejected,
        Verdict::Throttled => Feedback::Throttled,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "half of a hash is a hash too"
        )]
        Verdict::Lost => Feedback::Unanswered(key.0 as u64),
        Verdict::NotSent => Feedback::NotSent,
        Verdict::Foreign
        | Verdict::Fatal(Cause::NoCredentials | Cause::OtherAccount | Cause::NoFiles) => {
            Feedback::Inconclusive
        }
        _ => Feedback::Accepted,
    }
}

/// The end of a wait before a call.
enum Waited<T> {
    Done(T),
    /// The run starts no more calls.
    Stopped,
    /// The row's life is over.
    TooLong,
}

/// Waits for `future`, unless the run is ordered to stop at least at this `level`, or the row's life ends.
async fn unless_stopped<T>(
    queue: &Queue,
    stop: &mut watch::Receiver<Stop>,
    level: Stop,
    ends_at: Option<Instant>,
    future: impl Future<Output = T>,
) -> Waited<T> {
    let waited = tokio::select! {
        biased;
        done = future => Waited::Done(done),
        () = stop_ordered(stop, level) => Waited::Stopped,
        () = life_ends(queue, ends_at) => Waited::TooLong,
    };
    // Both may happen at once; then no call starts.
    if *stop.borrow() >= level {
        return Waited::Stopped;
    }
    waited
}

/// Waits until the row's life is over, if it has begun.
async fn life_ends(queue: &Queue, at: Option<Instant>) {
    match at {
        Some(time) => queue.reaches(time).await,
        None => std::future::pending().await,
    }
}

/// Returns milliseconds with three decimals, for logs.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
