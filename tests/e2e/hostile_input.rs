//! Input and replies made to do harm: endless lines, compression bombs, deep nesting, and text that would control a terminal.

use std::fs::{self, File};
use std::io::{BufWriter, Write};

use cognito_unlink::testing::emulator::{Canned, Counters, Rule, Then, When};

use crate::sandbox::{Output, Sandbox, TIMEOUT, csv, gzip, link, people, rule};

/// Bytes of memory that a run stays below, whatever its input and its replies.
const MEMORY_LIMIT: u64 = 64 << 20;

fn hold(user: &str) -> Rule {
    rule(When::User(user.to_owned()), Then::Hold)
}

/// Runs until the emulator holds the call of `user`, who comes after all hostile input, asserts the memory used by then, and
/// lets the run end.
#[track_caller]
fn run_within_memory(sandbox: &Sandbox, user: &str, args: &[&str]) -> Output {
    sandbox.emulator.add_rule(hold(user));
    let running = sandbox.start(args);
    let reached = sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1);
    let memory = running.peak_memory();
    sandbox.emulator.clear_rules();
    let ran = running.wait();
    assert!(reached, "{user} was not called: {ran:?}");
    assert!(
        cfg!(not(target_os = "linux")) || memory.is_some_and(|bytes| bytes < MEMORY_LIMIT),
        "{memory:?} bytes"
    );
    ran
}

/// Writes the row of user `n` as a line of JSON, with `more` keys.
fn json_row(n: usize, more: &str) -> String {
    let link = link(n);
    format!(
        "{{\"identity_id\":\"{}\",\"identity_pool_id\":\"{}\",\"developer_provider_name\":\"{}\",\
         \"developer_user_identifier\":\"{}\"{more}}}\n",
        link.identity_id,
        link.identity_pool_id,
        link.developer_provider_name,
        link.developer_user_identifier
    )
}

/// Writes the row of user `n` as CSV, without the header.
fn csv_row(n: usize) -> String {
    let text = csv(&[link(n)]);
    text.split_once('\n').expect("a header").1.to_owned()
}

/// Writes a file of `before`, 100 MB without a line end, and `after`.
fn write_around_100_mb(sandbox: &Sandbox, name: &str, before: &str, after: &str) {
    let mut file = BufWriter::new(File::create(sandbox.path(name)).expect("a file"));
    file.write_all(before.as_bytes()).expect("written");
    let megabyte = vec![b'x'; 1_000_000];
    for _ in 0..100 {
        file.write_all(&megabyte).expect("written");
    }
    file.write_all(after.as_bytes()).expect("written");
    file.flush().expect("written");
}

#[test]
fn a_line_of_100_mb_is_one_invalid_row() {
    for (name, line, before, after) in [
        ("bare.csv", "3", people(1), format!("\n{}", csv_row(2))),
        (
            "quoted.csv",
            "3",
            people(1) + "a,\"",
            format!("\"\n{}", csv_row(2)),
        ),
        (
            "lines.jsonl",
            "2",
            json_row(1, "") + "{\"developer_user_identifier\":\"",
            format!("\"}}\n{}", json_row(2, "")),
        ),
    ] {
        let sandbox = Sandbox::new();
        write_around_100_mb(&sandbox, name, &before, &after);
        let ran = run_within_memory(&sandbox, "acct-2", &[name, "--results", "r.csv", "--json"])
            .expect_exit(1);
        assert_one_line_too_long(&sandbox, &ran, name, line);
    }
}

/// Asserts that of three rows the one at `line` was too long, and the others were called.
#[track_caller]
fn assert_one_line_too_long(sandbox: &Sandbox, ran: &Output, name: &str, line: &str) {
    assert_eq!(
        ran.counts(&["rows", "unlinked", "invalid"]),
        [3, 2, 1],
        "{name}"
    );
    assert_eq!(
        invalid_rows(sandbox, "r.csv"),
        [("RecordTooLong".to_owned(), line.to_owned())],
        "{name}"
    );
}

/// Returns the error code and the line of each invalid row, in the order of the lines.
fn invalid_rows(sandbox: &Sandbox, results: &str) -> Vec<(String, String)> {
    let mut invalid: Vec<_> = sandbox
        .results(results)
        .into_iter()
        .filter(|line| line["outcome"] == "invalid")
        .map(|line| (line["error_code"].clone(), line["line"].clone()))
        .collect();
    invalid.sort_by_key(|(_, line)| line.parse::<u64>().expect("a number"));
    invalid
}

/// Returns a gzip file of `before`, `times` members of `filling`, and `after`. Repeating a compressed member is fast.
fn bomb(before: &str, filling: &[u8], times: usize, after: &str) -> Vec<u8> {
    let mut all = gzip(before.as_bytes());
    all.extend(gzip(filling).repeat(times));
    all.extend(gzip(after.as_bytes()));
    all
}

#[test]
fn a_compressed_line_of_2_gb_is_one_invalid_row() {
    let filling = vec![b'x'; 16 << 20];
    for (name, before, after) in [
        ("people.csv.gz", people(1), csv_row(2)),
        ("people.jsonl.gz", json_row(1, ""), json_row(2, "")),
    ] {
        let sandbox = Sandbox::new();
        let bomb = bomb(&before, &filling, 128, &("\n".to_owned() + &after));
        assert!(bomb.len() < 4_000_000, "{}", bomb.len());
        sandbox.write(name, bomb);
        let line = before.lines().count() + 1;
        let ran = run_within_memory(&sandbox, "acct-2", &[name, "--results", "r.csv", "--json"])
            .expect_exit(1);
        assert_one_line_too_long(&sandbox, &ran, name, &line.to_string());
    }
}

#[test]
fn compressed_blank_lines_are_skipped() {
    let filling = vec![b'\n'; 1_000_000];
    for (name, before, after) in [
        ("people.csv.gz", people(1), csv_row(2)),
        ("people.jsonl.gz", json_row(1, ""), json_row(2, "")),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write(name, bomb(&before, &filling, 20, &after));
        let ran = run_within_memory(&sandbox, "acct-2", &[name, "--results", "r.csv", "--json"])
            .expect_exit(0);
        assert_eq!(
            ran.counts(&["rows", "unlinked", "invalid"]),
            [2, 2, 0],
            "{name}"
        );
        let lines = sandbox.results("r.csv");
        let last = lines
            .iter()
            .find(|line| line["developer_user_identifier"] == "acct-2");
        let line = before.lines().count() + 20_000_000 + 1;
        assert_eq!(last.expect("its line")["line"], line.to_string());
    }
}

#[test]
fn each_invalid_row_of_a_compression_bomb_is_recorded() {
    let sandbox = Sandbox::new();
    let filling = b"x\n".repeat(20_000);
    sandbox.write("people.csv.gz", bomb(&people(1), &filling, 5, &csv_row(2)));
    let args = ["people.csv.gz", "--json", "--max-failures", "100%"];
    let ran = run_within_memory(&sandbox, "acct-2", &args).expect_exit(1);
    let counts = ran.counts(&["rows", "unlinked", "invalid"]);
    assert_eq!(counts, [100_002, 2, 100_000]);
}

#[test]
fn a_reply_of_100_mb_is_not_read_to_its_end() {
    let types = [
        (200, "application/x-amz-json-1.1"),
        (400, "application/x-amz-json-1.1"),
        (200, "text/html"),
        (502, "text/html"),
    ];
    for (status, content_type) in types {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(2));
        sandbox.emulator.add_rule(rule(
            When::User("acct-1".into()),
            Then::Answer(Canned {
                status,
                headers: vec![("content-type".into(), content_type.into())],
                body: "{".repeat(100_000_000),
            }),
        ));
        sandbox.emulator.add_rule(hold("acct-2"));
        let args = ["people.csv", "--max-attempts", "2", "--json"];
        let running = sandbox.start(&args);
        // acct-1 is called twice and given up, while the call of acct-2 is held.
        let both = |seen: &Counters| (seen.unlinks, seen.in_flight, seen.held) == (3, 1, 1);
        assert!(sandbox.emulator.wait_until(TIMEOUT, both), "{status}");
        let memory = running.peak_memory();
        sandbox.emulator.clear_rules();
        let ran = running.wait().expect_exit(1);
        assert!(
            cfg!(not(target_os = "linux")) || memory.is_some_and(|bytes| bytes < MEMORY_LIMIT),
            "{memory:?} bytes"
        );
        assert_eq!(ran.counts(&["unlinked", "in_doubt", "calls"]), [1, 1, 3]);
        let lines = sandbox.results("people.results.csv");
        let doubted = lines.iter().find(|line| line["outcome"] == "in_doubt");
        let doubted = doubted.expect("its line");
        assert_eq!(doubted["error_code"], "TruncatedAnswer", "{status}");
        assert_eq!(doubted["http_status"], status.to_string());
    }
}

/// Text that would clear the screen, ring the bell, move the cursor, or reorder what follows.
const CONTROL_TEXT: &str = "\u{1b}[2J\u{7}\r\u{9b}1A\u{7f}\u{8}\u{202e}\u{2066}\u{200f}";

/// Asserts that no output would control a terminal.
#[track_caller]
fn assert_safe_for_terminal(ran: &Output) {
    for text in [&ran.stdout, &ran.stderr] {
        let unsafe_char = text.chars().find(|&c| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(unsafe_char, None, "{text:?}");
    }
}

#[test]
fn file_and_column_names_cannot_control_the_terminal() {
    let sandbox = Sandbox::new();
    let named = |name: &str| format!("{CONTROL_TEXT}{name}");
    let input = named("people.csv");
    let bad_row = format!("us-east-1:0,us-east-1:{CONTROL_TEXT},login,u\n");
    sandbox.write(&input, people(2) + &bad_row);
    for args in [
        &["--dry-run"][..],
        &[],
        &["--rehearse"],
        &["-vv", "--results", "text.csv"],
        &["-vv", "--log-format", "json", "--results", "json.csv"],
        &["--json", "--results", "summary.csv"],
        &["--limit", "1", "--results", "limit.csv"],
    ] {
        let args = [&[input.as_str()], args].concat();
        let ran = sandbox.run(&args);
        assert!(matches!(ran.code(), Some(1 | 4)), "{ran:?}");
        assert_safe_for_terminal(&ran);
    }

    // Names of files that cannot be read, and of columns and formats that are unknown.
    let foreign = format!("\"{CONTROL_TEXT}\",\"{CONTROL_TEXT}x\"\n1,2\n");
    sandbox.write(&named("foreign.csv"), foreign);
    sandbox.write("people.csv", people(1));
    sandbox.write(&named("results.csv"), "no results\n");
    for (args, code) in [
        (&[named("absent.csv")][..], 3),
        (&[named("foreign.csv")], 3),
        (&[named("people")], 2),
        (&["people.csv".into(), "--carry".into(), named("x")], 3),
        (
            &[
                "people.csv".into(),
                "--map".into(),
                format!("identity_id={CONTROL_TEXT}"),
            ],
            3,
        ),
        (
            &["people.csv".into(), "--results".into(), named("r.txt")],
            2,
        ),
        (
            &[
                "people.csv".into(),
                "--results".into(),
                named("results.csv"),
            ],
            2,
        ),
        (
            &["people.csv".into(), "--ca-bundle".into(), named("absent")],
            2,
        ),
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = sandbox.run(&args).expect_exit(code);
        assert_safe_for_terminal(&ran);
    }
}

#[test]
fn messages_of_the_service_cannot_control_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let answer = |code: String, message: &str| Rule {
        when: When::User("acct-1".into()),
        then: Then::Answer(Canned {
            status: 400,
            headers: vec![("content-type".into(), "application/x-amz-json-1.1".into())],
            body: serde_json::json!({"__type": code, "message": message}).to_string(),
        }),
        times: Some(1),
    };
    for (code, exit) in [
        ("AccessDeniedException".to_owned(), 5),
        ("InternalErrorException".to_owned(), 0),
        (format!("Evil{CONTROL_TEXT}"), 1),
        (format!("AccessDenied{CONTROL_TEXT}"), 5),
    ] {
        for format in [
            &["-vv"][..],
            &["-vv", "--log-format", "json"],
            &["-vv", "--json"],
        ] {
            sandbox.emulator.clear_rules();
            sandbox
                .emulator
                .add_rule(answer(code.clone(), CONTROL_TEXT));
            let results = format!("r{}.csv", sandbox.emulator.counters().unlinks);
            let args = [
                &["people.csv", "--concurrency", "1", "--results", &results],
                format,
            ]
            .concat();
            let ran = sandbox.run(&args).expect_exit(exit);
            assert_safe_for_terminal(&ran);
        }
    }
}

#[test]
fn nul_bytes_are_text_with_as_is() {
    let sandbox = Sandbox::new();
    let row = csv_row(2);
    let nul_in_the_pool = row.replacen(',', ",\0", 1);
    let nul_in_the_user = row.replacen("acct-2", "acct\0-3", 1);
    sandbox.write(
        "people.csv",
        people(1) + &nul_in_the_pool + &nul_in_the_user,
    );
    let unasked = sandbox
        .run(&["people.csv", "--json", "--dry-run"])
        .expect_exit(1);
    assert_eq!(unasked.counts(&["invalid"]), [2]);
    let as_is = ["people.csv", "--json", "--as-is", "invisible"];
    let ran = sandbox.run(&as_is).expect_exit(1);
    assert_eq!(ran.counts(&["unlinked", "invalid"]), [2, 1]);
    assert_eq!(
        invalid_rows(&sandbox, "people.results.csv"),
        [("BadValue".to_owned(), "3".to_owned())]
    );
    assert_eq!(
        sandbox.outcomes("people.results.csv")["acct\0-3"],
        "unlinked"
    );

    // JSON strings may hold the escape of a NUL byte, but not the byte.
    let escaped = json_row(2, "").replace("acct-2", "acct\\u0000-2");
    let raw = json_row(3, "").replace("acct-3", "acct\0-3");
    sandbox.write("people.jsonl", escaped + &raw + "\0\n");
    let as_is = ["people.jsonl", "--json", "--as-is", "invisible"];
    let ran = sandbox.run(&as_is).expect_exit(1);
    assert_eq!(ran.counts(&["unlinked", "invalid"]), [1, 2]);
    let bad = |line: &str| ("BadJson".to_owned(), line.to_owned());
    assert_eq!(
        invalid_rows(&sandbox, "people.results.jsonl"),
        [bad("2"), bad("3")]
    );
    assert_eq!(
        sandbox.outcomes("people.results.jsonl")["acct\0-2"],
        "unlinked"
    );
}

#[test]
fn unpaired_surrogates_are_invalid() {
    let sandbox = Sandbox::new();
    let user = |escape: &str| json_row(1, "").replace("acct-1", escape);
    let lines = [
        user("\\ud800"),
        user("\\udc00"),
        user("\\ud83d\\u0041"),
        user("\\ud83e\\uddd1"),
        json_row(2, ",\"ticket\":\"\\ud800\""),
        json_row(3, ",\"ignored\":\"\\ud800\""),
    ];
    sandbox.write("people.jsonl", lines.concat());
    let ran = sandbox
        .run(&["people.jsonl", "--carry", "ticket", "--json"])
        .expect_exit(1);
    assert_eq!(ran.counts(&["rows", "unlinked", "invalid"]), [6, 2, 4]);
    let invalid = invalid_rows(&sandbox, "people.results.jsonl");
    let bad = ["1", "2", "3", "5"].map(|line| ("BadJson".to_owned(), line.to_owned()));
    assert_eq!(invalid, bad);
    assert_eq!(
        sandbox.outcomes("people.results.jsonl")["\u{1f9d1}"],
        "unlinked"
    );
}

#[test]
fn deeply_nested_json_is_accepted() {
    let nest = "[".repeat(100_000) + &"]".repeat(100_000);
    let objects = "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000);
    let lines = [
        json_row(1, &format!(",\"ignored\":{nest}")),
        json_row(2, &format!(",\"ignored\":{objects}")),
        json_row(3, &format!(",\"ticket\":{nest}")),
        json_row(4, &format!(",\"ticket\":{objects}")),
        json_row(5, "").replace("\"acct-5\"", &nest),
        nest.clone() + "\n",
        "[".repeat(100_000) + "\n",
        json_row(6, &format!(",\"ticket\":{}", "[".repeat(100_000))),
        json_row(7, ""),
    ];
    // CSV doubles a quote within a value; JSON in JSON keeps it.
    for (results, quote) in [("r.jsonl", "\""), ("r.csv", "\"\"")] {
        let sandbox = Sandbox::new();
        sandbox.write("people.jsonl", lines.concat());
        let args = [
            "people.jsonl",
            "--carry",
            "ticket",
            "--results",
            results,
            "--json",
        ];
        let ran = sandbox.run(&args).expect_exit(1);
        let counts = ran.counts(&["rows", "unlinked", "invalid"]);
        assert_eq!(counts, [9, 5, 4], "{results}");
        let text = sandbox.read(results);
        for carried in [&nest, &objects.replace('"', quote)] {
            assert_eq!(text.matches(carried.as_str()).count(), 1, "{results}");
        }
        // The next run reads these results back.
        let ran = sandbox.run(&args).expect_exit(1);
        assert_eq!(ran.counts(&["rows", "skipped", "calls"]), [9, 5, 0]);
    }
}

/// The bound on open rows counts their bytes too.
#[test]
fn rows_that_carry_a_megabyte_keep_memory_bounded() {
    let sandbox = Sandbox::new();
    let rows = 300;
    let mut file = File::create(sandbox.path("people.csv")).expect("created");
    let megabyte = "x".repeat(1_000_000);
    for (n, line) in people(rows).lines().enumerate() {
        let carried = if n == 0 { "note" } else { &megabyte };
        writeln!(file, "{line},{carried}").expect("written");
    }
    drop(file);
    sandbox
        .emulator
        .add_rule(rule(When::User(format!("acct-{rows}")), Then::Hold));
    let running = sandbox.start(&["people.csv", "--carry", "note", "--json"]);
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    let memory = running.peak_memory();
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [rows as u64]);
    assert!(
        fs::metadata(sandbox.path("people.results.csv"))
            .expect("there")
            .len()
            > 300_000_000
    );
    if let Some(bytes) = memory {
        assert!(bytes < 160 << 20, "{bytes} bytes");
    }
}
