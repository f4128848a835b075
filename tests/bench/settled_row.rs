//! Rows of results as runs write them, for benchmarks that resume.

use std::path::Path;
use std::time::{Duration, SystemTime};

use cognito_unlink::testing::jobs::unlink::UnlinkOutcome;
use cognito_unlink::testing::results::Entry;
use cognito_unlink::testing::row::{Link, Position};
use cognito_unlink::testing::verdict::ReplyDetails;

/// Returns the link of row `n`, from 0.
pub(crate) fn link(n: u64) -> Link {
    Link {
        identity_id: format!("us-east-1:00000000-0000-4000-8000-{n:012x}"),
        identity_pool_id: "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63".to_owned(),
        developer_provider_name: "login.example.com".to_owned(),
        developer_user_identifier: format!("acct-{n}"),
    }
}

/// Returns the record of row `n` of the input `people`, as of a row that was unlinked.
pub(crate) fn entry(people: &Path, n: u64) -> Entry<UnlinkOutcome> {
    let request_id = format!("5e0f7d9a-3f6c-4a10-9b5e-{n:012x}");
    let finished_at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_775_030_400_000 + n);
    Entry {
        position: Position {
            source: people.to_string_lossy().into(),
            row: n + 1,
            line: n + 2,
        },
        link: link(n),
        carried: Vec::new(),
        key: None,
        outcome: UnlinkOutcome::Unlinked,
        details: ReplyDetails {
            http_status: Some(200),
            request_id: Some(request_id.clone()),
            ..ReplyDetails::default()
        },
        request_ids: request_id,
        logins_left: None,
        attempts: 1,
        started_at: Some(finished_at - Duration::from_millis(35)),
        finished_at,
        latency: Some(Duration::from_millis(35)),
        memory: None,
    }
}
