//! The AWS account: `--expect-account`, and renewed credentials that belong to another account.

use std::io::BufReader;
use std::process::Command;

use cognito_unlink::testing::emulator::{Emulator, Settings, Then, When};

use crate::http_server::{Message, answer_in_xml, serve};
use crate::outages::{credentials_file, expire_key};
use crate::sandbox::{ClosedPort, Running, Sandbox, people, rule, start};

#[test]
fn only_the_expected_account_is_called() {
    let sandbox = Sandbox::with_settings(Settings {
        account: "111122223333".to_owned(),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(5));
    let ran = sandbox
        .run(&["people.csv", "--expect-account", "123456789012"])
        .expect_exit(2);
    ran.assert_contains("those of account 111122223333");
    ran.assert_contains("--expect-account says 123456789012");
    assert_eq!(
        (sandbox.pool_lookups(), sandbox.emulator.counters().unlinks),
        (0, 0)
    );
    assert!(!sandbox.exists("people.results.csv"));
    sandbox
        .run(&["people.csv", "--expect-account", "111122223333"])
        .expect_exit(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 5);
    // A rehearsal has no account to check.
    sandbox
        .run(&[
            "people.csv",
            "--rehearse",
            "--expect-account",
            "123456789012",
        ])
        .expect_exit(0);
}

#[test]
fn expect_account_fails_if_the_account_cannot_be_found_out() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    let mut command = sandbox.command();
    command.args(["run", "people.csv", "--expect-account", "123456789012"]);
    command.env("AWS_ENDPOINT_URL", sandbox.emulator.url());
    let closed = ClosedPort::new();
    command.env("AWS_ENDPOINT_URL_STS", closed.url());
    let ran = start(&mut command).wait().expect_exit(2);
    ran.assert_contains("the account of the AWS credentials cannot be looked up (ConnectionFailed");
    let mut command = sandbox.command_without_credentials();
    command.args(["run", "people.csv", "--expect-account", "123456789012"]);
    command.env("AWS_ENDPOINT_URL", sandbox.emulator.url());
    let ran = start(&mut command).wait().expect_exit(2);
    ran.assert_contains("the account of the AWS credentials cannot be looked up (NoCredentials");
    let mut command = sandbox.command_without_credentials();
    command.args(["run", "people.csv"]);
    command.env("AWS_ENDPOINT_URL", sandbox.emulator.url());
    let ran = start(&mut command).wait().expect_exit(5);
    ran.assert_contains("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. No call was sent: ");
    assert_eq!(
        (sandbox.pool_lookups(), sandbox.emulator.counters().unlinks),
        (0, 0)
    );
}

/// Starts an STS that answers with the account of the access key, and returns its URL.
fn start_sts(account: fn(&str) -> &'static str) -> String {
    let address = serve(move |stream| {
        let Ok(request) = Message::read(&mut BufReader::new(&stream)) else {
            return;
        };
        let credential = request.credential().unwrap_or_default();
        let account = account(credential.split('/').next().unwrap_or_default());
        let body = format!(
            "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::{account}:user/u</Arn>\
             <Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
        );
        // The program may close the connection first.
        let _ = answer_in_xml(&stream, "200 OK", &body);
    });
    format!("http://{address}")
}

const OURS: &str = "111122223333";
const OTHERS: &str = "444455556666";

/// Returns a run that waits for other credentials when these expire, and whose fifth call the emulator holds.
fn run_that_waits(sandbox: &Sandbox, key: &str) -> Command {
    sandbox.write("people.csv", people(40));
    sandbox.write("credentials", credentials_file(key));
    sandbox.emulator.add_rule(rule(When::Call(5), Then::Hold));
    let mut command = sandbox.command_without_credentials();
    command.args(["run", "people.csv", "--on-expiry", "wait", "--json"]);
    command.args(["--rate", "unlimited", "--concurrency", "2"]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", sandbox.path("credentials"));
    command
}

/// Starts a run whose credentials expire, waits until it waits for others, and returns it with a function that renews them.
fn start_waiting_for_renewal(sandbox: &Sandbox, sts: &str, args: &[&str]) -> (Running, impl Fn()) {
    let mut command = run_that_waits(sandbox, "AKIDOLD");
    let url = sandbox.emulator.url();
    sandbox.write("config", format!("[default]\nendpoint_url = {url}\n"));
    command.args(args);
    command.env("AWS_ENDPOINT_URL_STS", sts);
    command.env("AWS_CONFIG_FILE", sandbox.path("config"));
    let running = start(&mut command);
    expire_key(sandbox, &running, "AKIDOLD");
    let credentials = sandbox.path("credentials");
    let renew = move || std::fs::write(&credentials, credentials_file("AKIDNEW")).expect("written");
    (running, renew)
}

#[test]
fn credentials_renewed_for_another_account_halt_the_run() {
    let sandbox = Sandbox::new();
    let sts = start_sts(|key| if key == "AKIDNEW" { OTHERS } else { OURS });
    let (running, renew) = start_waiting_for_renewal(&sandbox, &sts, &["--expect-account", OURS]);
    let called = sandbox.emulator.calls().len();
    renew();
    let ran = running.wait().expect_exit(5);
    ran.assert_contains("Halted: the AWS credentials have become another account's");
    ran.assert_contains("The answer was account 444455556666 (arn:aws:iam::444455556666:user/u).");
    // At most one call was in flight when the credentials expired, and one tried the old ones again.
    assert!(sandbox.emulator.calls().len() <= called + 2);
    assert_eq!(ran.counts(&["failed", "in_doubt"]), [0, 0]);
    assert!(ran.counts(&["unlinked"])[0] < 40, "{}", ran.stdout);
}

/// Access keys of accounts 111122223333 and 444455556666. Since 2019 the account is in the key, in base 32 after the prefix.
const KEY_OF_OURS: &str = "ASIARTX3GSDSQAAAAAAF";
const KEY_OF_OTHERS: &str = "ASIAWO645SY5AAAAAAAH";

/// The account is read from the access key: STS is not asked.
#[test]
fn without_expect_account_the_first_account_stays() {
    let sandbox = Sandbox::new();
    let mut command = run_that_waits(&sandbox, KEY_OF_OURS);
    command.args(["--endpoint-url", &sandbox.emulator.url()]);
    let running = start(&mut command);
    expire_key(&sandbox, &running, KEY_OF_OURS);
    let called = sandbox.emulator.calls().len();
    sandbox.write("credentials", credentials_file(KEY_OF_OTHERS));
    let ran = running.wait().expect_exit(5);
    ran.assert_contains(
        "The answer was account 444455556666, and the run began with account 111122223333.",
    );
    assert_eq!(ran.counts(&["failed", "in_doubt"]), [0, 0]);
    // At most one call was in flight when the credentials expired, and one tried the old ones again.
    assert!(sandbox.emulator.calls().len() <= called + 2);
    let operations = sandbox.emulator.counters().operations;
    assert!(
        !operations.contains_key("GetCallerIdentity"),
        "{operations:?}"
    );
}

#[test]
fn a_renewal_keeps_the_endpoint() {
    let sandbox = Sandbox::new();
    let elsewhere = Emulator::spawn(Settings::default()).expect("an emulator");
    let sts = start_sts(|_| OURS);
    let (running, renew) = start_waiting_for_renewal(&sandbox, &sts, &["--expect-account", OURS]);
    let config = format!("[default]\nendpoint_url = {}\n", elsewhere.url());
    sandbox.write("config", config);
    renew();
    let ran = running.wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "failed", "in_doubt"]), [40, 0, 0]);
    assert_eq!(elsewhere.counters().connections, 0);
}

/// The provider chain of the SDK refreshes these credentials by itself.
#[test]
fn credentials_refreshed_for_another_account_halt_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    sandbox.write(
        "vend",
        "#!/bin/sh\necho x >> vended\nn=$(wc -l < vended)\nt=$(date -u -d '+2 seconds' +%Y-%m-%dT%H:%M:%SZ)\n\
         echo '{\"Version\":1,\"AccessKeyId\":\"AKID'$n'\",\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\",\"Expiration\":\"'$t'\"}'\n",
    );
    sandbox.write(
        "cognito-unlink.toml",
        format!("allowed-accounts = \"{OURS}\""),
    );
    let vend = sandbox.path("vend").display().to_string();
    sandbox.write(
        "config",
        format!("[default]\ncredential_process = /bin/sh {vend}\n"),
    );
    let sts = start_sts(|key| {
        let vended = key.strip_prefix("AKID").and_then(|n| n.parse().ok());
        if vended.is_some_and(|n: u32| n > 2) {
            OTHERS
        } else {
            OURS
        }
    });
    let mut command = sandbox.command_without_credentials();
    command.args(["run", "people.csv", "--rate", "10", "--json"]);
    command.env("AWS_ENDPOINT_URL_COGNITO_IDENTITY", sandbox.emulator.url());
    command.env("AWS_ENDPOINT_URL_STS", sts);
    command.env("AWS_CONFIG_FILE", sandbox.path("config"));
    command.env("PATH", "/usr/bin:/bin");
    let ran = start(&mut command).wait().expect_exit(5);
    ran.assert_contains("have become another account's");
    let unlinks = sandbox.emulator.counters().unlinks;
    assert!((1..40).contains(&unlinks), "{unlinks}");
}
