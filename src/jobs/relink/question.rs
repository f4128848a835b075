//! The preview of a relink, and the question before it.

use std::fmt::Write as _;

use super::selection::Selection;
use crate::error::Error;
use crate::guard::confirm;
use crate::report::{counted, notice};
use crate::runner::Service;
use crate::settings::RelinkSettings;
use crate::terminal::printable;

/// Pools that are shown by name: a person does not read more.
const MAX_NAMED: usize = 20;

/// Shows what the relink would do, and asks for confirmation unless it is given or calls stay on this machine.
///
/// # Errors
/// There is no terminal, or the answer is not yes.
pub(super) async fn ask(
    settings: &RelinkSettings,
    service: &Service,
    selection: &Selection,
) -> Result<(), Error> {
    let client = service.client();
    let account = confirm::account(&client, service.caller.as_ref()).await;
    let endpoint = client.endpoint_url().unwrap_or("AWS");
    let preview = preview(settings, selection, endpoint, account.as_deref());
    if service.is_local || settings.job.confirmed {
        notice(preview.trim_end());
        return Ok(());
    }
    confirm::check_terminal("Confirm it with --yes.")?;
    if confirm::confirmed(format!("{preview}Type yes to go on: "), None).await {
        Ok(())
    } else {
        Err(Error::usage("not confirmed; nothing was called"))
    }
}

/// Returns the preview: what is linked again, and what does not come back.
fn preview(
    settings: &RelinkSettings,
    selection: &Selection,
    endpoint: &str,
    account: Option<&str>,
) -> String {
    let account = account.map_or_else(
        || "in an account that could not be looked up".to_owned(),
        |account| format!("account {}", printable(account)),
    );
    let mut text = format!("This relinks, at {}, {account}:\n", printable(endpoint));
    for (pool, rows) in selection.pools.iter().take(MAX_NAMED) {
        let _ = writeln!(
            text,
            "  {} in pool {}",
            counted(*rows, "row"),
            printable(pool)
        );
    }
    if let more @ 1.. = selection.pools.len().saturating_sub(MAX_NAMED) {
        let _ = writeln!(text, "  and rows in {more} more pools");
    }
    if selection.pools.is_empty() {
        text.push_str("  nothing: no row that was named is unlinked\n");
    }
    if selection.unmatched > 0 {
        let _ = writeln!(
            text,
            "  {} of --only left out: the results do not say that they are unlinked",
            counted(selection.unmatched, "row")
        );
    }
    for (rows, why) in [
        (selection.held, "left out: on the erasure list"),
        (
            selection.reply_lost,
            "left out: unlinked_reply_lost (--include-reply-lost)",
        ),
    ] {
        if rows > 0 {
            let _ = writeln!(text, "  {} {why}", counted(rows, "row"));
        }
    }
    if let Some(limit) = settings.job.stop_rules.limit {
        let _ = writeln!(text, "It stops after {} (--limit).", counted(limit, "row"));
    }
    text.push_str(
        "It does not bring back public logins, identities that were deleted or merged, or sync data. Nobody outside AWS knows whether \
         a disabled identity is revived: the first rows go one by one and show it.\n",
    );
    text
}
