//! Files that the program writes itself are no inputs, in whatever form they come.

use std::fs;
use std::fs::File;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::sandbox::{Ran, Sandbox, people, start};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("packed");
    encoder.finish().expect("packed")
}

/// It was refused for what it is, and nothing was called.
#[track_caller]
fn is_refused(sandbox: &Sandbox, ran: Ran, what: &str) {
    let ran = ran.exits(2);
    let said = format!("{}{}", ran.stderr, ran.stdout);
    assert!(said.contains(what), "{said}");
    assert_eq!(sandbox.emulator.counters().unlinks, 0, "{said}");
}

/// A place with results of a rehearsal, named by their endings, and nothing called yet.
fn rehearsed() -> (Sandbox, Vec<&'static str>) {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let mut names = Vec::new();
    for (name, safe) in [("a.csv", false), ("b.jsonl", false), ("c.csv", true)] {
        let mut command = sandbox.program();
        command.args(["run", "people.csv", "--rehearse", "--rate", "unlimited"]);
        command.args(["--results", name]);
        if safe {
            command.arg("--spreadsheet-safe");
        }
        start(&mut command).ended().exits(0);
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
fn results_are_no_input() {
    let (sandbox, names) = rehearsed();
    for name in names {
        for args in [
            &["run", "people.csv", name][..],
            &["run", name, "--dry-run"],
            &["run", name, "--rehearse"],
            &["plan", "people.csv", name],
            &["plan", name, "--json"],
        ] {
            let mut command = sandbox.program();
            command.args(args);
            if !args.contains(&"--rehearse") {
                command.args(["--endpoint-url", &sandbox.emulator.url()]);
            }
            let ran = start(&mut command).ended();
            assert!(ran.stderr.contains(name), "{ran:?}");
            is_refused(
                &sandbox,
                ran,
                "a results file of cognito-unlink, not an input",
            );
        }
    }
    assert!(!sandbox.exists("people.results.csv"));
    // The input itself goes on as ever.
    sandbox.run(&["people.csv"]).exits(0);
}

#[test]
fn results_from_a_pipe_are_found_out_by_their_header() {
    let (sandbox, names) = rehearsed();
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
            is_refused(&sandbox, ran, "a results file of cognito-unlink");
        }
    }
    // Columns that are named by options do not make an input of it.
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
    is_refused(&sandbox, ran, "a results file of cognito-unlink");
}

#[test]
fn results_behind_an_input_from_a_pipe_end_the_run_where_they_begin() {
    let (sandbox, _) = rehearsed();
    let mut command = sandbox.run_command(&["people.csv", "-", "--format", "csv", "--json"]);
    let results = File::open(sandbox.path("a.rehearsal.csv")).expect("opened");
    let ran = start(command.stdin(results)).ended().exits(3);
    assert_eq!(ran.counts(&["rows", "unlinked"]), [3, 3]);
    assert!(ran.stdout.contains("a results file"), "{}", ran.stdout);
}

#[test]
fn a_saved_plan_is_named_with_its_option() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    for name in ["plan.json", "plan.csv", "plan.jsonl"] {
        let mut command = sandbox.program();
        command.args(["plan", "people.csv", "--out", name]);
        start(&mut command).ended().exits(0);
        let ran = sandbox.run(&["people.csv", name]);
        is_refused(
            &sandbox,
            ran,
            "this is a saved plan, not an input; pass it with --plan",
        );
    }
    // A person's row may say anything.
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
    sandbox.run(&["words.jsonl"]).exits(0);
}
