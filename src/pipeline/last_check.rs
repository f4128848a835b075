//! The last check of an attempt: after everything that may wait, right before the first byte.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::context::Context;
use super::halt::Halt;
use super::job::Job;
use crate::admission::Queue;
use crate::call::{LastCheck, Release};
use crate::guard::hold::{Hold, UserHashes};
use crate::row::RowKey;
use crate::signal::Stop;

/// After a write to the side file that took longer than this, the checks before it are too old for the bytes to leave. Doubled, a
/// user who was just put on a hold list could be called 0.1 s later.
const CHECKS_VALID_FOR: Duration = Duration::from_millis(50);

/// A row's mark in the side file, which this check turns from *reserved* to *sent*.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) slot: usize,
    pub(crate) key: RowKey,
    /// Bytes of results when it was reserved.
    pub(crate) recorded: u64,
    /// The mark already says *sent*. That includes attempts held back by a slow disk: it errs on the side of doubt, and the next
    /// attempt need not write.
    pub(crate) is_sent: bool,
}

/// What an attempt sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sends {
    /// A look, and not the job's own call.
    pub(crate) is_look: bool,
    /// The row's mark. A look needs none.
    pub(crate) mark: Option<Mark>,
    /// The time until which the looks before the call count.
    pub(crate) count_until: Option<Instant>,
}

/// Checks one attempt.
pub(crate) struct Check<J> {
    context: Arc<Context<J>>,
    queue: Arc<Queue>,
    user: Option<UserHashes>,
    /// The order to stop that the row obeys.
    stops_at: Stop,
    sends: Sends,
    state: Mutex<SendState>,
    /// The attempt waits for a token, ahead of attempts that are not admitted yet.
    is_waiting: AtomicBool,
    /// The mark says *sent*.
    is_marked: AtomicBool,
}

/// The state of sending the attempt.
#[derive(Debug)]
enum SendState {
    /// No byte has left. The token was issued at this time.
    Waiting(Instant),
    /// No byte will leave: the time of the token, and the reason.
    HeldBack(Instant, Option<HeldBack>),
    /// The bytes have left, and the attempt may have taken effect.
    Sent(SentAt),
}

/// The reason for which an attempt ends before a byte has left.
#[derive(Debug)]
pub(crate) enum HeldBack {
    /// The run starts no more calls.
    Stopped,
    /// The user is on the hold list, exactly or nearly.
    Held(Hold),
    /// No other call may start either.
    Halting(Halt),
    /// The checks have become too old: the attempt starts over.
    TooLate,
}

/// Time at which the bytes left.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SentAt {
    pub(crate) at: Instant,
    pub(crate) time: SystemTime,
}

/// The result of sending an attempt.
pub(crate) enum Sending {
    /// No byte has left, so no reply can be the service's.
    NotSent,
    /// The attempt was held back; its token was issued at this time.
    HeldBack(Instant, HeldBack),
    /// The bytes have left, and the attempt may have taken effect.
    Sent(SentAt),
}

impl<J: Job> Check<J> {
    pub(crate) fn new(
        context: &Arc<Context<J>>,
        queue: &Arc<Queue>,
        token: Instant,
        user: Option<UserHashes>,
        stops_at: Stop,
        sends: Sends,
    ) -> Self {
        Self {
            context: Arc::clone(context),
            queue: Arc::clone(queue),
            user,
            stops_at,
            sends,
            state: Mutex::new(SendState::Waiting(token)),
            is_waiting: AtomicBool::new(false),
            is_marked: AtomicBool::new(sends.mark.is_some_and(|mark| mark.is_sent)),
        }
    }

    /// Returns the order to stop that the row obeys.
    pub(crate) fn stops_at(&self) -> Stop {
        self.stops_at
    }

    fn state(&self) -> MutexGuard<'_, SendState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Holds the attempt back, unless its bytes have left. Returns whether it is held back.
    pub(crate) fn hold_back(&self) -> bool {
        let mut state = self.state();
        if let SendState::Waiting(token) = *state {
            *state = SendState::HeldBack(token, Some(HeldBack::Stopped));
        }
        matches!(*state, SendState::HeldBack(..))
    }

    /// Returns how the attempt ended, and lets no byte leave from here on.
    pub(crate) fn sending(&self) -> Sending {
        match &mut *self.state() {
            state @ &mut SendState::Waiting(token) => {
                *state = SendState::HeldBack(token, None);
                Sending::NotSent
            }
            SendState::HeldBack(token, why) => match why.take() {
                Some(why) => Sending::HeldBack(*token, why),
                None => Sending::NotSent,
            },
            SendState::Sent(sent) => Sending::Sent(*sent),
        }
    }

    /// Returns whether the mark says *sent*.
    pub(crate) fn is_marked(&self) -> bool {
        self.is_marked.load(Ordering::Relaxed)
    }

    /// Decides whether the bytes may leave. The order matters: no check may make an earlier one too old.
    ///
    /// 1. the order to stop, which costs nothing;
    /// 2. the token of the rate, the only check that may need a wait;
    /// 3. the age of what the looks have shown: if it is too old, the attempt starts over with another look;
    /// 4. the hold lists, so that a user who is on one by now is not called;
    /// 5. the mark, so that a run killed from here on leaves the row in doubt instead of a false record. The mark is written but
    ///    not synced; if even that takes long, the attempt starts over.
    fn may_leave(&self, token: &mut Instant) -> Result<SentAt, NotNow> {
        let context = &self.context;
        if *context.stop.borrow() >= self.stops_at {
            return Err(HeldBack::Stopped.into());
        }
        *token = self.queue.renew_token(*token).map_err(NotNow::Until)?;
        let count_until = self.sends.count_until;
        if count_until.is_some_and(|until| Instant::now() > until) {
            return Err(HeldBack::TooLate.into());
        }
        if let Some((holds, user)) = context.holds.as_ref().zip(self.user) {
            match holds.check(&user) {
                Some(Ok(None)) => {}
                Some(Ok(Some(hold))) => return Err(HeldBack::Held(hold).into()),
                Some(Err(error)) => return Err(HeldBack::Halting(Halt::Hold(error)).into()),
                // The lists are being read.
                None => return Err(NotNow::Until(Instant::now() + CHECKS_VALID_FOR)),
            }
        }
        let checked = Instant::now();
        if let Some((in_flight, mark)) = context.in_flight.as_ref().zip(self.sends.mark) {
            self.is_marked.store(true, Ordering::Relaxed);
            let may_send = in_flight.mark_sent(mark.slot, mark.key, mark.recorded, mark.is_sent);
            if !may_send.map_err(|error| HeldBack::Halting(Halt::Mark(error)))? {
                return Err(HeldBack::TooLate.into());
            }
        }
        let at = Instant::now();
        if at - checked > CHECKS_VALID_FOR {
            return Err(HeldBack::TooLate.into());
        }
        let time = SystemTime::now();
        Ok(SentAt { at, time })
    }
}

/// The reason for which the bytes do not leave now.
enum NotNow {
    Until(Instant),
    HeldBack(HeldBack),
}

impl From<HeldBack> for NotNow {
    fn from(why: HeldBack) -> Self {
        Self::HeldBack(why)
    }
}

impl<J: Job> LastCheck for Check<J> {
    fn check(&self) -> Release {
        let mut state = self.state();
        let SendState::Waiting(mut token) = *state else {
            // A request is sent once.
            return Release::Never;
        };
        let may_leave = self.may_leave(&mut token);
        *state = SendState::Waiting(token);
        match may_leave {
            Ok(sent) => {
                let counters = &self.context.counters;
                let count = if self.sends.is_look {
                    &counters.looks
                } else {
                    &counters.calls
                };
                count.fetch_add(1, Ordering::Relaxed);
                *state = SendState::Sent(sent);
                Release::Now
            }
            Err(NotNow::Until(time)) => {
                if !self.is_waiting.swap(true, Ordering::Relaxed) {
                    self.queue.begin_token_wait();
                }
                Release::NotBefore(time)
            }
            Err(NotNow::HeldBack(why)) => {
                *state = SendState::HeldBack(token, Some(why));
                Release::Never
            }
        }
    }
}

impl<J> Drop for Check<J> {
    fn drop(&mut self) {
        if *self.is_waiting.get_mut() {
            self.queue.end_token_wait();
        }
    }
}
