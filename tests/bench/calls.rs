//! Rows per second without quota or latency: a run of the program, compared with a bare loop over the SDK's client, which
//! reads no file, has no limits and writes no results. Both call the emulator in its own process, with the same concurrency.
//!
//! `cargo bench --bench calls`; `-- --rows 100000` for a smaller job, in which the run's search for a quota, half a second,
//! weighs more. The speed of a machine drifts, so the two take turns, and only the ratio of each turn counts.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod emulator;

use std::io::Write;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_cognitoidentity::Client;
use aws_sdk_cognitoidentity::config::retry::RetryConfig;
use aws_sdk_cognitoidentity::config::{BehaviorVersion, Region};
use emulator::Emulator;
use tokio::time::Instant;

const ROWS: usize = 400_000;
const CONCURRENCY: usize = 64;
const TURNS: usize = 5;

const BARE: &str = "--bare-loop";
const PROGRAM: &str = env!("CARGO_BIN_EXE_cognito-unlink");

fn main() {
    let rows = behind("--rows").map_or(ROWS, |rows| rows.parse().expect("a number of rows"));
    // The bare loop is a process of its own too: this program, started again.
    if let Some(url) = behind(BARE) {
        bare_loop(&url, &Arc::new((0..rows).map(row).collect()));
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let people = directory.path().join("people.csv");
    let mut file = std::fs::File::create(&people).expect("created");
    writeln!(
        file,
        "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier"
    )
    .expect("written");
    for (identity, user) in (0..rows).map(row) {
        writeln!(file, "{identity},{POOL},{PROVIDER},{user}").expect("written");
    }
    drop(file);

    println!("{rows} rows, {CONCURRENCY} calls in flight, rows a second:");
    println!("{:>10} {:>10} {:>8}", "run", "bare loop", "ratio");
    let mut ratios = Vec::new();
    for turn in 0..TURNS {
        let emulator = Emulator::start(&[]);
        let results = directory.path().join(format!("{turn}.csv"));
        let ours = seconds(|| {
            let ran = Command::new(PROGRAM)
                .arg("run")
                .arg(&people)
                .args(["--rate", "unlimited", "--progress", "none", "--no-state"])
                .args(["--concurrency", &CONCURRENCY.to_string()])
                .args(["--endpoint-url", &emulator.url])
                .arg("--results")
                .arg(&results)
                .env("AWS_ACCESS_KEY_ID", "a")
                .env("AWS_SECRET_ACCESS_KEY", "s")
                .output()
                .expect("it runs");
            assert!(ran.status.success(), "{ran:?}");
        });
        drop(emulator);
        let emulator = Emulator::start(&[]);
        let bare = seconds(|| {
            let ran = Command::new(std::env::current_exe().expect("this program"))
                .args([BARE, &emulator.url, "--rows", &rows.to_string()])
                .status()
                .expect("it runs");
            assert!(ran.success());
        });
        let (ours, bare) = (rows as f64 / ours, rows as f64 / bare);
        println!("{ours:>10.0} {bare:>10.0} {:>8.2}", ours / bare);
        ratios.push(ours / bare);
    }
    ratios.sort_by(f64::total_cmp);
    println!("median ratio {:.2}", ratios[TURNS / 2]);
}

/// Returns the value of an option.
fn behind(option: &str) -> Option<String> {
    std::env::args().skip_while(|arg| arg != option).nth(1)
}

const POOL: &str = "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
const PROVIDER: &str = "login.example.com";

fn row(n: usize) -> (String, String) {
    (
        format!("us-east-1:00000000-0000-4000-8000-{n:012x}"),
        format!("acct-{n}"),
    )
}

fn seconds(work: impl FnOnce()) -> f64 {
    let begin = Instant::now();
    work();
    begin.elapsed().as_secs_f64()
}

fn bare_loop(url: &str, rows: &Arc<Vec<(String, String)>>) {
    let config = aws_sdk_cognitoidentity::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .endpoint_url(url)
        .credentials_provider(SharedCredentialsProvider::new(Credentials::from_keys(
            "a", "s", None,
        )))
        .retry_config(RetryConfig::disabled())
        .build();
    let client = Client::from_conf(config);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let next = Arc::new(AtomicUsize::new(0));
        let mut workers = tokio::task::JoinSet::new();
        for _ in 0..CONCURRENCY {
            let (client, rows, next) = (client.clone(), Arc::clone(rows), Arc::clone(&next));
            workers.spawn(async move {
                while let Some((identity, user)) = rows.get(next.fetch_add(1, Ordering::Relaxed)) {
                    client
                        .unlink_developer_identity()
                        .identity_id(identity)
                        .identity_pool_id(POOL)
                        .developer_provider_name(PROVIDER)
                        .developer_user_identifier(user)
                        .send()
                        .await
                        .expect("unlinked");
                }
            });
        }
        workers.join_all().await;
    });
}
