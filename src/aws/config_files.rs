//! The AWS files of this machine: `config` and `credentials`.
//!
//! The SDK skips a file that it cannot read or decode and goes on to other credentials, which may be another account's. So such
//! a file is refused before the SDK loads it.

use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use aws_config::profile::{self, ProfileFileLoadError, ProfileSet};

use super::describe::describe;

/// Variables that name the files, with the default path of each.
const FILES: [(&str, &str); 2] = [
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
];

/// The AWS files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// A file cannot be read.
    #[error("{}: {source}", path.display())]
    Unreadable {
        /// Its path.
        path: PathBuf,
        /// The error of reading it.
        source: io::Error,
    },
    /// A file is not UTF-8, or has a byte order mark.
    #[error("{} {fault}", path.display())]
    Encoding {
        /// Its path.
        path: PathBuf,
        /// The fault in the encoding, and the remedy.
        fault: String,
    },
    /// A file cannot be parsed. The SDK's error names it.
    #[error("{}", describe(.0))]
    Unparsable(#[source] ProfileFileLoadError),
}

/// Reads the AWS files with `profile` selected.
///
/// # Errors
/// A file cannot be read, decoded or parsed.
pub(super) async fn load_profiles(profile: &str) -> Result<ProfileSet, ConfigFileError> {
    for path in paths(|name| std::env::var_os(name)) {
        check(&path)?;
    }
    let (fs, env, files) = Default::default();
    profile::load(&fs, &env, &files, Some(profile.to_owned().into()))
        .await
        .map_err(ConfigFileError::Unparsable)
}

/// Returns the paths of the files, existing or not.
pub(super) fn paths(variable: impl Fn(&str) -> Option<OsString>) -> [PathBuf; 2] {
    let home = variable("HOME");
    FILES.map(|(name, usual)| {
        let path = variable(name).map_or_else(|| PathBuf::from(usual), PathBuf::from);
        match (path.strip_prefix("~"), &home) {
            (Ok(rest), Some(home)) => Path::new(home).join(rest),
            _ => path,
        }
    })
}

fn check(path: &Path) -> Result<(), ConfigFileError> {
    match std::fs::metadata(path) {
        // Reading a pipe would take its contents away from the SDK.
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => return Ok(()),
        // As in the AWS CLI, a missing file is an empty one.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        _ => {}
    }
    let path = path.to_owned();
    match std::fs::read(&path) {
        Err(source) => Err(ConfigFileError::Unreadable { path, source }),
        Ok(content) => match encoding_fault(&content) {
            Some(fault) => Err(ConfigFileError::Encoding { path, fault }),
            None => Ok(()),
        },
    }
}

/// Returns what is wrong with the encoding of a file, and how to correct it.
fn encoding_fault(content: &[u8]) -> Option<String> {
    let from = match content {
        [0xef, 0xbb, 0xbf, ..] => {
            return Some(
                "begins with a byte order mark: save it as UTF-8 without one (in PowerShell: Set-Content -Encoding ascii)"
                    .to_owned(),
            );
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16",
        _ if content.contains(&0) => "UTF-16LE",
        _ => {
            let fault = std::str::from_utf8(content).err()?;
            let before = &content[..fault.valid_up_to()];
            let line = before.split(|&byte| byte == b'\n').count();
            return Some(format!(
                "is not in UTF-8 (line {line}): convert it, e.g. with `iconv -f ISO-8859-1 -t UTF-8`"
            ));
        }
    };
    Some(format!(
        "is in UTF-16, as PowerShell's > writes it: convert it to UTF-8 with `iconv -f {from} -t UTF-8`, or write it with \
         Set-Content -Encoding ascii"
    ))
}

/// Parses `config` with `profile` selected, as the SDK parses `~/.aws/config`.
#[cfg(test)]
pub(super) async fn parsed(config: &str, profile: Option<&'static str>) -> ProfileSet {
    use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};

    let files = EnvConfigFiles::builder()
        .with_contents(EnvConfigFileKind::Config, config)
        .build();
    let (fs, env) = Default::default();
    profile::load(&fs, &env, &files, profile.map(Into::into))
        .await
        .expect("a valid file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_utf_8_is_read() {
        let utf16 = |mark: &[u8], text: &str| {
            let units = text.encode_utf16().flat_map(u16::to_le_bytes);
            mark.iter().copied().chain(units).collect::<Vec<u8>>()
        };
        let text = "[default]\nregion = eu-west-1\n";
        for (content, fault) in [
            (utf16(&[0xff, 0xfe], text), "in UTF-16"),
            (utf16(&[], text), "iconv -f UTF-16LE"),
            (vec![0xfe, 0xff, 0, b'['], "in UTF-16"),
            (b"\xef\xbb\xbf[default]\n".to_vec(), "byte order mark"),
            (b"[default]\n# caf\xe9\n".to_vec(), "not in UTF-8 (line 2)"),
        ] {
            let found = encoding_fault(&content).expect(fault);
            assert!(found.contains(fault), "{found}");
        }
        for content in ["", text, "# café\n"] {
            assert_eq!(encoding_fault(content.as_bytes()), None, "{content}");
        }
    }

    #[test]
    fn a_missing_file_is_empty_and_an_unreadable_one_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        check(&folder.path().join("none")).expect("empty");
        check(Path::new("/dev/null")).expect("not read");
        let error = check(folder.path()).expect_err("a folder").to_string();
        assert!(error.contains(&*folder.path().to_string_lossy()), "{error}");
    }

    #[test]
    fn the_files_are_where_the_environment_says() {
        let variable = |name: &str| {
            let value = match name {
                "HOME" => "/home/o",
                "AWS_CONFIG_FILE" => "~/elsewhere",
                _ => return None,
            };
            Some(OsString::from(value))
        };
        let expected = ["/home/o/elsewhere", "/home/o/.aws/credentials"];
        assert_eq!(paths(variable), expected.map(PathBuf::from));
    }
}
