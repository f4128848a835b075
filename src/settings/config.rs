//! Defaults that a team keeps beside its runs, in `cognito-unlink.toml`: what a run may touch, its rate, its hold lists.

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use toml::{Spanned, Value};

use crate::admission::Rate;
use crate::error::Error;
use crate::files::Identity;
use crate::guard::Allowed;
use crate::row::Field;

/// Name of the file that is looked for in the working directory.
pub const NAME: &str = "cognito-unlink.toml";

const ACCOUNTS: &str = "allowed-accounts";
const REGIONS: &str = "allowed-regions";
const POOLS: &str = "allowed-pools";

/// Maximum size in bytes. A longer file is refused: reading a part of it could miss allowed pools or hold lists.
const MAX_SIZE: u64 = 1 << 20;

/// The content of a configuration file. Paths are relative to the file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// Accounts, Regions and pools that a run may touch.
    pub allowed: Allowed,
    /// `rate`
    pub rate: Option<Rate>,
    /// `hold`
    pub hold: Vec<PathBuf>,
    /// `carry`
    pub carry: Vec<String>,
}

/// The file as it is parsed. Each value is checked once its key is known, so that an error names key and line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    allowed_accounts: Option<Spanned<Value>>,
    allowed_regions: Option<Spanned<Value>>,
    allowed_pools: Option<Spanned<Value>>,
    rate: Option<Spanned<Value>>,
    hold: Option<Spanned<Value>>,
    carry: Option<Spanned<Value>>,
}

impl Config {
    /// Reads the named file, or else the one in the working directory, if there is one.
    ///
    /// # Errors
    /// The named file does not exist, or a file cannot be read or parsed.
    pub fn find(named: Option<&Path>) -> Result<Self, Error> {
        let path = named.unwrap_or(Path::new(NAME));
        match read(path) {
            Ok(text) => Self::parse(&text, path),
            // A dangling link is a configuration that is missing, not one that was never meant to be there.
            Err(error)
                if error.kind() == ErrorKind::NotFound
                    && named.is_none()
                    && std::fs::symlink_metadata(path).is_err() =>
            {
                Ok(Self::default())
            }
            Err(error) => Err(Error::usage(format!(
                "the configuration {} cannot be read: {error}",
                path.display()
            ))),
        }
    }

    /// Returns a configuration that stands beside one of these files and is not this one. If a file is a link, the folder of its
    /// target counts too.
    #[must_use]
    pub fn passed_over<'a>(&self, files: impl IntoIterator<Item = &'a Path>) -> Option<PathBuf> {
        let identity = |path: &Path| Identity::at(path).ok();
        let in_effect = self.path.as_deref().and_then(identity);
        let beside = |file: &Path| {
            let real = fs::canonicalize(file).ok();
            let names = [Some(file.to_owned()), real].into_iter().flatten();
            names
                .map(|file| file.with_file_name(NAME))
                .collect::<Vec<_>>()
        };
        // A dangling link counts: its guards are missing.
        let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
        let is_other = |path: &PathBuf| in_effect.is_none() || identity(path) != in_effect;
        files
            .into_iter()
            .flat_map(beside)
            .find(|path| is_there(path) && is_other(path))
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let wrong = |at: Option<Range<usize>>, why: &str| {
            let before = at.and_then(|at| text.get(..at.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Error::usage(format!("{}:{line}: {why}", path.display()))
        };
        let table: Table = toml::from_str(text)
            .map_err(|error| wrong(error.span(), &error.message().replace('\n', ", ")))?;
        let of = |key, value: Option<Spanned<Value>>, rule: Rule| {
            let Some(value) = value else {
                return Ok(Vec::new());
            };
            checked(value.get_ref(), rule)
                .map_err(|why| wrong(Some(value.span()), &format!("{key}: {why}")))
        };
        let allowed = Allowed {
            source: path.to_owned(),
            accounts: of(ACCOUNTS, table.allowed_accounts, account)?,
            regions: of(REGIONS, table.allowed_regions, region)?,
            pools: of(POOLS, table.allowed_pools, pool)?,
        };
        let rate = table.rate.map(|value| {
            let as_written = text.get(value.span()).unwrap_or_default();
            rate(value.get_ref(), as_written)
                .map_err(|why| wrong(Some(value.span()), &format!("rate: {why}")))
        });
        let hold = of("hold", table.hold, file)?;
        Ok(Self {
            path: Some(path.to_owned()),
            allowed,
            rate: rate.transpose()?,
            hold: hold.iter().map(|name| path.with_file_name(name)).collect(),
            carry: of("carry", table.carry, |_| Ok(()))?,
        })
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    // Bounded, whatever size the system reports: a pipe has none, and a file may grow.
    file.take(MAX_SIZE + 1).read_to_end(&mut text)?;
    let read = text.len() as u64;
    if read <= MAX_SIZE {
        return String::from_utf8(text)
            .map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"));
    }
    Err(std::io::Error::other(format!(
        "it has {}{} bytes, and a configuration has {MAX_SIZE} at most. It is read whole or not at all; is this the right file?",
        if size > MAX_SIZE { "" } else { "more than " },
        size.max(MAX_SIZE)
    )))
}

/// Checks one string of a value.
type Rule = fn(&str) -> Result<(), String>;

/// Returns the strings of a value, which is a string or an array of strings, if each passes the rule.
fn checked(value: &Value, rule: Rule) -> Result<Vec<String>, String> {
    let text = |value: &Value| match value {
        Value::String(text) => rule(text).map(|()| text.clone()),
        other => Err(format!(
            "expected a string or an array of strings, found: {}",
            other.type_str()
        )),
    };
    match value {
        Value::Array(items) if items.is_empty() => {
            Err("expected at least one; leave the setting out to set nothing".to_owned())
        }
        Value::Array(items) => items.iter().map(text).collect(),
        value => text(value).map(|text| vec![text]),
    }
}

fn file(text: &str) -> Result<(), String> {
    (!text.is_empty())
        .then_some(())
        .ok_or_else(|| "expected a file".to_owned())
}

fn account(text: &str) -> Result<(), String> {
    let is_account = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    is_account
        .then_some(())
        .ok_or_else(|| format!("expected the twelve digits of an account, and not {text:?}"))
}

fn region(text: &str) -> Result<(), String> {
    let is_region = !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    is_region
        .then_some(())
        .ok_or_else(|| format!("expected a Region, as in us-east-1, and not {text:?}"))
}

fn pool(text: &str) -> Result<(), String> {
    let checked = Field::IdentityPoolId.check(text);
    checked.map_err(|error| error.message)
}

/// Returns the rate of a value. A number is parsed as written; hexadecimal, octal and binary numbers are refused.
fn rate(value: &Value, as_written: &str) -> Result<Rate, String> {
    let is_decimal = !["0x", "0o", "0b"]
        .iter()
        .any(|prefix| as_written.starts_with(prefix));
    match value {
        Value::String(text) => Rate::from_str(text),
        Value::Integer(_) | Value::Float(_) if is_decimal => {
            Rate::from_str(&as_written.replace('_', ""))
        }
        other => Err(format!(
            "expected a number or a string such as \"10/s\", found: {}",
            other.type_str()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(text, Path::new("team/cognito-unlink.toml")).map_err(|error| error.message)
    }

    #[test]
    fn every_setting_is_taken() {
        let config = parse(
            "# ours\n\
             allowed-accounts = [\"123456789012\"]\n\
             allowed-regions = \"us-east-1\"\n\
             allowed-pools = [\"us-east-1:1\", \"us-east-1:2\"]\n\
             rate = \"30/m\"\n\
             hold = [\"legal.txt\", \"/srv/holds.txt\"]\n\
             carry = \"ticket\"\n",
        )
        .expect("valid");
        assert_eq!(config.allowed.accounts, ["123456789012"]);
        assert_eq!(config.rate, Some(Rate::PerSecond(0.5)));
        assert_eq!(
            config.hold,
            [Path::new("team/legal.txt"), Path::new("/srv/holds.txt")]
        );
        assert_eq!(config.carry, ["ticket"]);
        let refused = |id| config.allowed.refuses_pool(id);
        assert_eq!(refused("us-east-1:2"), None);
        assert!(refused("us-east-1:3").is_some_and(|why| why.contains("allowed-pools")));
        assert!(refused("eu-west-1:1").is_some_and(|why| why.contains("allowed-regions")));
        assert_eq!(config.allowed.refuses_account("123456789012"), None);
        assert!(config.allowed.refuses_account("000000000000").is_some());
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(NAME);
        let most = usize::try_from(MAX_SIZE).expect("a size");
        let setting = "rate = 5\n";
        let fill = |size: usize| "#".repeat(size - setting.len() - 1) + "\n" + setting;
        std::fs::write(&path, fill(most)).expect("written");
        let config = Config::find(Some(&path)).expect("it is read");
        assert_eq!(config.rate, Some(Rate::PerSecond(5.0)));
        for size in [most + 1, most + 9, most * 2] {
            std::fs::write(&path, fill(size)).expect("written");
            let error = Config::find(Some(&path)).expect_err("it is longer");
            let message =
                format!("it has {size} bytes, and a configuration has {MAX_SIZE} at most");
            assert!(error.message.contains(&message), "{}", error.message);
        }
    }

    #[test]
    fn a_configuration_beside_a_file_is_passed_over_unless_it_is_in_effect() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = |name: &str| directory.path().join(name);
        for folder in ["job", "other", "none"] {
            fs::create_dir(path(folder)).expect("created");
        }
        fs::write(path("job/people.csv"), "").expect("written");
        fs::write(path("job/cognito-unlink.toml"), "rate = 1").expect("written");
        std::os::unix::fs::symlink("/nowhere", path("other/cognito-unlink.toml")).expect("a link");
        std::os::unix::fs::symlink(path("job/people.csv"), path("none/link.csv")).expect("a link");
        std::os::unix::fs::symlink(path("job"), path("alias")).expect("a link");
        let none = Config::default();
        let job = Config::find(Some(&path("alias/cognito-unlink.toml"))).expect("a configuration");
        for (config, file, found) in [
            (&none, "job/people.csv", Some("job/cognito-unlink.toml")),
            (&none, "job/absent.csv", Some("job/cognito-unlink.toml")),
            (&none, "none/link.csv", Some("job/cognito-unlink.toml")),
            (&none, "none/people.csv", None),
            (&none, "absent/people.csv", None),
            (&none, "other/people.csv", Some("other/cognito-unlink.toml")),
            (&job, "job/people.csv", None),
            (&job, "none/link.csv", None),
            (&job, "other/people.csv", Some("other/cognito-unlink.toml")),
        ] {
            let passed_over = config.passed_over([&*path(file)]);
            let real = |path: PathBuf| {
                let folder = path
                    .parent()
                    .and_then(|folder| fs::canonicalize(folder).ok());
                folder.expect("a folder").join(NAME)
            };
            assert_eq!(
                passed_over.map(real),
                found.map(|name| real(path(name))),
                "{file}"
            );
        }
    }

    #[test]
    fn what_is_not_set_bounds_nothing() {
        let config = parse("").expect("valid");
        assert_eq!(config.allowed.refuses_pool("eu-west-1:1"), None);
        assert_eq!(config.allowed.refuses_account("000000000000"), None);
        assert_eq!(
            parse("rate = 2.5").map(|c| c.rate),
            Ok(Some(Rate::PerSecond(2.5)))
        );
        assert_eq!(
            parse("rate = 20").map(|c| c.rate),
            Ok(Some(Rate::PerSecond(20.0)))
        );
        assert_eq!(
            parse("rate = \"unlimited\"").map(|c| c.rate),
            Ok(Some(Rate::Unlimited))
        );
    }

    #[test]
    fn errors_name_their_line() {
        for (text, line, expected) in [
            (
                "\nallowed-acounts = []",
                2,
                "unknown field `allowed-acounts`, expected one of `allowed-accounts`",
            ),
            ("holds = \"x\"", 1, "`hold`"),
            ("allowed_pools = \"x\"", 1, "`allowed-pools`"),
            ("colour = 1", 1, "expected one of `allowed-accounts`"),
            ("[run]\nrate = 1", 1, "unknown field `run`"),
            ("rate = true", 1, "rate: expected a number"),
            ("\n\nrate = 0", 3, "rate: "),
            ("rate = \"fast\"", 1, "rate: "),
            ("rate = 0x10", 1, "rate: expected a number"),
            ("hold = 1", 1, "hold: expected a string"),
            ("hold = \"\"", 1, "hold: expected a file"),
            ("carry = [\"a\", 2]", 1, "carry: expected a string"),
            (
                "allowed-accounts = [1]",
                1,
                "allowed-accounts: expected a string",
            ),
            ("allowed-accounts = \"12\"", 1, "twelve digits"),
            ("allowed-regions = \"US east\"", 1, "expected a Region"),
            ("allowed-pools = []", 1, "at least one"),
            ("allowed-pools = \"us-east-1\"", 1, "REGION:GUID"),
            ("rate = 1\nrate = 2", 2, "duplicate key"),
            ("rate = ", 1, ""),
        ] {
            let why = parse(text).expect_err(text);
            let begins = format!("team/cognito-unlink.toml:{line}: ");
            assert!(
                why.starts_with(&begins) && why.contains(expected),
                "{text}: {why}"
            );
        }
    }
}
