//! `--online`: the caller and the pools are looked up, which changes nothing, and held against the rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::survey::Survey;
use crate::admission::Limits;
use crate::call::Unlink;
use crate::call::lookup::{Caller, IdentityPool, Lookup, LookupError, LookupErrorKind};
use crate::guard::AdmittedLookups;
use crate::settings::Guards;

/// How often a question is asked that the service is too busy to answer.
const TRIES: u32 = 4;
/// Before the second time; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What was looked up.
#[derive(Debug, Clone, Default)]
pub struct Looked {
    /// Whose credentials these are, if that was told.
    pub caller: Option<Caller>,
    /// What was told of each pool.
    pub pools: BTreeMap<String, Told>,
}

/// What was told of a pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It is as described.
    Is(IdentityPool),
    /// The question is not permitted: nothing is known, and nothing is wrong.
    NotPermitted,
    /// It is not there.
    Missing(String),
    /// Nobody could be asked.
    Unknown(String),
}

/// Looks up what the survey names, and adds to `problems` whatever a run would be stopped by.
pub(super) async fn look<C: Lookup + Unlink>(
    calls: &Arc<C>,
    limits: Limits,
    guards: &Guards,
    survey: &Survey,
    problems: &mut Vec<String>,
) -> Looked {
    let mut looked = Looked::default();
    match calls.caller().await {
        Ok(caller) => {
            problems.extend(wrong_account(&caller, guards));
            looked.caller = Some(caller);
        }
        Err(untold) => problems.push(format!(
            "the account of the AWS credentials cannot be looked up ({untold})"
        )),
    }
    let look_ups = AdmittedLookups::new(Arc::clone(calls), limits);
    for (id, rows) in &survey.pools {
        let told = match pool(&look_ups, id).await {
            Ok(pool) => {
                let names = rows.developer_provider_names.iter();
                if let Some(own) = &pool.developer_provider_name {
                    problems.extend(names.filter(|name| *name != own).map(|name| {
                        format!(
                            "pool {id} has the developer provider name {own}, and rows say {name}"
                        )
                    }));
                }
                Told::Is(pool)
            }
            Err(untold) if untold.kind == LookupErrorKind::NotPermitted => Told::NotPermitted,
            Err(untold) if untold.kind == LookupErrorKind::Missing => {
                problems.push(format!(
                    "pool {id} does not exist in this Region and account ({untold})"
                ));
                Told::Missing(untold.to_string())
            }
            Err(untold) => {
                problems.push(format!("pool {id} cannot be looked up ({untold})"));
                Told::Unknown(untold.to_string())
            }
        };
        looked.pools.insert(id.clone(), told);
    }
    looked
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

async fn pool<C: Lookup + Unlink>(
    look_ups: &AdmittedLookups<C>,
    id: &str,
) -> Result<IdentityPool, LookupError> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..TRIES {
        match look_ups.pool(id).await {
            // Of skew the next signature takes account.
            Err(untold)
                if matches!(
                    untold.kind,
                    LookupErrorKind::Busy | LookupErrorKind::Throttled | LookupErrorKind::Signature
                ) =>
            {
                sleep(pause).await;
                pause *= 2;
            }
            told => return told,
        }
    }
    look_ups.pool(id).await
}
