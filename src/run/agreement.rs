//! Before a run against AWS: a person agrees, or has agreed with `--yes`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, Write};
use std::time::Duration;

use tokio::time::Instant;

use super::unreadable;
use crate::call::aws::AwsCalls;
use crate::error::Error;
use crate::input::{self, Read};
use crate::plan::{Mode, Plan};
use crate::report::grouped;
use crate::terminal::{can_ask, printable};

/// How long the inputs are read before the question is asked.
const LOOKING: Duration = Duration::from_secs(2);

/// Asks once, where there is somebody to ask and something to ask about.
///
/// # Errors
/// Nobody can be asked, or the answer is no.
pub(super) fn reach(plan: &Plan, calls: &AwsCalls) -> Result<(), Error> {
    let endpoint = calls.endpoint_url();
    if plan.mode == Mode::Rehearsal || plan.agreed || endpoint.as_deref().is_some_and(is_loopback) {
        return Ok(());
    }
    if !can_ask() {
        return Err(Error::usage(
            "a run against AWS cannot ask for confirmation here, since this is not a terminal",
        )
        .hint("Rehearse it with --rehearse, then confirm it with --yes."));
    }
    let survey = Survey::of(plan)?;
    let mut screen = std::io::stderr().lock();
    let asked = write!(
        screen,
        "{}\nAn unlink cannot simply be undone. Type yes to go on: ",
        survey.told(endpoint.as_deref())
    )
    .and_then(|()| screen.flush());
    drop(screen);
    let mut answer = String::new();
    let answered = asked.and_then(|()| std::io::stdin().lock().read_line(&mut answer));
    if answered.is_ok() && answer.trim() == "yes" {
        Ok(())
    } else {
        Err(Error::usage("not confirmed; nothing was called"))
    }
}

/// What a look at the inputs tells.
struct Survey {
    /// Rows of each pool.
    pools: BTreeMap<String, u64>,
    invalid: u64,
    complete: bool,
}

impl Survey {
    fn of(plan: &Plan) -> Result<Self, Error> {
        let until = Instant::now() + LOOKING;
        let mut survey = Self {
            pools: BTreeMap::new(),
            invalid: 0,
            complete: true,
        };
        for input in &plan.inputs {
            if !input.can_be_read_again() {
                survey.complete = false;
                continue;
            }
            for read in input::open(input, &plan.input).map_err(|error| unreadable(&error))? {
                match read.map_err(|error| unreadable(&error))? {
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
fn is_loopback(url: &str) -> bool {
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
