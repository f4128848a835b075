//! Handles signals from the first file that is opened to the last line that is printed.
//!
//! The main thread only waits for signals, and for work on other threads. Those may block: opening a FIFO until it has a writer,
//! writing to standard output until it is read, a disk until it answers. A thread that is still blocked when the program ends is
//! not waited for.

use std::future::Future;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::panic::resume_unwind;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::{Instant, sleep_until};

use crate::error::{Error, Exit};
use crate::os_limits;
use crate::signal::{Signal, Signals};
use crate::stderr;

/// Time that a run has after a second signal to record settled rows, which takes milliseconds on a disk that answers. Doubled, a run
/// on a dead disk takes twice as long to stop.
const ABORT_TIMEOUT: Duration = Duration::from_secs(3);
/// Time after the drain to record settled rows. Doubled, the program may still be running when it is killed.
const DRAINED_TIMEOUT: Duration = Duration::from_millis(2500);
/// Time for which a program that has received SIGTERM waits for standard output, or for its page, after its run. A reader that has
/// stopped reading would keep it until it is killed.
const TERMINATED_PATIENCE: Duration = Duration::from_secs(2);
/// Time without progress after which the last lines for standard error are given up.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);
/// Time without progress after which they are given up after a second signal.
const ABORTED_FLUSH_PATIENCE: Duration = Duration::from_millis(100);
/// Time after which they are given up in any case, since a slow terminal may be making progress still.
const MAX_FLUSH: Duration = Duration::from_secs(10);

/// Threads for blocking work, started with the program and kept: work whose thread is refused later, such as a DNS query, would
/// wait forever. Further work waits for one of these.
const BLOCKING_THREADS: usize = 4;
/// Idle time after which such a thread would end: longer than any program runs.
const THREAD_KEEP_ALIVE: Duration = Duration::from_secs(u32::MAX as u64);
/// Time for these threads to start. On a machine that refuses one, the program ends after it.
const THREAD_START_TIMEOUT: Duration = Duration::from_secs(1);
/// Threads beside those of the runtime: standard error, results (2), input, hold lists, emulator.
const OTHER_THREADS: usize = 6;

/// The runtimes of a program, with its signals.
#[derive(Debug)]
pub struct Supervisor {
    /// Runtime of the main thread: no worker can block it.
    control: Runtime,
    /// Runtime of all work. Never dropped: that would wait for blocked threads, or, without waiting, make them panic for lack of a
    /// runtime.
    workers: ManuallyDrop<Runtime>,
    signals: Signals,
    /// Signals received during a run.
    received: u32,
    /// SIGTERM was received: its sender probably sends SIGKILL soon.
    terminated: bool,
}

impl Supervisor {
    /// Starts the runtimes, and catches signals from now on.
    ///
    /// # Errors
    /// The operating system refuses a thread or a signal handler.
    pub fn new() -> Result<Self, Error> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        os_limits::try_threads(cores + BLOCKING_THREADS + OTHER_THREADS)?;
        let no_runtime = |error: io::Error| {
            Error::new(Exit::Halted, format!("the runtime cannot start: {error}"))
        };
        let control = Builder::new_current_thread().enable_all().build();
        let control = control.map_err(no_runtime)?;
        let signals = {
            let _within = control.enter();
            Signals::catch()
        };
        let signals = signals.map_err(|error| {
            Error::new(Exit::Halted, format!("signals cannot be caught: {error}"))
        })?;
        let workers = Builder::new_multi_thread()
            .enable_all()
            .thread_keep_alive(THREAD_KEEP_ALIVE)
            .build();
        let workers = ManuallyDrop::new(workers.map_err(no_runtime)?);
        start_blocking(&workers)?;
        Ok(Self {
            control,
            workers,
            signals,
            received: 0,
            terminated: false,
        })
    }

    /// Runs the work before the first call on a thread that may block, until a signal comes.
    ///
    /// # Errors
    /// The error of `work`, or a signal came.
    pub fn prepare<T, F>(&mut self, work: impl FnOnce() -> F + Send + 'static) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>>,
    {
        let handle = self.workers.handle().clone();
        let work = self.workers.spawn_blocking(move || handle.block_on(work()));
        self.unless_signalled(work, "stopped by a signal; nothing was called")?
    }

    /// Drives a run to its end. `run` receives the signals. After the second signal it is waited for a limited time, and after the
    /// third not at all.
    ///
    /// The run is a task of the workers' runtime: on the main thread, every event would cost two switches between threads.
    ///
    /// # Errors
    /// The error of the run, or it was not waited for.
    pub fn run<T, F>(&mut self, run: impl FnOnce(mpsc::Receiver<Signal>) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        // A run acts on two signals at most, so further ones may be dropped.
        let (to_run, forwarded) = mpsc::channel(2);
        let mut run = self.workers.spawn(run(forwarded));
        let (signals, received) = (&mut self.signals, &mut self.received);
        let terminated = &mut self.terminated;
        self.control.block_on(async {
            let mut last = Signal::Terminate;
            let mut until = None;
            loop {
                tokio::select! {
                    biased;
                    ended = &mut run => return ended.unwrap_or_else(panicked),
                    signal = signals.recv() => {
                        *received += 1;
                        last = signal;
                        *terminated |= signal == Signal::Terminate;
                        let _ = to_run.try_send(signal);
                        let drains = signal.drain_timeout().map(|time| time + DRAINED_TIMEOUT);
                        until = until.or(drains.map(|time| Instant::now() + time));
                        if *received == 2 {
                            until = Some(Instant::now() + ABORT_TIMEOUT);
                        }
                    }
                    () = at(until) => *received = 3,
                }
                if *received > 2 {
                    return Err(abandoned(last));
                }
            }
        })
    }

    /// Writes to standard output as [`write_out`], until a signal comes.
    ///
    /// # Errors
    /// The text cannot be written, or a signal came.
    pub fn print(&mut self, text: String) -> Result<(), Error> {
        let written = self
            .workers
            .spawn_blocking(move || write_out(text.as_bytes()));
        self.unless_signalled(
            written,
            "stopped by a signal; standard output was not written to its end",
        )?
    }

    /// Waits for a signal.
    pub fn wait(&mut self) -> Signal {
        self.control.block_on(self.signals.recv())
    }

    /// Waits for a limited time until all lines for standard error are written, before the program ends. Blocked threads are not
    /// waited for.
    pub fn end(mut self) {
        let patience = if self.received > 1 {
            ABORTED_FLUSH_PATIENCE
        } else {
            FLUSH_PATIENCE
        };
        let flushed = self
            .workers
            .spawn_blocking(move || stderr::flush(patience, MAX_FLUSH));
        let _ = self.unless_signalled(flushed, "");
    }

    fn unless_signalled<T>(&mut self, work: JoinHandle<T>, stopped: &str) -> Result<T, Error> {
        let signals = &mut self.signals;
        let terminated = self.terminated;
        self.control.block_on(async {
            let until = terminated.then(|| Instant::now() + TERMINATED_PATIENCE);
            tokio::select! {
                biased;
                signal = signals.recv() => Err(Error::new(signal.exit(), stopped)),
                () = at(until) => Err(Error::new(Signal::Terminate.exit(), stopped)),
                ended = work => Ok(ended.unwrap_or_else(panicked)),
            }
        })
    }
}

/// Starts the threads for blocking work.
fn start_blocking(workers: &Runtime) -> Result<(), Error> {
    let all = Arc::new((Mutex::new(0), Condvar::new()));
    let wait = |(started, changed): &(Mutex<usize>, Condvar)| {
        let started = started.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(started, THREAD_START_TIMEOUT, |started| {
            *started < BLOCKING_THREADS
        });
        *waited.unwrap_or_else(PoisonError::into_inner).0 == BLOCKING_THREADS
    };
    for _ in 0..BLOCKING_THREADS {
        let all = Arc::clone(&all);
        // No task ends before all have begun, so each takes a thread of its own.
        workers.spawn_blocking(move || {
            *all.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
            all.1.notify_all();
            wait(&all)
        });
    }
    if wait(&all) {
        Ok(())
    } else {
        Err(os_limits::no_thread())
    }
}

/// Writes to standard output, for commands that catch no signals. A closed pipe is no error: its reader needs no more.
///
/// # Errors
/// The text cannot be written.
pub fn write_out(text: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::new(
            Exit::Halted,
            format!("standard output cannot be written: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Waits for a limited time until all lines for standard error are written, in a program that catches no signals.
pub fn end_unsupervised() {
    stderr::flush(FLUSH_PATIENCE, MAX_FLUSH);
}

fn abandoned(signal: Signal) -> Error {
    Error::new(
        signal.exit(),
        "stopped by a signal without waiting for the disk; what was in flight is not recorded",
    )
    .hint(
        "The next run with the same results file knows which rows these are, and tries them again.",
    )
}

fn panicked<T>(error: JoinError) -> T {
    resume_unwind(error.into_panic())
}

/// Waits until `moment`; without one, forever.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use rustix::process::{Signal as Raised, getpid, kill_process};

    use super::*;

    fn raise(signal: Raised) {
        kill_process(getpid(), signal).expect("it is this process");
    }

    // One test, since all supervisors of a process receive its signals.
    #[test]
    fn blocked_work_does_not_keep_the_program() {
        let mut supervisor = Supervisor::new().expect("a supervisor");
        let done = supervisor.prepare(|| async { Ok(1) });
        assert_eq!(done, Ok(1));
        let done = supervisor.run(|_| async { Ok(2) });
        assert_eq!(done, Ok(2));

        let blocked = supervisor.prepare::<(), _>(|| async {
            raise(Raised::INT);
            loop {
                std::thread::park();
            }
        });
        let error = blocked.expect_err("stopped");
        assert_eq!(error.exit, Exit::Interrupted);
        assert_eq!(error.message, "stopped by a signal; nothing was called");

        // A run that drains on the first signal may take as long as it needs, and returns its own result.
        let drained = supervisor.run(|mut signals| async move {
            raise(Raised::TERM);
            Ok(signals.recv().await)
        });
        assert_eq!(drained, Ok(Some(Signal::Terminate)));

        let mut supervisor = Supervisor::new().expect("a supervisor");
        let stuck = supervisor.run::<(), _>(|mut signals| async move {
            for signal in [Raised::TERM, Raised::INT, Raised::HUP] {
                raise(signal);
                signals.recv().await;
            }
            std::future::pending().await
        });
        assert_eq!(stuck.expect_err("left").exit, Exit::HungUp);

        // Without a third signal, the second one's timeout ends the wait.
        let mut supervisor = Supervisor::new().expect("a supervisor");
        let stuck = supervisor.run::<(), _>(|mut signals| async move {
            for signal in [Raised::TERM, Raised::INT] {
                raise(signal);
                signals.recv().await;
            }
            std::future::pending().await
        });
        assert_eq!(stuck.expect_err("left").exit, Exit::Interrupted);
    }
}
