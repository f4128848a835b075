//! `plan`: the counts and the forecast of a run, made without a call.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use cognito_unlink::testing::emulator::{Link, Settings};
use serde_json::{Value, json};

use crate::sandbox::{
    OTHER_REGION_POOL, Output, POOL, PROVIDER, Sandbox, csv, gzip, link, link_in_other_region,
    link_of, people, start,
};

/// Returns a `plan` command without credentials.
pub(crate) fn plan_command(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.command_without_credentials();
    command.arg("plan").args(args);
    command
}

/// Runs `plan` to its end, without credentials.
pub(crate) fn plan(sandbox: &Sandbox, args: &[&str]) -> Output {
    start(&mut plan_command(sandbox, args)).wait()
}

#[test]
fn a_plan_counts_rows_and_names_lines() {
    let sandbox = Sandbox::new();
    let mut links: Vec<Link> = (1..=20).map(link).collect();
    links.push(link(4));
    links.push(link_of(99, "acct-7"));
    links.push(link_in_other_region(1));
    let mut text = csv(&links);
    text += "us-east-1:1,nowhere\n";
    let _ = writeln!(text, "us-east-1:1,{POOL},{PROVIDER},");
    sandbox.write("people.csv", &text);
    // Five rows are done.
    sandbox.run(&["people.csv", "--limit", "5"]).expect_exit(4);
    let calls = sandbox.emulator.counters().unlinks;
    let url = sandbox.emulator.url();
    let args = ["people.csv", "--endpoint-url", &url];
    let summary = plan(&sandbox, &[&args[..], &["--json"]].concat())
        .expect_exit(1)
        .summary();
    let keys = [
        "rows",
        "valid",
        "invalid",
        "duplicates",
        "users_with_several_identities",
        "already_done",
        "left",
    ];
    let counts = keys.map(|key| summary[key].as_u64().expect(key));
    // The row that repeats a row that is done counts as done.
    assert_eq!(counts, [25, 23, 2, 1, 1, 6, 17]);
    assert_eq!(summary["seconds_at_rate"], json!(1.6));
    assert_eq!(
        summary["pools"],
        json!([
            {
                "identity_pool_id": OTHER_REGION_POOL, "region": "eu-west-1",
                "developer_provider_names": [PROVIDER], "rows": 1, "left": 1,
            },
            {
                "identity_pool_id": POOL, "region": "us-east-1",
                "developer_provider_names": [PROVIDER], "rows": 22, "left": 16,
            },
        ])
    );
    let text = plan(&sandbox, &args).expect_exit(1).stdout;
    for line in [
        "people.csv:25: the row has 2 fields, and there are 4 columns",
        "people.csv:26: developer_user_identifier is missing or empty",
        "people.csv:22 repeats people.csv:5",
        "people.csv:23 names the user of people.csv:8",
        "6  done already  in people.results.csv",
        "16  of 22 rows left in pool",
        "eu-west-1: at least 1 call, 0.1 s at 10/s",
        "a run takes at least 1.6 s and ends about 20",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("acct-"), "{text}");
    assert_eq!(sandbox.emulator.counters().unlinks, calls);
}

#[test]
fn a_plan_reads_every_input_that_a_run_reads() {
    let sandbox = Sandbox::new();
    let text = people(30);
    sandbox.write("people.csv.gz", gzip(text.as_bytes()));
    sandbox.write(
        "renamed.csv",
        text.replace("developer_user_identifier", "who"),
    );
    let mut lines = String::new();
    for n in 1..=30 {
        let link = link(n);
        let row = json!({
            "IdentityId": link.identity_id, "IdentityPoolId": POOL,
            "DeveloperProviderName": PROVIDER, "DeveloperUserIdentifier": link.developer_user_identifier,
        });
        let _ = writeln!(lines, "{row}");
    }
    sandbox.write("people.jsonl", lines);
    for args in [
        &["people.csv.gz"][..],
        &["people.jsonl", "--carry", "ticket", "--yes", "--rehearse"],
        &["renamed.csv", "--map", "developer_user_identifier=who"],
    ] {
        let summary = plan(&sandbox, &[args, &["--json"]].concat())
            .expect_exit(0)
            .summary();
        assert_eq!(
            (&summary["rows"], &summary["left"]),
            (&json!(30), &json!(30)),
            "{args:?}"
        );
    }
    // A row repeats one of another file, whatever the formats.
    let summary = plan(&sandbox, &["people.jsonl", "people.csv.gz", "--json"]).summary();
    assert_eq!(
        (&summary["duplicates"], &summary["left"]),
        (&json!(30), &json!(60))
    );
    assert_eq!(
        summary["first_duplicates"][0]["earlier_source"],
        "people.jsonl"
    );

    let mut command = plan_command(&sandbox, &["-", "--format", "csv", "--json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let ended = child.wait_with_output().expect("it ends");
    let summary: Value = serde_json::from_slice(&ended.stdout).expect("an object");
    assert_eq!(summary["rows"], 30);

    for (args, code) in [
        (&["absent.csv"][..], 3),
        (&["renamed.csv"], 3),
        (&["people.txt"], 2),
        (&["renamed.csv", "--plan", "plan.json"], 2),
        (&[], 2),
    ] {
        plan(&sandbox, args).expect_exit(code);
    }
}

#[test]
fn the_forecast_is_the_time_of_the_slowest_region() {
    let sandbox = Sandbox::new();
    let mut links: Vec<Link> = (1..=40).map(link).collect();
    links.extend((1..=10).map(link_in_other_region));
    sandbox.write("people.csv", csv(&links));
    let forecast =
        |args: &[&str]| plan(&sandbox, &[&["people.csv", "--json"], args].concat()).summary();
    assert_eq!(forecast(&["--rate", "2"])["seconds_at_rate"], json!(20.0));
    assert_eq!(
        forecast(&["--rate", "60/h"])["seconds_at_rate"],
        json!(2400.0)
    );
    let limited = forecast(&["--rate", "2", "--limit", "6"]);
    assert_eq!(limited["seconds_at_rate"], json!(3.0));
    assert_eq!(
        (&limited["left"], &limited["calls"]),
        (&json!(50), &json!(6))
    );
    let unlimited = forecast(&["--rate", "unlimited"]);
    assert_eq!(unlimited["seconds_at_rate"], Value::Null);
    assert_eq!(unlimited["finish_at"], Value::Null);
    sandbox.write("empty.csv", people(0));
    let text = plan(&sandbox, &["empty.csv", "--rate", "unlimited"])
        .expect_exit(0)
        .stdout;
    assert!(text.contains("There is nothing to call."), "{text}");
    let text = plan(&sandbox, &["people.csv", "--limit", "1", "--for", "2h"]).stdout;
    for line in ["when it has settled 1 row.", "no more rows after 2 h."] {
        assert!(text.contains(line), "{text}");
    }
    let text = plan(&sandbox, &["people.csv", "--rate", "unlimited"]).stdout;
    assert!(text.contains("How long that takes is not known"), "{text}");

    let quota = |account: &str, region: &str, calls: f64| {
        json!({
            "endpoint": "AWS", "account": account, "region": region, "calls_per_second": calls,
            "measured_at": "2026-11-23T09:30:00Z",
        })
    };
    fs::create_dir_all(sandbox.path(".local/state/cognito-unlink")).expect("created");
    let save_quotas = |quotas: &[Value]| {
        let file = json!({"version": 1, "quotas": quotas});
        sandbox.write(".local/state/cognito-unlink/quotas.json", file.to_string());
    };
    save_quotas(&[quota("1", "us-east-1", 4.0), quota("1", "eu-west-1", 5.0)]);
    let learned = forecast(&["--rate", "unlimited"]);
    assert_eq!(learned["seconds_at_rate"], Value::Null);
    assert_eq!(learned["seconds_at_learned_rate"], json!(10.0));
    assert_eq!(
        forecast(&["--rate", "unlimited", "--leave", "50%"])["seconds_at_learned_rate"],
        json!(20.0)
    );
    assert_eq!(
        forecast(&["--rate", "unlimited", "--no-state"])["seconds_at_learned_rate"],
        Value::Null
    );
    let text = plan(&sandbox, &["people.csv", "--rate", "2"]).stdout;
    let lower = " at 2/s; --rate holds it below its quota of 4/s, as an earlier run has measured";
    assert!(text.contains(lower), "{text}");
    let text = plan(&sandbox, &["people.csv", "--rate", "5"]).stdout;
    let higher = " at 5/s; 10 s at its quota of 4/s, as an earlier run has measured";
    assert!(text.contains(higher), "{text}");
    // Two accounts have learned different quotas, and without a call the account of this run is unknown.
    save_quotas(&[
        quota("1", "us-east-1", 4.0),
        quota("2", "us-east-1", 40.0),
        quota("1", "eu-west-1", 5.0),
    ]);
    assert_eq!(
        forecast(&["--rate", "unlimited"])["seconds_at_learned_rate"],
        Value::Null
    );
}

#[test]
fn a_plan_applies_hold_lists_and_the_configuration() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(10));
    sandbox.write("hold.txt", "acct-3\nacct-4\n");
    let summary = plan(&sandbox, &["people.csv", "--hold", "hold.txt", "--json"])
        .expect_exit(0)
        .summary();
    assert_eq!((&summary["held"], &summary["left"]), (&json!(2), &json!(8)));
    sandbox.write(
        "cognito-unlink.toml",
        "rate = \"5/s\"\nallowed-regions = [\"eu-west-1\"]\n",
    );
    let ran = plan(&sandbox, &["people.csv", "--out", "plan.json"]).expect_exit(5);
    for words in [
        "rate: 5/s (cognito-unlink.toml)",
        "A run would be stopped",
        "Region us-east-1 is not among",
    ] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    assert!(!sandbox.exists("plan.json"));
}

#[test]
fn the_readmes_show_the_plans_of_the_samples() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let sandbox = Sandbox::new();
    for (file, args, exit) in [
        ("README.md", &["samples/purge.csv"][..], 0),
        (
            "samples/README.md",
            &["samples/purge.csv", "samples/bad-rows.csv"],
            1,
        ),
    ] {
        let readme = fs::read_to_string(root.join(file)).expect("a readme");
        let begin = format!("$ cognito-unlink plan {}", args.join(" "));
        let (_, shown) = readme.split_once(&begin).expect("it shows a plan");
        let (_, shown) = shown.split_once('\n').expect("the command ends");
        let (shown, _) = shown.split_once("```").expect("the block ends");
        let shown = shown
            .split_once("\n$ ")
            .map_or(shown, |(shown, _next)| shown);
        let mut command = plan_command(&sandbox, args);
        let ran = start(command.current_dir(root)).wait().expect_exit(exit);
        // The time of day and the path of the program differ.
        let comparable = |text: &str| {
            let lines = text.lines().filter(|line| !line.starts_with("Begun now"));
            let lines: Vec<_> = lines
                .map(str::trim_end)
                .filter(|line| !line.is_empty())
                .collect();
            lines[..lines.len() - 1].join("\n")
        };
        assert_eq!(comparable(shown), comparable(&ran.stdout), "{file}");
    }
}

#[test]
fn plan_online_checks_pools_and_the_account() {
    let sandbox = Sandbox::with_settings(Settings {
        provider: Some("login.other.example".to_owned()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(3));
    let url = sandbox.emulator.url();
    let online = |args: &[&str]| {
        let mut command = plan_command(
            &sandbox,
            &[&["people.csv", "--online", "--endpoint-url", &url], args].concat(),
        );
        command
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        start(&mut command).wait()
    };
    let ran = online(&["--out", "plan.json"]).expect_exit(5);
    assert!(
        ran.stdout
            .contains("has the developer provider name login.other.example"),
        "{}",
        ran.stdout
    );
    assert!(!sandbox.exists("plan.json"));
    let ran = online(&["--expect-account", "999999999999"]).expect_exit(5);
    assert!(
        ran.stdout.contains("--expect-account says 999999999999"),
        "{}",
        ran.stdout
    );
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}
