//! The dry run: everything is read and judged, and nothing is called.

use tokio::time::Instant;

use super::{Holding, not_allowed, peek, summary, unreadable};
use crate::error::Error;
use crate::guard::hold::{Hold, Holds, UserHashes};
use crate::input::{self, Read};
use crate::pipeline::Tally;
use crate::report::{Report, Style, counted, notice};
use crate::results::SkipReason;
use crate::settings::Settings;
use crate::verdict::Outcome;

/// Invalid rows that a dry run names one by one.
const SHOWN: u64 = 20;

/// Reads and validates everything, and calls nothing. Rows that an earlier run has settled are skipped here too.
///
/// # Errors
/// An input or the results cannot be read, or a row may not be touched.
pub(super) fn run(settings: &Settings, holding: Option<&Holding>) -> Result<Report, Error> {
    let began = Instant::now();
    let (past, keyer) = peek(settings)?;
    let mut tally = Tally::default();
    let holds = holding.map(|holding| &*holding.holds);
    let see = |user: &str| holds.and_then(|holds| holds.match_row(&UserHashes::of(user)));
    for input in &settings.inputs {
        for read in input::open(input, &settings.input).map_err(|error| unreadable(&error))? {
            tally.read += 1;
            match read.map_err(|error| unreadable(&error))? {
                Read::Row(row) => {
                    let hold = see(&row.link.developer_user_identifier);
                    match (past.skips(keyer.key(&row.link)), hold) {
                        (Some(SkipReason::Done), _) => tally.skipped += 1,
                        (Some(SkipReason::Failed), _) => tally.failed_earlier += 1,
                        (None, Some(hold)) => {
                            tally.settle(Outcome::Held);
                            tally.near_holds += u64::from(hold == Hold::Near);
                        }
                        (None, None) => {}
                    }
                    if tally.adds_up() {
                        continue;
                    }
                    let pool = &row.link.identity_pool_id;
                    if let Some(why) = settings.guards.allowed.refuses_pool(pool) {
                        return Err(not_allowed(&why, &row.position));
                    }
                    tally.left += 1;
                }
                Read::Invalid(row) if row.is_unusual() && past.is_done(keyer.key(&row.link)) => {
                    see(&row.link.developer_user_identifier);
                    tally.skipped += 1;
                }
                Read::Invalid(row) => {
                    see(&row.link.developer_user_identifier);
                    tally.settle(Outcome::Invalid);
                    if settings.progress != Style::None && tally.of(Outcome::Invalid) <= SHOWN {
                        notice(&format!("{}: {}", row.position, row.fault.reason));
                    }
                }
            }
        }
    }
    if let more @ 1.. = tally.of(Outcome::Invalid).saturating_sub(SHOWN) {
        notice(&format!("and {}", counted(more, "more invalid row")));
    }
    let mut report = summary::dry_report(settings, tally, began.elapsed());
    report.unmatched_holds = holds.map(Holds::unmatched);
    Ok(report)
}
