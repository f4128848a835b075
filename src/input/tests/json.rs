//! JSON lines: texts and their rows.

use super::*;
use crate::row::Field;

fn summaries_of(text: &str) -> Vec<String> {
    summaries(Format::Jsonl, text, &filled())
}

/// Returns a row of user `a` with more keys.
fn row(more: &str) -> String {
    format!(r#"{{"identity_id":"r:0","developer_user_identifier":"a"{more}}}"#)
}

#[test]
fn every_object_is_a_row_and_every_other_line_an_invalid_one() {
    let a = row("");
    let none: [&str; 0] = [];
    assert_eq!(summaries_of(""), none);
    assert_eq!(summaries_of("\u{feff}\n \t\r\n\n"), none);
    assert_eq!(
        summaries_of(&format!("{a}\r\n \n{a}\n\n  {a}  ")),
        ["1 a", "3 a", "5 a"]
    );
    assert_eq!(
        summaries_of(&format!("{a}\n[1]\n{a}{a}\n\"x\"\n{{\n{a}")),
        [
            "1 a",
            "2 BadJson",
            "3 a",
            "3 a",
            "4 BadJson",
            "5 BadJson",
            "6 a"
        ]
    );
    assert_eq!(
        summaries(
            Format::Jsonl,
            [a.as_bytes(), b"\n{\"x\":\"\xff\"}\n", a.as_bytes()].concat(),
            &filled()
        ),
        ["1 a", "2 BadUtf8", "3 a"]
    );
    let mac = summaries_of(&format!("{a}\r{a}\r"));
    assert!(
        mac.len() == 1 && mac[0].contains("line 1 holds carriage returns"),
        "{mac:?}"
    );
}

#[test]
fn the_skeleton_of_the_aws_cli_is_a_row() {
    let text = r#"{"IdentityId":"r:0","IdentityPoolId":"r:1","DeveloperProviderName":"p","DeveloperUserIdentifier":"a"}"#;
    assert_eq!(
        summaries(Format::Jsonl, text, &ReadOptions::default()),
        ["1 a"]
    );
}

#[test]
fn strings_and_integers_are_values_and_nothing_else_is() {
    let deep = format!("[{}{}]", "[".repeat(200_000), "]".repeat(200_000));
    for (user, expected, reason) in [
        (r#""\u00e9\ud83d\ude00\n\"\u0000""#, "é\u{1f600}\n\"\0", ""),
        (
            "123456789012345678901234567890",
            "123456789012345678901234567890",
            "",
        ),
        ("-7", "-7", ""),
        (
            "1e3",
            "",
            "NotAString: developer_user_identifier is a number that is not written as an integer, not a string",
        ),
        (
            "1.0",
            "",
            "NotAString: developer_user_identifier is a number that is not written as an integer, not a string",
        ),
        (
            "null",
            "",
            "NotAString: developer_user_identifier is null, not a string",
        ),
        (
            "true",
            "",
            "NotAString: developer_user_identifier is a boolean, not a string",
        ),
        (
            "{}",
            "",
            "NotAString: developer_user_identifier is an object, not a string",
        ),
        (
            &deep,
            "",
            "NotAString: developer_user_identifier is an array, not a string",
        ),
        (
            "01",
            "",
            "BadJson: the line is not JSON: invalid number at column 51",
        ),
        (
            r#""\ud800""#,
            "",
            "BadJson: the line is not JSON: unexpected end of hex escape at column 57",
        ),
        (
            r#""\udc00""#,
            "",
            "BadJson: the line is not JSON: lone leading surrogate in hex escape at column 56",
        ),
        (
            r#""a" "b""#,
            "a",
            "BadJson: the line is not JSON: expected `,` or `}` at column 54",
        ),
        (r#""a""#, "a", ""),
        (
            r#""""#,
            "",
            "MissingField: developer_user_identifier is missing or empty",
        ),
    ] {
        let text = format!(r#"{{"identity_id":"r:0","developer_user_identifier":{user}}}"#);
        let (link, _, why) = only(Format::Jsonl, &text, &filled());
        assert_eq!(
            (
                link.identity_id.as_str(),
                link.developer_user_identifier.as_str()
            ),
            ("r:0", expected),
            "{user:.40}"
        );
        assert_eq!(why, reason, "{user:.40}");
    }
}

#[test]
fn other_keys_are_ignored() {
    let deep = format!("{}1{}", r#"{"x":["#.repeat(100_000), "]}".repeat(100_000));
    for more in [
        r#","x":1e999,"x":null,"y":{"identity_id":1}"#,
        &format!(r#","z":{deep}"#),
    ] {
        assert_eq!(summaries_of(&row(more)), ["1 a"], "{more:.40}");
    }
    // More keys than are cached, in another order in each line.
    let keys = |from: usize| {
        (from..from + 100)
            .map(|n| format!(r#""k{n}":1"#))
            .collect::<Vec<_>>()
            .join(",")
    };
    let line = |from| {
        format!(
            r#"{{{},"developer_user_identifier":"a",{},"identity_id":"r:0"}}"#,
            keys(from),
            keys(from + 5)
        )
    };
    assert_eq!(
        summaries_of(&format!("{}\n{}\n{}", line(0), line(1), row(""))),
        ["1 a", "2 a", "3 a"]
    );
}

#[test]
fn a_field_that_is_named_twice_is_an_error() {
    for more in [
        r#","identity_id":"r:0""#,
        r#","IdentityId":"r:0""#,
        r#","\u0069dentity-id":null"#,
    ] {
        let (_, _, why) = only(Format::Jsonl, row(more), &filled());
        assert_eq!(
            why, "DuplicateField: the object names identity_id more than once",
            "{more}"
        );
    }
}

#[test]
fn mapped_keys_match_to_the_letter_first() {
    let mut options = filled();
    options.map = vec![(Field::DeveloperUserIdentifier, "user".into())];
    for (keys, expected) in [
        (r#""user":"a""#, "1 a"),
        (r#""USER":"a""#, "1 a"),
        (r#""USER":"b","user":"a","U_ser":"c""#, "1 a"),
        (r#""USER":"b","U_ser":"c""#, "1 DuplicateField"),
        (r#""user":"b","user":"c""#, "1 DuplicateField"),
        (r#""developer_user_identifier":"a""#, "1 MissingField"),
    ] {
        let text = format!(r#"{{"identity_id":"r:0",{keys}}}"#);
        assert_eq!(
            summaries(Format::Jsonl, &text, &options),
            [expected],
            "{keys}"
        );
    }
}

#[test]
fn carried_keys_keep_their_json() {
    let options = ReadOptions {
        carry: vec!["t".into(), "IdentityId".into()],
        ..filled()
    };
    for (more, expected) in [
        ("", "Absent"),
        (r#","t":null"#, "Absent"),
        (r#","T":"\u0041""#, r#"Text("A")"#),
        (r#","T":"x","t":"y""#, r#"Text("y")"#),
        (
            r#","t":[1, 2.50,{"a" : 1}]"#,
            r#"Json(RawValue([1, 2.50,{"a" : 1}]))"#,
        ),
        (
            r#","t":12345678901234567890123"#,
            "Json(RawValue(12345678901234567890123))",
        ),
    ] {
        let (_, carried, why) = only(Format::Jsonl, row(more), &options);
        assert_eq!(
            (format!("{:?}", carried[0]).as_str(), why.as_str()),
            (expected, ""),
            "{more}"
        );
        assert_eq!(carried[1], Carried::Text("r:0".into()));
    }
    let (link, carried, why) = only(Format::Jsonl, row(r#","t":"\ud800""#), &options);
    assert_eq!(
        (link.developer_user_identifier.as_str(), &carried[0]),
        ("a", &Carried::Absent)
    );
    assert!(why.starts_with("BadJson"), "{why}");
}

#[test]
fn no_message_quotes_a_value() {
    for text in [
        "\"secret\"",
        "secret",
        "{\"secret\" 1}",
        "{\"developer_user_identifier\":\"\\ud800 secret\"}",
        "[\"secret\"]",
        "5318008",
    ] {
        let (_, _, why) = only(Format::Jsonl, text, &filled());
        assert!(
            why.starts_with("BadJson") && !why.contains("secret") && !why.contains("5318008"),
            "{why}"
        );
    }
}

#[test]
fn a_line_beyond_the_bound_is_invalid() {
    let a = row("");
    let options = ReadOptions {
        max_record: a.len(),
        ..filled()
    };
    let long = row(" ");
    let longer = row(&" ".repeat(500));
    assert_eq!(
        summaries(
            Format::Jsonl,
            format!("{a}\n{a}\r\n{long}\n{longer}\r\n{a}\n{long}"),
            &options
        ),
        [
            "1 a",
            "2 a",
            "3 RecordTooLong",
            "4 RecordTooLong",
            "5 a",
            "6 RecordTooLong"
        ]
    );
}
