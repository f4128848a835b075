//! The service: the emulator's pure parts behind the trait of the calls, on paused time.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cognito_unlink::testing::call::{Client, LastCheck, Unlink, released};
use cognito_unlink::testing::emulator::{
    self, FaultKind, Model, ProductionCounts, Quota, Undocumented,
};
use cognito_unlink::testing::row::Link;
use cognito_unlink::testing::verdict::Reply;
use tokio::time::{Instant, sleep, timeout};

use crate::reply::{CallResult, SimulatedReply};
use crate::scenario::{Change, Fault, Service, Time};

/// The service, as one of the runs calls it.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedService {
    inner: Arc<Inner>,
    /// Number of the run.
    run: usize,
}

#[derive(Debug)]
struct Inner {
    began: Instant,
    /// Time-out of a call.
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: Service,
    /// Scripted changes that were made.
    changed: usize,
    unreachable: bool,
    model: Model,
    quota: Option<Quota>,
    seed: u64,
    /// Time in the quota's clock at the start. A run seldom starts with a second.
    phase: Duration,
    /// Counts of production's calls up to each second since the start.
    production: Vec<ProductionCounts>,
    chance: fastrand::Rng,
    /// One for each run.
    runs: Vec<RunState>,
}

#[derive(Debug, Default)]
struct RunState {
    observed: Observed,
    in_flight: usize,
    in_flight_of: HashMap<String, usize>,
}

/// The calls of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Observed {
    /// Calls in the order of their start.
    pub(crate) calls: Vec<Call>,
    pub(crate) most_in_flight: usize,
    pub(crate) most_in_flight_of_one_identity: usize,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) user: String,
    pub(crate) region: String,
    pub(crate) started: Duration,
    pub(crate) ended: Option<Duration>,
    /// Retry-After of the reply.
    pub(crate) retry_after: Option<Duration>,
    /// True if the call removed the link.
    pub(crate) effect: bool,
    pub(crate) result: CallResult,
}

/// The treatment of a call, decided when it arrives.
#[derive(Debug, Clone, Copy)]
enum Treatment {
    Taken,
    Fault(FaultKind),
    OverQuota,
    Unreachable,
}

impl SimulatedService {
    /// Creates a service for several runs, and returns it as each of them calls it.
    pub(crate) fn new(settings: Service, timeout: Duration, seed: u64, runs: usize) -> Vec<Self> {
        let quota = settings
            .quota
            .map(|rate| Quota::new(settings.quota_settings(rate), seed));
        let phase = Duration::from_secs_f64(fastrand::Rng::with_seed(!seed).f64());
        let undocumented = Undocumented {
            when_not_linked: settings.when_not_linked.0,
            ..Undocumented::default()
        };
        let inner = Arc::new(Inner {
            began: Instant::now(),
            timeout,
            state: Mutex::new(State {
                settings,
                changed: 0,
                unreachable: false,
                model: Model::new(None, None, undocumented),
                quota,
                seed,
                phase,
                production: Vec::new(),
                chance: fastrand::Rng::with_seed(seed),
                runs: std::iter::repeat_with(RunState::default)
                    .take(runs)
                    .collect(),
            }),
        });
        let as_run = |run| Self {
            inner: Arc::clone(&inner),
            run,
        };
        (0..runs).map(as_run).collect()
    }

    /// Unlinks a share of the rows before the run. Returns those that are still linked, in order.
    pub(crate) fn unlink_some<'a>(&self, links: impl Iterator<Item = &'a Link>) -> Vec<bool> {
        let mut state = self.state();
        let is_left = |link| {
            let is_left = state.chance.f64() >= state.settings.not_linked_share;
            if !is_left {
                let removed = state.model.unlink(&emulated(link));
                assert_eq!(removed, Ok(true), "every link is there at first");
            }
            is_left
        };
        links.map(is_left).collect()
    }

    pub(crate) fn is_linked(&self, link: &Link) -> bool {
        self.state().model.is_linked(&emulated(link))
    }

    /// Returns the counts of production's calls up to each second since the start.
    pub(crate) fn production(&self) -> Vec<ProductionCounts> {
        let mut state = self.state();
        state.count_production(self.inner.began.elapsed());
        state.production.clone()
    }

    pub(crate) fn observed(&self) -> Observed {
        self.state().runs[self.run].observed.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call that is sent, and draws its latency.
    fn send(&self, link: &Link) -> (ServedCall<'_>, Duration) {
        let mut state = self.state();
        let latency = state.latency();
        let RunState {
            observed,
            in_flight,
            in_flight_of,
        } = &mut state.runs[self.run];
        let nth = observed.calls.len();
        observed.calls.push(Call {
            user: link.developer_user_identifier.clone(),
            region: link.region().to_owned(),
            started: self.inner.began.elapsed(),
            ended: None,
            retry_after: None,
            effect: false,
            result: CallResult::Cancelled,
        });
        *in_flight += 1;
        let of_it = in_flight_of.entry(link.identity_id.clone()).or_default();
        *of_it += 1;
        observed.most_in_flight = observed.most_in_flight.max(*in_flight);
        observed.most_in_flight_of_one_identity =
            observed.most_in_flight_of_one_identity.max(*of_it);
        let served = ServedCall {
            service: self,
            nth,
            identity: link.identity_id.clone(),
        };
        (served, latency)
    }

    /// Decides the treatment of a call that arrives now.
    fn arrive(&self, link: &Link) -> Treatment {
        let now = self.inner.began.elapsed();
        let mut state = self.state();
        state.change(now);
        state.count_production(now);
        state.treatment(link.region(), now)
    }

    /// Serves a call. Half of its latency passes on the way to the service: calls that are sent at even intervals arrive at uneven
    /// ones, and one that is cancelled on the way is never decided.
    async fn serve(&self, served: &ServedCall<'_>, latency: Duration, link: &Link) -> Reply {
        let way = latency / 2;
        sleep(way).await;
        let kind = match self.arrive(link) {
            Treatment::Taken => {
                let removed = served.unlink(link);
                sleep(way).await;
                return served.reply(removed);
            }
            Treatment::OverQuota => FaultKind::Throttle,
            Treatment::Unreachable => {
                sleep(way).await;
                return served.reply(SimulatedReply::not_sent());
            }
            Treatment::Fault(kind) => kind,
        };
        let takes_effect = match kind {
            FaultKind::Html500 => self.state().html_takes_effect(),
            FaultKind::ResetAfter | FaultKind::Truncate | FaultKind::HangAfter => true,
            _ => false,
        };
        if takes_effect {
            served.unlink(link);
        }
        sleep(way).await;
        if matches!(kind, FaultKind::Hang | FaultKind::HangAfter) {
            pending::<()>().await;
        }
        let mut reply = reply_of(kind);
        if kind == FaultKind::Throttle {
            let retry_after = self.state().settings.retry_after;
            reply.answer.details.retry_after = retry_after.map(|Time(time)| time);
        }
        served.reply(reply)
    }
}

/// Returns the reply to a call with this fault.
fn reply_of(fault: FaultKind) -> SimulatedReply {
    let refused = |code, message| SimulatedReply::error(CallResult::Refused, code, 400, message);
    match fault {
        FaultKind::Throttle => SimulatedReply::error(
            CallResult::Throttled,
            "TooManyRequestsException",
            400,
            "Rate exceeded",
        ),
        FaultKind::InternalError => SimulatedReply::error(
            CallResult::InternalError,
            "InternalErrorException",
            500,
            "An error",
        ),
        FaultKind::ExpiredToken => refused("ExpiredTokenException", "It is expired"),
        FaultKind::AccessDenied => refused("AccessDeniedException", "Not allowed"),
        FaultKind::BadSignature => refused("InvalidSignatureException", "It is off"),
        FaultKind::Html500 => SimulatedReply::html(),
        FaultKind::ResetBefore
        | FaultKind::ResetAfter
        | FaultKind::Truncate
        | FaultKind::Hang
        | FaultKind::HangAfter => SimulatedReply::no_reply(),
    }
}

impl Client for SimulatedService {}

impl Unlink for SimulatedService {
    async fn unlink(&self, link: &Link, last: Arc<dyn LastCheck>) -> Reply {
        if !released(&*last).await {
            return SimulatedReply::not_sent().answer;
        }
        let (served, latency) = self.send(link);
        let answer = timeout(self.inner.timeout, self.serve(&served, latency, link));
        answer
            .await
            .unwrap_or_else(|_| served.reply(SimulatedReply::no_reply()))
    }
}

impl State {
    /// Makes the scripted changes that are due.
    fn change(&mut self, now: Duration) {
        let due = |change: &&Change| change.at.0 <= now;
        while let Some(change) = self.settings.change.get(self.changed).filter(due) {
            if let Some(rate) = change.quota {
                self.quota = Some(Quota::new(self.settings.quota_settings(rate), self.seed));
            }
            if let Some(faults) = &change.faults {
                self.settings.faults.clone_from(faults);
            }
            self.unreachable = change.unreachable.unwrap_or(self.unreachable);
            self.changed += 1;
        }
    }

    /// Notes the counts of production's calls for each second up to `now`.
    fn count_production(&mut self, now: Duration) {
        let Some(quota) = &mut self.quota else {
            return;
        };
        for second in self.production.len() as u64..=now.as_secs() {
            quota.advance(self.phase + Duration::from_secs(second));
            self.production.push(quota.production());
        }
    }

    fn treatment(&mut self, region: &str, now: Duration) -> Treatment {
        if self.unreachable
            || self
                .settings
                .unreachable_regions
                .iter()
                .any(|lost| lost == region)
        {
            return Treatment::Unreachable;
        }
        let operation = "UnlinkDeveloperIdentity";
        let quota = self.quota.as_mut();
        if quota.is_some_and(|quota| !quota.take(region, operation, self.phase + now)) {
            return Treatment::OverQuota;
        }
        // One random number for all kinds, so that their shares add up.
        let mut throw = self.chance.f64();
        for Fault(fault) in &self.settings.faults {
            if throw < fault.share {
                return Treatment::Fault(fault.kind);
            }
            throw -= fault.share;
        }
        Treatment::Taken
    }

    fn html_takes_effect(&mut self) -> bool {
        self.chance.f64() < self.settings.html_after_effect
    }

    fn latency(&mut self) -> Duration {
        let jitter = self.settings.jitter.0.mul_f64(self.chance.f64());
        let usual = self.settings.latency.0 + jitter;
        match &self.settings.spikes {
            Some(spikes) if self.chance.f64() < spikes.share => spikes.latency.0,
            _ => usual,
        }
    }
}

/// A call in flight. Dropping it ends the call.
#[derive(Debug)]
struct ServedCall<'a> {
    service: &'a SimulatedService,
    nth: usize,
    identity: String,
}

impl ServedCall<'_> {
    fn unlink(&self, link: &Link) -> SimulatedReply {
        let mut state = self.service.state();
        match state.model.unlink(&emulated(link)) {
            Ok(removed) => {
                state.runs[self.service.run].observed.calls[self.nth].effect = removed;
                SimulatedReply::success()
            }
            Err(error) => {
                let result = match error.code {
                    "ResourceNotFoundException" => CallResult::NotLinked,
                    _ => CallResult::Refused,
                };
                SimulatedReply::error(result, error.code, 400, &error.message)
            }
        }
    }

    fn reply(&self, reply: SimulatedReply) -> Reply {
        let mut state = self.service.state();
        let call = &mut state.runs[self.service.run].observed.calls[self.nth];
        call.result = reply.result;
        call.retry_after = reply.answer.details.retry_after;
        reply.answer
    }
}

impl Drop for ServedCall<'_> {
    fn drop(&mut self) {
        let now = self.service.inner.began.elapsed();
        let mut state = self.service.state();
        let runs = &mut state.runs[self.service.run];
        runs.in_flight -= 1;
        let of_it = runs.in_flight_of.get_mut(&self.identity);
        *of_it.expect("it was counted when it arrived") -= 1;
        runs.observed.calls[self.nth].ended = Some(now);
    }
}

fn emulated(link: &Link) -> emulator::Link {
    emulator::Link {
        identity_id: link.identity_id.clone(),
        identity_pool_id: link.identity_pool_id.clone(),
        developer_provider_name: link.developer_provider_name.clone(),
        developer_user_identifier: link.developer_user_identifier.clone(),
    }
}
