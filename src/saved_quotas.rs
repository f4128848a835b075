//! Quotas that earlier runs have measured, so that the next run starts near them.
//!
//! They are kept in one small file in the user's state directory (XDG): calls per second by endpoint, account and Region. The file
//! holds nothing of any row. It is only a hint: a run that cannot read or write it continues without it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::clock;
use crate::files;
use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;
use serde::{Deserialize, Serialize};

/// Quotas kept in the file. Beyond them the oldest are dropped.
const MAX_QUOTAS: usize = 100;

/// Version of the file. A file of another version is not read.
const VERSION: u32 = 1;

/// The quotas of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quotas {
    version: u32,
    quotas: Vec<Quota>,
}

/// The measured quota of a Region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quota {
    /// URL of the endpoint, or `AWS`.
    pub endpoint: String,
    /// Account id, or `unknown`. AWS counts quotas by account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Calls per second.
    pub calls_per_second: f64,
    /// Time of the measurement: RFC 3339, UTC.
    pub measured_at: String,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            version: VERSION,
            quotas: Vec::new(),
        }
    }
}

impl Quotas {
    /// Returns `$XDG_STATE_HOME/cognito-unlink/quotas.json`, by default below `~/.local/state`; nothing without a home directory.
    #[must_use]
    pub fn path() -> Option<PathBuf> {
        let state = Xdg::new().ok()?.state_dir()?;
        Some(state.join("cognito-unlink").join("quotas.json"))
    }

    /// Reads a file. An absent file has no quotas.
    ///
    /// # Errors
    /// The file cannot be read, or is not of this form and version.
    pub fn read(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let read: Self = serde_json::from_slice(&text)?;
        if read.version == VERSION {
            Ok(read)
        } else {
            Err(io::Error::other("it is of another version"))
        }
    }

    /// Returns whether there is a quota of an endpoint.
    #[must_use]
    pub fn knows(&self, endpoint: &str) -> bool {
        self.quotas.iter().any(|quota| quota.endpoint == endpoint)
    }

    /// Returns the quotas of an account at an endpoint.
    pub fn of<'a>(
        &'a self,
        endpoint: &'a str,
        account: &'a str,
    ) -> impl Iterator<Item = &'a Quota> {
        self.at(endpoint)
            .filter(move |quota| quota.account == account)
    }

    /// Returns the plausible quotas of all accounts at an endpoint.
    pub fn at<'a>(&'a self, endpoint: &'a str) -> impl Iterator<Item = &'a Quota> {
        let plausible = |quota: &&Quota| {
            quota.calls_per_second.is_finite() && (1e-3..=1e6).contains(&quota.calls_per_second)
        };
        self.quotas
            .iter()
            .filter(move |quota| quota.endpoint == endpoint)
            .filter(plausible)
    }

    /// Saves quotas that were just measured, in place of those of the same Regions.
    ///
    /// # Errors
    /// The file or its folder cannot be written.
    pub fn save(
        path: &Path,
        endpoint: &str,
        account: &str,
        measured: &[(String, f64)],
    ) -> io::Result<()> {
        // A file that cannot be read is replaced.
        let mut all = Self::read(path).unwrap_or_default();
        let now = clock::rfc3339_seconds(SystemTime::now()).to_string();
        for (region, calls) in measured {
            let same = |quota: &Quota| {
                (&*quota.endpoint, &*quota.account, &*quota.region) == (endpoint, account, region)
            };
            all.quotas.retain(|quota| !same(quota));
            all.quotas.push(Quota {
                endpoint: endpoint.to_owned(),
                account: account.to_owned(),
                region: region.clone(),
                calls_per_second: (calls * 100.0).round() / 100.0,
                measured_at: now.clone(),
            });
        }
        let surplus = all.quotas.len().saturating_sub(MAX_QUOTAS);
        all.quotas.drain(..surplus);
        all.write(path)
    }

    /// Replaces the file atomically: another run may be reading it.
    fn write(&self, path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(folder)?;
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        // Private to the user, as files in the state directory usually are.
        files::replace(path, files::PRIVATE, &text)?;
        Ok(())
    }
}

/// Returns calls per second by Region.
#[must_use]
pub fn by_region<'a>(quotas: impl Iterator<Item = &'a Quota>) -> HashMap<String, f64> {
    quotas
        .map(|quota| (quota.region.clone(), quota.calls_per_second))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(region: &str, calls: f64) -> [(String, f64); 1] {
        [(region.to_owned(), calls)]
    }

    #[test]
    fn a_new_measurement_replaces_only_that_of_its_region() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("below").join("quotas.json");
        assert_eq!(Quotas::read(&path).expect("empty"), Quotas::default());
        for (endpoint, account, region, calls) in [
            ("AWS", "1", "eu-west-1", 10.0),
            ("AWS", "2", "eu-west-1", 20.0),
            ("AWS", "1", "us-east-1", 30.0),
            ("AWS", "1", "eu-west-1", 40.127),
        ] {
            Quotas::save(&path, endpoint, account, &measured(region, calls)).expect("written");
        }
        let read = Quotas::read(&path).expect("whole");
        let known = by_region(read.of("AWS", "1"));
        let expected = [("us-east-1", 30.0), ("eu-west-1", 40.13)];
        assert_eq!(
            known,
            expected
                .map(|(region, calls)| (region.to_owned(), calls))
                .into()
        );
        assert!(read.knows("AWS") && !read.knows("http://localhost"));
        let files = fs::read_dir(path.parent().expect("a folder"))
            .expect("listed")
            .count();
        assert_eq!(files, 1);
    }

    #[test]
    fn the_oldest_quotas_are_dropped_and_a_foreign_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("quotas.json");
        fs::write(&path, "{\"version\":2,\"quotas\":[]}").expect("written");
        assert!(Quotas::read(&path).is_err());
        for n in 0..=MAX_QUOTAS {
            Quotas::save(
                &path,
                &format!("http://{n}"),
                "unknown",
                &measured("r", 1.0),
            )
            .expect("written");
        }
        let read = Quotas::read(&path).expect("whole");
        assert!(!read.knows("http://0") && read.knows("http://1"));
        assert_eq!(read.quotas.len(), MAX_QUOTAS);
    }

    #[test]
    fn an_implausible_quota_is_ignored() {
        let quota = |calls_per_second| Quota {
            endpoint: "AWS".into(),
            account: "1".into(),
            region: "r".into(),
            calls_per_second,
            measured_at: String::new(),
        };
        for wrong in [0.0, -1.0, 1e9] {
            let quotas = Quotas {
                version: VERSION,
                quotas: vec![quota(wrong)],
            };
            assert_eq!(quotas.of("AWS", "1").count(), 0, "{wrong}");
        }
    }
}
