//! `unlink-developer-identity`, held to the table of invocations that the AWS CLI is held to as well.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
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
use tokio::net::TcpSocket;

use crate::sandbox::{Ran, Sandbox, csv, link_of, start};

const TESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");

#[derive(Deserialize)]
struct Table {
    link: BTreeMap<String, String>,
    case: Vec<toml::Table>,
}

/// An invocation, and what comes of it. The table's head says what each of these is.
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
    /// Why it differs from the AWS CLI, if it does.
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
fn every_call_of_the_table_comes_to_what_it_says() {
    let text = fs::read_to_string(format!("{TESTS}/single_call.toml")).expect("the table");
    let table: Table = toml::from_str(&text).expect("a table");
    let cases: Vec<Case> = table.case.into_iter().map(ours).collect();
    assert!(cases.len() > 200, "{} cases", cases.len());
    let link = &table.link;
    let next = AtomicUsize::new(0);
    let wrong = Mutex::new(Vec::new());
    // Most of a case is waiting: for the program, or for its next attempt.
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let found = run(case, link);
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

/// The case with what is said of this program.
fn ours(mut case: toml::Table) -> Case {
    let name = format!("{:?}", case["name"]);
    if let Some(toml::Value::Table(ours)) = case.remove("ours") {
        assert!(ours.contains_key("why"), "{name} differs, and why?");
        case.extend(ours);
    }
    case.try_into()
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Runs a case and returns what is wrong with it.
fn run(case: &Case, link: &BTreeMap<String, String>) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let service = Service::start(case);
    // A port that is taken, and where nobody listens.
    let nobody = TcpSocket::new_v4().expect("a socket");
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    nobody.bind(anywhere).expect("a port");
    let places = places(directory.path(), &service, &nobody, link);
    let filled = |text: &str| {
        places.iter().fold(text.to_owned(), |text, (name, value)| {
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
    let ran = start(&mut command).ended();
    let user = &link["DeveloperUserIdentifier"];
    judged(case, link, user, &ran, &service.stop(), filled)
}

const OPTIONS: [(&str, &str); 4] = [
    ("IdentityId", "--identity-id"),
    ("IdentityPoolId", "--identity-pool-id"),
    ("DeveloperProviderName", "--developer-provider-name"),
    ("DeveloperUserIdentifier", "--developer-user-identifier"),
];

fn places(
    directory: &Path,
    service: &Service,
    nobody: &TcpSocket,
    link: &BTreeMap<String, String>,
) -> Vec<(&'static str, String)> {
    let nobody = nobody.local_addr().expect("an address");
    let members = OPTIONS.map(|(name, _)| format!("    \"{name}\": \"\""));
    vec![
        ("{dir}", directory.to_str().expect("UTF-8").to_owned()),
        ("{endpoint}", service.url.clone()),
        (
            "{endpoint as https}",
            service.url.replace("http:", "https:"),
        ),
        ("{nobody}", format!("http://{nobody}")),
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

fn judged(
    case: &Case,
    link: &BTreeMap<String, String>,
    user: &str,
    ran: &Ran,
    requests: &[Request],
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
        let said = ran.stderr.contains(&part);
        expect(format!("{part:?} on standard error"), said);
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
    expect(format!("{head:?}"), request.line == head);
    for (name, value) in [
        (
            "x-amz-target",
            "AWSCognitoIdentityService.UnlinkDeveloperIdentity",
        ),
        ("content-type", "application/x-amz-json-1.1"),
    ] {
        expect(format!("{name}: {value}"), request.header(name) == value);
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
                request.header(name).contains(part),
            );
        }
    }
    for name in &case.absent {
        expect(format!("no {name}"), !request.headers.contains_key(name));
    }
    wrong
}

/// A request as it came.
#[derive(Debug)]
struct Request {
    line: String,
    /// With their names in small letters.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Request {
    fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut reader = BufReader::new(stream);
        let mut line = || {
            let mut line = String::new();
            reader
                .read_line(&mut line)
                .map(|_| line.trim_end().to_owned())
        };
        let first = line()?;
        let mut headers = BTreeMap::new();
        while let Some((name, value)) = line()?.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers
            .get("content-length")
            .and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        if first.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Self {
            line: first,
            headers,
            body,
        })
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Answers as a case says, and keeps what it was asked.
struct Service {
    url: String,
    address: SocketAddr,
    over: Arc<AtomicBool>,
    serving: JoinHandle<()>,
    requests: Arc<Mutex<Vec<Request>>>,
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
        let over = Arc::new(AtomicBool::new(false));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (ended, kept) = (Arc::clone(&over), Arc::clone(&requests));
        let serving = thread::spawn(move || {
            // One after the other: a single call has one connection at a time.
            while let Ok((stream, _)) = listener.accept() {
                if ended.load(Ordering::Acquire) {
                    return;
                }
                // Whoever hangs up or trusts nobody is heard of from the program.
                let _ = match &tls {
                    None => serve(stream, &answers, &kept),
                    Some(tls) => rustls::ServerConnection::new(Arc::clone(tls))
                        .map_err(io::Error::other)
                        .map(|session| rustls::StreamOwned::new(session, stream))
                        .and_then(|stream| serve(stream, &answers, &kept)),
                };
            }
        });
        Self {
            url: format!("http{}://{address}", if case.tls { "s" } else { "" }),
            address,
            over,
            serving,
            requests,
        }
    }

    /// What it was asked.
    fn stop(self) -> Vec<Request> {
        self.over.store(true, Ordering::Release);
        drop(TcpStream::connect(self.address));
        self.serving.join().expect("it serves to the end");
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn serve(
    mut stream: impl Read + Write,
    answers: &[Answer],
    kept: &Mutex<Vec<Request>>,
) -> io::Result<()> {
    let Ok(request) = Request::read(&mut stream) else {
        return stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    };
    let at = {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push(request);
        kept.len() - 1
    };
    let answer = &answers[at.min(answers.len() - 1)];
    if answer.hang {
        // Until the program hangs up.
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

/// The side of the server, by the keys in `tests/tls`.
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
    let mut command = sandbox.program();
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
    start(&mut command).ended().exits(0);
    assert_eq!(sandbox.calls_by_user().len(), 1);
}

#[test]
fn a_run_reads_filled_in_skeletons() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.program();
    command.args(["unlink-developer-identity", "--generate-cli-skeleton"]);
    let skeleton = start(&mut command).ended().exits(0).stdout;
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
    sandbox.run(&["people.jsonl"]).exits(0);
    let outcomes = sandbox.outcomes("people.results.jsonl");
    assert_eq!(outcomes.len(), 2);
    assert!(outcomes.values().all(|outcome| outcome == "unlinked"));
}

#[test]
fn a_run_bears_the_retry_settings_of_the_aws_cli() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", csv(&[link_of(1, "acct-1")]));
    let mut command = sandbox.run_command(&["people.csv"]);
    command
        .env("AWS_RETRY_MODE", "legacy")
        .env("AWS_MAX_ATTEMPTS", "0");
    start(&mut command).ended().exits(0);
}

#[test]
fn a_run_calls_the_endpoint_that_the_files_name_for_the_service() {
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
    let mut command = sandbox.program();
    command.args(["run", "people.csv"]);
    start(&mut command).ended().exits(0);
    assert_eq!(sandbox.calls_by_user().len(), 1);
}

#[test]
fn completions_and_manual_know_the_command() {
    let sandbox = Sandbox::new();
    for (args, option) in [
        (&["completions", "bash"][..], "--cli-input-json"),
        (&["man"], "unlink\\-developer\\-identity"),
        (
            &["man", "unlink-developer-identity"],
            "TooManyRequestsException",
        ),
    ] {
        let ran = start(sandbox.bare().args(args)).ended().exits(0);
        assert!(ran.stdout.contains(option), "{args:?}");
    }
}
