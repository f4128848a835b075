//! The calls for each row of `run`, `run --last-login keep` and `plan --logins`, and the time that `keep` costs: several runs at once,
//! each against an emulator of its own, whose look-ups have half, as much and twice the quota of the unlinks.
//!
//! `cargo bench --bench keep`; `-- --rows 800`, `--quota 40`, `--latency 40` (in milliseconds) for others.

#![expect(clippy::print_stdout, reason = "a benchmark prints its tables")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use aws_sdk_cognitoidentity::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_cognitoidentity::{Client, Config};
use clap::Parser;
use cognito_unlink::testing::emulator::{Emulator, Link, QuotaSettings, Settings};
use tempfile::TempDir;
use tokio::time::Instant;

const PROVIDER: &str = "login.example.com";
const OTHER_PROVIDER: &str = "graph.example.com";
const POOL: &str = "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
/// Rows whose calls are counted: two pages of `ListIdentities`.
const COUNTED: usize = 120;
const KEEP: [&str; 4] = ["run", "people.csv", "--last-login", "keep"];

#[derive(Debug, Parser)]
struct Arguments {
    /// Rows of each timed run
    #[arg(long, default_value = "400")]
    rows: usize,
    /// Unlinks a second that are accepted
    #[arg(long, default_value = "40")]
    quota: f64,
    /// Shortest latency in milliseconds; a quarter more at random
    #[arg(long, default_value = "40")]
    latency: u64,
    /// Given by Cargo
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let arguments = Arguments::parse();
    count_calls();
    time_runs(&arguments);
}

/// Prints the calls for each row. Each of the rows names another identity.
fn count_calls() {
    let plan = |way| ["plan", "people.csv", "--online", "--logins", way];
    println!(
        "{:<38}{:>9}{:>9}{:>9}{:>9}{:>9}",
        "calls for a row", "describe", "look up", "list", "unlink", "in all"
    );
    for (name, args, logins) in [
        ("run", &["run", "people.csv"][..], Logins::Two),
        ("run, keep: another provider's login", &KEEP, Logins::Public),
        ("run, keep: another developer login", &KEEP, Logins::Two),
        ("run, keep: the last login", &KEEP, Logins::One),
        (
            "plan, each: another provider's login",
            &plan("each"),
            Logins::Public,
        ),
        (
            "plan, each: developer logins only",
            &plan("each"),
            Logins::Two,
        ),
        ("plan, list", &plan("list"), Logins::Two),
    ] {
        let service = Service::new(COUNTED, logins, None, Duration::ZERO);
        let before = service.calls();
        let ended = service.command(args).status().expect("it runs");
        assert!(ended.success(), "{name}");
        let after = service.calls();
        print!("{name:<38}");
        let mut sum = 0;
        for (after, before) in after.into_iter().zip(before) {
            let calls = after - before;
            sum += calls;
            print!("{:>9.3}", calls as f64 / COUNTED as f64);
        }
        println!("{:>9.3}", sum as f64 / COUNTED as f64);
    }
}

/// Prints the seconds of runs that go on at the same time.
fn time_runs(arguments: &Arguments) {
    let quota = arguments.quota;
    let latency = Duration::from_millis(arguments.latency);
    println!(
        "\n{} rows, {quota} unlinks a second, latency {} ms\n{:<16}{:>9}{:>12}{:>11}{:>11}",
        arguments.rows,
        arguments.latency,
        "look-ups/s",
        "seconds",
        "of plain",
        "at least",
        "looks/row"
    );
    let runs = [None, Some(0.5), Some(1.0), Some(2.0)].map(|share: Option<f64>| {
        let quotas = QuotaSettings {
            look_up_rate: share.map(|share| quota * share),
            ..QuotaSettings::bucket(quota, 4)
        };
        let service = Service::new(arguments.rows, Logins::Two, Some(quotas), latency);
        let keeps = share.is_some();
        let mut command = service.command(if keeps { &KEEP } else { &KEEP[..2] });
        std::thread::spawn(move || {
            let began = Instant::now();
            let ended = command.status().expect("it runs");
            assert!(ended.success());
            let [describes, ..] = service.calls();
            let looks = describes as f64 / service.rows as f64;
            (share, began.elapsed().as_secs_f64(), looks)
        })
    });
    let runs = runs.map(|run| run.join().expect("it ends"));
    let plain = runs[0].1;
    for (share, seconds, looks) in runs {
        let name = share.map_or_else(|| "plain".to_owned(), |share| format!("{}", share * quota));
        // The slower of the two quotas.
        let least = share.map_or(1.0, |share| (1.0 / share).max(1.0));
        println!(
            "{name:<16}{seconds:>9.1}{:>12.2}{least:>11.2}{looks:>11.2}",
            seconds / plain
        );
    }
}

/// The logins of each identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logins {
    /// One developer user.
    One,
    /// Two developer users.
    Two,
    /// A developer user, and a login with another provider.
    Public,
}

/// An emulator, and a directory with an input that names one user of each of its identities.
struct Service {
    emulator: Emulator,
    directory: TempDir,
    rows: usize,
}

impl Service {
    fn new(rows: usize, logins: Logins, quota: Option<QuotaSettings>, latency: Duration) -> Self {
        let users = if logins == Logins::Two { 2 } else { 1 };
        let links = (0..rows).flat_map(|n| (0..users).map(move |user| link(n, user)));
        let emulator = Emulator::spawn(Settings {
            links: Some(match logins {
                Logins::Public => Vec::new(),
                Logins::One | Logins::Two => links.collect(),
            }),
            quota,
            latency,
            jitter: latency / 4,
            ..Settings::default()
        })
        .expect("an emulator");
        let rows_of_input = match logins {
            Logins::Public => link_with_public_logins(&emulator, rows),
            Logins::One | Logins::Two => (0..rows).map(|n| link(n, 0)).collect(),
        };
        let mut text =
            "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n"
                .to_owned();
        for Link {
            identity_id,
            identity_pool_id,
            developer_provider_name,
            developer_user_identifier,
        } in rows_of_input
        {
            let _ = writeln!(
                text,
                "{identity_id},{identity_pool_id},{developer_provider_name},{developer_user_identifier}"
            );
        }
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("people.csv"), text).expect("written");
        Self {
            emulator,
            directory,
            rows,
        }
    }

    /// Returns the calls so far: descriptions of identities, look-ups of users, lists, unlinks.
    fn calls(&self) -> [u64; 4] {
        let counters = self.emulator.counters();
        let of = |operation| counters.operations.get(operation).copied();
        [
            "DescribeIdentity",
            "LookupDeveloperIdentity",
            "ListIdentities",
            "UnlinkDeveloperIdentity",
        ]
        .map(|operation| of(operation).unwrap_or_default())
    }

    fn command(&self, args: &[&str]) -> Command {
        command(self.directory.path(), &self.emulator.url(), args)
    }
}

fn command(directory: &Path, url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cognito-unlink"));
    command
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .env("AWS_ACCESS_KEY_ID", "a")
        .env("AWS_SECRET_ACCESS_KEY", "s")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .args(args)
        .args(["--endpoint-url", url, "--no-state", "--rate", "unlimited"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn link(identity: usize, user: usize) -> Link {
    Link {
        identity_id: format!("us-east-1:00000000-0000-4000-8000-{identity:012x}"),
        identity_pool_id: POOL.to_owned(),
        developer_provider_name: PROVIDER.to_owned(),
        developer_user_identifier: format!("acct-{identity}-{user}"),
    }
}

/// Links users to new identities, each with a login of another provider besides. Returns the links.
fn link_with_public_logins(emulator: &Emulator, count: usize) -> Vec<Link> {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("a", "s", None, None, "bench"))
        .endpoint_url(emulator.url());
    let client = Client::from_conf(config.build());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let pool = client
            .create_identity_pool()
            .identity_pool_name("with public logins")
            .allow_unauthenticated_identities(false)
            .developer_provider_name(PROVIDER)
            .supported_login_providers(OTHER_PROVIDER, "app")
            .send();
        let pool = pool.await.expect("made").identity_pool_id;
        let mut links = Vec::new();
        for n in 0..count {
            let user = format!("acct-{n}-0");
            let linked = client
                .get_open_id_token_for_developer_identity()
                .identity_pool_id(&pool)
                .logins(PROVIDER, &user)
                .logins(OTHER_PROVIDER, format!("token-{n}"))
                .send();
            let identity = linked.await.expect("linked").identity_id;
            links.push(Link {
                identity_id: identity.expect("an identity"),
                identity_pool_id: pool.clone(),
                ..link(n, 0)
            });
        }
        links
    })
}
