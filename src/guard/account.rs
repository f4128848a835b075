//! Before anything else is called: are these the credentials of an account that the run may touch?

use crate::call::lookup::{Caller, Lookup, LookupError};
use crate::error::Error;
use crate::settings::{Mode, Settings};
use crate::verdict::CREDENTIALS_FAILED;

/// Asks whose credentials these are, if that matters. A rehearsal has none.
///
/// # Errors
/// They are another account's, or nobody tells whose they are.
pub(crate) async fn check(
    settings: &Settings,
    calls: &impl Lookup,
) -> Result<Option<Caller>, Error> {
    let guards = &settings.guards;
    if !guards.ask_for_account() || settings.mode == Mode::Rehearsal {
        return Ok(None);
    }
    let caller = calls.caller().await;
    let caller = caller.map_err(|untold| unknown(&untold))?;
    let account = &caller.account;
    if let Some(expected) = guards.expected_account.as_ref().filter(|id| *id != account) {
        return Err(another(
            &caller,
            &format!("and --expect-account says {expected}"),
        ));
    }
    match guards.allowed.refuses_account(account) {
        Some(why) => Err(another(&caller, &format!("and {why}"))),
        None => Ok(Some(caller)),
    }
}

fn another(caller: &Caller, but: &str) -> Error {
    Error::usage(format!(
        "the AWS credentials are those of account {} ({}), {but}; nothing was called",
        caller.account, caller.arn
    ))
    .hint("Name another profile with --profile, or set other AWS_* variables.")
}

fn unknown(untold: &LookupError) -> Error {
    let facts = &untold.details;
    if facts.code.as_deref() == Some(CREDENTIALS_FAILED) {
        let why = facts.message.as_deref().unwrap_or_default();
        return Error::usage(format!(
            "the AWS credentials cannot be loaded, and nothing was called: {why}"
        ));
    }
    Error::usage(format!(
        "it cannot be found out whose AWS credentials these are ({untold}); nothing was called"
    ))
    .hint("The account is asked of STS, GetCallerIdentity, with the usual endpoint, proxy and Region settings; where no Region is configured, in that of the first pool. It needs no permission.")
}
