//! `resolve`: users to identities and identities to users, page by page, with one line for each link.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use cognito_unlink::testing::emulator::{
    Canned, DisabledLookupAnswer, Link, Rule, Settings, Then, Undocumented, UnknownUserAnswer, When,
};
use rustix::process::Signal;

use crate::sandbox::{Output, POOL, PROVIDER, Sandbox, TIMEOUT, link_of, rule, start};

const LOOKUP: &str = "LookupDeveloperIdentity";

fn with_links(links: Vec<Link>, when_unknown_user: UnknownUserAnswer) -> Sandbox {
    Sandbox::with_settings(Settings {
        links: Some(links),
        undocumented: Undocumented {
            when_unknown_user,
            ..Undocumented::default()
        },
        ..Settings::default()
    })
}

/// An emulator that knows these links, and answers an unknown user with `ResourceNotFoundException`.
fn sandbox(links: Vec<Link>) -> Sandbox {
    with_links(links, UnknownUserAnswer::ResourceNotFound)
}

fn resolve(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.job(
        "resolve",
        &[args, &["--identity-pool-id", POOL, "--json"]].concat(),
    )
}

/// Returns identity and user of each line of a file of links.
fn pairs(sandbox: &Sandbox, file: &str) -> Vec<(String, String)> {
    let lines = sandbox.results(file).into_iter();
    lines
        .map(|line| {
            (
                line["identity_id"].clone(),
                line["developer_user_identifier"].clone(),
            )
        })
        .collect()
}

/// Returns the reasons in a file of rows without a link, in order.
fn reasons(sandbox: &Sandbox, file: &str) -> Vec<String> {
    let lines = sandbox.results(file).into_iter();
    lines.map(|line| line["reason"].clone()).collect()
}

/// Links `users` users to the identity `n`.
fn links_of(n: usize, users: usize) -> Vec<Link> {
    let user = |nth| link_of(n, &format!("acct-{n}-{nth:03}"));
    (0..users).map(user).collect()
}

#[test]
fn users_become_rows_that_run_unlinks() {
    let sandbox = sandbox(vec![link_of(1, "a"), link_of(2, "b"), link_of(3, "c")]);
    sandbox.write(
        "people.csv",
        "ticket,DeveloperUserIdentifier\nT-1,a\nT-2,nobody\nT-3,b\n",
    );
    let resolved = resolve(&sandbox, &["people.csv", "--carry", "ticket"]).expect_exit(1);
    assert_eq!(
        resolved.counts(&["rows", "resolved", "no_such_user", "left"]),
        [3, 2, 1, 0]
    );
    // One look-up for each row, and the control question.
    assert_eq!(resolved.counts(&["calls"]), [4]);
    let text = sandbox.read("people.resolved.csv");
    let mut lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines.remove(0),
        "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier,asked_by,links,held,ticket"
    );
    lines.sort_unstable();
    let line = |n, user: &str, ticket: &str| {
        let id = link_of(n, user).identity_id;
        format!("{id},{POOL},{PROVIDER},{user},user,1,,{ticket}")
    };
    assert_eq!(lines, [line(1, "a", "T-1"), line(2, "b", "T-3")]);
    assert_eq!(
        sandbox.read("people.unresolved.csv"),
        "reason,detail,ticket,DeveloperUserIdentifier\nno_such_user,,T-2,nobody\n"
    );
    let ran = sandbox
        .run(&["people.resolved.csv", "--carry", "ticket", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["rows", "unlinked"]), [2, 2]);
    assert!(sandbox.emulator.is_linked(&link_of(3, "c")));
}

#[test]
fn an_unknown_user_is_told_only_where_the_answer_tells_it() {
    for (answer, outcome) in [
        (UnknownUserAnswer::ResourceNotFound, "no_such_user"),
        (UnknownUserAnswer::Empty, "no_such_user"),
        // A caller without access may get the same answer.
        (UnknownUserAnswer::NotAuthorized, "not_told"),
    ] {
        let sandbox = with_links(vec![link_of(1, "a")], answer);
        sandbox.write("people.csv", "developer_user_identifier\na\nnobody\n");
        let resolved = resolve(&sandbox, &["people.csv"]).expect_exit(1);
        assert_eq!(
            resolved.counts(&["resolved", outcome]),
            [1, 1],
            "{answer:?}"
        );
        assert_eq!(reasons(&sandbox, "people.unresolved.csv"), [outcome]);
        // What is not told is asked again; what is told is not.
        let again = resolve(&sandbox, &["people.csv"]).expect_exit(1);
        let asked_again = u64::from(outcome == "not_told");
        assert_eq!(
            again.counts(&["skipped", "unresolved_earlier", outcome]),
            [1, 1 - asked_again, asked_again]
        );
        assert_eq!(reasons(&sandbox, "people.unresolved.csv"), [outcome]);
        let skipped = resolve(&sandbox, &["people.csv", "--skip-failed"]).expect_exit(1);
        assert_eq!(skipped.counts(&["unresolved_earlier", "calls"]), [1, 0]);
        assert_eq!(reasons(&sandbox, "people.unresolved.csv"), [outcome]);
    }
}

#[test]
fn all_pages_of_an_identity_are_read() {
    let sizes = [1, 59, 60, 61, 120, 121];
    let links = sizes
        .iter()
        .zip(1..)
        .flat_map(|(users, n)| links_of(n, *users));
    let links: Vec<_> = links.collect();
    let sandbox = sandbox(links.clone());
    let mut text = String::new();
    for n in 1..=sizes.len() {
        let _ = writeln!(text, "{}", link_of(n, "").identity_id);
    }
    sandbox.write("ids.txt", &text);
    let args = ["ids.txt", "--columns", "identity_id", "--max-users", "200"];
    let resolved = resolve(&sandbox, &args).expect_exit(0);
    assert_eq!(resolved.counts(&["rows", "resolved"]), [6, 6]);
    let found: BTreeSet<_> = pairs(&sandbox, "ids.resolved.csv").into_iter().collect();
    let expected: BTreeSet<_> = links
        .into_iter()
        .map(|link| (link.identity_id, link.developer_user_identifier))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(sandbox.results("ids.resolved.csv").len(), expected.len());
    for line in sandbox.results("ids.resolved.csv") {
        let n = usize::from_str_radix(&line["identity_id"][line["identity_id"].len() - 4..], 16);
        let users = sizes[n.expect("a number") - 1].to_string();
        assert_eq!((&*line["asked_by"], &line["links"]), ("identity", &users));
    }
    // 1, 1, 1, 2, 2 and 3 pages, and the control question.
    assert_eq!(resolved.counts(&["calls"]), [11]);
}

#[test]
fn identities_without_a_list_of_users_have_a_reason() {
    let mut links = links_of(1, 21);
    links.extend(links_of(2, 20));
    links.push(link_of(3, "last"));
    let sandbox = sandbox(links);
    sandbox.write("last.csv", crate::sandbox::csv(&[link_of(3, "last")]));
    sandbox.run(&["last.csv"]).expect_exit(0);
    let mut text = "identity_id\n".to_owned();
    for n in [1, 2, 3, 9] {
        let _ = writeln!(text, "{}", link_of(n, "").identity_id);
    }
    sandbox.write("ids.csv", &text);
    let resolved = resolve(&sandbox, &["ids.csv"]).expect_exit(1);
    assert_eq!(
        resolved.counts(&[
            "resolved",
            "too_many_users",
            "disabled",
            "identity_not_found"
        ]),
        [1, 1, 1, 1]
    );
    let mut found = reasons(&sandbox, "ids.unresolved.csv");
    found.sort();
    assert_eq!(found, ["disabled", "identity_not_found", "too_many_users"]);
}

#[test]
fn an_identity_whose_list_is_empty_has_no_user() {
    let sandbox = Sandbox::with_settings(Settings {
        links: Some(vec![link_of(1, "last")]),
        undocumented: Undocumented {
            when_disabled_lookup: DisabledLookupAnswer::Empty,
            ..Undocumented::default()
        },
        ..Settings::default()
    });
    sandbox.write("last.csv", crate::sandbox::csv(&[link_of(1, "last")]));
    sandbox.run(&["last.csv"]).expect_exit(0);
    let id = link_of(1, "").identity_id;
    sandbox.write("ids.csv", format!("identity_id\n{id}\n"));
    let resolved = resolve(&sandbox, &["ids.csv"]).expect_exit(1);
    assert_eq!(resolved.counts(&["identity_has_no_user"]), [1]);
    assert_eq!(
        reasons(&sandbox, "ids.unresolved.csv"),
        ["identity_has_no_user"]
    );
}

#[test]
fn a_link_that_is_named_whole_is_checked() {
    let sandbox = sandbox(vec![link_of(1, "a"), link_of(2, "b")]);
    let mut text = "developer_user_identifier,identity_id\n".to_owned();
    for (user, n) in [("a", 1), ("b", 1), ("nobody", 2)] {
        let _ = writeln!(text, "{user},{}", link_of(n, "").identity_id);
    }
    sandbox.write("both.csv", &text);
    let resolved = resolve(&sandbox, &["both.csv"]).expect_exit(1);
    assert_eq!(resolved.counts(&["resolved", "failed"]), [1, 2]);
    let line = &sandbox.results("both.resolved.csv")[0];
    assert_eq!((&*line["asked_by"], &*line["links"]), ("both", "1"));
    for line in sandbox.results("both.unresolved.csv") {
        assert!(
            line["detail"].starts_with("ResourceConflictException: "),
            "{line:?}"
        );
    }
}

#[test]
fn a_link_that_several_rows_reach_is_written_once() {
    let sandbox = sandbox(links_of(1, 3));
    let id = link_of(1, "").identity_id;
    let text =
        format!("developer_user_identifier,identity_id\nacct-1-001,\nacct-1-001,\n,{id}\n,{id}\n");
    sandbox.write("people.csv", text);
    let resolved = resolve(&sandbox, &["people.csv", "--concurrency", "1"]).expect_exit(0);
    assert_eq!(
        resolved.counts(&["rows", "resolved", "skipped", "calls"]),
        [4, 2, 2, 3]
    );
    let found = pairs(&sandbox, "people.resolved.csv");
    let unique: BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), unique.len()), (3, 3));
    // A user's line does not make its identity's row done.
    sandbox.write(
        "ids.csv",
        format!("developer_user_identifier,identity_id\n,{id}\n"),
    );
    let out = ["--out", "people.resolved.csv"];
    let again = resolve(&sandbox, &[&["ids.csv"], &out[..]].concat()).expect_exit(0);
    assert_eq!(again.counts(&["skipped"]), [1]);
    assert_eq!(pairs(&sandbox, "people.resolved.csv").len(), 3);
}

#[test]
fn held_users_are_marked_and_not_left_out() {
    let sandbox = sandbox(links_of(1, 2));
    sandbox.write("hold.txt", "acct-1-001\n");
    sandbox.write(
        "ids.csv",
        format!("identity_id\n{}\n", link_of(1, "").identity_id),
    );
    resolve(&sandbox, &["ids.csv", "--hold", "hold.txt"]).expect_exit(0);
    let lines = sandbox.results("ids.resolved.csv").into_iter();
    let held: Vec<_> = lines
        .map(|line| {
            (
                line["developer_user_identifier"].clone(),
                line["held"].clone(),
            )
        })
        .collect();
    let expected = [("acct-1-000", ""), ("acct-1-001", "yes")];
    assert_eq!(
        held,
        expected.map(|(user, held)| (user.to_owned(), held.to_owned()))
    );
}

#[test]
fn invalid_rows_come_back_as_they_stood() {
    let sandbox = sandbox(vec![link_of(1, "a")]);
    sandbox.write(
        "people.jsonl",
        "{\"developer_user_identifier\":\"a\"}\n{\"developer_user_identifier\":\"NULL\",\"note\":[1]}\n{\"note\":2}\n",
    );
    let resolved = resolve(&sandbox, &["people.jsonl"]).expect_exit(1);
    assert_eq!(resolved.counts(&["resolved", "invalid"]), [1, 2]);
    let rest = sandbox.read("people.unresolved.jsonl");
    let lines: Vec<serde_json::Value> = rest
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 2);
    assert!(lines.iter().all(|line| line["reason"] == "invalid"));
    assert_eq!(lines[0]["note"], serde_json::json!([1]));
    assert!(
        lines[1]["detail"]
            .as_str()
            .expect("a sentence")
            .starts_with("people.jsonl:3: ")
    );
    // Both are read again, and stand there once.
    resolve(&sandbox, &["people.jsonl"]).expect_exit(1);
    assert_eq!(sandbox.read("people.unresolved.jsonl").lines().count(), 2);
}

#[test]
fn a_run_that_is_killed_between_two_pages_asks_again() {
    let mut links = links_of(1, 61);
    links.extend(links_of(2, 3));
    let sandbox = sandbox(links);
    let ids = [1, 2].map(|n| link_of(n, "").identity_id);
    sandbox.write("ids.csv", format!("identity_id\n{}\n{}\n", ids[1], ids[0]));
    let args = [
        "--identity-pool-id",
        POOL,
        "--max-users",
        "100",
        "--concurrency",
        "1",
    ];
    let args = [&["ids.csv"], &args[..]].concat();
    // The control question, the first identity, the first page of the second.
    sandbox.emulator.add_rule(Rule {
        times: Some(3),
        ..rule(When::Operation(LOOKUP), Then::Serve)
    });
    sandbox
        .emulator
        .add_rule(rule(When::Operation(LOOKUP), Then::Hold));
    let running = start(&mut sandbox.job_command("resolve", &args));
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    running.signal(Signal::KILL);
    running.wait();
    sandbox.emulator.clear_rules();
    assert_eq!(pairs(&sandbox, "ids.resolved.csv").len(), 3);
    let resolved = resolve(&sandbox, &["ids.csv", "--max-users", "100"]).expect_exit(0);
    assert_eq!(resolved.counts(&["skipped", "resolved"]), [1, 1]);
    let found = pairs(&sandbox, "ids.resolved.csv");
    let unique: BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), unique.len()), (64, 64));
}

#[test]
fn part_of_an_identitys_users_is_cut_off_and_asked_for_again() {
    let mut links = links_of(1, 2);
    links.extend(links_of(2, 61));
    let sandbox = sandbox(links);
    let ids = [1, 2].map(|n| link_of(n, "").identity_id);
    sandbox.write("ids.csv", format!("identity_id\n{}\n{}\n", ids[0], ids[1]));
    let args = ["ids.csv", "--max-users", "100", "--concurrency", "1"];
    resolve(&sandbox, &args).expect_exit(0);
    let whole = sandbox.read("ids.resolved.csv");
    let first_group = whole.lines().take(3).map(|line| line.len() + 1).sum();
    for cut in [
        whole.len() - 1,
        whole.len() / 2,
        first_group + 1,
        first_group,
    ] {
        sandbox.write("ids.resolved.csv", &whole[..cut]);
        let resolved = resolve(&sandbox, &args).expect_exit(0);
        assert_eq!(resolved.counts(&["skipped", "resolved"]), [1, 1], "{cut}");
        assert_eq!(sandbox.read("ids.resolved.csv"), whole, "{cut}");
    }
}

#[test]
fn a_page_token_that_comes_back_halts_the_run() {
    let sandbox = sandbox(links_of(1, 61));
    let id = link_of(1, "").identity_id;
    sandbox.write("ids.csv", format!("identity_id\n{id}\n"));
    sandbox.emulator.add_rule(Rule {
        times: Some(1),
        ..rule(When::Operation(LOOKUP), Then::Serve)
    });
    let page = serde_json::json!({
        "IdentityId": id, "DeveloperUserIdentifierList": ["a"], "NextToken": "again",
    });
    sandbox.emulator.add_rule(rule(
        When::Operation(LOOKUP),
        Then::Answer(Canned {
            status: 200,
            headers: Vec::new(),
            body: page.to_string(),
        }),
    ));
    let halted = resolve(&sandbox, &["ids.csv", "--max-users", "100"]).expect_exit(5);
    halted.assert_contains("the service gives the same page of an identity's users again");
    assert_eq!(halted.counts(&["left"]), [1]);
    assert_eq!(pairs(&sandbox, "ids.resolved.csv"), []);
}

#[test]
fn a_user_that_cannot_exist_and_is_found_halts_the_run() {
    let sandbox = sandbox(vec![link_of(1, "a")]);
    sandbox.write("people.csv", "developer_user_identifier\na\n");
    let found = serde_json::json!({"IdentityId": link_of(1, "").identity_id});
    sandbox.emulator.add_rule(rule(
        When::Operation(LOOKUP),
        Then::Answer(Canned {
            status: 200,
            headers: Vec::new(),
            body: found.to_string(),
        }),
    ));
    let halted = resolve(&sandbox, &["people.csv"]).expect_exit(5);
    halted.assert_contains("the control failed");
}

#[test]
fn the_provider_is_the_pools_or_has_to_be_named() {
    let sandbox = sandbox(vec![link_of(1, "a")]);
    sandbox.write("people.csv", "developer_user_identifier\na\n");
    let refused = resolve(&sandbox, &["people.csv", "--no-preflight"]).expect_exit(5);
    refused.assert_contains("Name it with --developer-provider-name");
    assert_eq!(sandbox.user_lookups(), 0);
    let named = ["--no-preflight", "--developer-provider-name", PROVIDER];
    resolve(&sandbox, &[&["people.csv"], &named[..]].concat()).expect_exit(0);
    let line = &sandbox.results("people.resolved.csv")[0];
    assert_eq!(line["developer_provider_name"], PROVIDER);
    let other = ["--developer-provider-name", "other.example"];
    let out = ["--out", "other.csv"];
    let refused = resolve(&sandbox, &[&["people.csv"], &other[..], &out].concat());
    refused
        .expect_exit(5)
        .assert_contains("has the developer provider name");
}

#[test]
fn two_runs_do_not_write_the_same_links() {
    let sandbox = sandbox(vec![link_of(1, "a")]);
    sandbox.write("people.csv", "developer_user_identifier\na\n");
    sandbox
        .emulator
        .add_rule(rule(When::Operation(LOOKUP), Then::Hold));
    let args = ["people.csv", "--identity-pool-id", POOL];
    let running = start(&mut sandbox.job_command("resolve", &args));
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    resolve(&sandbox, &["people.csv"]).expect_exit(6);
    running.signal(Signal::INT);
    running.wait_for_stderr("Stopping");
    sandbox.emulator.clear_rules();
    running.wait().expect_exit(130);
    resolve(&sandbox, &["people.csv"]).expect_exit(0);
    assert_eq!(pairs(&sandbox, "people.resolved.csv").len(), 1);
}

#[test]
fn without_permission_the_run_halts_and_says_nothing_about_users() {
    let sandbox = sandbox(vec![link_of(1, "a")]);
    sandbox.write("people.csv", "developer_user_identifier\nnobody\n");
    let denied = r#"{"__type":"AccessDeniedException","message":"not authorized"}"#;
    sandbox.emulator.add_rule(rule(
        When::Operation(LOOKUP),
        Then::Answer(Canned {
            status: 400,
            headers: Vec::new(),
            body: denied.to_owned(),
        }),
    ));
    let halted = resolve(&sandbox, &["people.csv"]).expect_exit(5);
    halted.assert_contains("Allow cognito-identity:LookupDeveloperIdentity on the pool");
    assert_eq!(halted.counts(&["left", "no_such_user"]), [1, 0]);
}
