//! The program compared with the alternatives for the job, against a quota: shell loops of `aws` processes, boto3 with a pool of
//! threads, and loops over the Rust SDK's client with the SDK's own retries.
//!
//! `cargo bench --bench peers -- --quota 50 --seconds 30`. Each contender in turn gets a fresh emulator, which notes the time of
//! every call, and as many rows as the quota allows in the time; after twice the time it is stopped. The quota is
//! a bucket, by default of one call; options give it other shapes. boto3 and the AWS CLI are installed by pip into a virtual
//! environment below the target directory; where that does not work, they are left out.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::num::NonZeroU32;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::config::retry::{RetryConfig, RetryMode};
use aws_sdk_cognitoidentity::config::{BehaviorVersion, Credentials, Region};
use clap::{Parser, Subcommand};
use cognito_unlink::testing::emulator::{
    Call, Emulator, FaultShare, QuotaSettings, QuotaShape, Settings,
};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::time::Instant;
use wait4::Wait4;

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const PROGRAM: &str = env!("CARGO_BIN_EXE_cognito-unlink");
const PACKAGES: [&str; 2] = ["boto3==1.43.11", "awscli==1.45.11"];
const CONCURRENCY: usize = 64;
/// `aws` processes at once: each takes a third of a second of CPU, so that more are no faster.
const PROCESSES: usize = 8;
const LATENCY: Duration = Duration::from_millis(30);
const JITTER: Duration = Duration::from_millis(20);
/// Time after which a contender can know the quota.
const SETTLED: Duration = Duration::from_secs(5);
/// Multiple of `--seconds` after which a contender is stopped.
const PATIENCE: u32 = 2;

#[derive(Debug, Parser)]
struct Arguments {
    /// Calls per second that the emulator accepts; repeatable
    #[arg(long = "quota", default_values_t = [5, 50, 200])]
    quotas: Vec<u32>,
    /// Calls that the quota saves up: the size of its bucket
    #[arg(long, default_value = "1")]
    burst: NonZeroU32,
    /// Front ends that each keep an equal part of the quota
    #[arg(long, default_value = "1")]
    front_ends: NonZeroU32,
    /// Count the quota in each second, instead of in a bucket
    #[arg(long, conflicts_with_all = ["burst", "front_ends"])]
    fixed_window: bool,
    /// Calls per second that production makes meanwhile, at random times
    #[arg(long, default_value = "0")]
    production: f64,
    /// Share of the calls that are throttled at random, e.g. 2%
    #[arg(long, value_parser = chance)]
    chance: Option<FaultShare>,
    /// Seconds for which the quota allows as many calls as there are rows
    #[arg(long, default_value = "30")]
    seconds: NonZeroU32,
    /// Runs of each contender; the table shows the median of each column
    #[arg(long, default_value = "1")]
    turns: NonZeroU32,
    /// Only contenders whose names contain this
    #[arg(long, default_value = "")]
    only: String,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

impl Arguments {
    fn quota_settings(&self, quota: u32) -> QuotaSettings {
        let shape = if self.fixed_window {
            QuotaShape::FixedWindow
        } else {
            QuotaShape::TokenBucket {
                burst: self.burst.get(),
                front_ends: self.front_ends.get(),
            }
        };
        QuotaSettings {
            rate: quota.into(),
            look_up_rate: None,
            shape,
            production: self.production,
        }
    }
}

fn chance(share: &str) -> Result<FaultShare, String> {
    format!("throttle={share}").parse()
}

#[derive(Debug, Subcommand)]
enum Part {
    /// A loop over the SDK's client, in a process of its own so that its CPU time is
    #[command(hide = true)]
    Sdk {
        url: String,
        file: PathBuf,
        mode: RetryMode,
        attempts: u32,
    },
}

fn main() {
    let arguments = Arguments::parse();
    if let Some(Part::Sdk {
        url,
        file,
        mode,
        attempts,
    }) = &arguments.part
    {
        return sdk_loop(url, file, *mode, *attempts);
    }
    let mut contenders = vec![
        Contender::Ours,
        Contender::Sdk("standard", 3),
        Contender::Sdk("adaptive", 3),
        Contender::Sdk("adaptive", 10),
    ];
    let python = python();
    match &python {
        Ok(_) => contenders.extend([
            Contender::Boto3("standard"),
            Contender::Boto3("adaptive"),
            Contender::Aws(1),
            Contender::Aws(PROCESSES),
        ]),
        Err(why) => println!("boto3 and the AWS CLI are left out: {why}"),
    }
    contenders.retain(|contender| contender.name().contains(&arguments.only));
    let python = python.unwrap_or_default();

    for &quota in &arguments.quotas {
        heading(&arguments, quota);
        for contender in &contenders {
            let turns: Vec<_> = (0..arguments.turns.get())
                .map(|_| turn(contender, &python, quota, &arguments))
                .collect();
            println!("{}", Measures::medians(&turns).line(&contender.name()));
        }
    }
}

/// A program that does the job. It prints a line "lost" for each row that it gives up; the emulator counts the rows that are done.
enum Contender {
    Ours,
    /// The Rust SDK's client with its retries of this mode and this many attempts; the default is three.
    Sdk(&'static str, u32),
    /// A script with the retries of this mode.
    Boto3(&'static str),
    /// This many `aws` processes at a time.
    Aws(usize),
}

const BOTO3_ATTEMPTS: &str = "10";

impl Contender {
    fn name(&self) -> String {
        match self {
            Self::Ours => "cognito-unlink run".to_owned(),
            Self::Sdk(mode, attempts) => format!("Rust SDK, {mode}, {attempts} attempts"),
            Self::Boto3(mode) => format!("boto3, {mode}, {BOTO3_ATTEMPTS} attempts"),
            Self::Aws(1) => "aws, one by one".to_owned(),
            Self::Aws(processes) => format!("aws, xargs -P {processes}"),
        }
    }

    fn command(&self, url: &str, people: &Path, python: &Path) -> Command {
        match self {
            Self::Ours => {
                let mut command = clean(PROGRAM);
                command
                    .arg("run")
                    .arg(people)
                    .args(["--rate", "unlimited", "--endpoint-url", url])
                    .args(["--concurrency", &CONCURRENCY.to_string()])
                    .args(["--progress", "none", "--json"]);
                command
            }
            Self::Sdk(mode, attempts) => {
                let mut command = clean(std::env::current_exe().expect("its own path"));
                command.args(["sdk", url]).arg(people);
                command.args([mode, attempts.to_string().as_str()]);
                command
            }
            Self::Boto3(mode) => {
                let mut command = clean(python.join("bin/python"));
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/peers.py");
                command.args([script, url]).arg(people);
                command.args([mode, BOTO3_ATTEMPTS, &CONCURRENCY.to_string()]);
                command
            }
            Self::Aws(processes) => {
                let unlink = r#"aws cognito-identity unlink-developer-identity --endpoint-url "$URL" \
                    --identity-id "$0" --identity-pool-id "$1" --developer-provider-name "$2" \
                    --developer-user-identifier "$3" >&2 || echo lost"#;
                // xargs takes the shell's place: what its `aws` processes use is counted even if it is stopped.
                let each = r#"tail -n +2 "$PEOPLE" | tr , ' ' > "$PEOPLE.words"
                    exec xargs -n 4 -P "$PROCESSES" sh -c "$UNLINK" < "$PEOPLE.words""#;
                let mut command = clean("sh");
                command
                    .args(["-c", each])
                    .env("PATH", format!("{}:{PATH}", python.join("bin").display()))
                    .env("PEOPLE", people)
                    .env("PROCESSES", processes.to_string())
                    .env("UNLINK", unlink)
                    .env("URL", url);
                command
            }
        }
    }
}

/// Returns a command without the user's environment.
fn clean(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", PATH);
    command
}

/// Runs a contender once.
fn turn(contender: &Contender, python: &Path, quota: u32, arguments: &Arguments) -> Measures {
    let directory = tempfile::tempdir().expect("a directory");
    let people = directory.path().join("people.csv");
    let rows = quota * arguments.seconds.get();
    write_people(&people, rows);
    let quota_settings = arguments.quota_settings(quota);
    let emulator = Emulator::spawn(Settings {
        quota: Some(quota_settings),
        faults: Vec::from_iter(arguments.chance),
        latency: LATENCY,
        jitter: JITTER,
        log: true,
        ..Settings::default()
    })
    .expect("an emulator");
    let lines = directory.path().join("stdout");

    let mut command = contender.command(&emulator.url(), &people, python);
    command
        .env("HOME", directory.path())
        .env("XDG_STATE_HOME", directory.path())
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "s")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null())
        .stdout(File::create(&lines).expect("a file"))
        .stderr(Stdio::null())
        .process_group(0);
    let began = Instant::now();
    let mut child = command.spawn().expect("it starts");
    let group = Pid::from_child(&child);
    let (ended, end) = sync_channel(1);
    std::thread::spawn(move || {
        let used = child.wait4().expect("a child of ours").rusage;
        ended.send((Instant::now(), used))
    });
    let limit = Duration::from_secs(arguments.seconds.get().into()) * PATIENCE;
    let (ended, used) = end.recv_timeout(limit).unwrap_or_else(|_| {
        // It may have ended by itself this moment.
        let _ = kill_process_group(group, Signal::TERM);
        end.recv().expect("a signal ends it")
    });

    let lines = std::fs::read_to_string(&lines).expect("its lines");
    let lost = match contender {
        Contender::Ours => {
            let summary: serde_json::Value = serde_json::from_str(&lines).expect("a summary");
            let of = |outcome: &str| summary[outcome].as_u64().expect("a count");
            of("failed") + of("in_doubt")
        }
        _ => lines.lines().filter(|line| *line == "lost").count() as u64,
    };
    let production = emulator.counters().production;
    Measures {
        lost: lost as f64,
        production_throttled: production.throttled as f64 / production.calls as f64,
        seconds: (ended - began).as_secs_f64(),
        cpu: (used.utime + used.stime).as_secs_f64(),
        mebibytes: used.maxrss as f64 / f64::from(1 << 20),
        ..Measures::of_calls(&emulator.calls(), quota_settings)
    }
}

/// The measures of a turn; NaN where there is none.
#[derive(Debug, Clone, Copy, Default)]
struct Measures {
    done: f64,
    /// Rows given up.
    lost: f64,
    /// From the start of the process to its end.
    seconds: f64,
    /// Accepted calls, as a share of those that the quota allowed from the first call to the last.
    used: f64,
    /// Share of the calls that were throttled.
    throttled: f64,
    /// Share of the calls after [`SETTLED`] that were throttled.
    throttled_later: f64,
    /// The most calls in a second that were throttled.
    worst_second: f64,
    /// Share of production's calls, up to the contender's last one, that were throttled.
    production_throttled: f64,
    cpu: f64,
    mebibytes: f64,
}

impl Measures {
    fn of_calls(calls: &[Call], quota: QuotaSettings) -> Self {
        let began = calls.first().map(|call| call.began).unwrap_or_default();
        let ended = calls.last().map(|call| call.began).unwrap_or_default();
        let is_throttled = |call: &&Call| call.code.as_deref() == Some("TooManyRequestsException");
        let throttled = |calls: &[&Call]| {
            let throttled = calls.iter().filter(|call| is_throttled(call)).count();
            throttled as f64 / calls.len() as f64
        };
        let all: Vec<_> = calls.iter().collect();
        let later: Vec<_> = calls
            .iter()
            .filter(|call| call.began >= began + SETTLED)
            .collect();
        let taken = all.iter().filter(|call| !is_throttled(call)).count();
        let allowed = match quota.shape {
            QuotaShape::TokenBucket { burst, front_ends } => {
                let seconds = ended.saturating_sub(began).as_secs_f64();
                quota.rate * seconds + f64::from(burst.max(front_ends))
            }
            QuotaShape::FixedWindow => {
                let windows = ended.as_secs() - began.as_secs() + 1;
                quota.rate * windows as f64
            }
        };
        Self {
            done: calls.iter().filter(|call| call.effect).count() as f64,
            used: taken as f64 / allowed,
            throttled: throttled(&all),
            throttled_later: throttled(&later),
            worst_second: most_in_a_second(all.into_iter().filter(is_throttled)) as f64,
            ..Self::default()
        }
    }

    fn medians(turns: &[Self]) -> Self {
        let median = |column: fn(&Self) -> f64| {
            let mut values: Vec<_> = turns.iter().map(column).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        Self {
            done: median(|turn| turn.done),
            lost: median(|turn| turn.lost),
            seconds: median(|turn| turn.seconds),
            used: median(|turn| turn.used),
            throttled: median(|turn| turn.throttled),
            throttled_later: median(|turn| turn.throttled_later),
            worst_second: median(|turn| turn.worst_second),
            production_throttled: median(|turn| turn.production_throttled),
            cpu: median(|turn| turn.cpu),
            mebibytes: median(|turn| turn.mebibytes),
        }
    }

    fn line(&self, name: &str) -> String {
        let share = |part: f64| {
            if part.is_nan() {
                "–".to_owned()
            } else {
                format!("{:.1} %", part * 100.0)
            }
        };
        format!(
            "| {name:<32} | {:>6.0} | {:>6.0} | {:>7.1} | {:>7} | {:>9} | {:>9} | {:>9.0} | {:>10} | {:>7.2} | {:>6.0} |",
            self.done,
            self.lost,
            self.seconds,
            share(self.used),
            share(self.throttled),
            share(self.throttled_later),
            self.worst_second,
            share(self.production_throttled),
            self.cpu,
            self.mebibytes,
        )
    }
}

/// Returns the most calls that arrived within a second.
fn most_in_a_second<'a>(calls: impl Iterator<Item = &'a Call>) -> usize {
    let arrivals: Vec<Duration> = calls.map(|call| call.began).collect();
    let within = |(nth, first): (usize, &Duration)| {
        let end = *first + Duration::from_secs(1);
        arrivals[nth..].partition_point(|arrival| *arrival < end)
    };
    arrivals.iter().enumerate().map(within).max().unwrap_or(0)
}

fn heading(arguments: &Arguments, quota: u32) {
    let turns = arguments.turns;
    let counted = match arguments.quota_settings(quota).shape {
        QuotaShape::TokenBucket { burst, front_ends } => {
            format!("burst {burst}, front ends {front_ends}")
        }
        QuotaShape::FixedWindow => "fixed windows".to_owned(),
    };
    let production = arguments.production;
    let chance = arguments.chance.map_or(0.0, |chance| chance.share * 100.0);
    let rows = quota * arguments.seconds.get();
    let limit = arguments.seconds.get() * PATIENCE;
    println!(
        "\nQuota {quota}/s, {counted}; production {production}/s; {chance} % throttled at random"
    );
    println!("{rows} rows, {limit} s at most; turns: {turns}\n");
    println!(
        "| {:<32} | {:>6} | {:>6} | {:>7} | {:>7} | {:>9} | {:>9} | {:>9} | {:>10} | {:>7} | {:>6} |",
        "",
        "done",
        "lost",
        "seconds",
        "quota",
        "throttled",
        "after 5 s",
        "worst 1 s",
        "production",
        "CPU s",
        "MiB"
    );
    let right = |width: usize| format!("{}:|", "-".repeat(width + 1));
    let columns: String = [6, 6, 7, 7, 9, 9, 9, 10, 7, 6].map(right).concat();
    println!("|{}|{columns}", "-".repeat(34));
}

/// The virtual environment with what the peers need, made if it is missing.
fn python() -> Result<PathBuf, String> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    let run = |command: &mut Command| match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("{}: {error}", command.get_program().display())),
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&directory))?;
    let mut pip = Command::new(directory.join("bin/pip"));
    run(pip.args(["install", "--quiet"]).args(PACKAGES))?;
    Ok(directory)
}

fn write_people(path: &Path, rows: u32) {
    let mut file = std::io::BufWriter::new(File::create(path).expect("created"));
    let mut line = |line: std::fmt::Arguments<'_>| writeln!(file, "{line}").expect("written");
    line(format_args!(
        "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier"
    ));
    for n in 0..rows {
        line(format_args!(
            "us-east-1:00000000-0000-4000-8000-{n:012x},us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63,login.example.com,acct-{n}"
        ));
    }
    drop(file);
}

fn sdk_loop(url: &str, file: &Path, mode: RetryMode, attempts: u32) {
    let retries = match mode {
        RetryMode::Adaptive => RetryConfig::adaptive(),
        _ => RetryConfig::standard(),
    };
    let config = aws_sdk_cognitoidentity::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(Credentials::from_keys("a", "s", None))
        .retry_config(retries.with_max_attempts(attempts))
        .build();
    let client = Client::from_conf(config);
    let rows = csv::Reader::from_path(file).expect("opened").into_records();
    let rows = Arc::new(Mutex::new(rows));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..CONCURRENCY {
            let (client, rows) = (client.clone(), Arc::clone(&rows));
            workers.spawn(async move {
                let next = || rows.lock().unwrap_or_else(PoisonError::into_inner).next();
                while let Some(row) = next() {
                    let row = row.expect("a record");
                    let unlinked = client
                        .unlink_developer_identity()
                        .identity_id(&row[0])
                        .identity_pool_id(&row[1])
                        .developer_provider_name(&row[2])
                        .developer_user_identifier(&row[3])
                        .send()
                        .await;
                    if unlinked.is_err() {
                        println!("lost");
                    }
                }
            });
        }
        workers.join_all().await;
    });
}
