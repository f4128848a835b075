//! The log on standard error: each retry with `-v`, each call with `-vv`. Events of the SDK are left out: they would show users.
//!
//! A JSON log takes the messages to people as well, so that each line of standard error is an object.

use std::io::{self, Write};
use std::time::SystemTime;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, filter};

use super::human::counted;
use crate::clock;
use crate::stderr::{self, Kind};
use crate::terminal::{printable, printable_json};

/// Target of the messages to people. Only a JSON log takes them.
const MESSAGE: &str = "message";

/// Starts the log, if there is anything to log.
pub fn start(verbose: u8, json: bool) {
    stderr::set_dropped_message(if json { dropped_in_json } else { dropped });
    let level = match verbose {
        0 => None,
        1 => Some(Level::INFO),
        _ => Some(Level::DEBUG),
    };
    if level.is_some() || json {
        log(level, json);
    }
}

/// Returns the notice about messages that were dropped while standard error could not be written.
fn dropped(messages: u64) -> String {
    let messages = counted(messages, "message");
    format!("{messages} dropped: standard error could not be written for a while.")
}

/// Returns that notice as a line of a JSON log.
fn dropped_in_json(messages: u64) -> String {
    let now = clock::rfc3339_micros(SystemTime::now()).to_string();
    let line = serde_json::json!({"timestamp": now, "level": "WARN", "message": dropped(messages)});
    line.to_string()
}

/// Writes a message to the log, if that is JSON. Returns whether it is.
pub(super) fn emit(text: &str, level: Level) -> bool {
    if !tracing::enabled!(target: MESSAGE, Level::ERROR) {
        return false;
    }
    match level {
        Level::ERROR => tracing::error!(target: MESSAGE, "{text}"),
        Level::WARN => tracing::warn!(target: MESSAGE, "{text}"),
        _ => tracing::info!(target: MESSAGE, "{text}"),
    }
    true
}

/// Logs the causes of an error, with `-vv`.
pub fn causes(error: &dyn std::error::Error) {
    let mut cause = error.source();
    while let Some(error) = cause {
        tracing::debug!("caused by: {error}");
        cause = error.source();
    }
}

fn log(level: Option<Level>, json: bool) {
    let is_logged = filter::filter_fn(move |event| match event.target() {
        MESSAGE => json,
        target => {
            target.starts_with(env!("CARGO_CRATE_NAME"))
                && level.is_some_and(|level| *event.level() <= level)
        }
    });
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_target(false)
        .with_writer(Stderr { json });
    let layer: Box<dyn Layer<_> + Send + Sync> = if json {
        Box::new(layer.json().flatten_event(true).with_filter(is_logged))
    } else {
        Box::new(layer.with_filter(is_logged))
    };
    // Fails only if a log was started before; that one continues.
    let _ = tracing_subscriber::registry().with(layer).try_init();
}

/// Passes lines on to the thread that writes standard error.
struct Stderr {
    json: bool,
}

impl<'a> MakeWriter<'a> for Stderr {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line {
            kind: Kind::Log,
            json: self.json,
        }
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Line {
        let kind = match event.target() {
            MESSAGE => Kind::Notice,
            _ => Kind::Log,
        };
        Line {
            kind,
            json: self.json,
        }
    }
}

/// One line; the formatter writes it in one piece.
struct Line {
    kind: Kind,
    json: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = text.strip_suffix('\n').unwrap_or(&text);
        if self.json {
            stderr::line(self.kind, &printable_json(text));
        } else {
            stderr::line(self.kind, &printable(text));
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_messages_are_reported_in_both_formats() {
        let text = "1,200 messages dropped: standard error could not be written for a while.";
        assert_eq!(dropped(1200), text);
        let json: serde_json::Value = serde_json::from_str(&dropped_in_json(1200)).expect("JSON");
        assert_eq!(json["message"], text);
        assert_eq!(json["level"], "WARN");
        let time = json["timestamp"].as_str().expect("a time");
        assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
    }
}
