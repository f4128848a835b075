//! Before the first call: pools, the account, the team's configuration. What is refused is never called.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::thread;

use cognito_unlink::emulator::{Emulator, Link, Rule, Settings, Then, When};
use rustix::process::Signal;

use crate::gate::{Gate, Instead, Told};
use crate::outages::{expires, keys, old_keys_expire};
use crate::sandbox::{
    Closed, PATIENCE, POOL, PROVIDER, Ran, Running, Sandbox, csv, link, people, start,
};

const OTHER_POOL: &str = "us-east-1:99999999-9b5e-4d7a-8c21-5e0f7d9a4b63";

/// Link `n`, in another pool.
fn elsewhere(n: usize) -> Link {
    Link {
        identity_pool_id: OTHER_POOL.to_owned(),
        ..link(n)
    }
}

fn asked(sandbox: &Sandbox) -> u64 {
    let operations = sandbox.emulator.counters().operations;
    operations.get("DescribeIdentityPool").copied().unwrap_or(0)
}

/// Runs `people.csv` by way of a gate.
fn run_behind(sandbox: &Sandbox, gate: &Gate, args: &[&str]) -> Command {
    let mut command = sandbox.program();
    command.args(["run", "people.csv", "--json", "--rate", "unlimited"]);
    command.args(["--endpoint-url", gate.url()]).args(args);
    command
}

fn told(about: &str, answers: impl Into<VecDeque<Instead>>) -> Vec<Told> {
    vec![Told {
        about: about.to_owned(),
        answers: answers.into(),
    }]
}

#[track_caller]
fn says(ran: &Ran, words: &str) {
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(said.contains(words), "{words:?} is not in {said}");
}

#[test]
fn a_pool_is_looked_up_once() {
    let sandbox = Sandbox::with(Settings {
        provider: Some(PROVIDER.to_owned()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(40));
    let ran = sandbox.run(&["people.csv"]).exits(0);
    assert_eq!(ran.stderr, "");
    assert_eq!(asked(&sandbox), 1);
    sandbox.write("more.csv", people(3));
    sandbox.run(&["more.csv", "--no-preflight"]).exits(0);
    assert_eq!(asked(&sandbox), 1);
    assert_eq!(sandbox.emulator.counters().unlinks, 43);
}

#[test]
fn a_pool_that_is_not_there_is_not_called() {
    let sandbox = Sandbox::with(Settings {
        links: Some((1..=30).map(link).collect()),
        ..Settings::default()
    });
    let rows: Vec<_> = (31..=35).map(elsewhere).chain((1..=30).map(link)).collect();
    sandbox.write("people.csv", csv(&rows));
    let ran = sandbox.run(&["people.csv", "--json"]).exits(5);
    says(
        &ran,
        "the identity pool does not exist in this Region and account (at people.csv:2",
    );
    says(&ran, OTHER_POOL);
    assert_eq!(ran.counts(&["rows", "failed", "in_doubt"]), [35, 0, 0]);
    let called = sandbox.calls_by_user();
    assert!((31..=35).all(|n| !called.contains_key(&format!("acct-{n}"))));
}

#[test]
fn a_pool_with_another_provider_is_not_called() {
    let sandbox = Sandbox::with(Settings {
        provider: Some("login.other".to_owned()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(30));
    let ran = sandbox.run(&["people.csv", "--json"]).exits(5);
    says(
        &ran,
        "has the developer provider name login.other, and not login.example.com (at people.csv:2)",
    );
    assert_eq!(ran.counts(&["left", "failed", "calls"]), [30, 0, 0]);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);

    // A later row of a pool that is known.
    let mut rows: Vec<_> = (1..=30).map(link).collect();
    for row in &mut rows[..29] {
        row.developer_provider_name = "login.other".to_owned();
    }
    sandbox.write("people.csv", csv(&rows));
    let ran = sandbox.run(&["people.csv", "--json"]).exits(5);
    says(&ran, "people.csv:31)");
    assert!(!sandbox.calls_by_user().contains_key("acct-30"));
}

#[test]
fn whoever_may_not_ask_is_warned_and_goes_on() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(20));
    for code in ["AccessDeniedException", "NotAuthorizedException"] {
        let gate = Gate::before(&sandbox.emulator.url(), told(POOL, [Instead::Error(code)]));
        let results = format!("{code}.csv");
        let mut command = run_behind(&sandbox, &gate, &["--results", &results]);
        let ran = start(&mut command).ended().exits(0);
        says(&ran, "Warning: pool");
        says(&ran, "Allow cognito-identity:DescribeIdentityPool");
        assert_eq!(ran.stderr.matches("Warning").count(), 1, "{}", ran.stderr);
        assert_eq!(gate.answered(), 1);
        assert_eq!(asked(&sandbox), 0);
    }
}

#[test]
fn an_answer_that_can_be_had_is_waited_for() {
    let sandbox = Sandbox::with(Settings {
        provider: Some("login.other".to_owned()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(20));
    let moments = [
        Instead::Error("TooManyRequestsException"),
        Instead::HangUp,
        Instead::Error("InternalErrorException"),
    ];
    let gate = Gate::before(&sandbox.emulator.url(), told(POOL, moments));
    let ran = start(&mut run_behind(&sandbox, &gate, &[]))
        .ended()
        .exits(5);
    says(&ran, "has the developer provider name login.other");
    says(&ran, "No answer from us-east-1");
    assert_eq!(gate.answered(), 3);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn a_throttled_look_up_is_made_again_and_nothing_is_called_without_it() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    let throttled = vec![Instead::Error("TooManyRequestsException"); 6];
    let gate = Gate::before(&sandbox.emulator.url(), told(POOL, throttled));
    let ran = start(&mut run_behind(&sandbox, &gate, &[]))
        .ended()
        .exits(0);
    assert_eq!(ran.stderr, "");
    assert_eq!(ran.counts(&["unlinked", "throttled"]), [5, 0]);
    assert_eq!(gate.answered(), 6);
}

#[test]
fn a_service_that_fails_to_tell_does_not_stop_the_run() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    let busy = vec![Instead::Error("InternalErrorException"); 9];
    let gate = Gate::before(&sandbox.emulator.url(), told(POOL, busy));
    let ran = start(&mut run_behind(&sandbox, &gate, &[]))
        .ended()
        .exits(0);
    says(&ran, "Warning: pool");
    assert_eq!(ran.counts(&["unlinked", "throttled"]), [5, 0]);
    assert_eq!(gate.answered(), 4);
}

#[test]
fn a_pool_that_keeps_its_rows_waiting_holds_up_no_other() {
    let sandbox = Sandbox::new();
    let rows: Vec<_> = (1..=40)
        .map(elsewhere)
        .chain((41..=100).map(link))
        .collect();
    sandbox.write("people.csv", csv(&rows));
    let gate = Gate::before(&sandbox.emulator.url(), told(OTHER_POOL, [Instead::Wait]));
    let running = start(&mut run_behind(&sandbox, &gate, &["--timeout", "60s"]));
    let others_done = sandbox
        .emulator
        .wait_until(PATIENCE, |seen| seen.unlinks == 60);
    assert!(others_done, "{:?}", sandbox.emulator.counters());
    gate.open();
    let ran = running.ended().exits(0);
    assert_eq!(ran.counts(&["unlinked", "calls"]), [100, 100]);
}

#[test]
fn rows_that_wait_for_their_pool_are_left_when_the_run_stops() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    let gate = Gate::before(&sandbox.emulator.url(), told(POOL, [Instead::Wait]));
    let running = start(&mut run_behind(&sandbox, &gate, &[]));
    assert!(gate.is_asked());
    running.signal(Signal::TERM);
    let ran = running.ended().exits(143);
    assert_eq!(ran.counts(&["rows", "left", "calls"]), [40, 40, 0]);
    gate.open();
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn only_the_expected_account_is_called() {
    let sandbox = Sandbox::with(Settings {
        account: "111122223333".to_owned(),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(5));
    let ran = sandbox
        .run(&["people.csv", "--expect-account", "123456789012"])
        .exits(2);
    says(&ran, "those of account 111122223333");
    says(&ran, "--expect-account says 123456789012");
    assert_eq!(
        (asked(&sandbox), sandbox.emulator.counters().unlinks),
        (0, 0)
    );
    assert!(!sandbox.exists("people.results.csv"));
    sandbox
        .run(&["people.csv", "--expect-account", "111122223333"])
        .exits(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 5);
    // A rehearsal has no account.
    sandbox
        .run(&[
            "people.csv",
            "--rehearse",
            "--expect-account",
            "123456789012",
        ])
        .exits(0);
}

#[test]
fn an_account_that_nobody_tells_is_not_the_expected_one() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(5));
    let mut command = sandbox.program();
    command.args(["run", "people.csv", "--expect-account", "123456789012"]);
    command.env("AWS_ENDPOINT_URL", sandbox.emulator.url());
    let closed = Closed::new();
    command.env("AWS_ENDPOINT_URL_STS", closed.url());
    let ran = start(&mut command).ended().exits(2);
    says(
        &ran,
        "it cannot be found out whose AWS credentials these are (ConnectionFailed",
    );
    let mut command = sandbox.bare();
    command.args(["run", "people.csv", "--expect-account", "123456789012"]);
    command.env("AWS_ENDPOINT_URL", sandbox.emulator.url());
    let ran = start(&mut command).ended().exits(2);
    says(
        &ran,
        "it cannot be found out whose AWS credentials these are (NoCredentials",
    );
    let mut command = sandbox.bare();
    command.args(["run", "people.csv"]);
    command.env("AWS_ENDPOINT_URL", sandbox.emulator.url());
    let ran = start(&mut command).ended().exits(5);
    says(
        &ran,
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. No call was sent: ",
    );
    assert_eq!(
        (asked(&sandbox), sandbox.emulator.counters().unlinks),
        (0, 0)
    );
}

/// Where STS tells the account of each access key.
fn sts_that_tells(account: fn(&str) -> &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A caller that breaks off is the program's doing.
            let _ = tell_account(&stream, account);
        }
    });
    url
}

fn tell_account(mut stream: &TcpStream, account: fn(&str) -> &'static str) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim();
        if let Some((_, credential)) = line.split_once("Credential=") {
            key.clear();
            key.push_str(credential.split('/').next().unwrap_or_default());
        } else if let Some(told) = line.strip_prefix("content-length: ") {
            length = told.parse().unwrap_or(0);
        } else if line.is_empty() {
            break;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let account = account(&key);
    let body = format!(
        "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::{account}:user/u</Arn>\
         <Account>{account}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"
    );
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

const OURS: &str = "111122223333";
const OTHERS: &str = "444455556666";

/// A run that waits for other credentials than these when they expire; its fifth call is held.
fn expiring(sandbox: &Sandbox, key: &str) -> Command {
    sandbox.write("people.csv", people(40));
    sandbox.write("credentials", keys(key));
    sandbox.emulator.add_rule(Rule {
        when: When::Call(5),
        then: Then::Hold,
        times: None,
    });
    let mut command = sandbox.bare();
    command.args(["run", "people.csv", "--on-expiry", "wait", "--json"]);
    command.args(["--rate", "unlimited", "--concurrency", "2"]);
    command.env("AWS_SHARED_CREDENTIALS_FILE", sandbox.path("credentials"));
    command
}

/// Starts a run whose credentials expire, and waits until it waits for others; gives back what renews them.
fn waiting_for_renewal(sandbox: &Sandbox, sts: &str, args: &[&str]) -> (Running, impl Fn()) {
    let mut command = expiring(sandbox, "AKIDOLD");
    let url = sandbox.emulator.url();
    sandbox.write("config", format!("[default]\nendpoint_url = {url}\n"));
    command.args(args);
    command.env("AWS_ENDPOINT_URL_STS", sts);
    command.env("AWS_CONFIG_FILE", sandbox.path("config"));
    let running = start(&mut command);
    old_keys_expire(sandbox, &running);
    let credentials = sandbox.path("credentials");
    let renew = move || std::fs::write(&credentials, keys("AKIDNEW")).expect("written");
    (running, renew)
}

#[test]
fn credentials_that_are_renewed_for_another_account_sign_nothing() {
    let sandbox = Sandbox::new();
    let sts = sts_that_tells(|key| if key == "AKIDNEW" { OTHERS } else { OURS });
    let (running, renew) = waiting_for_renewal(&sandbox, &sts, &["--expect-account", OURS]);
    let called = sandbox.emulator.calls().len();
    renew();
    let ran = running.ended().exits(5);
    says(
        &ran,
        "Halted: the AWS credentials have become another account's",
    );
    says(
        &ran,
        "The answer was account 444455556666 (arn:aws:iam::444455556666:user/u).",
    );
    // Beside what was under way when the credentials expired, and what tries the old ones.
    assert!(sandbox.emulator.calls().len() <= called + 2);
    assert_eq!(ran.counts(&["failed", "in_doubt"]), [0, 0]);
    assert!(ran.counts(&["unlinked"])[0] < 40, "{}", ran.stdout);
}

/// Keys that name accounts 111122223333 and 444455556666, as keys do since 2019: the bits stand in base 32 behind the prefix.
const KEY_OF_OURS: &str = "ASIARTX3GSDSQAAAAAAF";
const KEY_OF_OTHERS: &str = "ASIAWO645SY5AAAAAAAH";

/// Nobody has named an account, and nobody is asked for one.
#[test]
fn without_an_account_it_stays_the_one_that_the_run_began_with() {
    let sandbox = Sandbox::new();
    let mut command = expiring(&sandbox, KEY_OF_OURS);
    command.args(["--endpoint-url", &sandbox.emulator.url()]);
    let running = start(&mut command);
    expires(&sandbox, &running, KEY_OF_OURS);
    let called = sandbox.emulator.calls().len();
    sandbox.write("credentials", keys(KEY_OF_OTHERS));
    let ran = running.ended().exits(5);
    says(
        &ran,
        "The answer was account 444455556666, and the run began with account 111122223333.",
    );
    assert_eq!(ran.counts(&["failed", "in_doubt"]), [0, 0]);
    // Beside what was under way when the credentials expired, and what tries the old ones.
    assert!(sandbox.emulator.calls().len() <= called + 2);
    let operations = sandbox.emulator.counters().operations;
    assert!(
        !operations.contains_key("GetCallerIdentity"),
        "{operations:?}"
    );
}

#[test]
fn a_renewal_brings_no_other_endpoint() {
    let sandbox = Sandbox::new();
    let elsewhere = Emulator::spawn(Settings::default()).expect("an emulator");
    let sts = sts_that_tells(|_| OURS);
    let (running, renew) = waiting_for_renewal(&sandbox, &sts, &["--expect-account", OURS]);
    let config = format!("[default]\nendpoint_url = {}\n", elsewhere.url());
    sandbox.write("config", config);
    renew();
    let ran = running.ended().exits(0);
    assert_eq!(ran.counts(&["unlinked", "failed", "in_doubt"]), [40, 0, 0]);
    assert_eq!(elsewhere.counters().connections, 0);
}

/// The chain of credentials refreshes itself, without a renewal by the run.
#[test]
fn credentials_that_refresh_themselves_stay_those_of_the_account() {
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
    let sts = sts_that_tells(|key| {
        let vended = key.strip_prefix("AKID").and_then(|n| n.parse().ok());
        if vended.is_some_and(|n: u32| n > 2) {
            OTHERS
        } else {
            OURS
        }
    });
    let mut command = sandbox.bare();
    command.args(["run", "people.csv", "--rate", "10", "--json"]);
    command.env("AWS_ENDPOINT_URL_COGNITO_IDENTITY", sandbox.emulator.url());
    command.env("AWS_ENDPOINT_URL_STS", sts);
    command.env("AWS_CONFIG_FILE", sandbox.path("config"));
    command.env("PATH", "/usr/bin:/bin");
    let ran = start(&mut command).ended().exits(5);
    says(&ran, "have become another account's");
    let unlinks = sandbox.emulator.counters().unlinks;
    assert!((1..40).contains(&unlinks), "{unlinks}");
}

#[test]
fn a_configuration_bounds_what_is_touched() {
    let sandbox = Sandbox::new();
    let rows: Vec<_> = (1..=20).map(link).chain([elsewhere(21)]).collect();
    sandbox.write("people.csv", csv(&rows));
    for (config, code, words) in [
        (
            "allowed-accounts = [\"999999999999\"]",
            2,
            "account 123456789012 is not among the allowed-accounts",
        ),
        (
            "allowed-regions = [\"eu-west-1\"]",
            5,
            "Region us-east-1 is not among the allowed-regions of cognito-unlink.toml (at people.csv:2)",
        ),
        (
            &format!("allowed-pools = [\"{OTHER_POOL}\"]"),
            5,
            "is not among the allowed-pools of cognito-unlink.toml (at people.csv:2)",
        ),
    ] {
        sandbox.write("cognito-unlink.toml", config);
        let ran = sandbox.run(&["people.csv"]).exits(code);
        says(&ran, words);
        says(&ran, "Taken from cognito-unlink.toml: allowed-");
        assert_eq!(
            (asked(&sandbox), sandbox.emulator.counters().unlinks),
            (0, 0)
        );
    }
    // What is allowed is called, up to the first row that is not.
    sandbox.write(
        "cognito-unlink.toml",
        format!("allowed-pools = [\"{POOL}\"]"),
    );
    let ran = sandbox.run(&["people.csv", "--json"]).exits(5);
    says(&ran, "(at people.csv:22)");
    assert_eq!(ran.counts(&["failed", "in_doubt"]), [0, 0]);
    assert!(!sandbox.calls_by_user().contains_key("acct-21"));
    let ran = sandbox.run(&["people.csv", "--dry-run"]).exits(2);
    says(&ran, "(at people.csv:22); nothing was called");
    // So it is in a rehearsal, but for the account.
    sandbox.write(
        "cognito-unlink.toml",
        format!(
            "allowed-accounts = \"999999999999\"\nallowed-pools = [\"{POOL}\", \"{OTHER_POOL}\"]"
        ),
    );
    sandbox.run(&["people.csv", "--rehearse"]).exits(0);
}

#[test]
fn options_win_over_the_configuration_and_hold_lists_add_up() {
    let sandbox = Sandbox::new();
    let mut text = people(6).replace('\n', ",T-1\n");
    text = text.replacen(",T-1\n", ",ticket\n", 1);
    sandbox.write("people.csv", text);
    std::fs::create_dir(sandbox.path("team")).expect("a directory");
    sandbox.write("team/legal.txt", "acct-2\n");
    sandbox.write("mine.txt", "acct-3\n");
    sandbox.write(
        "team/ours.toml",
        "rate = \"1/h\"\nhold = \"legal.txt\"\ncarry = [\"ticket\"]\n",
    );
    let ran = sandbox
        .run(&[
            "people.csv",
            "--config",
            "team/ours.toml",
            "--hold",
            "mine.txt",
        ])
        .exits(0);
    assert_eq!(ran.stderr, "Taken from team/ours.toml: hold, carry.\n");
    let results = sandbox.results("people.results.csv");
    assert!(results.iter().all(|line| line["ticket"] == "T-1"));
    let outcomes = sandbox.outcomes("people.results.csv");
    let held: Vec<_> = (1..=6)
        .filter(|n| outcomes[&format!("acct-{n}")] == "held")
        .collect();
    assert_eq!(held, [2, 3]);
}

#[test]
fn a_configuration_that_is_not_understood_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let ran = sandbox
        .run(&["people.csv", "--config", "absent.toml"])
        .exits(2);
    says(&ran, "absent.toml cannot be read");
    for (config, words) in [
        (
            "\nallowed-acount = \"123456789012\"",
            "cognito-unlink.toml:2: unknown field `allowed-acount`, expected one of `allowed-accounts`",
        ),
        (
            "rate = true",
            "cognito-unlink.toml:1: rate: expected a number",
        ),
        (
            "hold = \"absent.txt\"",
            "the hold list absent.txt cannot be read",
        ),
    ] {
        sandbox.write("cognito-unlink.toml", config);
        let ran = sandbox.run(&["people.csv"]).exits(2);
        says(&ran, words);
        assert!(!sandbox.exists("people.results.csv"));
    }
    fs::remove_file(sandbox.path("cognito-unlink.toml")).expect("removed");
    symlink(
        "absent/cognito-unlink.toml",
        sandbox.path("cognito-unlink.toml"),
    )
    .expect("linked");
    let ran = sandbox.run(&["people.csv"]).exits(2);
    says(&ran, "cognito-unlink.toml cannot be read");
    fs::remove_file(sandbox.path("cognito-unlink.toml")).expect("removed");
    sandbox.write("cognito-unlink.toml", "");
    let ran = sandbox.run(&["people.csv"]).exits(0);
    assert_eq!(ran.stderr, "Taken from cognito-unlink.toml: nothing.\n");
}

#[test]
fn a_configuration_beside_the_input_is_in_effect_or_refused() {
    let sandbox = Sandbox::new();
    for folder in ["job", "other"] {
        fs::create_dir(sandbox.path(folder)).expect("created");
    }
    sandbox.write("job/people.csv", people(2));
    sandbox.write("other/more.csv", people(1));
    sandbox.write("job/cognito-unlink.toml", "hold = \"holds.txt\"");
    sandbox.write("job/holds.txt", "acct-1\n");
    symlink(sandbox.path("job/people.csv"), sandbox.path("link.csv")).expect("linked");
    for inputs in [
        &["job/people.csv"][..],
        &["other/more.csv", "job/people.csv"],
        &["link.csv"],
    ] {
        for more in [&[][..], &["--dry-run"], &["--rehearse"]] {
            let ran = sandbox.run(&[inputs, more].concat()).exits(2);
            says(
                &ran,
                "job/cognito-unlink.toml stands beside the input or the plan and is not in effect",
            );
            says(&ran, "or take none with --no-config");
        }
    }
    // One in the working directory is another.
    sandbox.write("cognito-unlink.toml", "rate = 5");
    let ran = sandbox.run(&["job/people.csv"]).exits(2);
    says(&ran, "cognito-unlink.toml in the working directory is");
    assert_eq!(sandbox.emulator.counters().connections, 0);

    // What is named counts, and what it leaves out is said.
    let named = [
        "job/people.csv",
        "--config",
        "cognito-unlink.toml",
        "--dry-run",
        "--json",
    ];
    let ran = sandbox.run(&named).exits(0);
    says(
        &ran,
        "Warning: job/cognito-unlink.toml stands beside the input",
    );
    assert_eq!(ran.counts(&["held"]), [0]);
    let named = [
        "job/people.csv",
        "--config",
        "job/cognito-unlink.toml",
        "--json",
    ];
    let ran = sandbox.run(&named).exits(0);
    assert_eq!(ran.counts(&["held", "unlinked"]), [1, 1]);
    let ran = sandbox
        .run(&["job/people.csv", "--no-config", "--json"])
        .exits(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [1, 1]);
    assert!(
        !ran.stderr.contains("cognito-unlink.toml"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_configuration_that_is_too_long_is_refused_and_not_cut() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    sandbox.write("holds.txt", "acct-1\n");
    let filler = "#".repeat(1 << 20);
    sandbox.write(
        "cognito-unlink.toml",
        format!("{filler}\nhold = \"holds.txt\"\n"),
    );
    for args in [&["people.csv"][..], &["people.csv", "--dry-run"]] {
        let ran = sandbox.run(args).exits(2);
        says(
            &ran,
            "it has 1048596 bytes, and a configuration has 1048576 at most",
        );
    }
    assert_eq!(sandbox.emulator.counters().connections, 0);
}

#[test]
fn a_password_in_an_endpoint_is_refused_and_never_printed() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let with_password = sandbox.emulator.url().replace("//", "//operator:hunter2@");
    let config = format!("[default]\nendpoint_url = {with_password}\n");
    sandbox.write("aws-config", config);
    let single = [
        "unlink-developer-identity",
        "--identity-id=us-east-1:1",
        "--identity-pool-id=us-east-1:1",
        "--developer-provider-name=p",
        "--developer-user-identifier=u",
        "--region=us-east-1",
    ];
    for (args, code) in [
        (&["run", "people.csv"][..], 2),
        (&["run", "people.csv", "--dry-run"], 2),
        (&["plan", "people.csv"], 2),
        (&["plan", "people.csv", "--online"], 2),
        (&single, 255),
    ] {
        let refused = |command: &mut Command| {
            let ran = start(command).ended().exits(code);
            says(&ran, "user name or password in its URL");
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert!(!all.contains("hunter2"), "{all}");
        };
        let option = [args, &["--endpoint-url", &with_password]].concat();
        refused(sandbox.program().args(&option));
        for variable in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_COGNITO_IDENTITY"] {
            refused(sandbox.program().env(variable, &with_password).args(args));
        }
        refused(
            sandbox
                .program()
                .env("AWS_CONFIG_FILE", sandbox.path("aws-config"))
                .args(args),
        );
    }
    let mut other = sandbox.program();
    other.args([
        "run",
        "people.csv",
        "--endpoint-url",
        "ftp://operator:hunter2@h",
    ]);
    let ran = start(&mut other).ended().exits(2);
    says(&ran, "user name or password in its URL");
    assert!(!ran.stderr.contains("hunter2"), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.counters().connections, 0);
}

#[test]
fn the_password_of_a_proxy_is_used_and_never_printed() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let nobody = crate::sandbox::Closed::new();
    for url in [sandbox.emulator.url(), nobody.url().to_owned()] {
        let proxy = url.replace("//", "//operator:hunter2@");
        for endpoint in ["http://cognito.example", "https://cognito.example"] {
            let mut command = sandbox.program();
            command.args([
                "run",
                "people.csv",
                "--yes",
                "-vv",
                "--endpoint-url",
                endpoint,
            ]);
            command.args(["--give-up-after", "1s", "--max-attempts", "1"]);
            command.env("HTTP_PROXY", &proxy).env("HTTPS_PROXY", &proxy);
            let ran = start(&mut command).ended();
            for said in [&ran.stdout, &ran.stderr] {
                assert!(
                    !said.contains("hunter2") && !said.contains("operator"),
                    "{said}"
                );
            }
        }
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 1, "through the proxy");
}

#[test]
fn a_message_that_names_the_user_of_another_row_is_not_repeated() {
    use cognito_unlink::emulator::Canned;
    let quoting = "User: arn:aws:iam::123456789012:user/acct-2 is not authorized to perform: \
                   cognito-identity:UnlinkDeveloperIdentity on resource: acct-3, for acct-2's link of 'acct-4'";
    let code = "AccessDeniedException";
    for about in ["UnlinkDeveloperIdentity", "DescribeIdentityPool"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(4));
        sandbox.emulator.add_rule(Rule {
            when: When::Operation(about),
            then: Then::Answer(Canned {
                status: 400,
                headers: vec![("x-amzn-requestid".into(), "acct-2".into())],
                body: serde_json::json!({"__type": code, "message": quoting}).to_string(),
            }),
            times: None,
        });
        for results in ["a.csv", "b.csv"] {
            let args = ["people.csv", "-vv", "--results", results];
            let json = if results == "b.csv" {
                &["--json"][..]
            } else {
                &[]
            };
            let ran = sandbox.run(&[&args, json].concat());
            let all = format!("{}{}", ran.stdout, ran.stderr);
            assert!(all.contains(code), "{all}");
            assert!(
                all.contains("arn:aws:iam::123456789012:user/… is not authorized to perform: cognito-identity:UnlinkDeveloperIdentity"),
                "{all}"
            );
            for other in 1..=4 {
                assert!(!all.contains(&format!("acct-{other}")), "{all}");
            }
        }
    }
}
