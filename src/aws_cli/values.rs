//! Values of options, given as text or by the name of a file.

use std::io;
use std::path::Path;

use super::failure::failed;
use crate::error::Error;

/// The value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Text.
    Text(String),
    /// Content of a `fileb://` file.
    Bytes(Vec<u8>),
    /// A JSON value other than a string, as text.
    Json(String),
}

/// Returns the value of `text`: itself, or the content of the file that it names.
///
/// # Errors
/// The file cannot be read, or `text` is a URL, which is not fetched.
pub(super) fn resolve(option: &str, text: &str, follow_urls: bool) -> Result<Value, Error> {
    let is_url = ["http://", "https://"].iter().any(|s| text.starts_with(s));
    if follow_urls && is_url {
        return Err(failed(format!(
            "Error parsing parameter '{option}': a value that is a URL would be fetched by the AWS CLI, and is not fetched here. \
             Put it into a file and name that with file://, or set cli_follow_urlparam = false in the profile to have it taken as \
             it is."
        )));
    }
    if let Some(path) = text.strip_prefix("file://") {
        return read_text(option, text, path).map(Value::Text);
    }
    if let Some(path) = text.strip_prefix("fileb://") {
        return read(option, text, path).map(Value::Bytes);
    }
    Ok(Value::Text(text.to_owned()))
}

/// Returns the text of `--cli-input-json`.
///
/// # Errors
/// It names a file that cannot be read, or that is neither UTF-8 nor UTF-16 with a byte order mark.
pub(super) fn json(text: &str) -> Result<String, Error> {
    let option = "--cli-input-json";
    if let Some(path) = text.strip_prefix("file://") {
        return read_text(option, text, path);
    }
    let Some(path) = text.strip_prefix("fileb://") else {
        return Ok(text.to_owned());
    };
    let bytes = read(option, text, path)?;
    let units = |from: fn([u8; 2]) -> u16| -> Vec<u16> {
        let pairs = bytes[2..].chunks_exact(2);
        pairs.map(|pair| from([pair[0], pair[1]])).collect()
    };
    let decoded = match &bytes[..] {
        [0xff, 0xfe, ..] => String::from_utf16(&units(u16::from_le_bytes)).ok(),
        [0xfe, 0xff, ..] => String::from_utf16(&units(u16::from_be_bytes)).ok(),
        [0xef, 0xbb, 0xbf, utf8 @ ..] | utf8 => String::from_utf8(utf8.to_vec()).ok(),
    };
    decoded.ok_or_else(|| failed(format!("{option}: {text} is not in UTF-8 or UTF-16")))
}

fn read(option: &str, text: &str, path: &str) -> Result<Vec<u8>, Error> {
    let path = expand(path, |name| std::env::var(name).ok());
    std::fs::read(Path::new(&path)).map_err(|error| {
        let why = match error.kind() {
            io::ErrorKind::NotFound => "No such file or directory".to_owned(),
            io::ErrorKind::IsADirectory => "Is a directory".to_owned(),
            _ => error.to_string(),
        };
        failed(format!(
            "Error parsing parameter '{option}': Unable to load paramfile {text}: {why}: '{path}'"
        ))
    })
}

/// Reads a file as Python reads text: every line end becomes a line feed.
fn read_text(option: &str, text: &str, path: &str) -> Result<String, Error> {
    let content = String::from_utf8(read(option, text, path)?).map_err(|_| {
        failed(format!(
            "Error parsing parameter '{option}': Unable to load paramfile ({path}), text contents could not be decoded. If this is \
             a binary file, please use the fileb:// prefix instead of the file:// prefix."
        ))
    })?;
    Ok(content.replace("\r\n", "\n").replace('\r', "\n"))
}

/// Expands `~`, `$NAME` and `${NAME}` in a path; an unset variable stays as it is.
fn expand(path: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let home = path
        .strip_prefix('~')
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))
        .and_then(|rest| Some(variable("HOME")? + rest));
    let path = home.unwrap_or_else(|| path.to_owned());
    let mut out = String::with_capacity(path.len());
    let mut rest = path.as_str();
    while let Some(at) = rest.find('$') {
        let (before, dollar) = rest.split_at(at);
        out.push_str(before);
        let (name, length) = variable_name(&dollar[1..]);
        let length = length + 1;
        match variable(name).filter(|_| !name.is_empty()) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&dollar[..length]),
        }
        rest = &dollar[length..];
    }
    out + rest
}

/// Returns the variable's name after a `$`, and the length of the text that names it.
fn variable_name(behind: &str) -> (&str, usize) {
    if let Some(braced) = behind.strip_prefix('{') {
        let end = braced.find('}');
        return end.map_or(("", 0), |end| (&braced[..end], end + 2));
    }
    let ends = |c: char| !c.is_ascii_alphanumeric() && c != '_';
    let end = behind.find(ends).unwrap_or(behind.len());
    (&behind[..end], end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_expanded_as_a_shell_would() {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/x".to_owned()),
            "A" => Some("1".to_owned()),
            _ => None,
        };
        for (path, expected) in [
            ("~", "/home/x"),
            ("~/a", "/home/x/a"),
            ("~b/a", "~b/a"),
            ("a~", "a~"),
            ("$HOME/a", "/home/x/a"),
            ("${A}b$A", "1b1"),
            ("$Ab", "$Ab"),
            ("$NOPE/${NOPE}/$/${A", "$NOPE/${NOPE}/$/${A"),
            ("é$A日", "é1日"),
            ("", ""),
        ] {
            assert_eq!(expand(path, variable), expected, "{path}");
        }
    }
}
