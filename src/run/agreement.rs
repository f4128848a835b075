//! Before a run against AWS: a person agrees, or has agreed with `--yes`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{peek, unreadable};
use crate::call::aws::AwsCalls;
use crate::error::Error;
use crate::input::{self, Read};
use crate::report::grouped;
use crate::settings::Settings;
use crate::signal::Signal;
use crate::terminal::{can_ask, printable};

/// How long the inputs are read before the question is asked.
const LOOKING: Duration = Duration::from_secs(2);

/// Whether the calls stay on this machine.
pub(super) fn is_local(calls: &AwsCalls) -> bool {
    calls.endpoint_url().as_deref().is_some_and(is_loopback)
}

/// Asks once, where there is somebody to ask.
///
/// # Errors
/// Nobody can be asked, or the answer is no, or a signal.
pub(super) async fn reach(
    settings: &Settings,
    calls: &AwsCalls,
    signals: &mut mpsc::Receiver<Signal>,
) -> Result<(), Error> {
    if !can_ask() {
        return Err(Error::usage(
            "a run against AWS cannot ask for confirmation here, since this is not a terminal",
        )
        .hint("Rehearse it with --rehearse, then confirm it with --yes."));
    }
    let survey = Survey::of(settings)?;
    let question = format!(
        "{}\nAn unlink cannot simply be undone. Type yes to go on: ",
        survey.told(calls.endpoint_url().as_deref())
    );
    let asked = {
        let mut screen = std::io::stderr().lock();
        screen
            .write_all(question.as_bytes())
            .and_then(|()| screen.flush())
    };
    let (tell, told) = oneshot::channel();
    // A thread of its own: it may wait for ever, and the program must be able to end without it.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let _ = tell.send(read.map(|_| answer));
    });
    let answer = tokio::select! {
        answer = told => answer,
        Some(signal) = signals.recv() => {
            // The answer's line has not ended.
            let _ = writeln!(std::io::stderr().lock());
            return Err(Error::new(signal.exit(), "not confirmed; nothing was called"));
        }
    };
    match answer {
        Ok(Ok(answer)) if asked.is_ok() && answer.trim() == "yes" => Ok(()),
        _ => Err(Error::usage("not confirmed; nothing was called")),
    }
}

/// What a look at the inputs tells.
struct Survey {
    /// Rows of each pool.
    pools: BTreeMap<String, u64>,
    done: u64,
    invalid: u64,
    complete: bool,
}

impl Survey {
    fn of(settings: &Settings) -> Result<Self, Error> {
        let until = Instant::now() + LOOKING;
        let mut survey = Self {
            pools: BTreeMap::new(),
            done: 0,
            invalid: 0,
            complete: true,
        };
        let (past, keyer) = peek(settings)?;
        for input in &settings.inputs {
            if !input.can_be_read_again() {
                survey.complete = false;
                continue;
            }
            for read in input::open(input, &settings.input).map_err(|error| unreadable(&error))? {
                match read.map_err(|error| unreadable(&error))? {
                    Read::Row(row) if past.skips(keyer.key(&row.link)) => survey.done += 1,
                    Read::Row(row) => {
                        *survey.pools.entry(row.link.identity_pool_id).or_default() += 1;
                    }
                    Read::Invalid(_) => survey.invalid += 1,
                }
                if Instant::now() > until {
                    survey.complete = false;
                    return Ok(survey);
                }
            }
        }
        Ok(survey)
    }

    fn told(&self, endpoint: Option<&str>) -> String {
        let at_least = if self.complete { "" } else { "at least " };
        let mut text = format!("This run unlinks, at {}:\n", endpoint.unwrap_or("AWS"));
        for (pool, rows) in &self.pools {
            let _ = writeln!(
                text,
                "  {at_least}{} rows in pool {}",
                grouped(*rows),
                printable(pool)
            );
        }
        if self.pools.is_empty() && self.complete {
            text.push_str("  nothing: no row is left to do\n");
        }
        if self.done > 0 {
            let _ = writeln!(
                text,
                "  {at_least}{} rows are done already and are skipped",
                grouped(self.done)
            );
        }
        if self.invalid > 0 {
            let _ = writeln!(
                text,
                "  {at_least}{} invalid rows are left out",
                grouped(self.invalid)
            );
        }
        text
    }
}

/// Whether the URL's host is this machine.
#[must_use]
pub fn is_loopback(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host_and_port = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = match host_and_port.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host_and_port.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for url in [
            "http://127.0.0.1:8000",
            "http://localhost",
            "https://LOCALHOST:1/x",
            "http://[::1]:80/",
            "http://user@127.1.2.3/",
        ] {
            assert!(is_loopback(url), "{url}");
        }
        for url in [
            "https://cognito-identity.us-east-1.amazonaws.com",
            "http://127.0.0.1.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1@example.com",
            "http://10.0.0.1",
            "localhost",
        ] {
            assert!(!is_loopback(url), "{url}");
        }
    }
}
