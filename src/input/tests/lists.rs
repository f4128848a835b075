//! Lists: one value a line.

use super::*;
use crate::input::bytes::at_rest::Origin;
use crate::row::{Field, Required};

fn list_of(field: Field) -> ReadOptions {
    ReadOptions {
        required: Required::LookupKey,
        list_column: Some(field.name().to_owned()),
        ..filled()
    }
}

#[test]
fn every_line_of_a_list_is_a_value_as_it_stands() {
    let users = list_of(Field::DeveloperUserIdentifier);
    assert_eq!(
        summaries(Format::Lines, "a\r\n\n \"b\", c\t\nd", &users),
        ["1 a", "3  \"b\", c\t", "4 d"]
    );
    assert_eq!(
        summaries(Format::Lines, b"a\n\xff\nb\n", &users),
        ["1 a", "2 BadUtf8", "3 b"]
    );
    let none: [&str; 0] = [];
    assert_eq!(summaries(Format::Lines, "", &users), none);
    let (link, _, why) = only(Format::Lines, "r:0\n", &list_of(Field::IdentityId));
    assert_eq!((&*link.identity_id, &*why), ("r:0", ""));
    let (_, _, why) = only(Format::Lines, "alice\n", &list_of(Field::IdentityId));
    assert!(why.starts_with("BadValue"), "{why}");
    let strict = ReadOptions {
        as_is: UnusualKinds::default(),
        ..users
    };
    assert_eq!(
        summaries(Format::Lines, "NULL\n a\nb\n", &strict),
        ["1 Unusual", "2 Unusual", "3 b"]
    );
}

#[test]
fn a_long_line_costs_no_other() {
    let options = ReadOptions {
        max_record: 8,
        ..list_of(Field::DeveloperUserIdentifier)
    };
    let text = format!(
        "12345678\r\n123456789\n{}\na\n{}",
        "x".repeat(99),
        "y".repeat(99)
    );
    assert_eq!(
        summaries(Format::Lines, text, &options),
        [
            "1 12345678",
            "2 RecordTooLong",
            "3 RecordTooLong",
            "4 a",
            "5 RecordTooLong"
        ]
    );
}

#[test]
fn a_last_line_that_may_be_half_a_value_is_torn() {
    let mut opened = Opened::complete(Cursor::new("a\nb"));
    opened.origin = Origin::Stream;
    let options = list_of(Field::DeveloperUserIdentifier);
    let reader = Reader::new(
        "in".into(),
        opened,
        (Format::Lines, Compression::None),
        &options,
    );
    let rows: Vec<_> = reader.expect("it can be read").collect();
    match &rows[..] {
        [Ok(InputRow::Valid(_)), Ok(InputRow::Invalid(row))] => {
            assert_eq!(row.error.code.as_str(), "Torn");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_list_of_carriage_returns_is_refused() {
    let read = summaries(
        Format::Lines,
        "a\rb\r",
        &list_of(Field::DeveloperUserIdentifier),
    );
    assert!(
        read.len() == 1 && read[0].contains("carriage returns"),
        "{read:?}"
    );
}

#[test]
fn a_list_needs_the_name_of_its_field() {
    let input = crate::input::Input::File("people.txt".into());
    let message = |options: &ReadOptions| {
        let error = crate::input::format_of(&input, options).expect_err("refused");
        assert!(error.is_usage());
        error.to_string()
    };
    let whole = message(&filled());
    assert!(
        whole.contains("needs identity_id and developer_user_identifier together"),
        "{whole}"
    );
    let unnamed = ReadOptions {
        list_column: None,
        ..list_of(Field::IdentityId)
    };
    let unnamed = message(&unnamed);
    assert!(unnamed.contains("--columns identity_id or"), "{unnamed}");
    let mut without_pool = list_of(Field::IdentityId);
    without_pool.fill.identity_pool_id = None;
    let read = summaries(Format::Lines, "r:0\n", &without_pool);
    assert!(
        read.len() == 1 && read[0].contains("--identity-pool-id ID"),
        "{read:?}"
    );
}

#[test]
fn rejects_of_a_list_are_csv() {
    let options = ReadOptions {
        as_is: UnusualKinds::default(),
        ..list_of(Field::DeveloperUserIdentifier)
    };
    let text = Cursor::new("a\nNULL\n \"b\"\n");
    let (keep, keeping) = keeping_text(&options);
    let first = reader(Format::Lines, text, &keeping).expect("it can be read");
    let mut rejects = header_of(&keep);
    for read in first {
        if let InputRow::Invalid(row) = read.expect("no error in memory") {
            write_reject(&row, &mut rejects);
        }
    }
    assert_eq!(
        summaries(Format::Csv, rejects, &options),
        ["2 Unusual", "3 Unusual"]
    );
}
