//! The AWS files of this machine. The SDK passes over a file that it cannot read or decode, and goes on to other credentials;
//! here it is refused first.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use aws_config::profile::{self, ProfileSet};

use super::answer::told;

/// Variables that name the files, and where they are otherwise.
const FILES: [(&str, &str); 2] = [
    ("AWS_CONFIG_FILE", "~/.aws/config"),
    ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
];

/// Reads them as `profile` has them.
///
/// # Errors
/// One of them cannot be read, decoded or parsed; the error names it.
pub(super) async fn profiles(profile: &str) -> Result<ProfileSet, String> {
    for path in paths(|name| std::env::var_os(name)) {
        check(&path)?;
    }
    let (fs, env, files) = Default::default();
    let loaded = profile::load(&fs, &env, &files, Some(profile.to_owned().into())).await;
    loaded.map_err(|error| told(&error))
}

/// The paths of the files, whether they are there or not.
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

fn check(path: &Path) -> Result<(), String> {
    let name = path.display();
    match std::fs::metadata(path) {
        // Reading would take what is in a pipe away from the SDK.
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => return Ok(()),
        // As in the AWS CLI, a file that is not there is an empty one.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(());
        }
        _ => {}
    }
    let content = std::fs::read(path).map_err(|error| format!("{name}: {error}"))?;
    match encoding_fault(&content) {
        Some(fault) => Err(format!("{name} {fault}")),
        None => Ok(()),
    }
}

/// Returns what is wrong with the encoding of a file, and how to mend that.
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
    fn a_file_that_is_not_there_is_empty_and_one_that_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(check(&folder.path().join("none")), Ok(()));
        assert_eq!(check(Path::new("/dev/null")), Ok(()));
        let error = check(folder.path()).expect_err("it is a folder");
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
