//! The outcome of a row for every reply, as the first one and after a lost reply, from the wire to the results file.

use cognito_unlink::testing::emulator::{Canned, FaultKind, Rule, Then, When};

use crate::sandbox::{Sandbox, always, people};

/// A reply that every attempt of a row gets, and the expected outcome of the row.
struct Case {
    status: u16,
    code: &'static str,
    message: &'static str,
    first: &'static str,
    after_a_lost_reply: &'static str,
}

const fn case(
    status: u16,
    code: &'static str,
    message: &'static str,
    first: &'static str,
    after_a_lost_reply: &'static str,
) -> Case {
    Case {
        status,
        code,
        message,
        first,
        after_a_lost_reply,
    }
}

/// `halt` stands for a halted run, which leaves the row as it was or in doubt and exits with 5.
const CASES: &[Case] = &[
    case(200, "", "", "unlinked", "unlinked"),
    case(
        400,
        "TooManyRequestsException",
        "Rate exceeded",
        "failed",
        "in_doubt",
    ),
    case(
        429,
        "TooManyRequestsException",
        "Rate exceeded",
        "failed",
        "in_doubt",
    ),
    case(400, "Throttling", "Rate exceeded", "failed", "in_doubt"),
    case(
        400,
        "ThrottlingException",
        "Rate exceeded",
        "failed",
        "in_doubt",
    ),
    case(503, "RequestLimitExceeded", "x", "failed", "in_doubt"),
    case(503, "SlowDown", "x", "failed", "in_doubt"),
    case(429, "", "", "failed", "in_doubt"),
    case(500, "InternalErrorException", "x", "failed", "in_doubt"),
    case(400, "InternalErrorException", "x", "failed", "in_doubt"),
    case(500, "InternalFailure", "x", "failed", "in_doubt"),
    case(503, "ServiceUnavailable", "x", "failed", "in_doubt"),
    case(502, "", "", "failed", "in_doubt"),
    case(
        400,
        "ResourceNotFoundException",
        "Identity 'x' not found.",
        "not_linked",
        "unlinked_reply_lost",
    ),
    case(
        404,
        "ResourceNotFoundException",
        "No such developer user.",
        "not_linked",
        "unlinked_reply_lost",
    ),
    case(
        400,
        "ResourceNotFoundException",
        "IdentityPool 'x' not found.",
        "halt",
        "halt",
    ),
    case(
        400,
        "NotAuthorizedException",
        "Access to Identity 'x' is forbidden.",
        "failed",
        "in_doubt",
    ),
    case(403, "NotAuthorizedException", "x", "failed", "in_doubt"),
    case(409, "ResourceConflictException", "x", "failed", "in_doubt"),
    case(400, "InvalidParameterException", "x", "failed", "in_doubt"),
    case(
        400,
        "InvalidParameterException",
        "This identity pool does not support the specified developer provider",
        "halt",
        "halt",
    ),
    case(400, "AccessDeniedException", "x", "halt", "halt"),
    case(403, "AccessDenied", "x", "halt", "halt"),
    case(400, "ExpiredTokenException", "x", "halt", "halt"),
    case(403, "ExpiredToken", "x", "halt", "halt"),
    case(400, "UnrecognizedClientException", "x", "halt", "halt"),
    case(403, "InvalidSignatureException", "x", "halt", "halt"),
    case(403, "SignatureDoesNotMatch", "x", "halt", "halt"),
    case(
        400,
        "MissingAuthenticationTokenException",
        "x",
        "halt",
        "halt",
    ),
    case(400, "ns#AccessDeniedException", "x", "halt", "halt"),
    case(400, "SomethingNewException", "x", "failed", "in_doubt"),
    case(501, "SomethingNewException", "x", "failed", "in_doubt"),
];

fn answer(case: &Case) -> Then {
    let body = match case.code {
        "" => String::new(),
        code => serde_json::json!({"__type": code, "message": case.message}).to_string(),
    };
    Then::Answer(Canned {
        status: case.status,
        headers: vec![("content-type".into(), "application/x-amz-json-1.1".into())],
        body,
    })
}

#[test]
fn every_reply_has_its_documented_outcome() {
    assert_every_outcome(false, |case| case.first);
}

#[test]
fn every_reply_after_a_lost_one_has_its_documented_outcome() {
    assert_every_outcome(true, |case| case.after_a_lost_reply);
}

fn assert_every_outcome(lost: bool, expected: fn(&Case) -> &'static str) {
    for case in CASES {
        let expected = expected(case);
        let context = format!(
            "{} {} {}, lost: {lost}",
            case.status, case.code, case.message
        );
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", people(1));
        if lost {
            sandbox.emulator.add_rule(Rule {
                when: When::Call(1),
                then: Then::Fault(FaultKind::ResetBefore),
                times: Some(1),
            });
        }
        sandbox.emulator.add_rule(always(answer(case)));
        // Throttling uses up no attempts, so --give-up-after ends the row.
        let args = [
            "people.csv",
            "--max-attempts",
            "2",
            "--give-up-after",
            "600ms",
            "--json",
        ];
        let ran = sandbox.run(&args);
        let code = match expected {
            "halt" => 5,
            "failed" | "in_doubt" => 1,
            _ => 0,
        };
        assert_eq!(ran.code(), Some(code), "{context}: {ran:?}");
        let lines = sandbox.results("people.results.csv");
        match (expected, lost) {
            ("halt", false) => assert!(lines.is_empty(), "{context}: {lines:?}"),
            ("halt", true) => assert_eq!(lines[0]["outcome"], "in_doubt", "{context}"),
            _ => assert_eq!(lines[0]["outcome"], expected, "{context}"),
        }
        if expected != "halt" && case.status != 200 {
            let bare = case.code.rsplit('#').next().unwrap_or_default();
            assert_eq!(lines[0]["error_code"], bare, "{context}");
            assert_eq!(
                lines[0]["http_status"],
                case.status.to_string(),
                "{context}"
            );
            assert_eq!(lines[0]["error_message"], case.message, "{context}");
        }
    }
}
