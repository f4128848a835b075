//! `plan --online --logins`: how many identities would lose their last login, and the words about it before a run.

use std::collections::HashMap;

use cognito_unlink::testing::emulator::{
    Canned, FaultKind, FaultShare, Guest, Link, QuotaSettings, Rule, Settings, Then, When,
};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::sandbox::{
    OTHER_POOL, Output, POOL, PROVIDER, Sandbox, TIMEOUT, csv, link, link_in_other_region, link_of,
    people, rule, start, start_on_terminal,
};

const ONLINE: [&str; 2] = ["people.csv", "--online"];

fn with_links(links: Vec<Link>) -> Sandbox {
    Sandbox::with_settings(Settings {
        links: Some(links),
        ..Settings::default()
    })
}

/// Plans `people.csv` with last logins looked up in a way.
fn plan(sandbox: &Sandbox, way: &str, args: &[&str]) -> Output {
    sandbox.job("plan", &[&ONLINE, &["--logins", way], args].concat())
}

#[track_caller]
fn last_logins(sandbox: &Sandbox, way: &str) -> Value {
    let planned = plan(sandbox, way, &["--json"]).expect_exit(0).summary();
    planned["last_logins"].clone()
}

/// Returns these numbers of a plan's last logins.
fn numbers<const N: usize>(found: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| {
        found[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name} in {found}"))
    })
}

fn calls(sandbox: &Sandbox) -> HashMap<String, u64> {
    let mut calls = sandbox.emulator.counters().operations;
    calls.retain(|operation, _| {
        [
            "DescribeIdentity",
            "ListIdentities",
            "LookupDeveloperIdentity",
            "UnlinkDeveloperIdentity",
        ]
        .contains(&&**operation)
    });
    calls
}

fn counted<const N: usize>(counts: [(&str, u64); N]) -> HashMap<String, u64> {
    counts.map(|(name, count)| (name.to_owned(), count)).into()
}

/// Writes `people.csv` with identities of all kinds, and returns an emulator that has them. Of the eight identities, three lose their
/// last login.
fn identities_of_all_kinds() -> Sandbox {
    let guest = link(7);
    let sandbox = Sandbox::with_settings(Settings {
        links: Some(vec![
            // One user, in the input twice.
            link_of(1, "acct-1"),
            // Two users, one of them in the input.
            link_of(2, "acct-2a"),
            link_of(2, "acct-2b"),
            // Two users, both in the input.
            link_of(3, "acct-3a"),
            link_of(3, "acct-3b"),
            // To be disabled.
            link_of(4, "acct-4"),
            // Another user than the one in the input.
            link_of(6, "acct-6b"),
            // One user, and a row with another one that is no longer linked.
            link_of(8, "acct-8"),
        ]),
        guests: vec![Guest {
            identity_pool_id: POOL.to_owned(),
            identity_id: guest.identity_id.clone(),
        }],
        ..Settings::default()
    });
    sandbox.write("disabled.csv", csv(&[link_of(4, "acct-4")]));
    sandbox.run(&["disabled.csv"]).expect_exit(0);
    let rows = [
        link_of(1, "acct-1"),
        link_of(2, "acct-2a"),
        link_of(3, "acct-3a"),
        link_of(4, "acct-4"),
        link_of(5, "acct-5"),
        link_of(6, "acct-6a"),
        guest,
        link_of(3, "acct-3b"),
        link_of(1, "acct-1"),
        link_of(8, "acct-8"),
        link_of(8, "acct-8-gone"),
    ];
    sandbox.write("people.csv", csv(&rows));
    sandbox
}

#[test]
fn each_identity_is_judged_by_all_its_logins() {
    let sandbox = identities_of_all_kinds();
    let planned = plan(&sandbox, "each", &["--json"]).expect_exit(0);
    let expected = json!({
        "way": "each", "identities": 8, "lose": 3, "upper_bound": false, "keep": 2, "disabled": 1, "guests": 1, "not_found": 1,
        "forbidden": 0,
    });
    assert_eq!(planned.summary()["last_logins"], expected);
    // Each identity is described once, and those with the developer login only take one page of users.
    let expected = counted([
        ("DescribeIdentity", 8),
        ("LookupDeveloperIdentity", 5),
        ("UnlinkDeveloperIdentity", 1),
    ]);
    assert_eq!(calls(&sandbox), expected);
    assert!(
        planned
            .stderr
            .contains("Last logins: --logins each takes 8 to 16 calls at an unknown pace"),
        "{}",
        planned.stderr
    );
    let text = plan(&sandbox, "each", &[]).expect_exit(0);
    for line in [
        "\n3 identities of 8 would lose their last login, and become inaccessible for good.\n",
        "\n           2  keep a login, or have none that a row names\n",
        "\n           1  are disabled already\n",
    ] {
        assert!(text.stdout.contains(line), "{line}: {}", text.stdout);
    }
    assert!(!text.stdout.contains("out of reach"), "{}", text.stdout);
    assert!(!text.all().contains("acct-") && !planned.all().contains("acct-"));
    for link in [
        link_of(1, "acct-1"),
        link_of(2, "acct-2a"),
        link_of(3, "acct-3b"),
    ] {
        assert!(sandbox.emulator.is_linked(&link));
    }
}

#[test]
fn a_listing_gives_an_upper_bound() {
    let sandbox = identities_of_all_kinds();
    let planned = plan(&sandbox, "list", &["--json"]).expect_exit(0);
    let expected = json!({
        "way": "list", "identities": 8, "lose": 5, "upper_bound": true, "keep": 0, "disabled": 1, "guests": 1, "not_found": 1,
        "forbidden": 0,
    });
    assert_eq!(planned.summary()["last_logins"], expected);
    let expected = counted([("ListIdentities", 1), ("UnlinkDeveloperIdentity", 1)]);
    assert_eq!(calls(&sandbox), expected);
    let text = plan(&sandbox, "list", &[]).expect_exit(0).stdout;
    let line = "\nAt most 5 identities of 8 would lose their last login, and become inaccessible for good.\n";
    assert!(text.contains(line), "{text}");
}

#[tokio::test]
async fn an_identity_with_a_public_login_keeps_it() {
    let sandbox = with_links(Vec::new());
    let client = sandbox.client();
    let pool = client
        .create_identity_pool()
        .identity_pool_name("with public logins")
        .allow_unauthenticated_identities(false)
        .developer_provider_name(PROVIDER)
        .supported_login_providers("graph.example.com", "app")
        .send()
        .await
        .expect("made")
        .identity_pool_id;
    let mut rows = Vec::new();
    for (user, public) in [("acct-1", None), ("acct-2", Some("token"))] {
        let mut linked = client
            .get_open_id_token_for_developer_identity()
            .identity_pool_id(&pool)
            .logins(PROVIDER, user);
        if let Some(token) = public {
            linked = linked.logins("graph.example.com", token);
        }
        let linked = linked.send().await.expect("linked");
        rows.push(Link {
            identity_id: linked.identity_id.expect("an identity"),
            identity_pool_id: pool.clone(),
            ..link_of(0, user)
        });
    }
    sandbox.write("people.csv", csv(&rows));
    for (way, lookups) in [("each", 1), ("list", 1)] {
        let found = last_logins(&sandbox, way);
        assert_eq!(
            numbers(&found, ["identities", "lose", "keep"]),
            [2, 1, 1],
            "{way}"
        );
        // Whoever has a public login needs no look-up of users.
        assert_eq!(sandbox.user_lookups(), lookups);
    }
}

#[test]
fn a_pool_is_listed_page_by_page() {
    let links = (1..=150).map(link).collect();
    let sandbox = with_links(links);
    let mut pages = 0;
    for (rows, calls, found) in [
        // Seen on the first page.
        (vec![link(2), link(60)], 1, [2, 2, 0]),
        (vec![link(61)], 2, [1, 1, 0]),
        (vec![link(130)], 3, [1, 1, 0]),
        // Looked for to the end.
        (vec![link(2), link(151)], 3, [2, 1, 1]),
    ] {
        sandbox.write("people.csv", csv(&rows));
        let numbers = numbers(
            &last_logins(&sandbox, "list"),
            ["identities", "lose", "not_found"],
        );
        assert_eq!(numbers, found);
        pages += calls;
        assert_eq!(
            sandbox.emulator.counters().operations["ListIdentities"],
            pages
        );
    }
}

#[test]
fn users_of_an_identity_are_read_page_by_page() {
    let links: Vec<Link> = (1..=130)
        .map(|n| link_of(1, &format!("acct-{n:03}")))
        .collect();
    let sandbox = with_links(links.clone());
    sandbox.write("people.csv", csv(&links));
    assert_eq!(
        numbers(&last_logins(&sandbox, "each"), ["identities", "lose"]),
        [1, 1]
    );
    assert_eq!(sandbox.user_lookups(), 3);
    // The last one is kept.
    sandbox.write("people.csv", csv(&links[..129]));
    assert_eq!(
        numbers(&last_logins(&sandbox, "each"), ["lose", "keep"]),
        [0, 1]
    );
    assert_eq!(sandbox.user_lookups(), 6);
    // So is the first one, which one page tells.
    sandbox.write("people.csv", csv(&links[1..]));
    assert_eq!(
        numbers(&last_logins(&sandbox, "each"), ["lose", "keep"]),
        [0, 1]
    );
    assert_eq!(sandbox.user_lookups(), 7);
}

#[test]
fn only_rows_that_are_left_are_looked_at() {
    let mut links: Vec<Link> = (1..=5).map(link).collect();
    links.push(link_in_other_region(6));
    let sandbox = with_links(links.clone());
    sandbox.write("people.csv", csv(&links) + "bad row\n");
    sandbox.write("holds.txt", "acct-2\n");
    sandbox.run(&["people.csv", "--limit", "1"]).expect_exit(4);
    for (way, calls) in [("each", "DescribeIdentity"), ("list", "ListIdentities")] {
        let planned = plan(&sandbox, way, &["--hold", "holds.txt", "--json"]).expect_exit(1);
        let planned = planned.summary();
        assert_eq!(numbers(&planned, ["left"]), [4]);
        assert_eq!(
            numbers(&planned["last_logins"], ["identities", "lose"]),
            [4, 4]
        );
        let expected = if way == "each" { 4 } else { 2 };
        assert_eq!(sandbox.emulator.counters().operations[calls], expected);
    }
}

#[test]
fn throttling_does_not_change_the_numbers() {
    let links: Vec<Link> = (1..=40).map(link).collect();
    let sandbox = Sandbox::with_settings(Settings {
        links: Some(links.clone()),
        quota: Some(QuotaSettings::bucket(40.0, 10)),
        faults: vec![FaultShare {
            kind: FaultKind::Throttle,
            share: 0.3,
        }],
        ..Settings::default()
    });
    sandbox.write("people.csv", csv(&links));
    let times = |operation, times| Rule {
        times: Some(times),
        ..rule(When::Operation(operation), Then::Fault(FaultKind::Throttle))
    };
    // More often than any other fault is tried again.
    sandbox.emulator.add_rule(times("ListIdentities", 8));
    for (way, operation) in [("each", "DescribeIdentity"), ("list", "ListIdentities")] {
        let found = last_logins(&sandbox, way);
        assert_eq!(numbers(&found, ["identities", "lose"]), [40, 40]);
        let calls = sandbox.emulator.counters().operations[operation];
        let least = if way == "each" { 40 } else { 9 };
        assert!(calls >= least, "{calls}");
    }
    assert!(sandbox.user_lookups() > 40);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn a_look_up_that_fails_gives_no_number() {
    let denied = || Then::Fault(FaultKind::AccessDenied);
    let same_page = || {
        let page = json!({"IdentityPoolId": POOL, "Identities": [], "NextToken": "again"});
        Then::Answer(Canned {
            status: 200,
            headers: Vec::new(),
            body: page.to_string(),
        })
    };
    for (way, operation, then, reason) in [
        (
            "each",
            "DescribeIdentity",
            denied(),
            "could not be looked up (AccessDeniedException",
        ),
        (
            "each",
            "LookupDeveloperIdentity",
            denied(),
            "allow cognito-identity:LookupDeveloperIdentity",
        ),
        (
            "list",
            "ListIdentities",
            denied(),
            "allow cognito-identity:ListIdentities",
        ),
        (
            "list",
            "ListIdentities",
            same_page(),
            "could not be looked up (ListIdentities gives the same pages again",
        ),
    ] {
        let sandbox = with_links((1..=3).map(link).collect());
        sandbox.write("people.csv", people(3));
        sandbox
            .emulator
            .add_rule(rule(When::Operation(operation), then));
        let args = ["--json", "--out", "plan.json"];
        let planned = plan(&sandbox, way, &args).expect_exit(5).summary();
        assert_eq!(planned["last_logins"], Value::Null, "{operation}");
        let problem = planned["problems"][0].as_str().expect("a problem");
        assert!(problem.contains(reason), "{problem}");
        assert!(!sandbox.exists("plan.json"));
        sandbox.emulator.clear_rules();
    }
}

#[test]
fn a_fault_that_passes_is_tried_again() {
    let sandbox = with_links((1..=2).map(link).collect());
    sandbox.write("people.csv", people(2));
    for fault in [FaultKind::InternalError, FaultKind::ResetBefore] {
        sandbox.emulator.add_rule(Rule {
            times: Some(2),
            ..rule(When::Operation("DescribeIdentity"), Then::Fault(fault))
        });
        assert_eq!(
            numbers(&last_logins(&sandbox, "each"), ["lose"]),
            [2],
            "{fault:?}"
        );
    }
}

#[test]
fn last_logins_are_not_looked_up_in_vain() {
    let sandbox = with_links(vec![link(1)]);
    sandbox.write(
        "people.csv",
        csv(&[
            link(1),
            Link {
                identity_pool_id: OTHER_POOL.to_owned(),
                ..link(2)
            },
        ]),
    );
    // A run would be stopped: a pool does not exist.
    let planned = plan(&sandbox, "each", &["--json"]).expect_exit(5).summary();
    assert_eq!(planned["last_logins"], Value::Null);
    let offline = sandbox
        .job("plan", &["people.csv", "--logins", "each"])
        .expect_exit(2);
    assert!(offline.stderr.contains("--online"), "{}", offline.stderr);
    let from_pipe = ["-", "--format", "csv", "--online", "--logins", "each"];
    let piped = sandbox.job("plan", &from_pipe).expect_exit(2);
    assert!(
        piped.stderr.contains("Write the rows to a file first."),
        "{}",
        piped.stderr
    );
    assert_eq!(calls(&sandbox), HashMap::new());

    sandbox.write("people.csv", people(0));
    let nothing = plan(&sandbox, "each", &["--json"]).expect_exit(0).summary();
    assert_eq!(
        numbers(&nothing["last_logins"], ["identities", "lose"]),
        [0, 0]
    );
    assert_eq!(calls(&sandbox), HashMap::new());
}

#[test]
fn a_plan_without_last_logins_names_what_they_cost() {
    let sandbox = with_links((1..=300).map(link).collect());
    sandbox.write("people.csv", people(300));
    let planned = sandbox.job("plan", &[&ONLINE[..], &["--rate", "10"]].concat());
    let text = planned.expect_exit(0).stdout;
    for words in [
        "\nLast logins: not looked at. --logins each takes 300 to 600 calls, about 30 s, and is exact; ",
        "The cheaper one is list as long as the pools hold fewer than 9,000 identities, else each.\n",
    ] {
        assert!(text.contains(words), "{text}");
    }
    let planned = sandbox
        .job("plan", &[&ONLINE[..], &["--json"]].concat())
        .expect_exit(0);
    assert_eq!(planned.summary()["last_logins"], Value::Null);
    assert_eq!(calls(&sandbox), HashMap::new());
}

#[test]
fn a_saved_plan_keeps_the_numbers_for_its_run() {
    let sandbox = identities_of_all_kinds();
    let run = |args: &[&str]| {
        let mut command = sandbox.command();
        command.args(["run", "--plan", "plan.json"]).args(args);
        start(&mut command).wait()
    };
    let save = ["--out", "plan.json", "--force"];
    for (way, words) in [
        (
            "list",
            "\nAt most 5 identities of 8 lose their last login and become inaccessible for good, ",
        ),
        (
            "each",
            "\n3 identities of 8 lose their last login and become inaccessible for good, ",
        ),
    ] {
        plan(&sandbox, way, &save).expect_exit(0);
        let text = sandbox.read("plan.json");
        let saved: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(saved["last_logins"]["way"], way);
        assert!(
            !text.contains("acct-") && !text.contains("--logins"),
            "{text}"
        );
        let shown = "\n".to_owned() + &run(&["--dry-run"]).stderr;
        assert!(!shown.contains("last login"), "{shown}");
        sandbox
            .emulator
            .add_rule(rule(When::Always, Then::Fault(FaultKind::AccessDenied)));
        let shown = "\n".to_owned() + &run(&[]).expect_exit(5).stderr;
        assert!(
            shown.contains(words) && shown.contains("`--last-login keep`"),
            "{shown}"
        );
        sandbox.emulator.clear_rules();
    }
    // As earlier versions save it.
    sandbox
        .job("plan", &[&ONLINE[..], &save].concat())
        .expect_exit(0);
    let saved: Value = serde_json::from_str(&sandbox.read("plan.json")).expect("JSON");
    assert_eq!(saved.get("last_logins"), None);
    let ran = run(&[]);
    assert!(!ran.stderr.contains("last login"), "{}", ran.stderr);
    assert_eq!(ran.code(), Some(0), "{ran:?}");
}

#[test]
fn progress_is_shown_on_a_terminal() {
    let sandbox = with_links((1..=2).map(link).collect());
    sandbox.write("people.csv", people(2));
    let hold = rule(When::Operation("DescribeIdentity"), Then::Hold);
    sandbox.emulator.add_rule(hold);
    let mut command = sandbox.job_command("plan", &[&ONLINE[..], &["--logins", "each"]].concat());
    command.env("TERM", "xterm");
    let running = start_on_terminal(command);
    running.wait_for_stderr("0 of 2 identities");
    sandbox.emulator.clear_rules();
    let planned = running.wait().expect_exit(0);
    assert!(
        planned.stdout.contains("\n2 identities of 2 would lose"),
        "{}",
        planned.stdout
    );
}

#[test]
fn an_input_that_changes_meanwhile_gives_no_number() {
    let sandbox = with_links((1..=2).map(link).collect());
    sandbox.write("people.csv", people(2));
    let hold = rule(When::Operation("DescribeIdentity"), Then::Hold);
    sandbox.emulator.add_rule(hold);
    let args = [&ONLINE[..], &["--logins", "each", "--json"]].concat();
    let running = start(&mut sandbox.job_command("plan", &args));
    let is_held = sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 2);
    assert!(is_held, "{:?}", sandbox.emulator.counters());
    sandbox.write("people.csv", people(1));
    sandbox.emulator.clear_rules();
    let planned = running.wait().expect_exit(5).summary();
    assert_eq!(planned["last_logins"], Value::Null);
    let problem = planned["problems"][0].as_str().expect("a problem");
    assert!(problem.contains("an input was changed"), "{problem}");
}

#[test]
fn a_signal_ends_the_look_ups() {
    let sandbox = with_links((1..=2).map(link).collect());
    sandbox.write("people.csv", people(2));
    let hold = rule(When::Operation("ListIdentities"), Then::Hold);
    sandbox.emulator.add_rule(hold);
    let args = [&ONLINE[..], &["--logins", "list"]].concat();
    let running = start(&mut sandbox.job_command("plan", &args));
    let is_held = sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1);
    assert!(is_held, "{:?}", sandbox.emulator.counters());
    running.signal(Signal::INT);
    let planned = running.wait().expect_exit(130);
    assert_eq!(planned.stdout, "");
    sandbox.emulator.clear_rules();
}
