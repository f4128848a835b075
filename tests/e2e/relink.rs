//! `relink`: links users again to the identities that they were unlinked from.

use std::collections::HashMap;
use std::fs;

use cognito_unlink::testing::emulator::{
    Canned, DisabledLinkAnswer, FaultKind, Link, Rule, Settings, Then, Undocumented, When,
};
use rustix::process::Signal;

use crate::sandbox::{self, Output, POOL, PROVIDER, Sandbox, TIMEOUT, link, link_of, rule, start};

const RELINK: &str = "GetOpenIdTokenForDeveloperIdentity";
const LOOKUP: &str = "LookupDeveloperIdentity";
const RECORD: &str = "people.relinked.csv";
const RESULTS: &str = "people.results.csv";

fn links(n: usize) -> Vec<Link> {
    (1..=n).map(link).collect()
}

fn emulating(links: Vec<Link>, when_disabled: DisabledLinkAnswer) -> Sandbox {
    Sandbox::with_settings(Settings {
        links: Some(links),
        undocumented: Undocumented {
            when_disabled,
            ..Undocumented::default()
        },
        ..Settings::default()
    })
}

/// Returns a sandbox in which `n` users, each with an identity of their own, were unlinked.
fn unlinked(n: usize) -> Sandbox {
    unlinked_in(n, DisabledLinkAnswer::Revived)
}

fn unlinked_in(n: usize, when_disabled: DisabledLinkAnswer) -> Sandbox {
    let sandbox = emulating(links(n), when_disabled);
    sandbox.write("people.csv", sandbox::people(n));
    sandbox
        .run(&["people.csv", "--rate", "1000"])
        .expect_exit(0);
    sandbox
}

fn relink(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.job(
        "relink",
        &[&[RESULTS, "--json", "--rate", "1000"], args].concat(),
    )
}

/// Returns the users that are linked to their old identity.
fn linked(sandbox: &Sandbox, n: usize) -> Vec<usize> {
    (1..=n)
        .filter(|n| sandbox.emulator.is_linked(&link(*n)))
        .collect()
}

fn answer(status: u16, body: &serde_json::Value) -> Then {
    Then::Answer(Canned {
        status,
        headers: Vec::new(),
        body: body.to_string(),
    })
}

fn error(code: &str, message: &str) -> Then {
    answer(
        400,
        &serde_json::json!({ "__type": code, "message": message }),
    )
}

#[test]
fn unlinked_users_are_brought_back() {
    let sandbox = unlinked(3);
    let ran = relink(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(ran.counts(&["rows", "relinked", "calls"]), [3, 3, 3]);
    assert_eq!(linked(&sandbox, 3), [1, 2, 3]);
    // Each user is looked up before, and the first one after.
    assert_eq!([sandbox.requests(LOOKUP), sandbox.requests(RELINK)], [4, 3]);
    ran.assert_contains("It does not bring back public logins");
    let recorded = sandbox.results(RECORD);
    assert!(
        recorded
            .iter()
            .all(|line| line["outcome"] == "relinked" && line["attempts"] == "1")
    );
    // The results know it: every row has a second line.
    let last = sandbox.outcomes(RESULTS);
    assert_eq!(sandbox.results(RESULTS).len(), 6);
    assert!(
        last.values().all(|outcome| outcome == "relinked"),
        "{last:?}"
    );
    assert!(
        !sandbox.exists(&format!("{RESULTS}.inflight"))
            && !sandbox.exists(&format!("{RECORD}.inflight"))
    );

    // The next run leaves them alone.
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(
        ran.counts(&["rows", "skipped", "relinked", "calls"]),
        [3, 3, 3, 0]
    );
    let ran = sandbox.run(&["people.csv"]).expect_exit(0);
    ran.assert_contains("3  relinked  brought back; only --again unlinks them again");
    let planned = sandbox
        .job("plan", &["people.csv", "--json"])
        .expect_exit(0);
    assert_eq!(
        planned.counts(&["already_done", "relinked", "left"]),
        [0, 3, 0]
    );
    let verified = sandbox
        .job("verify", &[RESULTS, "--all", "--json"])
        .expect_exit(0);
    assert_eq!(verified.counts(&["of", "looked_at"]), [0, 0]);
    // A second relink has nothing to do.
    let ran = relink(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(ran.counts(&["rows", "calls"]), [0, 0]);
    // Unless that is asked for.
    let ran = sandbox
        .run(&["people.csv", "--again", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "skipped"]), [3, 0]);
    assert_eq!(linked(&sandbox, 3), [0; 0]);
    let ran = relink(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(ran.counts(&["relinked"]), [3]);
}

#[test]
fn rows_are_chosen_by_a_file_by_a_run_or_all() {
    let sandbox = unlinked(4);
    let first_run = sandbox.results(RESULTS)[0]["run_id"].clone();
    for args in [&["--json"][..], &["--all", "--only", "wrong.csv"]] {
        sandbox
            .job("relink", &[&[RESULTS], args].concat())
            .expect_exit(2);
    }
    let refused = relink(&sandbox, &["--run-id", "20200101T000000Z-000000"]).expect_exit(2);
    refused.assert_contains("has no line of it");
    // User 9 is none of the results'.
    sandbox.write("wrong.csv", sandbox::csv(&[link(2), link(9)]));
    let ran = relink(&sandbox, &["--only", "wrong.csv"]).expect_exit(1);
    assert_eq!(ran.counts(&["rows", "relinked"]), [1, 1]);
    ran.assert_contains("1 row of --only left out");
    assert_eq!(linked(&sandbox, 4), [2]);
    // User 2 is unlinked by another run, and is none of the first run's.
    sandbox.run(&["people.csv", "--again"]).expect_exit(0);
    let ran = relink(&sandbox, &["--run-id", &first_run]).expect_exit(0);
    assert_eq!(ran.counts(&["relinked"]), [3]);
    assert_eq!(linked(&sandbox, 4), [1, 3, 4]);
}

#[test]
fn a_reply_that_was_lost_is_brought_back_only_if_asked_for() {
    let sandbox = emulating(links(1), DisabledLinkAnswer::Revived);
    sandbox.write("people.csv", sandbox::people(1));
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Fault(FaultKind::ResetAfter),
        times: Some(1),
    });
    sandbox.run(&["people.csv"]).expect_exit(0);
    let ran = relink(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(ran.counts(&["rows"]), [0]);
    ran.assert_contains("1 row left out that may have been unlinked by another caller");
    let ran = relink(&sandbox, &["--only", "people.csv"]).expect_exit(1);
    ran.assert_contains("--include-reply-lost relinks them too");
    let ran = relink(&sandbox, &["--all", "--include-reply-lost"]).expect_exit(0);
    assert_eq!(ran.counts(&["relinked"]), [1]);
}

#[tokio::test]
async fn users_who_are_linked_are_left_alone() {
    let sandbox = unlinked(3);
    let client = sandbox.client();
    let sign_in = || {
        let call = client.get_open_id_token_for_developer_identity();
        call.identity_pool_id(POOL)
    };
    let back = sign_in()
        .identity_id(link(1).identity_id)
        .logins(PROVIDER, "acct-1");
    back.send().await.expect("linked again");
    let elsewhere = sign_in().logins(PROVIDER, "acct-2").send().await;
    let other = elsewhere
        .expect("a new identity")
        .identity_id
        .expect("an id");
    let before = sandbox.requests(RELINK);
    let ran = relink(&sandbox, &["--all"]).expect_exit(1);
    assert_eq!(
        ran.counts(&["already_linked", "linked_elsewhere", "relinked"]),
        [1, 1, 1]
    );
    assert_eq!(sandbox.requests(RELINK), before + 1);
    let record = sandbox.results(RECORD);
    let line = record
        .iter()
        .find(|line| line["outcome"] == "linked_elsewhere");
    assert!(line.expect("a line")["error_message"].contains(&other));
    // Only what was relinked stands in the results.
    let last = sandbox.outcomes(RESULTS);
    assert_eq!(
        [&last["acct-1"], &last["acct-2"], &last["acct-3"]],
        ["unlinked", "unlinked", "relinked"]
    );
    // What is settled for good needs no other look.
    let looks = sandbox.requests(LOOKUP);
    let ran = relink(&sandbox, &["--all"]).expect_exit(1);
    assert_eq!(ran.counts(&["skipped", "linked_elsewhere"]), [1, 1]);
    assert_eq!(sandbox.requests(LOOKUP), looks + 1);
}

#[test]
fn refusals_have_outcomes_of_their_own() {
    for (code, message, outcome) in [
        (
            "DeveloperUserAlreadyRegisteredException",
            "m",
            "linked_elsewhere",
        ),
        (
            "NotAuthorizedException",
            "Logins don't match. Please include at least one valid login for this identity or identity pool.",
            "needs_sign_in",
        ),
        (
            "NotAuthorizedException",
            "Access to Identity 'x' is forbidden.",
            "refused",
        ),
        (
            "ResourceNotFoundException",
            "Identity 'x' not found.",
            "identity_gone",
        ),
        ("InvalidParameterException", "m", "failed"),
        ("ResourceConflictException", "m", "failed"),
    ] {
        let sandbox = unlinked(1);
        sandbox
            .emulator
            .add_rule(rule(When::Operation(RELINK), error(code, message)));
        let ran = relink(&sandbox, &["--all"]).expect_exit(1);
        assert_eq!(ran.counts(&[outcome, "rows"]), [1, 1], "{code} {message}");
        let line = &sandbox.results(RECORD)[0];
        assert_eq!([&line["outcome"], &line["error_code"]], [outcome, code]);
        assert_eq!(sandbox.results(RESULTS).len(), 1);
        // It is tried again.
        sandbox.emulator.clear_rules();
        relink(&sandbox, &["--all"]).expect_exit(0);
        assert_eq!(linked(&sandbox, 1), [1]);
    }
}

#[test]
fn three_refused_users_before_the_first_success_halt_the_run() {
    let sandbox = unlinked_in(5, DisabledLinkAnswer::Refused);
    let ran = relink(&sandbox, &["--all"]).expect_exit(5);
    assert_eq!(ran.counts(&["refused", "left", "calls"]), [3, 2, 3]);
    ran.assert_contains("seems to revive no disabled identity");
    assert_eq!(sandbox.results(RECORD).len(), 3);
}

#[test]
fn refused_users_after_the_first_success_halt_nothing() {
    // The first identity has another user, and is not disabled.
    let mut links = links(5);
    links.push(link_of(1, "other"));
    let sandbox = emulating(links, DisabledLinkAnswer::Refused);
    sandbox.write("people.csv", sandbox::people(5));
    sandbox
        .run(&["people.csv", "--concurrency", "1"])
        .expect_exit(0);
    let ran = relink(&sandbox, &["--all"]).expect_exit(1);
    assert_eq!(ran.counts(&["relinked", "refused", "left"]), [1, 4, 0]);
}

#[test]
fn the_first_rows_go_one_by_one_until_one_is_seen() {
    let sandbox = unlinked(6);
    sandbox
        .emulator
        .add_rule(rule(When::Operation(RELINK), Then::Hold));
    let args = [
        RESULTS,
        "--all",
        "--json",
        "--rate",
        "1000",
        "--max-attempts",
        "2",
    ];
    let running = start(&mut sandbox.job_command("relink", &args));
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    // No other row has begun: not even its look-up.
    assert_eq!([sandbox.requests(LOOKUP), sandbox.requests(RELINK)], [1, 1]);
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["relinked"]), [6]);
    assert_eq!([sandbox.requests(LOOKUP), sandbox.requests(RELINK)], [7, 6]);
}

#[test]
fn a_link_that_no_look_up_shows_is_in_doubt() {
    let sandbox = unlinked(4);
    for line in sandbox.results(RESULTS) {
        let confirmed = serde_json::json!({ "IdentityId": line["identity_id"], "Token": "secret" });
        sandbox.emulator.add_rule(Rule {
            when: When::Operation(RELINK),
            then: answer(200, &confirmed),
            times: Some(1),
        });
    }
    // In their order.
    let ran = relink(&sandbox, &["--all", "--concurrency", "1"]).expect_exit(5);
    assert_eq!(ran.counts(&["in_doubt", "left"]), [3, 1]);
    assert_eq!(sandbox.results(RECORD)[0]["error_code"], "NotShown");
    sandbox.emulator.clear_rules();
    relink(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(linked(&sandbox, 4), [1, 2, 3, 4]);
}

#[test]
fn another_identity_than_the_one_asked_for_halts_the_run() {
    let sandbox = unlinked(3);
    let other = serde_json::json!({ "IdentityId": link(9).identity_id, "Token": "secret" });
    sandbox
        .emulator
        .add_rule(rule(When::Operation(RELINK), answer(200, &other)));
    let ran = relink(&sandbox, &["--all"]).expect_exit(5);
    assert_eq!(ran.counts(&["failed", "left"]), [1, 2]);
    ran.assert_contains("another identity than the one asked for");
    let line = &sandbox.results(RECORD)[0];
    assert!(
        line["error_message"].contains(&link(9).identity_id),
        "{line:?}"
    );
}

#[test]
fn users_on_the_erasure_list_are_not_brought_back() {
    let sandbox = unlinked(3);
    sandbox.write("erasure.txt", "acct-2\n");
    // A hold list of the configuration holds nobody back.
    sandbox.write("hold.txt", "acct-1\n");
    sandbox.write("cognito-unlink.toml", "hold = [\"hold.txt\"]\n");
    let ran = relink(&sandbox, &["--all", "--erasure", "erasure.txt"]).expect_exit(0);
    assert_eq!(ran.counts(&["relinked", "held"]), [2, 1]);
    ran.assert_contains("2 rows in pool");
    ran.assert_contains("1 row left out: on the erasure list");
    assert_eq!(linked(&sandbox, 3), [1, 3]);
    let relinked = sandbox.job("relink", &[RESULTS, "--all", "--erasure", "erasure.txt"]);
    relinked
        .expect_exit(0)
        .assert_contains("on the erasure list");
    sandbox.write("erasure.txt", "ACCT-2\n");
    let ran = relink(&sandbox, &["--all", "--erasure", "erasure.txt"]).expect_exit(1);
    assert_eq!(ran.counts(&["near_holds"]), [1]);
    let line = sandbox.results(RECORD).pop().expect("a line");
    assert!(
        line["error_message"].starts_with("a line of the erasure list"),
        "{line:?}"
    );
}

#[test]
fn a_lost_reply_makes_no_second_identity() {
    let sandbox = unlinked(2);
    sandbox.emulator.add_rule(Rule {
        when: When::Operation(RELINK),
        then: Then::Fault(FaultKind::ResetAfter),
        times: Some(1),
    });
    let ran = relink(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(ran.counts(&["relinked", "calls"]), [2, 3]);
    assert_eq!(linked(&sandbox, 2), [1, 2]);
}

#[test]
fn a_kill_after_the_call_is_made_good_by_a_look() {
    let sandbox = unlinked(2);
    sandbox.emulator.add_rule(rule(
        When::Operation(RELINK),
        Then::Fault(FaultKind::HangAfter),
    ));
    let running = start(&mut sandbox.job_command("relink", &[RESULTS, "--all"]));
    let is_called = |seen: &cognito_unlink::testing::emulator::Counters| {
        seen.faults.get(&FaultKind::HangAfter) == Some(&1)
    };
    assert!(sandbox.emulator.wait_until(TIMEOUT, is_called));
    running.signal(Signal::KILL);
    running.wait();
    assert_eq!(linked(&sandbox, 2).len(), 1);
    sandbox.emulator.clear_rules();
    let ran = relink(&sandbox, &["--all"]).expect_exit(0);
    // One is found linked, and was marked before it was called.
    assert_eq!(
        ran.counts(&["relinked", "already_linked", "calls"]),
        [2, 0, 1]
    );
    assert!(
        sandbox
            .outcomes(RESULTS)
            .values()
            .all(|outcome| outcome == "relinked")
    );
}

#[test]
fn the_token_is_nowhere() {
    const TOKEN: &str = "emulated.token";
    let sandbox = unlinked(3);
    for format in ["text", "json"] {
        sandbox.run(&["people.csv", "--again"]).expect_exit(0);
        sandbox.emulator.add_rule(Rule {
            when: When::Operation(LOOKUP),
            then: Then::Serve,
            times: Some(2),
        });
        // The second look-up shows the first relinked user; the third one is held, with a token received before.
        sandbox
            .emulator
            .add_rule(rule(When::Operation(LOOKUP), Then::Hold));
        let args = [RESULTS, "--all", "-vv", "--log-format", format];
        let mut command = sandbox.job_command("relink", &args);
        let running = start(command.env("RUST_LOG", "trace"));
        assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held > 0));
        for file in ["environ", "cmdline"] {
            let bytes = fs::read(format!("/proc/{}/{file}", running.id())).expect("readable");
            assert!(!String::from_utf8_lossy(&bytes).contains(TOKEN), "{file}");
        }
        sandbox.emulator.clear_rules();
        let ran = running.wait().expect_exit(0);
        assert!(!ran.all().contains(TOKEN), "{}", ran.all());
        assert!(
            ran.stderr.contains(RELINK),
            "each call is logged: {}",
            ran.stderr
        );
    }
    let files = fs::read_dir(sandbox.path(".")).expect("a folder");
    let mut read = HashMap::new();
    for file in files {
        let path = file.expect("a file").path();
        if path.is_file() {
            let text = fs::read(&path).expect("readable");
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(!text.contains(TOKEN), "{}", path.display());
            read.insert(path, text);
        }
    }
    assert!(read.values().any(|text| text.contains("relinked")));
}

#[test]
fn the_results_are_locked_while_a_relink_goes_on() {
    let sandbox = unlinked(2);
    sandbox
        .emulator
        .add_rule(rule(When::Operation(RELINK), Then::Hold));
    let running = start(&mut sandbox.job_command("relink", &[RESULTS, "--all", "--json"]));
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    sandbox.run(&["people.csv"]).expect_exit(6);
    relink(&sandbox, &["--all", "--out", "other.csv"]).expect_exit(6);
    running.signal(Signal::INT);
    running.wait_for_stderr("Stopping");
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(130);
    assert_eq!(ran.counts(&["relinked", "left"]), [1, 1]);
    ran.assert_contains("the same command goes on");
    sandbox.run(&["people.csv"]).expect_exit(0);
}

#[test]
fn rows_go_back_to_where_they_were_unlinked() {
    let sandbox = unlinked(1);
    // As if AWS had been called.
    let real = sandbox.read(RESULTS).replace("-local", "");
    sandbox.write(RESULTS, &real);
    let refused = relink(&sandbox, &["--all"]).expect_exit(2);
    refused.assert_contains("an endpoint on this machine brings nobody back");
    let mut aws = sandbox.command();
    aws.args(["relink", RESULTS, "--all"]);
    aws.args(["--endpoint-url", "http://cognito.example"]);
    aws.env("AWS_ENDPOINT_URL_STS", sandbox.emulator.url());
    let refused = start(&mut aws).wait().expect_exit(2);
    refused.assert_contains("--yes");
    assert_eq!(sandbox.requests(RELINK), 0);
    assert!(!sandbox.exists(RECORD));
    assert_eq!(sandbox.read(RESULTS), real);
}

#[test]
fn a_record_is_as_safe_to_open_in_a_spreadsheet_as_the_results() {
    for job in ["relink", "verify"] {
        let sandbox = emulating(vec![link_of(1, "=1+1")], DisabledLinkAnswer::Revived);
        sandbox.write("people.csv", sandbox::csv(&[link_of(1, "=1+1")]));
        sandbox
            .run(&["people.csv", "--spreadsheet-safe"])
            .expect_exit(0);
        // The second time, the record is there.
        for _ in 0..2 {
            sandbox.job(job, &[RESULTS, "--all"]).expect_exit(0);
        }
        let record = sandbox.read(if job == "relink" {
            RECORD
        } else {
            "people.verified.csv"
        });
        assert!(record.starts_with("\u{feff}\"row\",source,"), "{record}");
        assert!(record.contains(",'=1+1,"), "{record}");
    }
}

#[test]
fn a_user_who_stands_in_the_input_twice_is_brought_back() {
    let sandbox = emulating(links(2), DisabledLinkAnswer::Revived);
    sandbox.write("people.csv", sandbox::csv(&[link(1), link(1), link(2)]));
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "not_linked"]), [2, 1]);
    sandbox.write("wrong.csv", sandbox::csv(&[link(1)]));
    relink(&sandbox, &["--only", "wrong.csv"]).expect_exit(0);
    assert_eq!(linked(&sandbox, 2), [1]);
    relink(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(linked(&sandbox, 2), [1, 2]);
    let ran = relink(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(ran.counts(&["rows"]), [0]);
}

#[test]
fn rows_that_were_refused_come_last() {
    let sandbox = unlinked(5);
    let refused = error(
        "NotAuthorizedException",
        "Access to Identity 'x' is forbidden.",
    );
    sandbox.emulator.add_rule(Rule {
        when: When::Operation(RELINK),
        then: refused,
        times: Some(2),
    });
    let two = ["--all", "--limit", "2", "--concurrency", "1"];
    let ran = relink(&sandbox, &two).expect_exit(4);
    assert_eq!(ran.counts(&["refused", "left"]), [2, 3]);
    let ran = relink(&sandbox, &two).expect_exit(4);
    assert_eq!(ran.counts(&["relinked", "left"]), [2, 3]);
    relink(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(linked(&sandbox, 5), [1, 2, 3, 4, 5]);
}

#[test]
fn a_success_that_names_no_identity_shows_nothing() {
    let sandbox = unlinked(1);
    let nameless = serde_json::json!({ "Token": "secret" });
    sandbox
        .emulator
        .add_rule(rule(When::Operation(RELINK), answer(200, &nameless)));
    let ran = relink(&sandbox, &["--all", "--max-attempts", "2"]).expect_exit(1);
    assert_eq!(ran.counts(&["in_doubt", "relinked"]), [1, 0]);
    assert_eq!(sandbox.results(RESULTS).len(), 1);
}

#[test]
fn results_that_cannot_be_a_record_or_hold_nothing_are_refused() {
    let sandbox = unlinked(1);
    for job in ["relink", "verify"] {
        let args = [RESULTS, "--all", "--out", RESULTS];
        let refused = sandbox.job(job, &args).expect_exit(2);
        refused.assert_contains("these are the results themselves");
    }
    sandbox.write("empty.results.csv", "");
    let refused = sandbox.job("relink", &["empty.results.csv", "--all"]);
    refused.expect_exit(2).assert_contains("is empty");
    assert_eq!(sandbox.read("empty.results.csv"), "");
    // Without its line end, the last line may be a part of one.
    let text = sandbox.read(RESULTS);
    sandbox.write(RESULTS, text.trim_end());
    for job in ["verify", "relink"] {
        let ran = sandbox.job(job, &[RESULTS, "--all"]).expect_exit(0);
        ran.assert_contains("the last line is torn");
    }
}

/// Asserts that the README shows the end of this command as it is.
fn assert_shown(readme: &str, command: &str, ran: &Output) {
    let (_, shown) = readme.split_once(command).expect("a session");
    let session = shown.lines().skip(1);
    let lines: Vec<_> = session
        .take_while(|line| !line.starts_with('$') && *line != "```")
        .collect();
    assert!(!lines.is_empty());
    for line in lines {
        assert!(ran.stdout.contains(line), "{line}: {}", ran.stdout);
    }
}

#[test]
fn the_readme_shows_the_last_login_and_the_way_back() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(root.join(name)).expect(name);
    let (readme, purge) = (read("README.md"), read("samples/purge.csv"));
    let links: Vec<Link> = csv::Reader::from_reader(purge.as_bytes())
        .deserialize::<HashMap<String, String>>()
        .map(|row| {
            let row = row.expect("a row");
            Link {
                identity_id: row["identity_id"].clone(),
                identity_pool_id: row["identity_pool_id"].clone(),
                developer_provider_name: row["developer_provider_name"].clone(),
                developer_user_identifier: row["developer_user_identifier"].clone(),
            }
        })
        .collect();
    // The identities of the first 300 rows have another user, whom no row names.
    let others = links.iter().take(300).map(|link| Link {
        developer_user_identifier: format!("old-{}", link.developer_user_identifier),
        ..link.clone()
    });
    let all = links.iter().cloned().chain(others).collect();
    let sandbox = emulating(all, DisabledLinkAnswer::Revived);
    fs::create_dir(sandbox.path("samples")).expect("a folder");
    sandbox.write("samples/purge.csv", &purge);
    let shows = |job: &str, args: &[&str]| {
        let ran = sandbox
            .job(job, &[args, &["--rate", "1000"]].concat())
            .expect_exit(0);
        let command = format!("$ cognito-unlink {job} {}", args.join(" "));
        assert_shown(&readme, &command, &ran);
    };
    shows(
        "plan",
        &["samples/purge.csv", "--online", "--logins", "each"],
    );
    shows("run", &["samples/purge.csv", "--last-login", "keep"]);
    let wrong: Vec<&str> = purge.lines().take(11).collect();
    sandbox.write("wrong.csv", wrong.join("\n") + "\n");
    sandbox.write("erasure.txt", &links[2].developer_user_identifier);
    let args = [
        "samples/purge.results.csv",
        "--only",
        "wrong.csv",
        "--erasure",
        "erasure.txt",
    ];
    shows("relink", &args);
}
