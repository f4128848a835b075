//! Fuzzes the emulator over a connection in memory.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use cognito_unlink::testing::emulator::{
    FaultKind, FaultShare, Link, NotLinkedAnswer, QuotaSettings, Settings, Undocumented,
    serve_connection,
};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

/// A runtime under paused time, so that timeouts pass at once.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
});

const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 \
    Credential=AK/20261123/us-east-1/cognito-identity/aws4_request, SignedHeaders=host;x-amz-date, \
    Signature=0000000000000000000000000000000000000000000000000000000000000000";

const CODES: [&str; 15] = [
    "AccessDeniedException",
    "DeveloperUserAlreadyRegisteredException",
    "ExpiredTokenException",
    "IncompleteSignatureException",
    "InternalErrorException",
    "InvalidParameterException",
    "InvalidSignatureException",
    "LimitExceededException",
    "MissingAuthenticationTokenException",
    "NotAuthorizedException",
    "ResourceConflictException",
    "ResourceNotFoundException",
    "SerializationException",
    "TooManyRequestsException",
    "UnknownOperationException",
];

// The bits of the first byte, `@` to DEL, select: the rest is sent as it is; only a few links exist; two bits for the reply
// to users that are not linked; the request is signed; faults.
fuzz_target!(|data: &[u8]| {
    let Some((&choice, data)) = data.split_first() else {
        return;
    };
    let on = |bit: u8| choice & (1 << bit) != 0;
    let mut settings = Settings {
        links: on(1).then(links),
        undocumented: Undocumented {
            when_not_linked: match (on(2), on(3)) {
                (false, false) => NotLinkedAnswer::ResourceNotFound,
                (true, false) => NotLinkedAnswer::NotAuthorized,
                (_, true) => NotLinkedAnswer::Ok,
            },
            ..Undocumented::default()
        },
        log: true,
        ..Settings::default()
    };
    if on(5) {
        settings.faults = FaultKind::ALL
            .map(|kind| FaultShare { kind, share: 0.05 })
            .to_vec();
        settings.seed = u64::from(choice >> 6);
        settings.latency = Duration::from_millis(30);
        settings.jitter = Duration::from_millis(15);
        settings.quota = Some(QuotaSettings::bucket(10.0, 1));
    }
    if on(0) {
        let replies = exchange(data, settings);
        let is_http_2 = data.starts_with(b"PRI * HTTP/2.0");
        assert!(replies.is_empty() || replies.starts_with(b"HTTP/1.") || is_http_2);
        return;
    }
    let Some((operation, request)) = request(data, on(4)) else {
        return;
    };
    let faulty = on(5);
    let when_not_linked = settings.undocumented.when_not_linked;
    let wire = exchange(&request.repeat(2), settings);
    let mut rest = &wire[..];
    let replies: Vec<_> = std::iter::from_fn(|| Reply::next(&mut rest)).collect();
    if faulty {
        return;
    }
    let [first, second] = &replies[..] else {
        panic!("{} replies", replies.len());
    };
    assert!(rest.is_empty());
    first.check(&operation);
    second.check(&operation);
    let unlinked = operation == "UnlinkDeveloperIdentity" && first.status == 200;
    let created = matches!(
        &*operation,
        "CreateIdentityPool" | "GetOpenIdTokenForDeveloperIdentity"
    ) && first.status == 200;
    let merged = operation == "MergeDeveloperIdentities" && first.status == 200;
    if unlinked {
        let code = match when_not_linked {
            NotLinkedAnswer::ResourceNotFound => Some("ResourceNotFoundException"),
            NotLinkedAnswer::NotAuthorized => Some("NotAuthorizedException"),
            NotLinkedAnswer::Ok => None,
        };
        assert_eq!(second.code(), code);
    } else if created {
        assert_eq!(second.status, 200);
    } else if merged {
        assert_eq!(second.code(), Some("InvalidParameterException"));
    } else {
        assert_eq!((first.status, &first.body), (second.status, &second.body));
    }
});

fn links() -> Vec<Link> {
    let link = |identity: &str, user: &str| Link {
        identity_id: identity.into(),
        identity_pool_id: "r:0".into(),
        developer_provider_name: "p".into(),
        developer_user_identifier: user.into(),
    };
    vec![link("r:1", "a"), link("r:1", "b"), link("r:2", "c")]
}

/// Sends `bytes`, and returns everything that comes back.
fn exchange(bytes: &[u8], settings: Settings) -> Vec<u8> {
    RUNTIME.block_on(async {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (mut reader, mut writer) = tokio::io::split(ours);
        let mut replies = Vec::new();
        let client = async {
            // The emulator may reply and hang up before it has read everything.
            let send = async {
                let _ = writer.write_all(bytes).await;
            };
            let _ = tokio::join!(send, reader.read_to_end(&mut replies));
        };
        // A fault makes the emulator hang for ever.
        let patience = Duration::from_hours(1);
        let _ = tokio::time::timeout(patience, async {
            tokio::join!(client, serve_connection(theirs, settings))
        })
        .await;
        replies
    })
}

/// Returns a valid HTTP request from `data`: operation, headers, an empty line and the body. None without an operation.
fn request(data: &[u8], signed: bool) -> Option<(String, Vec<u8>)> {
    let end = data.windows(2).position(|window| window == b"\n\n");
    let (head, body) = end.map_or((data, &b""[..]), |end| (&data[..end], &data[end + 2..]));
    let mut lines = str::from_utf8(head).ok()?.lines();
    let operation = lines.next()?;
    let plain = |text: &str| text.bytes().all(|b| matches!(b, b' '..=b'~'));
    let is_name = |name: &str| {
        let framing = [
            "connection",
            "content-length",
            "expect",
            "host",
            "te",
            "transfer-encoding",
            "upgrade",
            "x-amz-target",
        ];
        !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !framing.contains(&name.to_ascii_lowercase().as_str())
    };
    if !plain(operation) {
        return None;
    }
    let mut request = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: AWSCognitoIdentityService.{operation}\r\ncontent-length: {}\r\n",
        body.len()
    );
    if signed {
        request.extend([
            "authorization: ",
            AUTHORIZATION,
            "\r\nx-amz-date: 20261123T000000Z\r\n",
        ]);
    }
    // An HTTP server refuses too many headers.
    for (name, value) in lines.filter_map(|line| line.split_once(':')).take(50) {
        if is_name(name) && plain(value) {
            request.extend([name, ":", value, "\r\n"]);
        }
    }
    request += "\r\n";
    Some((
        operation.trim_end().to_owned(),
        [request.as_bytes(), body].concat(),
    ))
}

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Reply {
    /// Takes the first reply from `wire`.
    fn next(wire: &mut &[u8]) -> Option<Self> {
        let end = wire.windows(4).position(|window| window == b"\r\n\r\n")?;
        let head = String::from_utf8(wire[..end].to_vec()).expect("headers are ASCII");
        let mut reply = Self {
            status: head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?,
            head: head.to_ascii_lowercase(),
            body: Vec::new(),
        };
        let length: usize = reply.header("content-length")?.parse().ok()?;
        reply.body = wire.get(end + 4..end + 4 + length)?.to_vec();
        *wire = &wire[end + 4 + length..];
        Some(reply)
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.find_map(|(header, value)| (header == name).then_some(value))
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }

    fn code(&self) -> Option<&'static str> {
        let json: Value = serde_json::from_slice(&self.body).ok()?;
        let code = json["__type"].as_str()?;
        CODES.into_iter().find(|known| *known == code)
    }

    /// Checks that the operation may reply this.
    fn check(&self, operation: &str) {
        assert!(
            self.header("x-amzn-requestid")
                .is_some_and(|id| id.len() == 36)
        );
        assert_eq!(
            self.header("content-type"),
            Some("application/x-amz-json-1.1")
        );
        if self.status != 200 {
            assert_eq!(self.status, 400);
            let json = self.json();
            let code = self.code().expect("a known code");
            let kind = format!("{code}:").to_ascii_lowercase();
            assert_eq!(self.header("x-amzn-errortype"), Some(&*kind));
            let message = json.get("message").is_none_or(Value::is_string);
            assert!(message && json.as_object().is_some_and(|json| json.len() <= 2));
            return;
        }
        let (required, optional): (&[_], &[_]) = match operation {
            "UnlinkDeveloperIdentity" => return assert!(self.body.is_empty()),
            "LookupDeveloperIdentity" => (
                &["DeveloperUserIdentifierList", "IdentityId"],
                &["NextToken"],
            ),
            "GetOpenIdTokenForDeveloperIdentity" => (&["IdentityId", "Token"], &[]),
            "DescribeIdentity" => (
                &["IdentityId", "CreationDate", "LastModifiedDate"],
                &["Logins"],
            ),
            "CreateIdentityPool" | "DescribeIdentityPool" => (
                &[
                    "IdentityPoolId",
                    "IdentityPoolName",
                    "AllowUnauthenticatedIdentities",
                    "IdentityPoolTags",
                ],
                &[
                    "AllowClassicFlow",
                    "SupportedLoginProviders",
                    "DeveloperProviderName",
                    "OpenIdConnectProviderARNs",
                    "CognitoIdentityProviders",
                    "SamlProviderARNs",
                ],
            ),
            "DeleteIdentities" => (&["UnprocessedIdentityIds"], &[]),
            "ListIdentities" => (&["IdentityPoolId", "Identities"], &["NextToken"]),
            "MergeDeveloperIdentities" => (&["IdentityId"], &[]),
            other => panic!("{other} is not an operation"),
        };
        let json = self.json();
        let object = json.as_object().expect("an object");
        assert!(required.iter().all(|key| object.contains_key(*key)));
        assert!(
            object
                .keys()
                .all(|key| required.contains(&&**key) || optional.contains(&&**key))
        );
    }
}
