//! What people and scripts see.

use crate::sandbox::{Sandbox, people, start};

fn ran(sandbox: &Sandbox, args: &[&str]) -> crate::sandbox::Ran {
    start(sandbox.bare().args(args)).ended()
}

#[test]
fn wrong_usage_is_told_in_one_breath() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let cases: [(&[&str], &str); 9] = [
        (&["run"], "INPUT"),
        (&["run", "people.csv", "--bogus"], "--bogus"),
        (&["run", "people.csv", "--rate", "fast"], "--rate"),
        (
            &["run", "people.csv", "--results", "out.txt"],
            ".csv or .jsonl",
        ),
        (
            &["run", "people.csv", "--carry", "outcome"],
            "--carry outcome",
        ),
        (
            &["run", "-", "-", "--format", "csv", "--results", "r.csv"],
            "only once",
        ),
        (&["purge"], "purge"),
        (&["emulator", "--account", "12"], "--account"),
        (&["emulator", "--access-key", "AKID"], "ID:SECRET"),
    ];
    for (args, names) in cases {
        let ran = ran(&sandbox, args).exits(2);
        assert!(ran.stderr.contains(names), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}

#[test]
fn help_version_completions_and_manual_are_there() {
    let sandbox = Sandbox::new();
    for (args, holds) in [
        (&["--help"][..], "cannot simply be undone"),
        (&["run", "--help"], "--max-failures"),
        (&["--version"], env!("CARGO_PKG_VERSION")),
        (&["completions", "bash"], "complete -F _cognito__unlink"),
        (&["completions", "zsh"], "#compdef cognito-unlink"),
        (&["man"], ".TH cognito-unlink 1"),
        (&["man", "run"], "\\-\\-max\\-failures"),
        (&["man", "plan"], ".TH cognito-unlink-plan 1"),
    ] {
        let ran = ran(&sandbox, args).exits(0);
        assert!(ran.stdout.contains(holds), "{args:?}: {}", ran.stdout);
        assert_eq!(ran.stderr, "", "{args:?}");
    }
}

#[test]
fn an_address_that_is_taken_is_named() {
    let sandbox = Sandbox::new();
    let taken = sandbox.emulator.url().replace("http://", "");
    let ran = ran(&sandbox, &["emulator", "--listen", &taken]).exits(2);
    let says = format!("error: cannot listen on {taken}: ");
    assert!(ran.stderr.starts_with(&says), "{}", ran.stderr);
}

#[test]
fn the_summary_is_for_people_or_for_scripts() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(12) + "bad row\n");
    let ran = sandbox.run(&["people.csv"]).exits(1);
    for line in [
        "13  rows read",
        "12  unlinked",
        "1  invalid  never sent",
        "Results: people.results.csv",
    ] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    assert_eq!(ran.stderr, "");

    let ran = sandbox.run(&["people.csv", "--json"]).exits(1);
    let summary = ran.summary();
    let keys: Vec<_> = summary
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    for key in [
        "mode",
        "run_id",
        "results",
        "rows",
        "skipped",
        "unlinked",
        "not_linked",
        "unlinked_reply_lost",
        "failed",
        "in_doubt",
        "invalid",
        "held",
        "left",
        "calls",
        "throttled",
        "seconds",
        "reason",
        "message",
        "next",
        "exit_code",
    ] {
        assert!(keys.contains(&key), "{key} in {keys:?}");
    }
    assert_eq!(summary["exit_code"], 1);
    assert_eq!(ran.stdout.lines().count(), 1);
}

#[test]
fn users_never_appear_outside_the_results() {
    let sandbox = Sandbox::new();
    let text = people(3) + "us-east-1:0,us-east-1:0,bad provider,acct-77\n";
    sandbox.write("people.csv", text);
    sandbox.emulator.add_rule(cognito_unlink::emulator::Rule {
        when: cognito_unlink::emulator::When::User("acct-2".into()),
        then: cognito_unlink::emulator::Then::Fault(
            cognito_unlink::emulator::FaultKind::InternalError,
        ),
        times: Some(1),
    });
    for format in ["text", "json"] {
        let sandbox_results = format!("{format}.csv");
        let ran = sandbox
            .run(&[
                "people.csv",
                "-vv",
                "--log-format",
                format,
                "--results",
                &sandbox_results,
            ])
            .exits(1);
        assert!(ran.stderr.contains("people.csv:2"), "{}", ran.stderr);
        for said in [&ran.stderr, &ran.stdout] {
            assert!(!said.contains("acct-"), "{said}");
        }
    }
    let ran = sandbox.run(&["people.csv", "--dry-run"]).exits(1);
    assert!(!ran.stderr.contains("acct-"), "{}", ran.stderr);
}

#[test]
fn each_call_and_each_retry_is_logged_if_asked() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(4));
    sandbox.emulator.add_rule(cognito_unlink::emulator::Rule {
        when: cognito_unlink::emulator::When::User("acct-2".into()),
        then: cognito_unlink::emulator::Then::Fault(
            cognito_unlink::emulator::FaultKind::InternalError,
        ),
        times: Some(1),
    });
    let ran = sandbox.run(&["people.csv", "-v"]).exits(0);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("InternalErrorException"),
        "{}",
        ran.stderr
    );
    let ran = sandbox
        .run(&[
            "people.csv",
            "-vv",
            "--log-format",
            "json",
            "--results",
            "again.csv",
        ])
        .exits(0);
    let lines: Vec<serde_json::Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 4);
}

#[test]
fn in_json_every_line_of_standard_error_is_an_object() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(4) + "acct-5\n");
    sandbox.write("people.results.csv", "");
    let cases: [(&[&str], i32, &str, &str); 6] = [
        (&["people.csv", "--dry-run"], 1, "INFO", "people.csv:6"),
        (
            &["people.csv", "--limit", "2"],
            4,
            "INFO",
            "torn last line of 1 byte;",
        ),
        (&["people.csv", "-vv"], 1, "DEBUG", "called"),
        (&["people.csv", "--carry", "ticket"], 3, "ERROR", "ticket"),
        (&["absent.csv"], 3, "ERROR", "absent.csv"),
        (
            &["people.csv", "--results", "r.txt"],
            2,
            "ERROR",
            ".csv or .jsonl",
        ),
    ];
    for (args, code, level, says) in cases {
        if args.contains(&"--limit") {
            let header = sandbox.run(&["people.csv", "--limit", "1"]).exits(4);
            assert!(
                header.stderr.starts_with("Stopped at --limit"),
                "{header:?}"
            );
            sandbox.write(
                "people.results.csv",
                sandbox.read("people.results.csv") + "5",
            );
        }
        let ran = sandbox
            .run(&[args, &["--log-format", "json"]].concat())
            .exits(code);
        let lines: Vec<serde_json::Value> = ran
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let found = lines.iter().any(|line| {
            let message = line["message"].as_str().expect("text");
            line["level"] == level && message.contains(says) && !message.starts_with("error")
        });
        assert!(found, "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("acct-"), "{}", ran.stderr);
    }
}

#[test]
fn the_next_command_for_invalid_rows_gives_them_back() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2) + "bad row\n");
    let ran = sandbox.run(&["people.csv", "--json"]).exits(1);
    let next = ran.summary()["next"]
        .as_str()
        .expect("a command")
        .to_owned();
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    assert_eq!(words[0], "plan");
    start(sandbox.program().args(&words)).ended().exits(1);
    let text = sandbox.read("people.invalid.csv");
    assert!(text.ends_with(",bad row\n"), "{text}");

    // Whoever has the rows already mends them.
    let ran = sandbox.run(&["people.csv", "--json"]).exits(1);
    assert_eq!(ran.summary()["next"], serde_json::Value::Null);
}

#[test]
fn a_rehearsal_that_was_rehearsed_before_says_so() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let rehearse = || {
        let mut command = sandbox.bare();
        command.args(["run", "people.csv", "--rehearse", "--rate", "100"]);
        start(&mut command).ended().exits(0)
    };
    assert!(!rehearse().stdout.contains("before"));
    let again = rehearse();
    for words in [
        "2  skipped  done in an earlier rehearsal",
        "remove people.rehearsal.csv first",
    ] {
        assert!(again.stdout.contains(words), "{}", again.stdout);
    }
}

#[test]
fn a_message_cannot_command_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.emulator.add_rule(cognito_unlink::emulator::Rule {
        when: cognito_unlink::emulator::When::Always,
        then: cognito_unlink::emulator::Then::Answer(cognito_unlink::emulator::Canned {
            status: 400,
            headers: vec![("content-type".into(), "application/x-amz-json-1.1".into())],
            body:
                r#"{"__type":"AccessDeniedException","message":"\u001b[2J access denied \u0007"}"#
                    .into(),
        }),
        times: None,
    });
    let ran = sandbox.run(&["people.csv", "-vv"]).exits(5);
    for said in [&ran.stderr, &ran.stdout] {
        assert!(!said.contains(['\u{1b}', '\u{7}']), "{said:?}");
    }
    assert!(ran.stdout.contains("access denied"), "{}", ran.stdout);
}
