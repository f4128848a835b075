//! `--logins`: says what both ways cost, reads the inputs again, and looks up the logins of the identities of the rows that are left.

use std::sync::Arc;

use super::input_summary::InputSummary;
use super::left_links::{LeftLinks, LinkHasher, MAX_POOLS};
use super::left_rows::{LeftRows, for_each_left};
use super::logins::{LastLogins, Way};
use super::logins_cost::LoginCosts;
use super::logins_lookup::{LoginLookups, NoNumbers, Providers};
use super::online::{OnlineFindings, PoolFinding};
use crate::call::Client;
use crate::call::identity_lookup::IdentityLookup;
use crate::call::lookup::Lookup;
use crate::error::Error;
use crate::guard::AdmittedLookups;
use crate::guard::confirm::versions;
use crate::guard::hold::Holds;
use crate::input::Input;
use crate::jobs::unlink::UnlinkOutcome;
use crate::operation::OperationQuotas;
use crate::report::{LookupProgress, Style, notice};
use crate::settings::Settings;

/// Checks that the inputs can be read again.
///
/// # Errors
/// One of them is a pipe.
pub(super) fn check_inputs(settings: &Settings) -> Result<(), Error> {
    if settings.inputs.iter().all(Input::can_be_read_again) {
        return Ok(());
    }
    Err(
        Error::usage("--logins: the input is read several times, which a pipe does not allow")
            .hint("Write the rows to a file first."),
    )
}

/// What the look-ups need to know.
#[derive(Debug)]
pub(super) struct LoginsQuestion<'a> {
    pub(super) way: Way,
    pub(super) settings: &'a Settings,
    pub(super) holds: Option<Arc<Holds>>,
    pub(super) input: &'a InputSummary,
    pub(super) online: &'a OnlineFindings,
    pub(super) learned: &'a OperationQuotas,
}

impl LoginsQuestion<'_> {
    /// Looks the logins up. If that fails, `problems` gets the reason, and there are no numbers.
    ///
    /// # Errors
    /// The inputs or the results cannot be read again.
    pub(super) async fn answer<C: Lookup + Client + IdentityLookup>(
        self,
        lookups: AdmittedLookups<C>,
        problems: &mut Vec<String>,
    ) -> Result<Option<LastLogins>, Error> {
        let Self {
            way,
            settings,
            input,
            learned,
            ..
        } = self;
        let before = versions(&settings.inputs);
        let scan = settings.scan::<UnlinkOutcome>(self.holds.clone())?;
        let mut left = LeftLinks::with_capacity(self.hasher()?, input.left);
        for_each_left(settings, &scan, |[identity, pool, _, user]| {
            left.add(pool, identity, user);
        })?;
        left.sort();
        if settings.progress != Style::None {
            let pools = left.hasher().pools().iter().map(|id| &**id);
            let identities = pools.zip(left.identities_by_pool());
            let costs = LoginCosts::new(identities, &settings.limits, learned);
            notice(&format!("Last logins: {}", costs.words()));
        }
        let mut progress = LookupProgress::new(settings.progress);
        let lookups = LoginLookups::new(Arc::new(lookups), left, self.providers());
        let found = match way {
            Way::Each => {
                let rows = LeftRows::new(settings, &scan);
                lookups.each(rows, &mut progress).await
            }
            Way::List => lookups.list(&mut progress).await,
        };
        progress.finish();
        match found {
            Ok(_) if versions(&settings.inputs) != before => {
                problems.push(
                    "the last logins are not known: an input was changed while they were looked up"
                        .to_owned(),
                );
                Ok(None)
            }
            Ok(found) => Ok(Some(found)),
            Err(NoNumbers::NotLookedUp(reason)) => {
                problems.push(format!("the last logins could not be looked up ({reason})"));
                Ok(None)
            }
            Err(NoNumbers::Unreadable(error)) => Err(error),
        }
    }

    fn hasher(&self) -> Result<LinkHasher, Error> {
        let pools: Vec<String> = self.input.pools.keys().cloned().collect();
        if pools.len() > MAX_POOLS {
            return Err(Error::usage(format!(
                "--logins: there are {} pools, and {MAX_POOLS} at most can be told apart",
                pools.len()
            )));
        }
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| {
            Error::usage(format!(
                "the operating system gives no random numbers: {error}"
            ))
        })?;
        Ok(LinkHasher::new(key, pools))
    }

    /// Returns the developer provider of each pool, by its description or else by its rows.
    fn providers(&self) -> Providers {
        let pools = self.input.pools.iter().map(|(id, rows)| {
            let described = match self.online.pools.get(id) {
                Some(PoolFinding::Found(pool)) => pool.developer_provider_name.clone(),
                _ => None,
            };
            let names = match described {
                Some(name) => [name].into(),
                None => rows.developer_provider_names.clone(),
            };
            (id.clone(), Arc::new(names))
        });
        pools.collect()
    }
}
