//! Credentials: where a run takes them from, and how it reports those that cannot be loaded, with their source and a remedy.

use std::io::BufReader;
use std::process::Command;
use std::sync::mpsc;

use crate::http_server::{Message, answer_in_xml, serve};
use crate::sandbox::{ClosedPort, PROVIDER, Sandbox, TIMEOUT, people, start};

/// Returns a run that takes its credentials from the AWS files of the sandbox, with no keys in the environment.
fn run_with_aws_files(sandbox: &Sandbox) -> Command {
    let mut command = sandbox.command_without_credentials();
    command.args(["run", "people.csv", "--endpoint-url"]);
    command.arg(sandbox.emulator.url());
    command.env("AWS_CONFIG_FILE", sandbox.path("config"));
    command.env("AWS_SHARED_CREDENTIALS_FILE", sandbox.path("credentials"));
    command.env("PATH", "/usr/bin:/bin");
    command
}

fn sandbox_with_people() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    sandbox
}

#[test]
fn a_profile_named_by_the_environment_must_exist() {
    let sandbox = sandbox_with_people();
    sandbox.write("config", "[profile purge]\nregion = us-east-1\n");
    sandbox.write(
        "credentials",
        "[other]\naws_access_key_id = AKIDOTHER\naws_secret_access_key = s\n",
    );
    for (name, expected) in [
        (
            "absent",
            "AWS_PROFILE=absent: the AWS files have no profile of that name",
        ),
        (
            "\"purge\"",
            "the AWS files have purge without them: take them out",
        ),
        ("purge", "AWS_PROFILE=purge has no credentials"),
    ] {
        let ran = start(run_with_aws_files(&sandbox).env("AWS_PROFILE", name))
            .wait()
            .expect_exit(2);
        assert!(ran.all().contains(expected), "{}", ran.all());
    }
    // Keys in the environment take precedence over a profile, but the profile must exist.
    let with_keys = |name: &str| {
        let mut command = sandbox.run_command(&["people.csv"]);
        command.env("AWS_CONFIG_FILE", sandbox.path("config"));
        start(command.env("AWS_PROFILE", name)).wait()
    };
    with_keys("absent").expect_exit(2);
    assert_eq!(sandbox.emulator.counters().connections, 0);
    with_keys("purge").expect_exit(0);
}

#[test]
fn aws_files_in_another_encoding_are_refused_and_named() {
    let sandbox = sandbox_with_people();
    let text = "[default]\r\naws_access_key_id = AKID\r\naws_secret_access_key = hunter2\r\n";
    let utf16: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(text.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let latin: Vec<u8> = [b"# caf\xe9\n", text.as_bytes()].concat();
    for (content, expected) in [(utf16, "is in UTF-16"), (latin, "is not in UTF-8 (line 1)")] {
        sandbox.write("credentials", content);
        let ran = start(&mut run_with_aws_files(&sandbox))
            .wait()
            .expect_exit(2);
        let named = sandbox.path("credentials").display().to_string();
        assert!(
            ran.all().contains(expected) && ran.all().contains(&named),
            "{}",
            ran.all()
        );
        assert!(
            ran.all().contains("iconv") && !ran.all().contains("hunter2"),
            "{}",
            ran.all()
        );
    }
    assert_eq!(sandbox.emulator.counters().connections, 0);
}

#[test]
fn keys_that_cannot_be_sent_are_refused_and_not_shown() {
    let sandbox = sandbox_with_people();
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "AKIDHUNTER\n"),
        ("AWS_SECRET_ACCESS_KEY", " HUNTER"),
        ("AWS_SESSION_TOKEN", "HUNTER\u{1b}x"),
    ] {
        let mut command = sandbox.run_command(&["people.csv"]);
        let ran = start(command.env(name, value)).wait().expect_exit(2);
        let expected = format!("{name} has a character in it");
        assert!(
            ran.all().contains(&expected) && !ran.all().contains("HUNTER"),
            "{}",
            ran.all()
        );
    }
    sandbox.write(
        "credentials",
        "[default]\naws_access_key_id = AKIDé\naws_secret_access_key = s\n",
    );
    let ran = start(&mut run_with_aws_files(&sandbox))
        .wait()
        .expect_exit(2);
    let expected = "aws_access_key_id of profile default in the AWS files has a character in it";
    assert!(ran.all().contains(expected), "{}", ran.all());
    // The credentials of a command are checked once it has run.
    sandbox.write("credentials", "");
    sandbox.write(
        "config",
        "[default]\ncredential_process = echo '{\"Version\":1,\"AccessKeyId\":\"AKID HUNTER\",\"SecretAccessKey\":\"s\"}'\n",
    );
    let ran = start(&mut run_with_aws_files(&sandbox))
        .wait()
        .expect_exit(5);
    let expected = "the access key id that profile default gives has a character in it";
    assert!(
        ran.all().contains(expected) && !ran.all().contains("HUNTER"),
        "{}",
        ran.all()
    );
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn invalid_aws_variables_cause_no_panic() {
    let sandbox = sandbox_with_people();
    for (name, value) in [
        ("AWS_REGION", "a\nb"),
        ("AWS_DEFAULT_REGION", "evil.example/"),
        ("AWS_EXECUTION_ENV", "a\nb"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "127.0.0.1:1"),
    ] {
        let ran = start(run_with_aws_files(&sandbox).env(name, value))
            .wait()
            .expect_exit(2);
        assert!(ran.all().contains(name), "{}", ran.all());
    }
    for (name, value) in [
        ("AWS_MAX_ATTEMPTS", "none"),
        ("AWS_RETRY_MODE", "legacy"),
        ("AWS_DEFAULTS_MODE", "a\nb"),
        ("AWS_USE_FIPS_ENDPOINT", "maybe"),
        ("AWS_SDK_UA_APP_ID", "a\nb"),
        ("AWS_ACCOUNT_ID", "é"),
        ("_X_AMZN_TRACE_ID", "a\nb"),
    ] {
        let mut command = sandbox.run_command(&["people.csv"]);
        start(command.env(name, value)).wait().expect_exit(0);
    }
}

#[test]
fn credentials_that_fail_to_load_are_reported_with_source_and_remedy() {
    let sandbox = sandbox_with_people();
    let closed = ClosedPort::new();
    let sso = "sso_session = s\nsso_account_id = 123456789012\nsso_role_name = r\n\
               [sso-session s]\nsso_region = us-east-1\nsso_start_url = https://x.invalid/start\n";
    let role = "role_arn = arn:aws:iam::123456789012:role/purge\n";
    for (config, expected) in [
        (
            format!("[default]\n{sso}"),
            "the SSO session of profile default has expired, or was never begun. Run `aws sso login --profile default`",
        ),
        (
            "[default]\ncredential_process = sh -c 'echo log in first >&2; exit 3'\n".to_owned(),
            "\"log in first\", says the credential_process of profile default, and ends with exit code 3",
        ),
        (
            format!("[default]\n{role}web_identity_token_file = /nowhere/token\n"),
            "the web identity token file /nowhere/token cannot be read: No such file or directory",
        ),
        (
            format!("[default]\n{role}source_profile = absent\n"),
            "could not find source profile absent referenced from default",
        ),
        (
            format!(
                "[default]\n{role}source_profile = base\n[profile base]\naws_access_key_id = AKID\naws_secret_access_key = s\n"
            ),
            "the role arn:aws:iam::123456789012:role/purge (profile default) cannot be assumed: 127.0.0.1:",
        ),
        (
            "[default]\nlogin_session = arn:aws:iam::123456789012:user/me\n".to_owned(),
            "`credential_process = aws configure export-credentials --profile default --format process`",
        ),
    ] {
        sandbox.write("config", &config);
        let mut command = run_with_aws_files(&sandbox);
        command.env("AWS_ENDPOINT_URL_STS", closed.url());
        let ran = start(&mut command).wait().expect_exit(5);
        assert!(ran.all().contains(expected), "{config}: {}", ran.all());
        assert!(!ran.all().contains("were found"), "{}", ran.all());
    }
    sandbox.write("config", "");
    let ran = start(&mut run_with_aws_files(&sandbox))
        .wait()
        .expect_exit(5);
    let expected = "no AWS credentials were found";
    assert!(ran.all().contains(expected), "{}", ran.all());
    assert!(
        ran.all().contains("instance metadata is off"),
        "{}",
        ran.all()
    );
}

/// Starts an STS that denies every request, and returns its URL with the credential of each request.
fn denying_sts() -> (String, mpsc::Receiver<String>) {
    let (sender, receiver) = mpsc::sync_channel(1000);
    let address = serve(move |stream| {
        let request = Message::read(&mut BufReader::new(&stream));
        if let Some(credential) = request.as_ref().ok().and_then(Message::credential) {
            let _ = sender.try_send(credential.to_owned());
        }
        let body = "<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code>\
                    <Message>User: u is not authorized.</Message></Error></ErrorResponse>";
        let _ = answer_in_xml(&stream, "403 Forbidden", body);
    });
    (format!("http://{address}"), receiver)
}

#[test]
fn sts_is_asked_in_the_region_of_the_first_pool() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "people.csv",
        format!(
            "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n\
             us-gov-west-1:00000000-0000-4000-8000-000000000001,us-gov-west-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63,{PROVIDER},u\n"
        ),
    );
    sandbox.write(
        "config",
        "[default]\nrole_arn = arn:aws-us-gov:iam::123456789012:role/purge\nsource_profile = base\n\
         [profile base]\naws_access_key_id = AKIDBASE\naws_secret_access_key = s\n",
    );
    let (url, credentials) = denying_sts();
    // STS is asked to assume the role, although the endpoint of Cognito is on loopback.
    let ran = start(run_with_aws_files(&sandbox).env("AWS_ENDPOINT_URL_STS", &url))
        .wait()
        .expect_exit(5);
    let expected = "cannot be assumed: STS says AccessDenied: User: u is not authorized. Check";
    assert!(ran.all().contains(expected), "{}", ran.all());
    // STS is asked for the account.
    let mut command = sandbox.run_command(&["people.csv", "--expect-account", "123456789012"]);
    start(command.env("AWS_ENDPOINT_URL_STS", &url))
        .wait()
        .expect_exit(2);
    for key in ["AKIDBASE", "AKIDEXAMPLE"] {
        let scopes = std::iter::from_fn(|| credentials.recv_timeout(TIMEOUT).ok());
        let scope = scopes.into_iter().find(|scope| scope.starts_with(key));
        let scope = scope.expect("STS was asked");
        assert!(scope.contains("/us-gov-west-1/sts/"), "{scope}");
    }
    // A Region in the environment takes precedence over that of the pool.
    let mut command = sandbox.run_command(&["people.csv", "--expect-account", "123456789012"]);
    command
        .env("AWS_ENDPOINT_URL_STS", &url)
        .env("AWS_REGION", "us-gov-east-1");
    start(&mut command).wait().expect_exit(2);
    let mut scopes = std::iter::from_fn(|| credentials.recv_timeout(TIMEOUT).ok());
    assert!(scopes.any(|scope| scope.contains("/us-gov-east-1/sts/")));
}

#[test]
fn a_failed_sts_call_names_the_host_and_the_cause() {
    let sandbox = sandbox_with_people();
    let closed = ClosedPort::new();
    let mut command = sandbox.command();
    command.args([
        "run",
        "people.csv",
        "--yes",
        "--expect-account",
        "123456789012",
    ]);
    command.args(["--endpoint-url", "http://cognito.invalid"]);
    command.env("AWS_ENDPOINT_URL_STS", closed.url());
    let ran = start(&mut command).wait().expect_exit(2);
    let host = closed.url().trim_start_matches("http://");
    let expected = format!("{host} refused the connection");
    assert!(ran.all().contains(&expected), "{}", ran.all());
    for jargon in ["dispatch failure", "io error", "client error"] {
        assert!(!ran.all().contains(jargon), "{}", ran.all());
    }
}
