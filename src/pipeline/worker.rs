//! A worker: settles one row after another.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::assignment::{Assignment, Ended};
use super::attempt::settle;
use super::context::Context;
use super::job::Job;

/// Settles rows, one after another, until the channel closes.
///
/// The state of a call takes about 13 KB. In a long-lived task it stays in place; a task per row would copy it nine times.
pub(super) async fn work<J: Job>(
    context: Arc<Context<J>>,
    mut assignments: mpsc::Receiver<Assignment>,
    ended: mpsc::Sender<Ended<J::Line>>,
) {
    while let Some(assignment) = assignments.recv().await {
        if ended
            .send(settle(&context, assignment).await)
            .await
            .is_err()
        {
            return;
        }
    }
}
