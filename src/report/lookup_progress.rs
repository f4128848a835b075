//! Shows the progress of look-ups before a run on standard error, as that of a run.

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;

use super::drawing::new_bar;
use super::human::spoken;
use super::messages::notice;
use super::progress::{BETWEEN_LINES, Style};

/// Time before the time left is told: the first look-ups wait for connections.
const MEASURED_AFTER: Duration = Duration::from_secs(5);

/// Shows how many look-ups of a number are done.
#[derive(Debug)]
pub struct LookupProgress {
    style: Style,
    bar: ProgressBar,
    began: Instant,
    last_line: Instant,
}

impl LookupProgress {
    /// Creates the progress; shows nothing yet.
    #[must_use]
    pub fn new(style: Style) -> Self {
        let now = Instant::now();
        Self {
            style,
            bar: new_bar(style == Style::Bar),
            began: now,
            last_line: now,
        }
    }

    /// Shows that `done` of `all` are done. `line` gets the time left, where it is known, as the end of a line.
    pub fn show(&mut self, done: u64, all: u64, line: impl FnOnce(&str) -> String) {
        let is_due = self.last_line.elapsed() >= BETWEEN_LINES;
        if self.style == Style::None || self.style == Style::Plain && !is_due {
            return;
        }
        let left = time_left(self.began.elapsed(), done, all);
        let left = left.map(|left| format!(" · {} left", spoken(left)));
        let line = line(&left.unwrap_or_default());
        if self.style == Style::Bar {
            self.bar.set_length(all.max(1));
            self.bar.set_position(done);
            self.bar.set_message(line);
        } else {
            self.last_line = Instant::now();
            notice(&line);
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

// A bar that is not removed would stay on the terminal.
impl Drop for LookupProgress {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Returns how long the rest takes at the speed so far.
fn time_left(elapsed: Duration, done: u64, all: u64) -> Option<Duration> {
    if elapsed < MEASURED_AFTER || done == 0 {
        return None;
    }
    let seconds = elapsed.as_secs_f64() * (all.saturating_sub(done) as f64 / done as f64);
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_at_the_speed_so_far() {
        let seconds = Duration::from_secs;
        assert_eq!(time_left(seconds(10), 100, 400), Some(seconds(30)));
        assert_eq!(time_left(seconds(10), 400, 400), Some(Duration::ZERO));
        assert_eq!(time_left(seconds(10), 0, 400), None);
        assert_eq!(time_left(seconds(4), 100, 400), None);
    }
}
