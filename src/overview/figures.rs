//! The figures of an overview.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::counts::Counts;
use super::last_logins::LastLogins;
use super::logged::{Left, RunNotes};
use super::new_file::Written;
use super::reasons::Reason;
use super::timeline::Timeline;
use super::verified::Verification;
use crate::results::Usage;
use crate::verdict::Standing;

/// A results file that was read.
#[derive(Debug, Clone)]
pub(super) struct ReadFile {
    pub(super) path: PathBuf,
    /// As the operator named it.
    pub(super) name: String,
    /// Bytes of its whole lines.
    pub(super) size: u64,
    /// SHA-256 of these bytes, if it was asked for.
    pub(super) sha256: Option<String>,
    /// Bytes behind the last whole line.
    pub(super) torn: u64,
    /// Whether a run is writing to it.
    pub(super) usage: Usage,
    /// Its lines.
    pub(super) lines: u64,
}

/// The rows of a pool.
#[derive(Debug, Clone, Default)]
pub(super) struct Pool {
    /// Its id; of an invalid row it may be anything or nothing.
    pub(super) id: String,
    pub(super) rows: Counts,
}

/// The lines of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Run {
    pub(super) id: String,
    pub(super) lines: Counts,
    pub(super) calls: u64,
    pub(super) repeated: u64,
    /// Start of the first call, RFC 3339.
    pub(super) first: String,
    /// End of the last row, RFC 3339.
    pub(super) last: String,
    /// What the log tells of it.
    pub(super) notes: Option<RunNotes>,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Overview {
    pub(super) files: Vec<ReadFile>,
    /// Rows by their last outcome.
    pub(super) rows: Counts,
    /// All lines.
    pub(super) lines: Counts,
    /// Rows held by near matches alone, which a person has to decide.
    pub(super) near_holds: u64,
    /// By their ids.
    pub(super) pools: Vec<Pool>,
    /// The most frequent first.
    pub(super) reasons: Vec<Reason>,
    /// In the order in which they appear.
    pub(super) runs: Vec<Run>,
    /// Start of the first call, and end of the last row; RFC 3339.
    pub(super) first: Option<String>,
    pub(super) last: Option<String>,
    pub(super) calls: u64,
    pub(super) repeated: u64,
    /// Most calls per second, in the busiest bin of the timeline.
    pub(super) busiest: Option<f64>,
    pub(super) timeline: Timeline,
    /// Lines of runs that called this machine and not AWS.
    pub(super) local_lines: u64,
    /// Identities that lost their last login, as far as runs have looked.
    pub(super) last_logins: LastLogins,
    /// Rows that no run has reached.
    pub(super) left: Left,
    /// Rows are left, or may be, by the log of one of the files.
    pub(super) remains: bool,
    /// File names of results that shards lack.
    pub(super) missing: Vec<String>,
    /// The arguments that name the results.
    pub(super) arguments: Vec<PathBuf>,
    /// The first results file; of shards, the path that results of the whole job would have.
    pub(super) first_file: Option<PathBuf>,
    /// The verification, if one was named.
    pub(super) verification: Option<Verification>,
    /// Files that were written.
    pub(super) written: Vec<Written>,
}

impl Overview {
    /// Returns the rows that need attention or another run: failed, in doubt, invalid.
    pub(super) fn undone(&self) -> u64 {
        self.rows.standing(Standing::is_undone)
    }

    /// Returns the rows that are done.
    pub(super) fn done(&self) -> u64 {
        self.rows.standing(|standing| standing == Standing::Done)
    }

    /// Returns the lines that later lines of the same row replace.
    pub(super) fn replaced(&self) -> u64 {
        self.lines.all().saturating_sub(self.rows.all())
    }

    /// Returns whether all is done, as far as it is known.
    pub(super) fn is_done(&self) -> bool {
        self.undone() == 0 && self.near_holds == 0 && !self.remains && self.missing.is_empty()
    }

    /// Returns the pools by Region.
    pub(super) fn regions(&self) -> BTreeMap<&str, Counts> {
        let mut regions = BTreeMap::new();
        for pool in &self.pools {
            let region = crate::row::region_of(&pool.id);
            let rows: &mut Counts = regions.entry(region).or_default();
            rows.add(&pool.rows);
        }
        regions
    }
}
