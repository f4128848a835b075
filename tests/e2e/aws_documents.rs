//! Documents as AWS prints them, exports of DynamoDB, and lists of ids as inputs of `run` and `plan`.

use std::fmt::Write as _;

use cognito_unlink::testing::emulator::Link;
use serde_json::json;

use crate::sandbox::{POOL, PROVIDER, Sandbox, gzip, link_of, start};

/// The options that name what a lookup leaves out.
const FILL: [&str; 4] = [
    "--identity-pool-id",
    POOL,
    "--developer-provider-name",
    PROVIDER,
];

/// The answer to `lookup-developer-identity` for links of one identity.
fn lookup(links: &[Link], token: Option<&str>) -> String {
    let users: Vec<_> = links
        .iter()
        .map(|link| &link.developer_user_identifier)
        .collect();
    let document = json!({
        "IdentityId": links[0].identity_id, "DeveloperUserIdentifierList": users, "NextToken": token,
    });
    format!("{document:#}\n")
}

fn links() -> [Link; 3] {
    [link_of(1, "a"), link_of(1, "b"), link_of(2, "c")]
}

#[test]
fn lookups_are_unlinked_user_by_user() {
    let sandbox = Sandbox::new();
    let links = links();
    let text = lookup(&links[..2], None) + &lookup(&links[2..], None);
    sandbox.write("lookups.json", &text);
    let args = [&["lookups.json", "--json"], &FILL[..]].concat();
    let ran = sandbox.run(&args).expect_exit(0);
    assert_eq!(ran.counts(&["rows", "unlinked"]), [3, 3]);
    for (link, nth) in links.iter().zip(0..) {
        assert!(!sandbox.emulator.is_linked(link), "{nth}");
    }
    let mut found: Vec<_> = sandbox
        .results("lookups.results.jsonl")
        .iter()
        .map(|row| {
            format!(
                "{} {} {}",
                row["row"], row["line"], row["developer_user_identifier"]
            )
        })
        .collect();
    found.sort();
    let line_of = |user: &str| {
        let quoted = format!("\"{user}\"");
        1 + text
            .lines()
            .position(|line| line.trim_end_matches(',').trim() == quoted)
            .expect("there")
    };
    let expected = ["a", "b", "c"].iter().zip(1..);
    let expected: Vec<_> = expected
        .map(|(user, row)| format!("{row} {} {user}", line_of(user)))
        .collect();
    assert_eq!(found, expected);
    let again = sandbox.run(&args).expect_exit(0);
    assert_eq!(again.counts(&["skipped", "calls"]), [3, 0]);
}

#[test]
fn an_export_of_dynamodb_is_rehearsed_and_run() {
    let sandbox = Sandbox::new();
    let mut export = String::new();
    for link in links() {
        let item = json!({"Item": {
            "identity_id": {"S": link.identity_id}, "identity_pool_id": {"S": POOL},
            "developer_provider_name": {"S": PROVIDER}, "account": {"S": link.developer_user_identifier},
            "ticket": {"N": "42"},
        }});
        let _ = writeln!(export, "{item}");
    }
    // As DynamoDB names it.
    sandbox.write("export.json.gz", gzip(export.as_bytes()));
    let args = [
        "export.json.gz",
        "--map",
        "developer_user_identifier=account",
        "--carry",
        "ticket",
        "--json",
    ];
    let mut rehearsal = sandbox.command_without_credentials();
    let rehearsed = start(rehearsal.arg("run").args(args).arg("--rehearse"))
        .wait()
        .expect_exit(0);
    assert_eq!(rehearsed.counts(&["rows", "unlinked"]), [3, 3]);
    let ran = sandbox.run(&args).expect_exit(0);
    assert_eq!(ran.counts(&["rows", "unlinked"]), [3, 3]);
    for row in sandbox.results("export.results.jsonl") {
        assert_eq!(row["ticket"], "42");
    }
    assert_eq!(sandbox.emulator.counters().effects, 3);
}

#[test]
fn a_list_of_identities_is_planned_and_never_called() {
    let sandbox = Sandbox::new();
    let identities: Vec<_> = (1..=3)
        .map(|n| json!({"IdentityId": link_of(n, "").identity_id, "Logins": [PROVIDER]}))
        .collect();
    // In the order of AWS, in which the pool is the first key.
    let list = format!(
        "{{\n    \"IdentityPoolId\": \"{POOL}\",\n    \"Identities\": {:#}\n}}\n",
        json!(identities)
    );
    sandbox.write("identities.json", list);
    let plan = sandbox
        .command_without_credentials()
        .args(["plan", "identities.json"])
        .output()
        .expect("it ran");
    assert_eq!(plan.status.code(), Some(1));
    let text = String::from_utf8_lossy(&plan.stdout);
    assert!(
        text.contains("a list of identities names no users; ask for each identity's"),
        "{text}"
    );
    let ran = sandbox.run(&["identities.json", "--json"]).expect_exit(1);
    assert_eq!(ran.counts(&["rows", "invalid", "calls"]), [3, 3, 0]);
    let results = sandbox.results("identities.results.jsonl");
    assert!(
        results
            .iter()
            .all(|row| row["error_code"] == "MissingField" && row["identity_pool_id"] == POOL)
    );
}

#[test]
fn a_missing_page_is_reported_and_a_list_with_all_its_pages_is_not() {
    let sandbox = Sandbox::new();
    let links = links();
    let page = lookup(&links[..1], Some("next"));
    sandbox.write("page.json", &page);
    sandbox.write("pages.json", page.clone() + &lookup(&links[1..2], None));
    let run = |name: &str| sandbox.run(&[&[name, "--json"], &FILL[..]].concat());
    let ran = run("page.json").expect_exit(1);
    assert_eq!(ran.counts(&["rows", "unlinked", "invalid"]), [2, 1, 1]);
    let results = sandbox.results("page.results.jsonl");
    let missing = results
        .iter()
        .find(|row| row["outcome"] == "invalid")
        .expect("there");
    assert_eq!(missing["error_code"], "MorePages");
    assert!(missing["error_message"].contains("get the pages up to the one without a token"));
    let token = page.lines().position(|line| line.contains("NextToken"));
    assert_eq!(missing["line"], (token.expect("there") + 1).to_string());
    let ran = run("pages.json").expect_exit(0);
    assert_eq!(ran.counts(&["rows", "invalid"]), [2, 0]);
}

#[test]
fn a_list_of_ids_is_refused_with_the_reason() {
    let sandbox = Sandbox::new();
    sandbox.write("ids.txt", "a\nb\n");
    sandbox.write("people.csv", "a\n");
    for (args, reason) in [
        (
            &["ids.txt", "--columns", "developer_user_identifier"][..],
            "needs identity_id and developer_user_identifier together",
        ),
        (
            &[
                "people.csv",
                "--format",
                "lines",
                "--columns",
                "identity_id",
            ],
            "needs identity_id and developer_user_identifier together",
        ),
        (&["people.csv", "--columns", "identity_id"], "--no-header"),
    ] {
        let ran = sandbox.run(args).expect_exit(2);
        assert!(ran.stderr.contains(reason), "{}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}
