//! Input formats and encodings, and rows and files that cannot be read.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use cognito_unlink::testing::emulator::Link;

use crate::sandbox::{POOL, PROVIDER, Sandbox, csv, gzip, in_shell, link, link_of, people, start};

/// Returns links of users with quotes, line ends, control characters and the like in their identifiers.
fn links_with_unusual_users() -> Vec<Link> {
    [
        "plain",
        "comma, quote \" and semicolon;",
        "two\nlines",
        "carriage\r\nreturn",
        " spaces around ",
        "=cmd()",
        "e\u{301} is not \u{e9}",
        "\u{5d0}\u{5d1}\u{202e}rtl",
        "nul\0inside",
        "tab\tinside",
    ]
    .into_iter()
    .map(str::to_owned)
    .chain(["\u{1f9d1}\u{1f3fd}".repeat(512), "x".repeat(1024)])
    .enumerate()
    .map(|(n, user)| link_of(n + 1, &user))
    .collect()
}

fn jsonl(links: &[Link]) -> String {
    let line = |link: &Link| {
        serde_json::json!({
            "identity_id": link.identity_id, "identity_pool_id": link.identity_pool_id,
            "developer_provider_name": link.developer_provider_name,
            "developer_user_identifier": link.developer_user_identifier,
        })
        .to_string()
            + "\n"
    };
    links.iter().map(line).collect()
}

/// Writes links as TSV with every field quoted, so that tabs and line ends are text.
fn tsv(links: &[Link]) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let mut text =
        "identity_id\tidentity_pool_id\tdeveloper_provider_name\tdeveloper_user_identifier\n"
            .to_owned();
    for link in links {
        let fields = [
            &link.identity_id,
            &link.identity_pool_id,
            &link.developer_provider_name,
            &link.developer_user_identifier,
        ];
        text += &(fields.map(|field| quoted(field)).join("\t") + "\n");
    }
    text
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("compressed")
}

fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}"
        .encode_utf16()
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[test]
fn every_format_keeps_every_character() {
    let links = links_with_unusual_users();
    let (csv, tsv, jsonl) = (csv(&links), tsv(&links), jsonl(&links));
    let files: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a.csv", csv.clone().into(), "a.results.csv"),
        ("b.tsv", tsv.clone().into(), "b.results.csv"),
        ("c.jsonl", jsonl.clone().into(), "c.results.jsonl"),
        ("d.ndjson", jsonl.clone().into(), "d.results.jsonl"),
        ("e.csv.gz", gzip(csv.as_bytes()), "e.results.csv"),
        ("f.csv.zst", zstd(csv.as_bytes()), "f.results.csv"),
        ("g.tsv.gz", gzip(tsv.as_bytes()), "g.results.csv"),
        ("h.jsonl.zst", zstd(jsonl.as_bytes()), "h.results.jsonl"),
        ("i.jsonl.gz", gzip(jsonl.as_bytes()), "i.results.jsonl"),
        ("j.csv", utf16(&csv), "j.results.csv"),
        ("k.csv", format!("\u{feff}{csv}").into(), "k.results.csv"),
    ];
    for (name, content, results) in files {
        let sandbox = Sandbox::new();
        sandbox.write(name, content);
        // Without --as-is, unusual identifiers are invalid.
        let ran = sandbox.run(&[name, "--json", "--dry-run"]).expect_exit(1);
        assert_eq!(ran.counts(&["invalid"]), [6], "{name}");
        let ran = sandbox
            .run(&[name, "--json", "--as-is", "all"])
            .expect_exit(0);
        assert_eq!(
            ran.counts(&["rows", "unlinked", "left"]),
            [12, 12, 0],
            "{name}"
        );
        for link in &links {
            assert!(!sandbox.emulator.is_linked(link), "{name}: {link:?}");
        }
        assert_eq!(sandbox.emulator.counters().effects, 12, "{name}");
        let outcomes = sandbox.outcomes(results);
        for link in &links {
            assert_eq!(
                outcomes[&link.developer_user_identifier], "unlinked",
                "{name}"
            );
        }
        // The next run reads the same rows back from the results, so none is left.
        let again = sandbox.run(&[name, "--json"]).expect_exit(0);
        assert_eq!(
            again.counts(&["rows", "skipped", "calls"]),
            [12, 12, 0],
            "{name}"
        );
    }
}

#[test]
fn standard_input_needs_a_format_and_a_name_for_the_results() {
    let sandbox = Sandbox::new();
    let input = people(3);
    let ran = sandbox
        .run_with_input(&["-", "--format", "csv"], input.as_bytes())
        .expect_exit(2);
    assert!(ran.stderr.contains("--results"), "{}", ran.stderr);
    let ran = sandbox
        .run_with_input(&["-", "--results", "r.csv"], input.as_bytes())
        .expect_exit(2);
    assert!(ran.stderr.contains("--format"), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    assert!(!sandbox.exists("r.csv"));

    let args = ["-", "--format", "csv", "--results", "r.csv", "--json"];
    let ran = sandbox
        .run_with_input(&args, input.as_bytes())
        .expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [3]);
    // Compression is recognised by the first bytes.
    let ran = sandbox
        .run_with_input(&args, &gzip(people(4).as_bytes()))
        .expect_exit(0);
    assert_eq!(ran.counts(&["skipped", "unlinked"]), [3, 1]);
    assert_eq!(sandbox.results("r.csv")[0]["source"], "-");
}

#[test]
fn columns_are_mapped_and_carried() {
    let sandbox = Sandbox::new();
    let links = [link(1), link(2)];
    let mut text = "Ticket;Account;Identity-Id;note\n".to_owned();
    for (n, link) in links.iter().enumerate() {
        let _ = writeln!(
            text,
            "T-{n};{};{};\"a \"\"b\"\"; c\"",
            link.developer_user_identifier, link.identity_id
        );
    }
    sandbox.write("export.txt", &text);
    let args = [
        "export.txt",
        "--format",
        "csv",
        "--delimiter",
        ";",
        "--map",
        "developer_user_identifier=Account",
        "--identity-pool-id",
        POOL,
        "--developer-provider-name",
        PROVIDER,
        "--carry",
        "Ticket",
        "--carry",
        "note",
        "--json",
    ];
    let ran = sandbox.run(&args).expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [2]);
    let results = sandbox.results("export.txt.results.csv");
    for line in &results {
        let n = line["Ticket"]
            .strip_prefix("T-")
            .expect("a ticket")
            .parse::<usize>()
            .expect("a number");
        assert_eq!(line["identity_id"], links[n].identity_id);
        assert_eq!(line["note"], "a \"b\"; c");
        assert_eq!(line["row"], (n + 1).to_string());
        assert_eq!(line["line"], (n + 2).to_string());
    }
    let header = sandbox.read("export.txt.results.csv");
    assert!(header.starts_with(
        "row,source,line,identity_id,identity_pool_id,developer_provider_name,developer_user_identifier,outcome,\
         error_code,error_message,http_status,request_id,attempts,started_at,finished_at,latency_ms,run_id,request_ids,logins_left,Ticket,note\n"
    ), "{header}");
}

#[test]
fn columns_option_names_the_columns_of_a_file_without_a_header() {
    let sandbox = Sandbox::new();
    let text = people(2);
    let (_, rows) = text.split_once('\n').expect("a header");
    sandbox.write("bare.csv", rows);
    let columns = "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier";
    let ran = sandbox
        .run(&["bare.csv", "--no-header", "--columns", columns, "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["unlinked"]), [2]);
    for line in sandbox.results("bare.results.csv") {
        assert_eq!(line["line"], line["row"]);
    }
}

#[test]
fn a_filled_in_cli_skeleton_is_a_valid_row() {
    let sandbox = Sandbox::new();
    let link = link(1);
    sandbox.write(
        "rows.jsonl",
        serde_json::json!({
            "IdentityId": link.identity_id, "IdentityPoolId": link.identity_pool_id,
            "DeveloperProviderName": link.developer_provider_name, "DeveloperUserIdentifier": 42,
            "ticket": {"id": 7},
        })
        .to_string(),
    );
    sandbox
        .run(&["rows.jsonl", "--carry", "ticket"])
        .expect_exit(0);
    let results = sandbox.results("rows.results.jsonl");
    assert_eq!(results[0]["developer_user_identifier"], "42");
    assert_eq!(results[0]["ticket"], "{\"id\":7}");
    assert_eq!(results[0]["error_code"], "");
    assert!(
        sandbox
            .read("rows.results.jsonl")
            .contains("\"error_code\":null")
    );
}

#[test]
fn several_inputs_are_read_in_turn() {
    let sandbox = Sandbox::new();
    sandbox.write("a.csv", csv(&[link(1), link(2)]));
    sandbox.write("b.jsonl", jsonl(&[link(3)]));
    sandbox.write("c.csv", csv(&[link(2), link(4)]));
    let ran = sandbox
        .run(&["a.csv", "b.jsonl", "c.csv", "--json"])
        .expect_exit(0);
    // The second row of a link is called after the first, so it is not linked.
    assert_eq!(ran.counts(&["rows", "unlinked", "not_linked"]), [5, 4, 1]);
    let results = sandbox.results("a.results.csv");
    let sources: Vec<_> = results.iter().map(|line| line["source"].as_str()).collect();
    for name in ["a.csv", "b.jsonl", "c.csv"] {
        assert!(sources.contains(&name), "{sources:?}");
    }
}

#[test]
fn a_bad_row_is_invalid_and_the_run_goes_on() {
    let sandbox = Sandbox::new();
    let good = |n| csv(&[link(n)]).lines().nth(1).expect("a row").to_owned();
    let rows: Vec<(&[u8], &str)> = vec![
        (b"too,few,fields", "FieldCount"),
        (b"us-east-1:zz,us-east-1:0,p,u", "BadValue"),
        (b"us-east-1:0,us-east-1:0,login example,u", "BadValue"),
        (b"us-east-1:0,us-east-1:0,p,", "MissingField"),
        (b"us-east-1:0,eu-west-1:0,p,u", "RegionMismatch"),
        (b"us-east-1:0,us-east-1:0,p,\xff\xfe", "BadUtf8"),
        (b"us-east-1:0,us-east-1:0,p,\"open", "OpenQuote"),
    ];
    let mut text = people(1).into_bytes();
    for (n, (row, _)) in rows.iter().enumerate() {
        text.extend_from_slice(row);
        text.push(b'\n');
        text.extend_from_slice(good(n + 10).as_bytes());
        text.push(b'\n');
    }
    sandbox.write("people.csv", text);
    let ran = sandbox.run(&["people.csv", "--json"]).expect_exit(1);
    assert_eq!(ran.counts(&["rows", "unlinked", "invalid"]), [15, 8, 7]);
    let results = sandbox.results("people.results.csv");
    let mut invalid: Vec<_> = results
        .iter()
        .filter(|line| line["outcome"] == "invalid")
        .collect();
    invalid.sort_by_key(|line| line["row"].parse::<u64>().expect("a number"));
    for (n, line) in invalid.iter().enumerate() {
        assert_eq!(line["error_code"], rows[n].1);
        assert_eq!(line["line"], (3 + 2 * n).to_string());
        assert_eq!(line["row"], (2 + 2 * n).to_string());
        assert!(!line["error_message"].is_empty());
        assert_eq!(line["attempts"], "0");
    }
}

#[test]
fn bad_json_and_duplicate_fields_are_invalid() {
    let sandbox = Sandbox::new();
    let good = jsonl(&[link(1)]);
    let twice = good
        .trim_end()
        .replacen('{', "{\"IdentityId\":\"us-east-1:0\",", 1);
    sandbox.write(
        "people.jsonl",
        format!(
            "{good}\n{twice}\n[1]\n{{broken\n{}",
            good.replace("\"acct-1\"", "1.5")
        ),
    );
    let ran = sandbox.run(&["people.jsonl", "--json"]).expect_exit(1);
    assert_eq!(ran.counts(&["rows", "unlinked", "invalid"]), [5, 1, 4]);
}

#[test]
fn a_row_that_contradicts_an_option_is_invalid() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2));
    let ran = sandbox
        .run(&["people.csv", "--developer-provider-name", "other", "--json"])
        .expect_exit(1);
    assert_eq!(ran.counts(&["invalid", "calls"]), [2, 0]);
    let results = sandbox.results("people.results.csv");
    assert_eq!(results[0]["error_code"], "Conflict");
}

#[test]
fn a_truncated_gzip_stops_the_run_after_its_last_whole_row() {
    let sandbox = Sandbox::new();
    let whole = gzip(people(2000).as_bytes());
    sandbox.write("people.csv.gz", &whole[..whole.len() * 2 / 3]);
    let ran = sandbox.run(&["people.csv.gz", "--json"]).expect_exit(3);
    let counts = ran.counts(&["rows", "unlinked", "left"]);
    assert_eq!(counts[0], counts[1]);
    assert!(counts[1] > 500, "{counts:?}");
    assert!(ran.stdout.contains("gzip"), "{}", ran.stdout);
    // With the whole file the next run resumes.
    sandbox.write("people.csv.gz", &whole);
    let ran = sandbox.run(&["people.csv.gz", "--json"]).expect_exit(0);
    assert_eq!(ran.counts(&["rows", "skipped"]), [2000, counts[1]]);
    assert_eq!(sandbox.emulator.counters().unlinks, 2000);
}

#[test]
fn an_input_without_usable_columns_is_refused_before_any_call() {
    let sandbox = Sandbox::new();
    sandbox.write("empty.csv", "");
    sandbox.write("lacks.csv", "identity_id,identity_pool_id,user\n");
    sandbox.write("twice.csv", format!("IdentityId,{}", people(1)));
    sandbox.write("people.txt", people(1));
    for (name, code) in [
        ("empty.csv", 3),
        ("lacks.csv", 3),
        ("twice.csv", 3),
        ("people.txt", 2),
        ("absent.csv", 3),
    ] {
        // A good file before it is not read either: all headers are checked first.
        sandbox.write("good.csv", people(3));
        let ran = sandbox.run(&["good.csv", name]).expect_exit(code);
        assert!(ran.stderr.contains(name), "{}", ran.stderr);
        assert!(ran.stdout.is_empty(), "{}", ran.stdout);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    assert!(!sandbox.exists("good.results.csv"));
}

#[test]
fn an_input_without_rows_succeeds() {
    let sandbox = Sandbox::new();
    sandbox.write("none.csv", people(0));
    sandbox.write("none.jsonl", "");
    sandbox.write("blank.jsonl", "\n\n");
    for name in ["none.csv", "none.jsonl", "blank.jsonl"] {
        let ran = sandbox.run(&[name, "--json"]).expect_exit(0);
        assert_eq!(ran.counts(&["rows", "calls"]), [0, 0]);
    }
}

#[test]
fn a_damaged_gzip_is_refused_before_anything_is_called() {
    let sandbox = Sandbox::new();
    let mut bytes = gzip(people(5000).as_bytes());
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    sandbox.write("people.csv.gz", bytes);
    let ran = sandbox.run(&["people.csv.gz"]).expect_exit(3);
    assert!(
        ran.stderr.contains("gzip data is damaged"),
        "{}",
        ran.stderr
    );
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    assert!(!sandbox.exists("people.results.csv"));
}

#[test]
fn checks_before_the_run_consume_no_row_of_a_pipe() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3000));
    let args = ["--format", "csv", "--results", "r.csv", "--json"];
    let run = sandbox.run_command(&[&["/dev/stdin"], &args[..]].concat());
    let mut command = in_shell(Command::new("sh"), "cat people.csv | \"$@\"", &run);
    let ran = start(&mut command).wait().expect_exit(0);
    assert_eq!(ran.counts(&["rows", "unlinked"]), [3000, 3000]);
}

#[test]
fn a_file_name_that_is_not_utf_8_is_accepted() {
    let sandbox = Sandbox::new();
    let input = OsStr::from_bytes(b"caf\xe9.csv");
    if fs::write(sandbox.path(".").join(input), people(3)).is_err() {
        // This file system takes UTF-8 names alone.
        return;
    }
    for counts in [[3, 3, 0], [3, 0, 3]] {
        let mut command = sandbox.run_command(&["--json"]);
        let ran = start(command.arg(input)).wait().expect_exit(0);
        assert_eq!(ran.counts(&["rows", "unlinked", "skipped"]), counts);
    }
}

#[test]
fn mapping_a_field_to_two_columns_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    let user = "developer_user_identifier";
    let map = |column: &str| format!("{user}={column}");
    let ran = sandbox
        .run(&["people.csv", "--map", &map("user"), "--map", &map("id")])
        .expect_exit(2);
    let words = format!("--map takes {user} from two columns, user and id");
    assert!(ran.stderr.contains(&words), "{}", ran.stderr);
}

#[test]
fn a_dry_run_of_standard_input_suggests_a_rehearsal_only_with_results() {
    let sandbox = Sandbox::new();
    let args = ["-", "--format", "csv", "--dry-run", "--json"];
    let next = |args: &[&str]| {
        let ran = sandbox
            .run_with_input(args, people(1).as_bytes())
            .expect_exit(0);
        ran.summary()["next"].as_str().map(str::to_owned)
    };
    assert_eq!(next(&args), None);
    let named = next(&[&args[..], &["--results", "r.csv"]].concat());
    assert!(named.is_some_and(|next| next.contains("--results r.csv")));
}
