//! `verify`: looks up afterwards whether the links of a results file are gone, and states what that says about all of them.

use std::collections::BTreeMap;

use cognito_unlink::testing::emulator::{
    Canned, FaultKind, Link, Rule, Settings, Then, Undocumented, UnknownUserAnswer, When,
};
use rustix::process::Signal;

use crate::sandbox::{self, Output, POOL, Sandbox, TIMEOUT, link_of, rule, start};

const LOOKUP: &str = "LookupDeveloperIdentity";
const UNLINK: &str = "UnlinkDeveloperIdentity";

fn sandbox(links: Vec<Link>) -> Sandbox {
    answering(links, UnknownUserAnswer::ResourceNotFound)
}

fn answering(links: Vec<Link>, when_unknown_user: UnknownUserAnswer) -> Sandbox {
    Sandbox::with_settings(Settings {
        links: Some(links),
        undocumented: Undocumented {
            when_unknown_user,
            ..Undocumented::default()
        },
        ..Settings::default()
    })
}

fn users(n: usize) -> Vec<Link> {
    (1..=n).map(|n| link_of(n, &format!("acct-{n}"))).collect()
}

/// Unlinks these, for real.
fn run(sandbox: &Sandbox, links: &[Link]) {
    sandbox.write("people.csv", sandbox::csv(links));
    sandbox.run(&["people.csv"]).expect_exit(0);
}

/// Confirms unlinks without making them, from now on.
fn confirm_falsely(sandbox: &Sandbox) {
    let canned = Canned {
        status: 200,
        headers: Vec::new(),
        body: String::new(),
    };
    sandbox
        .emulator
        .add_rule(rule(When::Operation(UNLINK), Then::Answer(canned)));
}

fn answer(status: u16, body: &str) -> Then {
    Then::Answer(Canned {
        status,
        headers: Vec::new(),
        body: body.to_owned(),
    })
}

fn verify(sandbox: &Sandbox, args: &[&str]) -> Output {
    sandbox.job(
        "verify",
        &[&["people.results.csv", "--json"], args].concat(),
    )
}

/// Returns the numbers of a statement, by name.
fn numbers(ran: &Output) -> BTreeMap<String, u64> {
    let summary = ran.summary();
    let names = [
        "looked_at",
        "of",
        "gone",
        "still_linked",
        "linked_elsewhere",
        "not_told",
        "failed",
        "at_most",
    ];
    names
        .iter()
        .map(|name| ((*name).to_owned(), summary[*name].as_u64().expect(name)))
        .collect()
}

fn statement(numbers: &BTreeMap<String, u64>) -> [u64; 8] {
    [
        "looked_at",
        "of",
        "gone",
        "still_linked",
        "linked_elsewhere",
        "not_told",
        "failed",
        "at_most",
    ]
    .map(|name| numbers[name])
}

#[test]
fn links_that_are_gone_are_found_gone() {
    let sandbox = sandbox(users(3));
    run(&sandbox, &users(3));
    let verified = verify(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(statement(&numbers(&verified)), [3, 3, 3, 0, 0, 0, 0, 0]);
    // One look-up for each row, and the control question.
    assert_eq!(verified.counts(&["calls"]), [4]);
    let summary = verified.summary();
    let message = summary["message"].as_str().expect("a statement");
    assert!(
        message.starts_with("All 3 rows of people.results.csv (SHA-256 "),
        "{message}"
    );
    assert!(
        message.contains("None of them is still linked to its identity."),
        "{message}"
    );
    let results = sandbox.read("people.results.csv");
    let sha256 = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        &results,
    ));
    assert_eq!(summary["sha256"], hex::encode(sha256));
    let header = |file: &str| sandbox.read(file).lines().next().map(str::to_owned);
    assert_eq!(header("people.verified.csv"), header("people.results.csv"));
    let outcomes = sandbox.outcomes("people.verified.csv");
    assert!(outcomes.len() == 3 && outcomes.values().all(|outcome| outcome == "gone"));
}

#[test]
fn links_that_are_there_are_found() {
    // "b" has two identities, and is unlinked from one of them.
    let links = [link_of(1, "a"), link_of(2, "b"), link_of(3, "c")];
    let mut all = links.to_vec();
    all.push(link_of(9, "b"));
    let sandbox = sandbox(all);
    run(&sandbox, &links[1..]);
    confirm_falsely(&sandbox);
    run(&sandbox, &links[..1]);
    let verified = verify(&sandbox, &[]).expect_exit(1);
    assert_eq!(statement(&numbers(&verified)), [3, 3, 1, 1, 1, 0, 0, 1]);
    let outcomes = sandbox.outcomes("people.verified.csv");
    let expected = [
        ("a", "still_linked"),
        ("b", "linked_elsewhere"),
        ("c", "gone"),
    ];
    for (user, outcome) in expected {
        assert_eq!(outcomes[user], outcome);
    }
    let text = sandbox
        .job("verify", &["people.results.csv"])
        .expect_exit(1);
    text.assert_contains("1 was still linked to the identity.");
    text.assert_contains("1 was linked to another identity now, as after a new sign-in.");
}

#[test]
fn a_sample_is_drawn_again_by_its_seed() {
    let links = users(60);
    let sandbox = sandbox(links.clone());
    run(&sandbox, &links);
    let drawn = |seed: &str, out: &str| {
        let sample = ["--sample", "20", "--seed", seed, "--out", out];
        let verified = verify(&sandbox, &sample).expect_exit(0);
        let summary = verified.summary();
        let numbers = statement(&numbers(&verified));
        assert_eq!(numbers[..3], [20, 60, 20]);
        // C(60 - n, 20) / C(60, 20) is more than 5 % up to n = 6.
        assert_eq!(numbers[7], 6);
        assert_eq!(summary["seed"].to_string(), seed);
        let message = summary["message"].as_str().expect("a statement");
        let bound = "With 95 % confidence, at most 6 of the 60 rows are still linked.";
        assert!(message.contains(bound), "{message}");
        assert!(!message.contains("None"), "{message}");
        let mut users: Vec<_> = sandbox.outcomes(out).into_keys().collect();
        users.sort();
        users
    };
    let first = drawn("7", "first.csv");
    assert_eq!(first, drawn("7", "again.csv"));
    assert_ne!(first, drawn("8", "other.csv"));
    // The order of the lines does not matter.
    let text = sandbox.read("people.results.csv");
    let mut sorted: Vec<_> = text.lines().collect();
    sorted[1..].reverse();
    sandbox.write("people.results.csv", sorted.join("\n") + "\n");
    assert_eq!(first, drawn("7", "sorted.csv"));
}

#[test]
fn rows_in_doubt_are_all_looked_at_and_settled_by_the_next_run() {
    let links = users(10);
    let sandbox = sandbox(links.clone());
    run(&sandbox, &links[..7]);
    // They are unlinked, and the reply is lost.
    sandbox.emulator.add_rule(rule(
        When::Operation(UNLINK),
        Then::Fault(FaultKind::ResetAfter),
    ));
    sandbox.write("people.csv", sandbox::csv(&links));
    sandbox
        .run(&[
            "people.csv",
            "--max-attempts",
            "1",
            "--max-failures",
            "100%",
        ])
        .expect_exit(1);
    sandbox.emulator.clear_rules();
    let sample = ["--sample", "2"];
    let verified = verify(&sandbox, &sample).expect_exit(0);
    let numbers = statement(&numbers(&verified));
    assert_eq!(numbers[..3], [5, 10, 5]);
    assert_eq!(verified.summary()["in_doubt"], 3);
    let run = sandbox.run(&["people.csv", "--json"]).expect_exit(0);
    assert_eq!(run.counts(&["skipped", "unlinked_reply_lost"]), [7, 3]);
    // These rows were settled after they were found gone: they are looked at again.
    let again = verify(&sandbox, &["--all"]).expect_exit(0);
    assert_eq!(again.counts(&["of", "looked_at", "skipped"]), [10, 10, 2]);
}

#[test]
fn users_who_must_still_be_linked_are_looked_up_first() {
    let mut links = users(2);
    links.push(link_of(7, "bystander"));
    let sandbox = sandbox(links);
    run(&sandbox, &users(2));
    sandbox.write("bystanders.txt", "bystander\n");
    let checked = verify(&sandbox, &["--still-linked", "bystanders.txt"]).expect_exit(0);
    assert_eq!(checked.counts(&["controls_still_linked", "gone"]), [1, 2]);
    for wrong in [
        "bystander\nacct-1\n".to_owned(),
        format!(
            "identity_id,identity_pool_id,developer_user_identifier\n{},{POOL},bystander\n",
            link_of(8, "").identity_id
        ),
    ] {
        let name = if wrong.contains(',') {
            "wrong.csv"
        } else {
            "wrong.txt"
        };
        sandbox.write(name, wrong);
        let out = ["--still-linked", name, "--out", "other.csv"];
        let failed = verify(&sandbox, &out).expect_exit(5);
        failed.assert_contains("the control failed");
        assert_eq!(failed.summary()["looked_at"], serde_json::Value::Null);
        assert!(!sandbox.exists("other.csv"));
    }
}

#[test]
fn a_control_that_is_found_halts_without_a_statement() {
    let sandbox = sandbox(users(1));
    run(&sandbox, &users(1));
    let found = serde_json::json!({"IdentityId": link_of(1, "").identity_id});
    sandbox.emulator.add_rule(rule(
        When::Operation(LOOKUP),
        answer(200, &found.to_string()),
    ));
    let halted = verify(&sandbox, &[]).expect_exit(5);
    halted.assert_contains("the control failed");
    assert_eq!(halted.summary()["looked_at"], serde_json::Value::Null);
}

#[test]
fn an_answer_unlike_the_controls_tells_nothing() {
    let sandbox = sandbox(users(2));
    run(&sandbox, &users(2));
    // The control question is answered as always.
    sandbox.emulator.add_rule(Rule {
        times: Some(1),
        ..rule(When::Operation(LOOKUP), Then::Serve)
    });
    let forbidden = r#"{"__type":"NotAuthorizedException","message":"Access to this identity pool is forbidden."}"#;
    sandbox
        .emulator
        .add_rule(rule(When::Operation(LOOKUP), answer(400, forbidden)));
    let verified = verify(&sandbox, &["--concurrency", "1"]).expect_exit(1);
    // Rows without an answer count as linked.
    assert_eq!(statement(&numbers(&verified)), [2, 2, 0, 0, 0, 2, 0, 2]);
}

#[test]
fn an_answer_that_callers_without_access_get_too_is_told() {
    let mut links = users(1);
    links.push(link_of(7, "bystander"));
    let sandbox = answering(links, UnknownUserAnswer::NotAuthorized);
    run(&sandbox, &users(1));
    let verified = verify(&sandbox, &[]).expect_exit(0);
    assert_eq!(verified.counts(&["gone"]), [1]);
    verified.assert_contains("a caller without access may get too");
    sandbox.write("bystanders.txt", "bystander\n");
    let checked = ["--still-linked", "bystanders.txt", "--out", "checked.csv"];
    let checked = verify(&sandbox, &checked).expect_exit(0);
    assert!(!checked.stdout.contains("without access"));
    assert_eq!(checked.summary()["pools_without_a_clear_answer"][0], POOL);
}

#[test]
fn a_verification_that_was_killed_goes_on_where_it_stopped() {
    let links = users(40);
    let sandbox = sandbox(links.clone());
    run(&sandbox, &links);
    sandbox.emulator.add_rule(Rule {
        times: Some(15),
        ..rule(When::Operation(LOOKUP), Then::Serve)
    });
    sandbox
        .emulator
        .add_rule(rule(When::Operation(LOOKUP), Then::Hold));
    let args = ["people.results.csv", "--all", "--concurrency", "1"];
    let running = start(&mut sandbox.job_command("verify", &args));
    assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held == 1));
    running.signal(Signal::KILL);
    running.wait();
    sandbox.emulator.clear_rules();
    let verified = verify(&sandbox, &["--all"]).expect_exit(0);
    // The control question was the first of the fifteen.
    assert_eq!(
        verified.counts(&["skipped", "looked_at", "gone"]),
        [14, 40, 40]
    );
    assert_eq!(sandbox.results("people.verified.csv").len(), 40);
}

#[test]
fn results_in_json_are_verified_with_what_they_carry() {
    let sandbox = sandbox(users(2));
    let lines: String = users(2)
        .iter()
        .map(|link| {
            serde_json::json!({
                "identity_id": link.identity_id, "identity_pool_id": link.identity_pool_id,
                "developer_provider_name": link.developer_provider_name,
                "developer_user_identifier": link.developer_user_identifier,
                "ticket": link.developer_user_identifier.to_uppercase(), "n": [1],
            })
            .to_string()
                + "\n"
        })
        .collect();
    sandbox.write("people.jsonl", lines);
    sandbox
        .run(&["people.jsonl", "--carry", "ticket", "--carry", "n"])
        .expect_exit(0);
    let args = ["people.results.jsonl", "--json"];
    let verified = sandbox.job("verify", &args).expect_exit(0);
    assert_eq!(verified.counts(&["gone"]), [2]);
    for line in sandbox.results("people.verified.jsonl") {
        assert_eq!(
            line["ticket"],
            line["developer_user_identifier"].to_uppercase()
        );
        assert_eq!(line["n"], "[1]");
    }
}

#[test]
fn what_is_no_results_file_is_refused() {
    let sandbox = sandbox(users(1));
    sandbox.write("people.results.csv", sandbox::csv(&users(1)));
    let refused = verify(&sandbox, &[]).expect_exit(2);
    refused.assert_contains("people.results.csv is not a results file");
    assert_eq!(sandbox.user_lookups(), 0);
}

#[test]
fn the_readme_shows_the_way_from_users_to_a_statement() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let sample = |name: &str| std::fs::read_to_string(root.join(name)).expect("a file");
    let links = sample("samples/purge.csv");
    let links = csv::Reader::from_reader(links.as_bytes())
        .deserialize::<BTreeMap<String, String>>()
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
    let sandbox = sandbox(links);
    std::fs::create_dir(sandbox.path("samples")).expect("a folder");
    sandbox.write("samples/users.txt", sample("samples/users.txt"));
    let users = "--columns developer_user_identifier --identity-pool-id";
    let readme = sample("README.md");
    for (job, args, shown, exit) in [
        (
            "resolve",
            format!("samples/users.txt {users} {POOL}"),
            "$ cognito-unlink resolve samples/users.txt",
            1,
        ),
        ("run", "samples/users.resolved.csv".to_owned(), "", 0),
        (
            "verify",
            "samples/users.resolved.results.csv --all".to_owned(),
            "$ cognito-unlink verify samples/users.resolved.results.csv --all",
            0,
        ),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        let ran = sandbox.job(job, &args).expect_exit(exit);
        let Some((_, shown)) = readme.split_once(shown).filter(|_| !shown.is_empty()) else {
            assert_eq!(job, "run");
            continue;
        };
        let session = shown.lines().skip(1);
        for line in session.take_while(|line| !line.starts_with('$') && *line != "```") {
            // The hash and the times differ.
            let beginning = line.split(" (SHA-256").next().unwrap_or_default();
            assert!(ran.stdout.contains(beginning), "{line}: {}", ran.stdout);
        }
    }
}

#[test]
fn results_of_an_earlier_version_or_for_a_spreadsheet_are_verified() {
    let sandbox = sandbox(users(2));
    sandbox.write("people.csv", sandbox::csv(&users(2)));
    sandbox
        .run(&["people.csv", "--spreadsheet-safe"])
        .expect_exit(0);
    let spreadsheet = verify(&sandbox, &["--out", "spreadsheet.csv"]).expect_exit(0);
    assert_eq!(spreadsheet.counts(&["gone"]), [2]);
    // Without the column `request_ids`, and with a torn last line.
    let text = sandbox.read("people.results.csv");
    let lines = text.trim_start_matches('\u{feff}').lines();
    let older = lines.map(|line| {
        line.rsplit_once(',')
            .expect("columns")
            .0
            .replace("\"row\"", "row")
    });
    let older: Vec<_> = older.collect();
    sandbox.write(
        "people.results.csv",
        older.join("\n") + "\n" + &older[1][..older[1].len() / 2],
    );
    let verified = verify(&sandbox, &["--out", "older.csv"]).expect_exit(0);
    assert_eq!(verified.counts(&["of", "gone"]), [2, 2]);
}
