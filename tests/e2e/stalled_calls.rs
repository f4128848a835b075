//! Checks that are made again right before a call leaves, after credentials, a connection or a stopped process has delayed it: the
//! hold list, the rate, and whether the row is in doubt.

use std::fs::{self, File};
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cognito_unlink::testing::emulator::{Counters, Then, When};
use rustix::process::Signal;
use tokio::time::Instant;

use crate::http_server::{Message, serve};
use crate::sandbox::{Running, Sandbox, TIMEOUT, csv, link, people, rule, start};
use crate::single_call::tls;

/// A `credential_process` whose first credentials are valid for two seconds, so that each row asks for the next ones, which it
/// returns after [`SlowCredentials::release`].
struct SlowCredentials<'a>(&'a Sandbox);

impl<'a> SlowCredentials<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        for name in ["asked", "release"] {
            sandbox.create_fifo(name);
        }
        sandbox.write(
            "vend",
            "#!/bin/sh\necho x >> vended\nseconds=2\n\
             if [ $(wc -l < vended) -gt 1 ]; then seconds=3600; echo >asked; read _ <release; fi\n\
             t=$(date -u -d \"+$seconds seconds\" +%Y-%m-%dT%H:%M:%SZ)\n\
             echo '{\"Version\":1,\"AccessKeyId\":\"AKID\",\"SecretAccessKey\":\"s\",\"Expiration\":\"'$t'\"}'\n",
        );
        let vend = sandbox.path("vend").display().to_string();
        sandbox.write(
            "config",
            format!("[default]\ncredential_process = /bin/sh {vend}\n"),
        );
        Self(sandbox)
    }

    /// Starts a run, and waits until its rows wait for credentials.
    fn start_run(&self, args: &[&str]) -> Running {
        let mut command = self.0.command_without_credentials();
        command.args(["run", "people.csv", "--json"]).args(args);
        command.args(["--endpoint-url", &self.0.emulator.url()]);
        command.env("AWS_CONFIG_FILE", self.0.path("config"));
        command.env("PATH", "/usr/bin:/bin");
        let running = start(&mut command);
        let mut asked = File::open(self.0.path("asked")).expect("a FIFO");
        asked.read_exact(&mut [0]).expect("it asks");
        assert_eq!(self.0.emulator.counters().unlinks, 0);
        running
    }

    fn release(&self) {
        let mut fifo = File::options()
            .write(true)
            .open(self.0.path("release"))
            .expect("a FIFO");
        fifo.write_all(b"\n").expect("it reads");
    }
}

/// A service over TLS that leaves connections waiting for their handshake until [`SlowToConnect::accept`], and then answers every
/// call with success.
#[derive(Default)]
struct SlowToConnect {
    state: Mutex<Connections>,
    changed: Condvar,
}

#[derive(Default)]
struct Connections {
    waiting: usize,
    accepted: bool,
    /// The time of arrival of each call, since the server started.
    calls: Vec<Duration>,
}

impl SlowToConnect {
    fn start() -> (Arc<Self>, String) {
        let server = Arc::new(Self::default());
        let serving = Arc::clone(&server);
        let began = Instant::now();
        // A connection ends when the program closes it.
        let address = serve(move |stream| {
            let _ = serving.answer(stream, began);
        });
        (server, format!("https://localhost:{}", address.port()))
    }

    fn state(&self) -> MutexGuard<'_, Connections> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, stream: TcpStream, began: Instant) -> Option<()> {
        let mut state = self.state();
        state.waiting += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.accepted));
        let session = rustls::ServerConnection::new(tls()).ok()?;
        let mut stream = BufReader::new(rustls::StreamOwned::new(session, stream));
        loop {
            Message::read(&mut stream).ok()?;
            self.state().calls.push(began.elapsed());
            let answer = b"HTTP/1.1 200 OK\r\nx-amzn-requestid: 1\r\ncontent-length: 0\r\n\r\n";
            stream.get_mut().write_all(answer).ok()?;
        }
    }

    /// Waits until this many connections wait for their handshake.
    fn wait_for_connections(&self, connections: usize) {
        let few = |state: &mut Connections| state.waiting < connections;
        let (state, waited) = self
            .changed
            .wait_timeout_while(self.state(), TIMEOUT, few)
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "{} connections", state.waiting);
    }

    fn accept(&self) {
        self.state().accepted = true;
        self.changed.notify_all();
    }

    fn calls(&self) -> Vec<Duration> {
        self.state().calls.clone()
    }
}

/// Starts a run against a server over TLS, with timeouts long enough for its connections.
fn start_over_tls(sandbox: &Sandbox, url: &str, args: &[&str]) -> Running {
    let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tls/authority.pem");
    let mut command = sandbox.command();
    command.args(["run", "people.csv", "--json", "--yes", "--no-preflight"]);
    command.args(["--endpoint-url", url, "--ca-bundle", authority]);
    command.args(["--connect-timeout", "60s", "--timeout", "60s"]);
    start(command.args(args))
}

/// Asserts that no interval saw more calls than the rate allows, with a tolerance of 0.1 s for calls that take longer than others
/// to arrive.
#[track_caller]
fn assert_within_rate(calls: impl IntoIterator<Item = Duration>, rate: f64) {
    let mut began: Vec<f64> = calls.into_iter().map(|at| at.as_secs_f64()).collect();
    began.sort_unstable_by(f64::total_cmp);
    for (first, from) in began.iter().enumerate() {
        for (last, to) in began.iter().enumerate().skip(first) {
            let count = (last - first + 1) as f64;
            let allowed = 1.0 + (to - from + 0.1) * rate;
            assert!(
                count <= allowed,
                "{count} calls in {} s: {began:?}",
                to - from
            );
        }
    }
}

fn arrivals(sandbox: &Sandbox) -> Vec<Duration> {
    let calls = sandbox.emulator.calls();
    calls.iter().map(|call| call.began).collect()
}

#[test]
fn a_hold_added_while_connecting_stops_the_call() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(8));
    sandbox.write("holds.txt", "nobody\n");
    let (server, url) = SlowToConnect::start();
    let options = [
        "--hold",
        "holds.txt",
        "--rate",
        "unlimited",
        "--concurrency",
        "4",
    ];
    let running = start_over_tls(&sandbox, &url, &options);
    server.wait_for_connections(4);
    let held: Vec<_> = (1..=8).map(|n| format!("acct-{n}")).collect();
    sandbox.write("new.txt", held.join("\n"));
    fs::rename(sandbox.path("new.txt"), sandbox.path("holds.txt")).expect("renamed");
    running.wait_for_stderr("holds.txt was read again: 8 holds");
    server.accept();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["held", "unlinked", "calls"]), [8, 0, 0]);
    assert!(server.calls().is_empty());
}

#[test]
fn the_rate_holds_after_slow_connections() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(12));
    let (server, url) = SlowToConnect::start();
    let running = start_over_tls(&sandbox, &url, &["--rate", "10", "--concurrency", "8"]);
    server.wait_for_connections(8);
    server.accept();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "calls"]), [12, 12]);
    let calls = server.calls();
    assert_eq!(calls.len(), 12);
    assert_within_rate(calls, 10.0);
}

#[test]
fn a_hold_added_while_credentials_load_stops_the_call() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(30));
    sandbox.write("holds.txt", "nobody\n");
    let credentials = SlowCredentials::new(&sandbox);
    let running = credentials.start_run(&["--hold", "holds.txt", "--rate", "unlimited"]);
    let held: Vec<_> = (4..=30).map(|n| format!("acct-{n}")).collect();
    sandbox.write("new.txt", held.join("\n"));
    fs::rename(sandbox.path("new.txt"), sandbox.path("holds.txt")).expect("renamed");
    running.wait_for_stderr("holds.txt was read again: 27 holds");
    credentials.release();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "held", "calls"]), [3, 27, 3]);
    let mut called: Vec<_> = sandbox.calls_by_user().into_keys().collect();
    called.sort_unstable();
    assert_eq!(called, ["acct-1", "acct-2", "acct-3"]);
}

#[test]
fn the_rate_holds_after_slow_credentials() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(30));
    let credentials = SlowCredentials::new(&sandbox);
    let running = credentials.start_run(&["--rate", "20"]);
    credentials.release();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [30]);
    assert_within_rate(arrivals(&sandbox), 20.0);
    for line in sandbox.results("people.results.csv") {
        let latency: u64 = line["latency_ms"].parse().expect("a number");
        assert!(latency < 1000, "the call alone counts: {line:?}");
    }
}

#[test]
fn rows_that_were_not_sent_before_an_abort_are_not_in_doubt() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(30));
    let credentials = SlowCredentials::new(&sandbox);
    let running = credentials.start_run(&["--rate", "unlimited"]);
    running.signal(Signal::INT);
    running.signal(Signal::INT);
    let ran = running.wait().expect_exit(130);
    assert_eq!(ran.counts(&["left", "in_doubt", "calls"]), [30, 0, 0]);
    assert!(sandbox.results("people.results.csv").is_empty());
    assert!(!sandbox.exists("people.results.csv.inflight"));
}

#[test]
fn the_rate_holds_after_the_process_was_stopped() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(60));
    sandbox.emulator.add_rule(rule(When::Call(10), Then::Hold));
    let running = sandbox.start(&["people.csv", "--json", "--rate", "40", "--concurrency", "8"]);
    let held = |seen: &Counters| seen.held == 1 && seen.unlinks >= 12;
    assert!(sandbox.emulator.wait_until(TIMEOUT, held));
    running.signal(Signal::STOP);
    let before = sandbox.emulator.counters().unlinks;
    // Calls that had left by then may still arrive.
    let goes_on = sandbox
        .emulator
        .wait_until(Duration::from_secs(2), |seen| seen.unlinks > before + 8);
    assert!(!goes_on, "a stopped process calls nobody");
    running.signal(Signal::CONT);
    sandbox.emulator.clear_rules();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [60]);
    assert_within_rate(arrivals(&sandbox), 40.0);
}

#[test]
fn pool_lookups_keep_to_the_rate_and_to_four_in_flight() {
    let sandbox = Sandbox::new();
    let rows: Vec<_> = (1..=40)
        .map(|n| {
            let mut link = link(n);
            link.identity_pool_id = format!("us-east-1:00000000-0000-4000-9000-{n:012x}");
            link
        })
        .collect();
    sandbox.write("people.csv", csv(&rows));
    let ran = sandbox
        .run(&[
            "people.csv",
            "--json",
            "--rate",
            "40",
            "--concurrency",
            "16",
        ])
        .expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [40]);
    let counters = sandbox.emulator.counters();
    assert_eq!(counters.operations["DescribeIdentityPool"], 40);
    // Four look-ups at once, beside the connections of the calls.
    let calls = counters.most_in_flight;
    assert!(counters.connections <= 4 + calls + 1, "{counters:?}");
    assert!(
        ran.summary()["seconds"].as_f64() >= Some(0.9),
        "{}",
        ran.stdout
    );
}
