//! Opens, drives and closes a run: starts its threads and channels, and ends them.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::sync::{mpsc, watch};

use super::bounds::Bounds;
use super::channels::Channels;
use super::context::{Context, Counters};
use super::drive::drive;
use super::job::Job;
use super::reader::{ReadEvent, RowReader, RowSource};
use super::snapshot::{Reading, Snapshot};
use super::summary::Summary;
use crate::admission::Admission;
use crate::call::lookup::IdentityPool;
use crate::guard::hold::{HoldFiles, HoldWatch, Holds};
use crate::guard::{Allowed, PoolChecks};
use crate::input;
use crate::results::{Recording, Results};
use crate::row::{LARGE_ROW_BUDGET, MemoryBudget, RowKey};
use crate::scan::Scan;
use crate::signal::{Signal, Stop};
use crate::verdict::Policy;

/// Everything that a run needs.
#[derive(Debug)]
pub struct Setup<J: Job> {
    /// The job.
    pub job: J,
    /// Admits its calls, and look-ups beside them.
    pub admission: Arc<Admission>,
    /// Bounds its retries.
    pub policy: Policy,
    /// Bounds the run.
    pub bounds: Bounds<J::Outcome>,
    /// Its rows.
    pub rows: RowSource,
    /// The open results, with what earlier runs have settled.
    pub results: Results,
    /// The hold lists, and the files from which they are reread.
    pub holds: Option<(Arc<Holds>, HoldFiles)>,
    /// The accounts, Regions and pools that the run may touch.
    pub allowed: Allowed,
    /// Pools that have been looked up already.
    pub pools: HashMap<String, IdentityPool>,
    /// Checks of all other pools.
    pub pool_checks: PoolChecks,
}

/// An open run: its threads are running, and no call has started.
pub struct Pipeline<J: Job> {
    context: Arc<Context<J>>,
    bounds: Bounds<J::Outcome>,
    rows: mpsc::Receiver<ReadEvent>,
    reading: Arc<Reading>,
    wait: input::WaitToken,
    input_ends: bool,
    pools: HashMap<String, IdentityPool>,
    pool_checks: PoolChecks,
    recording: Recording<J::Line>,
    stop: watch::Sender<Stop>,
    interrupted: HashSet<RowKey>,
    closing: Closing,
}

/// The parts of a run that are closed last.
struct Closing {
    recorder: JoinHandle<()>,
    skips_failed: bool,
    /// Rereads the hold lists until it is dropped.
    _watching: Option<HoldWatch>,
}

/// A run that has ended, and is not closed yet.
pub struct Driven<J: Job> {
    /// The state that its workers shared.
    pub context: Arc<Context<J>>,
    /// The counts, and the reason for its end.
    pub summary: Summary<J::Outcome>,
    closing: Closing,
}

impl<J: Job> Pipeline<J> {
    /// Starts the threads of a run.
    ///
    /// # Errors
    /// A thread cannot be started: nothing was called.
    pub fn open(setup: Setup<J>) -> io::Result<Self> {
        let (completed, keyer, in_flight, recorder) = setup.results.into_parts();
        let interrupted = completed.interrupted().collect();
        let skips_failed = completed.skips_failed();
        let (recording, recorder) = recorder.start(setup.bounds.open_rows)?;
        let (holds, files) = setup.holds.unzip();
        let reading = Arc::<Reading>::default();
        let wait = setup.rows.wait_token();
        let input_ends = setup.rows.ends();
        let rows = RowReader {
            rows: setup.rows,
            scan: Scan::new(
                completed,
                keyer,
                holds.clone(),
                setup.allowed,
                J::IDENTIFIED_BY,
            ),
            reading: Arc::clone(&reading),
            memory: MemoryBudget::new(LARGE_ROW_BUDGET),
        }
        .start()?;
        let watching = match holds.as_ref().zip(files) {
            Some((holds, files)) => Some(holds.watch(files)?),
            None => None,
        };
        let (stop, stop_order) = watch::channel(Stop::Go);
        let context = Arc::new(Context {
            job: setup.job,
            holds,
            admission: setup.admission,
            policy: setup.policy,
            in_flight: Some(in_flight),
            recorded: Arc::clone(&recording.length),
            stop: stop_order,
            random: Mutex::new(fastrand::Rng::new()),
            counters: Counters::default(),
        });
        Ok(Self {
            context,
            bounds: setup.bounds,
            rows,
            reading,
            wait,
            input_ends,
            pools: setup.pools,
            pool_checks: setup.pool_checks,
            recording,
            stop,
            interrupted,
            closing: Closing {
                recorder,
                skips_failed,
                _watching: watching,
            },
        })
    }

    /// Returns how far the inputs have been read.
    #[must_use]
    pub fn reading(&self) -> Arc<Reading> {
        Arc::clone(&self.reading)
    }

    /// Drives the run to its end, whatever the reason for that.
    pub async fn drive(
        self,
        signals: mpsc::Receiver<Signal>,
        watcher: &mut (dyn FnMut(&Snapshot<J::Outcome>) + Send),
    ) -> Driven<J> {
        let channels = Channels {
            rows: self.rows,
            pools: self.pools,
            pool_checks: self.pool_checks,
            input_ends: self.input_ends,
            recording: self.recording,
            signals,
            stop: self.stop,
            interrupted: self.interrupted,
            watcher,
        };
        let summary = drive(Arc::clone(&self.context), self.bounds, channels).await;
        // The reader may still be waiting for a file to stop growing.
        self.wait.cancel();
        Driven {
            context: self.context,
            summary,
            closing: self.closing,
        }
    }
}

impl<J: Job> Driven<J> {
    /// Closes the run: waits for the recorder, and removes the side file if nothing in it is needed any more.
    ///
    /// # Errors
    /// The side file cannot be removed. The results are complete nonetheless.
    pub fn close(self) -> (Arc<Context<J>>, Summary<J::Outcome>, io::Result<()>) {
        // The recorder has sent its last message and is about to end.
        let _ = self.closing.recorder.join();
        let (context, summary) = (self.context, self.summary);
        let removed = match &context.in_flight {
            Some(in_flight)
                if summary.all_recorded
                    // Rows that this run has not reached are in doubt for the next one too.
                    && (!in_flight.is_doubtful()
                        || summary.nothing_remains && !self.closing.skips_failed) =>
            {
                in_flight.remove()
            }
            _ => Ok(()),
        };
        (context, summary, removed)
    }
}
