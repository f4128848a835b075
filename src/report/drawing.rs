//! A terminal for indicatif that passes its bar on as a line: drawing never waits for the real terminal.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};

use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::stderr;

/// Passes each line to `show`, and none when the bar is removed. The cursor's movements are left out: `show` decides where the
/// line goes.
pub(super) struct Drawing<F> {
    line: Mutex<String>,
    show: F,
}

/// Returns a bar with a line of text on standard error; it stays hidden unless it is to be shown.
pub(super) fn new_bar(is_shown: bool) -> ProgressBar {
    let bar = ProgressBar::hidden();
    if is_shown && !ProgressDrawTarget::stderr().is_hidden() {
        bar.set_length(0);
        let drawing = Box::new(Drawing::new(stderr::bar));
        bar.set_draw_target(ProgressDrawTarget::term_like_with_hz(drawing, 10));
    }
    let template = "{bar:8} {wide_msg}";
    bar.set_style(
        ProgressStyle::with_template(template)
            .expect("the template is well formed")
            .progress_chars("━╸─"),
    );
    bar
}

impl<F: Fn(Option<String>)> Drawing<F> {
    pub(super) fn new(show: F) -> Self {
        Self {
            line: Mutex::default(),
            show,
        }
    }
}

impl<F> fmt::Debug for Drawing<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drawing").finish_non_exhaustive()
    }
}

impl<F: Fn(Option<String>) + Send + Sync> TermLike for Drawing<F> {
    fn width(&self) -> u16 {
        Term::stderr().size().1
    }

    fn height(&self) -> u16 {
        Term::stderr().size().0
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.write_str(text)
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.push_str(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let line = std::mem::take(&mut *line);
        (self.show)(Some(line).filter(|line| !line.is_empty()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_drawing_is_one_line_without_cursor_movements() {
        let (show, shown) = mpsc::sync_channel(64);
        let drawing = Drawing::new(move |line| show.send(line).expect("the receiver is there"));
        let bar = ProgressBar::hidden();
        bar.set_draw_target(ProgressDrawTarget::term_like(Box::new(drawing)));
        bar.set_style(ProgressStyle::with_template("{wide_msg}").expect("a template"));
        bar.set_message("1 of 9");
        bar.set_message("2 of 9");
        bar.finish_and_clear();
        let shown: Vec<Option<String>> = shown.try_iter().collect();
        let shown: Vec<_> = shown
            .iter()
            .map(|line| line.as_deref().map(str::trim_end))
            .collect();
        assert_eq!(shown, [Some("1 of 9"), Some("2 of 9"), None]);
    }
}
