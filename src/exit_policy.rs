//! Decides the exit codes of runs, plans and dry runs that end for their inputs, results or rows.
//!
//! | end | exit |
//! |---|---|
//! | all rows read: every one is done, or some need attention | 0, 1 |
//! | something is wrong with the arguments, the inputs or what they name, and no run has begun | 2 |
//! | an input cannot be read (on) | 3 |
//! | `--limit`, `--for` | 4 |
//! | a run must not or cannot go on, or its results have no room on the disk | 5 |
//! | another run has locked the results, or has taken them over | 6 |
//! | a signal | 129, 130, 143 |
//!
//! So a row of a pool that is not allowed is exit 2 if a dry run or the confirmation finds it, and exit 5 if a run does, since it
//! may have called other rows before. A plan names it as a problem for which a run would be halted, and ends as that run would.

use std::io::{self, ErrorKind};

use crate::error::Error;
use crate::exit::Exit;
use crate::input::InputError;
use crate::os_limits::means_out_of_files;
use crate::pipeline::{Halt, Reason, Summary, Tally};
use crate::results::{OpenError, TakenOver};
use crate::row::Position;
use crate::verdict::{Cause, Outcome};

/// Returns the error of a run or plan whose input cannot be read before anything was called. An input that has changed counts as
/// the wrong input.
#[must_use]
pub fn unreadable(error: InputError) -> Error {
    let exit = if error.is_usage() || error.is_change() {
        Exit::Usage
    } else {
        Exit::Input
    };
    Error::from_source(exit, error)
}

/// Returns the error of a run or plan whose results cannot be opened.
#[must_use]
pub fn not_opened(error: OpenError) -> Error {
    let exit = match &error {
        OpenError::Locked(..) => Exit::Locked,
        OpenError::Io(_, error)
            if matches!(
                error.kind(),
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge
            ) =>
        {
            Exit::Halted
        }
        OpenError::Store(_, error) if error.may_pass() => Exit::Halted,
        OpenError::Format(_)
        | OpenError::NotForSpreadsheets(_)
        | OpenError::Foreign(..)
        | OpenError::Refused(..)
        | OpenError::Store(..)
        | OpenError::Io(..) => Exit::Usage,
    };
    Error::from_source(exit, error)
}

/// Returns the error of a plan, a dry run or a confirmation that meets a row of a pool that is not allowed.
#[must_use]
pub fn forbidden(why: &str, position: &Position) -> Error {
    Error::usage(format!("{why} (at {position}); nothing was called"))
}

/// Returns the exit code of a run that read all its input. Rows with one of the outcomes in `fails` count as not done.
#[must_use]
pub fn conclusion<O: Outcome>(tally: &Tally<O>, fails: &[O]) -> Exit {
    if tally.has_undone() || fails.iter().any(|outcome| tally.of(*outcome) > 0) {
        Exit::NotAllDone
    } else {
        Exit::Done
    }
}

/// Returns the exit code of a run.
#[must_use]
pub fn of_run<O: Outcome>(summary: &Summary<O>, fails: &[O]) -> Exit {
    if is_out_of_files(&summary.reason) {
        return Exit::Halted;
    }
    match &summary.reason {
        Reason::AllRead => conclusion(&summary.tally, fails),
        // Only reading a pipe finds this late; if nothing was called before, it counts as found at the start.
        Reason::Unreadable(error) if error.is_usage() && !summary.has_called() => Exit::Usage,
        Reason::Unreadable(error) if !error.is_change() => Exit::Input,
        Reason::Limit | Reason::TimeIsUp => Exit::Stopped,
        Reason::Signal(signal) => signal.exit(),
        Reason::NotRecorded(error) if taken_over(error).is_some() => Exit::Locked,
        Reason::Unreadable(_)
        | Reason::TooMany(_)
        | Reason::Halted(_)
        | Reason::Refused(_)
        | Reason::NotRecorded(_)
        | Reason::Panicked(_) => Exit::Halted,
    }
}

/// Returns the run that has taken over the results, if that is why they cannot be written.
#[must_use]
pub fn taken_over(error: &io::Error) -> Option<&TakenOver> {
    error.get_ref()?.downcast_ref()
}

/// Returns whether the reason is that no more files can be opened. Neither an input nor a row is to blame then.
#[must_use]
pub fn is_out_of_files<O>(reason: &Reason<O>) -> bool {
    match reason {
        Reason::Unreadable(error) => means_out_of_files(&error.to_string()),
        Reason::NotRecorded(error) | Reason::Halted(Halt::Mark(error) | Halt::SideFile(error)) => {
            means_out_of_files(&error.to_string())
        }
        Reason::Halted(Halt::Hold(error)) => means_out_of_files(&error.to_string()),
        Reason::Halted(Halt::Reply(reply) | Halt::Region(reply)) => reply.cause == Cause::NoFiles,
        _ => false,
    }
}
