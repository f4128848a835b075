//! The quotas that a run reads from earlier runs and saves for later ones.

use std::path::PathBuf;

use crate::aws::AwsCalls;
use crate::operation::{Operation, OperationQuotas};
use crate::report::{Style, notice, paced, quota_name};
use crate::saved_quotas::{Quotas, by_operation};
use crate::settings::Settings;

/// The quotas of one endpoint and account.
#[derive(Debug)]
pub struct LearnedQuotas {
    /// The file of saved quotas, unless they are neither read nor saved.
    path: Option<PathBuf>,
    endpoint: String,
    /// As earlier runs have saved them.
    saved: OperationQuotas,
    is_quiet: bool,
}

impl LearnedQuotas {
    /// Reads the quotas that earlier runs have saved. If the file cannot be read, the run continues without them.
    pub async fn read(settings: &Settings, client: &AwsCalls) -> Self {
        let endpoint = client.endpoint_url().unwrap_or("AWS").to_owned();
        let mut quotas = Self {
            path: settings.quotas.clone(),
            endpoint,
            saved: OperationQuotas::new(),
            is_quiet: settings.progress == Style::None,
        };
        let Some(path) = &quotas.path else {
            return quotas;
        };
        match Quotas::read(path) {
            // Finding the account loads credentials, so it is done only if it matters.
            Ok(file) if file.knows(&quotas.endpoint) => {
                let account = client.account().await;
                quotas.saved = by_operation(file.of(&quotas.endpoint, &account));
            }
            Ok(_) => {}
            Err(error) => notice(&format!("{} is not used: {error}", path.display())),
        }
        quotas
    }

    /// Prints the quotas that earlier runs have saved.
    pub fn report(&self, job: Operation) {
        for ((region, operation), calls) in self.saved.iter().filter(|_| !self.is_quiet) {
            notice(&format!(
                "{}: an earlier run found a quota of about {}; this run starts near it.",
                quota_name(region, *operation, job),
                paced(*calls)
            ));
        }
    }

    /// Returns the quotas that earlier runs have saved.
    #[must_use]
    pub fn saved(&self) -> OperationQuotas {
        self.saved.clone()
    }

    /// Returns whether an earlier run has saved exactly this quota: a run that was throttled learns a quota of its own.
    #[must_use]
    pub fn is_saved(&self, key: &(String, Operation), calls_per_second: f64) -> bool {
        self.saved.get(key) == Some(&calls_per_second)
    }

    /// Saves the quotas that this run has learned.
    pub async fn save(&self, client: &AwsCalls, learned: &OperationQuotas) {
        let Some(path) = &self.path else { return };
        let mut changed = learned.clone();
        changed.retain(|key, calls| !self.is_saved(key, *calls));
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
