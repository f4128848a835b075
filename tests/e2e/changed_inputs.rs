//! Inputs that somebody writes to while a run reads them.

use std::fs::{self, File};
use std::io::Write;

use cognito_unlink::emulator::{Rule, Then, When};

use crate::sandbox::{PATIENCE, Ran, Sandbox, people};

/// Far more than is read ahead of the calls.
const ROWS: usize = 6000;

/// Has `change` happen while the run reads, which is held up by its first calls.
fn changed_while_read(change: impl FnOnce(&Sandbox)) -> (Sandbox, Ran) {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(ROWS));
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Hold,
        times: None,
    });
    let running = sandbox.start(&["people.csv", "--json", "--concurrency", "64"]);
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held > 0));
    change(&sandbox);
    sandbox.emulator.clear_rules();
    let ran = running.ended();
    (sandbox, ran)
}

#[test]
fn a_file_that_is_written_anew_is_read_no_further() {
    let (sandbox, ran) = changed_while_read(|sandbox| {
        sandbox.write("people.csv", people(2 * ROWS).replace("acct-", "new-"));
    });
    let ran = ran.exits(3);
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

    // The next run reads the file as it is by then.
    let ran = sandbox
        .run(&["people.csv", "--limit", "5", "--json"])
        .exits(4);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [0, 5]);
}

#[test]
fn a_file_that_grows_is_read_to_its_new_end() {
    let (_, ran) = changed_while_read(|sandbox| {
        let more = people(ROWS + 9);
        let rows = &more[people(ROWS).len()..];
        let mut file = File::options()
            .append(true)
            .open(sandbox.path("people.csv"))
            .expect("opened");
        file.write_all(rows.as_bytes()).expect("appended");
    });
    assert_eq!(ran.exits(0).counts(&["unlinked"]), [ROWS as u64 + 9]);
}

#[test]
fn a_file_that_is_replaced_is_read_as_it_was() {
    let (_, ran) = changed_while_read(|sandbox| {
        sandbox.write("new.csv", people(1));
        fs::rename(sandbox.path("new.csv"), sandbox.path("people.csv")).expect("renamed");
    });
    assert_eq!(ran.exits(0).counts(&["unlinked"]), [ROWS as u64]);
}
