//! The ways to the service that every AWS tool knows: profile, endpoint, proxy, CA bundle.

use std::net::TcpListener;

use cognito_unlink::emulator::{FaultKind, Rule, Then, When};

use crate::sandbox::{Sandbox, people, start};

#[test]
fn endpoint_and_credentials_come_from_a_profile() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write(
        "config",
        format!(
            "[profile purge]\nendpoint_url = {}\n",
            sandbox.emulator.url()
        ),
    );
    sandbox.write(
        "credentials",
        "[purge]\naws_access_key_id = AKIDPURGE\naws_secret_access_key = s\n",
    );
    for by_option in [true, false] {
        let mut command = sandbox.bare();
        command.args(["run", "people.csv", "--rate", "unlimited"]);
        command.env("AWS_CONFIG_FILE", sandbox.path("config"));
        command.env("AWS_SHARED_CREDENTIALS_FILE", sandbox.path("credentials"));
        if by_option {
            command.args(["--profile", "purge"]);
        } else {
            command.env("AWS_PROFILE", "purge");
        }
        start(&mut command).ended().exits(0);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 3);
}

#[test]
fn a_profile_that_is_named_goes_before_keys_in_the_environment() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write(
        "credentials",
        "[purge]\naws_access_key_id = AKIDPURGE\naws_secret_access_key = s\n",
    );
    sandbox.emulator.add_rule(Rule {
        when: When::Key("AKIDPURGE".into()),
        then: Then::Fault(FaultKind::AccessDenied),
        times: None,
    });
    let with = |name: &str| {
        let mut command = sandbox.run_command(&["people.csv", "--profile", name]);
        command.env("AWS_SHARED_CREDENTIALS_FILE", sandbox.path("credentials"));
        start(&mut command).ended()
    };
    // The keys in the environment would be taken.
    with("purge").exits(5);
    let ran = with("absent").exits(2);
    assert!(ran.stderr.contains("--profile absent"), "{}", ran.stderr);
    sandbox.run(&["people.csv"]).exits(0);
}

#[test]
fn credentials_are_refreshed_before_they_expire() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(80));
    // Each set of keys is good for 11 seconds, and renewed ten seconds before that is over.
    sandbox.write(
        "vend",
        "#!/bin/sh\necho x >> vended\nn=$(wc -l < vended)\nt=$(date -u -d '+11 seconds' +%Y-%m-%dT%H:%M:%SZ)\n\
         echo '{\"Version\":1,\"AccessKeyId\":\"AKID'$n'\",\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\",\"Expiration\":\"'$t'\"}'\n",
    );
    sandbox.write(
        "config",
        format!(
            "[default]\ncredential_process = /bin/sh {}\n",
            sandbox.path("vend").display()
        ),
    );
    let mut command = sandbox.bare();
    command.args(["run", "people.csv", "--rate", "20", "--json"]);
    command.args(["--endpoint-url", &sandbox.emulator.url()]);
    command.env("AWS_CONFIG_FILE", sandbox.path("config"));
    command.env("PATH", "/usr/bin:/bin");
    let ran = start(&mut command).ended().exits(0);
    assert_eq!(ran.counts(&["unlinked", "calls"]), [80, 80]);
    let vended = sandbox.read("vended").lines().count();
    assert!((2..20).contains(&vended), "{vended}");
}

#[test]
fn the_endpoint_comes_from_the_environment() {
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_COGNITO_IDENTITY"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(3));
        let mut command = sandbox.program();
        command
            .args(["run", "people.csv"])
            .env(name, sandbox.emulator.url());
        start(&mut command).ended().exits(0);
        assert_eq!(sandbox.emulator.counters().unlinks, 3, "{name}");
    }
}

#[test]
fn a_proxy_is_used_where_one_is_set() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let mut command = sandbox.program();
    command.args([
        "run",
        "people.csv",
        "--yes",
        "--endpoint-url",
        "http://cognito.example",
    ]);
    command.env("HTTP_PROXY", sandbox.emulator.url());
    start(&mut command).ended().exits(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 3);
}

#[test]
fn a_run_against_aws_is_confirmed_first() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let mut command = sandbox.program();
    command.args([
        "run",
        "people.csv",
        "--endpoint-url",
        "http://cognito.example",
    ]);
    let ran = start(&mut command).ended().exits(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert!(!sandbox.exists("people.results.csv"));
}

#[test]
fn a_ca_bundle_that_is_none_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.write("bundle.pem", "not a certificate");
    for (bundle, why) in [
        ("absent.pem", "cannot be read"),
        ("bundle.pem", "no PEM certificate"),
    ] {
        let ran = sandbox.run(&["people.csv", "--ca-bundle", bundle]).exits(2);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().connections, 0);
}

#[test]
fn an_endpoint_that_refuses_connections_fails_no_row_for_it() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let closed = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("an address");
    let mut command = sandbox.program();
    command.args([
        "run",
        "people.csv",
        "--json",
        "--give-up-after",
        "1s",
        "--max-attempts",
        "1",
    ]);
    command.args(["--endpoint-url", &format!("http://{closed}")]);
    let ran = start(&mut command).ended();
    assert_eq!(ran.counts(&["unlinked", "in_doubt"]), [0, 0], "{ran:?}");
}
