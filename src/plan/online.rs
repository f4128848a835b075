//! `--online`: looks up the caller and the pools, which changes nothing, and compares them with the rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::input_summary::InputSummary;
use crate::admission::Admission;
use crate::call::Client;
use crate::call::lookup::{Caller, IdentityPool, Lookup, LookupErrorKind};
use crate::guard::{AdmittedLookups, retried};
use crate::operation::{Operation, OperationQuotas};
use crate::row::region_of;
use crate::settings::{Guards, Settings};

/// The answers of AWS.
#[derive(Debug, Clone, Default)]
pub struct OnlineFindings {
    /// Account and identity of the credentials, if STS answered.
    pub caller: Option<Caller>,
    /// The answer for each pool.
    pub pools: BTreeMap<String, PoolFinding>,
}

impl OnlineFindings {
    /// Returns the account of the credentials, if it was looked up.
    pub(super) fn account(&self) -> Option<&str> {
        self.caller.as_ref().map(|caller| &*caller.account)
    }
}

/// The answer for a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PoolFinding {
    /// The pool as described.
    Found(IdentityPool),
    /// The credentials have no permission to ask: nothing is known, and nothing is wrong.
    NotPermitted,
    /// The pool does not exist.
    Missing(String),
    /// The look-up failed.
    Unknown(String),
}

/// Looks up the caller and the pools of the rows, and adds to `problems` the reasons for which a run would be halted. `learned`
/// returns the quotas that earlier runs have measured with an account. Further look-ups go the way of these.
pub(super) async fn look<C: Lookup + Client>(
    calls: &Arc<C>,
    settings: &Settings,
    input: &InputSummary,
    learned: &dyn Fn(Option<&str>) -> OperationQuotas,
    problems: &mut Vec<String>,
) -> (OnlineFindings, AdmittedLookups<C>) {
    let mut findings = OnlineFindings::default();
    match calls.caller().await {
        Ok(caller) => {
            problems.extend(wrong_account(&caller, &settings.guards));
            findings.caller = Some(caller);
        }
        Err(error) => problems.push(format!(
            "the account of the AWS credentials cannot be looked up ({error})"
        )),
    }
    let job = Operation::UnlinkDeveloperIdentity;
    let quotas = with_published(learned(findings.account()), input);
    let admission = Admission::new(settings.limits, job, quotas);
    let look_ups = AdmittedLookups::new(Arc::clone(calls), Arc::new(admission));
    for (id, rows) in &input.pools {
        let finding = match retried(|| look_ups.pool(id)).await {
            Ok(pool) => {
                let names = rows.developer_provider_names.iter();
                if let Some(own) = &pool.developer_provider_name {
                    problems.extend(names.filter(|name| *name != own).map(|name| {
                        format!(
                            "pool {id} has the developer provider name {own}, and rows say {name}"
                        )
                    }));
                }
                PoolFinding::Found(pool)
            }
            Err(error) if error.kind == LookupErrorKind::NotPermitted => PoolFinding::NotPermitted,
            Err(error) if error.kind == LookupErrorKind::Missing => {
                problems.push(format!(
                    "pool {id} does not exist in this Region and account ({error})"
                ));
                PoolFinding::Missing(error.to_string())
            }
            Err(error) => {
                problems.push(format!("pool {id} cannot be looked up ({error})"));
                PoolFinding::Unknown(error.to_string())
            }
        };
        findings.pools.insert(id.clone(), finding);
    }
    (findings, look_ups)
}

/// Adds the quotas that AWS publishes of operations without a learned one, in the Regions of the rows.
fn with_published(mut quotas: OperationQuotas, input: &InputSummary) -> OperationQuotas {
    for pool in input.pools.keys() {
        for operation in Operation::ALL {
            if let Some(published) = operation.published_quota() {
                let key = (region_of(pool).to_owned(), operation);
                quotas.entry(key).or_insert(published);
            }
        }
    }
    quotas
}

fn wrong_account(caller: &Caller, guards: &Guards) -> Vec<String> {
    let account = &caller.account;
    let expected = guards.expected_account.as_ref().filter(|id| *id != account);
    let expected = expected.map(|id| {
        format!("the credentials are those of account {account}, and --expect-account says {id}")
    });
    expected
        .into_iter()
        .chain(guards.allowed.refuses_account(account))
        .collect()
}
