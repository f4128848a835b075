//! The sandbox of a test: a temporary directory, an emulator on a socket, and the real executable with an empty environment.
//!
//! A test starts the program ([`Sandbox::run`], [`Sandbox::start`], [`start`]), waits for it ([`Running::wait`]) and asserts on
//! its [`Output`], on the results file, and on what the emulator counted.

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

use aws_sdk_cognitoidentity::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cognitoidentity::{Client, Config};
use cognito_unlink::testing::emulator::{Call, Emulator, Link, Rule, Settings, Then, When};
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{CWD, FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, mknodat};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Bounds every wait. No step of a test takes half as long even on a loaded machine, so a wait that reaches it has found a
/// program that is stuck.
pub(crate) const TIMEOUT: Duration = Duration::from_mins(1);

pub(crate) const POOL: &str = "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
/// A second pool in the Region of [`POOL`].
pub(crate) const OTHER_POOL: &str = "us-east-1:99999999-9b5e-4d7a-8c21-5e0f7d9a4b63";
/// A pool in another Region.
pub(crate) const OTHER_REGION_POOL: &str = "eu-west-1:7a6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b99";
pub(crate) const PROVIDER: &str = "login.example.com";

/// Returns the link of user `n`, who has an identity of their own.
pub(crate) fn link(n: usize) -> Link {
    link_of(n, &format!("acct-{n}"))
}

/// Returns a link of `user` to identity `n`.
pub(crate) fn link_of(n: usize, user: &str) -> Link {
    Link {
        identity_id: format!("us-east-1:00000000-0000-4000-8000-{n:012x}"),
        identity_pool_id: POOL.to_owned(),
        developer_provider_name: PROVIDER.to_owned(),
        developer_user_identifier: user.to_owned(),
    }
}

/// Returns the link of user `n` in [`OTHER_POOL`].
pub(crate) fn link_in_other_pool(n: usize) -> Link {
    Link {
        identity_pool_id: OTHER_POOL.to_owned(),
        ..link(n)
    }
}

/// Returns the link of user `n` in [`OTHER_REGION_POOL`].
pub(crate) fn link_in_other_region(n: usize) -> Link {
    Link {
        identity_id: format!("eu-west-1:00000000-0000-4000-8000-{n:012x}"),
        identity_pool_id: OTHER_REGION_POOL.to_owned(),
        ..link(n)
    }
}

/// Writes links as a CSV file with a header.
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

/// Writes the links of users `1..=n` as a CSV file.
pub(crate) fn people(n: usize) -> String {
    csv(&(1..=n).map(link).collect::<Vec<_>>())
}

/// Compresses with gzip, as one member.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

/// Returns a rule of the emulator that applies until the rules are cleared.
pub(crate) fn rule(when: When, then: Then) -> Rule {
    Rule {
        when,
        then,
        times: None,
    }
}

/// Returns a rule of the emulator for every call, until the rules are cleared.
pub(crate) fn always(then: Then) -> Rule {
    rule(When::Always, then)
}

pub(crate) struct Sandbox {
    directory: tempfile::TempDir,
    pub(crate) emulator: Emulator,
}

/// A port that refuses connections. It stays bound as long as this lives, so that no other process can listen on it.
pub(crate) struct ClosedPort {
    url: String,
    _socket: OwnedFd,
}

impl ClosedPort {
    pub(crate) fn new() -> Self {
        let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = getsockname(&socket).expect("an address");
        let address = SocketAddr::try_from(address).expect("an IP address");
        Self {
            url: format!("http://{address}"),
            _socket: socket,
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// The exit status and the output of a program that has ended.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that is running.
pub(crate) struct Running {
    child: Child,
    stdout: Arc<CapturedStream>,
    stderr: Arc<CapturedStream>,
    /// Our side of the program's terminal, if it has one.
    terminal: Option<File>,
}

/// The bytes that a program has written to one of its pipes so far.
#[derive(Default)]
struct CapturedStream {
    /// The bytes, and true once the pipe is closed.
    text: Mutex<(Vec<u8>, bool)>,
    changed: Condvar,
}

/// A line of a results file, from column or key to value; null is the empty string.
pub(crate) type ResultLine = HashMap<String, String>;

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self::with_settings(Settings::default())
    }

    pub(crate) fn with_settings(settings: Settings) -> Self {
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

    /// Creates a FIFO, and its folder if it is missing.
    pub(crate) fn create_fifo(&self, name: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        create_fifo(&path);
    }

    /// Opens a FIFO for writing, which waits until the program has opened it for reading.
    #[track_caller]
    pub(crate) fn open_fifo_for_writing(&self, fifo: &str) -> File {
        let path = self.path(fifo);
        let (sender, receiver) = mpsc::sync_channel(1);
        thread::spawn(move || sender.send(File::options().write(true).open(path)));
        let opened = receiver.recv_timeout(TIMEOUT).expect("it is opened");
        opened.expect("a FIFO")
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a readable file")
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// Returns a command for the executable in this directory, with an environment that holds nothing of the machine's.
    pub(crate) fn command_without_credentials(&self) -> Command {
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

    /// Returns a command for the executable, with credentials in its environment.
    pub(crate) fn command(&self) -> Command {
        let mut command = self.command_without_credentials();
        command
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        command
    }

    /// Returns a `run` command against the emulator, without a rate limit unless `args` set one.
    pub(crate) fn run_command(&self, args: &[&str]) -> Command {
        self.job_command("run", args)
    }

    /// Returns a command of a job against the emulator, without a rate limit unless `args` set one.
    pub(crate) fn job_command(&self, job: &str, args: &[&str]) -> Command {
        let mut command = self.command();
        command.arg(job).args(args);
        command.args(["--endpoint-url", &self.emulator.url()]);
        if !args.contains(&"--rate") {
            command.args(["--rate", "unlimited"]);
        }
        command
    }

    /// Runs `run` to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        start(&mut self.run_command(args)).wait()
    }

    /// Runs a job to its end.
    pub(crate) fn job(&self, job: &str, args: &[&str]) -> Output {
        start(&mut self.job_command(job, args)).wait()
    }

    /// Counts the look-ups of users and identities that reached the emulator.
    pub(crate) fn user_lookups(&self) -> u64 {
        let operations = self.emulator.counters().operations;
        operations
            .get("LookupDeveloperIdentity")
            .copied()
            .unwrap_or(0)
    }

    /// Runs `run` to its end, with `input` on standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> Output {
        let mut command = self.run_command(args);
        let mut running = start(command.stdin(Stdio::piped()));
        let mut stdin = running.child.stdin.take().expect("a pipe");
        // A program that refuses to run reads nothing.
        let _ = stdin.write_all(input);
        drop(stdin);
        running.wait()
    }

    pub(crate) fn start(&self, args: &[&str]) -> Running {
        start(&mut self.run_command(args))
    }

    /// Starts a run and waits until four calls are in flight, which the emulator holds until its rules are cleared.
    #[track_caller]
    pub(crate) fn start_with_four_calls_held(&self, args: &[&str]) -> Running {
        self.emulator.add_rule(always(Then::Hold));
        let running = self.start(&[args, &["--concurrency", "4"]].concat());
        let held = self.emulator.wait_until(TIMEOUT, |seen| seen.held == 4);
        assert!(held, "{:?}", self.emulator.counters());
        running
    }

    /// Reads the lines of a results file, CSV or JSONL, and asserts that every one is whole.
    pub(crate) fn results(&self, name: &str) -> Vec<ResultLine> {
        results(&self.path(name))
    }

    /// Returns the last outcome of each user in a results file.
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

    /// Returns a client of the emulator that is not ours.
    pub(crate) fn client(&self) -> Client {
        let keys = Credentials::new("AKIDEXAMPLE", "secret", None, None, "test");
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(keys)
            .endpoint_url(self.emulator.url());
        Client::from_conf(config.build())
    }

    /// Counts the requests of an operation that reached the emulator.
    pub(crate) fn requests(&self, operation: &str) -> u64 {
        let operations = self.emulator.counters().operations;
        operations.get(operation).copied().unwrap_or(0)
    }

    /// Counts the look-ups of pools that reached the emulator.
    pub(crate) fn pool_lookups(&self) -> u64 {
        let operations = self.emulator.counters().operations;
        operations.get("DescribeIdentityPool").copied().unwrap_or(0)
    }

    /// Counts the calls that reached the emulator, by user.
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

pub(crate) fn create_fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
}

fn results(path: &Path) -> Vec<ResultLine> {
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
                let text_of = |value: serde_json::Value| match value {
                    serde_json::Value::Null => String::new(),
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                object
                    .into_iter()
                    .map(|(key, value)| (key, text_of(value)))
                    .collect()
            })
            .collect()
    }
}

/// Returns `shell` running `script`, in which `"$@"` is `command`, in the directory and environment of `command`.
pub(crate) fn in_shell(mut shell: Command, script: &str, command: &Command) -> Command {
    let environment = command.get_envs();
    shell
        .args(["-c", script, "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(environment.filter_map(|(name, value)| Some((name, value?))))
        // The shell's own, to find `mount`, `cat` and others.
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .current_dir(command.get_current_dir().expect("a directory"))
        .stdin(Stdio::null());
    shell
}

/// Starts `command` and captures its output.
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

/// Starts `command` with this standard error, and captures standard output alone.
pub(crate) fn start_with_stderr(mut command: Command, stderr: impl Into<Stdio>) -> Running {
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

/// Starts `command` with this standard output, and captures standard error alone.
pub(crate) fn start_with_stdout(command: &mut Command, stdout: impl Into<Stdio>) -> Running {
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

/// Returns a pipe that is full. Its reader must be kept: without it a write fails instead of blocking.
pub(crate) fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags");
    while writer.write(&[b'.'; 4096]).is_ok() {}
    fcntl_setfl(&writer, flags).expect("flags");
    (reader, writer)
}

/// Opens a pseudoterminal, and returns its controlling side with a function that opens the program's side.
pub(crate) fn open_terminal() -> (OwnedFd, impl Fn() -> File) {
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
    let (terminal, side) = open_terminal();
    let mut child = command
        .stdin(side())
        .stdout(Stdio::piped())
        .stderr(side())
        .spawn()
        .expect("the program starts");
    // The command owns descriptors of the program's side, and while one is open reading from the terminal never ends.
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

/// Reads `pipe` in a thread, since a full pipe would block the program.
fn read_all(mut pipe: impl Read + Send + 'static) -> Arc<CapturedStream> {
    let captured = Arc::new(CapturedStream::default());
    let writer = Arc::clone(&captured);
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        loop {
            let read = pipe.read(&mut bytes).unwrap_or(0);
            let mut text = writer.text.lock().unwrap_or_else(PoisonError::into_inner);
            text.0.extend_from_slice(&bytes[..read]);
            text.1 = read == 0;
            writer.changed.notify_all();
            if read == 0 {
                return;
            }
        }
    });
    captured
}

impl CapturedStream {
    /// Waits until `enough` holds or time is up; returns the text by then, and true if it was enough.
    fn wait_until(&self, enough: impl Fn(&str, bool) -> bool) -> (String, bool) {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let enough =
            |(bytes, ended): &(Vec<u8>, bool)| enough(&String::from_utf8_lossy(bytes), *ended);
        let (text, _) = self
            .changed
            .wait_timeout_while(text, TIMEOUT, |text| !enough(text))
            .unwrap_or_else(PoisonError::into_inner);
        (String::from_utf8_lossy(&text.0).into_owned(), enough(&text))
    }
}

impl Running {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns the most memory that the process has used so far, in bytes, where `/proc` tells it.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
        let kib: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
        Some(kib << 10)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Types `text` on the program's terminal.
    pub(crate) fn type_text(&self, text: &str) {
        let mut terminal = self.terminal.as_ref().expect("a terminal");
        terminal.write_all(text.as_bytes()).expect("typed");
    }

    /// Waits until standard error contains `expected`.
    #[track_caller]
    pub(crate) fn wait_for_stderr(&self, expected: &str) {
        let (stderr, found) = self.stderr.wait_until(|text, _| text.contains(expected));
        assert!(found, "{expected:?} is not on standard error: {stderr:?}");
    }

    /// Waits until the program has ended.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Output {
        // The pipes of a program close when it ends, so a program that is stuck is found here.
        let (stdout, stdout_closed) = self.stdout.wait_until(|_, closed| closed);
        if !stdout_closed {
            let _ = self.child.kill();
        }
        let (stderr, stderr_closed) = self.stderr.wait_until(|_, closed| closed);
        if !stderr_closed {
            let _ = self.child.kill();
        }
        assert!(
            stdout_closed && stderr_closed,
            "the program is stuck; its standard error: {stderr:?}"
        );
        Output {
            status: self.child.wait().expect("it has ended"),
            stdout,
            stderr,
        }
    }
}

impl Output {
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Asserts the exit code, and shows all output if it is another one.
    #[track_caller]
    pub(crate) fn expect_exit(self, code: i32) -> Self {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        self
    }

    /// Returns standard output and standard error together.
    pub(crate) fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// Asserts that standard output or standard error contains `expected`.
    #[track_caller]
    pub(crate) fn assert_contains(&self, expected: &str) {
        let all = self.all();
        assert!(all.contains(expected), "{expected:?} is not in {all}");
    }

    /// Parses the summary of a run with `--json`.
    #[track_caller]
    pub(crate) fn summary(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// Returns these numbers of the summary: `rows`, `skipped`, an outcome, `calls`, and so on.
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
