//! Files that the program writes, results and saved plans, are refused as inputs in every form.

use std::fs;
use std::fs::File;

use crate::sandbox::{Output, Sandbox, gzip, people, start};

/// Asserts that the run was refused with this message, and called nothing.
#[track_caller]
fn assert_refused(sandbox: &Sandbox, ran: Output, message: &str) {
    let ran = ran.expect_exit(2);
    ran.assert_contains(message);
    assert_eq!(sandbox.emulator.counters().unlinks, 0, "{ran:?}");
}

/// Returns a sandbox with results of rehearsals in each form, and their names.
fn sandbox_with_results() -> (Sandbox, Vec<&'static str>) {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let mut names = Vec::new();
    for (name, safe) in [("a.csv", false), ("b.jsonl", false), ("c.csv", true)] {
        let mut command = sandbox.command();
        command.args(["run", "people.csv", "--rehearse", "--rate", "unlimited"]);
        command.args(["--results", name]);
        if safe {
            command.arg("--spreadsheet-safe");
        }
        start(&mut command).wait().expect_exit(0);
        names.push(match name {
            "a.csv" => "a.rehearsal.csv",
            "b.jsonl" => "b.rehearsal.jsonl",
            _ => "c.rehearsal.csv",
        });
    }
    for (from, to) in [
        ("a.rehearsal.csv", "a.rehearsal.csv.gz"),
        ("b.rehearsal.jsonl", "b.rehearsal.jsonl.gz"),
    ] {
        let packed = gzip(&fs::read(sandbox.path(from)).expect("results"));
        sandbox.write(to, packed);
        names.push(to);
    }
    (sandbox, names)
}

#[test]
fn results_are_refused_as_input() {
    let (sandbox, names) = sandbox_with_results();
    for name in names {
        for args in [
            &["run", "people.csv", name][..],
            &["run", name, "--dry-run"],
            &["run", name, "--rehearse"],
            &["plan", "people.csv", name],
            &["plan", name, "--json"],
        ] {
            let mut command = sandbox.command();
            command.args(args);
            if !args.contains(&"--rehearse") {
                command.args(["--endpoint-url", &sandbox.emulator.url()]);
            }
            let ran = start(&mut command).wait();
            assert!(ran.stderr.contains(name), "{ran:?}");
            assert_refused(
                &sandbox,
                ran,
                "a results file of cognito-unlink, not an input",
            );
        }
    }
    assert!(!sandbox.exists("people.results.csv"));
    // The input itself is accepted.
    sandbox.run(&["people.csv"]).expect_exit(0);
}

#[test]
fn results_from_a_pipe_are_recognised_by_their_header() {
    let (sandbox, names) = sandbox_with_results();
    for name in names {
        let bytes = fs::read(sandbox.path(name)).expect("results");
        let format = if name.contains("jsonl") {
            "jsonl"
        } else {
            "csv"
        };
        let args = ["-", "--format", format, "--results", "r.csv"];
        for more in [&[][..], &["--dry-run"], &["--rehearse"]] {
            let ran = sandbox.run_with_input(&[&args[..], more].concat(), &bytes);
            assert_refused(&sandbox, ran, "a results file of cognito-unlink");
        }
    }
    // Naming the columns does not make it an input.
    let bytes = fs::read(sandbox.path("a.rehearsal.csv")).expect("results");
    let names = "row,source,line,identity_id,identity_pool_id,developer_provider_name,developer_user_identifier,h,i,j,k,l,m,n,o,p,q";
    let args = [
        "-",
        "--format",
        "csv",
        "--results",
        "r.csv",
        "--no-header",
        "--columns",
        names,
    ];
    let ran = sandbox.run_with_input(&args, &bytes);
    assert_refused(&sandbox, ran, "a results file of cognito-unlink");
}

#[test]
fn results_after_another_input_stop_the_run_where_they_begin() {
    let (sandbox, _) = sandbox_with_results();
    let mut command = sandbox.run_command(&["people.csv", "-", "--format", "csv", "--json"]);
    let results = File::open(sandbox.path("a.rehearsal.csv")).expect("opened");
    let ran = start(command.stdin(results)).wait().expect_exit(3);
    assert_eq!(ran.counts(&["rows", "unlinked"]), [3, 3]);
    assert!(ran.stdout.contains("a results file"), "{}", ran.stdout);
}

#[test]
fn a_saved_plan_as_an_input_is_refused_and_its_option_named() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    for name in ["plan.json", "plan.csv", "plan.jsonl"] {
        let mut command = sandbox.command();
        command.args(["plan", "people.csv", "--out", name]);
        start(&mut command).wait().expect_exit(0);
        let ran = sandbox.run(&["people.csv", name]);
        assert_refused(
            &sandbox,
            ran,
            "this is a saved plan, not an input; pass it with --plan",
        );
    }
    // A row may have these values without being a plan or a result.
    let row = people(1)
        .lines()
        .nth(1)
        .map(|line| line.replace('"', ""))
        .expect("a row");
    let fields: Vec<_> = row.split(',').collect();
    let object = serde_json::json!({
        "version": "cognito-unlink 1", "outcome": "x", "run_id": 7,
        "identity_id": fields[0], "identity_pool_id": fields[1],
        "developer_provider_name": fields[2], "developer_user_identifier": fields[3],
    });
    sandbox.write("words.jsonl", format!("{object}\n"));
    sandbox.run(&["words.jsonl"]).expect_exit(0);
}
