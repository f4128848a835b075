//! The wire, over a pipe in memory and under paused time.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use super::super::{Settings, serve_connection};

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

/// The other end of a connection that is being served.
fn connect(settings: Settings) -> DuplexStream {
    let (ours, theirs) = tokio::io::duplex(1024 * 1024);
    tokio::task::spawn_local(serve_connection(theirs, settings));
    ours
}

/// Runs `test` where connections can be served beside it.
async fn beside<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

/// The next answer: its head, and its body.
async fn answer(from: &mut DuplexStream) -> (String, String) {
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

/// How long the connection lasts, and what was said until its end.
async fn until_the_end(from: &mut DuplexStream) -> (Duration, String) {
    let began = Instant::now();
    let mut said = Vec::new();
    let patience = Duration::from_hours(1);
    let read = timeout(patience, from.read_to_end(&mut said)).await;
    read.expect("it ends").expect("a clean end");
    (began.elapsed(), String::from_utf8(said).expect("text"))
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_and_requests_may_queue_up() {
    beside(async {
        let mut stream = connect(Settings::default());
        let both = [unlink("u"), unlink("u"), request("DescribeIdentity", "{}")].concat();
        stream.write_all(both.as_bytes()).await.expect("written");
        let (head, body) = answer(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("\r\nx-amzn-requestid: 00000000-0000-4000-8000-000000000001\r\n"));
        assert_eq!(body, "");
        let (head, body) = answer(&mut stream).await;
        assert!(
            head.contains("\r\nx-amzn-errortype: ResourceNotFoundException:\r\n"),
            "{head}"
        );
        assert!(head.contains("-000000000002\r\n"), "{head}");
        assert!(
            body.contains(r#""__type":"ResourceNotFoundException""#),
            "{body}"
        );
        let (head, _) = answer(&mut stream).await;
        assert!(head.contains("InvalidParameterException:"), "{head}");

        sleep(Duration::from_secs(1)).await;
        stream
            .write_all(unlink("v").as_bytes())
            .await
            .expect("it is still open");
        let (head, _) = answer(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whoever_dawdles_over_the_head_is_cut_off() {
    beside(async {
        let signed = unlink("u");
        for said in [
            "",
            "P",
            "POST / HTTP/1.1\r\nhost: loc",
            &signed[..signed.len() / 2],
        ] {
            let mut stream = connect(Settings::default());
            stream.write_all(said.as_bytes()).await.expect("written");
            let (lasted, answered) = until_the_end(&mut stream).await;
            assert!(lasted <= Duration::from_secs(61), "{said:?} for {lasted:?}");
            assert!(!answered.contains("200 OK"), "{answered}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_head_that_trickles_in_is_cut_off() {
    beside(async {
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
        let began = Instant::now();
        let mut said = Vec::new();
        tokio::select! {
            broken = drip => { let _: std::io::Result<()> = broken; }
            read = from.read_to_end(&mut said) => { read.expect("a clean end"); }
        }
        assert!(began.elapsed() <= Duration::from_secs(61));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_body_that_trickles_in_is_cut_off() {
    beside(async {
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
        let mut said = Vec::new();
        let read = async {
            let patience = Duration::from_hours(1);
            timeout(patience, from.read_to_end(&mut said)).await
        };
        let began = Instant::now();
        let (_, read) = tokio::join!(drip, read);
        assert!(read.is_ok(), "the connection ends");
        let said = String::from_utf8(said).expect("text");
        assert!(said.starts_with("HTTP/1.1 408 "), "{said}");
        // The body was not waited for: a byte later the pipe was found broken.
        assert!(began.elapsed() < Duration::from_mins(1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn no_request_is_longer_than_a_mebibyte() {
    beside(async {
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
async fn what_nobody_offers_is_unknown_signed_or_not() {
    beside(async {
        let mut stream = connect(Settings::default());
        let get_id = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\
                      x-amz-target: AWSCognitoIdentityService.GetId\r\n\r\n{}";
        let nothing = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
        let signed = request("GetId", "{}");
        for asked in [get_id, nothing, &signed] {
            stream.write_all(asked.as_bytes()).await.expect("written");
            let (head, body) = answer(&mut stream).await;
            assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
            assert_eq!(body, r#"{"__type":"UnknownOperationException"}"#);
        }
        let unsigned = unlink("u").replace(SIGNED, "");
        stream
            .write_all(unsigned.as_bytes())
            .await
            .expect("written");
        let (head, _) = answer(&mut stream).await;
        assert!(
            head.contains("x-amzn-errortype: MissingAuthenticationTokenException:"),
            "{head}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn errors_have_the_status_that_is_asked_for() {
    use super::super::{ErrorStatus, Undocumented};
    beside(async {
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
            let (head, body) = answer(&mut stream).await;
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
    beside(async {
        let mut stream = connect(Settings {
            quota: Some((1.0, 1)),
            ..Settings::default()
        });
        let describe = request(
            "DescribeIdentityPool",
            r#"{"IdentityPoolId":"us-east-1:2"}"#,
        );
        let mut statuses = Vec::new();
        for asked in [&unlink("u"), &unlink("v"), &describe, &describe] {
            stream.write_all(asked.as_bytes()).await.expect("written");
            let (head, _) = answer(&mut stream).await;
            statuses.push(head.contains("TooManyRequestsException:"));
        }
        assert_eq!(statuses, [false, true, false, true]);
        sleep(Duration::from_secs(1)).await;
        stream
            .write_all(describe.as_bytes())
            .await
            .expect("written");
        let (head, _) = answer(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sts_tells_the_account_in_its_own_protocol() {
    beside(async {
        let mut stream = connect(Settings {
            account: "210987654321".to_owned(),
            ..Settings::default()
        });
        let form = "Action=GetCallerIdentity&Version=2011-06-15";
        let ask = |signed: &str| {
            format!(
                "POST / HTTP/1.1\r\nhost: localhost\r\n{}\
                 content-type: application/x-www-form-urlencoded; charset=utf-8\r\n\
                 content-length: {}\r\n\r\n{form}",
                signed.replace("/cognito-identity/", "/sts/"),
                form.len()
            )
        };
        stream
            .write_all(ask(SIGNED).as_bytes())
            .await
            .expect("written");
        let (head, body) = answer(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: text/xml"));
        assert!(body.contains("<Account>210987654321</Account>"), "{body}");
        stream.write_all(ask("").as_bytes()).await.expect("written");
        let (head, body) = answer(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
        assert!(
            body.contains("<Code>MissingAuthenticationToken</Code>"),
            "{body}"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn http_2_is_spoken_to_whoever_begins_with_it() {
    beside(async {
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
