//! Disks that fill up, and results that are taken away or stand in the way.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use cognito_unlink::emulator::{Rule, Then, When};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::sandbox::{PATIENCE, Ran, Sandbox, people, start};

/// Rows of every run here. The small disks have room for some fifty to a hundred and fifty results.
const ROWS: usize = 400;

/// Where the results are moved to once there is room.
const OUT: &str = "out/people.results";

/// `command` as the arguments of `shell`, which runs them as `"$@"`.
fn within(mut shell: Command, script: &str, command: &Command) -> Command {
    let given = command.get_envs();
    shell
        .args(["-c", script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(given.filter_map(|(name, value)| Some((name, value?))))
        // The shell's own: it needs to find `mount` and `cp`.
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(command.get_current_dir().expect("it has one"))
        .stdin(Stdio::null());
    shell
}

/// A shell that may mount a file system of its own.
fn mounting_shell() -> Command {
    let mut shell = Command::new("unshare");
    shell.args(["-rm", "sh"]);
    shell
}

/// Runs `args` where the directory `small` has room for `kib` KiB, and moves what it holds to `out` afterwards.
///
/// That is a file system of that size, or where none may be mounted, a bound on the size of a file.
fn run_in_little_room(sandbox: &Sandbox, kib: u32, args: &[&str]) -> Ran {
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
        return start(&mut within(mounting_shell(), &script, &command)).ended();
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

/// Runs `args` while no file can grow beyond `kib` KiB.
fn run_with_bounded_files(sandbox: &Sandbox, kib: u32, args: &[&str]) -> Ran {
    // Told in blocks of 512 bytes. With the write that fails comes a signal that kills whoever does not heed it.
    let script = format!("ulimit -f {}; exec \"$@\"", kib * 2);
    let command = sandbox.run_command(args);
    start(&mut within(Command::new("sh"), &script, &command)).ended()
}

/// The run `ran` has halted for want of room and left `results`; with room, the same command goes on.
fn goes_on_with_room(sandbox: &Sandbox, ran: &Ran, results: &str) {
    for words in ["results file cannot be written", "See to the disk"] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    let full = ["No space left", "File too large"];
    assert!(full.iter().any(|why| ran.stdout.contains(why)), "{ran:?}");

    // Every line is whole, and a call without one was the last of its kind.
    let recorded: HashSet<String> = sandbox.outcomes(results).into_keys().collect();
    let called: HashSet<String> = sandbox.calls_by_user().into_keys().collect();
    assert!(recorded.is_subset(&called), "{recorded:?}");
    let lost = called.len() - recorded.len();
    assert!(recorded.len() > 20 && (1..100).contains(&lost), "{lost}");
    assert!(sandbox.exists(&format!("{results}.inflight")));

    let ran = sandbox
        .run(&["people.csv", "--results", results, "--json"])
        .exits(0);
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

/// A run that fills its disk call by call, and not all at once.
fn steady(results: &str) -> [&str; 7] {
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
fn a_full_disk_halts_the_run_and_forgets_nobody() {
    for ending in ["csv", "jsonl"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(ROWS));
        let results = format!("small/people.results.{ending}");
        let ran = run_in_little_room(&sandbox, 64, &steady(&results)).exits(5);
        goes_on_with_room(&sandbox, &ran, &format!("{OUT}.{ending}"));
    }
}

#[test]
fn a_bounded_file_halts_the_run_and_forgets_nobody() {
    for ending in ["csv", "jsonl"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(ROWS));
        let results = format!("people.results.{ending}");
        let ran = run_with_bounded_files(&sandbox, 48, &steady(&results)).exits(5);
        goes_on_with_room(&sandbox, &ran, &results);
    }
}

#[test]
fn without_room_for_the_side_file_nothing_is_called() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(ROWS));
    let args = ["people.csv", "--results", "small/people.results.csv"];
    let ran = run_in_little_room(&sandbox, 16, &args).exits(5);
    assert!(
        ran.stderr.contains("small/people.results.csv"),
        "{}",
        ran.stderr
    );
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    // Half a side file would take room that is wanted.
    let left = fs::read_dir(sandbox.path("out")).expect("a directory");
    assert_eq!(left.count(), 1, "the results alone");
    sandbox
        .run(&["people.csv", "--results", &format!("{OUT}.csv")])
        .exits(0);
    assert_eq!(sandbox.emulator.counters().effects, ROWS as u64);
}

/// A run with results in `out`, brought to a call that the emulator holds; then `happens`, and the call goes on.
fn run_while(sandbox: &Sandbox, happens: impl FnOnce()) -> Ran {
    sandbox.write("people.csv", people(ROWS));
    sandbox.emulator.add_rule(Rule {
        when: When::User("acct-10".into()),
        then: Then::Hold,
        times: None,
    });
    let args = ["people.csv", "--results", "out/people.results.csv"];
    let running = sandbox.start(&[&args[..], &["--rate", "100", "--concurrency", "4"]].concat());
    let reached = sandbox
        .emulator
        .wait_until(PATIENCE, |seen| seen.held == 1 && seen.unlinks > 20);
    assert!(reached);
    happens();
    sandbox.emulator.clear_rules();
    running.ended()
}

#[test]
fn results_that_are_gone_halt_the_run() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("out")).expect("a directory");
    let ran = run_while(&sandbox, || {
        fs::remove_dir_all(sandbox.path("out")).expect("it is ours");
    })
    .exits(5);
    for words in [
        "results file cannot be written",
        "If it was moved, put it back",
    ] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    let unlinks = sandbox.emulator.counters().unlinks;
    assert!(unlinks < ROWS as u64, "calls went on to the end");

    // With nothing left to go by, each row is called once more, and told as the service has it.
    fs::create_dir(sandbox.path("out")).expect("a directory");
    let args = [
        "people.csv",
        "--results",
        "out/people.results.csv",
        "--json",
    ];
    let ran = sandbox.run(&args).exits(0);
    let rows = ROWS as u64;
    assert_eq!(
        ran.counts(&["rows", "unlinked", "not_linked"]),
        [rows, rows - unlinks, unlinks]
    );
}

/// While nobody answers nothing is appended, and still it is seen.
#[test]
fn results_that_are_gone_are_missed_before_the_next_line() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(ROWS));
    let running = sandbox.start_four_held(&["people.csv"]);
    fs::remove_file(sandbox.path("people.results.csv")).expect("it is ours");
    running.says("Stopping: waiting for 4 calls in flight");
    sandbox.emulator.clear_rules();
    running.ended().exits(5);
    assert_eq!(sandbox.emulator.counters().unlinks, 4);
    assert!(sandbox.exists("people.results.csv.inflight"));
}

#[test]
fn another_file_in_place_of_the_results_halts_the_run_and_is_left_as_it_is() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("out")).expect("a directory");
    let results = sandbox.path("out/people.results.csv");
    let copy = sandbox.path("copy.csv");
    let mut other = Vec::new();
    let ran = run_while(&sandbox, || {
        other = fs::read(&results).expect("results");
        fs::write(&copy, &other).expect("written");
        fs::rename(&copy, &results).expect("it takes the place");
    })
    .exits(5);
    for words in ["another file has taken its place", "Find out who did that"] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    assert!(
        sandbox.emulator.counters().unlinks < ROWS as u64,
        "calls went on to the end"
    );
    assert_eq!(fs::read(&results).expect("the other file"), other);

    let args = ["people.csv", "--results", "out/people.results.csv"];
    sandbox.run(&args).exits(0);
    let lines = sandbox.results("out/people.results.csv");
    assert_eq!(lines.len(), ROWS);
    assert_eq!(sandbox.outcomes("out/people.results.csv").len(), ROWS);
    let effects = sandbox.emulator.counters().effects;
    assert_eq!(effects, ROWS as u64);
}

#[test]
fn what_stands_in_the_way_of_the_results_is_named_and_nothing_is_called() {
    for in_the_way in ["people.results.csv", "people.results.csv.inflight"] {
        let folder = |path: &Path| fs::create_dir(path).expect("a directory");
        let fifo = |path: &Path| {
            let mode = Mode::RUSR | Mode::WUSR;
            mknodat(CWD, path, FileType::Fifo, mode, 0).expect("a FIFO");
        };
        // Behind a link to a place of its own a file would be made where somebody else wants it.
        let dangling = |path: &Path| symlink("elsewhere.csv", path).expect("linked");
        for put in [folder as fn(&Path), fifo, dangling] {
            let sandbox = Sandbox::new();
            sandbox.write("people.csv", people(3));
            let path = sandbox.path(in_the_way);
            put(&path);
            let before = fs::symlink_metadata(&path).expect("it is there");
            let ran = sandbox.run(&["people.csv"]).exits(2);
            assert!(ran.stderr.contains(in_the_way), "{}", ran.stderr);
            assert_eq!(sandbox.emulator.counters().unlinks, 0);
            assert!(!sandbox.exists("elsewhere.csv"));
            let now = fs::symlink_metadata(&path).expect("it is there");
            assert_eq!(now.ino(), before.ino());
            fs::rename(&path, sandbox.path("away")).expect("moved away");
            sandbox.run(&["people.csv"]).exits(0);
        }
    }
}

/// The names that earlier versions made their files under are nothing to this one, whoever has put something there.
#[test]
fn names_that_could_be_foreseen_are_not_used() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("precious", "theirs");
    symlink(
        sandbox.path("precious"),
        sandbox.path("people.results.csv.inflight.new"),
    )
    .expect("linked");
    sandbox.run(&["people.csv"]).exits(0);
    assert_eq!(sandbox.read("precious"), "theirs");
    assert!(sandbox.exists("people.results.csv.inflight.new"));
}

#[test]
fn results_are_begun_in_no_empty_file_that_others_may_have_chosen() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("empty", "");
    fs::create_dir(sandbox.path("shared")).expect("a directory");
    let opened = fs::Permissions::from_mode(0o777);
    fs::set_permissions(sandbox.path("shared"), opened).expect("ours");
    symlink("../empty", sandbox.path("shared/people.csv")).expect("linked");
    let args = ["people.csv", "--results", "shared/people.csv"];
    let ran = sandbox.run(&args).exits(2);
    for words in ["shared/people.csv", "link to an empty file", "--results"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert_eq!(sandbox.read("empty"), "");
    // Once they are begun under their own name, the link leads to results like any other.
    sandbox
        .run(&["people.csv", "--results", "shared/own.csv", "--limit", "1"])
        .exits(4);
    fs::rename(sandbox.path("shared/own.csv"), sandbox.path("empty")).expect("moved");
    let ran = sandbox.run(&[&args[..], &["--json"]].concat()).exits(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [1, 2]);
}

#[test]
fn results_of_another_user_are_refused_and_left() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let results = sandbox.path("people.results.csv");
    let made_theirs = || {
        fs::write(&results, "").expect("written");
        chown(&results, Some(65534), Some(65534))
    };
    if made_theirs().is_err() {
        // Only root can give a file away. There is one that is root's, and not for us to write to.
        fs::remove_file(&results).expect("ours");
        symlink("/etc/passwd", &results).expect("linked");
    }
    let before = fs::read(&results).expect("readable");
    let ran = sandbox.run(&["people.csv"]).exits(2);
    assert!(ran.stderr.contains("people.results.csv"), "{}", ran.stderr);
    assert_eq!(fs::read(&results).expect("readable"), before);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

/// Calls that are made now could be forgotten.
#[test]
fn a_side_file_that_is_gone_or_another_halts_the_run() {
    const SIDE_FILE: &str = "people.results.csv.inflight";
    for replaced in [false, true] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(ROWS));
        let running = sandbox.start_four_held(&["people.csv"]);
        fs::remove_file(sandbox.path(SIDE_FILE)).expect("it is ours");
        if replaced {
            sandbox.write(SIDE_FILE, "theirs");
        }
        running.says("Stopping: waiting for 4 calls in flight");
        sandbox.emulator.clear_rules();
        let ran = running.ended().exits(5);
        for words in ["side file of the results is not as", "before the next run"] {
            assert!(ran.stdout.contains(words), "{}", ran.stdout);
        }
        // What was in flight is recorded, and what is not this run's is left.
        assert_eq!(sandbox.results("people.results.csv").len(), 4);
        assert_eq!(sandbox.emulator.counters().unlinks, 4);
        assert_eq!(sandbox.exists(SIDE_FILE), replaced);
    }
}

#[test]
fn results_go_to_no_device() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    symlink("/dev/null", sandbox.path("people.results.csv")).expect("linked");
    let ran = sandbox.run(&["people.csv"]).exits(2);
    assert!(ran.stderr.contains("not a regular file"), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}
