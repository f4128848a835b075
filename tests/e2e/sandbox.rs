//! A place of its own for every test: a directory, an emulator on a socket, and the real executable with an empty
//! environment.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use cognito_unlink::emulator::{Call, Emulator, Link, Rule, Settings, Then, When};
use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Nothing here takes half as long, even on a busy machine; what does is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const POOL: &str = "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
pub(crate) const PROVIDER: &str = "login.example.com";

/// The link of user `n`, whose identity is its own.
pub(crate) fn link(n: usize) -> Link {
    link_of(n, &format!("acct-{n}"))
}

/// A link of identity `n`.
pub(crate) fn link_of(n: usize, user: &str) -> Link {
    Link {
        identity_id: format!("us-east-1:00000000-0000-4000-8000-{n:012x}"),
        identity_pool_id: POOL.to_owned(),
        developer_provider_name: PROVIDER.to_owned(),
        developer_user_identifier: user.to_owned(),
    }
}

/// Links as a CSV file with a header.
pub(crate) fn csv(links: &[Link]) -> String {
    let mut text =
        "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n"
            .to_owned();
    for link in links {
        let user = link.developer_user_identifier.replace('"', "\"\"");
        let _ = writeln!(
            text,
            "{},{},{},\"{user}\"",
            link.identity_id, link.identity_pool_id, link.developer_provider_name
        );
    }
    text
}

/// The links of users `1..=n` as a CSV file.
pub(crate) fn people(n: usize) -> String {
    csv(&(1..=n).map(link).collect::<Vec<_>>())
}

pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
    pub(crate) emulator: Emulator,
}

/// A port that refuses connections: it is taken as long as this lives, so that nobody else comes to listen on it.
pub(crate) struct Closed {
    url: String,
    _socket: OwnedFd,
}

impl Closed {
    pub(crate) fn new() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = getsockname(&socket).expect("an address");
        let address = SocketAddr::try_from(address).expect("an address of IP");
        Self {
            url: format!("http://{address}"),
            _socket: socket,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// A program that has ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program under way.
pub(crate) struct Running {
    child: Child,
    stdout: Arc<Said>,
    stderr: Arc<Said>,
    /// What the program takes for its terminal.
    terminal: Option<File>,
}

/// What a program has said so far on one of its pipes.
#[derive(Default)]
struct Said {
    /// The bytes, and whether there are no more.
    text: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

/// A line of a results file: column or key to value, an empty one for null.
pub(crate) type Line = HashMap<String, String>;

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(crate) fn with(settings: Settings) -> Self {
        let settings = Settings {
            log: true,
            ..settings
        };
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            emulator: Emulator::spawn(settings).expect("an emulator"),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("written");
    }

    /// Makes a FIFO.
    pub(crate) fn fifo(&self, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
    }

    /// Opens a FIFO for writing, which waits until somebody reads from it.
    #[track_caller]
    pub(crate) fn until_read(&self, fifo: &str) -> File {
        let path = self.path(fifo);
        let (tell, told) = mpsc::sync_channel(1);
        thread::spawn(move || tell.send(File::options().write(true).open(path)));
        let opened = told.recv_timeout(PATIENCE).expect("it is opened");
        opened.expect("a FIFO")
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a readable file")
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The executable in this directory, with an environment that holds nothing of the machine's.
    pub(crate) fn bare(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cognito-unlink"));
        command
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.directory.path())
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("COLUMNS", "100")
            .stdin(Stdio::null());
        command
    }

    /// The executable with credentials.
    pub(crate) fn program(&self) -> Command {
        let mut command = self.bare();
        command
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        command
    }

    /// `run`, against the emulator, at any rate unless `args` name one.
    pub(crate) fn run_command(&self, args: &[&str]) -> Command {
        let mut command = self.program();
        command.arg("run").args(args);
        command.args(["--endpoint-url", &self.emulator.url()]);
        if !args.contains(&"--rate") {
            command.args(["--rate", "unlimited"]);
        }
        command
    }

    /// Runs to the end.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        start(&mut self.run_command(args)).ended()
    }

    /// Runs to the end, with `input` on standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        let mut command = self.run_command(args);
        let mut running = start(command.stdin(Stdio::piped()));
        let mut stdin = running.child.stdin.take().expect("a pipe");
        // A program that refuses to run reads nothing.
        let _ = stdin.write_all(input);
        drop(stdin);
        running.ended()
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running {
        start(&mut self.run_command(args))
    }

    /// Starts a run in which four calls are under way and stay so, until the emulator's rules are cleared.
    #[track_caller]
    pub(crate) fn start_four_held(&self, args: &[&str]) -> Running {
        self.emulator.add_rule(Rule {
            when: When::Always,
            then: Then::Hold,
            times: None,
        });
        let running = self.start(&[args, &["--concurrency", "4"]].concat());
        let held = self.emulator.wait_until(PATIENCE, |seen| seen.held == 4);
        assert!(held, "{:?}", self.emulator.counters());
        running
    }

    /// The lines of a results file, CSV or JSONL, after a check that every one is whole.
    pub(crate) fn results(&self, name: &str) -> Vec<Line> {
        results(&self.path(name))
    }

    /// Outcome by user.
    pub(crate) fn outcomes(&self, name: &str) -> HashMap<String, String> {
        self.results(name)
            .into_iter()
            .map(|line| {
                (
                    line["developer_user_identifier"].clone(),
                    line["outcome"].clone(),
                )
            })
            .collect()
    }

    /// How often each user was called.
    pub(crate) fn calls_by_user(&self) -> HashMap<String, usize> {
        let mut calls = HashMap::new();
        for Call {
            developer_user_identifier,
            ..
        } in self.emulator.calls()
        {
            *calls.entry(developer_user_identifier).or_default() += 1;
        }
        calls
    }
}

fn results(path: &Path) -> Vec<Line> {
    let text = fs::read_to_string(path).expect("results");
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    if path.extension() == Some(OsStr::new("csv")) {
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        reader
            .deserialize()
            .map(|line| line.expect("a whole line"))
            .collect()
    } else {
        text.lines()
            .map(|line| {
                let object: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(line).expect("an object");
                let plain = |value: serde_json::Value| match value {
                    serde_json::Value::Null => String::new(),
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                object
                    .into_iter()
                    .map(|(key, value)| (key, plain(value)))
                    .collect()
            })
            .collect()
    }
}

/// Starts `command`, and reads what it says.
pub(crate) fn start(command: &mut Command) -> Running {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let stdout = read_all(child.stdout.take().expect("a pipe"));
    let stderr = read_all(child.stderr.take().expect("a pipe"));
    Running {
        child,
        stdout,
        stderr,
        terminal: None,
    }
}

/// Starts `command`, whose standard error goes where nobody reads.
pub(crate) fn start_unheard(mut command: Command, stderr: impl Into<Stdio>) -> Running {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(stderr)
        .spawn()
        .expect("the program starts");
    Running {
        stdout: read_all(child.stdout.take().expect("a pipe")),
        stderr: read_all(io::empty()),
        child,
        terminal: None,
    }
}

/// Starts `command`, whose standard output goes where nobody reads.
pub(crate) fn start_unseen(command: &mut Command, stdout: impl Into<Stdio>) -> Running {
    let mut child = command
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    Running {
        stdout: read_all(io::empty()),
        stderr: read_all(child.stderr.take().expect("a pipe")),
        child,
        terminal: None,
    }
}

/// A pipe that takes no more, and what keeps it from being closed.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags");
    while writer.write(&[b'.'; 4096]).is_ok() {}
    fcntl_setfl(&writer, flags).expect("flags");
    (reader, writer)
}

/// A terminal, and a way to open its other side.
pub(crate) fn terminal() -> (OwnedFd, impl Fn() -> File) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&terminal)
        .and_then(|()| unlockpt(&terminal))
        .expect("a usable terminal");
    let name = ptsname(&terminal, Vec::new()).expect("a name");
    let side = move || {
        File::options()
            .read(true)
            .write(true)
            .open(Path::new(OsStr::from_bytes(name.as_bytes())))
            .expect("its other side")
    };
    (terminal, side)
}

/// Starts `command` with a terminal for its standard input and error.
pub(crate) fn start_on_terminal(mut command: Command) -> Running {
    let (terminal, side) = terminal();
    let mut child = command
        .stdin(side())
        .stdout(Stdio::piped())
        .stderr(side())
        .spawn()
        .expect("the program starts");
    // Ours of the other side: as long as there is one, reading from the terminal never ends.
    drop(command);
    let stdout = read_all(child.stdout.take().expect("a pipe"));
    let terminal = File::from(terminal);
    let stderr = read_all(terminal.try_clone().expect("a terminal"));
    Running {
        child,
        stdout,
        stderr,
        terminal: Some(terminal),
    }
}

/// Reads in a thread: a full pipe would stop the program.
fn read_all(mut pipe: impl Read + Send + 'static) -> Arc<Said> {
    let said = Arc::new(Said::default());
    let listener = Arc::clone(&said);
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        loop {
            let read = pipe.read(&mut bytes).unwrap_or(0);
            let mut text = listener.text.lock().unwrap_or_else(PoisonError::into_inner);
            text.0.extend_from_slice(&bytes[..read]);
            text.1 = read == 0;
            listener.changed.notify_all();
            if read == 0 {
                return;
            }
        }
    });
    said
}

impl Said {
    /// What was said when `enough` or when patience is at its end, and whether it was enough.
    fn wait(&self, enough: impl Fn(&str, bool) -> bool) -> (String, bool) {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let enough =
            |(bytes, ended): &(Vec<u8>, bool)| enough(&String::from_utf8_lossy(bytes), *ended);
        let (text, _) = self
            .changed
            .wait_timeout_while(text, PATIENCE, |text| !enough(text))
            .unwrap_or_else(PoisonError::into_inner);
        (String::from_utf8_lossy(&text.0).into_owned(), enough(&text))
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Types this.
    pub(crate) fn types(&self, text: &str) {
        let mut terminal = self.terminal.as_ref().expect("a terminal");
        terminal.write_all(text.as_bytes()).expect("typed");
    }

    /// Waits until the program has said this on standard error.
    #[track_caller]
    pub(crate) fn says(&self, words: &str) {
        let (said, enough) = self.stderr.wait(|said, _| said.contains(words));
        assert!(enough, "{words:?} was never said, but {said:?}");
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn ended(mut self) -> Ran {
        // Its pipes close when a program ends, so one that is stuck is found here.
        let (stdout, over) = self.stdout.wait(|_, ended| ended);
        if !over {
            let _ = self.child.kill();
        }
        let (stderr, quiet) = self.stderr.wait(|_, ended| ended);
        if !quiet {
            let _ = self.child.kill();
        }
        let over = over && quiet;
        assert!(over, "the program is stuck; it said {stderr:?}");
        Ran {
            status: self.child.wait().expect("it has ended"),
            stdout,
            stderr,
        }
    }
}

impl Ran {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The exit code is this, and what the program said is shown if not.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        self
    }

    /// The summary of a run with `--json`.
    #[track_caller]
    pub(crate) fn summary(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// What was counted, as `rows`, `skipped`, and each outcome that there is.
    #[track_caller]
    pub(crate) fn counts(&self, names: &[&str]) -> Vec<u64> {
        let summary = self.summary();
        names
            .iter()
            .map(|name| {
                summary[*name]
                    .as_u64()
                    .unwrap_or_else(|| panic!("{name} in {summary}"))
            })
            .collect()
    }
}
