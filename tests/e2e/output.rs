//! Output for users and scripts: usage errors, the summary, logs, the next command, and shell completion.

use std::process::Command;

use cognito_unlink::testing::emulator::{Canned, FaultKind, Rule, Then, When};

use crate::sandbox::{Output, Sandbox, always, people, start};

fn run_without_credentials(sandbox: &Sandbox, args: &[&str]) -> Output {
    start(sandbox.command_without_credentials().args(args)).wait()
}

#[test]
fn usage_errors_name_the_argument() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let cases: [(&[&str], &str); 11] = [
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
        (&["emulator", "--guest", "us-east-1:1"], "POOL=IDENTITY"),
        (&["emulator", "--when-disabled", "x"], "revived or refused"),
    ];
    for (args, names) in cases {
        let ran = run_without_credentials(&sandbox, args).expect_exit(2);
        assert!(ran.stderr.contains(names), "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
    }
}

#[test]
fn help_version_completions_and_man_pages_are_printed() {
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
        let ran = run_without_credentials(&sandbox, args).expect_exit(0);
        assert!(ran.stdout.contains(holds), "{args:?}: {}", ran.stdout);
        assert_eq!(ran.stderr, "", "{args:?}");
    }
}

#[test]
fn a_listen_address_in_use_is_reported() {
    let sandbox = Sandbox::new();
    let taken = sandbox.emulator.url().replace("http://", "");
    let ran = run_without_credentials(&sandbox, &["emulator", "--listen", &taken]).expect_exit(2);
    let expected = format!("error: cannot listen on {taken}: ");
    assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);
}

#[test]
fn the_summary_is_for_people_or_for_scripts() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(12) + "bad row\n");
    let ran = sandbox.run(&["people.csv"]).expect_exit(1);
    for line in [
        "13  rows read",
        "12  unlinked",
        "1  invalid  never sent",
        "Results: people.results.csv",
    ] {
        assert!(ran.stdout.contains(line), "{}", ran.stdout);
    }
    assert_eq!(ran.stderr, "");

    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(1);
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
    sandbox.emulator.add_rule(Rule {
        when: When::User("acct-2".into()),
        then: Then::Fault(FaultKind::InternalError),
        times: Some(1),
    });
    for format in ["text", "json"] {
        let results = format!("{format}.csv");
        let ran = sandbox
            .run(&[
                "people.csv",
                "-vv",
                "--log-format",
                format,
                "--results",
                &results,
            ])
            .expect_exit(1);
        assert!(ran.stderr.contains("people.csv:2"), "{}", ran.stderr);
        for text in [&ran.stderr, &ran.stdout] {
            assert!(!text.contains("acct-"), "{text}");
        }
    }
    let ran = sandbox.run(&["people.csv", "--dry-run"]).expect_exit(1);
    assert!(!ran.stderr.contains("acct-"), "{}", ran.stderr);
}

#[test]
fn verbose_logs_each_retry_and_each_call() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(4));
    sandbox.emulator.add_rule(Rule {
        when: When::User("acct-2".into()),
        then: Then::Fault(FaultKind::InternalError),
        times: Some(1),
    });
    let ran = sandbox.run(&["people.csv", "-v"]).expect_exit(0);
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
        .expect_exit(0);
    let lines: Vec<serde_json::Value> = ran
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 4);
}

#[test]
fn every_line_of_a_json_log_is_an_object() {
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
    for (args, code, level, expected) in cases {
        if args.contains(&"--limit") {
            let header = sandbox.run(&["people.csv", "--limit", "1"]).expect_exit(4);
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
            .expect_exit(code);
        let lines: Vec<serde_json::Value> = ran
            .stderr
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        let found = lines.iter().any(|line| {
            let message = line["message"].as_str().expect("text");
            line["level"] == level && message.contains(expected) && !message.starts_with("error")
        });
        assert!(found, "{args:?}: {}", ran.stderr);
        assert!(!ran.stderr.contains("acct-"), "{}", ran.stderr);
    }
}

#[test]
fn the_next_command_writes_the_invalid_rows() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2) + "bad row\n");
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(1);
    let next = ran.summary()["next"]
        .as_str()
        .expect("a command")
        .to_owned();
    let words: Vec<&str> = next.split(' ').skip(1).collect();
    assert_eq!(words[0], "plan");
    start(sandbox.command().args(&words)).wait().expect_exit(1);
    let text = sandbox.read("people.invalid.csv");
    assert!(text.ends_with(",bad row\n"), "{text}");

    // Once people.invalid.csv exists, nothing but the report is left to suggest.
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(1);
    let next = ran.summary()["next"].to_string();
    assert!(next.ends_with("report people.results.csv\""), "{next}");
}

#[test]
fn a_repeated_rehearsal_explains_how_to_start_over() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let rehearse = || {
        let mut command = sandbox.command_without_credentials();
        command.args(["run", "people.csv", "--rehearse", "--rate", "100"]);
        start(&mut command).wait().expect_exit(0)
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
fn a_message_cannot_control_the_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.emulator.add_rule(always(Then::Answer(Canned {
        status: 400,
        headers: vec![("content-type".into(), "application/x-amz-json-1.1".into())],
        body: r#"{"__type":"AccessDeniedException","message":"\u001b[2J access denied \u0007"}"#
            .into(),
    })));
    let ran = sandbox.run(&["people.csv", "-vv"]).expect_exit(5);
    for text in [&ran.stderr, &ran.stdout] {
        assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    }
    assert!(ran.stdout.contains("access denied"), "{}", ran.stdout);
}

#[test]
fn bash_completes_commands_and_options() {
    let sandbox = Sandbox::new();
    let script = start(sandbox.command().args(["completions", "bash"]))
        .wait()
        .expect_exit(0);
    sandbox.write("completions", script.stdout);
    // As bash does: it finds the completion function by the name of the command.
    sandbox.write(
        "complete.bash",
        "source ./completions\n\
         complete -F \"$(complete -p cognito-unlink | sed 's/.*-F \\([^ ]*\\).*/\\1/')\" cu\n\
         COMP_WORDS=(\"$@\") COMP_CWORD=$(($# - 1))\n\
         function=$(complete -p \"${1##*/}\" | sed 's/.*-F \\([^ ]*\\).*/\\1/')\n\
         $function \"$1\" \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n\
         echo \"${COMPREPLY[@]}\"\n",
    );
    for (line, completed) in [
        (&["cognito-unlink", "ru"][..], "run"),
        (&["cognito-unlink", "run", "--rat"], "--rate"),
        (&["/opt/bin/cognito-unlink", "run", "--rat"], "--rate"),
        (&["cu", "plan", "--onl"], "--online"),
        (
            &["cognito-unlink", "run", "people.csv", "--progress", ""],
            "auto bar plain none",
        ),
        (&["cognito-unlink", "emulator", "--lat"], "--latency"),
        (
            &[
                "cognito-unlink",
                "unlink-developer-identity",
                "--identity-i",
            ],
            "--identity-id",
        ),
        (&["cognito-unlink", "completions", "ba"], "bash"),
        (&["cognito-unlink", "help", "pl"], "plan"),
    ] {
        let mut bash = Command::new("bash");
        bash.arg("complete.bash").args(line);
        bash.current_dir(sandbox.path("."));
        let ran = start(&mut bash).wait().expect_exit(0);
        assert_eq!(ran.stdout.trim_end(), completed, "{line:?}: {ran:?}");
    }
}
