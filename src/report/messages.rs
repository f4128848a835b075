//! Messages to people on standard error; with a JSON log, each is an object of it.

use tracing::Level;

use super::log;
use crate::stderr::{self, Kind};
use crate::terminal::printable;

/// Writes a message, safe for a terminal.
pub fn notice(text: &str) {
    let level = if text.starts_with("Warning: ") {
        Level::WARN
    } else {
        Level::INFO
    };
    write(text, level);
}

/// Writes a message that needs attention.
pub fn warning(text: &str) {
    write(text, Level::WARN);
}

fn write(text: &str, level: Level) {
    if !log::emit(text, level) {
        write_safely(text);
    }
}

/// Writes the reason why the program fails.
pub fn complaint(text: &str) {
    if !log::emit(text, Level::ERROR) {
        write_safely(&format!("error: {text}"));
    }
}

/// Writes lines with everything escaped that could command a terminal.
pub(super) fn write_safely(text: &str) {
    let text = text.lines().map(printable).collect::<Vec<_>>().join("\n");
    stderr::line(Kind::Notice, &text);
}
