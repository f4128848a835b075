//! Properties of the readers: rows are read back as they were written, and any bytes end.

use proptest::collection::vec;
use proptest::prelude::*;

use std::collections::HashSet;

use super::*;
use crate::input::Header;
use crate::row::{Field, Keyer, Shard};

/// User identifiers of any characters, with many that are special in a format.
fn user() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<char>().prop_map(String::from),
        proptest::sample::select(vec![
            "\"",
            "\"\"",
            ",",
            "\t",
            "\n",
            "\r\n",
            "\r",
            "\0",
            "\\",
            " ",
            "{",
            "}",
            ":",
            "r:0",
            "\u{202e}",
            "\u{1f600}",
            "\u{feff}",
            "é",
            "a",
            "\u{2028}",
        ])
        .prop_map(str::to_owned),
    ];
    vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

fn link() -> impl Strategy<Value = Link> {
    ("[0-9a-f-]{1,8}", "[0-9a-f-]{1,8}", "[a-z._-]{1,8}", user()).prop_map(
        |(id, pool, provider, user)| Link {
            identity_id: format!("eu-west-1:{id}"),
            identity_pool_id: format!("eu-west-1:{pool}"),
            developer_provider_name: provider,
            developer_user_identifier: user,
        },
    )
}

/// Writes `rows` in `format`.
fn written(format: Format, rows: &[(Link, String)], crlf: bool) -> String {
    let end = if crlf { "\r\n" } else { "\n" };
    if format == Format::Jsonl {
        let line = |(link, ticket): &(Link, String)| {
            let mut object = serde_json::Map::new();
            for field in Field::ALL {
                object.insert(field.name().to_owned(), link.get(field).into());
            }
            object.insert("ticket".to_owned(), ticket.as_str().into());
            serde_json::Value::Object(object).to_string() + end
        };
        return rows.iter().map(line).collect();
    }
    let terminator = if crlf {
        ::csv::Terminator::CRLF
    } else {
        ::csv::Terminator::Any(b'\n')
    };
    let mut writer = ::csv::WriterBuilder::new()
        .delimiter(if format == Format::Tsv { b'\t' } else { b',' })
        .terminator(terminator)
        .from_writer(Vec::new());
    let header = Field::ALL.map(Field::name);
    writer
        .write_record(header.into_iter().chain(["ticket"]))
        .expect("no error in memory");
    for (link, ticket) in rows {
        let fields = Field::ALL.map(|field| link.get(field));
        writer
            .write_record(fields.into_iter().chain([ticket.as_str()]))
            .expect("no error in memory");
    }
    String::from_utf8(writer.into_inner().expect("no error in memory")).expect("it was text")
}

fn format() -> impl Strategy<Value = Format> {
    proptest::sample::select(vec![Format::Csv, Format::Tsv, Format::Jsonl])
}

proptest! {
    #[test]
    fn rows_are_read_back_as_they_were_written(
        format in format(),
        rows in vec((link(), user()), 0..8),
        crlf: bool,
        encoding in 0..4,
        packing in 0..3,
        chunk in prop_oneof![Just(1), 1_usize..100, Just(usize::MAX)],
    ) {
        let text = written(format, &rows, crlf);
        let text = match encoding {
            0 => text.into_bytes(),
            1 => format!("\u{feff}{text}").into_bytes(),
            2 => utf16(&text, u16::to_le_bytes),
            _ => utf16(&text, u16::to_be_bytes),
        };
        let bytes = match packing {
            0 => text,
            1 => gzip(&text),
            _ => zstd(&text),
        };
        let options = ReadOptions { carry: vec!["ticket".into()], as_is: UnusualKinds::ALL, ..ReadOptions::default() };
        let reader = reader(format, Chunked(Cursor::new(bytes), chunk), &options);
        let mut read = Vec::new();
        for (nth, found) in reader.expect("it can be read").enumerate() {
            match found {
                Ok(InputRow::Valid(row)) => {
                    prop_assert_eq!(row.position.row, nth as u64 + 1);
                    read.push((row.link, row.carried));
                }
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let expected: Vec<_> = rows
            .into_iter()
            .map(|(link, ticket)| (link, vec![Carried::Text(ticket)]))
            .collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn any_bytes_are_read_to_an_end(
        format in format(),
        head in proptest::sample::select(vec![
            &b""[..], b"identity_id,developer_user_identifier\n", b"identity_id\tdeveloper_user_identifier\n",
            b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b\x08\0", b"\x28\xb5\x2f\xfd",
        ]),
        pieces in vec(
            prop_oneof![
                vec(any::<u8>(), 0..4),
                proptest::sample::select(vec![
                    "\"", "\"\"", ",", "\n", "\r", "\r\n", "r:0,a\n", "r:0,\"a\"\n", "r:0,\"", "x", "{", "}", "\\ud800",
                    "{\"identity_id\":\"r:0\",\"developer_user_identifier\":1}\n",
                ])
                .prop_map(|piece| piece.as_bytes().to_vec()),
            ],
            0..60,
        ),
        max_record in prop_oneof![1_usize..60, Just(1 << 20)],
    ) {
        let bytes = [head.to_vec(), pieces.concat()].concat();
        let options = ReadOptions { max_record, carry: vec!["identity_id".into()], ..filled() };
        // How much of damaged compressed data is decompressed depends on the chunks.
        let reads = if head.starts_with(b"\x1f\x8b") || head.starts_with(b"\x28\xb5") {
            match reader(format, Cursor::new(bytes.clone()), &options) {
                Ok(reader) => reader.collect(),
                Err(error) => vec![Err(error)],
            }
        } else {
            let reads = read_all(format, &bytes, &options);
            prop_assert!(reads.len() <= bytes.len() + 1);
            reads
        };
        let mut before = 0;
        for found in &reads {
            let line = match found {
                Ok(InputRow::Valid(row)) => row.position.line,
                Ok(InputRow::Invalid(row)) => row.position.line,
                Err(_) => continue,
            };
            // Several objects of JSON may stand on a line.
            let is_later = line > before || line == before && format == Format::Jsonl;
            prop_assert!(is_later, "line {line} after line {before}");
            before = line;
        }
    }

    /// A line that is a whole row when it is read alone is read as that row, whatever stands around it.
    #[test]
    fn no_whole_row_is_swallowed(
        pieces in vec(
            proptest::sample::select(vec![
                "\n", "\n", "\r\n", "\"", "\"", "\"\"", ",", "\r", "r:0,a\n", "\nr:0,b\r\n", "\nr:0,\"c\"\n", "r:0,\"", "r:0", "x",
                "\"r:0\",\"\"\"\"\n",
            ]),
            0..40,
        ),
        max_record in prop_oneof![37_usize..80, Just(1 << 20)],
    ) {
        let rows = pieces.concat();
        let header = "identity_id,developer_user_identifier\n";
        let options = ReadOptions { max_record, ..filled() };
        let found = summaries(Format::Csv, format!("{header}{rows}"), &options);
        for (line, text) in rows.split('\n').enumerate() {
            let alone = reader(Format::Csv, Cursor::new(format!("{header}{text}\n")), &options);
            if let Some(Ok(InputRow::Valid(row))) = alone.expect("it has a header").next() {
                let expected = format!("{} {}", line + 2, row.link.developer_user_identifier);
                prop_assert!(found.contains(&expected), "{expected:?} in {found:?}");
            }
        }
    }

    /// If one line of many lacks its closing quote, that line is invalid and every other is read.
    #[test]
    fn a_missing_quote_costs_only_its_own_row(
        users in vec("[a-z\", ]{1,6}", 2..30),
        lost in any::<proptest::sample::Index>(),
    ) {
        let lost = lost.index(users.len());
        let line = |(nth, user): (usize, &String)| {
            let close = if nth == lost { "" } else { "\"" };
            format!("r:0,\"{}{close}\n", user.replace('"', "\"\""))
        };
        let rows: String = users.iter().enumerate().map(line).collect();
        let text = format!("identity_id,developer_user_identifier\n{rows}");
        let expected: Vec<_> = users
            .iter()
            .enumerate()
            .map(|(nth, user)| if nth == lost { format!("{} OpenQuote", nth + 2) } else { format!("{} {user}", nth + 2) })
            .collect();
        prop_assert_eq!(summaries(Format::Csv, text, &filled()), expected);
    }

    /// Skipping known rows leaves every other row of the shard as it is.
    #[test]
    fn only_known_rows_are_skipped(
        pieces in vec(
            proptest::sample::select(vec![
                "r:0,a\n", "r:0,b\r\n", "r:0,\"c\"\n", "\"r:0\",\"d\"\"\"\r\n", "r:0,\"e\ne\"\n", "r:0,f,p\n", "r:0\n", "\n",
                "\r\n", "\"", "r:0,\"g", "\r", "r:0,", "r:0,h", "r:0,a long one\n", "r:1,a\n", "r:2,b\n", "r:3,\"c\"\n", "r:4,i,p\n", "r:5\n",
            ]),
            0..300,
        ),
        unknown in "[a-h]{0,3}",
        max_record in prop_oneof![10_usize..40, Just(1 << 20)],
        most in 1_usize..100,
        chunk in prop_oneof![1_usize..100, Just(usize::MAX)],
        headerless: bool,
        shard in proptest::option::of((0_u32..3, 3_u32..6)),
    ) {
        let mut options = ReadOptions { max_record, ..filled() };
        let shard = shard.and_then(|(index, of)| Shard::new(index, of));
        let owns = |identity: &str| shard.is_none_or(|shard| shard.owns(identity));
        let mut text = pieces.concat();
        if headerless {
            options.header = Header::Columns(vec!["identity_id".into(), "developer_user_identifier".into()]);
        } else {
            text.insert_str(0, "identity_id,developer_user_identifier\n");
        }
        let keyer = Keyer::new([5; 16]);
        let (mut expected, mut known) = (Vec::new(), HashSet::new());
        let mut skipped = 0;
        for read in read_all(Format::Csv, text.as_bytes(), &options) {
            match read {
                Ok(InputRow::Valid(row)) if !owns(&row.link.identity_id) => {}
                Ok(InputRow::Invalid(row)) if !owns(&row.link.identity_id) => {}
                Ok(InputRow::Valid(row)) if !row.link.developer_user_identifier.contains(|c| unknown.contains(c)) => {
                    known.insert(keyer.key(&row.link));
                    skipped += 1;
                }
                other => expected.push(format!("{other:?}")),
            }
        }
        options.shard = shard;
        let mut reader = match reader(Format::Csv, Chunked(Cursor::new(text), chunk), &options) {
            Ok(reader) => reader,
            Err(error) => {
                prop_assert_eq!(expected, [format!("Err({error:?})")]);
                return Ok(());
            }
        };
        let mut found = Vec::new();
        loop {
            let now = reader.skip_known(most, &keyer, |_| {}, |keys| keys.iter().take_while(|key| known.contains(key)).count());
            prop_assert!(now <= most);
            skipped -= now;
            match reader.next() {
                Some(Ok(InputRow::Valid(row))) if known.contains(&keyer.key(&row.link)) => skipped -= 1,
                Some(other) => found.push(format!("{other:?}")),
                None => break,
            }
        }
        prop_assert_eq!(found, expected);
        prop_assert_eq!(skipped, 0);
    }
}
