//! Settings that every AWS tool has: profile, endpoint, proxy and CA bundle.

use std::io::{BufReader, Write};
use std::net::TcpListener;

use cognito_unlink::testing::emulator::{FaultKind, Then, When};

use crate::http_server::Message;
use crate::sandbox::{ClosedPort, ResultLine, Sandbox, people, rule, start};

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
        let mut command = sandbox.command_without_credentials();
        command.args(["run", "people.csv", "--rate", "unlimited"]);
        command.env("AWS_CONFIG_FILE", sandbox.path("config"));
        command.env("AWS_SHARED_CREDENTIALS_FILE", sandbox.path("credentials"));
        if by_option {
            command.args(["--profile", "purge"]);
        } else {
            command.env("AWS_PROFILE", "purge");
        }
        start(&mut command).wait().expect_exit(0);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 3);
}

#[test]
fn profile_option_takes_precedence_over_keys_in_the_environment() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write(
        "credentials",
        "[purge]\naws_access_key_id = AKIDPURGE\naws_secret_access_key = s\n",
    );
    sandbox.emulator.add_rule(rule(
        When::Key("AKIDPURGE".into()),
        Then::Fault(FaultKind::AccessDenied),
    ));
    let run_with_profile = |name: &str| {
        let mut command = sandbox.run_command(&["people.csv", "--profile", name]);
        command.env("AWS_SHARED_CREDENTIALS_FILE", sandbox.path("credentials"));
        start(&mut command).wait()
    };
    // The keys in the environment would not be denied.
    run_with_profile("purge").expect_exit(5);
    let ran = run_with_profile("absent").expect_exit(2);
    let expected = "--profile absent: the AWS files have no profile of that name";
    assert!(ran.stderr.contains(expected), "{}", ran.stderr);
    sandbox.run(&["people.csv"]).expect_exit(0);
}

#[test]
fn broken_aws_files_are_refused_and_named() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write("config", "[profile purge\n");
    let mut command = sandbox.run_command(&["people.csv"]);
    command.env("AWS_CONFIG_FILE", sandbox.path("config"));
    let ran = start(&mut command).wait().expect_exit(2);
    let named = sandbox.path("config").display().to_string();
    assert!(ran.stderr.contains(&named), "{}", ran.stderr);
    assert!(!sandbox.exists("people.results.csv"));
}

#[test]
fn keys_in_the_environment_need_no_instance_metadata() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let metadata = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let url = format!("http://{}", metadata.local_addr().expect("an address"));
    let mut command = sandbox.run_command(&["people.csv"]);
    command.env_remove("AWS_EC2_METADATA_DISABLED");
    command.env("AWS_EC2_METADATA_SERVICE_ENDPOINT", url);
    start(&mut command).wait().expect_exit(0);
    metadata.set_nonblocking(true).expect("set");
    let error = metadata.accept().map(|_| ()).expect_err("no connection");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn credentials_are_refreshed_before_they_expire() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(80));
    // Each set of keys is valid for three seconds, and the run takes four.
    sandbox.write(
        "vend",
        "#!/bin/sh\necho x >> vended\nn=$(wc -l < vended)\nt=$(date -u -d '+3 seconds' +%Y-%m-%dT%H:%M:%SZ)\n\
         echo '{\"Version\":1,\"AccessKeyId\":\"AKID'$n'\",\"SecretAccessKey\":\"s\",\"SessionToken\":\"t\",\"Expiration\":\"'$t'\"}'\n",
    );
    sandbox.write(
        "config",
        format!(
            "[default]\ncredential_process = /bin/sh {}\n",
            sandbox.path("vend").display()
        ),
    );
    let mut command = sandbox.command_without_credentials();
    command.args(["run", "people.csv", "--rate", "20", "--json"]);
    command.args(["--endpoint-url", &sandbox.emulator.url()]);
    command.env("AWS_CONFIG_FILE", sandbox.path("config"));
    command.env("PATH", "/usr/bin:/bin");
    let ran = start(&mut command).wait().expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "calls"]), [80, 80]);
    let vended = sandbox.read("vended").lines().count();
    // The 80 unlinks and the look-up of the pool are signed.
    assert!((2..=81).contains(&vended), "{vended}");
}

#[test]
fn the_endpoint_comes_from_the_environment() {
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_COGNITO_IDENTITY"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(3));
        let mut command = sandbox.command();
        command
            .args(["run", "people.csv"])
            .env(name, sandbox.emulator.url());
        start(&mut command).wait().expect_exit(0);
        assert_eq!(sandbox.emulator.counters().unlinks, 3, "{name}");
    }
}

#[test]
fn a_proxy_is_used_where_one_is_set() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let mut command = sandbox.command();
    command.args([
        "run",
        "people.csv",
        "--yes",
        "--endpoint-url",
        "http://cognito.example",
    ]);
    command.env("HTTP_PROXY", sandbox.emulator.url());
    start(&mut command).wait().expect_exit(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 3);
}

/// An endpoint for the service alone yields to `--endpoint-url` and to the setting to ignore it, so the endpoint that the
/// confirmation depends on is the one that the run calls.
#[test]
fn the_endpoint_that_is_confirmed_is_the_one_called() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox.write(
        "ignoring",
        "[default]\nignore_configured_endpoint_urls = true\n",
    );
    // A run without the confirmation would call its endpoint, and the proxy would count it.
    let assert_confirmation_required = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.command();
        command.args(["run", "people.csv"]).args(args);
        command.envs(variables.iter().copied());
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(proxy, sandbox.emulator.url());
        }
        let ran = start(&mut command).wait().expect_exit(2);
        assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
        assert!(!sandbox.exists("people.results.csv"));
    };
    let closed = ClosedPort::new();
    let specific = ("AWS_ENDPOINT_URL_COGNITO_IDENTITY", closed.url());
    assert_confirmation_required(&["--endpoint-url", "http://cognito.example"], &[specific]);
    let ignore = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    assert_confirmation_required(&[], &[specific, ignore]);
    let config = sandbox.path("ignoring").display().to_string();
    assert_confirmation_required(&[], &[specific, ("AWS_CONFIG_FILE", &config)]);
    assert_eq!(sandbox.emulator.counters().connections, 0);
}

#[test]
fn a_local_run_is_marked_local_whatever_the_environment_names() {
    for value in ["", "http://cognito.example"] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(3));
        let mut command = sandbox.run_command(&["people.csv"]);
        command.env("AWS_ENDPOINT_URL_COGNITO_IDENTITY", value);
        start(&mut command).wait().expect_exit(0);
        assert_eq!(sandbox.emulator.counters().unlinks, 3, "{value}");
        let lines = sandbox.results("people.results.csv");
        let is_local = |line: &ResultLine| line["run_id"].ends_with("-local");
        assert!(lines.iter().all(is_local), "{lines:?}");
    }
}

#[test]
fn an_endpoint_that_is_not_a_url_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let mut command = sandbox.command();
    command.args(["run", "people.csv", "--yes"]);
    command.env("AWS_ENDPOINT_URL", "127.0.0.1:8000");
    let ran = start(&mut command).wait().expect_exit(2);
    assert!(ran.stderr.contains("is no URL"), "{}", ran.stderr);
}

#[test]
fn a_run_against_aws_needs_yes_off_a_terminal() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let mut command = sandbox.command();
    command.args([
        "run",
        "people.csv",
        "--endpoint-url",
        "http://cognito.example",
    ]);
    let ran = start(&mut command).wait().expect_exit(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert!(!sandbox.exists("people.results.csv"));
}

#[test]
fn an_invalid_ca_bundle_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.write("bundle.pem", "not a certificate");
    for (bundle, why) in [
        ("absent.pem", "cannot be read"),
        ("bundle.pem", "no PEM certificate"),
    ] {
        let ran = sandbox
            .run(&["people.csv", "--ca-bundle", bundle])
            .expect_exit(2);
        assert!(ran.stderr.contains(why), "{}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().connections, 0);
}

#[test]
fn a_refused_connection_uses_up_no_attempt() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let closed = ClosedPort::new();
    let mut command = sandbox.command();
    command.args(["run", "people.csv", "--json", "--no-preflight"]);
    command.args(["--max-attempts", "1", "--give-up-after", "2s", "-v"]);
    command.args(["--endpoint-url", closed.url()]);
    let ran = start(&mut command).wait().expect_exit(5);
    // A request that was not sent is not a call.
    assert_eq!(
        ran.counts(&["left", "failed", "in_doubt", "calls"]),
        [2, 0, 0, 0]
    );
    assert!(
        ran.stderr.matches("trying again").count() > 2,
        "{}",
        ran.stderr
    );
    assert!(sandbox.results("people.results.csv").is_empty());
}

#[test]
fn a_request_matches_the_service_model() {
    let sandbox = Sandbox::new();
    let pool = "eu-west-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
    let user = "caf\u{e9} \"1\"\n";
    let row = serde_json::json!({
        "IdentityId": "eu-west-1:0", "IdentityPoolId": pool,
        "DeveloperProviderName": "login.example.com", "DeveloperUserIdentifier": user,
    });
    sandbox.write("people.jsonl", row.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let request = Message::read(&mut BufReader::new(&stream)).expect("a request");
        // As the service answers: no body, and the request id that CloudTrail records.
        let answer = "HTTP/1.1 200 OK\r\nx-amzn-RequestId: 5b6e\r\nContent-Type: application/x-amz-json-1.1\r\n\
                      Content-Length: 0\r\n\r\n";
        (&stream).write_all(answer.as_bytes()).expect("answered");
        request
    });
    let mut command = sandbox.command();
    command.args([
        "run",
        "people.jsonl",
        "--no-preflight",
        "--as-is",
        "all",
        "--endpoint-url",
        &url,
    ]);
    start(&mut command).wait().expect_exit(0);
    let request = server.join().expect("served");
    let head: Vec<_> = request.head.lines().collect();
    assert_eq!(head[0], "POST / HTTP/1.1");
    for line in [
        "content-type: application/x-amz-json-1.1",
        "x-amz-target: AWSCognitoIdentityService.UnlinkDeveloperIdentity",
    ] {
        assert!(head.contains(&line), "{line} in {head:#?}");
    }
    let authorization = head
        .iter()
        .find(|line| line.starts_with("authorization: AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/"))
        .expect("a signature");
    assert!(
        authorization.contains("/eu-west-1/cognito-identity/aws4_request"),
        "{authorization}"
    );
    let sent: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(sent, row);
    assert_eq!(
        sandbox.results("people.results.jsonl")[0]["request_id"],
        "5b6e"
    );
}
