//! The run that has locked a results file.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The run that has locked a results file, as its side file names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Process id.
    pub pid: u32,
    /// Host name.
    pub host: String,
    /// Start, RFC 3339.
    pub started: String,
    /// Id of the run.
    pub run_id: String,
}

impl fmt::Display for LockHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "process {} on {}, started {}, run {}",
            self.pid, self.host, self.started, self.run_id
        )
    }
}
