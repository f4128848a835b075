//! `run --plan`: a run of exactly what was planned, or a refusal.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use cognito_unlink::testing::emulator::{Emulator, Settings, Then};
use serde_json::Value;

use crate::plan::{plan, plan_command};
use crate::sandbox::{
    OTHER_REGION_POOL, Output, POOL, Sandbox, TIMEOUT, always, csv, link_in_other_region, link_of,
    people, start,
};

/// An endpoint that is not on this machine; the emulator is the proxy to it.
const REMOTE_ENDPOINT: &str = "http://cognito.example";

/// Saves a plan of a run against the emulator.
#[track_caller]
fn save_plan(sandbox: &Sandbox, args: &[&str]) {
    let url = sandbox.emulator.url();
    let usual = [
        "--endpoint-url",
        &url,
        "--rate",
        "unlimited",
        "--out",
        "plan.json",
        "--force",
    ];
    plan(sandbox, &[args, &usual].concat()).expect_exit(0);
}

fn run_plan(sandbox: &Sandbox, args: &[&str]) -> Output {
    start(&mut run_plan_command(sandbox, args)).wait()
}

fn run_plan_command(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.command();
    command.args(["run", "--plan", "plan.json"]).args(args);
    command
}

/// Asserts that the run of the plan is refused with these messages, and calls nothing.
#[track_caller]
fn assert_refused(sandbox: &Sandbox, args: &[&str], messages: &[&str]) {
    let ran = run_plan(sandbox, args).expect_exit(2);
    for message in messages {
        assert!(ran.stderr.contains(message), "{message}: {}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0, "{}", ran.stderr);
    assert!(!sandbox.exists("people.results.csv"), "{}", ran.stderr);
}

#[test]
fn paths_of_a_linked_plan_start_at_the_folder_of_its_target() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("plans")).expect("created");
    sandbox.write("plans/people.csv", people(2));
    let url = sandbox.emulator.url();
    let usual = ["--endpoint-url", &url, "--out", "plans/july.json"];
    plan(&sandbox, &[&["plans/people.csv"], &usual[..]].concat()).expect_exit(0);
    symlink("plans/july.json", sandbox.path("plan.json")).expect("linked");
    run_plan(&sandbox, &[]).expect_exit(0);
    assert_eq!(sandbox.outcomes("plans/people.results.csv").len(), 2);
}

#[test]
fn replacing_a_plan_needs_force() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let args = ["people.csv", "--out", "plan.json"];
    let first = plan(&sandbox, &args).expect_exit(0).stdout;
    assert!(first.contains("Saved: plan.json\n"), "{first}");
    let saved: Value = serde_json::from_str(&sandbox.read("plan.json")).expect("JSON");
    let time = saved["made_at"].as_str().expect("a time");
    let refused = plan(&sandbox, &args).expect_exit(2).stderr;
    let why = format!("--out plan.json: the plan of {time} stands there already");
    assert!(
        refused.contains(&why) && refused.contains("--force"),
        "{refused}"
    );
    assert_eq!(
        saved,
        serde_json::from_str::<Value>(&sandbox.read("plan.json")).expect("JSON")
    );
    let again = plan(&sandbox, &[&args[..], &["--force"]].concat())
        .expect_exit(0)
        .stdout;
    run_plan(&sandbox, &["--rehearse"]).expect_exit(0);
    let expected = format!("Saved: plan.json (replaced the plan of {time})\n");
    assert!(again.contains(&expected), "{again}");
}

#[test]
fn a_moved_plan_runs_unchanged() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("here/lists")).expect("created");
    sandbox.write(
        "here/lists/people.csv",
        people(20)
            .replace("acct-", "person-")
            .replace("identity_id,", "ticket,identity_id,")
            .replace("us-east-1:0000", "T,us-east-1:0000"),
    );
    let url = sandbox.emulator.url();
    plan(
        &sandbox,
        &[
            "here/lists/people.csv",
            "--out",
            "here/plan.json",
            "--rate",
            "333.0625",
            "--carry",
            "ticket",
            "--endpoint-url",
            &url,
            "--results",
            "here/done.jsonl",
        ],
    )
    .expect_exit(0);
    let text = sandbox.read("here/plan.json");
    assert!(!text.contains("person-"), "{text}");
    let saved: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(saved["version"], 1);
    assert_eq!(saved["inputs"][0]["path"], "lists/people.csv");
    assert_eq!(saved["counts"]["rows"], 20);
    assert_eq!(saved["pools"][0]["identity_pool_id"], POOL);
    assert!(
        text.contains("\"--rate=333.0625/s\"") && text.contains("\"--results=done.jsonl\""),
        "{text}"
    );

    fs::rename(sandbox.path("here"), sandbox.path("there")).expect("renamed");
    let run = |args: &[&str]| {
        let mut command = sandbox.command();
        command
            .args(["run", "--plan", "there/plan.json", "--json"])
            .args(args);
        start(&mut command).wait()
    };
    run(&["--rehearse"]).expect_exit(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    // Rows that are done by then do not count as a change.
    assert_eq!(
        run(&["--limit", "7"]).expect_exit(4).counts(&["unlinked"]),
        [7]
    );
    assert_eq!(
        run(&[]).expect_exit(0).counts(&["skipped", "unlinked"]),
        [7, 13]
    );
    let lines = sandbox.results("there/done.jsonl");
    assert!(lines.iter().all(|line| line["ticket"] == "T"), "{lines:?}");

    for args in [
        &["--rate", "1"][..],
        &["--carry", "x"],
        &["--endpoint-url", "http://127.0.0.1:1"],
        &["--skip-failed"],
        &["--results", "x.csv"],
    ] {
        let ran = run(args).expect_exit(2);
        assert!(ran.stderr.contains("beside --plan"), "{}", ran.stderr);
    }
    run(&["people.csv"]).expect_exit(2);
}

#[test]
fn a_changed_input_is_refused() {
    let whole = people(30);
    let order = {
        let mut lines: Vec<&str> = whole.lines().collect();
        lines.swap(3, 4);
        lines.join("\n") + "\n"
    };
    let pool = whole.clone()
        + csv(&[link_in_other_region(1)])
            .lines()
            .nth(1)
            .expect("a row")
        + "\n";
    for (changed, why) in [
        (
            whole.replace("acct-7\"", "acct+7\""),
            &["people.csv: SHA-256", "another content"][..],
        ),
        (order, &["people.csv: SHA-256", "in another order"]),
        (
            pool,
            &[
                "rows: 31, planned 30",
                OTHER_REGION_POOL,
                "not planned at all",
            ],
        ),
        (
            whole.replace(POOL, "us-east-1:4f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63"),
            &["rows: 0, planned 30"],
        ),
        (String::new(), &["0 bytes"]),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", &whole);
        save_plan(&sandbox, &["people.csv"]);
        sandbox.write("people.csv", changed);
        assert_refused(&sandbox, &[], why);
        assert_refused(&sandbox, &["--yes"], why);
        // With the planned file it runs.
        sandbox.write("people.csv", &whole);
        run_plan(&sandbox, &[]).expect_exit(0);
        assert_eq!(sandbox.emulator.counters().unlinks, 30);
    }
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", &whole);
    save_plan(&sandbox, &["people.csv"]);
    fs::remove_file(sandbox.path("people.csv")).expect("removed");
    run_plan(&sandbox, &[]).expect_exit(3);
}

#[test]
fn a_plan_of_a_later_version_or_an_edited_plan_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    // Options that bound the run are part of the plan.
    save_plan(&sandbox, &["people.csv", "--limit", "2"]);
    assert_refused(
        &sandbox,
        &["--limit", "3"],
        &["--limit cannot be given beside --plan"],
    );
    save_plan(&sandbox, &["people.csv", "--max-failures", "1"]);
    let text = sandbox.read("plan.json");
    let assert_edit_refused = |from: &str, to: &str, why: &str| {
        assert!(text.contains(from), "{from} in {text}");
        sandbox.write("plan.json", text.replace(from, to));
        assert_refused(&sandbox, &[], &[why]);
    };
    assert_edit_refused("\"version\": 1", "\"version\": 2", "version 2 of the form");
    assert_edit_refused("--max-failures=1", "--max-failures=9", "was edited");
    assert_edit_refused("\"rows\": 3", "\"rows\": 4", "was edited");
    assert_edit_refused(POOL, OTHER_REGION_POOL, "was edited");
    assert_edit_refused(
        "\"account\": null",
        "\"account\": \"123456789012\"",
        "was edited",
    );
    assert_edit_refused("\"version\": 1", "\"version\": \"1\"", "this is no plan");
    sandbox.write("plan.json", "{}");
    assert_refused(&sandbox, &[], &["this is no plan"]);
    // White space does not matter.
    let plan: Value = serde_json::from_str(&text).expect("JSON");
    sandbox.write("plan.json", plan.to_string());
    run_plan(&sandbox, &[]).expect_exit(0);
}

#[test]
fn another_account_or_endpoint_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let sts = |account: &str| {
        Emulator::spawn(Settings {
            account: account.to_owned(),
            ..Settings::default()
        })
        .expect("an emulator")
    };
    let (planned, other) = (sts("111111111111"), sts("222222222222"));
    let with = |mut command: Command, sts: &Emulator| {
        command
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_ENDPOINT_URL_COGNITO_IDENTITY", sandbox.emulator.url())
            .env("AWS_ENDPOINT_URL_STS", sts.url());
        start(&mut command).wait()
    };
    let args = ["people.csv", "--online", "--out", "plan.json", "--json"];
    let summary = with(plan_command(&sandbox, &args), &planned)
        .expect_exit(0)
        .summary();
    assert_eq!(summary["online"]["account"], "111111111111");
    assert_eq!(summary["online"]["pools"][0]["identity_pool_id"], POOL);

    let ran = with(run_plan_command(&sandbox, &[]), &other).expect_exit(2);
    assert!(
        ran.stderr.contains("222222222222") && ran.stderr.contains("111111111111"),
        "{}",
        ran.stderr
    );
    let ran = with(
        run_plan_command(&sandbox, &["--expect-account", "222222222222"]),
        &other,
    )
    .expect_exit(2);
    assert!(
        ran.stderr.contains("made for account 111111111111"),
        "{}",
        ran.stderr
    );
    // The endpoint must be the planned one too.
    let mut elsewhere = run_plan_command(&sandbox, &[]);
    elsewhere.env("AWS_ENDPOINT_URL", other.url());
    let ran = start(&mut elsewhere).wait().expect_exit(2);
    assert!(ran.stderr.contains("would call"), "{}", ran.stderr);
    assert_eq!(
        sandbox.emulator.counters().unlinks + other.counters().unlinks,
        0
    );

    with(run_plan_command(&sandbox, &[]), &planned).expect_exit(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 3);
}

/// The endpoint is part of the plan wherever it comes from, and a run that would call another one is refused.
#[test]
fn a_plan_keeps_the_endpoint_of_the_aws_files() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let url = sandbox.emulator.url();
    let of_profile = |url: &str| format!("[profile a]\nendpoint_url = {url}\n[profile b]\n");
    let of_section = |url: &str| {
        format!(
            "[profile a]\nservices = s\n[services s]\ncognito_identity =\n  endpoint_url = {url}\n[profile b]\n"
        )
    };
    let with = |mut command: Command, profile: &str| {
        command.env("AWS_CONFIG_FILE", sandbox.path("config"));
        command.env("AWS_PROFILE", profile);
        command.env("HTTP_PROXY", &url).env("HTTPS_PROXY", &url);
        start(&mut command).wait()
    };
    for named in [&of_profile as &dyn Fn(&str) -> String, &of_section] {
        sandbox.write("config", named(&url));
        let args = ["people.csv", "--out", "plan.json", "--force"];
        with(plan_command(&sandbox, &args), "a").expect_exit(0);
        let saved: Value = serde_json::from_str(&sandbox.read("plan.json")).expect("JSON");
        assert_eq!(saved["endpoint"], url.as_str());

        let assert_profile_refused = |profile: &str, would: &str| {
            let ran = with(run_plan_command(&sandbox, &[]), profile).expect_exit(2);
            let would = format!("it was made for {url}, and this run would call {would}");
            assert!(ran.stderr.contains(&would), "{}", ran.stderr);
        };
        assert_profile_refused("b", "AWS");
        sandbox.write("config", named(REMOTE_ENDPOINT));
        assert_profile_refused("a", REMOTE_ENDPOINT);
        assert_eq!(sandbox.emulator.counters().connections, 0);
    }
    sandbox.write("config", of_profile(&url));
    with(run_plan_command(&sandbox, &[]), "a").expect_exit(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 3);
}

#[test]
fn accounts_allowed_for_a_plan_stay_the_only_ones() {
    let sandbox = Sandbox::with_settings(Settings {
        account: "222222222222".to_owned(),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(3));
    save_plan(
        &sandbox,
        &["people.csv", "--expect-account", "111111111111"],
    );
    assert_refused(&sandbox, &[], &["222222222222", "111111111111"]);
    let anew = ["--expect-account", "222222222222"];
    assert_refused(&sandbox, &anew, &["--expect-account cannot be given"]);

    sandbox.write("cognito-unlink.toml", "allowed-accounts = \"111111111111\"");
    save_plan(&sandbox, &["people.csv"]);
    sandbox.write("cognito-unlink.toml", "");
    assert_refused(&sandbox, &[], &["222222222222", "plan.json"]);
    assert_refused(&sandbox, &anew, &["222222222222", "plan.json"]);
    sandbox.write("cognito-unlink.toml", "allowed-accounts = \"222222222222\"");
    assert_refused(&sandbox, &[], &["none of the accounts"]);
}

#[test]
fn a_finished_job_has_nothing_left_to_do() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.run(&["people.csv"]).expect_exit(0);
    let url = sandbox.emulator.url();
    for more in [&[][..], &["--out", "plan.json"]] {
        let args = ["people.csv", "--endpoint-url", &url];
        let ran = plan(&sandbox, &[&args[..], more].concat()).expect_exit(0);
        assert!(
            ran.stdout.contains("There is nothing left to do.\n"),
            "{}",
            ran.stdout
        );
        assert!(!ran.stdout.contains("cognito-unlink run"), "{}", ran.stdout);
    }
}

#[test]
fn a_configuration_beside_the_plan_must_be_in_effect() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("job")).expect("created");
    sandbox.write("people.csv", people(2));
    save_plan(&sandbox, &["people.csv"]);
    fs::rename(sandbox.path("people.csv"), sandbox.path("job/people.csv")).expect("moved");
    fs::rename(sandbox.path("plan.json"), sandbox.path("job/plan.json")).expect("moved");
    sandbox.write("job/cognito-unlink.toml", "hold = \"holds.txt\"");
    sandbox.write("job/holds.txt", "acct-1\n");
    let run = |more: &[&str]| {
        let mut command = sandbox.command();
        command
            .args(["run", "--plan", "job/plan.json", "--json"])
            .args(more);
        start(&mut command).wait()
    };
    let ran = run(&[]).expect_exit(2);
    assert!(ran.stderr.contains("--no-config"), "{}", ran.stderr);
    let ran = run(&["--config", "job/cognito-unlink.toml"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "held"]), [1, 1]);
    let ran = run(&["--no-config"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "skipped"]), [1, 1]);
}

#[test]
fn users_held_for_a_plan_stay_held() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(6));
    sandbox.write("mine.txt", "acct-2\n");
    sandbox.write("team.txt", "acct-3\n");
    sandbox.write("cognito-unlink.toml", "hold = \"team.txt\"");
    save_plan(&sandbox, &["people.csv", "--hold", "mine.txt"]);
    fs::remove_file(sandbox.path("cognito-unlink.toml")).expect("removed");
    let ran = run_plan(&sandbox, &["--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "held"]), [4, 2]);
    let called = sandbox.calls_by_user();
    assert!(!called.contains_key("acct-2") && !called.contains_key("acct-3"));
}

#[test]
fn a_plan_overwrites_no_other_file_and_needs_utf_8_names() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.write("notes.json", "{}");
    let ran = plan(&sandbox, &["people.csv", "--out", "notes.json"]).expect_exit(2);
    assert!(ran.stderr.contains("is no plan"), "{}", ran.stderr);
    assert_eq!(sandbox.read("notes.json"), "{}");

    let mut command = plan_command(&sandbox, &["people.csv", "--out", "plan.json"]);
    command.arg("--results").arg(OsStr::from_bytes(b"\xff.csv"));
    let ran = start(&mut command).wait().expect_exit(2);
    assert!(ran.stderr.contains("no UTF-8"), "{}", ran.stderr);
    assert!(!sandbox.exists("plan.json"));
}

#[test]
fn an_input_that_changes_during_a_planned_run_halts_it() {
    type Change = fn(&Sandbox, &str);
    // Many more rows than a run reads ahead of its calls.
    let planned = people(6000);
    let changes: [(&str, Change); 3] = [
        ("another file", |sandbox, text| {
            sandbox.write("new.csv", text.replace("acct-", "evil-"));
            fs::rename(sandbox.path("new.csv"), sandbox.path("people.csv")).expect("renamed");
        }),
        ("written over", |sandbox, text| {
            sandbox.write("people.csv", text.replace("acct-", "evil-"));
        }),
        ("one byte, far down", |sandbox, text| {
            let at = text.find("acct-5999").expect("a row");
            let mut bytes = text.as_bytes().to_vec();
            bytes[at..at + 4].copy_from_slice(b"evil");
            sandbox.write("people.csv", bytes);
        }),
    ];
    for (name, change) in changes {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", &planned);
        save_plan(&sandbox, &["people.csv"]);
        sandbox.emulator.add_rule(always(Then::Hold));
        let running = start(&mut run_plan_command(&sandbox, &["--json"]));
        assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held > 0));
        change(&sandbox, &planned);
        sandbox.emulator.clear_rules();
        let ran = running.wait().expect_exit(5);
        assert!(
            ran.stdout.contains("changed or replaced while it was read"),
            "{name}: {}",
            ran.stdout
        );
        let calls = sandbox.calls_by_user();
        assert!(calls.keys().all(|user| user.starts_with("acct-")), "{name}");
        assert!(calls.len() < 6000, "{name}");
    }
}

#[test]
fn a_saved_plan_replaces_the_confirmation() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let out = [
        "people.csv",
        "--endpoint-url",
        REMOTE_ENDPOINT,
        "--out",
        "plan.json",
    ];
    plan(&sandbox, &out).expect_exit(0);
    let through_proxy =
        |command: &mut Command| start(command.env("HTTP_PROXY", sandbox.emulator.url())).wait();
    let mut unplanned = sandbox.command();
    unplanned.args(["run", "people.csv", "--endpoint-url", REMOTE_ENDPOINT]);
    let ran = through_proxy(&mut unplanned).expect_exit(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    through_proxy(&mut run_plan_command(&sandbox, &[])).expect_exit(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 3);
}

#[test]
fn a_plan_refuses_a_hold_list_that_lost_or_changed_a_line() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(4));
    sandbox.write("holds.txt", "acct-2\nacct-9");
    save_plan(&sandbox, &["people.csv", "--hold", "holds.txt"]);
    let plan: Value = serde_json::from_str(&sandbox.read("plan.json")).expect("JSON");
    let list = &plan["hold_lists"][0];
    assert_eq!(list["path"], "holds.txt");
    assert_eq!((&list["size"], &list["rows_held"]), (&13.into(), &1.into()));
    assert_eq!(list["sha256"].as_str().map(str::len), Some(64));
    for (text, why) in [
        ("acct-9\n", "7 bytes, planned 13"),
        ("", "0 bytes, planned 13"),
        ("acct-3\nacct-9", "13 bytes, planned 13; SHA-256"),
        ("acct-1\nacct-2\nacct-9\n", "SHA-256 of its first 13 bytes"),
        // The last line, which has no line end, becomes another user.
        (
            "acct-2\nacct-99\n",
            "the last line that was planned goes on",
        ),
    ] {
        sandbox.write("holds.txt", text);
        let names = ["the hold list holds.txt is not what was planned", why];
        for args in [
            &[][..],
            &["--rehearse"],
            &["--dry-run"],
            &["--hold", "holds.txt"],
        ] {
            assert_refused(&sandbox, args, &names);
        }
    }
    fs::remove_file(sandbox.path("holds.txt")).expect("removed");
    assert_refused(&sandbox, &[], &["the hold list holds.txt cannot be read"]);
    // Users that were added are held as well.
    sandbox.write("holds.txt", "acct-2\nacct-9\nacct-3\n");
    let ran = run_plan(&sandbox, &["--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "held"]), [2, 2]);
    let called = sandbox.calls_by_user();
    assert!(!called.contains_key("acct-2") && !called.contains_key("acct-3"));
}

/// Rewrites the plan as versions without `hold_lists` saved it.
fn remove_hold_lists(sandbox: &Sandbox) {
    use sha2::Digest as _;
    let mut plan: Value = serde_json::from_str(&sandbox.read("plan.json")).expect("JSON");
    let object = plan.as_object_mut().expect("an object");
    object.remove("hold_lists");
    object.remove("sha256");
    let seal = sha2::Sha256::digest(plan.to_string());
    plan["sha256"] = hex::encode(seal).into();
    sandbox.write("plan.json", plan.to_string());
}

#[test]
fn an_older_plan_is_refused_if_it_names_hold_lists() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.write("holds.txt", "acct-2\n");
    save_plan(&sandbox, &["people.csv", "--hold", "holds.txt"]);
    remove_hold_lists(&sandbox);
    let why = [
        "did not save what the hold list holds.txt held",
        "Make another plan",
    ];
    assert_refused(&sandbox, &[], &why);
    save_plan(&sandbox, &["people.csv"]);
    remove_hold_lists(&sandbox);
    let ran = run_plan(&sandbox, &["--hold", "holds.txt", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "held"]), [1, 1]);
}

#[test]
fn unusual_values_are_counted_by_kind_and_a_plan_keeps_as_is() {
    let sandbox = Sandbox::new();
    let users = ["Null", "4.68769E+17", "ann", "1001.0"];
    let links: Vec<_> = (1..).zip(users).map(|(n, user)| link_of(n, user)).collect();
    sandbox.write("people.csv", csv(&links));
    let args = ["people.csv", "--json", "--invalid", "bad.csv"];
    let summary = plan(&sandbox, &args).expect_exit(1).summary();
    assert_eq!(
        summary["unusual"],
        serde_json::json!([
            {"kind": "placeholder", "rows": 1, "first": [{"source": "people.csv", "line": 2}]},
            {"kind": "float", "rows": 2, "first": [
                {"source": "people.csv", "line": 3}, {"source": "people.csv", "line": 5},
            ]},
        ])
    );
    assert!(sandbox.read("bad.csv").contains("--as-is float"));
    let ran = plan(&sandbox, &["people.csv"]).expect_exit(1);
    assert!(ran.stdout.contains("2  unusual  "), "{}", ran.stdout);
    for user in ["Null", "4.68769E+17", "1001.0 "] {
        assert!(!ran.stdout.contains(user), "{user}: {}", ran.stdout);
    }

    let url = sandbox.emulator.url();
    let usual = [
        "--endpoint-url",
        &url,
        "--rate",
        "unlimited",
        "--out",
        "plan.json",
    ];
    plan(
        &sandbox,
        &[&["people.csv", "--as-is", "placeholder"], &usual[..]].concat(),
    )
    .expect_exit(1);
    assert!(sandbox.read("plan.json").contains("--as-is=placeholder"));
    let ran = run_plan(&sandbox, &["--json"]).expect_exit(1);
    assert_eq!(ran.counts(&["unlinked", "invalid"]), [2, 2]);
    assert!(!sandbox.emulator.is_linked(&links[0]));
    assert!(
        sandbox.emulator.is_linked(&links[1]),
        "it was not asked for"
    );
}
