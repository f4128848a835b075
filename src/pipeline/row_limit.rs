//! `--limit` and `--for`: so many rows are called, or for so long, and no more.

use tokio::time::{Instant, sleep_until};

use super::worker::OpenRow;
use crate::guard::hold::{Holds, UserHashes};

/// Counts the rows that need a call. Those that need none, as they are done, invalid or held, use up nothing: with a limit's worth
/// of them in front, the same command would never get any further.
#[derive(Debug)]
pub(crate) struct Limit {
    most: Option<u64>,
    taken: u64,
}

impl Limit {
    pub(crate) fn of(most: Option<u64>) -> Self {
        Self { most, taken: 0 }
    }

    /// Whether the row may be taken; if so, it has used up a place. A row that is held stays so for the whole run. One that is
    /// held only while it waits has used up its place: the next run knows it beforehand.
    pub(crate) fn lets_pass(&mut self, row: &OpenRow, holds: Option<&Holds>) -> bool {
        let Some(most) = self.most else {
            return true;
        };
        let user = &row.row.link.developer_user_identifier;
        if holds.is_some_and(|holds| holds.hold(&UserHashes::of(user)).is_some()) {
            return true;
        }
        let passes = self.taken < most;
        self.taken += u64::from(passes);
        passes
    }
}

/// Waits for a time, or for ever.
pub(crate) async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}
