//! Reasons why results are not opened.

use std::io;
use std::path::PathBuf;

use super::side_file::LockHolder;
use crate::objects::StoreError;

/// The reason why results are not opened. No call was made.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The extension is neither `.csv` nor `.jsonl`.
    #[error("the results file {} must end in .csv or .jsonl", .0.display())]
    Format(PathBuf),
    /// No spreadsheet opens the format.
    #[error("--spreadsheet-safe is for results in CSV, and {} is not", .0.display())]
    NotForSpreadsheets(PathBuf),
    /// Another run has locked the file.
    #[error(
        "another run holds the results {}{}; wait for its end, or stop it with Ctrl-C there",
        .0.display(),
        .1.as_ref().map(|holder| format!(": {holder}")).unwrap_or_default()
    )]
    Locked(PathBuf, Option<Box<LockHolder>>),
    /// The file is no results file, or none that this run can append to.
    #[error("{} is not a results file that this run can go on with: {}", .0.display(), .1)]
    Foreign(PathBuf, String),
    /// The file must not be used as it is: the reason, and the remedy.
    #[error("{} is not used: {}", .0.display(), .1)]
    Refused(PathBuf, String),
    /// The store of the results cannot be asked, or refuses.
    #[error("{} cannot be used: {}; check {}", .0.display(), .1, to_check(.1))]
    Store(PathBuf, StoreError),
    /// The operating system reports an error.
    #[error("{} cannot be used: {}; check the disk and the permissions", .0.display(), .1)]
    Io(PathBuf, #[source] io::Error),
}

/// Returns what an operator checks after a request to a store has failed.
fn to_check(error: &StoreError) -> &'static str {
    if error.may_pass() {
        "the network and the endpoint, then run the same command again"
    } else {
        "the name, the credentials and their permissions"
    }
}
