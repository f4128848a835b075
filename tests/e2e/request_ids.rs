//! The column `request_ids`: the ids of all attempts, in files that were begun with it.

use std::collections::HashSet;

use cognito_unlink::testing::emulator::{FaultKind, Rule, Then, When};
use rustix::process::Signal;

use crate::sandbox::{POOL, PROVIDER, ResultLine, Sandbox, TIMEOUT, people};

/// Makes the first attempts of a user fail, one with each fault.
fn fail_attempts(sandbox: &Sandbox, user: &str, faults: &[FaultKind]) {
    for fault in faults {
        sandbox.emulator.add_rule(Rule {
            when: When::User(user.to_owned()),
            then: Then::Fault(*fault),
            times: Some(1),
        });
    }
}

#[track_caller]
fn line_of<'a>(lines: &'a [ResultLine], user: &str) -> &'a ResultLine {
    let mut lines = lines.iter();
    let line = lines.find(|line| line["developer_user_identifier"] == user);
    line.expect("a line of the user")
}

#[test]
fn the_ids_of_all_attempts_are_recorded() {
    use FaultKind::{InternalError, ResetBefore, Throttle};
    for name in ["people.results.csv", "people.results.jsonl"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(3) + "bad row\n");
        fail_attempts(&sandbox, "acct-1", &[InternalError, Throttle]);
        // Its last attempt gets no reply.
        fail_attempts(&sandbox, "acct-2", &[InternalError, ResetBefore]);
        let args = ["people.csv", "--results", name, "--max-attempts", "2"];
        sandbox.run(&args).expect_exit(1);
        let lines = sandbox.results(name);
        for (user, outcome, attempts, ids) in [
            ("acct-1", "unlinked", "3", 3),
            ("acct-2", "in_doubt", "2", 1),
            ("acct-3", "unlinked", "1", 1),
        ] {
            let line = line_of(&lines, user);
            assert_eq!((&*line["outcome"], &*line["attempts"]), (outcome, attempts));
            let all: Vec<_> = line["request_ids"].split(' ').collect();
            let distinct: HashSet<_> = all.iter().filter(|id| !id.is_empty()).collect();
            assert_eq!((all.len(), distinct.len()), (ids, ids), "{line:?}");
            let last = if outcome == "in_doubt" {
                ""
            } else {
                all[ids - 1]
            };
            assert_eq!(line["request_id"], last);
        }
        let invalid = line_of(&lines, "");
        assert_eq!(invalid["request_ids"], "");
    }
}

const OLD_HEADER: &str = "row,source,line,identity_id,identity_pool_id,developer_provider_name,developer_user_identifier,outcome,\
                          error_code,error_message,http_status,request_id,attempts,started_at,finished_at,latency_ms,run_id";
const OLD_RUN: &str = "20260101T000000Z-000000-local";

/// Returns the results of user 1 as version 0.1.0 has written them, with the carried column `ticket`.
fn old_results(jsonl: bool) -> String {
    let identity = "us-east-1:00000000-0000-4000-8000-000000000001";
    let (start, end) = ("2026-01-01T00:00:00.000Z", "2026-01-01T00:00:00.050Z");
    if jsonl {
        format!(
            "{{\"row\":1,\"source\":\"people.csv\",\"line\":2,\"identity_id\":\"{identity}\",\"identity_pool_id\":\"{POOL}\",\
             \"developer_provider_name\":\"{PROVIDER}\",\"developer_user_identifier\":\"acct-1\",\"outcome\":\"unlinked\",\
             \"error_code\":null,\"error_message\":null,\"http_status\":200,\"request_id\":\"r-1\",\"attempts\":1,\
             \"started_at\":\"{start}\",\"finished_at\":\"{end}\",\"latency_ms\":50,\"run_id\":\"{OLD_RUN}\",\"ticket\":\"T-1\"}}\n"
        )
    } else {
        format!(
            "{OLD_HEADER},ticket\n1,people.csv,2,{identity},{POOL},{PROVIDER},acct-1,unlinked,,,200,r-1,1,{start},{end},50,\
             {OLD_RUN},T-1\n"
        )
    }
}

#[test]
fn results_of_an_earlier_version_keep_their_columns() {
    let spreadsheet = old_results(false).replacen("row,", "\u{feff}\"row\",", 1);
    for (name, old) in [
        ("people.results.csv", old_results(false)),
        ("people.results.csv", spreadsheet),
        ("people.results.jsonl", old_results(true)),
    ] {
        let sandbox = Sandbox::new();
        let rows = people(6).replace("identifier\n", "identifier,ticket\n");
        let rows = (1..=6).fold(rows, |rows, n| {
            rows.replace(&format!("\"acct-{n}\""), &format!("acct-{n},T-{n}"))
        });
        sandbox.write("people.csv", rows);
        sandbox.write(name, &old);
        let args = [
            "people.csv",
            "--results",
            name,
            "--carry",
            "ticket",
            "--json",
        ];

        // Killed while calls are in flight, so that the side file counts.
        let running = sandbox.start_with_four_calls_held(&args);
        running.signal(Signal::KILL);
        assert_eq!(running.wait().code(), None);
        assert_eq!(sandbox.read(name), old);
        let emulator = &sandbox.emulator;
        assert!(emulator.wait_until(TIMEOUT, |seen| seen.in_flight == 0));
        sandbox.emulator.clear_rules();
        let ran = sandbox.run(&args).expect_exit(0);
        assert!(ran.stderr.contains("4 rows were in flight"), "{ran:?}");
        assert_eq!(ran.counts(&["skipped", "unlinked"]), [1, 5]);

        let text = sandbox.read(name);
        assert!(text.starts_with(&old), "{text}");
        assert!(!text.contains("request_ids"), "{text}");
        let lines = sandbox.results(name);
        assert_eq!(lines.len(), 6);
        for line in &lines {
            let number = line["developer_user_identifier"].replace("acct-", "");
            assert_eq!(line["ticket"], format!("T-{number}"), "{line:?}");
            assert!(line["run_id"].ends_with("-local"), "{line:?}");
        }
        let again = sandbox.run(&args).expect_exit(0);
        assert_eq!(again.counts(&["skipped", "calls"]), [6, 0]);
        assert_eq!(sandbox.read(name), text);
    }
}
