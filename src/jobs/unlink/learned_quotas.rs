//! The quotas that a run reads from earlier runs and saves for later ones.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::aws::AwsCalls;
use crate::report::{Style, notice, paced};
use crate::saved_quotas::{Quotas, by_region};
use crate::settings::Settings;
use crate::terminal::printable;

/// The quotas of one endpoint and account, by Region.
#[derive(Debug)]
pub(super) struct LearnedQuotas {
    /// The file of saved quotas, unless they are neither read nor saved.
    path: Option<PathBuf>,
    endpoint: String,
    /// Calls per second by Region, as saved by earlier runs.
    saved: HashMap<String, f64>,
    is_quiet: bool,
}

impl LearnedQuotas {
    /// Reads the quotas that earlier runs have saved. If the file cannot be read, the run continues without them.
    pub(super) async fn read(settings: &Settings, client: &AwsCalls) -> Self {
        let endpoint = client.endpoint_url().unwrap_or("AWS").to_owned();
        let mut quotas = Self {
            path: settings.quotas.clone(),
            endpoint,
            saved: HashMap::new(),
            is_quiet: settings.progress == Style::None,
        };
        let Some(path) = &quotas.path else {
            return quotas;
        };
        match Quotas::read(path) {
            // Finding the account loads credentials, so it is done only if it matters.
            Ok(file) if file.knows(&quotas.endpoint) => {
                let account = client.account().await;
                quotas.saved = by_region(file.of(&quotas.endpoint, &account));
            }
            Ok(_) => {}
            Err(error) => notice(&format!("{} is not used: {error}", path.display())),
        }
        quotas
    }

    /// Prints the quotas that earlier runs have saved.
    pub(super) fn report(&self) {
        let mut regions: Vec<_> = self.saved.iter().collect();
        regions.sort_by(|a, b| a.0.cmp(b.0));
        for (region, calls) in regions.into_iter().filter(|_| !self.is_quiet) {
            notice(&format!(
                "{}: an earlier run found a quota of about {}; this run starts near it.",
                printable(region),
                paced(*calls)
            ));
        }
    }

    /// Returns the calls per second that earlier runs have saved, by Region.
    pub(super) fn by_region(&self) -> HashMap<String, f64> {
        self.saved.clone()
    }

    /// Returns whether an earlier run has saved exactly this quota: a run that was throttled learns a quota of its own.
    pub(super) fn is_saved(&self, region: &str, calls_per_second: f64) -> bool {
        self.saved.get(region) == Some(&calls_per_second)
    }

    /// Saves the quotas that this run has learned.
    pub(super) async fn save(&self, client: &AwsCalls, learned: &[(String, f64)]) {
        let Some(path) = &self.path else { return };
        let changed: Vec<_> = learned
            .iter()
            .filter(|(region, calls)| !self.is_saved(region, *calls))
            .cloned()
            .collect();
        if changed.is_empty() {
            return;
        }
        let account = client.account().await;
        if let Err(error) = Quotas::save(path, &self.endpoint, &account, &changed) {
            notice(&format!(
                "the learned quota cannot be saved in {}: {error}",
                path.display()
            ));
        }
    }
}
