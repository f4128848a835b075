use std::time::{Duration, SystemTime};

use hyper::Request;
use hyper::http::request::Parts;

use super::authorization::ALGORITHM;
use super::signing_time::MAX_SKEW;
use super::*;

/// AWS's published examples: request line, headers beside `host` and `x-amz-date`, body, signed headers, signature.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-test-suite.html>
const PUBLISHED: &[(&str, &str, &str, &str, &str)] = &[
    (
        "GET /",
        "",
        "",
        "host;x-amz-date",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        "GET /example1/example2/../..",
        "",
        "",
        "host;x-amz-date",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        "GET /./",
        "",
        "",
        "host;x-amz-date",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    (
        "GET /./example",
        "",
        "",
        "host;x-amz-date",
        "ef75d96142cf21edca26f06005da7988e4f8dc83a165a80865db7089db637ec5",
    ),
    (
        "GET /-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
        "",
        "",
        "host;x-amz-date",
        "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
    ),
    (
        "GET /?Param1=value1",
        "",
        "",
        "host;x-amz-date",
        "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
    ),
    (
        "GET /?Param2=value2&Param1=value1",
        "",
        "",
        "host;x-amz-date",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    (
        "GET /?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
        "",
        "",
        "host;x-amz-date",
        "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
    ),
    (
        "GET /",
        "My-Header1:value2\nMy-Header1:value2\nMy-Header1:value1",
        "",
        "host;my-header1;x-amz-date",
        "c9d5ea9f3f72853aea855b47ea873832890dbdd183b4468f858259531a5138ea",
    ),
    (
        "GET /",
        "My-Header1:value4\nMy-Header1:value1\nMy-Header1:value3\nMy-Header1:value2",
        "",
        "host;my-header1;x-amz-date",
        "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
    ),
    (
        "GET /",
        "My-Header1: value1\nMy-Header2: \"a   b   c\"",
        "",
        "host;my-header1;my-header2;x-amz-date",
        "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
    ),
    (
        "POST /",
        "",
        "",
        "host;x-amz-date",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    (
        "POST /",
        "My-Header1:VALUE1",
        "",
        "host;my-header1;x-amz-date",
        "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
    ),
    (
        "POST /",
        "Content-Type:application/x-www-form-urlencoded; charset=utf-8\nContent-Length:13\n\
         x-amz-content-sha256:9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
        "Param1=value1",
        "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
        "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
    ),
];

const SERVICE: &str = "service";

fn keys() -> AccessKeys {
    AccessKeys::new(vec![
        "AKIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
            .parse()
            .expect("a key"),
        "ASIDEXAMPLE:wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY:token"
            .parse()
            .expect("a temporary key"),
    ])
}

/// The time at which the published examples were signed.
fn signing_time() -> SystemTime {
    humantime::parse_rfc3339("2015-08-30T12:36:00Z").expect("a time")
}

fn head(line: &str, headers: &str, authorization: Option<&str>) -> Parts {
    let (method, target) = line.split_once(' ').expect("a request line");
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", "example.amazonaws.com");
    let date = (!headers.contains("x-amz-date")).then_some("x-amz-date:20150830T123600Z");
    for header in headers.lines().chain(date) {
        let (name, value) = header.split_once(':').expect("a header");
        request = request.header(name, value);
    }
    if let Some(authorization) = authorization {
        request = request.header("authorization", authorization);
    }
    request.body(()).expect("a request").into_parts().0
}

fn authorization(scope: &str, signed: &str, signature: &str) -> String {
    format!("{ALGORITHM} Credential={scope}, SignedHeaders={signed}, Signature={signature}")
}

/// Authenticates the first published example with these changes. Returns the access key, or the error.
fn result(
    scope: &str,
    headers: &str,
    signature: &str,
    keys: &AccessKeys,
    now: SystemTime,
) -> String {
    let authorization = authorization(scope, "host;x-amz-date", signature);
    let head = head("GET /", headers, Some(&authorization));
    match authenticate(&head, b"", SERVICE, keys, now) {
        Ok(signer) => signer.access_key,
        Err(error) => format!("{}: {}", error.code, error.message),
    }
}

const SCOPE: &str = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";

#[test]
fn published_examples_are_accepted_and_any_change_is_refused() {
    let keys = keys();
    for (line, headers, body, signed, signature) in PUBLISHED {
        let authenticated = |line: &str, body: &str, signature: &str| {
            let head = head(
                line,
                headers,
                Some(&authorization(SCOPE, signed, signature)),
            );
            authenticate(&head, body.as_bytes(), SERVICE, &keys, signing_time())
                .map_err(|error| error.code)
        };
        let signer = Signer {
            access_key: "AKIDEXAMPLE".into(),
            region: "us-east-1".into(),
        };
        assert_eq!(
            authenticated(line, body, signature),
            Ok(signer),
            "{line} {headers}"
        );
        let wrong = Err("InvalidSignatureException");
        assert_eq!(authenticated(&format!("{line}x"), body, signature), wrong);
        assert_eq!(authenticated(line, "{}", signature), wrong);
        assert_eq!(authenticated(line, body, &"0".repeat(64)), wrong);
    }
}

#[test]
fn keys_must_match_by_id_and_session_token() {
    let (signature, keys) = (PUBLISHED[0].4, keys());
    let unknown =
        "UnrecognizedClientException: The security token included in the request is invalid.";
    let other = "AKIDOTHER/20150830/us-east-1/service/aws4_request";
    assert_eq!(result(other, "", signature, &keys, signing_time()), unknown);
    let token = "x-amz-security-token:token";
    assert_eq!(
        result(SCOPE, token, signature, &keys, signing_time()),
        unknown
    );
    // The temporary key has the same secret, and the token is not among the signed headers.
    let temporary = "ASIDEXAMPLE/20150830/us-east-1/service/aws4_request";
    assert_eq!(
        result(temporary, token, signature, &keys, signing_time()),
        "ASIDEXAMPLE"
    );
    assert_eq!(
        result(temporary, "", signature, &keys, signing_time()),
        unknown
    );
    let wrong = "x-amz-security-token:other";
    assert_eq!(
        result(temporary, wrong, signature, &keys, signing_time()),
        unknown
    );
    // Without access keys, any is accepted.
    let any = AccessKeys::default();
    assert_eq!(
        result(other, "", &"0".repeat(64), &any, SystemTime::now()),
        "AKIDOTHER"
    );
}

#[test]
fn the_signing_time_counts_when_access_keys_are_given() {
    let (signature, keys) = (PUBLISHED[0].4, keys());
    let at = |now| result(SCOPE, "", signature, &keys, now);
    assert_eq!(at(signing_time() + MAX_SKEW), "AKIDEXAMPLE");
    assert_eq!(at(signing_time() - MAX_SKEW), "AKIDEXAMPLE");
    let late = at(signing_time() + MAX_SKEW + Duration::from_secs(1));
    assert!(
        late.starts_with("InvalidSignatureException: Signature expired: 2015"),
        "{late}"
    );
    let early = at(signing_time() - MAX_SKEW - Duration::from_secs(1));
    assert!(
        early.contains("Signature not yet current: 20150830T123600Z is still later"),
        "{early}"
    );
}

#[test]
fn requests_not_signed_for_this_service_are_refused() {
    let any = AccessKeys::default();
    let zeros = "0".repeat(64);
    let refused = |authorization: Option<&str>, headers: &str| {
        let head = head("POST /", headers, authorization);
        authenticate(&head, b"", SERVICE, &any, signing_time())
            .expect_err("refused")
            .code
    };
    assert_eq!(refused(None, ""), "MissingAuthenticationTokenException");
    let good = authorization(SCOPE, "host;x-amz-date", &zeros);
    for (authorization, headers) in [
        ("Bearer x".to_owned(), ""),
        (format!("{ALGORITHM} Credential=AK"), ""),
        (good[..good.len() - 1].to_owned(), ""),
        (authorization("x", "host", &zeros), ""),
        (
            authorization("/20150830/r/service/aws4_request", "host", &zeros),
            "",
        ),
        (authorization(SCOPE, "x-amz-date", &zeros), ""),
        (good.clone(), "x-amz-date:yesterday"),
    ] {
        let code = refused(Some(&authorization), headers);
        assert_eq!(code, "IncompleteSignatureException", "{authorization}");
    }
    for scope in [
        "AK/20150830/us-east-1/cognito-idp/aws4_request",
        "AK/20150831/us-east-1/service/aws4_request",
    ] {
        let code = refused(Some(&authorization(scope, "host", &zeros)), "");
        assert_eq!(code, "InvalidSignatureException", "{scope}");
    }
}

#[test]
fn signed_headers_must_be_present() {
    let absent = authorization(SCOPE, "host;x-absent;x-amz-date", PUBLISHED[0].4);
    let head = head("GET /", "", Some(&absent));
    let error = authenticate(&head, b"", SERVICE, &keys(), signing_time()).expect_err("refused");
    assert_eq!(error.code, "InvalidSignatureException");
}

#[test]
fn access_keys_are_parsed_as_documented_and_debug_omits_secrets() {
    let key: AccessKey = "AK:s/+:t:u".parse().expect("a key");
    assert_eq!((&*key.secret, key.token.as_deref()), ("s/+", Some("t:u")));
    assert_eq!(format!("{key:?}"), "AccessKey { id: \"AK\", .. }");
    for wrong in ["", "AK", "AK:", ":s", "A K:s", "AK:s:"] {
        assert!(wrong.parse::<AccessKey>().is_err(), "{wrong}");
    }
}
