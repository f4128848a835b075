//! The statement at the end of a verification: how many rows were looked at, and what that says about all of them.

use std::fmt::Write as _;
use std::time::SystemTime;

use indicatif::HumanCount;
use serde_json::{Map, Value, json};

use super::bound::upper_bound;
use super::outcome::VerifyOutcome;
use super::selection::Stratum;
use crate::clock;

/// What the look-ups found.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Findings {
    /// Of rows that are done.
    done: Counts,
    /// Of rows in doubt.
    in_doubt: Counts,
    /// Start of the first look-up and end of the last one.
    times: Option<(SystemTime, SystemTime)>,
}

/// Rows by what was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    gone: u64,
    still_linked: u64,
    linked_elsewhere: u64,
    not_told: u64,
    failed: u64,
}

impl Counts {
    fn all(self) -> u64 {
        self.gone + self.still_linked + self.linked_elsewhere + self.not_told + self.failed
    }

    /// Returns the rows that may still be linked: those that got no answer as well.
    fn may_be_linked(self) -> u64 {
        self.still_linked + self.not_told + self.failed
    }

    fn plus(self, other: Self) -> Self {
        Self {
            gone: self.gone + other.gone,
            still_linked: self.still_linked + other.still_linked,
            linked_elsewhere: self.linked_elsewhere + other.linked_elsewhere,
            not_told: self.not_told + other.not_told,
            failed: self.failed + other.failed,
        }
    }
}

impl Findings {
    /// Adds a row that was looked at.
    pub(super) fn add(&mut self, stratum: Stratum, outcome: VerifyOutcome) {
        let counts = match stratum {
            Stratum::InDoubt => &mut self.in_doubt,
            Stratum::Done | Stratum::Other => &mut self.done,
        };
        *match outcome {
            VerifyOutcome::Gone => &mut counts.gone,
            VerifyOutcome::StillLinked => &mut counts.still_linked,
            VerifyOutcome::LinkedElsewhere => &mut counts.linked_elsewhere,
            VerifyOutcome::NotTold => &mut counts.not_told,
            VerifyOutcome::Failed | VerifyOutcome::Invalid => &mut counts.failed,
        } += 1;
    }

    /// Adds rows that an earlier verification found gone.
    pub(super) fn add_gone(&mut self, done: u64, in_doubt: u64) {
        self.done.gone += done;
        self.in_doubt.gone += in_doubt;
    }

    /// Adds the time of a look-up.
    pub(super) fn looked(&mut self, from: SystemTime, to: SystemTime) {
        let (first, last) = self.times.get_or_insert((from, to));
        (*first, *last) = ((*first).min(from), (*last).max(to));
    }
}

/// Everything that the statement says.
#[derive(Debug, Clone)]
pub(super) struct Statement {
    pub(super) findings: Findings,
    /// Rows that are done.
    pub(super) done: u64,
    /// Rows in doubt.
    pub(super) in_doubt: u64,
    /// The results file, and the SHA-256 of what was read of it.
    pub(super) results: String,
    pub(super) sha256: String,
    pub(super) seed: u64,
    /// Users of `--still-linked`, all of which were found.
    pub(super) controls: u64,
    /// Pools that answer unknown users as they answer callers without access.
    pub(super) ambiguous: Vec<String>,
}

impl Statement {
    fn found(&self) -> Counts {
        self.findings.done.plus(self.findings.in_doubt)
    }

    fn of(&self) -> u64 {
        self.done + self.in_doubt
    }

    fn is_sample(&self) -> bool {
        self.findings.done.all() < self.done
    }

    /// Returns the largest number of rows that may still be linked: with 95 % confidence for a sample, for certain otherwise.
    fn at_most(&self) -> u64 {
        let Findings { done, in_doubt, .. } = self.findings;
        upper_bound(self.done, done.all(), done.may_be_linked()) + in_doubt.may_be_linked()
    }

    /// Returns the statement for scripts.
    pub(super) fn json(&self) -> Map<String, Value> {
        let found = self.found();
        let time = |time: SystemTime| clock::rfc3339_millis(time).to_string();
        let times = self.findings.times;
        let value = json!({
            "looked_at": found.all(),
            "of": self.of(),
            "gone": found.gone,
            "still_linked": found.still_linked,
            "linked_elsewhere": found.linked_elsewhere,
            "not_told": found.not_told,
            "failed": found.failed,
            "seed": self.seed,
            "at_most": self.at_most(),
            "in_doubt": self.in_doubt,
            "controls_still_linked": self.controls,
            "pools_without_a_clear_answer": self.ambiguous,
            "from": times.map(|(from, _)| time(from)),
            "to": times.map(|(_, to)| time(to)),
            "sha256": self.sha256,
        });
        match value {
            Value::Object(map) => map,
            _ => Map::new(),
        }
    }

    /// Returns the statement for people.
    pub(super) fn text(&self) -> String {
        let found = self.found();
        let (looked_at, of) = (found.all(), self.of());
        let mut text = match (of, looked_at) {
            (0, _) => format!(
                "No row of {} is done or in doubt: there was nothing to look at.",
                self.file()
            ),
            _ if looked_at == of => format!("All {} of {} were looked at", rows(of), self.file()),
            _ => format!(
                "{} of the {} of {} were looked at",
                HumanCount(looked_at),
                rows(of),
                self.file()
            ),
        };
        if of > 0 {
            if let Some((from, to)) = self.findings.times {
                let seconds = |time| clock::rfc3339_seconds(time).to_string();
                let _ = write!(text, ", from {} to {}", seconds(from), seconds(to));
            }
            text.push_str(".\n");
            self.tell_drawing(&mut text);
            self.tell_found(&mut text);
            self.tell_controls(&mut text);
        }
        text
    }

    /// Returns the results file with its hash.
    fn file(&self) -> String {
        format!("{} (SHA-256 {})", self.results, self.sha256)
    }

    fn tell_drawing(&self, text: &mut String) {
        let sampled = self.findings.done.all();
        if self.is_sample() {
            let _ = writeln!(
                text,
                "{} were drawn from the {} that are done, by seed {}.",
                HumanCount(sampled),
                HumanCount(self.done),
                self.seed
            );
        }
        if self.in_doubt > 0 {
            let _ = writeln!(
                text,
                "Those in doubt ({}) were all looked at; the next run settles the ones that are gone.",
                HumanCount(self.in_doubt)
            );
        }
    }

    fn tell_found(&self, text: &mut String) {
        let found = self.found();
        let may_be = found.may_be_linked();
        if may_be == 0 && !self.is_sample() {
            text.push_str("None of them is still linked to its identity.\n");
        } else if found.still_linked == 0 {
            text.push_str("Of these, none was found still linked to its identity.\n");
        } else {
            let _ = writeln!(
                text,
                "Of these, {} still linked to the identity.",
                were(found.still_linked)
            );
        }
        for (rows, what) in [
            (
                found.linked_elsewhere,
                "linked to another identity now, as after a new sign-in",
            ),
            (found.not_told, "answered in a way that tells neither"),
            (found.failed, "not answered"),
        ] {
            if rows > 0 {
                let _ = writeln!(text, "{} {what}.", were(rows));
            }
        }
        if self.is_sample() {
            let _ = writeln!(
                text,
                "With 95 % confidence, at most {} of the {} are still linked{}.",
                HumanCount(self.at_most()),
                rows(self.of()),
                if may_be > found.still_linked {
                    "; rows without an answer count as linked"
                } else {
                    ""
                }
            );
        } else if may_be > found.still_linked {
            let _ = writeln!(
                text,
                "At most {} are still linked; rows without an answer count as linked.",
                HumanCount(self.at_most())
            );
        }
    }

    fn tell_controls(&self, text: &mut String) {
        if self.controls > 0 {
            let _ = writeln!(
                text,
                "Control: {} who must still be linked were found so.",
                match self.controls {
                    1 => "1 user".to_owned(),
                    users => format!("{} users", HumanCount(users)),
                }
            );
        }
        if !self.ambiguous.is_empty() && self.controls == 0 {
            let _ = writeln!(
                text,
                "A user that cannot exist was answered with NotAuthorizedException in {}, which a caller without access may get too. \
                 --still-linked FILE, with users who must still be linked, shows that the caller has access.",
                self.ambiguous.join(", ")
            );
        }
        text.push_str("A person may sign in again at any time, and is linked again then.");
    }
}

fn rows(rows: u64) -> String {
    match rows {
        1 => "1 row".to_owned(),
        _ => format!("{} rows", HumanCount(rows)),
    }
}

fn were(rows: u64) -> String {
    match rows {
        1 => "1 was".to_owned(),
        _ => format!("{} were", HumanCount(rows)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn statement(done: u64, in_doubt: u64, found: &[(Stratum, VerifyOutcome, u64)]) -> Statement {
        let mut findings = Findings::default();
        for (stratum, outcome, rows) in found {
            for _ in 0..*rows {
                findings.add(*stratum, *outcome);
            }
        }
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        if findings.done.all() + findings.in_doubt.all() > 0 {
            findings.looked(at(60), at(70));
            findings.looked(at(65), at(120));
        }
        Statement {
            findings,
            done,
            in_doubt,
            results: "people.results.csv".to_owned(),
            sha256: "ab12".to_owned(),
            seed: 7,
            controls: 0,
            ambiguous: Vec::new(),
        }
    }

    use Stratum::{Done, InDoubt};
    use VerifyOutcome::{Failed, Gone, LinkedElsewhere, StillLinked};

    #[test]
    fn none_is_said_only_where_all_were_looked_at() {
        let all = statement(5, 1, &[(Done, Gone, 5), (InDoubt, Gone, 1)]);
        assert_eq!(
            all.text(),
            "All 6 rows of people.results.csv (SHA-256 ab12) were looked at, from 1970-01-01T00:01:00Z to 1970-01-01T00:02:00Z.\n\
             Those in doubt (1) were all looked at; the next run settles the ones that are gone.\n\
             None of them is still linked to its identity.\n\
             A person may sign in again at any time, and is linked again then."
        );
        assert_eq!(all.json()["at_most"], 0);
        let sample = statement(1_000_000, 0, &[(Done, Gone, 3000)]);
        assert_eq!(
            sample.text(),
            "3,000 of the 1,000,000 rows of people.results.csv (SHA-256 ab12) were looked at, from 1970-01-01T00:01:00Z to \
             1970-01-01T00:02:00Z.\n\
             3,000 were drawn from the 1,000,000 that are done, by seed 7.\n\
             Of these, none was found still linked to its identity.\n\
             With 95 % confidence, at most 996 of the 1,000,000 rows are still linked.\n\
             A person may sign in again at any time, and is linked again then."
        );
        assert_eq!(sample.json()["looked_at"], 3000);
        assert_eq!(sample.json()["of"], 1_000_000);
    }

    #[test]
    fn rows_without_an_answer_count_as_linked() {
        let found = [
            (Done, Gone, 96),
            (Done, StillLinked, 2),
            (Done, Failed, 1),
            (Done, LinkedElsewhere, 1),
            (InDoubt, Gone, 3),
            (InDoubt, StillLinked, 1),
        ];
        let sample = statement(1000, 4, &found);
        let text = sample.text();
        for sentence in [
            "104 of the 1,004 rows of people.results.csv (SHA-256 ab12) were looked at",
            "Of these, 3 were still linked to the identity.",
            "1 was linked to another identity now, as after a new sign-in.",
            "1 was not answered.",
            "rows without an answer count as linked.",
        ] {
            assert!(text.contains(sentence), "{sentence}: {text}");
        }
        let bound = upper_bound(1000, 100, 3) + 1;
        assert_eq!(sample.json()["at_most"], bound);
        assert!(text.contains(&format!(
            "at most {bound} of the 1,004 rows are still linked"
        )));
        // All were looked at: the number is certain.
        let all = statement(100, 4, &found);
        assert_eq!(all.json()["at_most"], 4);
        assert!(all.text().contains("At most 4 are still linked"));
    }

    #[test]
    fn a_file_without_rows_proves_nothing() {
        let none = statement(0, 0, &[]);
        assert!(
            none.text()
                .starts_with("No row of people.results.csv (SHA-256 ab12) is done")
        );
        assert_eq!(
            (&none.json()["of"], &none.json()["at_most"]),
            (&json!(0), &json!(0))
        );
    }

    #[test]
    fn an_answer_that_proves_nothing_is_told_unless_controls_were_found() {
        let mut all = statement(1, 0, &[(Done, Gone, 1)]);
        all.ambiguous = vec!["us-east-1:1".to_owned()];
        assert!(all.text().contains("a caller without access may get too"));
        all.controls = 2;
        let text = all.text();
        assert!(!text.contains("without access"), "{text}");
        assert!(text.contains("Control: 2 users who must still be linked were found so."));
    }
}
