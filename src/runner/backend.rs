//! The service that a run calls: AWS, or an emulator of its own for a rehearsal.

use std::sync::Arc;
use std::time::Duration;

use crate::aws::{self, AwsCalls};
use crate::emulator::{self, Emulator};
use crate::error::Error;
use crate::input::{self, InputRow, WaitToken};
use crate::row::region_of;
use crate::settings::{Mode, Settings};
use crate::url::is_loopback;

/// Latency of the calls in a rehearsal: about that of a call within a Region.
const REHEARSED_LATENCY: Duration = Duration::from_millis(30);

/// Rows that are read to find the first Region. Without a limit, a file of only invalid rows would be read twice.
const FIRST_ROWS: usize = 1000;

/// The service that a run calls.
#[derive(Debug)]
pub struct Backend {
    /// Its client.
    pub client: Arc<AwsCalls>,
    /// The emulator of a rehearsal, which serves until it is dropped.
    pub emulator: Option<Emulator>,
}

impl Backend {
    /// Makes the client, and starts the emulator of a rehearsal.
    ///
    /// # Errors
    /// The configuration of AWS is wrong, or the emulator cannot start.
    pub async fn new(settings: &Settings) -> Result<Self, Error> {
        let unusable = |error: &dyn std::fmt::Display| Error::usage(error.to_string());
        let calls = aws::ClientSettings {
            run_id: Some(settings.run_id.clone()),
            ..settings.calls.clone()
        };
        let (client, emulator) = if settings.mode == Mode::Rehearsal {
            let emulator = Emulator::spawn(emulator::Settings {
                latency: REHEARSED_LATENCY,
                jitter: REHEARSED_LATENCY / 2,
                ..emulator::Settings::default()
            })
            .map_err(|error| {
                Error::usage(format!("the emulator cannot start on loopback: {error}"))
            })?;
            let client = AwsCalls::rehearsal(&calls, &emulator.url()).map_err(|e| unusable(&e))?;
            (client, Some(emulator))
        } else {
            let calls = aws::ClientSettings {
                accounts: settings.guards.accounts(),
                pool_region: first_region(settings).or(calls.pool_region.clone()),
                ..calls
            };
            let client = AwsCalls::new(&calls).await.map_err(|e| unusable(&e))?;
            (client, None)
        };
        Ok(Self {
            client: Arc::new(client),
            emulator,
        })
    }

    /// Returns whether the calls stay on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.client.endpoint_url().is_some_and(is_loopback)
    }
}

/// Returns the Region of the first pool, if it can be known beforehand. Errors of the inputs are reported elsewhere.
fn first_region(settings: &Settings) -> Option<String> {
    if let Some(id) = &settings.input.fill.identity_pool_id {
        return Some(region_of(id).to_owned());
    }
    let first = settings
        .inputs
        .first()
        .filter(|input| input.can_be_read_again())?;
    let reading = input::ReadOptions {
        wait: WaitToken::cancelled(),
        ..settings.input.clone()
    };
    let rows = input::open(first, &reading).ok()?.take(FIRST_ROWS);
    rows.map_while(Result::ok).find_map(|read| match read {
        InputRow::Valid(row) => Some(row.link.region().to_owned()),
        InputRow::Invalid(_) => None,
    })
}
