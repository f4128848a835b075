//! What the operating system grants this process: open files, threads, memory. Where it refuses one of these, the fault is this
//! machine's: no row, Region or file is to blame, and the sentence says which limit to raise.

use std::fs::File;
use std::io;
use std::sync::mpsc;
use std::thread;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Error, Exit};

/// The limit on open files, as it is told.
pub const NO_FILES: &str = "this process may open no more files. Raise the limit on open files (`ulimit -n`) or lower --concurrency";
/// The same of threads and memory.
const NO_THREADS: &str = "the operating system refuses another thread. Raise the limit on threads and memory (`ulimit -u`, `ulimit -v`; of a container: pids and memory)";
const NO_MEMORY: &str = "the operating system refuses memory. Raise the limit on memory (`ulimit -v`; of a container: memory)";

/// Bytes that must be to be had at the start. A small run takes about half as many; what takes more than there is ends the process.
const MEMORY: usize = 64 << 20;
/// The most open files that macOS grants, where its own bound is none.
const MACOS_MOST: u64 = 10_240;

/// Raises the soft limit on open files to the hard one, as every call in flight takes a connection. What cannot be raised stays.
pub fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none() || current == maximum {
        return;
    }
    let raised = |current| {
        let limit = Rlimit { current, maximum };
        setrlimit(Resource::Nofile, limit).is_ok()
    };
    if !raised(maximum) && current < Some(MACOS_MOST) {
        raised(Some(MACOS_MOST));
    }
}

/// Makes sure that so many threads more, and some memory, are to be had, before anything depends on it: the runtime panics, or
/// waits for ever, where one is refused later.
///
/// # Errors
/// They are not to be had.
pub fn try_threads(threads: usize) -> Result<(), Error> {
    let mut holders = Vec::with_capacity(threads);
    let mut started = Vec::with_capacity(threads);
    let mut refused = false;
    for _ in 0..threads {
        let (holder, end) = mpsc::sync_channel::<()>(0);
        // It lives until its holder is dropped: all of them live at once.
        match thread::Builder::new().spawn(move || end.recv().is_ok()) {
            Ok(thread) => {
                holders.push(holder);
                started.push(thread);
            }
            Err(_) => refused = true,
        }
    }
    let has_memory = Vec::<u8>::new().try_reserve_exact(MEMORY).is_ok();
    drop(holders);
    for thread in started {
        let _ = thread.join();
    }
    match (refused, has_memory) {
        (true, _) => Err(no_thread()),
        (_, false) => Err(Error::new(Exit::Halted, NO_MEMORY)),
        _ => Ok(()),
    }
}

/// The end of a program that is refused a thread.
#[must_use]
pub fn no_thread() -> Error {
    Error::new(Exit::Halted, NO_THREADS)
}

/// Returns whether a message tells of a file that could not be opened as too many are open, here (EMFILE) or on the whole
/// machine (ENFILE).
#[must_use]
pub fn tells_of_no_files(message: &str) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| {
        let error = io::Error::from_raw_os_error(errno.raw_os_error());
        message.contains(&error.to_string())
    })
}

/// Returns whether a connection, or what leads to one, failed for want of open files. Not all that fail say so: a name server
/// that cannot be asked is merely not there. So it is tried as well.
#[must_use]
pub fn lacks_files(message: Option<&str>) -> bool {
    message.is_some_and(tells_of_no_files)
        || File::open("/dev/null").is_err_and(|error| tells_of_no_files(&error.to_string()))
}

/// Returns the error, blaming the limit where there was none of the files that it blames.
#[must_use]
pub fn blame(error: Error) -> Error {
    if tells_of_no_files(&error.message) {
        Error::new(Exit::Halted, NO_FILES)
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        raise_open_files();
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        assert!(current == maximum || current >= Some(MACOS_MOST));
    }

    #[test]
    fn threads_that_are_to_be_had_are_given_back() {
        for threads in [0, 1, 8] {
            assert_eq!(try_threads(threads), Ok(()));
        }
    }

    #[test]
    fn want_of_open_files_is_no_fault_of_theirs() {
        for errno in [Errno::MFILE, Errno::NFILE] {
            let os = io::Error::from_raw_os_error(errno.raw_os_error());
            let blamed = blame(Error::new(
                Exit::Input,
                format!("people.csv: {os}; mend it"),
            ));
            assert_eq!(blamed, Error::new(Exit::Halted, NO_FILES));
            assert!(lacks_files(Some(&format!("ConnectionFailed: {os}"))));
        }
        for errno in [Errno::NOENT, Errno::ACCESS, Errno::CONNREFUSED] {
            let os = io::Error::from_raw_os_error(errno.raw_os_error());
            let error = Error::new(Exit::Input, format!("people.csv: {os}"));
            assert_eq!(blame(error.clone()), error);
            assert!(!lacks_files(Some(&os.to_string())));
        }
        assert!(!lacks_files(None));
    }
}
