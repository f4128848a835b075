//! `report`: what results files say, for people and scripts.

use std::fmt::Write as _;

use cognito_unlink::testing::emulator::{
    Canned, Settings, Then, Undocumented, UnknownUserAnswer, When,
};
use rustix::process::Signal;
use serde_json::Value;

use crate::sandbox::{
    self, Output, POOL, Sandbox, link, link_in_other_region, people, rule, start,
};

/// Runs `report` to its end.
pub(crate) fn report(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut command = sandbox.command_without_credentials();
    command.arg("report").args(args);
    start(&mut command).wait()
}

fn sha256(content: &str) -> String {
    use sha2::{Digest, Sha256};
    hex::encode(Sha256::digest(content))
}

/// Refuses the call of this user, with a message that names it.
fn refuse(sandbox: &Sandbox, user: &str) {
    let answer = Canned {
        status: 400,
        headers: Vec::new(),
        body: format!(
            r#"{{"__type":"NotAuthorizedException","message":"Access to Identity '{}' of {user} is forbidden."}}"#,
            link(1).identity_id
        ),
    };
    sandbox
        .emulator
        .add_rule(rule(When::User(user.to_owned()), Then::Answer(answer)));
}

#[test]
fn a_report_has_the_numbers_of_the_runs() {
    let sandbox = Sandbox::new();
    let mut links: Vec<_> = (1..=8).map(link).collect();
    links.push(link_in_other_region(9));
    let input = sandbox::csv(&links) + "broken\nbroken\n";
    sandbox.write("people.csv", input);
    refuse(&sandbox, "acct-1");
    refuse(&sandbox, "acct-2");
    let mut summaries = Vec::new();
    for (args, exit) in [(&["--limit", "3"][..], 4), (&[], 1)] {
        let args = [&["people.csv", "--json", "--concurrency", "1"], args].concat();
        summaries.push(sandbox.run(&args).expect_exit(exit).summary());
    }
    sandbox.emulator.clear_rules();
    let third = sandbox.run(&["people.csv", "--json"]);
    summaries.push(third.expect_exit(1).summary());
    let reported = report(&sandbox, &["people.results.csv", "--json"]).expect_exit(1);
    let total = reported.summary();
    // Every line is one that a run has counted.
    for outcome in [
        "unlinked",
        "not_linked",
        "failed",
        "in_doubt",
        "invalid",
        "held",
    ] {
        let counted = |summary: &Value| summary[outcome].as_u64().expect("a number");
        let runs: u64 = summaries.iter().map(counted).sum();
        assert_eq!(total["lines_by_outcome"][outcome], runs, "{outcome}");
    }
    // The last run tells of each row that is not done, and has skipped the others.
    let last = &summaries[2];
    let number = |value: &Value| value.as_u64().expect("a number");
    assert_eq!(total["rows"], last["rows"]);
    assert_eq!(total["invalid"], last["invalid"]);
    assert_eq!(total["invalid"], 2);
    assert_eq!(
        number(&total["unlinked"]) + number(&total["not_linked"]),
        number(&last["skipped"]) + number(&last["unlinked"])
    );
    let calls: u64 = summaries
        .iter()
        .map(|summary| number(&summary["calls"]))
        .sum();
    assert_eq!(total["calls"], calls);
    assert_eq!(total["runs"].as_array().map(Vec::len), Some(3));
    assert_eq!(total["runs"][2]["ended"]["exit_code"], 1);
    assert_eq!(
        (&total["left"], &total["left_is_exact"]),
        (&0.into(), &true.into())
    );
    let pools = total["pools"].as_array().expect("pools");
    let rows: u64 = pools.iter().map(|pool| number(&pool["rows"])).sum();
    assert_eq!(rows, 11);
    let next = "cognito-unlink report people.results.csv --remaining people.remaining.csv";
    assert_eq!(total["next"], next);
    assert!(!reported.all().contains("acct-"), "{reported:?}");
}

#[test]
fn reasons_are_told_without_names() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(4));
    refuse(&sandbox, "acct-1");
    refuse(&sandbox, "acct-2");
    sandbox
        .run(&["people.csv", "--max-failures", "100%"])
        .expect_exit(1);
    let reported = report(&sandbox, &["people.results.csv", "--json"]).expect_exit(1);
    assert_eq!(
        reported.summary()["reasons"],
        serde_json::json!([{
            "outcome": "failed",
            "error_code": "NotAuthorizedException",
            "error_message": "Access to Identity '…' of … is forbidden.",
            "rows": 2,
        }])
    );
    let text = report(&sandbox, &["people.results.csv"]).expect_exit(1);
    text.assert_contains(
        "2  failed  NotAuthorizedException: Access to Identity '…' of … is forbidden.",
    );
    assert!(!text.all().contains("acct-"), "{text:?}");
    assert!(!text.all().contains(&link(1).identity_id), "{text:?}");
}

#[test]
fn a_report_reads_as_a_person_expects() {
    let sandbox = Sandbox::new();
    let time = |second: u32| format!("2026-11-28T16:31:{second:02}.000Z");
    let header = "row,source,line,identity_id,identity_pool_id,developer_provider_name,developer_user_identifier,outcome,error_code,\
                  error_message,http_status,request_id,attempts,started_at,finished_at,latency_ms,run_id,request_ids\n";
    let mut results = header.to_owned();
    for (n, outcome, error, run) in [
        (1, "failed", "InternalErrorException,busy,500", "a"),
        (2, "unlinked", ",,200", "a"),
        (
            3,
            "not_linked",
            "ResourceNotFoundException,not found,400",
            "a",
        ),
        (1, "unlinked", ",,200", "b"),
        (4, "in_doubt", "Aborted,,", "b"),
    ] {
        let link = link(n);
        let _ = writeln!(
            results,
            "{n},people.csv,{n},{},{POOL},{},{},{outcome},{error},id,2,{},{},40,{run},id",
            link.identity_id,
            link.developer_provider_name,
            link.developer_user_identifier,
            time(0),
            time(9),
        );
    }
    sandbox.write("people.results.csv", &results);
    let reported = report(&sandbox, &["people.results.csv"]).expect_exit(1);
    let expected = "
           4  rows
           2  unlinked
           1  not linked  there was nothing to unlink
           1  in doubt  may or may not be unlinked; the next run tells
           ?  left  rows that no run has reached are not known: there is no log of runs beside the results
           1  earlier lines  of rows that were tried again: their last lines count

Reasons
           1  not linked  ResourceNotFoundException: not found
           1  in doubt  Aborted

Pools
           4  us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63  2 unlinked, 1 not linked, 1 in doubt

Runs
           3  a  2026-11-28T16:31:00.000Z, 6 calls in 9.0 s (0.7/s); no log
           2  b  2026-11-28T16:31:00.000Z, 4 calls in 9.0 s (0.4/s); no log

First call 2026-11-28T16:31:00.000Z, last row 2026-11-28T16:31:09.000Z.
10 calls, 5 of them repeated.
Results: people.results.csv (5 lines, SIZE)
";
    let told = report(&sandbox, &["people.results.csv", "--json"]).expect_exit(1);
    let mut told = told.summary();
    let times = ("2026-11-28T16:31:00.000Z", "2026-11-28T16:31:09.000Z");
    assert_eq!(told["files"][0]["sha256"], sha256(&results));
    assert_eq!(told["runs"][1]["lines_by_outcome"]["in_doubt"], 1);
    // Checked above, or as long as they are clear.
    for long in ["files", "runs", "reasons", "notes", "lines_by_outcome"] {
        told.as_object_mut().expect("an object").remove(long);
    }
    let outcomes = |rows: u64, unlinked: u64, not_linked: u64, in_doubt: u64| {
        serde_json::json!({
            "rows": rows, "unlinked": unlinked, "not_linked": not_linked, "unlinked_reply_lost": 0, "failed": 0,
            "in_doubt": in_doubt, "invalid": 0, "held": 0, "kept": 0, "relinked": 0,
        })
    };
    let with = |mut value: Value, more: &Value| {
        let object = value.as_object_mut().expect("an object");
        object.extend(more.as_object().expect("an object").clone());
        value
    };
    let pool = serde_json::json!({"identity_pool_id": POOL, "region": "us-east-1"});
    let expected_json = with(
        outcomes(4, 2, 1, 1),
        &serde_json::json!({
            "left": null, "left_is_exact": false, "near_holds": 0, "last_logins": {"looked": 0, "lost": 0},
            "lines": 5, "lines_replaced": 1, "missing_shards": [],
            "missing_shards": [], "lines_of_rehearsals": 0, "first_call_at": times.0, "last_row_at": times.1,
            "calls": 10, "repeated_calls": 5, "most_calls_per_second": 40.0,
            "pools": [with(outcomes(4, 2, 1, 1), &pool)],
            "verification": null, "written": [], "next": null, "exit_code": 1,
        }),
    );
    assert_eq!(told, expected_json);
    let line = reported.stdout.lines().last().expect("a line");
    let size = line.rsplit_once(", ").expect("a size").1;
    let shown = reported.stdout.replace(size, "SIZE)");
    assert_eq!(format!("\n{shown}"), expected);
    assert_eq!(reported.stderr, "");
}

#[test]
fn rows_that_no_run_has_reached_are_told() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    sandbox.run(&["people.csv", "--limit", "2"]).expect_exit(4);
    let reported = report(&sandbox, &["people.results.csv", "--json"]).expect_exit(1);
    assert_eq!(reported.counts(&["rows", "unlinked", "left"]), [2, 2, 3]);
    let text = report(&sandbox, &["people.results.csv"]).expect_exit(1);
    text.assert_contains("3  left  not reached by any run");
    text.assert_contains("Next, the same command goes on with the rows that are left");
    sandbox.run(&["people.csv"]).expect_exit(0);
    let reported = report(&sandbox, &["people.results.csv", "--json"]).expect_exit(0);
    assert_eq!(reported.counts(&["rows", "unlinked", "left"]), [5, 5, 0]);
}

#[test]
fn a_report_is_made_while_a_run_goes_on_and_after_it_was_killed() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(8));
    sandbox.run(&["people.csv", "--limit", "2"]).expect_exit(4);
    let running = sandbox.start_with_four_calls_held(&["people.csv"]);
    let reported = report(&sandbox, &["people.results.csv", "--json"]).expect_exit(1);
    let told = reported.summary();
    assert_eq!((&told["rows"], &told["left"]), (&2.into(), &Value::Null));
    assert_eq!(told["files"][0]["state"], "a_run_is_writing");
    let text = report(&sandbox, &["people.results.csv"]).expect_exit(1);
    text.assert_contains(&format!(
        "A run is writing to people.results.csv: process {}",
        running.id()
    ));
    running.signal(Signal::KILL);
    running.wait();
    let results = sandbox.read("people.results.csv");
    sandbox.write("people.results.csv", format!("{results}9,people.csv,"));
    let reported = report(&sandbox, &["people.results.csv", "--json"]).expect_exit(1);
    let told = reported.summary();
    assert_eq!(told["files"][0]["state"], "interrupted");
    assert_eq!(
        (&told["files"][0]["torn_bytes"], &told["rows"]),
        (&13.into(), &2.into())
    );
    assert_eq!(
        sandbox.read("people.results.csv"),
        format!("{results}9,people.csv,")
    );
    // A report keeps no run from its results.
    sandbox.emulator.clear_rules();
    sandbox.run(&["people.csv"]).expect_exit(0);
    report(&sandbox, &["people.results.csv"]).expect_exit(0);
}

#[test]
fn results_of_every_form_are_reported_alike() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    for args in [
        &["--results", "a.csv"][..],
        &["--results", "b.jsonl"],
        &["--results", "c.csv", "--spreadsheet-safe"],
    ] {
        sandbox
            .run(&[&["people.csv"], args].concat())
            .expect_exit(0);
    }
    for name in ["a.csv", "b.jsonl", "c.csv"] {
        let reported = report(&sandbox, &[name, "--json"]).expect_exit(0);
        let told = reported.summary();
        assert_eq!(
            (&told["rows"], &told["lines"]),
            (&3.into(), &3.into()),
            "{name}"
        );
        assert_eq!(told["files"][0]["sha256"], sha256(&sandbox.read(name)));
    }
    // Of rows in several files the last line counts.
    let all = report(&sandbox, &["a.csv", "b.jsonl", "c.csv", "--json"]).expect_exit(0);
    assert_eq!(all.counts(&["rows", "lines", "lines_replaced"]), [3, 9, 6]);
}

#[test]
fn what_is_no_results_file_is_refused_by_report() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    report(&sandbox, &["people.csv"])
        .expect_exit(2)
        .assert_contains("people.csv is not a results file");
    report(&sandbox, &["absent.csv"])
        .expect_exit(2)
        .assert_contains("absent.csv");
    sandbox.run(&["people.csv"]).expect_exit(0);
    let twice = report(&sandbox, &["people.results.csv", "./people.results.csv"]).expect_exit(2);
    twice.assert_contains("is named twice");
}

#[test]
fn a_rehearsal_is_told_as_one() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let mut command = sandbox.command_without_credentials();
    command.args(["run", "people.csv", "--rehearse"]);
    start(&mut command).wait().expect_exit(0);
    let reported = report(&sandbox, &["people.rehearsal.csv"]).expect_exit(0);
    reported.assert_contains("nothing was unlinked at AWS");
}

/// Writes results of people who are unlinked, refused, in doubt and invalid, with a carried column.
fn various_results(sandbox: &Sandbox, results: &str) {
    let mut input = "ticket,".to_owned();
    for (n, line) in sandbox::csv(&(1..=4).map(link).collect::<Vec<_>>())
        .lines()
        .enumerate()
    {
        let ticket = if n == 0 {
            String::new()
        } else {
            format!("\"T-{n}, Müller\",")
        };
        let _ = writeln!(input, "{ticket}{line}");
    }
    // Names in the wrong columns.
    let identity = link(5).identity_id;
    let _ = writeln!(
        input,
        "T-5,{identity},{},Anna,NULL",
        identity.replace("0005", "0042")
    );
    sandbox.write("people.csv", input);
    refuse(sandbox, "acct-2");
    refuse(sandbox, "acct-3");
    let args = ["people.csv", "--carry", "ticket", "--results", results];
    sandbox
        .run(&[&args[..], &["--max-failures", "100%"]].concat())
        .expect_exit(1);
    sandbox.emulator.clear_rules();
    refuse(sandbox, "acct-3");
    sandbox.run(&args).expect_exit(1);
    sandbox.emulator.clear_rules();
}

#[test]
fn rows_that_remain_are_written_as_an_input() {
    for (results, remaining) in [
        ("a.csv", "rest.csv"),
        ("b.jsonl", "rest.jsonl"),
        ("c.csv", "rest.jsonl"),
        ("d.jsonl", "rest.csv"),
    ] {
        let sandbox = Sandbox::new();
        various_results(&sandbox, results);
        let args = [results, "--remaining", remaining];
        let reported = report(&sandbox, &args).expect_exit(1);
        reported.assert_contains(&format!("Remaining: {remaining} (2 rows)"));
        let mode = std::fs::metadata(sandbox.path(remaining)).expect("a file");
        assert_eq!(std::os::unix::fs::MetadataExt::mode(&mode) & 0o777, 0o600);
        let mut rows = sandbox.results(remaining);
        rows.sort_by_key(|row| row["ticket"].clone());
        assert_eq!(rows[0]["developer_user_identifier"], "acct-3");
        assert_eq!(rows[0]["ticket"], "T-3, Müller");
        let reason = "people.csv:4: failed: NotAuthorizedException: Access to Identity";
        assert!(rows[0]["reason"].starts_with(reason), "{rows:?}");
        assert_eq!(rows[1]["ticket"], "T-5");
        assert!(
            rows[1]["reason"].starts_with("people.csv:6: invalid: "),
            "{rows:?}"
        );
        // What is there already may have been corrected.
        let refused = report(&sandbox, &args).expect_exit(2);
        refused.assert_contains("the file is there already");
        let next = sandbox
            .run(&[remaining, "--carry", "ticket", "--json"])
            .expect_exit(1);
        assert_eq!(next.counts(&["rows", "unlinked", "invalid"]), [2, 1, 1]);
    }
}

#[test]
fn redacted_results_name_nobody_and_count_the_same() {
    for (results, redacted) in [("a.csv", "r.csv"), ("b.jsonl", "r.jsonl")] {
        let sandbox = Sandbox::new();
        various_results(&sandbox, results);
        let redact = |to: &str, key: &str| {
            report(&sandbox, &[results, "--redact", to, "--key", key]).expect_exit(1);
            sandbox.read(to)
        };
        let text = redact(redacted, "key");
        let other = format!("again.{redacted}");
        assert_eq!(redact(&other, "key"), text);
        assert_ne!(redact(&format!("other.{redacted}"), "another-key"), text);
        let mode = std::fs::metadata(sandbox.path("key")).expect("a key");
        assert_eq!(
            (
                std::os::unix::fs::MetadataExt::mode(&mode) & 0o777,
                mode.len()
            ),
            (0o600, 32)
        );
        for named in [
            "acct-",
            "Müller",
            "T-1",
            "us-east-1:00000000",
            "people.csv",
            "Identity '",
            "broken",
        ] {
            assert!(!text.contains(named), "{named}: {text}");
        }
        let numbers = |file: &str| {
            let told = report(&sandbox, &[file, "--json"]).expect_exit(1).summary();
            let names = [
                "rows",
                "unlinked",
                "failed",
                "invalid",
                "lines",
                "lines_by_outcome",
                "pools",
                "calls",
                "first_call_at",
            ];
            names.map(|name| told[name].clone())
        };
        assert_eq!(numbers(redacted), numbers(results));
        let (before, after) = (sandbox.results(results), sandbox.results(redacted));
        for (before, after) in before.iter().zip(&after) {
            for kept in [
                "row",
                "line",
                "request_id",
                "request_ids",
                "started_at",
                "finished_at",
                "run_id",
                "error_code",
            ] {
                assert_eq!(before[kept], after[kept], "{kept}");
            }
            assert_eq!(after["source"], "1");
        }
    }
}

/// Returns a page, after checks that hold for every one.
fn page(sandbox: &Sandbox, name: &str) -> String {
    let page = sandbox.read(name);
    assert!(page.len() < 200_000, "{}", page.len());
    for absent in [
        "<script",
        "javascript:",
        "=\"http",
        "src=",
        "@import",
        "url(",
        "style=",
        "onload",
    ] {
        assert!(!page.contains(absent), "{absent}");
    }
    let head = "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">";
    assert!(page.starts_with(head), "{page}");
    let style = page.split_once("<style>").expect("a style").1;
    let style = style.split_once("</style>").expect("its end").0;
    let hash = {
        use base64::Engine as _;
        use sha2::{Digest, Sha256};
        base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style))
    };
    assert!(page.contains(&format!("default-src 'none'; style-src 'sha256-{hash}';")));
    page
}

/// Returns the text of a page without its tags, with one space for any white space.
fn text_of(page: &str) -> String {
    let body = page.split_once("<body>").expect("a body").1;
    let pieces = body
        .split('<')
        .map(|piece| piece.split_once('>').map_or(piece, |(_, text)| text));
    let text = pieces.collect::<Vec<_>>().join(" ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_page_tells_everything_and_names_nobody() {
    for results in ["a.csv", "b.jsonl"] {
        let sandbox = Sandbox::new();
        various_results(&sandbox, results);
        let reported = report(&sandbox, &[results, "--html", "r.html"]).expect_exit(1);
        reported.assert_contains("Page: r.html");
        let page = page(&sandbox, "r.html");
        for named in [
            "acct-",
            "Müller",
            "T-1",
            "us-east-1:00000000",
            "Anna",
            "of acct",
        ] {
            assert!(!page.contains(named), "{named}");
        }
        assert_eq!(page.matches("<figure>").count(), 4);
        let text = text_of(&page);
        for told in [
            "3 of 5 rows are done; 1 failed and 1 invalid.",
            "in 2 runs, over 1 identity pool",
            "Access to Identity '…' of … is forbidden.",
            "What this does not show",
            "What still names people, and where",
            "max-failures 100%",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
        for file in [results, "people.csv"] {
            assert!(page.contains(&sha256(&sandbox.read(file))), "{file}");
        }
        // A page is written anew, and nothing else is written over.
        report(&sandbox, &[results, "--html", "r.html"]).expect_exit(1);
        sandbox.write("notes.html", "<p>mine</p>");
        let refused = report(&sandbox, &[results, "--html", "notes.html"]).expect_exit(2);
        refused.assert_contains("is no report");
        assert_eq!(sandbox.read("notes.html"), "<p>mine</p>");
        report(&sandbox, &[results, "--html", "people.csv"]).expect_exit(2);
    }
}

#[test]
fn a_page_has_its_verification() {
    let links: Vec<_> = (1..=3).map(link).collect();
    let sandbox = Sandbox::with_settings(Settings {
        links: Some(links),
        undocumented: Undocumented {
            when_unknown_user: UnknownUserAnswer::ResourceNotFound,
            ..Undocumented::default()
        },
        ..Settings::default()
    });
    sandbox.write("people.csv", people(3));
    sandbox.run(&["people.csv"]).expect_exit(0);
    let verified = sandbox.job("verify", &["people.results.csv", "--all", "--json"]);
    sandbox.write("statement.json", verified.expect_exit(0).stdout);
    for (file, told) in [
        ("people.verified.csv", "3 rows looked at: 3 gone."),
        (
            "statement.json",
            "None of them is still linked to its identity.",
        ),
    ] {
        let args = ["people.results.csv", "--verified", file, "--html", "r.html"];
        report(&sandbox, &args).expect_exit(0);
        let text = text_of(&page(&sandbox, "r.html"));
        assert!(text.contains("All 3 rows are done."), "{text}");
        assert!(text.contains(told), "{told}: {text}");
        assert!(!text.contains("the results have changed since"), "{text}");
    }
    let wrong = ["people.results.csv", "--verified", "people.csv"];
    report(&sandbox, &wrong)
        .expect_exit(2)
        .assert_contains("people.csv");
    sandbox.write("other.json", "{}");
    let wrong = ["people.results.csv", "--verified", "other.json"];
    report(&sandbox, &wrong)
        .expect_exit(2)
        .assert_contains("verify --json");
}

#[test]
fn a_page_of_results_without_a_row_is_made_too() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(0));
    sandbox.run(&["people.csv"]).expect_exit(0);
    report(&sandbox, &["people.results.csv", "--html", "r.html"]).expect_exit(0);
    let text = text_of(&page(&sandbox, "r.html"));
    assert!(text.contains("No row is recorded."), "{text}");
}

#[test]
fn a_run_writes_its_report_at_any_end() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(8));
    let args = ["people.csv", "--report", "r.html"];
    let stopped = sandbox.run(&[&args[..], &["--limit", "2"]].concat());
    stopped.expect_exit(4).assert_contains("Report: r.html");
    let text = text_of(&page(&sandbox, "r.html"));
    assert!(
        text.contains("2 of 8 rows are done; 6 not reached yet."),
        "{text}"
    );
    let running = sandbox.start_with_four_calls_held(&args);
    running.signal(Signal::INT);
    running.wait_for_stderr("Stopping");
    sandbox.emulator.clear_rules();
    let interrupted = running.wait().expect_exit(130);
    interrupted.assert_contains("Report: r.html");
    let denied = Then::Answer(Canned {
        status: 403,
        headers: Vec::new(),
        body: r#"{"__type":"AccessDeniedException","message":"no"}"#.to_owned(),
    });
    sandbox.write("people.csv", people(9));
    sandbox.emulator.add_rule(rule(When::Always, denied));
    let halted = sandbox.run(&[&args[..], &["--no-preflight", "--json"]].concat());
    let halted = halted.expect_exit(5);
    assert_eq!(halted.summary()["report"], "r.html");
    let text = text_of(&page(&sandbox, "r.html"));
    assert!(text.contains("halted, exit 5"), "{text}");
    sandbox.emulator.clear_rules();
    sandbox.run(&args).expect_exit(0);
    let text = text_of(&page(&sandbox, "r.html"));
    assert!(text.contains("All 9 rows are done."), "{text}");
    // A page that cannot be written is found before the first call.
    let calls = sandbox.emulator.counters().unlinks;
    for wrong in ["no/folder.html", "people.csv", "report.txt"] {
        sandbox
            .run(&["people.csv", "--report", wrong])
            .expect_exit(2);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, calls);
}

#[test]
fn a_run_names_the_report() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let ran = sandbox.run(&["people.csv"]).expect_exit(0);
    ran.assert_contains("report people.results.csv\n");
}

#[test]
fn rows_that_were_kept_and_logins_that_are_left_are_told() {
    let links = [
        sandbox::link_of(1, "a"),
        sandbox::link_of(1, "b"),
        sandbox::link_of(2, "c"),
    ];
    let sandbox = Sandbox::with_settings(Settings {
        links: Some(links.to_vec()),
        ..Settings::default()
    });
    sandbox.write(
        "people.csv",
        sandbox::csv(&[links[0].clone(), links[2].clone()]),
    );
    sandbox
        .run(&["people.csv", "--last-login", "keep"])
        .expect_exit(0);
    let args = [
        "people.results.csv",
        "--html",
        "r.html",
        "--redact",
        "r.csv",
        "--key",
        "key",
    ];
    let text = report(&sandbox, &args).expect_exit(0);
    text.assert_contains("1  kept");
    text.assert_contains(
        "0 identities lost the last login and became inaccessible, of 1 unlinked row",
    );
    let page = text_of(&page(&sandbox, "r.html"));
    assert!(page.contains("1 of 2 rows are done; 1 kept."), "{page}");
    // The number of logins names nobody.
    let told = report(&sandbox, &["r.csv", "--json"])
        .expect_exit(0)
        .summary();
    assert_eq!(
        told["last_logins"],
        serde_json::json!({"looked": 1, "lost": 0})
    );
}
