//! CSV: texts and their rows.

use super::*;
use crate::input::Header;
use crate::input::csv::scanner::SCANNED;
use crate::input::header_error::HeaderError;

const HEADER: &str = "identity_id,developer_user_identifier\n";

fn summaries_of(rows: &str) -> Vec<String> {
    summaries(Format::Csv, format!("{HEADER}{rows}"), &filled())
}

#[test]
fn every_record_is_a_row_and_blank_lines_are_none() {
    for (rows, expected) in [
        ("", &[][..]),
        ("r:0,a\n", &["2 a"]),
        ("r:0,a", &["2 a"]),
        ("r:0,a\r\nr:0,b\nr:0,c\r\n", &["2 a", "3 b", "4 c"]),
        ("r:0,a\r", &["2 a"]),
        ("\n\r\nr:0,a\n\n\r\n\nr:0,b\n\r", &["4 a", "8 b"]),
        // Values are used exactly as they stand.
        ("r:0, a \n", &["2  a "]),
        (
            "r:0,\0\u{202e}\u{1f600}\u{feff}\n",
            &["2 \0\u{202e}\u{1f600}\u{feff}"],
        ),
        ("\"r:0\",\"a\"\"b,c\"\n", &["2 a\"b,c"]),
        ("r:0,\"a\r\nb\nc\r\"\nr:0,d\n", &["2 a\r\nb\nc\r", "5 d"]),
        // Invalid rows.
        (
            "r:0\nr:0,a\nr:0,a,b\n  \n",
            &["2 FieldCount", "3 a", "4 FieldCount", "5 FieldCount"],
        ),
        (
            "R:X,a\nr:0,\ns:0,a\n",
            &["2 BadValue", "3 MissingField", "4 RegionMismatch"],
        ),
        (
            "r:0,a\"b\nr:0,\"a\"b\nr:0,c\n",
            &["2 BadQuote", "3 BadQuote", "4 c"],
        ),
        ("r:0, \"a\"\nr:0,c\n", &["2 BadQuote", "3 c"]),
        (
            "r:0,a\rb\nr:0,\"a\"\rb\nr:0,c\n",
            &["2 BadQuote", "3 BadQuote", "4 c"],
        ),
    ] {
        assert_eq!(summaries_of(rows), expected, "{rows:?}");
    }
}

#[test]
fn an_open_quote_costs_one_line() {
    for (rows, expected) in [
        (
            "r:0,\"a\nr:0,b\nr:0,c\n",
            &["2 OpenQuote", "3 b", "4 c"][..],
        ),
        ("r:0,\"a", &["2 OpenQuote"]),
        ("r:0,\"a\n", &["2 OpenQuote"]),
        ("r:0,\"a\r\n\r\nr:0,b", &["2 OpenQuote", "4 b"]),
        // Another quote further down, which closes nothing, or closes too much.
        (
            "r:0,\"a\nr:0,b\nr:0,\"c\"\nr:0,d\n",
            &["2 OpenQuote", "3 b", "4 c", "5 d"],
        ),
        (
            "r:0,\"a\nr:0,b\nr:0,c\"\nr:0,d\n",
            &["2 OpenQuote", "3 b", "4 BadQuote", "5 d"],
        ),
        (
            "r:0,\"a\nr:0,\"b\nr:0,\"c\n",
            &["2 OpenQuote", "3 OpenQuote", "4 OpenQuote"],
        ),
        // Whole rows only in the middle, or only the last.
        (
            "r:0,\"a\nx\nr:0,b\nx\"\n",
            &["2 OpenQuote", "3 FieldCount", "4 b", "5 BadQuote"],
        ),
        // The quote stands in a later line of its record.
        ("\"r\n:0\",\"a\nr:0,b\n", &["3 OpenQuote", "4 b"]),
        // The same, but with a whole row before it.
        (
            "\"x\nr:0,b\n\",\"a\nr:0,c\n",
            &["2 OpenQuote", "3 b", "4 BadQuote", "5 c"],
        ),
        // A wrong quote after a field of several lines.
        (
            "\"r\n0\",a\"b\nr:0,c\n",
            &["2 OpenQuote", "3 BadQuote", "4 c"],
        ),
    ] {
        assert_eq!(summaries_of(rows), expected, "{rows:?}");
    }
}

#[test]
fn a_swallowed_row_that_conflicts_with_an_option_is_found_too() {
    let text =
        "identity_id,developer_user_identifier,identity_pool_id\nr:0,\"a\nr:0,b,r:2\nr:0,c\",\n";
    assert_eq!(
        summaries(Format::Csv, text, &filled()),
        ["2 OpenQuote", "3 Conflict", "4 BadQuote"]
    );
}

#[test]
fn a_record_beyond_the_bound_costs_its_own_line() {
    let options = ReadOptions {
        max_record: 40,
        ..filled()
    };
    let fits = format!("r:0,{}", "x".repeat(36));
    let long = format!("{fits}x");
    let quoted = format!("r:0,\"{}", "x".repeat(60));
    let endless = format!("r:0,\"a\n{}", "r:0,b\n".repeat(20));
    for (rows, expected) in [
        (
            format!("{fits}\n{fits}\r\n{fits}"),
            [2, 3, 4]
                .map(|n| format!("{n} {}", "x".repeat(36)))
                .to_vec(),
        ),
        (
            format!("{long}\n{long}\r\n{long}{long}\nr:0,a\n{long}"),
            [
                "2 RecordTooLong",
                "3 RecordTooLong",
                "4 RecordTooLong",
                "5 a",
                "6 RecordTooLong",
            ]
            .map(str::to_owned)
            .to_vec(),
        ),
        (
            format!("{quoted}\nr:0,a\n{quoted}\"\nr:0,b\n"),
            ["2 RecordTooLong", "3 a", "4 RecordTooLong", "5 b"]
                .map(str::to_owned)
                .to_vec(),
        ),
        (
            endless,
            ["2 OpenQuote".to_owned()]
                .into_iter()
                .chain((3..23).map(|n| format!("{n} b")))
                .collect(),
        ),
        (
            format!("\"a\nb\",{long}\nr:0,c\n"),
            ["2 RecordTooLong", "3 BadQuote", "4 c"]
                .map(str::to_owned)
                .to_vec(),
        ),
    ] {
        // The header is as long as a record may be.
        assert_eq!(
            summaries(Format::Csv, format!("{HEADER}{rows}"), &options),
            expected,
            "{rows:?}"
        );
    }
}

#[test]
fn scanning_work_is_linear_in_the_text() {
    let line = |text: &str| text.repeat(100_000);
    for rows in [
        line("r:0,\"a\n"),
        line("r:0,\"\n"),
        line("r:0,\"\"\"\n"),
        line("\",a,\"\n"),
        line("r:0,\"a\nr:0,b\n"),
        line("r:0,\"a\nx\nr:0,b\nx\"\n"),
        format!("r:0,\"a\n{}", line("r:0,b\n")),
        format!("r:0,\"a\n{}", line("r:0,\"\"\n")),
        format!("\"a\n{}", line("\",r:0,\"\n")),
        format!("\"a\n{}", line("\",\"\nr:0,a\n")),
    ] {
        SCANNED.set(0);
        let text = format!("{HEADER}{rows}");
        let bytes = text.len();
        let reader = reader(Format::Csv, Cursor::new(text), &filled()).expect("it has a header");
        let reads = reader.flatten().count();
        assert!(reads > 0);
        assert!(
            SCANNED.get() <= 5 * bytes,
            "{} of {bytes}: {rows:.30}",
            SCANNED.get()
        );
    }
}

#[test]
fn an_invalid_row_keeps_the_fields_before_its_flaw() {
    let options = ReadOptions {
        carry: vec!["t".into(), "u".into()],
        ..filled()
    };
    let text = |text: &str| Carried::Text(text.to_owned());
    let absent = || Carried::Absent;
    for (row, id, user, carried, reason) in [
        (&b"r:0,a,1,2"[..], "r:0", "a", [text("1"), text("2")], ""),
        (b"r:0,a,,", "r:0", "a", [text(""), text("")], ""),
        (
            b"r:0,a,1",
            "r:0",
            "a",
            [text("1"), absent()],
            "FieldCount: the row has 3 fields, and there are 4 columns",
        ),
        (
            b"r:0,a,\"1,2",
            "r:0",
            "a",
            [absent(), absent()],
            "OpenQuote: the quote opened here is never closed",
        ),
        (
            b"r:0,\"a\"\"\",1\"",
            "r:0",
            "a\"",
            [absent(), absent()],
            "BadQuote: a quote stands in a field that does not begin with one",
        ),
        (
            b"r:0,\xff,1,2",
            "r:0",
            "",
            [text("1"), text("2")],
            "BadUtf8: developer_user_identifier is not valid UTF-8",
        ),
        (
            b"r:0,a,1,\xff",
            "r:0",
            "a",
            [text("1"), absent()],
            "BadUtf8: u is not valid UTF-8",
        ),
        (
            b"r:0,,1,2",
            "r:0",
            "",
            [text("1"), text("2")],
            "MissingField: developer_user_identifier is missing or empty",
        ),
    ] {
        let file = [b"identity_id,developer_user_identifier,t,u\n", row].concat();
        let (link, carry, why) = only(Format::Csv, &file, &options);
        assert_eq!(
            (
                link.identity_id.as_str(),
                link.developer_user_identifier.as_str()
            ),
            (id, user),
            "{row:?}"
        );
        assert_eq!(
            (carry.as_slice(), why.as_str()),
            (&carried[..], reason),
            "{row:?}"
        );
    }
    // A column that was not requested may hold anything.
    assert_eq!(
        summaries(
            Format::Csv,
            b"identity_id,developer_user_identifier,t\nr:0,a,\xff\n",
            &filled()
        ),
        ["2 a"]
    );
}

#[test]
fn fields_are_filled_and_never_overridden() {
    let header = "identity_id,developer_user_identifier,identity_pool_id,developer_provider_name";
    for (row, pool, reason) in [
        ("r:0,a,,", "r:1", ""),
        ("r:0,a,r:1,p", "r:1", ""),
        (
            "r:0,a,r:2,p",
            "r:2",
            "Conflict: identity_pool_id is not the one that --identity-pool-id gives",
        ),
        (
            "r:0,a,,P",
            "r:1",
            "Conflict: developer_provider_name is not the one that --developer-provider-name gives",
        ),
    ] {
        let (link, _, why) = only(Format::Csv, format!("{header}\n{row}"), &filled());
        assert_eq!(
            (link.identity_pool_id.as_str(), why.as_str()),
            (pool, reason),
            "{row}"
        );
    }
}

#[test]
fn header_errors_name_the_remedy() {
    let lacks = "in: the header has no column for developer_user_identifier (columns: ";
    for (text, expected) in [
        ("", "in: there is no header; begin the file with the names of its columns, or name them with --no-header --columns".to_owned()),
        ("\u{feff}\r\n\n", "in: there is no header; begin the file with the names of its columns, or name them with --no-header --columns".to_owned()),
        ("identity_id,user\nr:0,a\n", format!("{lacks}identity_id, user); name it with --map developer_user_identifier=COLUMN, or find it with `cognito-unlink resolve`")),
        ("identity_id;developer_user_identifier\n", "in: the header has no column for identity_id, developer_user_identifier (it has 1 column, \
            none of a known name); set --delimiter ';', or if that line is a row, name the columns with --no-header --columns".to_owned()),
        ("alice,bob\n", "in: the header has no column for identity_id, developer_user_identifier (it has 2 columns, none of a known name); name \
            it with --map identity_id=COLUMN --map developer_user_identifier=COLUMN, or if that line is a row, name the columns with --no-header \
            --columns".to_owned()),
        ("\u{feff}\u{feff}identity_id,developer\u{200b}_user_identifier\n", format!("{lacks}identity_id, developer\\u{{200b}}_user_identifier); name it \
            with --map developer_user_identifier=COLUMN, or find it with `cognito-unlink resolve`")),
        ("identity_id,developer_user_identifier,IdentityId\n", "in: the header has more than one column for identity_id; name the right one with --map identity_id=COLUMN".to_owned()),
        ("\nidentity_id,\"user\nr:0,a\n", "in: the header in line 2 cannot be read: the quote opened here is never closed; correct it by the rules of RFC 4180".to_owned()),
        ("r:00000000,alice\n", "in: line 1 is a row and not a header; put a header before it, or name the columns with --no-header --columns \
            (or, if the lines are JSON, the format with --format jsonl)".to_owned()),
        ("{\"identity_id\": \"r:0\", \"developer_user_identifier\": \"a\"}\n", "in: line 1 is a row and not a header; put a header before it, or name the \
            columns with --no-header --columns (or, if the lines are JSON, the format with --format jsonl)".to_owned()),
        ("identity_id,developer_user_identifier\rr:0,a\r", "in: line 1 holds carriage returns that end no line, as in an old Macintosh file; \
            turn them into line feeds, for instance with: tr '\\r' '\\n'".to_owned()),
    ] {
        assert_eq!(summaries(Format::Csv, text, &filled()), [expected], "{text:?}");
    }
    let options = ReadOptions {
        max_record: 10,
        ..filled()
    };
    assert_eq!(
        summaries(Format::Csv, HEADER, &options),
        ["in: the header in line 1 is longer than 10 bytes; make sure that this is a CSV file"]
    );
    // A quoted name may go over several lines.
    assert_eq!(
        summaries(
            Format::Csv,
            "\n\"identity_id\",\"x\ny\",Developer-User-Identifier\nr:0,x,a\n",
            &filled()
        ),
        ["4 a"]
    );
}

#[test]
fn columns_named_by_options_need_no_header() {
    let columns = |names: &[&str]| ReadOptions {
        header: Header::Columns(names.iter().map(|&name| name.to_owned()).collect()),
        ..filled()
    };
    let two = columns(&["developer_user_identifier", "identity_id"]);
    assert_eq!(summaries(Format::Csv, "", &two), [""; 0]);
    assert_eq!(summaries(Format::Csv, "\na,r:0\n", &two), ["2 a"]);
    assert_eq!(
        summaries(Format::Csv, "a\rb,r:0\na,r:0\n", &two),
        ["1 BadQuote", "2 a"]
    );
    assert_eq!(
        summaries(Format::Csv, "a,r:0\na\rb", &two),
        ["1 a", "2 BadQuote"]
    );
    let macintosh = read_all(Format::Csv, b"\na,r:0\rb,r:0\r", &two);
    assert!(matches!(
        macintosh[..],
        [Err(InputError::CarriageReturns { line: 2, .. })]
    ));
    let lacking = read_all(Format::Csv, b"", &columns(&["identity_id"]));
    let [
        Err(
            error @ InputError::Header {
                line: None,
                error: HeaderError::MissingColumns(..),
                ..
            },
        ),
    ] = &lacking[..]
    else {
        panic!("{lacking:?}");
    };
    assert!(error.is_usage());
}

#[test]
fn rows_are_whole_across_chunks() {
    let columns = ["identity_id", "developer_user_identifier"].map(str::to_owned);
    let options = ReadOptions {
        header: Header::Columns(columns.to_vec()),
        ..filled()
    };
    // Eight bytes a line: a chunk ends with a line, or within one.
    for lead in ["", "\n", "\n\n\n"] {
        let rows: String = (100..30_100).fold(lead.to_owned(), |rows, n| {
            rows + &format!("r:0,{:03}\n", n % 1000)
        });
        let reads = reader(Format::Csv, Cursor::new(rows), &options).expect("it needs no header");
        let mut next = 100;
        for read in reads {
            let Ok(InputRow::Valid(row)) = read else {
                panic!("{read:?}");
            };
            assert_eq!(
                row.link.developer_user_identifier,
                format!("{:03}", next % 1000)
            );
            assert_eq!(row.position.line, next - 99 + lead.len() as u64);
            next += 1;
        }
        assert_eq!(next, 30_100);
    }
}

#[test]
fn fields_are_separated_by_the_delimiter() {
    let semicolon = ReadOptions {
        delimiter: Some(b';'),
        ..filled()
    };
    let text = HEADER.replace(',', ";") + "r:0;a,b\n";
    assert_eq!(summaries(Format::Csv, &text, &semicolon), ["2 a,b"]);
    let text = HEADER.replace(',', "\t") + "r:0\t\"a\tb\"\nr:0\ta,b\n";
    assert_eq!(
        summaries(Format::Tsv, &text, &filled()),
        ["2 a\tb", "3 a,b"]
    );
    for delimiter in [b'"', b'\n', b'\r', 0xe9] {
        let options = ReadOptions {
            delimiter: Some(delimiter),
            ..filled()
        };
        let error = reader(Format::Csv, io::empty(), &options)
            .err()
            .expect("it is refused");
        assert!(error.is_usage() && matches!(error, InputError::Delimiter { .. }));
    }
}
