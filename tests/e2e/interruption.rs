//! Signals, whatever the program is doing, and what blocks it.

use std::fs;
use std::io::Write;
use std::process::Command;

use cognito_unlink::emulator::{Canned, Rule, Then, When};
use rustix::process::Signal;

use crate::sandbox::{
    PATIENCE, Running, Sandbox, full_pipe, people, start, start_unheard, start_unseen, terminal,
};

/// A run of 40 rows with four calls in flight, which the emulator holds.
fn held(sandbox: &Sandbox) -> Running {
    sandbox.write("people.csv", people(40));
    sandbox.start_four_held(&["people.csv", "--json"])
}

#[test]
fn the_first_signal_drains() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let sandbox = Sandbox::new();
        let running = held(&sandbox);
        running.signal(signal);
        running.says("waiting for 4 calls in flight");
        sandbox.emulator.clear_rules();
        let ran = running.ended().exits(code);
        assert_eq!(ran.counts(&["rows", "unlinked", "left"]), [40, 4, 36]);
        assert_eq!(sandbox.emulator.counters().unlinks, 4);
        assert!(!sandbox.exists("people.results.csv.inflight"));
        let next = ran.summary()["next"]
            .as_str()
            .expect("a command")
            .to_owned();
        assert!(next.contains("run people.csv"), "{next}");
        let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
        assert_eq!(ran.counts(&["skipped", "unlinked"]), [4, 36]);
    }
}

#[test]
fn the_second_signal_waits_for_nothing() {
    let sandbox = Sandbox::new();
    let running = held(&sandbox);
    running.signal(Signal::INT);
    running.says("waiting for 4 calls in flight");
    running.signal(Signal::INT);
    let ran = running.ended().exits(130);
    assert_eq!(ran.counts(&["in_doubt"]), [4]);
    assert_eq!(
        sandbox.results("people.results.csv")[0]["error_code"],
        "Aborted"
    );
    sandbox.emulator.clear_rules();
    let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
    assert_eq!(ran.counts(&["rows", "skipped", "unlinked"]), [40, 0, 40]);
}

#[test]
fn what_was_not_read_before_the_second_signal_is_said() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60_000));
    let running = sandbox.start_four_held(&["people.csv", "--json"]);
    running.signal(Signal::INT);
    running.says("waiting for 4 calls in flight");
    running.signal(Signal::INT);
    let ran = running.ended().exits(130);
    let counts = ran.counts(&["rows", "in_doubt", "left", "not_read_about"]);
    let [rows, in_doubt, left, not_read] = counts[..] else {
        panic!("{counts:?}")
    };
    assert_eq!((rows, in_doubt), (in_doubt + left, 4));
    assert_eq!(ran.summary()["counted_to_end"], false);
    assert!((50_000..70_000).contains(&(rows + not_read)), "{counts:?}");
}

#[test]
fn nobody_waits_for_a_row_in_back_off() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Answer(Canned {
            status: 400,
            headers: vec![("retry-after".into(), "600".into())],
            body: r#"{"__type":"TooManyRequestsException"}"#.into(),
        }),
        times: None,
    });
    let running = sandbox.start(&["people.csv", "-v", "--json"]);
    running.says("trying again");
    running.signal(Signal::TERM);
    let ran = running.ended().exits(143);
    assert_eq!(ran.counts(&["left", "calls"]), [1, 1]);
    assert!(!sandbox.exists("people.results.csv.inflight"));
}

#[test]
fn a_run_does_not_wait_for_standard_error() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(500));
    let command = |results: &str, more: &[&str]| {
        let args = ["people.csv", "-vv", "--json", "--results", results];
        sandbox.run_command(&[&args, more].concat())
    };
    let (_unread, full) = full_pipe();
    let ran = start_unheard(command("pipe.csv", &[]), full).ended();
    let ran = ran.exits(0);
    assert_eq!(ran.counts(&["unlinked", "left"]), [500, 0]);

    // Nobody reads what is written to the terminal, and it takes some thousand bytes.
    for style in ["bar", "plain"] {
        let (_unread, side) = terminal();
        let mut command = command(&format!("{style}.csv"), &["--progress", style]);
        command.env("TERM", "xterm");
        let ran = start_unheard(command, side()).ended().exits(0);
        assert_eq!(ran.counts(&["rows", "left"]), [500, 0], "{style}");
    }
}

#[test]
fn signals_are_heeded_while_standard_error_is_blocked() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Hold,
        times: None,
    });
    let (_unread, full) = full_pipe();
    let args = ["people.csv", "-vv", "--json", "--concurrency", "4"];
    let running = start_unheard(sandbox.run_command(&args), full);
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held == 4));
    // Two of one kind may be one.
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    let ran = running.ended();
    assert!(matches!(ran.code(), Some(130 | 143)), "{ran:?}");
    assert_eq!(ran.counts(&["in_doubt"]), [4]);
}

#[test]
fn a_program_ends_although_its_last_words_cannot_be_written() {
    let sandbox = Sandbox::new();
    let (_unread, full) = full_pipe();
    let ran = start_unheard(sandbox.run_command(&["absent.csv"]), full).ended();
    ran.exits(3);
}

#[test]
fn a_signal_ends_a_program_whose_standard_output_is_blocked() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("cognito-unlink.toml", "rate = \"5/s\"\n");
    let (_unread, full) = full_pipe();
    let mut command = sandbox.run_command(&["people.csv", "--dry-run", "--json"]);
    let running = start_unseen(&mut command, full);
    running.says("Taken from cognito-unlink.toml");
    running.signal(Signal::TERM);
    running.ended().exits(143);

    let (_unread, full) = full_pipe();
    let mut command = sandbox.program();
    command.args(["emulator", "--listen", "0.0.0.0:0"]);
    let running = start_unseen(&mut command, full);
    running.says("is not a loopback address");
    running.signal(Signal::INT);
    running.ended().exits(130);
}

/// Starts a command that comes to read from a FIFO, into which nothing is written, and stops it there.
#[track_caller]
fn stopped_at(sandbox: &Sandbox, fifo: &str, mut command: Command) {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let running = start(&mut command);
        let _open = sandbox.until_read(fifo);
        running.signal(signal);
        let ran = running.ended().exits(code);
        let told = "stopped by a signal; nothing was called";
        assert!(ran.stderr.contains(told), "{fifo}: {ran:?}");
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn signals_are_heeded_while_files_are_read_at_the_start() {
    for (fifo, args) in [
        ("cognito-unlink.toml", &["people.csv"][..]),
        ("ca.pem", &["people.csv", "--ca-bundle", "ca.pem"]),
        (".aws/config", &["people.csv"]),
        (".aws/credentials", &["people.csv"]),
        ("fifo.csv", &["fifo.csv", "--dry-run"]),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(3));
        sandbox.fifo(fifo);
        stopped_at(&sandbox, fifo, sandbox.run_command(args));
        assert!(!sandbox.exists("people.results.csv"), "{fifo}");
        // As if nothing had been.
        fs::remove_file(sandbox.path(fifo)).expect("removed");
        if !fifo.ends_with("pem") && fifo != "fifo.csv" {
            let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
            assert_eq!(ran.counts(&["rows", "unlinked"]), [3, 3], "{fifo}");
        }
    }
}

#[test]
fn signals_are_heeded_while_a_plan_is_made_or_taken_over() {
    let sandbox = Sandbox::new();
    sandbox.fifo("fifo.csv");
    for args in [
        &["plan", "fifo.csv"][..],
        &["plan", "fifo.csv", "--invalid", "invalid.csv"],
        &["run", "--plan", "fifo.csv"],
    ] {
        let mut command = sandbox.program();
        command.args(args);
        stopped_at(&sandbox, "fifo.csv", command);
    }
    let folder = fs::read_dir(sandbox.path("")).expect("a folder");
    let names: Vec<_> = folder
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["fifo.csv"]);

    // In the middle of it.
    let mut command = sandbox.program();
    let running = start(command.args(["plan", "fifo.csv", "--invalid", "invalid.csv"]));
    let mut rows = sandbox.until_read("fifo.csv");
    rows.write_all((people(2) + "bad row\n").as_bytes())
        .expect("written");
    running.signal(Signal::INT);
    running.ended().exits(130);
    let left = fs::read_dir(sandbox.path("")).expect("a folder").count();
    assert_eq!(left, 1);
}

#[test]
fn signals_are_heeded_while_a_file_is_opened() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("cognito-unlink.toml", "hold = [\"holds\"]\n");
    sandbox.fifo("holds");
    let running = sandbox.start(&["people.csv"]);
    // What comes next is the list, and nobody opens its other end.
    running.says("Taken from cognito-unlink.toml: hold");
    running.signal(Signal::INT);
    running.ended().exits(130);
    assert!(!sandbox.exists("people.results.csv"));
}

#[test]
fn signals_that_were_ignored_stay_ignored() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Hold,
        times: None,
    });
    let program = sandbox.run_command(&["people.csv", "--json", "--concurrency", "4"]);
    // As `nohup` does, and a shell for what it starts in the background.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP INT; exec \"$@\"", "sh"]);
    command.arg(program.get_program()).args(program.get_args());
    command.current_dir(sandbox.path("")).env_clear();
    command.envs(
        program
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    let running = start(&mut command);
    assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held == 4));
    running.signal(Signal::HUP);
    running.signal(Signal::INT);
    // Would it be the second or third, nothing would be waited for.
    running.signal(Signal::TERM);
    running.says("waiting for 4 calls in flight");
    sandbox.emulator.clear_rules();
    let ran = running.ended().exits(143);
    assert_eq!(ran.counts(&["unlinked", "in_doubt", "left"]), [4, 0, 36]);
}
