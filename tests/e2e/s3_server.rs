//! The tests' own S3 store and the proxy before it, asked by the SDK.

use std::time::Duration;

use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::{Client, Config};

use crate::s3::{BUCKET, FaultProxy, Faults, Kind, ProxyFault, S3Server, Settings, Then, When};
use crate::sandbox::TIMEOUT;

/// Returns a client that does not try again.
fn client_for(store: &S3Server, region: &'static str) -> Client {
    client_of(store.url(), region)
}

fn client_of(url: String, region: &'static str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .credentials_provider(Credentials::new(
            "AKIDEXAMPLE",
            "secret",
            None,
            None,
            "test",
        ))
        .retry_config(RetryConfig::disabled())
        .force_path_style(true)
        .endpoint_url(url);
    Client::from_conf(config.build())
}

fn client(store: &S3Server) -> Client {
    client_for(store, "us-east-1")
}

/// Returns the status and the code of an error.
fn status_and_code<T: std::fmt::Debug, E: ProvideErrorMetadata>(
    result: Result<T, SdkError<E>>,
) -> (u16, String) {
    let error = result.expect_err("an error");
    let status = error.raw_response().expect("an answer").status().as_u16();
    let code = error.as_service_error().and_then(|error| error.code());
    (status, code.unwrap_or_default().to_owned())
}

async fn put_if_absent(client: &Client, key: &str, body: &str) -> Result<(), (u16, String)> {
    let put = client.put_object().bucket(BUCKET).key(key);
    let put = put
        .if_none_match("*")
        .body(ByteStream::from(body.as_bytes().to_vec()));
    let result = put.send().await;
    match result {
        Ok(_) => Ok(()),
        failed => Err(status_and_code(failed)),
    }
}

async fn get(client: &Client, key: &str) -> Vec<u8> {
    let got = client.get_object().bucket(BUCKET).key(key).send().await;
    let body = got.expect("an object").body.collect().await;
    body.expect("a whole body").to_vec()
}

#[tokio::test]
async fn an_object_is_put_only_if_it_is_absent() {
    let store = S3Server::spawn(Settings::default());
    let client = client(&store);
    put_if_absent(&client, "a/1 &<\"é+", "first")
        .await
        .expect("put");
    assert_eq!(
        put_if_absent(&client, "a/1 &<\"é+", "second").await,
        Err((412, "PreconditionFailed".to_owned()))
    );
    assert_eq!(get(&client, "a/1 &<\"é+").await, b"first");
    assert_eq!(store.keys(BUCKET, ""), ["a/1 &<\"é+"]);
    assert_eq!(store.counters().of(Kind::Put), 2);
    assert_eq!(store.counters().objects_put, 1);
}

#[tokio::test]
async fn a_store_may_ignore_the_condition() {
    let store = S3Server::spawn(Settings {
        ignores_if_none_match: true,
        ..Settings::default()
    });
    let client = client(&store);
    put_if_absent(&client, "a", "first").await.expect("put");
    put_if_absent(&client, "a", "second").await.expect("put");
    assert_eq!(get(&client, "a").await, b"second");
}

#[tokio::test]
async fn a_listing_goes_on_where_its_page_ended() {
    let store = S3Server::spawn(Settings {
        page: 2,
        ..Settings::default()
    });
    for key in ["a", "b/1", "b/2", "b/3", "c", "c0/x", "d"] {
        store.put(BUCKET, key, "x");
    }
    let client = client(&store);
    let list = |prefix: &str, delimiter: Option<&str>, after: &str| {
        let list = client.list_objects_v2().bucket(BUCKET).prefix(prefix);
        let list = list.set_delimiter(delimiter.map(str::to_owned));
        let mut pages = list.start_after(after).into_paginator().send();
        async move {
            let mut names = Vec::new();
            while let Some(page) = pages.next().await {
                let page = page.expect("a page");
                assert!(page.key_count().expect("a count") <= 2);
                let keys = page.contents().iter().filter_map(|object| object.key());
                let prefixes = page.common_prefixes().iter();
                let prefixes = prefixes.filter_map(|common| common.prefix());
                names.push(keys.chain(prefixes).collect::<Vec<_>>().join(" "));
            }
            names
        }
    };
    let all = ["a b/1", "b/2 b/3", "c c0/x", "d"];
    assert_eq!(list("", None, "").await, all);
    assert_eq!(list("", Some("/"), "").await, ["a b/", "c c0/", "d"]);
    assert_eq!(list("b/", None, "b/1").await, ["b/2 b/3"]);
    assert_eq!(list("nothing", None, "").await, [""]);
}

#[tokio::test]
async fn ranges_versions_and_etags_choose_bytes() {
    let store = S3Server::spawn(Settings {
        is_versioned: true,
        ..Settings::default()
    });
    let client = client(&store);
    store.put(BUCKET, "a", "0123456789");
    let get = || client.get_object().bucket(BUCKET).key("a");
    let first = get().send().await.expect("an object");
    let (etag, version) = (
        first.e_tag().expect("one"),
        first.version_id().expect("one"),
    );
    store.put(BUCKET, "a", "other");

    let ranged = get().version_id(version).range("bytes=3-").send().await;
    let ranged = ranged.expect("an object");
    assert_eq!(ranged.content_range(), Some("bytes 3-9/10"));
    assert_eq!(
        ranged.body.collect().await.expect("a body").to_vec(),
        b"3456789"
    );

    let changed = get().if_match(etag).send().await;
    assert_eq!(
        status_and_code(changed),
        (412, "PreconditionFailed".to_owned())
    );
    let beyond = get().range("bytes=5-").send().await;
    assert_eq!(status_and_code(beyond), (416, "InvalidRange".to_owned()));
    let absent = get().version_id("v1").send().await;
    assert_eq!(status_and_code(absent), (404, "NoSuchVersion".to_owned()));
    let head = client.head_object().bucket(BUCKET).key("a").send().await;
    assert_eq!(head.expect("an object").content_length(), Some(5));
    let head = client.head_object().bucket(BUCKET).key("b").send().await;
    assert_eq!(status_and_code(head).0, 404);
}

#[tokio::test]
async fn a_bucket_tells_its_region() {
    let store = S3Server::spawn(Settings {
        checks_region: true,
        ..Settings::default()
    });
    store.create_bucket("far", "eu-west-1");
    let head = |client: Client| async move { client.head_bucket().bucket("far").send().await };
    let right = head(client_for(&store, "eu-west-1")).await;
    assert_eq!(right.expect("a bucket").bucket_region(), Some("eu-west-1"));
    let wrong = head(client(&store)).await.expect_err("another Region");
    let answer = wrong.raw_response().expect("an answer");
    assert_eq!(answer.status().as_u16(), 400);
    assert_eq!(
        answer.headers().get("x-amz-bucket-region"),
        Some("eu-west-1")
    );
    let read = client(&store)
        .get_object()
        .bucket("far")
        .key("a")
        .send()
        .await;
    assert_eq!(
        status_and_code(read),
        (400, "AuthorizationHeaderMalformed".to_owned())
    );
}

#[tokio::test]
async fn bodies_break_off() {
    let store = S3Server::spawn(Settings {
        breaks_off_after: Some(4),
        ..Settings::default()
    });
    let client = client(&store);
    store.put(BUCKET, "a", "0123456789");
    let got = client.get_object().bucket(BUCKET).key("a").send().await;
    let mut body = got.expect("a head").body;
    assert_eq!(
        &body.next().await.expect("bytes").expect("bytes")[..],
        b"0123"
    );
    assert!(body.next().await.expect("an end").is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_fail_lose_and_hold_requests() {
    let store = S3Server::spawn(Settings::default());
    let client = client(&store);
    store.add_rule(When::Nth(Kind::Put, 1), Then::Fail(503, "SlowDown"));
    store.add_rule(When::Nth(Kind::Put, 2), Then::LoseReply);
    store.add_rule(When::Nth(Kind::Put, 4), Then::Hold);
    assert_eq!(
        put_if_absent(&client, "a", "1").await,
        Err((503, "SlowDown".to_owned()))
    );
    assert_eq!(store.keys(BUCKET, ""), [""; 0]);
    let put = client.put_object().bucket(BUCKET).key("a").send().await;
    assert!(put.expect_err("no answer").raw_response().is_none());
    assert_eq!(store.keys(BUCKET, ""), ["a"]);
    assert_eq!(
        put_if_absent(&client, "a", "3").await,
        Err((412, "PreconditionFailed".to_owned()))
    );

    let held = tokio::spawn(async move { put_if_absent(&client, "b", "4").await });
    let is_held = tokio::task::block_in_place(|| store.wait_until(TIMEOUT, |seen| seen.held == 1));
    assert!(is_held, "{:?}", store.counters());
    assert_eq!(store.keys(BUCKET, ""), ["a"]);
    store.clear_rules();
    held.await.expect("no panic").expect("put");
    assert_eq!(store.keys(BUCKET, ""), ["a", "b"]);
    let log = store.requests();
    let log: Vec<_> = log
        .iter()
        .map(|put| (put.has_put, put.reply.map(|reply| reply.1)))
        .collect();
    assert_eq!(
        log,
        [
            (false, Some(503)),
            (true, None),
            (false, Some(412)),
            (true, Some(200))
        ]
    );
    assert!(!store.wait_until(Duration::ZERO, |seen| seen.held > 0));
}

/// Returns faults of this kind for every put, and none for other requests.
fn every_put(fault: ProxyFault) -> Faults {
    Faults {
        of_puts: vec![(fault, 1000)],
        of_reads: Vec::new(),
        longest_delay: Duration::from_millis(20),
        seed: 1,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_passes_on_what_a_fault_leaves() {
    let slow_down = Err((503, "SlowDown".to_owned()));
    let conflict = Err((409, "ConditionalRequestConflict".to_owned()));
    for (fault, answer, keys) in [
        (ProxyFault::Delay, Some(Ok(())), 1),
        (ProxyFault::LostReply, None, 1),
        (ProxyFault::Reset, None, 0),
        (ProxyFault::SlowDown, Some(slow_down), 0),
        (ProxyFault::Conflict, Some(conflict), 0),
    ] {
        let store = S3Server::spawn(Settings::default());
        let proxy = FaultProxy::spawn(&store.url(), every_put(fault));
        let client = client_of(proxy.url(), "us-east-1");
        let put = client.put_object().bucket(BUCKET).key("a é");
        let put = put.body(ByteStream::from_static(b"body")).send().await;
        let seen = match put {
            Ok(_) => Some(Ok(())),
            Err(error) if error.raw_response().is_none() => None,
            failed => Some(Err(status_and_code(failed))),
        };
        assert_eq!(seen, answer, "{fault}");
        assert_eq!(store.keys(BUCKET, "").len(), keys, "{fault}");
        if keys == 1 {
            assert_eq!(get(&client, "a é").await, b"body");
            let list = client.list_objects_v2().bucket(BUCKET).send().await;
            assert_eq!(list.expect("a page").contents().len(), 1);
            let head = client.head_object().bucket(BUCKET).key("a é").send().await;
            assert_eq!(head.expect("an object").content_length(), Some(4));
        }
        assert_eq!(proxy.faults().into_iter().collect::<Vec<_>>(), [(fault, 1)]);
        let passage = &proxy.passages()[0];
        assert_eq!(
            (passage.kind, &*passage.access_key),
            (Kind::Put, "AKIDEXAMPLE")
        );
        assert_eq!(passage.stored.is_some(), keys == 1);
        assert_eq!(passage.answered.is_some(), fault == ProxyFault::Delay);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_takes_effect_after_its_client_has_gone() {
    let store = S3Server::spawn(Settings::default());
    store.add_rule(When::Nth(Kind::Put, 1), Then::Hold);
    let faults = Faults {
        of_puts: Vec::new(),
        ..every_put(ProxyFault::Delay)
    };
    let proxy = FaultProxy::spawn(&store.url(), faults);
    let client = client_of(proxy.url(), "us-east-1");
    let put = tokio::spawn(async move { put_if_absent(&client, "a", "late").await });
    let held = tokio::task::block_in_place(|| store.wait_until(TIMEOUT, |seen| seen.held == 1));
    assert!(held, "{:?}", store.counters());
    // Its connection closes with it.
    put.abort();
    assert!(put.await.expect_err("aborted").is_cancelled());
    store.clear_rules();
    assert!(tokio::task::block_in_place(|| proxy.settle(TIMEOUT)));
    assert_eq!(store.keys(BUCKET, ""), ["a"]);
}
