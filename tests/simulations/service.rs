//! The service: the emulator's pure parts behind the trait that the run calls through, on paused time.

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cognito_unlink::call::{LastCheck, Unlink, released};
use cognito_unlink::emulator::{self, FaultKind, Model, Quota, Undocumented};
use cognito_unlink::row::Link;
use cognito_unlink::verdict::Answer;
use tokio::time::{Instant, sleep, timeout};

use crate::reply::{Reply, Told};
use crate::scenario::{Change, Fault, Service, Time};

/// A service, as one of the runs sees it that it answers.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedService {
    inner: Arc<Inner>,
    /// Its number.
    run: usize,
}

#[derive(Debug)]
struct Inner {
    began: Instant,
    /// Bounds one attempt.
    timeout: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    settings: Service,
    /// Changes that have come already.
    changed: usize,
    unreachable: bool,
    model: Model,
    quota: Option<Quota>,
    chance: fastrand::Rng,
    /// Of each run.
    caller: Vec<Caller>,
}

#[derive(Debug, Default)]
struct Caller {
    seen: Seen,
    in_flight: usize,
    in_flight_of: HashMap<String, usize>,
}

/// What the service has seen of a run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// In the order of their start.
    pub(crate) calls: Vec<Call>,
    pub(crate) most_in_flight: usize,
    pub(crate) most_in_flight_of_one_identity: usize,
}

/// One attempt, as the service saw it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) user: String,
    pub(crate) region: String,
    pub(crate) started: Duration,
    pub(crate) ended: Option<Duration>,
    /// How long the caller was asked to wait.
    pub(crate) asked: Option<Duration>,
    /// Whether it removed the link.
    pub(crate) effect: bool,
    pub(crate) told: Told,
}

/// What becomes of a call when it arrives.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Taken,
    Fault(FaultKind),
    OverQuota,
    Unreachable,
}

impl SimulatedService {
    /// Answers as many runs as are asked for.
    pub(crate) fn new(settings: Service, timeout: Duration, seed: u64, runs: usize) -> Vec<Self> {
        let quota = settings.quota.map(|rate| Quota::new(rate, settings.burst));
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
                chance: fastrand::Rng::with_seed(seed),
                caller: std::iter::repeat_with(Caller::default).take(runs).collect(),
            }),
        });
        let seen_by = |run| Self {
            inner: Arc::clone(&inner),
            run,
        };
        (0..runs).map(seen_by).collect()
    }

    /// Unlinks a share of the rows beforehand.
    pub(crate) fn forget_some<'a>(&self, links: impl Iterator<Item = &'a Link>) {
        let mut state = self.state();
        for link in links {
            if state.chance.f64() < state.settings.already_gone {
                let removed = state.model.unlink(&emulated(link));
                assert_eq!(removed, Ok(true), "every link is there at first");
            }
        }
    }

    pub(crate) fn is_linked(&self, link: &Link) -> bool {
        self.state().model.is_linked(&emulated(link))
    }

    pub(crate) fn seen(&self) -> Seen {
        self.state().caller[self.run].seen.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn arrive(&self, link: &Link) -> (Visit<'_>, Fate, Duration) {
        let now = self.inner.began.elapsed();
        let mut state = self.state();
        state.change(now);
        let fate = state.fate(link.region(), now);
        let latency = state.latency();
        let Caller {
            seen,
            in_flight,
            in_flight_of,
        } = &mut state.caller[self.run];
        let nth = seen.calls.len();
        seen.calls.push(Call {
            user: link.developer_user_identifier.clone(),
            region: link.region().to_owned(),
            started: now,
            ended: None,
            asked: None,
            effect: false,
            told: Told::HungUp,
        });
        *in_flight += 1;
        let of_it = in_flight_of.entry(link.identity_id.clone()).or_default();
        *of_it += 1;
        seen.most_in_flight = seen.most_in_flight.max(*in_flight);
        seen.most_in_flight_of_one_identity = seen.most_in_flight_of_one_identity.max(*of_it);
        let visit = Visit {
            service: self,
            nth,
            identity: link.identity_id.clone(),
        };
        (visit, fate, latency)
    }

    async fn serve(&self, visit: &Visit<'_>, fate: Fate, latency: Duration, link: &Link) -> Answer {
        let kind = match fate {
            Fate::Taken => {
                // It takes effect half way: whoever hangs up before has stopped it, whoever does later has not.
                sleep(latency / 2).await;
                let removed = visit.unlink(link);
                sleep(latency / 2).await;
                return visit.tell(removed);
            }
            Fate::OverQuota => FaultKind::Throttle,
            Fate::Unreachable => {
                sleep(latency).await;
                return visit.tell(Reply::not_sent());
            }
            Fate::Fault(kind) => kind,
        };
        sleep(latency).await;
        let reply = match kind {
            FaultKind::Throttle => {
                let mut reply = Reply::error(
                    Told::Throttled,
                    "TooManyRequestsException",
                    400,
                    "Rate exceeded",
                );
                let asked = self.state().settings.retry_after;
                reply.answer.facts.retry_after = asked.map(|Time(asked)| asked);
                reply
            }
            FaultKind::InternalError => Reply::error(
                Told::InternalError,
                "InternalErrorException",
                500,
                "An error",
            ),
            FaultKind::ExpiredToken => {
                Reply::error(Told::Refused, "ExpiredTokenException", 400, "It is expired")
            }
            FaultKind::AccessDenied => {
                Reply::error(Told::Refused, "AccessDeniedException", 400, "Not allowed")
            }
            FaultKind::BadSignature => {
                Reply::error(Told::Refused, "InvalidSignatureException", 400, "It is off")
            }
            FaultKind::Html500 => {
                if self.state().page_takes_effect() {
                    visit.unlink(link);
                }
                Reply::page()
            }
            FaultKind::ResetBefore => Reply::nothing(),
            FaultKind::ResetAfter | FaultKind::Truncate => {
                visit.unlink(link);
                Reply::nothing()
            }
            FaultKind::Hang => pending().await,
            FaultKind::HangAfter => {
                visit.unlink(link);
                pending().await
            }
        };
        visit.tell(reply)
    }
}

impl Unlink for SimulatedService {
    async fn unlink(&self, link: &Link, last: Arc<dyn LastCheck>) -> Answer {
        if !released(&*last).await {
            return Reply::not_sent().answer;
        }
        let (visit, fate, latency) = self.arrive(link);
        let served = timeout(self.inner.timeout, self.serve(&visit, fate, latency, link));
        served
            .await
            .unwrap_or_else(|_| visit.tell(Reply::nothing()))
    }
}

impl State {
    /// Brings the scripted changes up to `now`.
    fn change(&mut self, now: Duration) {
        let due = |change: &&Change| change.at.0 <= now;
        while let Some(change) = self.settings.change.get(self.changed).filter(due) {
            if let Some(rate) = change.quota {
                self.quota = Some(Quota::new(rate, self.settings.burst));
            }
            if let Some(faults) = &change.faults {
                self.settings.faults.clone_from(faults);
            }
            self.unreachable = change.unreachable.unwrap_or(self.unreachable);
            self.changed += 1;
        }
    }

    fn fate(&mut self, region: &str, now: Duration) -> Fate {
        if self.unreachable || self.settings.lost_regions.iter().any(|lost| lost == region) {
            return Fate::Unreachable;
        }
        let operation = "UnlinkDeveloperIdentity";
        let quota = self.quota.as_mut();
        if quota.is_some_and(|quota| !quota.take(region, operation, now)) {
            return Fate::OverQuota;
        }
        // One throw for all kinds, so that the shares add up.
        let mut throw = self.chance.f64();
        for Fault(fault) in &self.settings.faults {
            if throw < fault.share {
                return Fate::Fault(fault.kind);
            }
            throw -= fault.share;
        }
        Fate::Taken
    }

    fn page_takes_effect(&mut self) -> bool {
        self.chance.f64() < self.settings.pages_after_effect
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

/// A call in flight. Dropping it ends it, whatever the caller was told.
#[derive(Debug)]
struct Visit<'a> {
    service: &'a SimulatedService,
    nth: usize,
    identity: String,
}

impl Visit<'_> {
    fn unlink(&self, link: &Link) -> Reply {
        let mut state = self.service.state();
        match state.model.unlink(&emulated(link)) {
            Ok(removed) => {
                state.caller[self.service.run].seen.calls[self.nth].effect = removed;
                Reply::success()
            }
            Err(error) => {
                let told = match error.code {
                    "ResourceNotFoundException" => Told::NothingThere,
                    _ => Told::Refused,
                };
                Reply::error(told, error.code, 400, &error.message)
            }
        }
    }

    fn tell(&self, reply: Reply) -> Answer {
        let mut state = self.service.state();
        let call = &mut state.caller[self.service.run].seen.calls[self.nth];
        call.told = reply.told;
        call.asked = reply.answer.facts.retry_after;
        reply.answer
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let now = self.service.inner.began.elapsed();
        let mut state = self.service.state();
        let caller = &mut state.caller[self.service.run];
        caller.in_flight -= 1;
        let of_it = caller.in_flight_of.get_mut(&self.identity);
        *of_it.expect("it was counted when it arrived") -= 1;
        caller.seen.calls[self.nth].ended = Some(now);
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
