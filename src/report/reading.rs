//! The progress of reading files: a bar on a terminal, a line every half minute elsewhere.

use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::drawing::Drawing;
use super::messages::notice;
use super::progress::Style;
use crate::stderr;

/// Time before the first sign of progress: most files are read within it.
const AT_FIRST: Duration = Duration::from_secs(1);
/// Time between two plain lines.
const BETWEEN_LINES: Duration = Duration::from_secs(30);

/// Shows how much of the files has been read.
#[derive(Debug)]
pub struct ReadingProgress {
    style: Style,
    bar: ProgressBar,
    began: Instant,
    last_line: Instant,
    total: u64,
    /// Returns an amount as text.
    amount: fn(u64) -> String,
}

impl ReadingProgress {
    /// Creates the progress of reading so many bytes; shows nothing yet.
    #[must_use]
    pub fn new(style: Style, total: u64) -> Self {
        let bar = ProgressBar::hidden();
        bar.set_length(total.max(1));
        let template = "{bar:8} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template)
                .expect("the template is well formed")
                .progress_chars("━╸─"),
        );
        let now = Instant::now();
        Self {
            style,
            bar,
            began: now,
            last_line: now,
            total,
            amount: |bytes| HumanBytes(bytes).to_string(),
        }
    }

    /// Creates the progress of reading segments of a log, whose number is found on the way; shows nothing yet.
    #[must_use]
    pub fn of_segments(style: Style) -> Self {
        let progress = Self::new(style, 0);
        let template = "{bar:8} {human_pos} of {human_len} segments of the results, {per_sec}";
        progress.bar.set_style(
            ProgressStyle::with_template(template)
                .expect("the template is well formed")
                .progress_chars("━╸─"),
        );
        Self {
            amount: |segments| format!("{} segments", HumanCount(segments)),
            ..progress
        }
    }

    /// Shows that so much of so much has been read.
    pub fn at_of(&mut self, read: u64, total: u64) {
        self.total = total;
        self.bar.set_length(total.max(1));
        self.at(read);
    }

    /// Shows that so much has been read.
    pub fn at(&mut self, read: u64) {
        let now = Instant::now();
        match self.style {
            Style::None => {}
            Style::Bar => {
                self.bar.set_position(read);
                if self.bar.is_hidden() && now > self.began + AT_FIRST {
                    let drawing = Box::new(Drawing::new(stderr::bar));
                    let target = ProgressDrawTarget::term_like_with_hz(drawing, 5);
                    self.bar.set_draw_target(target);
                }
            }
            Style::Plain => {
                if now > self.last_line + BETWEEN_LINES {
                    self.last_line = now;
                    let (read, total) = ((self.amount)(read), (self.amount)(self.total));
                    notice(&format!("Read {read} of {total}."));
                }
            }
        }
    }

    /// Removes the bar.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
