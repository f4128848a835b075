//! The files behind the hold lists of a run, polled together.

use std::time::SystemTime;

use super::error::HoldError;
use super::held_users::HeldUsers;
use super::watched_file::WatchedFile;

/// The files behind the hold lists of a run.
#[derive(Debug)]
pub struct HoldFiles(pub(super) Vec<WatchedFile>);

/// The result of polling all files.
#[derive(Debug, Default)]
pub(super) struct PollReport {
    /// The held users of each file, if there are more of them.
    pub(super) lists: Option<Vec<HeldUsers>>,
    pub(super) notices: Vec<String>,
    pub(super) error: Option<HoldError>,
}

impl HoldFiles {
    pub(super) fn poll(&mut self) -> PollReport {
        let mut report = PollReport::default();
        let mut grown = false;
        for file in &mut self.0 {
            match file.poll(SystemTime::now()) {
                Ok(change) => {
                    grown |= change.grown;
                    report.notices.extend(change.notice);
                }
                Err(error) => report.error = Some(error),
            }
        }
        report.lists = grown.then(|| self.0.iter().map(WatchedFile::held).collect());
        report
    }
}
