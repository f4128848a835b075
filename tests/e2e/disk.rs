//! Disks that fill up, and results and side files that disappear, are replaced or cannot be created.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use cognito_unlink::testing::emulator::{Then, When};

use crate::sandbox::{Output, Sandbox, TIMEOUT, create_fifo, in_shell, people, rule, start};

/// Rows of each run. The small disks have room for 50 to 150 results.
const ROWS: usize = 400;

/// The path, without its ending, to which the results are moved once there is room.
const RESULTS_WITH_ROOM: &str = "out/people.results";

/// Returns a shell in a mount namespace of its own, so that it may mount a file system.
fn mounting_shell() -> Command {
    let mut shell = Command::new("unshare");
    shell.args(["-rm", "sh"]);
    shell
}

/// Runs `args` where the directory `small` has room for `kib` KiB, and moves its files to `out` afterwards.
///
/// It is a file system of that size or, where mounting is not permitted, a bound on the size of a file.
fn run_on_small_disk(sandbox: &Sandbox, kib: u32, args: &[&str]) -> Output {
    for directory in ["small", "out"] {
        fs::create_dir(sandbox.path(directory)).expect("a directory");
    }
    let mount = format!("mount -t tmpfs -o size={kib}k tmpfs small");
    let mountable = mounting_shell()
        .args(["-c", &mount])
        .current_dir(sandbox.path("."))
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    let command = sandbox.run_command(args);
    if mountable {
        let script = format!("{mount} && \"$@\"; code=$?; cp small/* out/; exit $code");
        return start(&mut in_shell(mounting_shell(), &script, &command)).wait();
    }
    let ran = run_with_bounded_files(sandbox, kib, args);
    for entry in fs::read_dir(sandbox.path("small")).expect("a directory") {
        let from = entry.expect("an entry").path();
        let to = sandbox
            .path("out")
            .join(from.file_name().expect("it has a name"));
        fs::rename(from, to).expect("moved");
    }
    ran
}

/// Runs `args` while no file may grow beyond `kib` KiB.
fn run_with_bounded_files(sandbox: &Sandbox, kib: u32, args: &[&str]) -> Output {
    // In blocks of 512 bytes. The write that fails also raises SIGXFSZ, which kills a process that does not ignore it.
    let script = format!("ulimit -f {}; exec \"$@\"", kib * 2);
    let command = sandbox.run_command(args);
    start(&mut in_shell(Command::new("sh"), &script, &command)).wait()
}

/// Asserts that `ran` halted because the disk was full and left whole `results`, from which the next run resumes.
fn assert_resumes_with_room(sandbox: &Sandbox, ran: &Output, results: &str) {
    for words in ["results file cannot be written", "Check the disk"] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    let full = ["No space left", "File too large"];
    assert!(full.iter().any(|why| ran.stdout.contains(why)), "{ran:?}");

    // Every line is whole, and only the calls that were in flight at the end have none.
    let recorded: HashSet<String> = sandbox.outcomes(results).into_keys().collect();
    let called: HashSet<String> = sandbox.calls_by_user().into_keys().collect();
    assert!(recorded.is_subset(&called), "{recorded:?}");
    let lost = called.len() - recorded.len();
    assert!(recorded.len() > 20 && (1..100).contains(&lost), "{lost}");
    assert!(sandbox.exists(&format!("{results}.inflight")));

    let ran = sandbox
        .run(&["people.csv", "--results", results, "--json"])
        .expect_exit(0);
    assert!(!ran.stderr.contains("torn"), "{}", ran.stderr);
    let names = [
        "rows",
        "skipped",
        "unlinked",
        "unlinked_reply_lost",
        "not_linked",
    ];
    let [rows, lost_rows, skipped] = [ROWS, lost, recorded.len()].map(|number| number as u64);
    assert_eq!(
        ran.counts(&names),
        [rows, skipped, rows - skipped - lost_rows, lost_rows, 0]
    );
    let outcomes = sandbox.outcomes(results);
    assert_eq!(outcomes.len(), ROWS);
    for user in called.difference(&recorded) {
        assert_eq!(outcomes[user], "unlinked_reply_lost", "{user}");
    }
    assert!(!sandbox.exists(&format!("{results}.inflight")));
}

/// Returns the arguments of a run that fills its disk call by call, and not all at once.
fn slow_run_args(results: &str) -> [&str; 7] {
    [
        "people.csv",
        "--results",
        results,
        "--concurrency",
        "4",
        "--rate",
        "200",
    ]
}

#[test]
fn a_full_disk_halts_the_run_and_loses_no_row() {
    for ending in ["csv", "jsonl"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(ROWS));
        let results = format!("small/people.results.{ending}");
        let ran = run_on_small_disk(&sandbox, 64, &slow_run_args(&results)).expect_exit(5);
        assert_resumes_with_room(&sandbox, &ran, &format!("{RESULTS_WITH_ROOM}.{ending}"));
    }
}

#[test]
fn a_file_size_limit_halts_the_run_and_loses_no_row() {
    for ending in ["csv", "jsonl"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(ROWS));
        let results = format!("people.results.{ending}");
        let ran = run_with_bounded_files(&sandbox, 48, &slow_run_args(&results)).expect_exit(5);
        assert_resumes_with_room(&sandbox, &ran, &results);
    }
}

#[test]
fn a_disk_without_room_for_the_side_file_stops_the_run_before_any_call() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(ROWS));
    let args = ["people.csv", "--results", "small/people.results.csv"];
    let ran = run_on_small_disk(&sandbox, 16, &args).expect_exit(5);
    assert!(
        ran.stderr.contains("small/people.results.csv"),
        "{}",
        ran.stderr
    );
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    // Half a side file would take up room that the next run needs.
    let left = fs::read_dir(sandbox.path("out")).expect("a directory");
    assert_eq!(left.count(), 1, "the results alone");
    sandbox
        .run(&[
            "people.csv",
            "--results",
            &format!("{RESULTS_WITH_ROOM}.csv"),
        ])
        .expect_exit(0);
    assert_eq!(sandbox.emulator.counters().effects, ROWS as u64);
}

/// Runs with results in `out`, and calls `interfere` while the emulator holds a call.
fn run_with_interference(sandbox: &Sandbox, interfere: impl FnOnce()) -> Output {
    sandbox.write("people.csv", people(ROWS));
    sandbox
        .emulator
        .add_rule(rule(When::User("acct-10".into()), Then::Hold));
    let args = ["people.csv", "--results", "out/people.results.csv"];
    let running = sandbox.start(&[&args[..], &["--rate", "100", "--concurrency", "4"]].concat());
    let reached = sandbox
        .emulator
        .wait_until(TIMEOUT, |seen| seen.held == 1 && seen.unlinks > 20);
    assert!(reached);
    interfere();
    sandbox.emulator.clear_rules();
    running.wait()
}

#[test]
fn removed_results_halt_the_run() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("out")).expect("a directory");
    let ran = run_with_interference(&sandbox, || {
        fs::remove_dir_all(sandbox.path("out")).expect("removed");
    })
    .expect_exit(5);
    for words in [
        "results file cannot be written",
        "If it was moved, put it back",
    ] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    let unlinks = sandbox.emulator.counters().unlinks;
    assert!(unlinks < ROWS as u64, "calls went on to the end");

    // Without a record each row is called once more, and the service says what is already unlinked.
    fs::create_dir(sandbox.path("out")).expect("a directory");
    let args = [
        "people.csv",
        "--results",
        "out/people.results.csv",
        "--json",
    ];
    let ran = sandbox.run(&args).expect_exit(0);
    let rows = ROWS as u64;
    assert_eq!(
        ran.counts(&["rows", "unlinked", "not_linked"]),
        [rows, rows - unlinks, unlinks]
    );
}

/// While no reply arrives nothing is appended, and the loss is still noticed.
#[test]
fn removed_results_are_noticed_before_the_next_result() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(ROWS));
    let running = sandbox.start_with_four_calls_held(&["people.csv"]);
    fs::remove_file(sandbox.path("people.results.csv")).expect("removed");
    running.wait_for_stderr("Stopping: waiting for 4 calls in flight");
    sandbox.emulator.clear_rules();
    running.wait().expect_exit(5);
    assert_eq!(sandbox.emulator.counters().unlinks, 4);
    assert!(sandbox.exists("people.results.csv.inflight"));
}

#[test]
fn replaced_results_halt_the_run_and_are_left_alone() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("out")).expect("a directory");
    let results = sandbox.path("out/people.results.csv");
    let copy = sandbox.path("copy.csv");
    let mut other = Vec::new();
    let ran = run_with_interference(&sandbox, || {
        other = fs::read(&results).expect("results");
        fs::write(&copy, &other).expect("written");
        fs::rename(&copy, &results).expect("it takes the place");
    })
    .expect_exit(5);
    for words in ["another file has taken its place", "Find out who did that"] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    assert!(
        sandbox.emulator.counters().unlinks < ROWS as u64,
        "calls went on to the end"
    );
    assert_eq!(fs::read(&results).expect("the other file"), other);

    let args = ["people.csv", "--results", "out/people.results.csv"];
    sandbox.run(&args).expect_exit(0);
    let lines = sandbox.results("out/people.results.csv");
    assert_eq!(lines.len(), ROWS);
    assert_eq!(sandbox.outcomes("out/people.results.csv").len(), ROWS);
    let effects = sandbox.emulator.counters().effects;
    assert_eq!(effects, ROWS as u64);
}

#[test]
fn folders_fifos_and_dangling_links_are_refused_for_results() {
    for in_the_way in ["people.results.csv", "people.results.csv.inflight"] {
        let folder = |path: &Path| fs::create_dir(path).expect("a directory");
        // Through a dangling link the results would be created at a path that the owner of the link chose.
        let dangling_link = |path: &Path| symlink("elsewhere.csv", path).expect("linked");
        for put in [folder as fn(&Path), create_fifo, dangling_link] {
            let sandbox = Sandbox::new();
            sandbox.write("people.csv", people(3));
            let path = sandbox.path(in_the_way);
            put(&path);
            let before = fs::symlink_metadata(&path).expect("it is there");
            let ran = sandbox.run(&["people.csv"]).expect_exit(2);
            assert!(ran.stderr.contains(in_the_way), "{}", ran.stderr);
            assert_eq!(sandbox.emulator.counters().unlinks, 0);
            assert!(!sandbox.exists("elsewhere.csv"));
            let now = fs::symlink_metadata(&path).expect("it is there");
            assert_eq!(now.ino(), before.ino());
            fs::rename(&path, sandbox.path("away")).expect("moved away");
            sandbox.run(&["people.csv"]).expect_exit(0);
        }
    }
}

/// Temporary files have random names: a file or link at a name that could be guessed is neither written nor removed.
#[test]
fn guessable_temporary_names_are_not_used() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("precious", "theirs");
    symlink(
        sandbox.path("precious"),
        sandbox.path("people.results.csv.inflight.new"),
    )
    .expect("linked");
    sandbox.run(&["people.csv"]).expect_exit(0);
    assert_eq!(sandbox.read("precious"), "theirs");
    assert!(sandbox.exists("people.results.csv.inflight.new"));
}

#[test]
fn a_link_to_an_empty_file_is_refused_for_results() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("empty", "");
    fs::create_dir(sandbox.path("shared")).expect("a directory");
    let opened = fs::Permissions::from_mode(0o777);
    fs::set_permissions(sandbox.path("shared"), opened).expect("ours");
    symlink("../empty", sandbox.path("shared/people.csv")).expect("linked");
    let args = ["people.csv", "--results", "shared/people.csv"];
    let ran = sandbox.run(&args).expect_exit(2);
    for words in ["shared/people.csv", "link to an empty file", "--results"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert_eq!(sandbox.read("empty"), "");
    // A link to results that were begun under their own name is accepted.
    sandbox
        .run(&["people.csv", "--results", "shared/own.csv", "--limit", "1"])
        .expect_exit(4);
    fs::rename(sandbox.path("shared/own.csv"), sandbox.path("empty")).expect("moved");
    let ran = sandbox
        .run(&[&args[..], &["--json"]].concat())
        .expect_exit(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [1, 2]);
}

#[test]
fn results_of_another_owner_are_refused_and_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let results = sandbox.path("people.results.csv");
    let made_theirs = || {
        fs::write(&results, "").expect("written");
        chown(&results, Some(65534), Some(65534))
    };
    if made_theirs().is_err() {
        // Only root can change the owner of a file. Otherwise take a file of root's that we may not write.
        fs::remove_file(&results).expect("ours");
        symlink("/etc/passwd", &results).expect("linked");
    }
    let before = fs::read(&results).expect("readable");
    let ran = sandbox.run(&["people.csv"]).expect_exit(2);
    assert!(ran.stderr.contains("people.results.csv"), "{}", ran.stderr);
    assert_eq!(fs::read(&results).expect("readable"), before);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

/// Without its side file a crash would forget the calls in flight.
#[test]
fn a_removed_or_replaced_side_file_halts_the_run() {
    const SIDE_FILE: &str = "people.results.csv.inflight";
    for replaced in [false, true] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(ROWS));
        let running = sandbox.start_with_four_calls_held(&["people.csv"]);
        fs::remove_file(sandbox.path(SIDE_FILE)).expect("removed");
        if replaced {
            sandbox.write(SIDE_FILE, "theirs");
        }
        running.wait_for_stderr("Stopping: waiting for 4 calls in flight");
        sandbox.emulator.clear_rules();
        let ran = running.wait().expect_exit(5);
        for words in ["side file of the results is not as", "before the next run"] {
            assert!(ran.stdout.contains(words), "{}", ran.stdout);
        }
        // The calls in flight are recorded, and a file that this run did not create stays.
        assert_eq!(sandbox.results("people.results.csv").len(), 4);
        assert_eq!(sandbox.emulator.counters().unlinks, 4);
        assert_eq!(sandbox.exists(SIDE_FILE), replaced);
    }
}

#[test]
fn a_device_is_refused_for_results() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    symlink("/dev/null", sandbox.path("people.results.csv")).expect("linked");
    let ran = sandbox.run(&["people.csv"]).expect_exit(2);
    assert!(ran.stderr.contains("not a regular file"), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}
