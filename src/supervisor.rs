//! Heeds signals from the first file that is opened to the last line that is printed.
//!
//! The main thread waits for signals and does nothing else: opening and reading files may block for as long as a FIFO has no
//! writer, writing to standard output for as long as nobody reads, and a worker of the runtime as long as a disk does not
//! answer. So the work is done elsewhere, and a thread that is still blocked when the program ends is not waited for.

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

/// How long a run may take to record what it knows after a second signal. With a disk that answers it takes milliseconds.
const ABORT: Duration = Duration::from_secs(3);
/// At the end, standard error is given up when nothing could be written for this long.
const PATIENCE: Duration = Duration::from_secs(1);
/// The same after a second signal.
const LITTLE_PATIENCE: Duration = Duration::from_millis(100);
/// At the end, standard error is given up after this long: a slow terminal is still writing.
const MOST: Duration = Duration::from_secs(10);

/// Threads for what blocks, started with the program and kept: a thread that is refused later is waited for without end, as by
/// the look-up of a name. What asks for more at once waits for one of these.
const BLOCKING: usize = 4;
/// As long as any program runs.
const KEPT: Duration = Duration::from_secs(u32::MAX as u64);
/// Threads that are started beside the runtime's: of standard error, results (2), input, hold lists, emulator.
const OTHERS: usize = 6;

/// The runtimes of a program whose signals are caught.
#[derive(Debug)]
pub struct Supervisor {
    /// The main thread's: it drives itself, whatever the workers do.
    control: Runtime,
    /// Never dropped: that would wait for threads that are blocked, or, not waiting, let them panic for want of a runtime.
    workers: ManuallyDrop<Runtime>,
    signals: Signals,
    /// Signals that came while a run was under way.
    heard: u32,
}

impl Supervisor {
    /// Catches the signals from now on.
    ///
    /// # Errors
    /// The operating system refuses a thread or a signal.
    pub fn new() -> Result<Self, Error> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        os_limits::try_threads(cores + BLOCKING + OTHERS)?;
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
            .thread_keep_alive(KEPT)
            .build();
        let workers = ManuallyDrop::new(workers.map_err(no_runtime)?);
        start_blocking(&workers)?;
        Ok(Self {
            control,
            workers,
            signals,
            heard: 0,
        })
    }

    /// Does what comes before the first call, on a thread that may block, unless a signal comes first.
    ///
    /// # Errors
    /// Those of `work`, or a signal came.
    pub fn prepare<T, F>(&mut self, work: impl FnOnce() -> F + Send + 'static) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>>,
    {
        let handle = self.workers.handle().clone();
        let work = self.workers.spawn_blocking(move || handle.block_on(work()));
        self.unless_signalled(work, "stopped by a signal; nothing was called")?
    }

    /// Lets a run go on to its end beside the workers: on the main thread, every event of the run would cost a switch from
    /// theirs to it and back. `run` is handed the signals; after the second it is not waited for without end, and after the
    /// third not at all.
    ///
    /// # Errors
    /// Those of the run, or it was not waited for.
    pub fn run<T, F>(&mut self, run: impl FnOnce(mpsc::Receiver<Signal>) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        // More than two say no more than two.
        let (tell, told) = mpsc::channel(2);
        let mut run = self.workers.spawn(run(told));
        let (signals, heard) = (&mut self.signals, &mut self.heard);
        self.control.block_on(async {
            let mut last = Signal::Terminate;
            let mut until = None;
            loop {
                tokio::select! {
                    biased;
                    ended = &mut run => return ended.unwrap_or_else(panicked),
                    signal = signals.recv() => {
                        *heard += 1;
                        last = signal;
                        let _ = tell.try_send(signal);
                        if *heard == 2 {
                            until = Some(Instant::now() + ABORT);
                        }
                    }
                    () = at(until) => *heard = 3,
                }
                if *heard > 2 {
                    return Err(abandoned(last));
                }
            }
        })
    }

    /// Writes to standard output as [`write_out`], unless a signal comes first.
    ///
    /// # Errors
    /// It cannot be written, or a signal came.
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

    /// Waits until what was said is written, as far as that can be. The program ends next: threads that are blocked are left alone.
    pub fn end(mut self) {
        let patience = if self.heard > 1 {
            LITTLE_PATIENCE
        } else {
            PATIENCE
        };
        let flushed = self
            .workers
            .spawn_blocking(move || stderr::flush(patience, MOST));
        let _ = self.unless_signalled(flushed, "");
    }

    fn unless_signalled<T>(&mut self, work: JoinHandle<T>, stopped: &str) -> Result<T, Error> {
        let signals = &mut self.signals;
        self.control.block_on(async {
            tokio::select! {
                biased;
                signal = signals.recv() => Err(Error::new(signal.exit(), stopped)),
                ended = work => Ok(ended.unwrap_or_else(panicked)),
            }
        })
    }
}

/// Starts the threads for what blocks.
fn start_blocking(workers: &Runtime) -> Result<(), Error> {
    let all = Arc::new((Mutex::new(0), Condvar::new()));
    let wait = |(started, changed): &(Mutex<usize>, Condvar)| {
        let started = started.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_timeout_while(started, PATIENCE, |started| *started < BLOCKING);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == BLOCKING
    };
    for _ in 0..BLOCKING {
        let all = Arc::clone(&all);
        // None of them ends before all have begun, so that each takes a thread of its own.
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

/// Writes to standard output, for commands that catch no signals. Whoever has closed it wants no more, which is no error.
///
/// # Errors
/// It cannot be written.
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

/// Waits until what was said is written, as far as that can be, where no signals are caught.
pub fn end_unsupervised() {
    stderr::flush(PATIENCE, MOST);
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

/// Waits for a moment, if there is one to wait for.
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

    // One test, since all supervisors of a process hear its signals.
    #[test]
    fn nothing_that_blocks_keeps_the_program() {
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

        // A run that heeds the first signal has all the time that it needs, and ends as it likes.
        let heeded = supervisor.run(|mut signals| async move {
            raise(Raised::TERM);
            Ok(signals.recv().await)
        });
        assert_eq!(heeded, Ok(Some(Signal::Terminate)));

        let mut supervisor = Supervisor::new().expect("a supervisor");
        let stuck = supervisor.run::<(), _>(|mut signals| async move {
            for signal in [Raised::TERM, Raised::INT, Raised::HUP] {
                raise(signal);
                signals.recv().await;
            }
            std::future::pending().await
        });
        assert_eq!(stuck.expect_err("left").exit, Exit::HungUp);

        // The third may never come.
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
