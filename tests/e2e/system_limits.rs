//! Limits of the operating system: what it refuses is reported as such, and not blamed on a row, a file or a Region.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use cognito_unlink::testing::emulator::Settings;
use rustix::process::geteuid;

use crate::sandbox::{Output, Sandbox, TIMEOUT, in_shell, people, start};

/// Runs `command` in a shell that limits itself first.
fn run_limited(limits: &str, command: &Command) -> Output {
    let script = format!("{limits} exec \"$@\"");
    start(&mut in_shell(Command::new("bash"), &script, command)).wait()
}

const MANY_CONNECTIONS: &[&str] = &["people.csv", "--concurrency", "64", "--burst", "64"];

#[test]
fn too_few_open_files_are_blamed_on_the_limit() {
    let sandbox = Sandbox::with_settings(Settings {
        latency: TIMEOUT / 300,
        ..Settings::default()
    });
    sandbox.write("people.csv", people(200));
    // Too few to start, too few for the first connection, and too few for all connections.
    for files in [10, 14, 17, 18, 19, 20, 22, 26, 40] {
        let results = format!("{files}.csv");
        let args = [MANY_CONNECTIONS, &["--results", &results]].concat();
        let ran =
            run_limited(&format!("ulimit -n {files};"), &sandbox.run_command(&args)).expect_exit(5);
        assert!(ran.stderr.contains("ulimit -n"), "{files}: {ran:?}");
        for blamed in ["No answer", "damaged", "cannot be reached", "permissions"] {
            assert!(!ran.stderr.contains(blamed), "{files}: {ran:?}");
        }
        if sandbox.exists(&results) {
            let outcomes = sandbox.outcomes(&results);
            assert!(
                outcomes.values().all(|outcome| outcome.ends_with("linked")),
                "{outcomes:?}"
            );
        }
    }
}

#[test]
fn a_run_raises_the_soft_limit_on_open_files() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(200));
    let ran = run_limited("ulimit -Sn 16;", &sandbox.run_command(MANY_CONNECTIONS)).expect_exit(0);
    assert!(ran.stdout.contains("200  unlinked"), "{ran:?}");
}

/// Asserts that the program reported in one line what the system refuses, and called nothing.
#[track_caller]
fn assert_refused(sandbox: &Sandbox, ran: Output) {
    let ran = ran.expect_exit(5);
    assert!(
        ran.stderr
            .starts_with("error: the operating system refuses "),
        "{ran:?}"
    );
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn refused_threads_are_reported_in_one_line() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    fs::set_permissions(sandbox.path("."), Permissions::from_mode(0o777)).expect("set");
    // Limits on processes do not apply to root.
    let as_another = if geteuid().is_root() {
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$@\";"
    } else {
        ""
    };
    for threads in [1, 2, 3, 5] {
        let limits = format!("ulimit -u {threads}; {as_another}");
        let ran = run_limited(&limits, &sandbox.run_command(&["people.csv"]));
        assert_refused(&sandbox, ran);
    }
}

#[test]
fn refused_memory_is_reported_in_one_line() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    for kilobytes in [70_000, 90_000] {
        let limits = format!("ulimit -v {kilobytes};");
        let ran = run_limited(&limits, &sandbox.run_command(&["people.csv"]));
        assert_refused(&sandbox, ran);
    }
}
