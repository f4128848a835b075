//! What the operating system refuses is said, and blamed on nothing else.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use cognito_unlink::emulator::Settings;
use rustix::process::geteuid;

use crate::sandbox::{PATIENCE, Ran, Sandbox, people, start};

/// Runs `command` in a shell that has set limits on itself.
fn limited(limits: &str, command: &Command) -> Ran {
    let mut shell = Command::new("bash");
    shell.arg("-c").arg(format!("{limits} exec \"$0\" \"$@\""));
    shell.arg(command.get_program()).args(command.get_args());
    shell.current_dir(command.get_current_dir().expect("a directory"));
    shell.env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.expect("a value"));
    }
    start(shell.env("PATH", "/usr/bin:/bin")).ended()
}

const MANY: &[&str] = &["people.csv", "--concurrency", "64", "--burst", "64"];

#[test]
fn where_open_files_run_out_no_row_file_or_region_is_blamed() {
    let sandbox = Sandbox::with(Settings {
        latency: PATIENCE / 300,
        ..Settings::default()
    });
    sandbox.write("people.csv", people(200));
    // From too few to begin with, over too few for the first connection, to too few for all of them.
    for files in [10, 14, 17, 18, 19, 20, 22, 26, 40] {
        let results = format!("{files}.csv");
        let args = [MANY, &["--results", &results]].concat();
        let ran = limited(&format!("ulimit -n {files};"), &sandbox.run_command(&args)).exits(5);
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
fn the_soft_limit_on_open_files_binds_no_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(200));
    let ran = limited("ulimit -Sn 16;", &sandbox.run_command(MANY)).exits(0);
    assert!(ran.stdout.contains("200  unlinked"), "{ran:?}");
}

/// Says in one line what is refused, and calls nobody.
#[track_caller]
fn is_refused(sandbox: &Sandbox, ran: Ran) {
    let ran = ran.exits(5);
    assert!(
        ran.stderr
            .starts_with("error: the operating system refuses "),
        "{ran:?}"
    );
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn refused_threads_end_the_program_with_a_sentence() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    fs::set_permissions(sandbox.path("."), Permissions::from_mode(0o777)).expect("set");
    // No limit on processes binds root.
    let as_another = if geteuid().is_root() {
        "exec setpriv --reuid=65534 --regid=65534 --clear-groups \"$0\" \"$@\";"
    } else {
        ""
    };
    for threads in [1, 2, 3, 5] {
        let limits = format!("ulimit -u {threads}; {as_another}");
        let ran = limited(&limits, &sandbox.run_command(&["people.csv"]));
        is_refused(&sandbox, ran);
    }
}

#[test]
fn refused_memory_ends_the_program_with_a_sentence() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    for kilobytes in [70_000, 90_000] {
        let limits = format!("ulimit -v {kilobytes};");
        let ran = limited(&limits, &sandbox.run_command(&["people.csv"]));
        is_refused(&sandbox, ran);
    }
}
