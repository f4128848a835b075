//! The numbers of the worlds whose results are in S3.

use std::collections::BTreeMap;
use std::fmt;

use super::s3::ProxyFault;

/// The numbers of one or more worlds.
#[derive(Debug, Default, Clone)]
pub(crate) struct S3Counts {
    pub(crate) worlds: u64,
    pub(crate) processes: u64,
    pub(crate) kills: u64,
    /// Processes that were stopped until another had taken over, and then woken up.
    pub(crate) stops: u64,
    /// Second processes that were started beside one at work.
    pub(crate) rivals: u64,
    pub(crate) signals: u64,
    /// Processes that ended with exit code 6.
    pub(crate) refused: u64,
    /// Fences behind a run that had not ended by itself.
    pub(crate) take_overs: u64,
    pub(crate) rows: u64,
    pub(crate) lost: u64,
    pub(crate) unlinked: u64,
    pub(crate) reply_lost: u64,
    pub(crate) not_linked: u64,
    pub(crate) calls: u64,
    pub(crate) effects: u64,
    /// Calls for links that were gone, by reason; those after a take-over, and the most after one.
    pub(crate) repeated: u64,
    pub(crate) most_repeated: u64,
    pub(crate) after_lost_reply: u64,
    pub(crate) after_doubt: u64,
    pub(crate) by_stalled: u64,
    /// Rows that a process called after it had been fenced, of all processes and the most of one.
    pub(crate) calls_of_fenced: u64,
    pub(crate) most_calls_of_fenced: u64,
    pub(crate) segments: u64,
    pub(crate) puts: u64,
    pub(crate) gets: u64,
    pub(crate) lists: u64,
    pub(crate) other_requests: u64,
    pub(crate) emulator_faults: u64,
    pub(crate) faults: BTreeMap<ProxyFault, u64>,
}

impl S3Counts {
    /// Adds the numbers of other worlds.
    pub(crate) fn add(&mut self, other: &Self) {
        let most = |one: u64, other: u64| one.max(other);
        let mut faults = self.faults.clone();
        for (fault, count) in &other.faults {
            *faults.entry(*fault).or_default() += count;
        }
        *self = Self {
            worlds: self.worlds + other.worlds,
            processes: self.processes + other.processes,
            kills: self.kills + other.kills,
            stops: self.stops + other.stops,
            rivals: self.rivals + other.rivals,
            signals: self.signals + other.signals,
            refused: self.refused + other.refused,
            take_overs: self.take_overs + other.take_overs,
            rows: self.rows + other.rows,
            lost: self.lost + other.lost,
            unlinked: self.unlinked + other.unlinked,
            reply_lost: self.reply_lost + other.reply_lost,
            not_linked: self.not_linked + other.not_linked,
            calls: self.calls + other.calls,
            effects: self.effects + other.effects,
            repeated: self.repeated + other.repeated,
            most_repeated: most(self.most_repeated, other.most_repeated),
            after_lost_reply: self.after_lost_reply + other.after_lost_reply,
            after_doubt: self.after_doubt + other.after_doubt,
            by_stalled: self.by_stalled + other.by_stalled,
            calls_of_fenced: self.calls_of_fenced + other.calls_of_fenced,
            most_calls_of_fenced: most(self.most_calls_of_fenced, other.most_calls_of_fenced),
            segments: self.segments + other.segments,
            puts: self.puts + other.puts,
            gets: self.gets + other.gets,
            lists: self.lists + other.lists,
            other_requests: self.other_requests + other.other_requests,
            emulator_faults: self.emulator_faults + other.emulator_faults,
            faults,
        };
    }
}

impl fmt::Display for S3Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "results in S3: {} worlds, {} processes: {} killed, {} stopped until taken over, {} beside another, {} signalled; \
             {} ended with exit 6; {} take-overs",
            self.worlds,
            self.processes,
            self.kills,
            self.stops,
            self.rivals,
            self.signals,
            self.refused,
            self.take_overs
        )?;
        writeln!(
            f,
            "  {} rows, {} lost; {} unlinked, {} unlinked_reply_lost, {} not_linked; {} calls, {} of them removed a link",
            self.rows,
            self.lost,
            self.unlinked,
            self.reply_lost,
            self.not_linked,
            self.calls,
            self.effects
        )?;
        let a_take_over = self.repeated as f64 / self.take_overs.max(1) as f64;
        writeln!(
            f,
            "  calls for a link that was gone: {} after a take-over ({a_take_over:.1} a take-over, {} at most), \
             {} after a lost reply, {} in doubt, {} by stalled processes",
            self.repeated,
            self.most_repeated,
            self.after_lost_reply,
            self.after_doubt,
            self.by_stalled
        )?;
        writeln!(
            f,
            "  rows called by a process after it was fenced: {}, {} of one at most",
            self.calls_of_fenced, self.most_calls_of_fenced
        )?;
        write!(
            f,
            "  {} segments; {} puts, {} gets, {} lists, {} other requests; faults: {} of Cognito",
            self.segments,
            self.puts,
            self.gets,
            self.lists,
            self.other_requests,
            self.emulator_faults
        )?;
        for (fault, count) in &self.faults {
            write!(f, ", {count} {fault}")?;
        }
        Ok(())
    }
}
