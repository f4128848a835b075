//! What a run takes over from earlier ones about the quota, and leaves to later ones.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::aws::AwsCalls;
use crate::report::{Style, notice, paced};
use crate::saved_quotas::{Quotas, by_region};
use crate::settings::Settings;
use crate::terminal::printable;

/// The quotas of one endpoint and account.
#[derive(Debug)]
pub(super) struct Memory {
    /// Where they are kept, if they are.
    path: Option<PathBuf>,
    endpoint: String,
    known: HashMap<String, f64>,
    told: bool,
}

impl Memory {
    /// Looks up what is known. That nothing can be looked up is no reason not to run.
    pub(super) async fn of(settings: &Settings, calls: &AwsCalls) -> Self {
        let endpoint = calls.endpoint_url().unwrap_or("AWS").to_owned();
        let mut memory = Self {
            path: settings.quotas.clone(),
            endpoint,
            known: HashMap::new(),
            told: settings.progress != Style::None,
        };
        let Some(path) = &memory.path else {
            return memory;
        };
        match Quotas::read(path) {
            // The account takes asking for the credentials, so only if it matters.
            Ok(quotas) if quotas.knows(&memory.endpoint) => {
                let account = calls.account().await;
                memory.known = by_region(quotas.of(&memory.endpoint, &account));
            }
            Ok(_) => {}
            Err(error) => notice(&format!("{} is not used: {error}", path.display())),
        }
        memory
    }

    /// Says what is known.
    pub(super) fn tell(&self) {
        let mut regions: Vec<_> = self.known.iter().collect();
        regions.sort_by(|a, b| a.0.cmp(b.0));
        for (region, calls) in regions.into_iter().filter(|_| self.told) {
            notice(&format!(
                "An earlier run found that {} bears about {}; this one starts near that.",
                printable(region),
                paced(*calls)
            ));
        }
    }

    /// By Region, in calls a second.
    pub(super) fn quotas(&self) -> HashMap<String, f64> {
        self.known.clone()
    }

    /// Whether an earlier run has found just that: a run that is throttled finds something of its own.
    pub(super) fn knew(&self, region: &str, calls: f64) -> bool {
        self.known.get(region) == Some(&calls)
    }

    /// Keeps what was found.
    pub(super) async fn keep(&self, calls: &AwsCalls, found: &[(String, f64)]) {
        let Some(path) = &self.path else { return };
        let news: Vec<_> = found
            .iter()
            .filter(|(region, calls)| !self.knew(region, *calls))
            .cloned()
            .collect();
        if news.is_empty() {
            return;
        }
        let account = calls.account().await;
        if let Err(error) = Quotas::note(path, &self.endpoint, &account, &news) {
            notice(&format!(
                "the quota that was found cannot be kept in {}: {error}",
                path.display()
            ));
        }
    }
}
