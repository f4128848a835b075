//! `run --rehearse`, the `emulator` command, and the samples.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use cognito_unlink::testing::emulator::Settings;
use rustix::process::{Pid, Signal, kill_process};

use crate::sandbox::{Output, Sandbox, people, start};

fn samples() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/samples"))
}

fn rehearse(sandbox: &Sandbox, args: &[&str]) -> Output {
    let mut command = sandbox.command_without_credentials();
    command
        .arg("run")
        .args(args)
        .args(["--rehearse", "--rate", "unlimited", "--json"]);
    start(&mut command).wait()
}

#[test]
fn the_samples_rehearse_as_documented() {
    let sandbox = Sandbox::new();
    for name in ["purge.csv", "purge.jsonl", "bad-rows.csv"] {
        std::fs::copy(samples().join(name), sandbox.path(name)).expect("copied");
    }
    let carry = ["--carry", "ticket"];
    for (name, results) in [
        ("purge.csv", "purge.rehearsal.csv"),
        ("purge.jsonl", "purge.rehearsal.jsonl"),
    ] {
        let ran = rehearse(&sandbox, &[&[name], &carry[..]].concat()).expect_exit(0);
        assert_eq!(ran.counts(&["rows", "unlinked"]), [320, 320]);
        let lines = sandbox.results(results);
        assert_eq!(lines.len(), 320);
        assert!(lines.iter().all(|line| line["ticket"].starts_with("DEL-")));
    }
    let ran = rehearse(&sandbox, &["bad-rows.csv"]).expect_exit(1);
    assert_eq!(ran.counts(&["rows", "unlinked", "invalid"]), [10, 4, 6]);
    assert!(!sandbox.exists("purge.results.csv"));
}

#[test]
fn a_rehearsal_ignores_aws_settings() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    let mut command = sandbox.command_without_credentials();
    command.args([
        "run",
        "people.csv",
        "--rehearse",
        "--results",
        "out/real.csv",
    ]);
    std::fs::create_dir(sandbox.path("out")).expect("created");
    for (name, value) in [
        ("AWS_PROFILE", "absent"),
        ("AWS_REGION", "nowhere"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_CA_BUNDLE", "/absent.pem"),
        ("HTTP_PROXY", "http://127.0.0.1:1"),
        ("HTTPS_PROXY", "http://127.0.0.1:1"),
    ] {
        command.env(name, value);
    }
    start(&mut command).wait().expect_exit(0);
    assert!(sandbox.exists("out/real.rehearsal.csv") && !sandbox.exists("out/real.csv"));
}

#[test]
fn the_emulator_serves_until_a_signal() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(20));
    sandbox.write("links.csv", people(15));
    let mut child = sandbox
        .command_without_credentials()
        .args([
            "emulator",
            "--links",
            "links.csv",
            "--quota",
            "1000000",
            "--front-ends",
            "2",
            "--production",
            "50000",
            "--latency",
            "1ms",
            "--jitter",
            "1ms",
        ])
        .args(["--fault", "internal-error=10%"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the emulator starts");
    let mut url = String::new();
    BufReader::new(child.stdout.take().expect("a pipe"))
        .read_line(&mut url)
        .expect("a URL");
    let mut command = sandbox.command();
    command.args([
        "run",
        "people.csv",
        "--json",
        "--rate",
        "unlimited",
        "--endpoint-url",
        url.trim(),
    ]);
    let ran = start(&mut command).wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "not_linked"]), [15, 5]);
    kill_process(Pid::from_child(&child), Signal::TERM).expect("it runs");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("15 links removed"), "{stderr}");
    assert!(stderr.contains("\nproduction: "), "{stderr}");
}

#[test]
fn the_emulator_verifies_signatures_by_its_keys() {
    // The sandbox signs with the first of these keys.
    for (key, code) in [
        ("AKIDEXAMPLE:secret", 0),
        ("AKIDEXAMPLE:other", 5),
        ("AKIDOTHER:secret", 5),
        ("AKIDEXAMPLE:secret:token", 5),
    ] {
        let sandbox = Sandbox::with_settings(Settings {
            access_keys: vec![key.parse().expect("a key")],
            ..Settings::default()
        });
        sandbox.write("people.csv", people(3));
        let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(code);
        let expected = if code == 0 { [3, 0, 0] } else { [0, 0, 3] };
        assert_eq!(
            ran.counts(&["unlinked", "failed", "left"]),
            expected,
            "{key}"
        );
    }
}

#[test]
fn the_emulator_refuses_invalid_links() {
    let sandbox = Sandbox::new();
    sandbox.write("links.csv", people(1) + "x,y,z,w\n");
    let mut command = sandbox.command_without_credentials();
    command.args(["emulator", "--links", "links.csv"]);
    let ran = start(&mut command).wait().expect_exit(3);
    assert!(ran.stderr.contains("links.csv:3"), "{}", ran.stderr);
}
