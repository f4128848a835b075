//! The end of a JSON value.

use memchr::memchr;
use serde::de::IgnoredAny;

/// Finds the end of a JSON value by its brackets, in a text that grows.
#[derive(Default)]
pub(super) struct ValueScanner {
    /// The next byte.
    at: usize,
    depth: u32,
    is_quoted: bool,
    is_escaped: bool,
    /// Within a number or a word, which ends before the next delimiter.
    is_bare: bool,
}

impl ValueScanner {
    /// Scans on in `text`, which begins with the text of the previous call, and returns the end of the value if it is there.
    pub(super) fn find_end(&mut self, text: &[u8]) -> Option<usize> {
        while let Some(&byte) = text.get(self.at) {
            self.at += 1;
            if self.is_quoted {
                match byte {
                    _ if self.is_escaped => self.is_escaped = false,
                    b'\\' => self.is_escaped = true,
                    b'"' => {
                        self.is_quoted = false;
                        if self.depth == 0 {
                            return Some(self.at);
                        }
                    }
                    _ => {}
                }
                continue;
            }
            if self.is_bare
                && (byte.is_ascii_whitespace() || matches!(byte, b',' | b']' | b'}' | b':'))
            {
                return Some(self.at - 1);
            }
            match byte {
                b'"' => self.is_quoted = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(self.at);
                    }
                }
                _ if self.depth == 0 => self.is_bare = true,
                _ => {}
            }
        }
        None
    }

    /// Continues at the beginning of another text, because the text so far was consumed.
    pub(super) fn restart_text(&mut self) {
        self.at = 0;
    }
}

/// Returns whether a byte can begin a JSON value.
pub(super) fn begins_value(byte: u8) -> bool {
    matches!(
        byte,
        b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'
    )
}

/// Returns whether several objects were joined on the first line of a text: it begins with an object of at most `max_record` bytes, followed
/// by another one or by a comma.
pub(super) fn holds_joined_objects(text: &[u8], max_record: usize) -> bool {
    let line = &text[..memchr(b'\n', text).unwrap_or(text.len())];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if !line.starts_with(b"{") {
        return false;
    }
    let end = ValueScanner::default().find_end(line);
    let Some(end) = end.filter(|end| *end <= max_record) else {
        return false;
    };
    let is_space = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let rest = &line[end..];
    let mut rest = rest.iter().skip_while(is_space).peekable();
    let has_comma = rest.next_if(|byte| **byte == b',').is_some();
    let is_joined = match rest.find(|byte| !is_space(byte)) {
        None => has_comma,
        Some(byte) => *byte == b'{',
    };
    is_joined && serde_json::from_slice::<IgnoredAny>(&line[..end]).is_ok()
}
