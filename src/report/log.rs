//! The log on standard error: each retry with `-v`, each call with `-vv`. Ours alone: the SDK's would show users.
//!
//! Where the log is JSON, everything else that is said goes with it, so that each line of standard error is an object.

use std::io::{self, Write};

use indicatif::ProgressBar;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, filter};

use crate::terminal::{printable, printable_json};

/// What is said to people. Only a log in JSON takes it.
const SAID: &str = "said";

/// Starts logging, if anything is to be logged. Gives back the bar that it writes above, which nobody sees yet.
#[must_use]
pub fn start(verbose: u8, json: bool) -> ProgressBar {
    let bar = ProgressBar::hidden();
    let level = match verbose {
        0 => None,
        1 => Some(Level::INFO),
        _ => Some(Level::DEBUG),
    };
    if level.is_some() || json {
        log_above(bar.clone(), level, json);
    }
    bar
}

/// Says it in the log; or returns false, as the log is for people or there is none.
pub(super) fn said(text: &str, is_error: bool) -> bool {
    if !tracing::enabled!(target: SAID, Level::ERROR) {
        return false;
    }
    if is_error {
        tracing::error!(target: SAID, "{text}");
    } else {
        tracing::info!(target: SAID, "{text}");
    }
    true
}

fn log_above(bar: ProgressBar, level: Option<Level>, json: bool) {
    let ours = filter::filter_fn(move |event| match event.target() {
        SAID => json,
        target => {
            target.starts_with(env!("CARGO_CRATE_NAME"))
                && level.is_some_and(|level| *event.level() <= level)
        }
    });
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_writer(AboveBar { bar, json });
    let layer: Box<dyn Layer<_> + Send + Sync> = if json {
        Box::new(layer.json().flatten_event(true).with_filter(ours))
    } else {
        Box::new(layer.with_filter(ours))
    };
    // Only a second start could fail, and the first is as good.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// Writes lines to standard error without tearing the bar.
struct AboveBar {
    bar: ProgressBar,
    json: bool,
}

impl<'a> MakeWriter<'a> for AboveBar {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// One line on its way; the formatter writes it whole.
struct Line<'a>(&'a AboveBar);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        let safe = if self.0.json {
            printable_json(text)
        } else {
            printable(text).into_owned()
        };
        self.0
            .bar
            .suspend(|| writeln!(io::stderr().lock(), "{safe}"))?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
