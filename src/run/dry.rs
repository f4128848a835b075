//! The dry run: everything is read and judged, and nothing is called.

use tokio::time::Instant;

use super::{Holding, ending, not_allowed, peek, unreadable};
use crate::error::Error;
use crate::hold::Print;
use crate::input::{self, Read};
use crate::outcome::Outcome;
use crate::report::{Report, Style, Tally, counted, notice};
use crate::settings::Settings;

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
    let held = |user: &str| holding.is_some_and(|holding| holding.holds.hold(Print::of(user)));
    for input in &settings.inputs {
        for read in input::open(input, &settings.input).map_err(|error| unreadable(&error))? {
            tally.read += 1;
            match read.map_err(|error| unreadable(&error))? {
                Read::Row(row) if past.skips(keyer.key(&row.link)) => tally.skipped += 1,
                Read::Row(row) if held(&row.link.developer_user_identifier) => {
                    tally.settle(Outcome::Held);
                }
                Read::Row(row) => {
                    let pool = &row.link.identity_pool_id;
                    if let Some(why) = settings.guards.allowed.refuses_pool(pool) {
                        return Err(not_allowed(&why, &row.position));
                    }
                    tally.left += 1;
                }
                Read::Invalid(row) => {
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
    Ok(ending::dry_report(settings, tally, began.elapsed()))
}
