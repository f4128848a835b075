//! Defaults that a team keeps beside its runs, in `cognito-unlink.toml`: what a run may touch, its rate, its hold lists.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use toml::de::{DeTable, DeValue};

use crate::admission::Rate;
use crate::error::Error;
use crate::guard::Allowed;
use crate::row::Field;

/// Name of the file that is looked for in the working directory.
pub const NAME: &str = "cognito-unlink.toml";

/// Longer is no configuration, and is refused: a part of it would leave out what the team allows, and whom it holds.
const LONGEST: u64 = 1 << 20;
/// Names that are this much alike, by Jaro, are taken for a slip of the pen.
const ALIKE: f64 = 0.7;

/// What a configuration file says. Paths in it are relative to itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// What a run may touch.
    pub allowed: Allowed,
    /// `rate`
    pub rate: Option<Rate>,
    /// `hold`
    pub hold: Vec<PathBuf>,
    /// `carry`
    pub carry: Vec<String>,
}

/// A setting that the file may hold, named as the option where there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    AllowedAccounts,
    AllowedRegions,
    AllowedPools,
    Rate,
    Hold,
    Carry,
}

impl Key {
    const ALL: [Self; 6] = [
        Self::AllowedAccounts,
        Self::AllowedRegions,
        Self::AllowedPools,
        Self::Rate,
        Self::Hold,
        Self::Carry,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::AllowedAccounts => "allowed-accounts",
            Self::AllowedRegions => "allowed-regions",
            Self::AllowedPools => "allowed-pools",
            Self::Rate => "rate",
            Self::Hold => "hold",
            Self::Carry => "carry",
        }
    }

    /// # Errors
    /// There is no setting of that name; says which one may have been meant.
    fn named(name: &str) -> Result<Self, String> {
        let alike = |key: &Self| strsim::jaro(name, key.name());
        if let Some(key) = Self::ALL.into_iter().find(|key| key.name() == name) {
            return Ok(key);
        }
        let nearest = Self::ALL
            .into_iter()
            .max_by(|a, b| alike(a).total_cmp(&alike(b)));
        if let Some(key) = nearest.filter(|key| alike(key) > ALIKE) {
            return Err(format!("there is no setting {name:?}; did you mean {key}?"));
        }
        let names = Self::ALL.map(Self::name).join(", ");
        Err(format!("there is no setting {name:?}; there are {names}"))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Config {
    /// Reads the file that is named, or the one in the working directory, if there is one.
    ///
    /// # Errors
    /// The file that is named is not there; one that is there cannot be read, or says something that is not understood.
    pub fn find(named: Option<&Path>) -> Result<Self, Error> {
        let path = named.unwrap_or(Path::new(NAME));
        match read(path) {
            Ok(text) => Self::parse(&text, path),
            // A link that leads nowhere is a configuration that is missed, and none that is not there.
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

    /// Returns a configuration that stands beside one of these files and is not this one. Where a file is a link, the folder of what it leads
    /// to counts as well.
    #[must_use]
    pub fn passed_over<'a>(&self, files: impl IntoIterator<Item = &'a Path>) -> Option<PathBuf> {
        let in_effect = self.path.as_deref().and_then(file_id);
        let beside = |file: &Path| {
            let real = fs::canonicalize(file).ok();
            let names = [Some(file.to_owned()), real].into_iter().flatten();
            names
                .map(|file| file.with_file_name(NAME))
                .collect::<Vec<_>>()
        };
        // A link that leads nowhere is a guard that is missed.
        let is_there = |path: &PathBuf| fs::symlink_metadata(path).is_ok();
        let is_other = |path: &PathBuf| in_effect.is_none() || file_id(path) != in_effect;
        files
            .into_iter()
            .flat_map(beside)
            .find(|path| is_there(path) && is_other(path))
    }

    fn parse(text: &str, path: &Path) -> Result<Self, Error> {
        let wrong = |at: Option<Range<usize>>, why: String| {
            let before = at.and_then(|at| text.get(..at.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Error::usage(format!("{}:{line}: {why}", path.display()))
        };
        let table = DeTable::parse(text)
            .map_err(|error| wrong(error.span(), error.message().replace('\n', ", ")))?;
        let mut config = Self {
            path: Some(path.to_owned()),
            allowed: Allowed {
                source: path.to_owned(),
                ..Allowed::default()
            },
            ..Self::default()
        };
        for (name, value) in table.get_ref() {
            let key = Key::named(name.get_ref()).map_err(|why| wrong(Some(name.span()), why))?;
            config
                .set(key, value.get_ref())
                .map_err(|why| wrong(Some(value.span()), format!("{key}: {why}")))?;
        }
        Ok(config)
    }

    fn set(&mut self, key: Key, value: &DeValue<'_>) -> Result<(), String> {
        let beside = |name: &str| self.path.as_ref().map(|path| path.with_file_name(name));
        match key {
            Key::AllowedAccounts => self.allowed.accounts = checked(value, account)?,
            Key::AllowedRegions => self.allowed.regions = checked(value, region)?,
            Key::AllowedPools => self.allowed.pools = checked(value, pool)?,
            Key::Rate => self.rate = Some(rate(value)?),
            Key::Hold => {
                let names = checked(value, |name| {
                    (!name.is_empty())
                        .then_some(())
                        .ok_or("expected a file".to_owned())
                })?;
                self.hold = names.iter().filter_map(|name| beside(name)).collect();
            }
            Key::Carry => self.carry = checked(value, |_| Ok(()))?,
        }
        Ok(())
    }
}

/// What tells whether two names are of one file.
fn file_id(path: &Path) -> Option<(u64, u64)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    let mut text = Vec::new();
    let file = std::fs::File::open(path)?;
    let size = file.metadata()?.len();
    // Whatever the size is told to be: a pipe has none, and a file may grow.
    file.take(LONGEST + 1).read_to_end(&mut text)?;
    let read = text.len() as u64;
    if read <= LONGEST {
        return String::from_utf8(text)
            .map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "it is not UTF-8"));
    }
    Err(std::io::Error::other(format!(
        "it has {}{} bytes, and a configuration has {LONGEST} at most. It is read whole or not at all; is this the right file?",
        if size > LONGEST { "" } else { "more than " },
        size.max(LONGEST)
    )))
}

/// A string, or an array of some, each of which keeps to a rule.
fn checked(
    value: &DeValue<'_>,
    rule: impl Fn(&str) -> Result<(), String>,
) -> Result<Vec<String>, String> {
    let expected = |other: &DeValue<'_>| {
        format!(
            "expected a string or an array of strings, and this is a {}",
            other.type_str()
        )
    };
    let texts: Vec<&str> = match value {
        DeValue::String(text) => vec![text],
        DeValue::Array(items) => items
            .iter()
            .map(|item| {
                item.get_ref()
                    .as_str()
                    .ok_or_else(|| expected(item.get_ref()))
            })
            .collect::<Result<_, _>>()?,
        other => return Err(expected(other)),
    };
    if texts.is_empty() {
        return Err("expected at least one; leave the setting out to set nothing".to_owned());
    }
    for text in &texts {
        rule(text)?;
    }
    Ok(texts.into_iter().map(str::to_owned).collect())
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
    checked.map_err(|fault| fault.reason)
}

fn rate(value: &DeValue<'_>) -> Result<Rate, String> {
    let text = match value {
        DeValue::String(text) => text.as_ref(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        DeValue::Float(number) => number.as_str(),
        other => {
            return Err(format!(
                "expected a number or a string such as \"10/s\", and this is a {}",
                other.type_str()
            ));
        }
    };
    Rate::from_str(text)
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
        let most = usize::try_from(LONGEST).expect("a size");
        let setting = "rate = 5\n";
        let fill = |size: usize| "#".repeat(size - setting.len() - 1) + "\n" + setting;
        std::fs::write(&path, fill(most)).expect("written");
        let config = Config::find(Some(&path)).expect("it is read");
        assert_eq!(config.rate, Some(Rate::PerSecond(5.0)));
        for size in [most + 1, most + 9, most * 2] {
            std::fs::write(&path, fill(size)).expect("written");
            let error = Config::find(Some(&path)).expect_err("it is longer");
            let told = format!("it has {size} bytes, and a configuration has {LONGEST} at most");
            assert!(error.message.contains(&told), "{}", error.message);
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
    fn what_is_wrong_is_told_with_its_line() {
        for (text, line, said) in [
            (
                "\nallowed-acounts = []",
                2,
                "did you mean allowed-accounts?",
            ),
            ("holds = \"x\"", 1, "did you mean hold?"),
            ("allowed_pools = \"x\"", 1, "did you mean allowed-pools?"),
            ("colour = 1", 1, "there are allowed-accounts"),
            ("[run]\nrate = 1", 1, "there is no setting \"run\""),
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
                why.starts_with(&begins) && why.contains(said),
                "{text}: {why}"
            );
        }
    }
}
