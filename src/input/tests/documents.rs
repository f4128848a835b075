//! Documents as AWS prints them, and values as DynamoDB types them.

use proptest::prelude::*;

use super::*;
use crate::row::{Field, Required};

/// An identity as `list-identities` prints it.
fn identity(n: u32) -> String {
    format!(
        "        {{\n            \"IdentityId\": \"r:{n}\",\n            \"Logins\": [\n                \"p\"\n            ],\n            \
         \"CreationDate\": 1.5e9\n        }}"
    )
}

/// A page of `list-identities`.
fn list(pool: &str, identities: &[String], more: &str) -> String {
    format!(
        "{{\n    \"IdentityPoolId\": \"{pool}\",\n    \"Identities\": [\n{}\n    ]{more}\n}}\n",
        identities.join(",\n")
    )
}

/// The answer to `lookup-developer-identity`.
fn lookup(n: u32, users: &[&str], more: &str) -> String {
    let users: Vec<_> = users
        .iter()
        .map(|user| format!("        \"{user}\""))
        .collect();
    format!(
        "{{\n    \"IdentityId\": \"r:{n}\",\n    \"DeveloperUserIdentifierList\": [\n{}\n    ]{more}\n}}\n",
        users.join(",\n")
    )
}

/// Writes a document on one line, as `jq -c` does.
fn compact(text: &str) -> String {
    text.replace(['\n', ' '], "") + "\n"
}

const TOKEN: &str = ",\n    \"NextToken\": \"abc\"";

/// Returns options under which a row may have an identity or a user alone.
fn keys() -> ReadOptions {
    ReadOptions {
        required: Required::LookupKey,
        ..filled()
    }
}

/// Returns identity, pool and user of each row, or its error.
fn rows(text: &str, options: &ReadOptions) -> Vec<String> {
    let short = |read: Result<InputRow, InputError>| match read {
        Ok(InputRow::Valid(row)) => {
            let [identity, pool, _, user] = Field::ALL.map(|field| row.link.get(field).to_owned());
            format!("{} {identity} {pool} {user}", row.position.line)
        }
        Ok(InputRow::Invalid(row)) => format!("{} {}", row.position.line, row.error),
        Err(error) => error.to_string(),
    };
    read_all(Format::Json, text.as_bytes(), options)
        .into_iter()
        .map(short)
        .collect()
}

#[test]
fn a_lookup_is_a_row_for_each_of_its_users() {
    let text = lookup(1, &["a", "b\\u00e9"], "") + &lookup(2, &["c"], ",\n    \"NextToken\": null");
    let expected = ["4 a", "5 b\u{e9}", "11 c"];
    assert_eq!(summaries(Format::Json, &text, &filled()), expected);
    assert_eq!(summaries(Format::Jsonl, &text, &filled()), expected);
    let lines = compact(&lookup(1, &["a", "b"], "")) + &compact(&lookup(2, &["c"], ""));
    for format in [Format::Json, Format::Jsonl] {
        assert_eq!(summaries(format, &lines, &filled()), ["1 a", "1 b", "2 c"]);
    }
    assert_eq!(
        rows(&text, &filled()),
        ["4 r:1 r:1 a", "5 r:1 r:1 b\u{e9}", "11 r:2 r:1 c"]
    );
    // In an array, with its keys in another order, and without a user.
    let array = "[{\"DeveloperUserIdentifierList\":[\"a\", 7 , {\"S\":\"b\"}],\"IdentityId\":\"r:3\"},\n\
                 {\"DeveloperUserIdentifierList\":[ ],\"IdentityId\":\"r:4\"}]";
    assert_eq!(
        summaries(Format::Json, array, &filled()),
        ["1 a", "1 7", "1 b"]
    );
    // A user that is no string is an invalid row, and so is a lookup of which the identity is none.
    let odd = "{\"IdentityId\":\"r:1\",\"DeveloperUserIdentifierList\":[\"a\",null,[\"x\"],\"b\"]}\n\
               {\"IdentityId\":[],\"DeveloperUserIdentifierList\":[\"a\"]}";
    assert_eq!(
        summaries(Format::Jsonl, odd, &filled()),
        ["1 a", "1 NotAString", "1 NotAString", "1 b", "2 NotAString"]
    );
    let twice = "{\"IdentityId\":\"r:1\",\"DeveloperUserIdentifierList\":[\"a\"],\"DeveloperUserIdentifierList\":[\"b\"]}";
    let (_, _, why) = only(Format::Jsonl, twice, &filled());
    assert_eq!(
        why,
        "DuplicateField: the object names DeveloperUserIdentifierList more than once"
    );
    // Beside a user, the list is a key as any other.
    let own = "{\"IdentityId\":\"r:1\",\"developer_user_identifier\":\"a\",\"DeveloperUserIdentifierList\":[\"b\"]}";
    assert_eq!(summaries(Format::Jsonl, own, &filled()), ["1 a"]);
}

#[test]
fn carried_keys_go_with_each_user_of_a_lookup() {
    let options = ReadOptions {
        carry: vec!["ticket".into()],
        ..filled()
    };
    let text = "{\"IdentityId\":\"r:1\",\"DeveloperUserIdentifierList\":[\"a\",\"b\"],\"ticket\":{\"S\":\"T-1\"}}";
    for read in read_all(Format::Jsonl, text.as_bytes(), &options) {
        match read {
            Ok(InputRow::Valid(row)) => assert_eq!(row.carried, [Carried::Text("T-1".into())]),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_list_of_identities_names_their_pool() {
    let text = list("r:9", &[identity(1), identity(2)], "");
    let mut options = keys();
    options.fill.identity_pool_id = None;
    let expected = ["4 r:1 r:9 ", "11 r:2 r:9 "];
    assert_eq!(rows(&text, &options), expected);
    let line = compact(&text);
    for format in [Format::Json, Format::Jsonl] {
        assert_eq!(summaries(format, &line, &options), ["1 ", "1 "]);
    }
    // An unlink needs the user as well.
    options.required = Required::Link;
    assert_eq!(
        rows(&text, &options)[0],
        "4 MissingField: developer_user_identifier is missing: a list of identities names no users; ask for each identity's with: cognito-unlink resolve"
    );
    // An option or a row that names another pool than the list.
    let row = rows(&text, &keys()).remove(0);
    assert!(
        row.contains("Conflict: identity_pool_id is not the one that --"),
        "{row}"
    );
    options.required = Required::LookupKey;
    let other = list(
        "r:9",
        &[object_with_pool("r:8"), object_with_pool("r:9")],
        "",
    );
    assert_eq!(
        rows(&other, &options),
        [
            "4 Conflict: identity_pool_id is not the one of the list around it",
            "5 r:1 r:9 a"
        ]
    );
    // An empty list.
    assert!(rows(&list("r:9", &[], ""), &options).is_empty());
}

fn object_with_pool(pool: &str) -> String {
    format!(r#"{{"IdentityId":"r:1","IdentityPoolId":"{pool}","DeveloperUserIdentifier":"a"}}"#)
}

#[test]
fn a_pool_behind_its_rows_is_refused_unless_it_is_known() {
    let text = |pool: &str| {
        format!(
            "{{\"Identities\":[{}],\"IdentityPoolId\":{pool}}}",
            identity(1)
        )
    };
    assert_eq!(rows(&text("\"r:1\""), &keys()), ["1 r:1 r:1 "]);
    assert_eq!(rows(&text("null"), &keys()), ["1 r:1 r:1 "]);
    for pool in ["\"r:2\"", "7"] {
        let read = rows(&text(pool), &keys());
        assert_eq!(read.len(), 2, "{read:?}");
        assert!(
            read[1].contains("put it before that, or give it with --identity-pool-id"),
            "{read:?}"
        );
    }
}

#[test]
fn a_row_may_hold_arrays_of_objects() {
    let row = r#"{"identity_pool_id":"r:1","tags":[{"k":1}],"identity_id":"r:1","developer_user_identifier":"a"}"#;
    for format in [Format::Json, Format::Jsonl] {
        assert_eq!(summaries(format, row, &filled()), ["1 a"]);
    }
    // Lines whose first keys are those of a list.
    let first = r#"{"items":[{"k":1}],"identity_id":"r:1","developer_user_identifier":"a"}"#;
    let text = format!("{first}\n{{\"tags\":[]}}\n{first}\nx\n{row}\n");
    let expected = ["1 a", "2 MissingField", "3 a", "4 BadJson", "5 a"];
    assert_eq!(summaries(Format::Jsonl, &text, &filled()), expected);
    let text = format!("{{\"tags\":[]}}\n{row}\n");
    assert_eq!(
        summaries(Format::Jsonl, &text, &filled()),
        ["1 MissingField", "2 a"]
    );
}

#[test]
fn a_page_that_is_missing_is_an_invalid_row() {
    let why = |text: &str, line: u64| {
        let read = rows(text, &keys());
        let last = read.last().expect("a row").clone();
        assert!(
            last.starts_with(&format!("{line} MorePages: the list goes on")),
            "{read:?}"
        );
        read.len()
    };
    let page = list("r:1", &[identity(1)], TOKEN);
    let last = list("r:1", &[identity(2)], "");
    assert_eq!(why(&page, 12), 2);
    assert_eq!(why(&(page.clone() + &page), 25), 3);
    // Its last page is there, wherever it stands.
    assert_eq!(rows(&(page.clone() + &last), &keys()).len(), 2);
    assert_eq!(rows(&(last.clone() + &page), &keys()).len(), 2);
    assert_eq!(
        rows(&(page.clone() + &list("r:1", &[], "")), &keys()).len(),
        1
    );
    // Another list, of another pool or identity, is none of its pages.
    let mut options = keys();
    options.fill.identity_pool_id = None;
    let other = rows(&(page.clone() + &list("r:2", &[identity(3)], "")), &options);
    assert_eq!(other.len(), 3, "{other:?}");
    assert!(
        other[1].starts_with("12 MorePages") && other[2].starts_with("17 r:3"),
        "{other:?}"
    );
    let lookups = lookup(1, &["a"], TOKEN)
        + &lookup(1, &["b"], "")
        + &lookup(2, &["c"], TOKEN)
        + &lookup(3, &["d"], "");
    assert_eq!(
        summaries(Format::Json, lookups, &filled()),
        ["4 a", "11 b", "17 c", "19 MorePages", "24 d"]
    );
    let lines = compact(&lookup(1, &["a"], TOKEN)) + &compact(&lookup(2, &["b"], ""));
    assert_eq!(
        summaries(Format::Jsonl, lines, &filled()),
        ["1 a", "1 MorePages", "2 b"]
    );
    // Lookups in an array of another object.
    for (token, expected) in [
        ("null", vec!["1 a", "1 b"]),
        ("\"x\"", vec!["1 a", "1 MorePages", "1 b"]),
    ] {
        let text = format!(
            "{{\"Found\":[{{\"IdentityId\":\"r:1\",\"DeveloperUserIdentifierList\":[\"a\"],\"NextToken\":{token}}},\
             {{\"IdentityId\":\"r:2\",\"DeveloperUserIdentifierList\":[\"b\"]}}]}}"
        );
        assert_eq!(summaries(Format::Json, text, &filled()), expected);
    }
    // The token before the rows, and DynamoDB's.
    for text in [
        "{\"NextToken\":\"x\",\"Items\":[]}",
        "{\"Items\":[],\"LastEvaluatedKey\":{\"id\":{\"S\":\"x\"}}}",
    ] {
        assert_eq!(why(text, 1), 1);
    }
    for text in [
        "{\"NextToken\":\"\",\"Items\":[]}",
        "{\"Items\":[],\"LastEvaluatedKey\":null}",
        "{\"Items\":[],\"LastEvaluatedKey\":{}}",
    ] {
        assert!(rows(text, &keys()).is_empty(), "{text}");
    }
    // A row that has a key of this name is no page.
    let row = r#"{"identity_id":"r:1","developer_user_identifier":"a","NextToken":"x"}"#;
    assert_eq!(summaries(Format::Jsonl, row, &filled()), ["1 a"]);
}

#[test]
fn values_may_have_dynamodbs_types() {
    let item = |user: &str| {
        format!(
            "{{\"identity_id\":{{\"S\":\"r:0\"}},\"developer_user_identifier\":{user},\"more\":{{\"M\":{{}}}}}}"
        )
    };
    for (user, expected, reason) in [
        (r#"{"S":"a\n\u00e9"}"#, "a\n\u{e9}", ""),
        (
            r#"{ "N" : "12345678901234567890123" }"#,
            "12345678901234567890123",
            "",
        ),
        (r#"{"N":"-7"}"#, "-7", ""),
        (
            r#"{"S":""}"#,
            "",
            "MissingField: developer_user_identifier is missing or empty",
        ),
        (
            r#"{"N":"1E+9"}"#,
            "",
            "NotAString: developer_user_identifier is a number that is not written as an integer, not a string",
        ),
        (
            r#"{"NULL":true}"#,
            "",
            "NotAString: developer_user_identifier is null, not a string",
        ),
        (
            r#"{"S":"\ud800"}"#,
            "",
            "BadJson: the line is not JSON: unexpected end of hex escape at column 67",
        ),
    ] {
        for text in [
            item(user),
            format!("{{\"Item\":{}}}", item(user)),
            format!("{{\"Items\":[{}],\"Count\":1}}", item(user)),
        ] {
            let (link, _, why) = only(Format::Jsonl, &text, &filled());
            assert_eq!(
                (&*link.identity_id, &*link.developer_user_identifier),
                ("r:0", expected)
            );
            let why = why.split(" at column").next();
            assert_eq!(why, reason.split(" at column").next(), "{text}");
        }
    }
    for user in [
        r#"{"S":1}"#,
        r#"{"N":7}"#,
        r#"{"N":"x"}"#,
        r#"{"S":"a","N":"1"}"#,
        r#"{"S":"a","S":"b"}"#,
        r#"{"BOOL":true}"#,
        r#"{"SS":["a"]}"#,
        r#"{"s":"a"}"#,
        "{}",
    ] {
        let (_, _, why) = only(Format::Jsonl, item(user), &filled());
        assert_eq!(
            why, "NotAString: developer_user_identifier is an object, not a string",
            "{user}"
        );
    }
}

#[test]
fn an_export_of_dynamodb_is_read() {
    let line = |user: &str| {
        format!(
            "{{\"Item\":{{\"identity_id\":{{\"S\":\"r:0\"}},\"developer_user_identifier\":{{\"S\":\"{user}\"}},\"ticket\":{{\"N\":\"7\"}}}}}}\n"
        )
    };
    let text = line("a") + "{\"Item\":7}\n{\"Item\":{},\"Item\":{}}\n" + &line("b");
    let options = ReadOptions {
        carry: vec!["ticket".into()],
        ..filled()
    };
    let expected = ["1 a", "2 MissingField", "3 DuplicateField", "4 b"];
    for format in [Format::Jsonl, Format::Json] {
        assert_eq!(summaries(format, &text, &options), expected);
    }
    let (_, carried, _) = only(Format::Jsonl, line("a"), &options);
    assert_eq!(format!("{carried:?}"), "[Json(RawValue(7))]");
    // A row of its own may have such a key, even twice.
    let row = r#"{"identity_id":"r:0","developer_user_identifier":"a","Item":{"identity_id":"r:9"},"item":1}"#;
    assert_eq!(summaries(Format::Jsonl, row, &options), ["1 a"]);
}

/// Writes the invalid rows of `text`, reads them again and returns both readings.
fn read_rejects(text: &str, options: &ReadOptions) -> (String, Vec<String>) {
    let bytes = Cursor::new(text.to_owned());
    let (_, keeping) = keeping_text(options);
    let first = reader(Format::Json, bytes, &keeping).expect("it can be read");
    let mut rejects = Vec::new();
    for read in first {
        if let InputRow::Invalid(row) = read.expect("no error in memory") {
            write_reject(&row, &mut rejects);
        }
    }
    let rejects = String::from_utf8(rejects).expect("text");
    let again = rows(&rejects, options);
    (rejects, again)
}

#[test]
fn an_invalid_user_of_a_lookup_is_rejected_alone() {
    let mut options = ReadOptions {
        as_is: UnusualKinds::default(),
        carry: vec!["ticket".into(), "identity_id".into()],
        ..filled()
    };
    let users = lookup(1, &["a", "NULL", "b"], ",\"ticket\":[1]");
    let (text, again) = read_rejects(&users, &options);
    assert!(
        text.ends_with(
            ",\"identity_id\":\"r:1\",\"developer_user_identifier\":\"NULL\",\"ticket\":[1]}\n"
        ),
        "{text}"
    );
    assert_eq!(again.len(), 1, "{again:?}");
    assert!(again[0].starts_with("1 Unusual"), "{again:?}");
    // Corrected, it is the row that it was.
    assert_eq!(
        rows(&text.replace("\"NULL\"", "\"c\""), &options),
        ["1 r:1 r:1 c"]
    );

    options.carry.clear();
    options.fill.identity_pool_id = None;
    let identities = list("r:9", &[identity(1), "{}".to_owned()], TOKEN);
    let (text, again) = read_rejects(&identities, &options);
    assert_eq!(again.len(), 3, "{again:?}");
    let user = "\"developer_user_identifier\":\"a\",\"IdentityId\"";
    let corrected = rows(&text.replace("\"IdentityId\"", user), &options);
    assert_eq!(corrected[0], "1 r:1 r:9 a");
    assert!(text.contains("\"identity_pool_id\":\"r:9\"}"), "{text}");
}

proptest! {
    /// However many documents there are, in whatever order and spacing, each user and identity is a row.
    #[test]
    fn documents_are_read_as_their_rows(
        documents in proptest::collection::vec(
            (0_u32..9, proptest::collection::vec("[a-z\\]\\[{},:]{1,5}", 0..4), 0..4),
            0..8,
        ),
        is_compact: bool,
        chunk in prop_oneof![Just(1), 1_usize..100, Just(usize::MAX)],
    ) {
        let (mut text, mut expected) = (String::new(), Vec::new());
        for (n, users, kind) in &documents {
            let document = match kind {
                0 | 1 => {
                    let users: Vec<_> = users.iter().map(String::as_str).collect();
                    expected.extend(users.iter().map(|user| format!("r:{n} {user}")));
                    lookup(*n, &users, if *kind == 0 { "" } else { ",\"NextToken\":null" })
                }
                2 => {
                    expected.extend(users.iter().map(|user| format!("r:{n} {user}")));
                    let items = users.iter().map(|user| {
                        format!("{{\"identity_id\":{{\"S\":\"r:{n}\"}},\"developer_user_identifier\":{{\"S\":\"{user}\"}}}}")
                    });
                    format!("{{\"Items\":[{}],\"Count\":{n}}}\n", items.collect::<Vec<_>>().join(","))
                }
                _ => {
                    expected.extend(users.iter().map(|_| format!("r:{n} ")));
                    list("r:1", &vec![identity(*n); users.len()], "")
                }
            };
            text += &if is_compact { compact(&document) } else { document };
        }
        let bytes = Chunked(Cursor::new(text), chunk);
        let read = reader(Format::Json, bytes, &keys()).expect("it can be read");
        let mut found = Vec::new();
        for row in read {
            match row {
                Ok(InputRow::Valid(row)) => found.push(format!("{} {}", row.link.identity_id, row.link.developer_user_identifier)),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        prop_assert_eq!(found, expected);
    }
}
