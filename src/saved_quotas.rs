//! Quotas that earlier runs have measured, so that the next run starts near them.
//!
//! They are kept in one small file in the user's state directory (XDG): calls per second by endpoint, account, Region and
//! operation. The file holds nothing of any row. It is only a hint: a run that cannot read or write it continues without it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::clock;
use crate::files;
use crate::operation::{Operation, OperationQuotas};
use etcetera::BaseStrategy;
use etcetera::base_strategy::Xdg;
use serde::{Deserialize, Serialize};

/// Quotas kept in the file. Beyond them the oldest are dropped.
const MAX_QUOTAS: usize = 100;

/// Version of the file. A file of version 1 is read too: its quotas name no operation and are all of
/// `UnlinkDeveloperIdentity`. The program that wrote it must not read this version, or it would take a look-up's quota for that.
const VERSION: u32 = 2;

/// The quotas of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quotas {
    version: u32,
    quotas: Vec<Quota>,
}

/// The measured quota of an operation in a Region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quota {
    /// URL of the endpoint, or `AWS`.
    pub endpoint: String,
    /// Account id, or `unknown`. AWS counts quotas by account.
    pub account: String,
    /// Region.
    pub region: String,
    /// Operation. A version of the program may know more of them than another.
    #[serde(default = "operation_of_version_1")]
    operation: String,
    /// Calls per second.
    pub calls_per_second: f64,
    /// Time of the measurement: RFC 3339, UTC.
    pub measured_at: String,
}

fn operation_of_version_1() -> String {
    Operation::UnlinkDeveloperIdentity.to_string()
}

impl Quota {
    /// Returns its operation, if this version of the program calls it.
    #[must_use]
    pub fn operation(&self) -> Option<Operation> {
        Operation::from_name(&self.operation)
    }
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
        match read.version {
            1 | VERSION => Ok(Self {
                version: VERSION,
                ..read
            }),
            _ => Err(io::Error::other("it is of another version")),
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

    /// Saves quotas that were just measured, in place of those of the same Regions and operations.
    ///
    /// # Errors
    /// The file or its folder cannot be written.
    pub fn save(
        path: &Path,
        endpoint: &str,
        account: &str,
        measured: &OperationQuotas,
    ) -> io::Result<()> {
        // A file that cannot be read is replaced.
        let mut all = Self::read(path).unwrap_or_default();
        let now = clock::rfc3339_seconds(SystemTime::now()).to_string();
        for ((region, operation), calls) in measured {
            let same = |quota: &Quota| {
                (&*quota.endpoint, &*quota.account) == (endpoint, account)
                    && (&quota.region, &*quota.operation) == (region, operation.as_str())
            };
            all.quotas.retain(|quota| !same(quota));
            all.quotas.push(Quota {
                endpoint: endpoint.to_owned(),
                account: account.to_owned(),
                region: region.clone(),
                operation: operation.to_string(),
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

/// Returns calls per second by Region and operation.
#[must_use]
pub fn by_operation<'a>(quotas: impl Iterator<Item = &'a Quota>) -> OperationQuotas {
    let by_operation = |quota: &Quota| {
        let key = (quota.region.clone(), quota.operation()?);
        Some((key, quota.calls_per_second))
    };
    quotas.filter_map(by_operation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    use Operation::{DescribeIdentityPool, UnlinkDeveloperIdentity};

    fn measured(region: &str, operation: Operation, calls: f64) -> OperationQuotas {
        [((region.to_owned(), operation), calls)].into()
    }

    fn quota(operation: &str, calls_per_second: f64) -> Quota {
        Quota {
            endpoint: "AWS".into(),
            account: "1".into(),
            region: "r".into(),
            operation: operation.into(),
            calls_per_second,
            measured_at: String::new(),
        }
    }

    #[test]
    fn a_new_measurement_replaces_only_that_of_its_region_and_operation() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("below").join("quotas.json");
        assert_eq!(Quotas::read(&path).expect("empty"), Quotas::default());
        for (endpoint, account, region, operation, calls) in [
            ("AWS", "1", "eu-west-1", UnlinkDeveloperIdentity, 10.0),
            ("AWS", "2", "eu-west-1", UnlinkDeveloperIdentity, 20.0),
            ("AWS", "1", "us-east-1", UnlinkDeveloperIdentity, 30.0),
            ("AWS", "1", "eu-west-1", DescribeIdentityPool, 5.0),
            ("AWS", "1", "eu-west-1", UnlinkDeveloperIdentity, 40.127),
        ] {
            let measured = measured(region, operation, calls);
            Quotas::save(&path, endpoint, account, &measured).expect("written");
        }
        let read = Quotas::read(&path).expect("whole");
        let expected = [
            ("eu-west-1", UnlinkDeveloperIdentity, 40.13),
            ("eu-west-1", DescribeIdentityPool, 5.0),
            ("us-east-1", UnlinkDeveloperIdentity, 30.0),
        ];
        assert_eq!(
            by_operation(read.of("AWS", "1")),
            expected
                .map(|(region, operation, calls)| ((region.to_owned(), operation), calls))
                .into()
        );
        assert!(read.knows("AWS") && !read.knows("http://localhost"));
        let files = fs::read_dir(path.parent().expect("a folder"))
            .expect("listed")
            .count();
        assert_eq!(files, 1);
    }

    #[test]
    fn a_file_of_version_1_has_quotas_of_unlinks() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("quotas.json");
        let quota = r#""endpoint": "AWS", "account": "1", "calls_per_second": 46.2, "measured_at": "2026-11-23T09:30:00Z""#;
        let old = format!(r#"{{"version": 1, "quotas": [{{"region": "r", {quota}}}]}}"#);
        fs::write(&path, old).expect("written");
        let read = || by_operation(Quotas::read(&path).expect("whole").of("AWS", "1"));
        let unlinks = measured("r", UnlinkDeveloperIdentity, 46.2);
        assert_eq!(read(), unlinks);
        Quotas::save(&path, "AWS", "1", &measured("r", DescribeIdentityPool, 5.0))
            .expect("written");
        let text = fs::read_to_string(&path).expect("text");
        assert!(text.contains("\"version\": 2"), "{text}");
        let mut both = unlinks;
        both.extend(measured("r", DescribeIdentityPool, 5.0));
        assert_eq!(read(), both);
    }

    #[test]
    fn an_unknown_operation_is_kept_and_not_used() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("quotas.json");
        let newer = quota("DeleteIdentities", 10.0);
        let quotas = Quotas {
            version: VERSION,
            quotas: vec![newer.clone()],
        };
        quotas.write(&path).expect("written");
        let learned = measured("r", UnlinkDeveloperIdentity, 46.2);
        Quotas::save(&path, "AWS", "1", &learned).expect("written");
        let read = Quotas::read(&path).expect("whole");
        assert_eq!(by_operation(read.of("AWS", "1")), learned);
        assert!(read.quotas.contains(&newer), "{read:?}");
    }

    #[test]
    fn the_oldest_quotas_are_dropped_and_a_foreign_file_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("quotas.json");
        fs::write(&path, "{\"version\":3,\"quotas\":[]}").expect("written");
        assert!(Quotas::read(&path).is_err());
        for n in 0..=MAX_QUOTAS {
            let measured = measured("r", UnlinkDeveloperIdentity, 1.0);
            Quotas::save(&path, &format!("http://{n}"), "unknown", &measured).expect("written");
        }
        let read = Quotas::read(&path).expect("whole");
        assert!(!read.knows("http://0") && read.knows("http://1"));
        assert_eq!(read.quotas.len(), MAX_QUOTAS);
    }

    #[test]
    fn an_implausible_quota_is_ignored() {
        for wrong in [0.0, -1.0, 1e9] {
            let quotas = Quotas {
                version: VERSION,
                quotas: vec![quota("UnlinkDeveloperIdentity", wrong)],
            };
            assert_eq!(quotas.of("AWS", "1").count(), 0, "{wrong}");
        }
    }
}
