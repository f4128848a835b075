//! Checks, before anything else is called, that the credentials belong to an account that the run may touch.

use crate::call::lookup::{Caller, Lookup, LookupError};
use crate::error::Error;
use crate::settings::Guards;
use crate::verdict::CREDENTIALS_FAILED;

/// Looks up the caller, if the account matters.
///
/// # Errors
/// The account is another one, or cannot be looked up.
pub async fn check(guards: &Guards, client: &impl Lookup) -> Result<Option<Caller>, Error> {
    if !guards.checks_account() {
        return Ok(None);
    }
    let caller = client.caller().await;
    let caller = caller.map_err(|error| unknown(&error))?;
    match mismatches(&caller, guards).into_iter().next() {
        Some(why) => Err(other_account(&caller, &why)),
        None => Ok(Some(caller)),
    }
}

/// Returns the reasons why these credentials must not be used, as clauses; empty if they may be used.
#[must_use]
pub fn mismatches(caller: &Caller, guards: &Guards) -> Vec<String> {
    let account = &caller.account;
    let expected = guards.expected_account.as_ref();
    let expected = expected
        .filter(|id| *id != account)
        .map(|id| format!("--expect-account says {id}"));
    let refused = guards.allowed.refuses_account(account);
    expected.into_iter().chain(refused).collect()
}

fn other_account(caller: &Caller, why: &str) -> Error {
    Error::usage(format!(
        "the AWS credentials are those of account {} ({}), and {why}; nothing was called",
        caller.account, caller.arn
    ))
    .hint("Name another profile with --profile, or set other AWS_* variables.")
}

fn unknown(error: &LookupError) -> Error {
    let details = &error.details;
    if details.code.as_deref() == Some(CREDENTIALS_FAILED) {
        let why = details.message.as_deref().unwrap_or_default();
        return Error::usage(format!(
            "the AWS credentials cannot be loaded, and nothing was called: {why}"
        ));
    }
    Error::usage(format!(
        "the account of the AWS credentials cannot be looked up ({error}); nothing was called"
    ))
    .hint("The account is asked of STS, GetCallerIdentity, with the usual endpoint, proxy and Region settings; where no Region is configured, in that of the first pool. It needs no permission.")
}
