//! The verification that is shown with a report: its record, or the statement that it has made.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::places::{LinePlaces, Place};
use crate::error::Error;
use crate::exit_policy::not_opened;
use crate::jobs::verify::VerifyOutcome;
use crate::results::{Column, RecordedResults};
use crate::row::Keyer;
use crate::verdict::Outcome as _;

/// Largest statement that is read: far more than one takes.
const MAX_STATEMENT: u64 = 1024 * 1024;

/// A verification, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Verification {
    pub(super) path: PathBuf,
    /// Rows that were looked at.
    pub(super) looked_at: u64,
    /// Rows that a sample stands for.
    pub(super) of: Option<u64>,
    /// What was found, with its meaning, and of how many rows.
    pub(super) found: Vec<(&'static str, &'static str, u64)>,
    /// Most rows that may still be linked.
    pub(super) at_most: Option<u64>,
    pub(super) seed: Option<u64>,
    /// First and last look.
    pub(super) times: Option<(String, String)>,
    /// The results that were verified.
    pub(super) sha256: Option<String>,
    /// The statement in words.
    pub(super) statement: Option<String>,
}

/// What `verify --json` prints.
#[derive(Debug, Deserialize)]
struct Statement {
    looked_at: u64,
    of: u64,
    at_most: u64,
    seed: u64,
    sha256: Option<String>,
    from: Option<String>,
    to: Option<String>,
    message: Option<String>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

impl Verification {
    /// Reads a record of `verify`, or what it has printed with --json.
    ///
    /// # Errors
    /// The file cannot be read, or is neither.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        if path.extension().is_some_and(|ending| ending == "json") {
            Self::of_statement(path)
        } else {
            Self::of_record(path)
        }
    }

    fn of_statement(path: &Path) -> Result<Self, Error> {
        let refused = |why: &str| {
            Error::usage(format!("--verified {}: {why}", path.display())).hint(
                "Name the record of `verify` (people.verified.csv), or what `verify --json` printed, in a file that ends in .json.",
            )
        };
        let metadata = std::fs::metadata(path).map_err(|error| refused(&error.to_string()))?;
        if metadata.len() > MAX_STATEMENT {
            return Err(refused("it is too large for a statement"));
        }
        let text = std::fs::read(path).map_err(|error| refused(&error.to_string()))?;
        let statement: Statement = serde_json::from_slice(&text)
            .map_err(|_| refused("it is not what a finished `verify --json` prints"))?;
        let number = |outcome: VerifyOutcome| {
            let number = statement.others.get(outcome.as_str());
            number.and_then(serde_json::Value::as_u64).unwrap_or(0)
        };
        Ok(Self {
            path: path.to_owned(),
            looked_at: statement.looked_at,
            of: Some(statement.of),
            found: found(number),
            at_most: Some(statement.at_most),
            seed: Some(statement.seed),
            times: statement.from.zip(statement.to),
            sha256: statement.sha256,
            statement: statement.message,
        })
    }

    fn of_record(path: &Path) -> Result<Self, Error> {
        let record = RecordedResults::open(path).map_err(not_opened)?;
        let length = record.length().map_err(not_opened)?;
        // The key matters only within this process.
        let keyer = Keyer::new([0; 16]);
        let mut places = LinePlaces::for_bytes(length);
        let mut times: BTreeSet<String> = BTreeSet::new();
        let mut counts = vec![0_u64; VerifyOutcome::ALL.len()];
        let size = record
            .read::<VerifyOutcome>(Some(length), &mut |line| {
                counts[line.outcome as usize] += 1;
                places.push(line.key(&keyer), Place::new(0, line.offset));
                for column in [Column::StartedAt, Column::FinishedAt] {
                    let time = line.text(column);
                    if !time.is_empty() {
                        times.insert(time.into_owned());
                    }
                }
                if times.len() > 2 {
                    let (first, last) = (times.pop_first(), times.pop_last());
                    times = first.into_iter().chain(last).collect();
                }
            })
            .map_err(not_opened)?;
        let replaced = places.replaced();
        let mut is_replaced = replaced.in_order();
        if !replaced.is_empty() {
            record
                .read::<VerifyOutcome>(Some(size), &mut |line| {
                    if is_replaced(Place::new(0, line.offset)) {
                        counts[line.outcome as usize] -= 1;
                    }
                })
                .map_err(not_opened)?;
        }
        let times = times.first().cloned().zip(times.last().cloned());
        Ok(Self {
            path: path.to_owned(),
            looked_at: counts.iter().sum(),
            found: found(|outcome| counts[outcome as usize]),
            times,
            ..Self::default()
        })
    }

    /// Returns what was found, in one line.
    pub(super) fn text(&self) -> String {
        if let Some(statement) = &self.statement {
            return statement.clone();
        }
        let found = self.found.iter();
        let found = found.map(|(name, _, rows)| format!("{rows} {name}"));
        format!(
            "{} looked at: {}",
            crate::report::counted(self.looked_at, "row"),
            found.collect::<Vec<_>>().join(", ")
        )
    }
}

/// Returns the outcomes that occur.
fn found(number: impl Fn(VerifyOutcome) -> u64) -> Vec<(&'static str, &'static str, u64)> {
    let all = VerifyOutcome::ALL.iter().map(|outcome| {
        let (name, note) = outcome.describe();
        (name, note, number(*outcome))
    });
    all.filter(|(_, _, rows)| *rows > 0).collect()
}
