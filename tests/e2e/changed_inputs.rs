//! Inputs that are rewritten, extended or replaced while a run reads them.

use std::fs::{self, File};
use std::io::Write;

use cognito_unlink::testing::emulator::Then;

use crate::sandbox::{Output, Sandbox, TIMEOUT, always, people};

/// Many more rows than a run reads ahead of its calls.
const ROWS: usize = 6000;

/// Applies `change` while a run is in the middle of its input: the emulator holds the first calls, so the reader waits.
fn run_with_change(change: impl FnOnce(&Sandbox)) -> (Sandbox, Output) {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(ROWS));
    sandbox.emulator.add_rule(always(Then::Hold));
    let running = sandbox.start(&["people.csv", "--json", "--concurrency", "64"]);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held > 0));
    change(&sandbox);
    sandbox.emulator.clear_rules();
    let ran = running.wait();
    (sandbox, ran)
}

#[test]
fn a_rewritten_file_is_read_no_further() {
    let (sandbox, ran) = run_with_change(|sandbox| {
        sandbox.write("people.csv", people(2 * ROWS).replace("acct-", "new-"));
    });
    let ran = ran.expect_exit(3);
    let message = ran.summary()["message"].to_string();
    assert!(
        message.contains("people.csv: the file was rewritten while it was read"),
        "{message}"
    );
    let summary = ran.counts(&["rows", "unlinked"]);
    assert!(
        summary[0] == summary[1] && summary[1] < ROWS as u64,
        "{summary:?}"
    );
    let calls = sandbox.calls_by_user();
    assert!(calls.keys().all(|user| user.starts_with("acct-")));
    assert_eq!(calls.len() as u64, summary[1]);

    // The next run reads the file as it is now.
    let ran = sandbox
        .run(&["people.csv", "--limit", "5", "--json"])
        .expect_exit(4);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [0, 5]);
}

#[test]
fn a_file_that_grows_is_read_to_its_new_end() {
    let (_, ran) = run_with_change(|sandbox| {
        let more = people(ROWS + 9);
        let rows = &more[people(ROWS).len()..];
        let mut file = File::options()
            .append(true)
            .open(sandbox.path("people.csv"))
            .expect("opened");
        file.write_all(rows.as_bytes()).expect("appended");
    });
    assert_eq!(ran.expect_exit(0).counts(&["unlinked"]), [ROWS as u64 + 9]);
}

#[test]
fn a_replaced_file_is_read_as_it_was() {
    let (_, ran) = run_with_change(|sandbox| {
        sandbox.write("new.csv", people(1));
        fs::rename(sandbox.path("new.csv"), sandbox.path("people.csv")).expect("renamed");
    });
    assert_eq!(ran.expect_exit(0).counts(&["unlinked"]), [ROWS as u64]);
}
