//! HTTP, over a pipe in memory and under paused time.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use super::super::{QuotaSettings, Settings, serve_connection};

const SIGNED: &str = "authorization: AWS4-HMAC-SHA256 \
    Credential=AK/20261123/us-east-1/cognito-identity/aws4_request, SignedHeaders=host;x-amz-date, \
    Signature=0000000000000000000000000000000000000000000000000000000000000000\r\n\
    x-amz-date: 20261123T000000Z\r\n";

fn request(operation: &str, body: &str) -> String {
    format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\n{SIGNED}\
         content-type: application/x-amz-json-1.1\r\n\
         x-amz-target: AWSCognitoIdentityService.{operation}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn unlink(user: &str) -> String {
    let body = format!(
        r#"{{"IdentityId":"us-east-1:1","IdentityPoolId":"us-east-1:2","DeveloperProviderName":"p","DeveloperUserIdentifier":"{user}"}}"#
    );
    request("UnlinkDeveloperIdentity", &body)
}

/// Returns the client's end of a connection to a new emulator.
fn connect(settings: Settings) -> DuplexStream {
    let (client, server) = tokio::io::duplex(1024 * 1024);
    tokio::task::spawn_local(serve_connection(server, settings));
    client
}

/// Runs a test on a task set, on which its connections are served too.
async fn with_server<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

/// Reads the next response: its head, and its body.
async fn read_response(from: &mut DuplexStream) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await.expect("a whole head"));
    }
    let head = String::from_utf8(head).expect("text");
    let mut lengths = head
        .lines()
        .filter_map(|line| line.strip_prefix("content-length: "));
    let length: usize = lengths.next().expect("a length").parse().expect("a number");
    let mut body = vec![0; length];
    from.read_exact(&mut body).await.expect("a whole body");
    (head, String::from_utf8(body).expect("text"))
}

/// Reads until the connection closes. Returns the time it took, and the text.
async fn read_to_close(from: &mut DuplexStream) -> (Duration, String) {
    let started = Instant::now();
    let mut received = Vec::new();
    let limit = Duration::from_hours(1);
    let read = timeout(limit, from.read_to_end(&mut received)).await;
    read.expect("it ends").expect("a clean end");
    (
        started.elapsed(),
        String::from_utf8(received).expect("text"),
    )
}

#[tokio::test(start_paused = true)]
async fn connections_are_kept_alive_and_requests_pipelined() {
    with_server(async {
        let mut stream = connect(Settings::default());
        let both = [unlink("u"), unlink("u"), request("DescribeIdentity", "{}")].concat();
        stream.write_all(both.as_bytes()).await.expect("written");
        let (head, body) = read_response(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nx-amzn-requestid: 00000000-0000-4000-8000-000000000001\r\n"));
        assert_eq!(body, "");
        let (head, body) = read_response(&mut stream).await;
        assert!(
            head.contains("\r\nx-amzn-errortype: ResourceNotFoundException:\r\n"),
            "{head}"
        );
        assert!(head.contains("-000000000002\r\n"), "{head}");
        assert!(
            body.contains(r#""__type":"ResourceNotFoundException""#),
            "{body}"
        );
        let (head, _) = read_response(&mut stream).await;
        assert!(head.contains("InvalidParameterException:"), "{head}");

        sleep(Duration::from_secs(1)).await;
        stream
            .write_all(unlink("v").as_bytes())
            .await
            .expect("it is still open");
        let (head, _) = read_response(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn incomplete_heads_time_out() {
    with_server(async {
        let signed = unlink("u");
        for sent in [
            "",
            "P",
            "POST / HTTP/1.1\r\nhost: loc",
            &signed[..signed.len() / 2],
        ] {
            let mut stream = connect(Settings::default());
            stream.write_all(sent.as_bytes()).await.expect("written");
            let (lasted, response) = read_to_close(&mut stream).await;
            assert!(lasted <= Duration::from_secs(61), "{sent:?} for {lasted:?}");
            assert!(!response.contains("200 OK"), "{response}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_times_out() {
    with_server(async {
        let stream = connect(Settings::default());
        let (mut from, mut to) = tokio::io::split(stream);
        let drip = async {
            to.write_all(b"POST / HTTP/1.1\r\nhost: localhost\r\n")
                .await?;
            loop {
                sleep(Duration::from_secs(5)).await;
                to.write_all(b"x-more: x\r\n").await?;
            }
        };
        let started = Instant::now();
        let mut received = Vec::new();
        tokio::select! {
            broken = drip => { let _: std::io::Result<()> = broken; }
            read = from.read_to_end(&mut received) => { read.expect("a clean end"); }
        }
        assert!(started.elapsed() <= Duration::from_secs(61));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_in_times_out() {
    with_server(async {
        let stream = connect(Settings::default());
        let (mut from, mut to) = tokio::io::split(stream);
        let whole = unlink("u");
        let (head, body) = whole.split_once("\r\n\r\n").expect("a head");
        let drip = async {
            to.write_all(format!("{head}\r\n\r\n").as_bytes()).await?;
            for byte in body.bytes() {
                sleep(Duration::from_secs(1)).await;
                to.write_all(&[byte]).await?;
            }
            Ok::<(), std::io::Error>(())
        };
        let mut received = Vec::new();
        let read = async {
            let limit = Duration::from_hours(1);
            timeout(limit, from.read_to_end(&mut received)).await
        };
        let started = Instant::now();
        let (_, read) = tokio::join!(drip, read);
        assert!(read.is_ok(), "the connection ends");
        let response = String::from_utf8(received).expect("text");
        assert!(response.starts_with("HTTP/1.1 408 "), "{response}");
        // The server did not wait for the rest: writing the next byte found the pipe closed.
        assert!(started.elapsed() < Duration::from_mins(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn bodies_over_a_mebibyte_are_refused() {
    with_server(async {
        let mut stream = connect(Settings::default());
        let long = request("DescribeIdentity", &" ".repeat(1024 * 1024 + 1));
        let (mut from, mut to) = tokio::io::split(&mut stream);
        let (_, head) = tokio::join!(to.write_all(long.as_bytes()), async {
            let mut head = [0; 13];
            from.read_exact(&mut head).await.expect("an answer");
            head
        });
        assert_eq!(&head, b"HTTP/1.1 413 ");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn unknown_operations_are_refused_signed_or_not() {
    with_server(async {
        let mut stream = connect(Settings::default());
        let get_id = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\
                      x-amz-target: AWSCognitoIdentityService.GetId\r\n\r\n{}";
        let nothing = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let signed = request("GetId", "{}");
        for request in [get_id, nothing, &signed] {
            stream.write_all(request.as_bytes()).await.expect("written");
            let (head, body) = read_response(&mut stream).await;
            assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
            assert_eq!(body, r#"{"__type":"UnknownOperationException"}"#);
        }
        let unsigned = unlink("u").replace(SIGNED, "");
        stream
            .write_all(unsigned.as_bytes())
            .await
            .expect("written");
        let (head, _) = read_response(&mut stream).await;
        assert!(
            head.contains("x-amzn-errortype: MissingAuthenticationTokenException:"),
            "{head}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_http_status_of_the_settings() {
    use super::super::{ErrorStatus, Undocumented};
    with_server(async {
        for (error_status, status) in [(ErrorStatus::Wire, "400"), (ErrorStatus::Modelled, "404")] {
            let mut stream = connect(Settings {
                links: Some(Vec::new()),
                undocumented: Undocumented {
                    error_status,
                    ..Undocumented::default()
                },
                ..Settings::default()
            });
            stream
                .write_all(unlink("u").as_bytes())
                .await
                .expect("written");
            let (head, body) = read_response(&mut stream).await;
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(
                body.contains("IdentityPool 'us-east-1:2' not found."),
                "{body}"
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn each_operation_has_its_own_quota() {
    with_server(async {
        let mut stream = connect(Settings {
            quota: Some(QuotaSettings::bucket(1.0, 1)),
            ..Settings::default()
        });
        let describe = request(
            "DescribeIdentityPool",
            r#"{"IdentityPoolId":"us-east-1:2"}"#,
        );
        let mut statuses = Vec::new();
        for request in [&unlink("u"), &unlink("v"), &describe, &describe] {
            stream.write_all(request.as_bytes()).await.expect("written");
            let (head, _) = read_response(&mut stream).await;
            statuses.push(head.contains("TooManyRequestsException:"));
        }
        assert_eq!(statuses, [false, true, false, true]);
        sleep(Duration::from_secs(1)).await;
        stream
            .write_all(describe.as_bytes())
            .await
            .expect("written");
        let (head, _) = read_response(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sts_returns_the_account_in_its_own_protocol() {
    with_server(async {
        let mut stream = connect(Settings {
            account: "210987654321".to_owned(),
            ..Settings::default()
        });
        let form = "Action=GetCallerIdentity&Version=2011-06-15";
        let request = |signed: &str| {
            format!(
                "POST / HTTP/1.1\r\nhost: localhost\r\n{}\
                 content-type: application/x-www-form-urlencoded; charset=utf-8\r\n\
                 content-length: {}\r\n\r\n{form}",
                signed.replace("/cognito-identity/", "/sts/"),
                form.len()
            )
        };
        stream
            .write_all(request(SIGNED).as_bytes())
            .await
            .expect("written");
        let (head, body) = read_response(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: text/xml"));
        assert!(body.contains("<Account>210987654321</Account>"), "{body}");
        stream
            .write_all(request("").as_bytes())
            .await
            .expect("written");
        let (head, body) = read_response(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        assert!(
            body.contains("<Code>MissingAuthenticationToken</Code>"),
            "{body}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn http_2_is_served_without_tls() {
    with_server(async {
        let stream = connect(Settings::default());
        let (mut sender, connection) = http2::handshake::<_, _, Full<bytes::Bytes>>(
            TokioExecutor::new(),
            TokioIo::new(stream),
        )
        .await
        .expect("a handshake");
        tokio::task::spawn_local(async move {
            let _ = connection.await;
        });
        let mut call = |user: &str| {
            let whole = unlink(user);
            let (_, body) = whole.split_once("\r\n\r\n").expect("a head");
            let mut request = hyper::Request::post("http://localhost/").header(
                "x-amz-target",
                "AWSCognitoIdentityService.UnlinkDeveloperIdentity",
            );
            for line in SIGNED.lines() {
                let (name, value) = line.split_once(": ").expect("a header");
                request = request.header(name, value);
            }
            let body = Full::from(body.to_owned());
            sender.send_request(request.body(body).expect("a request"))
        };
        let (one, other) = tokio::join!(call("u"), call("u"));
        let (one, other) = (one.expect("an answer"), other.expect("an answer"));
        assert_eq!((one.status().as_u16(), other.status().as_u16()), (200, 400));
        let body = other
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        assert!(body.starts_with(br#"{"__type":"ResourceNotFoundException""#));
    })
    .await;
}
