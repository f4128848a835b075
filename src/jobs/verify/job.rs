//! The call of `verify` for each row, and its line.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::outcome::VerifyOutcome;
use super::selection::Strata;
use super::statement::Findings;
use crate::call::LastCheck;
use crate::call::identity_lookup::{UserLookup, UsersQuery};
use crate::guard::{Controls, Meaning};
use crate::jobs::user_lookup::{self, Answer, Asked};
use crate::operation::Operation;
use crate::pipeline::{Job, SettledRow};
use crate::results::Entry;
use crate::row::{InvalidRow, Link, MemoryReservation, Row};
use crate::verdict::{End, Outcome as _, Reply, ReplyDetails, Verdict};

/// Looks up, through a client, whether users are still linked.
#[derive(Debug)]
pub(super) struct VerifyJob<C> {
    pub(super) client: C,
    pub(super) controls: Controls,
    /// The part of the results that each row is in.
    pub(super) strata: Strata,
    pub(super) findings: Mutex<Findings>,
}

impl<C: UserLookup> Job for VerifyJob<C> {
    type Outcome = VerifyOutcome;
    type Found = Asked;
    type Client = C;
    type Line = Entry<VerifyOutcome>;
    const OPERATION: Operation = Operation::LookupDeveloperIdentity;
    const MARKS: bool = false;

    fn client(&self) -> &C {
        &self.client
    }

    fn call(
        &self,
        _operation: Operation,
        row: &Row,
        found: &mut Asked,
        last_check: Arc<dyn LastCheck>,
    ) -> impl Future<Output = Reply> + Send {
        // Without the identity: a user that was linked to another one since would be a conflict, and no answer.
        let query = UsersQuery {
            identity_pool_id: &row.link.identity_pool_id,
            identity_id: None,
            developer_user_identifier: Some(&row.link.developer_user_identifier),
        };
        user_lookup::call(&self.client, &self.controls, query, 1, found, last_check)
    }

    fn judge(&self, _operation: Operation, reply: &Reply) -> Verdict {
        user_lookup::judge(reply)
    }

    fn needs_another_call(&self, _row: &Row, found: &Asked) -> bool {
        found.needs_another_call()
    }

    fn line(&self, mut row: SettledRow<Asked>) -> Self::Line {
        let link = &row.open.row.link;
        let last = std::mem::take(&mut row.details);
        let (outcome, details) = match (row.end, std::mem::take(&mut row.found).answer()) {
            (End::Succeeded, Some(answer)) => self.result(link, answer, last),
            (end, _) => (VerifyOutcome::of(end, false), last),
        };
        row.details = details;
        let mut findings = self.findings.lock().unwrap_or_else(PoisonError::into_inner);
        findings.add(self.strata.of(link), outcome);
        let from = row.started_at.unwrap_or(row.finished_at);
        findings.looked(from, row.finished_at);
        drop(findings);
        row.entry(outcome).0
    }

    fn invalid_line(&self, row: InvalidRow, memory: Option<MemoryReservation>) -> Self::Line {
        Entry::invalid(row, memory, SystemTime::now())
    }
}

impl<C> VerifyJob<C> {
    /// Returns the outcome of a row that was answered, and the details to record: those of the answer, and not of a control question
    /// behind it.
    fn result(
        &self,
        link: &Link,
        answer: Answer,
        last: ReplyDetails,
    ) -> (VerifyOutcome, ReplyDetails) {
        match answer {
            Answer::Linked { identity_id, .. } if identity_id == link.identity_id => {
                (VerifyOutcome::StillLinked, last)
            }
            Answer::Linked { identity_id, .. } => {
                let details = ReplyDetails {
                    message: Some(format!("the user is linked to {identity_id} now")),
                    ..last
                };
                (VerifyOutcome::LinkedElsewhere, details)
            }
            Answer::Absent(details) => {
                let asked = [&*link.developer_user_identifier];
                let pool_id = &link.identity_pool_id;
                let outcome = match self.controls.meaning(pool_id, &details, &asked) {
                    Meaning::Nobody | Meaning::NobodyOrNoAccess => VerifyOutcome::Gone,
                    Meaning::Other => VerifyOutcome::NotTold,
                };
                (outcome, details)
            }
        }
    }
}
