//! A job that several processes share (`--shard K/N`).

use std::collections::HashMap;
use std::fs;

use cognito_unlink::testing::emulator::{Settings, Then};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::plan::plan;
use crate::sandbox::{
    Output, POOL, PROVIDER, Sandbox, TIMEOUT, always, link, link_of, people, start,
};

/// Rows of 40 users, one of them twice, and a row that names no identity.
fn rows() -> String {
    let again = people(1);
    let again = again.lines().last().expect("a row");
    format!("{}{again}\n,{POOL},{PROVIDER},acct-lost\n", people(40))
}

fn run_shard(sandbox: &Sandbox, shard: &str, args: &[&str]) -> Output {
    sandbox.run(&[&["people.csv", "--json", "--shard", shard], args].concat())
}

/// Returns the path of a shard's results.
fn results(index: u32, of: u32) -> String {
    format!("people.{index:05}-of-{of:05}.results.csv")
}

/// Runs all shards, and returns the sums of these numbers of their summaries.
fn run_shards(sandbox: &Sandbox, of: u32, names: &[&str]) -> Vec<u64> {
    let mut sums = vec![0; names.len()];
    for index in 0..of {
        let ran = run_shard(sandbox, &format!("{index}/{of}"), &[]);
        let exit = i32::from(index == 0);
        let ran = ran.expect_exit(exit);
        let counts = ran.counts(names);
        sums.iter_mut()
            .zip(&counts)
            .for_each(|(sum, count)| *sum += count);
    }
    sums
}

#[test]
fn shards_call_every_row_once_and_no_row_of_another() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", rows());
    let names = [
        "rows",
        "unlinked",
        "not_linked",
        "invalid",
        "skipped",
        "left",
    ];
    assert_eq!(run_shards(&sandbox, 3, &names), [42, 40, 1, 1, 0, 0]);
    let calls = sandbox.calls_by_user();
    assert_eq!(calls.len(), 40);
    assert!(
        calls
            .iter()
            .all(|(user, calls)| *calls == 1 + usize::from(user == "acct-1"))
    );
    let mut shard_of: HashMap<String, u32> = HashMap::new();
    for index in 0..3 {
        for line in sandbox.results(&results(index, 3)) {
            let is_invalid = line["outcome"] == "invalid";
            assert!(!is_invalid || index == 0, "{line:?}");
            let identity = line["identity_id"].clone();
            assert_eq!(
                *shard_of.entry(identity).or_insert(index),
                index,
                "{line:?}"
            );
        }
    }
    // Rows keep the numbers and lines that they have in the input.
    let all = (0..3).flat_map(|index| sandbox.results(&results(index, 3)));
    let mut lines: Vec<usize> = all
        .map(|line| line["line"].parse().expect("a number"))
        .collect();
    lines.sort_unstable();
    assert_eq!(lines, (2..=43).collect::<Vec<_>>());
    // Done rows are skipped in each shard, and only there.
    let again = run_shards(&sandbox, 3, &names);
    assert_eq!(again, [42, 0, 0, 1, 41, 0]);
}

#[test]
fn a_shard_says_its_share_and_its_log_names_it() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(8));
    let ran = run_shard(&sandbox, "1/4", &["--rate", "400"]).expect_exit(0);
    assert_eq!(ran.summary()["shard"], "1/4");
    let line = "Shard 1 of 4, numbered from 0: it calls its own rows alone, up to 100/s, its share of 400/s. \
                Results: people.00001-of-00004.results.csv.";
    assert!(ran.stderr.contains(line), "{}", ran.stderr);
    let log = sandbox.read("people.00001-of-00004.runs.jsonl");
    let began: Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
    assert_eq!(began["shard"], "1/4");
    assert_eq!(began["settings"]["rate"], "400/s");
    sandbox.write("whole.csv", people(1));
    sandbox.run(&["whole.csv"]).expect_exit(0);
    assert!(!sandbox.read("whole.runs.jsonl").contains("\"shard\""));
}

#[test]
fn a_plan_counts_and_forecasts_the_rows_of_its_shard() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", rows());
    let names = ["rows", "valid", "invalid", "duplicates", "left"];
    let mut sums = [0; 5];
    for index in 0..3 {
        let shard = format!("{index}/3");
        let planned = plan(
            &sandbox,
            &["people.csv", "--json", "--shard", &shard, "--rate", "3"],
        );
        let json: Value = serde_json::from_str(&planned.stdout).expect("JSON");
        assert_eq!(json["shard"], *shard);
        let left = json["left"].as_f64().expect("a number");
        assert_eq!(json["seconds_at_rate"], left);
        for (sum, name) in sums.iter_mut().zip(names) {
            *sum += json[name].as_u64().expect("a number");
        }
    }
    assert_eq!(sums, [42, 41, 1, 1, 41]);
    let text = plan(&sandbox, &["people.csv", "--shard", "1/3", "--rate", "3"]).stdout;
    for part in [
        "Shard 1 of 3, numbered from 0",
        "at 1/s, which is 3/s shared by 3 shards",
    ] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_plan_of_the_whole_job_is_run_by_shards() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(20));
    let url = sandbox.emulator.url();
    let saved = [
        "people.csv",
        "--endpoint-url",
        &url,
        "--rate",
        "800",
        "--out",
        "plan.json",
    ];
    plan(&sandbox, &saved).expect_exit(0);
    let run = |plan: &str, shard: &str| {
        let mut command = sandbox.command();
        command.args(["run", "--plan", plan, "--json", "--shard", shard]);
        start(&mut command).wait()
    };
    let mut rows = 0;
    for index in 0..4 {
        let ran = run("plan.json", &format!("{index}/4")).expect_exit(0);
        assert!(
            ran.stderr.contains("up to 200/s, its share of 800/s"),
            "{}",
            ran.stderr
        );
        rows += ran.counts(&["unlinked"])[0];
    }
    assert_eq!((rows, sandbox.emulator.counters().unlinks), (20, 20));
    // A plan of a shard is that of no other.
    let of_shard = [
        "people.csv",
        "--endpoint-url",
        &url,
        "--shard",
        "1/4",
        "--out",
        "one.json",
    ];
    plan(&sandbox, &of_shard).expect_exit(0);
    assert!(sandbox.read("one.json").contains("--shard=1/4"));
    let refused = run("one.json", "2/4").expect_exit(2);
    refused.assert_contains("--shard cannot be given beside --plan");
}

#[test]
fn another_number_of_shards_over_the_same_results_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(12));
    run_shard(&sandbox, "1/3", &[]).expect_exit(0);
    let calls = sandbox.emulator.counters().unlinks;
    let other = run_shard(&sandbox, "1/4", &[]).expect_exit(2);
    let whole = sandbox.run(&["people.csv"]).expect_exit(2);
    let planned = plan(&sandbox, &["people.csv", "--shard", "0/2"]).expect_exit(2);
    for refused in [other, whole, planned] {
        assert!(
            refused.stderr.contains(&results(1, 3)),
            "{}",
            refused.stderr
        );
    }
    let named = [
        "people.csv",
        "--results",
        "people.00001-of-00003.results.csv",
    ];
    sandbox
        .run(&named)
        .expect_exit(2)
        .assert_contains("Add --shard 1/3");
    assert_eq!(sandbox.emulator.counters().unlinks, calls);
    assert!(!sandbox.exists(&results(1, 4)) && !sandbox.exists("people.results.csv"));
    // A rehearsal has results of its own, and so has another folder.
    run_shard(&sandbox, "1/4", &["--rehearse"]).expect_exit(0);
    assert!(sandbox.exists("people.00001-of-00004.rehearsal.csv"));
    fs::create_dir(sandbox.path("out")).expect("created");
    run_shard(&sandbox, "1/4", &["--results", "out/"]).expect_exit(0);
    assert!(sandbox.exists("out/people.00001-of-00004.results.csv"));
    run_shard(&sandbox, "1/4", &["--results", "out/done.csv"]).expect_exit(0);
    assert!(sandbox.exists("out/done.00001-of-00004.csv"));

    // Results of the whole job, and then shards.
    sandbox.write("others.csv", people(3));
    sandbox.run(&["others.csv"]).expect_exit(0);
    let refused = sandbox
        .run(&["others.csv", "--shard", "0/2"])
        .expect_exit(2);
    refused.assert_contains("others.results.csv are beside others.00000-of-00002.results.csv");
}

#[test]
fn the_shard_of_aws_batch_is_taken_from_its_variables() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(12));
    let auto = |variables: &[(&str, &str)]| {
        let mut command = sandbox.run_command(&["people.csv", "--json", "--shard", "auto"]);
        start(command.envs(variables.iter().copied())).wait()
    };
    let (index, size) = ("AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE");
    let ran = auto(&[(index, "2"), (size, "3")]).expect_exit(0);
    assert_eq!(
        ran.counts(&["unlinked"])[0],
        sandbox.emulator.counters().unlinks
    );
    assert!(sandbox.exists(&results(2, 3)));
    for variables in [&[][..], &[(index, "2")], &[("JOB_COMPLETION_INDEX", "2")]] {
        let refused = auto(variables).expect_exit(2);
        for part in [index, size, "--shard K/N"] {
            assert!(refused.stderr.contains(part), "{}", refused.stderr);
        }
    }
}

#[test]
fn lines_of_a_hold_list_may_match_rows_of_other_shards() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(12));
    sandbox.write(
        "hold.txt",
        (1..=12)
            .map(|n| format!("acct-{n}"))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    let args = ["--hold", "hold.txt"];
    let mut held = 0;
    for index in 0..3 {
        let ran = run_shard(&sandbox, &format!("{index}/3"), &args).expect_exit(0);
        held += ran.counts(&["held"])[0];
        assert_eq!(ran.summary()["hold_lines_without_a_row"], Value::Null);
    }
    assert_eq!(held, 12);
}

/// Returns a sandbox in which two of three shards, or all, have unlinked 30 users who have no other login.
fn unlinked(shards: u32) -> Sandbox {
    let sandbox = Sandbox::with_settings(Settings {
        links: Some((1..=30).map(link).collect()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(30));
    for index in 0..shards {
        run_shard(&sandbox, &format!("{index}/3"), &[]).expect_exit(0);
    }
    sandbox
}

#[test]
fn a_verification_draws_its_sample_from_all_shards_together() {
    let sandbox = unlinked(3);
    let all = sandbox
        .job("verify", &["people", "--all", "--json"])
        .expect_exit(0);
    assert_eq!(all.counts(&["of", "looked_at", "gone"]), [30, 30, 30]);
    assert_eq!(sandbox.results("people.verified.csv").len(), 30);
    // As of one file with the same lines.
    let merge = ["merge", ".", "--out", "all.csv"];
    start(sandbox.command().args(merge)).wait().expect_exit(0);
    let sample = |results: &str, record: &str| {
        let args = [
            results, "--sample", "9", "--seed", "7", "--json", "--out", record,
        ];
        let ran = sandbox.job("verify", &args).expect_exit(0);
        assert_eq!(ran.counts(&["of", "looked_at"]), [30, 9]);
        let mut users: Vec<_> = sandbox.outcomes(record).into_keys().collect();
        users.sort();
        (users, ran.summary()["sha256"].clone())
    };
    let (of_shards, sha256) = sample("./", "a.csv");
    assert_eq!(of_shards, sample("all.csv", "b.csv").0);
    let bytes: String = (0..3)
        .map(|index| sandbox.read(&results(index, 3)))
        .collect();
    assert_eq!(sha256, hex::encode(Sha256::digest(bytes)));

    let sandbox = unlinked(2);
    let part = sandbox
        .job("verify", &["people", "--all", "--json"])
        .expect_exit(0);
    let warning = "results of 1 of 3 shards are missing: people.00002-of-00003.results.csv.";
    assert!(part.stderr.contains(warning), "{}", part.stderr);
    assert!(part.counts(&["of"])[0] < 30);
}

#[test]
fn a_relinked_row_is_a_line_in_the_results_of_its_shard() {
    let sandbox = unlinked(3);
    let before: Vec<_> = (0..3)
        .map(|index| sandbox.outcomes(&results(index, 3)))
        .collect();
    let ran = sandbox
        .job("relink", &["people", "--all", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["rows", "relinked"]), [30, 30]);
    assert_eq!(sandbox.results("people.relinked.csv").len(), 30);
    for index in 0..3 {
        let name = results(index, 3);
        let after = sandbox.outcomes(&name);
        assert!(
            after.values().all(|outcome| outcome == "relinked"),
            "{after:?}"
        );
        let own = &before[index as usize];
        assert_eq!(after.len(), own.len());
        assert!(own.keys().all(|user| after.contains_key(user)));
        assert_eq!(sandbox.results(&name).len(), own.len() * 2);
        assert!(!sandbox.exists(&format!("{name}.inflight")));
        // Each shard knows it.
        let ran = run_shard(&sandbox, &format!("{index}/3"), &[]).expect_exit(0);
        assert_eq!(ran.counts(&["relinked", "calls"]), [own.len() as u64, 0]);
    }
}

#[test]
fn a_relink_locks_the_results_of_all_shards() {
    let sandbox = unlinked(2);
    let running = {
        sandbox.emulator.add_rule(always(Then::Hold));
        let running = sandbox.start(&["people.csv", "--shard", "2/3"]);
        assert!(sandbox.emulator.wait_until(TIMEOUT, |seen| seen.held > 0));
        running
    };
    let args = ["people", "--all", "--json"];
    let refused = sandbox.job("relink", &args).expect_exit(6);
    assert!(
        refused.stderr.contains(&results(2, 3)),
        "{}",
        refused.stderr
    );
    assert!(!sandbox.exists(&format!("{}.inflight", results(0, 3))));
    sandbox.emulator.clear_rules();
    running.wait().expect_exit(0);
    let ran = sandbox.job("relink", &args).expect_exit(0);
    assert_eq!(ran.counts(&["relinked"]), [30]);
}

#[test]
fn a_limit_counts_the_rows_of_its_shard() {
    let sandbox = Sandbox::new();
    // Rows of one identity belong to one shard.
    let links: Vec<_> = (0..9).map(|nth| link_of(7, &format!("u-{nth}"))).collect();
    sandbox.write("people.csv", crate::sandbox::csv(&links));
    let mut calls = Vec::new();
    for index in 0..4 {
        let ran = run_shard(&sandbox, &format!("{index}/4"), &["--limit", "2"]);
        calls.push((ran.code(), ran.counts(&["rows", "unlinked", "left"])));
    }
    calls.sort();
    let none = (Some(0), vec![0, 0, 0]);
    assert_eq!(
        calls,
        [none.clone(), none.clone(), none, (Some(4), vec![9, 2, 7])]
    );
}
