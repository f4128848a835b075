//! `unlink-developer-identity`, checked against the table of invocations that the AWS CLI is checked against as well.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::http_server::Message;
use crate::sandbox::{ClosedPort, Output, Sandbox, csv, link_of, start};

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

#[derive(Deserialize)]
struct Table {
    link: BTreeMap<String, String>,
    case: Vec<toml::Table>,
}

/// An invocation and its expected result. The comment at the top of the table explains each field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    #[serde(default)]
    unset: Vec<String>,
    #[serde(default)]
    files: BTreeMap<String, String>,
    #[serde(default)]
    hex: BTreeMap<String, String>,
    #[serde(default)]
    tls: bool,
    #[serde(default)]
    answers: Vec<Answer>,
    #[serde(default)]
    exit: i32,
    #[serde(default)]
    stdout: String,
    stdout_has: Option<Vec<String>>,
    #[serde(default)]
    stderr: Vec<String>,
    #[serde(default)]
    not_stderr: Vec<String>,
    #[serde(default)]
    quotes_user: bool,
    requests: Option<usize>,
    #[serde(default)]
    body: Map<String, Value>,
    #[serde(default)]
    any_body: bool,
    #[serde(default)]
    headers: BTreeMap<String, OneOrMore>,
    #[serde(default)]
    absent: Vec<String>,
    path: Option<String>,
    /// The reason for a difference from the AWS CLI.
    #[expect(dead_code, reason = "it is for readers")]
    why: Option<String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Answer {
    status: u16,
    code: Option<String>,
    message: String,
    body: String,
    headers: BTreeMap<String, String>,
    close: bool,
    hang: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

#[test]
fn every_invocation_of_the_table_has_its_expected_result() {
    let text = fs::read_to_string(format!("{TESTS}/single_call.toml")).expect("the table");
    let table: Table = toml::from_str(&text).expect("a table");
    let cases: Vec<Case> = table.case.into_iter().map(with_overrides).collect();
    assert!(cases.len() > 200, "{} cases", cases.len());
    let link = &table.link;
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    // A case spends most of its time waiting for the program and its retries, so cases run in parallel.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = run_case(case, link);
                    let mut wrong = wrong.lock().unwrap_or_else(PoisonError::into_inner);
                    wrong.extend(
                        found
                            .into_iter()
                            .map(|what| format!("{}: {what}", case.name)),
                    );
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the case with the overrides for this program.
fn with_overrides(mut case: toml::Table) -> Case {
    let name = format!("{:?}", case["name"]);
    if let Some(toml::Value::Table(ours)) = case.remove("ours") {
        assert!(
            ours.contains_key("why"),
            "{name} has no reason why it differs"
        );
        case.extend(ours);
    }
    case.try_into()
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs a case and returns how its result differs from the expected one.
fn run_case(case: &Case, link: &BTreeMap<String, String>) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let service = Service::start(case);
    let closed = ClosedPort::new();
    let placeholders = placeholders(directory.path(), &service, &closed, link);
    let filled = |text: &str| {
        placeholders
            .iter()
            .fold(text.to_owned(), |text, (name, value)| {
                text.replace(name, value)
            })
    };
    for (name, content) in &case.files {
        write(directory.path(), name, filled(content).as_bytes());
    }
    for (name, digits) in &case.hex {
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("digits");
        let bytes: Vec<u8> = (0..digits.len()).step_by(2).map(byte).collect();
        write(directory.path(), name, &bytes);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_cognito-unlink"));
    command
        .arg("unlink-developer-identity")
        .current_dir(directory.path())
        .env_clear()
        .env("HOME", directory.path())
        .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        .env("AWS_SECRET_ACCESS_KEY", "secret")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    for word in &case.args {
        match word.as_str() {
            "{link}" => command.args(link.iter().flat_map(|(key, value)| {
                let (_, option) = OPTIONS.iter().find(|(name, _)| name == key).expect("known");
                [option, value.as_str()]
            })),
            "{at}" => command.args(["--endpoint-url", &service.url]),
            word => command.arg(filled(word)),
        };
    }
    for (name, value) in &case.env {
        command.env(name, filled(value));
    }
    for name in &case.unset {
        command.env_remove(name);
    }
    let ran = start(&mut command).wait();
    let user = &link["DeveloperUserIdentifier"];
    differences(case, link, user, &ran, &service.stop(), filled)
}

const OPTIONS: [(&str, &str); 4] = [
    ("IdentityId", "--identity-id"),
    ("IdentityPoolId", "--identity-pool-id"),
    ("DeveloperProviderName", "--developer-provider-name"),
    ("DeveloperUserIdentifier", "--developer-user-identifier"),
];

fn placeholders(
    directory: &Path,
    service: &Service,
    closed: &ClosedPort,
    link: &BTreeMap<String, String>,
) -> Vec<(&'static str, String)> {
    let members = OPTIONS.map(|(name, _)| format!("    \"{name}\": \"\""));
    vec![
        ("{dir}", directory.to_str().expect("UTF-8").to_owned()),
        ("{endpoint}", service.url.clone()),
        (
            "{endpoint as https}",
            service.url.replace("http:", "https:"),
        ),
        ("{nobody}", closed.url().to_owned()),
        ("{authority}", format!("{TESTS}/tls/authority.pem")),
        ("{json}", json!(link).to_string()),
        ("{skeleton}", format!("{{\n{}\n}}\n", members.join(",\n"))),
    ]
}

fn write(directory: &Path, name: &str, content: &[u8]) {
    let path = directory.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, content).expect("written");
}

fn differences(
    case: &Case,
    link: &BTreeMap<String, String>,
    user: &str,
    ran: &Output,
    requests: &[Message],
    filled: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut expect = |what: String, holds: bool| {
        if !holds {
            wrong.push(format!("expected {what}, in {ran:?} {requests:?}"));
        }
    };
    expect(
        format!("exit code {}", case.exit),
        ran.code() == Some(case.exit),
    );
    if let Some(parts) = &case.stdout_has {
        for part in parts {
            expect(format!("{part:?} in the output"), ran.stdout.contains(part));
        }
    } else {
        let stdout = filled(&case.stdout);
        expect(format!("the output {stdout:?}"), ran.stdout == stdout);
    }
    for part in case.stderr.iter().map(|part| filled(part)) {
        let found = ran.stderr.contains(&part);
        expect(format!("{part:?} on standard error"), found);
    }
    if case.exit == 0 && case.stderr.is_empty() {
        expect(
            "silence on standard error".to_owned(),
            ran.stderr.is_empty(),
        );
    }
    for part in &case.not_stderr {
        expect(
            format!("no {part:?} on standard error"),
            !ran.stderr.contains(part),
        );
    }
    if !case.quotes_user {
        expect(
            "no user on standard error".to_owned(),
            !ran.stderr.contains(user),
        );
    }
    let number = case.requests.unwrap_or(usize::from(case.exit == 0));
    expect(format!("{number} requests"), requests.len() == number);
    let Some(request) = requests.last().filter(|_| requests.len() == number) else {
        return wrong;
    };
    let path = case.path.as_deref().unwrap_or("/");
    let head = format!("POST {path} HTTP/1.1");
    expect(format!("{head:?}"), request.first_line() == head);
    for (name, value) in [
        (
            "x-amz-target",
            "AWSCognitoIdentityService.UnlinkDeveloperIdentity",
        ),
        ("content-type", "application/x-amz-json-1.1"),
    ] {
        expect(
            format!("{name}: {value}"),
            request.header(name) == Some(value),
        );
    }
    if !case.any_body {
        let mut body = json!(link);
        for (key, value) in &case.body {
            body[key] = value.clone();
        }
        let sent: Option<Value> = serde_json::from_slice(&request.body).ok();
        expect(format!("the body {body}"), sent.as_ref() == Some(&body));
    }
    for (name, parts) in &case.headers {
        for part in parts.all() {
            expect(
                format!("{part:?} in {name}"),
                request.header(name).unwrap_or_default().contains(part),
            );
        }
    }
    for name in &case.absent {
        expect(format!("no {name}"), request.header(name).is_none());
    }
    wrong
}

/// A service that gives the answers of a case and records the requests.
struct Service {
    url: String,
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    serving: JoinHandle<()>,
    requests: Arc<Mutex<Vec<Message>>>,
}

impl Service {
    fn start(case: &Case) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let tls = case.tls.then(tls);
        let answers = if case.answers.is_empty() {
            vec![Answer {
                status: 200,
                ..Answer::default()
            }]
        } else {
            case.answers.clone()
        };
        let stopped = Arc::new(AtomicBool::new(false));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (stop, recorded) = (Arc::clone(&stopped), Arc::clone(&requests));
        let serving = thread::spawn(move || {
            // In turn, since a single call has one connection at a time.
            while let Ok((stream, _)) = listener.accept() {
                if stop.load(Ordering::Acquire) {
                    return;
                }
                // A broken connection or a failed handshake shows in the output of the program.
                let _ = match &tls {
                    None => serve(stream, &answers, &recorded),
                    Some(tls) => rustls::ServerConnection::new(Arc::clone(tls))
                        .map_err(io::Error::other)
                        .map(|session| rustls::StreamOwned::new(session, stream))
                        .and_then(|stream| serve(stream, &answers, &recorded)),
                };
            }
        });
        Self {
            url: format!("http{}://{address}", if case.tls { "s" } else { "" }),
            address,
            stopped,
            serving,
            requests,
        }
    }

    /// Stops the service and returns its requests.
    fn stop(self) -> Vec<Message> {
        self.stopped.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
        self.serving.join().expect("it serves to the end");
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serve(
    mut stream: impl Read + Write,
    answers: &[Answer],
    recorded: &Mutex<Vec<Message>>,
) -> io::Result<()> {
    let Ok(request) = Message::read(&mut BufReader::new(&mut stream)) else {
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    };
    let at = {
        let mut recorded = recorded.lock().unwrap_or_else(PoisonError::into_inner);
        recorded.push(request);
        recorded.len() - 1
    };
    let answer = &answers[at.min(answers.len() - 1)];
    if answer.hang {
        // Wait until the program closes the connection.
        let _ = stream.read(&mut [0]);
    }
    if answer.hang || answer.close {
        return Ok(());
    }
    let body = match &answer.code {
        Some(code) => json!({"__type": code, "message": answer.message}).to_string(),
        None => answer.body.clone(),
    };
    write!(
        stream,
        "HTTP/1.1 {} Answer\r\nx-amzn-RequestId: 00000000-0000-4000-8000-000000000001\r\n\
         Content-Type: application/x-amz-json-1.1\r\nContent-Length: {}\r\nConnection: close\r\n",
        answer.status,
        body.len()
    )?;
    for (name, value) in &answer.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "\r\n{body}")?;
    stream.flush()
}

/// Returns the TLS configuration of a server with the keys in `tests/tls`.
pub(crate) fn tls() -> Arc<rustls::ServerConfig> {
    let chain = CertificateDer::pem_file_iter(format!("{TESTS}/tls/server.pem")).expect("a file");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(format!("{TESTS}/tls/server-key.pem")).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a server");
    Arc::new(config)
}

#[test]
fn the_emulator_takes_a_single_call() {
    let sandbox = Sandbox::new();
    let link = link_of(1, "acct-1");
    let mut command = sandbox.command();
    command
        .arg("unlink-developer-identity")
        .args(["--identity-id", &link.identity_id])
        .args(["--identity-pool-id", &link.identity_pool_id])
        .args(["--developer-provider-name", &link.developer_provider_name])
        .args([
            "--developer-user-identifier",
            &link.developer_user_identifier,
        ])
        .args([
            "--region",
            "us-east-1",
            "--endpoint-url",
            &sandbox.emulator.url(),
        ]);
    start(&mut command).wait().expect_exit(0);
    assert_eq!(sandbox.calls_by_user().len(), 1);
}

#[test]
fn a_run_reads_filled_in_skeletons() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command();
    command.args(["unlink-developer-identity", "--generate-cli-skeleton"]);
    let skeleton = start(&mut command).wait().expect_exit(0).stdout;
    let links = [link_of(1, "acct-1"), link_of(2, "acct-2")];
    let filled = links.each_ref().map(|link| {
        let mut object: Value = serde_json::from_str(&skeleton).expect("an object");
        object["IdentityId"] = json!(link.identity_id);
        object["IdentityPoolId"] = json!(link.identity_pool_id);
        object["DeveloperProviderName"] = json!(link.developer_provider_name);
        object["DeveloperUserIdentifier"] = json!(link.developer_user_identifier);
        object.to_string()
    });
    sandbox.write("people.jsonl", filled.join("\n"));
    sandbox.run(&["people.jsonl"]).expect_exit(0);
    let outcomes = sandbox.outcomes("people.results.jsonl");
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.values().all(|outcome| outcome == "unlinked"));
}

#[test]
fn a_run_accepts_the_retry_settings_of_the_aws_cli() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", csv(&[link_of(1, "acct-1")]));
    let mut command = sandbox.run_command(&["people.csv"]);
    command
        .env("AWS_RETRY_MODE", "legacy")
        .env("AWS_MAX_ATTEMPTS", "0");
    start(&mut command).wait().expect_exit(0);
}

#[test]
fn a_run_calls_the_service_endpoint_of_the_aws_files() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", csv(&[link_of(1, "acct-1")]));
    fs::create_dir(sandbox.path(".aws")).expect("a folder");
    sandbox.write(
        ".aws/config",
        format!(
            "[default]\nservices = s\n[services s]\ncognito_identity =\n  endpoint_url = {}\n",
            sandbox.emulator.url()
        ),
    );
    let mut command = sandbox.command();
    command.args(["run", "people.csv"]);
    start(&mut command).wait().expect_exit(0);
    assert_eq!(sandbox.calls_by_user().len(), 1);
}

#[test]
fn completions_and_man_page_have_the_command() {
    let sandbox = Sandbox::new();
    for (args, option) in [
        (&["completions", "bash"][..], "--cli-input-json"),
        (&["man"], "unlink\\-developer\\-identity"),
        (
            &["man", "unlink-developer-identity"],
            "TooManyRequestsException",
        ),
    ] {
        let ran = start(sandbox.command_without_credentials().args(args))
            .wait()
            .expect_exit(0);
        assert!(ran.stdout.contains(option), "{args:?}");
    }
}
