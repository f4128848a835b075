//! Retries, outcomes and halts, by the reply of the service.

use std::time::Duration;

use cognito_unlink::testing::emulator::{
    Canned, FaultKind, FaultShare, QuotaSettings, Rule, Settings, Then, When,
};

use crate::sandbox::{Sandbox, always, csv, link, people, rule, start};

fn error(code: &str, message: &str) -> Then {
    Then::Answer(Canned {
        status: 400,
        headers: vec![("content-type".into(), "application/x-amz-json-1.1".into())],
        body: serde_json::json!({"__type": code, "message": message}).to_string(),
    })
}

#[test]
fn not_linked_rows_are_counted_apart_from_unlinked_ones() {
    let sandbox = Sandbox::with_settings(Settings {
        links: Some((1..=5).map(link).collect()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(8));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "not_linked"]), [5, 3]);
    let lines = sandbox.results("people.results.csv");
    let line = lines
        .iter()
        .find(|line| line["outcome"] == "not_linked")
        .expect("a line");
    assert_eq!(line["error_code"], "ResourceNotFoundException");
    assert_eq!(line["http_status"], "400");

    sandbox.write("more.csv", csv(&[link(9)]));
    sandbox
        .run(&["more.csv", "--not-linked", "fail"])
        .expect_exit(1);
}

#[test]
fn throttling_slows_the_run_and_fails_no_row() {
    let sandbox = Sandbox::with_settings(Settings {
        quota: Some(QuotaSettings::bucket(60.0, 1)),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(150));
    let ran = sandbox
        .run(&["people.csv", "--max-attempts", "1", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "failed"]), [150, 0]);
    assert!(ran.counts(&["throttled"])[0] > 0);
    assert_eq!(
        sandbox.emulator.counters().throttled,
        ran.counts(&["throttled"])[0]
    );
}

#[test]
fn transient_faults_are_retried() {
    let share = |kind, share| FaultShare { kind, share };
    let sandbox = Sandbox::with_settings(Settings {
        faults: vec![
            share(FaultKind::InternalError, 0.08),
            share(FaultKind::ResetBefore, 0.05),
            share(FaultKind::ResetAfter, 0.1),
            share(FaultKind::Truncate, 0.05),
        ],
        ..Settings::default()
    });
    sandbox.write("people.csv", people(300));
    let ran = sandbox
        .run(&["people.csv", "--max-attempts", "20", "--json"])
        .expect_exit(0);
    let counts = ran.counts(&[
        "rows",
        "unlinked",
        "unlinked_reply_lost",
        "not_linked",
        "failed",
    ]);
    assert_eq!(counts[0], 300);
    assert_eq!(counts[1] + counts[2], 300, "{counts:?}");
    assert!(counts[2] > 20, "{counts:?}");
    let seen = sandbox.emulator.counters();
    assert_eq!(seen.effects, 300);
    for kind in [
        FaultKind::InternalError,
        FaultKind::ResetAfter,
        FaultKind::Truncate,
        FaultKind::ResetBefore,
    ] {
        assert!(seen.faults[&kind] > 0, "{kind}");
    }
}

#[test]
fn a_lost_reply_is_recorded_as_unlinked_reply_lost() {
    for kind in [
        FaultKind::ResetAfter,
        FaultKind::Truncate,
        FaultKind::HangAfter,
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(3));
        sandbox.emulator.add_rule(Rule {
            when: When::User("acct-2".into()),
            then: Then::Fault(kind),
            times: Some(1),
        });
        let ran = sandbox
            .run(&["people.csv", "--timeout", "500ms", "--json"])
            .expect_exit(0);
        assert_eq!(
            ran.counts(&["unlinked", "unlinked_reply_lost"]),
            [2, 1],
            "{kind}"
        );
        let line = sandbox
            .results("people.results.csv")
            .into_iter()
            .find(|line| line["outcome"] == "unlinked_reply_lost")
            .expect("a line");
        assert_eq!(line["attempts"], "2");
        assert_eq!(line["developer_user_identifier"], "acct-2");
    }
}

#[test]
fn a_row_without_any_reply_is_in_doubt() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.emulator.add_rule(rule(
        When::User("acct-2".into()),
        Then::Fault(FaultKind::ResetBefore),
    ));
    let ran = sandbox
        .run(&["people.csv", "--max-attempts", "3", "--json"])
        .expect_exit(1);
    assert_eq!(ran.counts(&["unlinked", "in_doubt", "calls"]), [1, 1, 4]);
    sandbox.emulator.clear_rules();
    // The next run calls it again: it is still linked.
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [1, 1]);
}

#[test]
fn a_row_that_is_not_authorized_fails_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(20));
    sandbox.emulator.add_rule(rule(
        When::User("acct-7".into()),
        error(
            "NotAuthorizedException",
            "Access to Identity 'x' is forbidden.",
        ),
    ));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(1);
    assert_eq!(ran.counts(&["unlinked", "failed", "calls"]), [19, 1, 20]);
}

#[test]
fn errors_that_concern_every_row_halt_the_run_and_fail_none() {
    let pool = "IdentityPool 'us-east-1:0' not found.";
    let provider = "This identity pool does not support the specified developer provider";
    let cases = [
        (Then::Fault(FaultKind::ExpiredToken), "have expired"),
        (Then::Fault(FaultKind::AccessDenied), "may not unlink"),
        (Then::Fault(FaultKind::BadSignature), "does not accept"),
        (
            error(
                "UnrecognizedClientException",
                "The security token included in the request is invalid.",
            ),
            "does not accept",
        ),
        (
            error("ResourceNotFoundException", pool),
            "pool does not exist",
        ),
        (
            error("NotAuthorizedException", provider),
            "another developer provider",
        ),
        (
            Then::Fault(FaultKind::Html500),
            "not answer as Amazon Cognito",
        ),
        (
            Then::Answer(Canned {
                status: 200,
                headers: vec![
                    ("content-type".into(), "text/html".into()),
                    ("x-amzn-requestid".into(), String::new()),
                ],
                body: "<html>Log in to the hotel network</html>".into(),
            }),
            "not answer as Amazon Cognito",
        ),
        // Neither is Cognito's: the first has no request id, the second has a body.
        (
            Then::Answer(Canned {
                status: 200,
                headers: vec![
                    ("content-type".into(), "application/json".into()),
                    ("x-amzn-requestid".into(), String::new()),
                ],
                body: "{}".into(),
            }),
            "not answer as Amazon Cognito",
        ),
        (
            Then::Answer(Canned {
                status: 200,
                headers: vec![("content-type".into(), "application/x-amz-json-1.1".into())],
                body: "[]".into(),
            }),
            "not answer as Amazon Cognito",
        ),
        (
            Then::Answer(Canned {
                status: 404,
                headers: Vec::new(),
                body: String::new(),
            }),
            "not answer as Amazon Cognito",
        ),
    ];
    for (then, sentence) in cases {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(200));
        sandbox.emulator.add_rule(always(then.clone()));
        let ran = sandbox
            .run(&["people.csv", "--concurrency", "4", "--json"])
            .expect_exit(5);
        let summary = ran.summary();
        let message = summary["message"].as_str().expect("a sentence");
        assert!(
            message.starts_with("Halted: ") && message.contains(sentence),
            "{message}"
        );
        assert!(!message.contains("acct-"), "{message}");
        assert_eq!(
            ran.counts(&["rows", "failed", "unlinked"]),
            [200, 0, 0],
            "{then:?}"
        );
        let counts = ran.counts(&["left", "in_doubt"]);
        assert_eq!(counts[0] + counts[1], 200, "{then:?}");
        // The run halts within one round trip, or two after a signature error, since the clock may be skewed.
        assert!(sandbox.emulator.counters().unlinks <= 8, "{then:?}");
        sandbox.emulator.clear_rules();
        let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
        assert_eq!(ran.counts(&["unlinked"]), [200], "{then:?}");
    }
}

#[test]
fn a_message_that_quotes_the_user_is_redacted() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let quoting = error("AccessDeniedException", "acct-1 may not be unlinked");
    sandbox.emulator.add_rule(always(quoting));
    for args in [&["people.csv", "-vv"][..], &["people.csv", "-vv", "--json"]] {
        let ran = sandbox.run(args).expect_exit(5);
        assert!(ran.stdout.contains("may not unlink"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("acct-1"), "{}", ran.stdout);
        assert!(!ran.stderr.contains("acct-1"), "{}", ran.stderr);
    }
}

#[test]
fn a_row_answered_with_a_foreign_page_was_in_flight_for_the_next_run() {
    for status in [200, 502, 404] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(3));
        sandbox.emulator.add_rule(Rule {
            when: When::Call(1),
            then: Then::Answer(Canned {
                status,
                headers: vec![
                    ("content-type".into(), "text/html".into()),
                    ("x-amzn-requestid".into(), String::new()),
                ],
                body: "<html>".into(),
            }),
            times: Some(1),
        });
        let args = ["people.csv", "--concurrency", "1", "--json"];
        let ran = sandbox.run(&args).expect_exit(5);
        assert_eq!(ran.counts(&["left", "calls"]), [3, 1], "{status}");
        let ran = sandbox.run(&args).expect_exit(0);
        let reported = ran
            .stderr
            .contains("1 row was in flight when the last run ended");
        assert!(reported, "{status}: {}", ran.stderr);
        assert_eq!(ran.counts(&["unlinked"]), [3]);
        assert!(!sandbox.exists("people.results.csv.inflight"));
    }
}

#[test]
fn foreign_pages_in_the_middle_of_a_run_are_retried() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(50));
    for call in [20, 21] {
        sandbox
            .emulator
            .add_rule(rule(When::Call(call), Then::Fault(FaultKind::Html500)));
    }
    let ran = sandbox
        .run(&["people.csv", "--concurrency", "2", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "calls"]), [50, 52]);
}

#[test]
fn missing_credentials_halt_the_run_before_any_call() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    let mut command = sandbox.run_command(&["people.csv", "--json"]);
    command
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY");
    let ran = start(&mut command).wait().expect_exit(5);
    assert!(ran.stdout.contains("no AWS credentials"), "{}", ran.stdout);
    assert_eq!(ran.counts(&["left"]), [5]);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn too_many_failures_halt_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(500));
    sandbox
        .emulator
        .add_rule(always(error("InvalidParameterException", "no")));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(5);
    let failed = ran.counts(&["failed"])[0];
    assert!((100..150).contains(&failed), "{failed}");
    assert_eq!(ran.summary()["reason"], "max_failures");

    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(500));
    sandbox
        .emulator
        .add_rule(always(error("InvalidParameterException", "no")));
    let ran = sandbox
        .run(&[
            "people.csv",
            "--max-failures",
            "3",
            "--concurrency",
            "1",
            "--json",
        ])
        .expect_exit(5);
    assert!((4..8).contains(&ran.counts(&["failed"])[0]), "{ran:?}");
    sandbox.emulator.clear_rules();
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["rows", "unlinked"]), [500, 500]);
}

#[test]
fn for_stops_starting_rows_when_time_is_up() {
    let sandbox = Sandbox::with_settings(Settings {
        latency: Duration::from_millis(20),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(5000));
    let ran = sandbox
        .run(&["people.csv", "--for", "300ms", "--json"])
        .expect_exit(4);
    let counts = ran.counts(&["rows", "unlinked", "left"]);
    assert_eq!(counts[0], 5000);
    assert_eq!(counts[1] + counts[2], 5000);
    assert!(counts[1] > 0 && counts[2] > 0, "{counts:?}");
}

#[test]
fn only_a_reply_of_cognito_counts_as_unlinked() {
    let json = || {
        (
            "content-type".to_owned(),
            "application/x-amz-json-1.1".to_owned(),
        )
    };
    let no_id = || ("x-amzn-requestid".to_owned(), String::new());
    let s3s_id = || ("x-amz-request-id".to_owned(), "4442587FB7D0A2F9".to_owned());
    let kind = |code: &str| ("x-amzn-errortype".to_owned(), format!("{code}:"));
    let gone = r#"{"__type":"ResourceNotFoundException","message":"Identity not found"}"#;
    for (status, headers, body, outcome, code) in [
        (200, vec![], "", "unlinked", ""),
        (200, vec![json(), s3s_id()], " {} ", "unlinked", ""),
        (
            200,
            vec![json()],
            gone,
            "not_linked",
            "ResourceNotFoundException",
        ),
        (
            200,
            vec![kind("NotAuthorizedException")],
            "",
            "failed",
            "NotAuthorizedException",
        ),
        (200, vec![json()], r#"{"code":"New"}"#, "failed", "New"),
        (206, vec![], "", "in_doubt", "InconclusiveAnswer"),
        (
            200,
            vec![json(), no_id(), s3s_id()],
            "",
            "in_doubt",
            "InconclusiveAnswer",
        ),
        (
            200,
            vec![json()],
            r#"{"x":1}"#,
            "in_doubt",
            "InconclusiveAnswer",
        ),
        // Cognito has answered in this run, so this page does not halt it.
        (200, vec![no_id(), s3s_id()], "", "in_doubt", "NotCognito"),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(2));
        sandbox.emulator.add_rule(rule(
            When::User("acct-2".into()),
            Then::Answer(Canned {
                status,
                headers,
                body: body.into(),
            }),
        ));
        let args = ["people.csv", "--max-attempts", "2", "--concurrency", "1"];
        sandbox.run(&args);
        let lines = sandbox.results("people.results.csv");
        let line = &lines[1];
        assert_eq!(
            (&*line["outcome"], &*line["error_code"]),
            (outcome, code),
            "{status} {body}"
        );
        assert_eq!(line["http_status"], status.to_string());
    }
}

#[test]
fn an_inconclusive_reply_may_have_been_a_success() {
    let sandbox = Sandbox::with_settings(Settings {
        links: Some(vec![link(1)]),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(2));
    sandbox.emulator.add_rule(Rule {
        when: When::User("acct-2".into()),
        then: Then::Answer(Canned {
            status: 206,
            headers: Vec::new(),
            body: String::new(),
        }),
        times: Some(1),
    });
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(
        ran.counts(&["unlinked", "unlinked_reply_lost", "calls"]),
        [1, 1, 3]
    );
}

#[test]
fn an_access_denied_error_with_status_200_halts_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.emulator.add_rule(always(Then::Answer(Canned {
        status: 200,
        headers: vec![("x-amzn-errortype".into(), "AccessDeniedException:".into())],
        body: String::new(),
    })));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(5);
    let summary = ran.summary();
    let message = summary["message"].as_str().expect("a sentence");
    assert!(message.contains("may not unlink"), "{message}");
    assert_eq!(ran.counts(&["unlinked", "failed", "left"]), [0, 0, 2]);
}
