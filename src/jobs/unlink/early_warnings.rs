//! Warnings early in a run, when its first rows show that the input or the pool is probably wrong.

use super::outcome::UnlinkOutcome;
use crate::pipeline::Tally;
use crate::report::notice;

/// Replies after which the run warns if most say that there is nothing to unlink. Halved, a few old rows are enough for a warning;
/// doubled, the warning comes ten seconds later at 10 calls/s.
const JUDGED_REPLIES: u64 = 100;
/// Rows after which the run warns if most are invalid.
const JUDGED_ROWS: u64 = 1000;

/// Gives each warning at most once.
#[derive(Debug, Default)]
pub(super) struct EarlyWarnings {
    judged_replies: bool,
    judged_rows: bool,
}

impl EarlyWarnings {
    /// Warns if the counts so far call for it.
    pub(super) fn judge(&mut self, tally: &Tally<UnlinkOutcome>) {
        self.warn_of_nothing_linked(tally);
        self.warn_of_invalid(tally);
    }

    fn warn_of_nothing_linked(&mut self, tally: &Tally<UnlinkOutcome>) {
        let replies = tally.settled() - tally.unsent();
        if self.judged_replies || replies < JUDGED_REPLIES {
            return;
        }
        self.judged_replies = true;
        let nothing = tally.of(UnlinkOutcome::NotLinked);
        if nothing * 2 > replies {
            notice(&format!(
                "Warning: {nothing} of the first {replies} answers say that there is nothing to unlink. A wrong pool or \
                 an old export looks like this; --max-not-linked stops a run for it."
            ));
        }
    }

    fn warn_of_invalid(&mut self, tally: &Tally<UnlinkOutcome>) {
        if self.judged_rows || tally.read < JUDGED_ROWS {
            return;
        }
        self.judged_rows = true;
        let invalid = tally.of(UnlinkOutcome::Invalid);
        if invalid * 2 > tally.read {
            notice(&format!(
                "Warning: {invalid} of the first {read} rows are invalid. A wrong delimiter, encoding or column looks like \
                 this; see error_message in the results. --max-invalid halts a run for it.",
                read = tally.read
            ));
        }
    }
}
