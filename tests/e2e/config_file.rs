//! The configuration file: what it allows, its precedence, and which file is in effect.

use std::fs;
use std::os::unix::fs::symlink;

use crate::sandbox::{OTHER_POOL, POOL, Sandbox, csv, link, link_in_other_pool, people};

#[test]
fn allowed_accounts_regions_and_pools_are_enforced() {
    let sandbox = Sandbox::new();
    let rows: Vec<_> = (1..=20).map(link).chain([link_in_other_pool(21)]).collect();
    sandbox.write("people.csv", csv(&rows));
    for (config, code, words) in [
        (
            "allowed-accounts = [\"999999999999\"]",
            2,
            "account 123456789012 is not among the allowed-accounts",
        ),
        (
            "allowed-regions = [\"eu-west-1\"]",
            5,
            "Region us-east-1 is not among the allowed-regions of cognito-unlink.toml (at people.csv:2)",
        ),
        (
            &format!("allowed-pools = [\"{OTHER_POOL}\"]"),
            5,
            "is not among the allowed-pools of cognito-unlink.toml (at people.csv:2)",
        ),
    ] {
        sandbox.write("cognito-unlink.toml", config);
        let ran = sandbox.run(&["people.csv"]).expect_exit(code);
        ran.assert_contains(words);
        ran.assert_contains("Taken from cognito-unlink.toml: allowed-");
        assert_eq!(
            (sandbox.pool_lookups(), sandbox.emulator.counters().unlinks),
            (0, 0)
        );
    }
    // Rows that are allowed are called, up to the first row that is not.
    sandbox.write(
        "cognito-unlink.toml",
        format!("allowed-pools = [\"{POOL}\"]"),
    );
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(5);
    ran.assert_contains("(at people.csv:22)");
    assert_eq!(ran.counts(&["failed", "in_doubt"]), [0, 0]);
    assert!(!sandbox.calls_by_user().contains_key("acct-21"));
    let ran = sandbox.run(&["people.csv", "--dry-run"]).expect_exit(2);
    ran.assert_contains("(at people.csv:22); nothing was called");
    // A rehearsal checks pools and Regions, but has no account.
    sandbox.write(
        "cognito-unlink.toml",
        format!(
            "allowed-accounts = \"999999999999\"\nallowed-pools = [\"{POOL}\", \"{OTHER_POOL}\"]"
        ),
    );
    sandbox.run(&["people.csv", "--rehearse"]).expect_exit(0);
}

#[test]
fn a_held_row_of_a_forbidden_pool_halts_before_its_pool_is_looked_up() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", csv(&[link_in_other_pool(1)]));
    sandbox.write("holds.txt", "acct-1\n");
    sandbox.write(
        "cognito-unlink.toml",
        format!("allowed-pools = [\"{POOL}\"]"),
    );
    let args = ["people.csv", "--hold", "holds.txt"];
    let ran = sandbox.run(&args).expect_exit(5);
    ran.assert_contains("is not among the allowed-pools of cognito-unlink.toml (at people.csv:2)");
    assert_eq!(sandbox.pool_lookups(), 0);
    let dry = [&args[..], &["--dry-run"]].concat();
    sandbox.run(&dry).expect_exit(2);
}

#[test]
fn options_override_the_configuration_and_hold_lists_add_up() {
    let sandbox = Sandbox::new();
    let mut text = people(6).replace('\n', ",T-1\n");
    text = text.replacen(",T-1\n", ",ticket\n", 1);
    sandbox.write("people.csv", text);
    std::fs::create_dir(sandbox.path("team")).expect("a directory");
    sandbox.write("team/legal.txt", "acct-2\n");
    sandbox.write("mine.txt", "acct-3\n");
    sandbox.write(
        "team/ours.toml",
        "rate = \"1/h\"\nhold = \"legal.txt\"\ncarry = [\"ticket\"]\n",
    );
    let ran = sandbox
        .run(&[
            "people.csv",
            "--config",
            "team/ours.toml",
            "--hold",
            "mine.txt",
        ])
        .expect_exit(0);
    assert_eq!(ran.stderr, "Taken from team/ours.toml: hold, carry.\n");
    let results = sandbox.results("people.results.csv");
    assert!(results.iter().all(|line| line["ticket"] == "T-1"));
    let outcomes = sandbox.outcomes("people.results.csv");
    let held: Vec<_> = (1..=6)
        .filter(|n| outcomes[&format!("acct-{n}")] == "held")
        .collect();
    assert_eq!(held, [2, 3]);
}

#[test]
fn an_invalid_configuration_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let ran = sandbox
        .run(&["people.csv", "--config", "absent.toml"])
        .expect_exit(2);
    ran.assert_contains("absent.toml cannot be read");
    for (config, words) in [
        (
            "\nallowed-acount = \"123456789012\"",
            "cognito-unlink.toml:2: unknown field `allowed-acount`, expected one of `allowed-accounts`",
        ),
        (
            "rate = true",
            "cognito-unlink.toml:1: rate: expected a number",
        ),
        (
            "hold = \"absent.txt\"",
            "the hold list absent.txt cannot be read",
        ),
    ] {
        sandbox.write("cognito-unlink.toml", config);
        let ran = sandbox.run(&["people.csv"]).expect_exit(2);
        ran.assert_contains(words);
        assert!(!sandbox.exists("people.results.csv"));
    }
    fs::remove_file(sandbox.path("cognito-unlink.toml")).expect("removed");
    symlink(
        "absent/cognito-unlink.toml",
        sandbox.path("cognito-unlink.toml"),
    )
    .expect("linked");
    let ran = sandbox.run(&["people.csv"]).expect_exit(2);
    ran.assert_contains("cognito-unlink.toml cannot be read");
    fs::remove_file(sandbox.path("cognito-unlink.toml")).expect("removed");
    sandbox.write("cognito-unlink.toml", "");
    let ran = sandbox.run(&["people.csv"]).expect_exit(0);
    assert_eq!(ran.stderr, "Taken from cognito-unlink.toml: nothing.\n");
}

#[test]
fn a_configuration_beside_the_input_must_be_in_effect() {
    let sandbox = Sandbox::new();
    for folder in ["job", "other"] {
        fs::create_dir(sandbox.path(folder)).expect("created");
    }
    sandbox.write("job/people.csv", people(2));
    sandbox.write("other/more.csv", people(1));
    sandbox.write("job/cognito-unlink.toml", "hold = \"holds.txt\"");
    sandbox.write("job/holds.txt", "acct-1\n");
    symlink(sandbox.path("job/people.csv"), sandbox.path("link.csv")).expect("linked");
    for inputs in [
        &["job/people.csv"][..],
        &["other/more.csv", "job/people.csv"],
        &["link.csv"],
    ] {
        for more in [&[][..], &["--dry-run"], &["--rehearse"]] {
            let ran = sandbox.run(&[inputs, more].concat()).expect_exit(2);
            ran.assert_contains(
                "job/cognito-unlink.toml stands beside the input or the plan and is not in effect",
            );
            ran.assert_contains("or take none with --no-config");
        }
    }
    // A file in the working directory does not replace it.
    sandbox.write("cognito-unlink.toml", "rate = 5");
    let ran = sandbox.run(&["job/people.csv"]).expect_exit(2);
    ran.assert_contains("cognito-unlink.toml in the working directory is");
    assert_eq!(sandbox.emulator.counters().connections, 0);

    // A file named by --config is in effect, and a warning names the other one.
    let named = [
        "job/people.csv",
        "--config",
        "cognito-unlink.toml",
        "--dry-run",
        "--json",
    ];
    let ran = sandbox.run(&named).expect_exit(0);
    ran.assert_contains("Warning: job/cognito-unlink.toml stands beside the input");
    assert_eq!(ran.counts(&["held"]), [0]);
    let named = [
        "job/people.csv",
        "--config",
        "job/cognito-unlink.toml",
        "--json",
    ];
    let ran = sandbox.run(&named).expect_exit(0);
    assert_eq!(ran.counts(&["held", "unlinked"]), [1, 1]);
    let ran = sandbox
        .run(&["job/people.csv", "--no-config", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [1, 1]);
    assert!(
        !ran.stderr.contains("cognito-unlink.toml"),
        "{}",
        ran.stderr
    );
}

#[test]
fn an_oversized_configuration_is_refused_and_not_truncated() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.write("holds.txt", "acct-1\n");
    let filler = "#".repeat(1 << 20);
    sandbox.write(
        "cognito-unlink.toml",
        format!("{filler}\nhold = \"holds.txt\"\n"),
    );
    for args in [&["people.csv"][..], &["people.csv", "--dry-run"]] {
        let ran = sandbox.run(args).expect_exit(2);
        ran.assert_contains("it has 1048596 bytes, and a configuration has 1048576 at most");
    }
    assert_eq!(sandbox.emulator.counters().connections, 0);
}
