//! The dry run: every row is read and scanned, and nothing is called.

use std::sync::Arc;

use tokio::time::Instant;

use super::outcome::UnlinkOutcome;
use super::summary;
use crate::error::Error;
use crate::exit_policy;
use crate::guard::hold::{Hold, Holds};
use crate::input::{self, InputRow};
use crate::pipeline::Tally;
use crate::report::{Report, Style, counted, notice};
use crate::row::InvalidRow;
use crate::scan::Scanned;
use crate::settings::Settings;

/// Invalid rows that a dry run lists one by one.
const SHOWN: u64 = 20;

/// Reads and scans everything, and calls nothing.
///
/// # Errors
/// An input or the results cannot be read, or the pool of a row is not allowed.
pub(super) fn run(
    settings: &Settings,
    holds: Option<Arc<Holds>>,
) -> Result<Report<UnlinkOutcome>, Error> {
    let began = Instant::now();
    let scan = settings.scan::<UnlinkOutcome>(holds)?;
    let mut tally = Tally::default();
    for input in &settings.inputs {
        let rows = input::open(input, &settings.input);
        for read in rows.map_err(exit_policy::unreadable)? {
            tally.read += 1;
            match read.map_err(exit_policy::unreadable)? {
                InputRow::Valid(row) => match scan.link(&row.link) {
                    Scanned::Done => tally.skipped += 1,
                    Scanned::FailedEarlier => tally.failed_earlier += 1,
                    Scanned::Undone => {
                        tally.skipped += 1;
                        tally.undone_earlier += 1;
                    }
                    Scanned::Held(hold) => {
                        tally.settle(UnlinkOutcome::Held);
                        tally.near_holds += u64::from(hold == Hold::Near);
                    }
                    Scanned::Forbidden(_) => {
                        let why = scan.why_forbidden(&row.link);
                        return Err(exit_policy::forbidden(&why, &row.position));
                    }
                    Scanned::ToDo => tally.left += 1,
                },
                InputRow::Invalid(row) if scan.is_done_though_invalid(&row) => tally.skipped += 1,
                InputRow::Invalid(row) => {
                    tally.settle(UnlinkOutcome::Invalid);
                    show(settings, &tally, &row);
                }
            }
        }
    }
    if let more @ 1.. = tally.of(UnlinkOutcome::Invalid).saturating_sub(SHOWN) {
        notice(&format!("and {}", counted(more, "more invalid row")));
    }
    let mut report = summary::dry_report(settings, tally, began.elapsed());
    // Lines may match rows of other shards.
    let holds = scan.holds().filter(|_| settings.shard.is_none());
    report.unmatched_holds = holds.map(Holds::unmatched);
    Ok(report)
}

/// Prints an invalid row, if it is one of the first.
fn show(settings: &Settings, tally: &Tally<UnlinkOutcome>, row: &InvalidRow) {
    if settings.progress != Style::None && tally.of(UnlinkOutcome::Invalid) <= SHOWN {
        notice(&format!("{}: {}", row.position, row.error.message));
    }
}
