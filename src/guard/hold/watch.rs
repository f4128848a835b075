//! Polls the files of the hold lists during a run.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::error::HoldError;
use super::files::{HoldFiles, PollReport};
use super::holds::Holds;

/// Time from one poll to the next. From `MAX_AGE` on, calls would wait for every poll.
const POLL_INTERVAL: Duration = Duration::from_millis(250);
/// Step in which the duration of a poll is measured.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// Duration of a poll from which the file system counts as unresponsive and the run ends. Doubled, calls wait twice as long for it.
const POLL_TIMEOUT: Duration = Duration::from_mins(1);

/// A request for a poll: where to send its report.
pub(super) type PollRequest = oneshot::Sender<PollReport>;

/// The polling of the files. It stops when this is dropped.
#[derive(Debug)]
pub struct HoldWatch(pub(super) JoinHandle<()>);

impl Drop for HoldWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Holds {
    /// Polls the files until the returned value is dropped.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn watch(self: &Arc<Self>, mut files: HoldFiles) -> io::Result<HoldWatch> {
        let (requests, mut requested) = mpsc::channel::<PollRequest>(1);
        // A thread of its own: a file system that does not answer must not keep the program from ending.
        std::thread::Builder::new()
            .name("hold".to_owned())
            .spawn(move || {
                while let Some(request) = requested.blocking_recv() {
                    let _ = request.send(files.poll());
                }
            })?;
        let holds = Arc::clone(self);
        let polling = tokio::spawn(async move {
            holds.keep_polling(requests).await;
        });
        Ok(HoldWatch(polling))
    }

    /// Polls at every interval, until a poll ends with an error.
    pub(super) async fn keep_polling(&self, requests: mpsc::Sender<PollRequest>) {
        let mut intervals = interval(POLL_INTERVAL);
        intervals.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            intervals.tick().await;
            let polled = Instant::now();
            let (report, took) = poll(&requests).await;
            let took = took.min(polled.elapsed());
            let is_last = report.error.is_some();
            self.update(polled, took, report);
            if is_last {
                return;
            }
        }
    }
}

/// Requests a poll. Returns its report, and its duration in ticks: the clock would count time in which the process was stopped,
/// after which an old list must not pass for a fresh one.
async fn poll(requests: &mpsc::Sender<PollRequest>) -> (PollReport, Duration) {
    let mut took = Duration::ZERO;
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let report = async {
        let report = async {
            let (request, report) = oneshot::channel();
            requests.send(request).await.ok()?;
            report.await.ok()
        };
        tokio::pin!(report);
        loop {
            tokio::select! {
                biased;
                report = &mut report => return report,
                _ = ticks.tick() => took += TICK,
            }
        }
    };
    let report = timeout(POLL_TIMEOUT, report).await.ok().flatten();
    let report = report.unwrap_or_else(|| PollReport {
        error: Some(HoldError::no_answer()),
        ..PollReport::default()
    });
    (report, took)
}
