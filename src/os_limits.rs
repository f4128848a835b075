//! Limits of the operating system: open files, threads, memory. A refusal is a fault of this machine and not of a row, Region or
//! file, so its message names the limit to raise.

use std::fs::File;
use std::io;
use std::sync::mpsc;
use std::thread;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::error::{Error, Exit};

/// Message about the limit on open files.
pub const NO_FILES: &str = "this process may open no more files. Raise the limit on open files (`ulimit -n`) or lower --concurrency";
/// Message about the limit on threads.
const NO_THREADS: &str = "the operating system refuses another thread. Raise the limit on threads and memory (`ulimit -u`, `ulimit -v`; of a container: pids and memory)";
/// Message about the limit on memory.
const NO_MEMORY: &str = "the operating system refuses memory. Raise the limit on memory (`ulimit -v`; of a container: memory)";

/// Memory that must be available at the start, in bytes. A small run takes about half of it; an allocation that is refused later
/// ends the process.
const MEMORY: usize = 64 << 20;
/// Upper bound on open files on macOS, where the hard limit may be infinite.
const MACOS_MAX_FILES: u64 = 10_240;

/// Raises the soft limit on open files to the hard one, since every call in flight takes a connection. A limit that cannot be
/// raised stays.
pub fn raise_open_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current.is_none() || current == maximum {
        return;
    }
    let raised = |current| {
        let limit = Rlimit { current, maximum };
        setrlimit(Resource::Nofile, limit).is_ok()
    };
    if !raised(maximum) && current < Some(MACOS_MAX_FILES) {
        raised(Some(MACOS_MAX_FILES));
    }
}

/// Checks that this many more threads, and some memory, are available. The runtime panics or waits forever if one is refused
/// later.
///
/// # Errors
/// The operating system refuses a thread or the memory.
pub fn try_threads(threads: usize) -> Result<(), Error> {
    let mut holders = Vec::with_capacity(threads);
    let mut started = Vec::with_capacity(threads);
    let mut refused = false;
    for _ in 0..threads {
        let (holder, end) = mpsc::sync_channel::<()>(0);
        // Each lives until its holder is dropped, so that all of them live at once.
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

/// Returns the error of a program that is refused a thread.
#[must_use]
pub fn no_thread() -> Error {
    Error::new(Exit::Halted, NO_THREADS)
}

/// Returns whether a message is about too many open files, of this process (EMFILE) or of the whole machine (ENFILE).
#[must_use]
pub fn means_out_of_files(message: &str) -> bool {
    [Errno::MFILE, Errno::NFILE].iter().any(|errno| {
        let error = io::Error::from_raw_os_error(errno.raw_os_error());
        message.contains(&error.to_string())
    })
}

/// Returns whether a connection failed for lack of open files. Some messages hide that, as that of a failed DNS query does, so this
/// also opens a file.
#[must_use]
pub fn lacks_files(message: Option<&str>) -> bool {
    message.is_some_and(means_out_of_files)
        || File::open("/dev/null").is_err_and(|error| means_out_of_files(&error.to_string()))
}

/// Replaces an error that blames a file by one that names the limit on open files, if that is the cause.
#[must_use]
pub fn blame(error: Error) -> Error {
    if means_out_of_files(&error.message) {
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
        assert!(current == maximum || current >= Some(MACOS_MAX_FILES));
    }

    #[test]
    fn available_threads_are_released_again() {
        for threads in [0, 1, 8] {
            assert_eq!(try_threads(threads), Ok(()));
        }
    }

    #[test]
    fn a_lack_of_open_files_is_not_blamed_on_the_file() {
        for errno in [Errno::MFILE, Errno::NFILE] {
            let os = io::Error::from_raw_os_error(errno.raw_os_error());
            let blamed = blame(Error::new(
                Exit::Input,
                format!("people.csv: {os}; correct it"),
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
