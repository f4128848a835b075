//! The user agent of each call, by which CloudTrail shows the program and the run.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::TcpStream;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};

use cognito_unlink::testing::emulator::Settings;

use crate::http_server::{Message, serve};
use crate::sandbox::{POOL, PROVIDER, Sandbox, link, people, start};

const ACCOUNT: &str = "111122223333";
const NAME: &str = concat!("cognito-unlink-", env!("CARGO_PKG_VERSION"));

/// User agents by operation, the last of each.
type UserAgents = BTreeMap<String, String>;

/// Passes requests on to the emulator, and notes the user agent of each.
fn forward(program: &TcpStream, emulator: &str, seen: &Mutex<UserAgents>) -> Option<()> {
    let emulator = TcpStream::connect(emulator).ok()?;
    let mut requests = BufReader::new(program);
    let mut answers = BufReader::new(&emulator);
    loop {
        let request = Message::read(&mut requests).ok()?;
        let target = request.header("x-amz-target").unwrap_or("sts");
        let agent = request.header("user-agent").unwrap_or_default();
        seen.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(target.to_owned(), agent.to_owned());
        request.write_to(&emulator).ok()?;
        let answer = Message::read(&mut answers).ok()?;
        answer.write_to(program).ok()?;
    }
}

/// Runs `command` through a proxy, and returns the application name in the user agent of each operation that it called.
fn app_names(sandbox: &Sandbox, command: &mut Command) -> UserAgents {
    let seen = Arc::new(Mutex::new(UserAgents::new()));
    let emulator = sandbox.emulator.url();
    let emulator = emulator.trim_start_matches("http://").to_owned();
    let noted = Arc::clone(&seen);
    let address = serve(move |stream| {
        let _ = forward(&stream, &emulator, &noted);
    });
    command.env("AWS_ENDPOINT_URL", format!("http://{address}"));
    start(command).wait().expect_exit(0);
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let names = seen.iter().map(|(target, agent)| {
        let operation = target.rsplit('.').next().unwrap_or(target);
        let names: Vec<_> = agent
            .split(' ')
            .filter_map(|part| part.strip_prefix("app/"))
            .collect();
        (operation.to_owned(), names.join(" "))
    });
    names.collect()
}

fn named(operations: &[&str], name: &str) -> UserAgents {
    let of = |operation: &&str| ((*operation).to_owned(), name.to_owned());
    operations.iter().map(of).collect()
}

#[test]
fn each_call_names_the_program_and_the_run() {
    let sandbox = Sandbox::with_settings(Settings {
        account: ACCOUNT.to_owned(),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(2));
    let expected = ["--expect-account", ACCOUNT];

    let mut plan = sandbox.command();
    plan.args(["plan", "people.csv", "--online"]).args(expected);
    let looked_up = ["DescribeIdentityPool", "sts"];
    assert_eq!(app_names(&sandbox, &mut plan), named(&looked_up, NAME));

    let mut run = sandbox.command();
    run.args(["run", "people.csv"]).args(expected);
    let names = app_names(&sandbox, &mut run);
    // The id of a run that calls this machine has an ending, which no CloudTrail sees.
    let run_id = sandbox.results("people.results.csv")[0]["run_id"].clone();
    let run_id = run_id.trim_end_matches("-local");
    let called = ["DescribeIdentityPool", "UnlinkDeveloperIdentity", "sts"];
    let name = format!("{NAME}-{run_id}");
    assert!(name.len() <= 50, "{name}");
    assert_eq!(names, named(&called, &name));

    let mut single = sandbox.command();
    let link = link(3);
    single.args(["unlink-developer-identity", "--region", "us-east-1"]);
    single.args(["--identity-pool-id", POOL]);
    single.args(["--developer-provider-name", PROVIDER]);
    single.args(["--identity-id", &link.identity_id]);
    single.args(["--developer-user-identifier", "acct-3"]);
    let called = ["UnlinkDeveloperIdentity"];
    assert_eq!(app_names(&sandbox, &mut single), named(&called, NAME));
}
