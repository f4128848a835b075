//! A plan: the rows, the forecast, the findings.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::forecast::Forecast;
use super::input_summary::InputSummary;
use super::logins::LastLogins;
use super::logins_cost::LoginCosts;
use super::online::OnlineFindings;
use crate::error::Exit;
use crate::settings::Sourced;

/// Longest run whose end is forecast: one of a hundred years is a mistake, and a calendar ends somewhere.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

/// Everything that a plan shows.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The rows of the inputs.
    pub input: InputSummary,
    /// True if hold lists were read: then the number of held rows is shown even if it is zero.
    pub holds: bool,
    /// Duration of the run.
    pub forecast: Forecast,
    /// Time at which the plan was made.
    pub now: SystemTime,
    /// The results file of earlier runs, if there is one.
    pub results: Option<PathBuf>,
    /// Rows to call after which the run stops (`--limit`).
    pub limit: Option<u64>,
    /// Time after which the run starts no more rows (`--for`).
    pub take_for: Option<Duration>,
    /// Settings that a configuration file may set, and where each came from.
    pub sources: Vec<Sourced>,
    /// The answers of AWS, with `--online`.
    pub online: Option<OnlineFindings>,
    /// Last logins, with `--logins`, unless they could not be looked up.
    pub last_logins: Option<LastLogins>,
    /// The cost of looking them up, with `--online` and without `--logins`.
    pub login_costs: Option<LoginCosts>,
    /// Reasons for which a run would be refused or halted.
    pub problems: Vec<String>,
    /// The file of invalid rows, if one was written.
    pub invalid: Option<PathBuf>,
    /// The file that the plan was saved in.
    pub out: Option<PathBuf>,
    /// Time of the plan that was there before, if one was.
    pub replaced: Option<String>,
    /// The next command, and what it does.
    pub next: Option<(String, &'static str)>,
}

impl Plan {
    /// Returns the exit code: 5 when a run would be halted, 1 when rows are invalid or a near match of a hold list needs a
    /// decision, 0 otherwise.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self.input.invalid + self.input.near_holds {
            _ if !self.problems.is_empty() => Exit::Halted,
            0 => Exit::Done,
            _ => Exit::NotAllDone,
        }
    }

    /// Returns the account of the credentials, if it was looked up.
    pub(super) fn account(&self) -> Option<&str> {
        self.online.as_ref()?.account()
    }

    /// Returns when a run that starts now ends, if that is known and within a lifetime.
    pub(super) fn finish(&self) -> Option<SystemTime> {
        let seconds = self.forecast.seconds()?;
        let length = Duration::try_from_secs_f64(seconds).ok()?;
        (length < LONGEST).then(|| self.now + length)
    }
}
