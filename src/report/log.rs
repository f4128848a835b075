//! The log on standard error: each retry with `-v`, each call with `-vv`. Ours alone: the SDK's would show users.

use std::io::{self, Write};

use indicatif::ProgressBar;
use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, filter};

use crate::terminal::{printable, printable_json};

/// Starts logging, if anything is to be logged.
pub fn start(verbose: u8, json: bool, bar: ProgressBar) {
    let level = match verbose {
        0 => return,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    let ours = filter::filter_fn(move |event| {
        event.target().starts_with(env!("CARGO_CRATE_NAME")) && *event.level() <= level
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
