//! `plan --invalid` writes rows that are invalid to a file, to be corrected and run again; `--max-invalid` limits how many a run
//! tolerates.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::plan::plan;
use crate::sandbox::{POOL, PROVIDER, Sandbox, csv, link, people, start};

/// Returns a CSV file with one row for each way in which a row can be invalid, and their number.
fn invalid_csv() -> (Vec<u8>, usize) {
    let id = link(1).identity_id;
    let prefix = format!("mine,{id},{POOL},{PROVIDER},");
    let rows: [Vec<u8>; 9] = [
        format!("{prefix}\n").into(),
        format!("mine,{id},{POOL},log in,acct\r\n").into(),
        format!("\"a,\nb\",ID,{POOL},{PROVIDER},\"acct,\"\"1\"\n").into(),
        format!("mine,{id},{POOL}\n").into(),
        format!("{prefix}acct,and,more\n").into(),
        [prefix.as_bytes(), b"caf\xe9\n"].concat(),
        format!("{prefix}\"quoted\" twice\n").into(),
        format!("mine,{id},eu{POOL},{PROVIDER},acct\n").into(),
        format!("{prefix}\"never closed\n").into(),
    ];
    let header =
        "reason,identity_id,Identity Pool Id,developer_provider_name,developer_user_identifier\n";
    ([header.as_bytes(), &rows.concat()].concat(), rows.len())
}

#[test]
fn invalid_csv_rows_can_be_corrected_and_run() {
    let sandbox = Sandbox::new();
    let (mut bytes, bad) = invalid_csv();
    // A valid row among them is not written.
    let at = bytes.iter().position(|&b| b == b'\n').expect("a header") + 1;
    let good = link(50);
    let row = format!("mine,{},{POOL},{PROVIDER},acct-50\n", good.identity_id);
    bytes.splice(at..at, row.into_bytes());
    sandbox.write("people.csv", &bytes);
    let summary = plan(&sandbox, &["people.csv", "--invalid", "bad.csv", "--json"])
        .expect_exit(1)
        .summary();
    assert_eq!(
        (&summary["invalid"], &summary["valid"]),
        (&json!(bad), &json!(1))
    );
    let mode = fs::metadata(sandbox.path("bad.csv"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    // Uncorrected, every row is invalid again.
    let ran = start(sandbox.command_without_credentials().args([
        "run",
        "bad.csv",
        "--rehearse",
        "--json",
    ]))
    .wait();
    assert_eq!(
        ran.expect_exit(1).counts(&["rows", "invalid"]),
        [bad as u64, bad as u64]
    );

    // A CSV library reads the file row by row.
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_path(sandbox.path("bad.csv"))
        .expect("there");
    let header: Vec<String> = reader
        .headers()
        .expect("a header")
        .iter()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        header,
        [
            "invalid_reason",
            "reason",
            "identity_id",
            "Identity Pool Id",
            "developer_provider_name",
            "developer_user_identifier"
        ]
    );
    let records: Vec<csv::ByteRecord> = reader.byte_records().map(|r| r.expect("a row")).collect();
    assert_eq!(records.len(), bad);
    assert!(records[0][0].starts_with(b"people.csv:3: developer_user_identifier is missing"));
    assert_eq!(&records[2][1], b"a,\nb");
    assert_eq!(&records[2][5], b"acct,\"1");
    assert_eq!(&records[5][5], b"caf\xe9");
    assert!(records[6][1].ends_with(b"\"quoted\" twice"));
    assert!(records[8][1].ends_with(b"\"never closed"));

    // Correct what is wrong, and leave the rest.
    let mut writer = csv::Writer::from_path(sandbox.path("corrected.csv")).expect("created");
    writer.write_record(&header).expect("written");
    for (n, record) in records.iter().enumerate() {
        let link = link(n + 1);
        let fields = [
            &record[0],
            b"mine",
            link.identity_id.as_bytes(),
            POOL.as_bytes(),
            PROVIDER.as_bytes(),
        ];
        let user = format!("corrected {n}");
        writer
            .write_record(fields.into_iter().chain([user.as_bytes()]))
            .expect("written");
    }
    writer.flush().expect("written");
    let ran = start(sandbox.command_without_credentials().args([
        "run",
        "corrected.csv",
        "--rehearse",
        "--json",
    ]))
    .wait();
    assert_eq!(
        ran.expect_exit(0).counts(&["rows", "unlinked"]),
        [bad as u64, bad as u64]
    );
}

#[test]
fn invalid_jsonl_rows_can_be_corrected_and_run() {
    let sandbox = Sandbox::new();
    let id = link(1).identity_id;
    let whole = format!(
        "\"identity_id\":\"{id}\",\"identity_pool_id\":\"{POOL}\",\"developer_provider_name\":\"{PROVIDER}\""
    );
    let mut bytes = Vec::new();
    let rows: [Vec<u8>; 7] = [
        format!("{{{whole}}}").into(),
        format!("{{{whole},\"developer_user_identifier\":null,\"reason\":\"mine\"}}").into(),
        format!(
            "{{{whole},\"developer_user_identifier\":\"a\",\"DeveloperUserIdentifier\":\"b\"}}"
        )
        .into(),
        b"{}".to_vec(),
        b"{\"identity_id\": oops".to_vec(),
        b"[1, 2]".to_vec(),
        [
            format!("{{{whole},\"developer_user_identifier\":\"caf").as_bytes(),
            b"\xe9\"}",
        ]
        .concat(),
    ];
    for row in &rows {
        bytes.extend_from_slice(row);
        bytes.push(b'\n');
    }
    sandbox.write("people.jsonl", &bytes);
    plan(&sandbox, &["people.jsonl", "--invalid", "bad.jsonl"]).expect_exit(1);
    let ran = start(sandbox.command_without_credentials().args([
        "run",
        "bad.jsonl",
        "--rehearse",
        "--json",
    ]))
    .wait();
    assert_eq!(ran.expect_exit(1).counts(&["rows", "invalid"]), [7, 7]);
    let given = fs::read(sandbox.path("bad.jsonl")).expect("there");
    let lines: Vec<&[u8]> = given
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(lines.len(), rows.len());
    let mut corrected = String::new();
    for (n, line) in lines.iter().enumerate() {
        let text = String::from_utf8_lossy(line);
        let mut object: serde_json::Map<String, Value> =
            serde_json::from_str(&text).expect("an object");
        let name = if n == 1 { "invalid_reason" } else { "reason" };
        let why = object[name].as_str().expect("a reason");
        assert!(
            why.starts_with(&format!("people.jsonl:{}: ", n + 1)),
            "{why}"
        );
        match n {
            1 => assert_eq!(object["reason"], "mine"),
            4 => assert_eq!(object["line"], "{\"identity_id\": oops"),
            5 => assert_eq!(object["line"], "[1, 2]"),
            6 => assert!(line.ends_with(&rows[6][1..])),
            _ => {}
        }
        object.remove("DeveloperUserIdentifier");
        let link = link(n + 1);
        for (key, value) in [
            ("identity_id", link.identity_id),
            ("identity_pool_id", link.identity_pool_id),
            ("developer_provider_name", link.developer_provider_name),
            ("developer_user_identifier", link.developer_user_identifier),
        ] {
            object.insert(key.to_owned(), value.into());
        }
        let _ = writeln!(corrected, "{}", Value::Object(object));
    }
    sandbox.write("corrected.jsonl", corrected);
    let ran = start(sandbox.command_without_credentials().args([
        "run",
        "corrected.jsonl",
        "--rehearse",
        "--json",
    ]))
    .wait();
    assert_eq!(ran.expect_exit(0).counts(&["rows", "unlinked"]), [7, 7]);
}

#[test]
fn invalid_rows_overwrite_no_file() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2) + "x\n");
    sandbox.write(
        "others.csv",
        people(2).replace("identity_id,", "IdentityId,"),
    );
    sandbox.write("people.jsonl", "");
    sandbox.write("corrected.csv", "half of it is corrected");
    for (args, why) in [
        (
            &["people.csv", "--invalid", "corrected.csv"][..],
            "is there already",
        ),
        (
            &["people.csv", "--invalid", "people.csv"],
            "is there already",
        ),
        (&["people.csv", "--invalid", "bad.jsonl"], "ends in .csv"),
        (&["people.csv", "--invalid", "bad.csv.gz"], "uncompressed"),
        (
            &["people.csv", "people.jsonl", "--invalid", "bad.csv"],
            "several formats",
        ),
        (
            &["people.csv", "others.csv", "--invalid", "bad.csv"],
            "different columns",
        ),
        (
            &["people.csv", "--invalid", "absent/bad.csv"],
            "cannot be written",
        ),
    ] {
        let ran = plan(&sandbox, args).expect_exit(2);
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
        assert!(!sandbox.exists("bad.csv"), "{args:?}");
    }
    assert_eq!(sandbox.read("corrected.csv"), "half of it is corrected");
    // If an input cannot be read to its end, no partial file is left.
    plan(
        &sandbox,
        &["people.csv", "absent.csv", "--invalid", "bad.csv"],
    )
    .expect_exit(3);
    assert!(!sandbox.exists("bad.csv"));
}

#[test]
fn rows_with_a_misspelt_region_are_invalid_and_the_run_goes_on() {
    let sandbox = Sandbox::new();
    let mut text = people(30);
    for (n, region) in [
        (5, "us_east_1"),
        (6, "-"),
        (7, "US-EAST-1"),
        (8, "us-east-1-"),
    ] {
        let row = csv(&[link(n)]);
        let row = row.lines().nth(1).expect("a row");
        text = text.replace(row, &row.replace("us-east-1", region));
    }
    sandbox.write("people.csv", text);
    for args in [
        &["people.csv", "--json"][..],
        &["people.csv", "--json", "--no-preflight"],
    ] {
        let results = format!("r{}.csv", args.len());
        let ran = sandbox
            .run(&[args, &["--results", &results]].concat())
            .expect_exit(1);
        assert_eq!(ran.counts(&["rows", "invalid", "left"]), [30, 4, 0]);
        let invalid: Vec<_> = sandbox
            .results(&results)
            .into_iter()
            .filter(|line| line["outcome"] == "invalid")
            .map(|line| (line["line"].clone(), line["error_code"].clone()))
            .collect();
        let expected = ["6", "7", "8", "9"].map(|line| (line.to_owned(), "BadValue".to_owned()));
        assert_eq!(invalid, expected);
        assert!(
            sandbox
                .read(&results)
                .contains("identity_id names the Region us_east_1;")
        );
    }
    let pool = "US-EAST-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
    let ran = sandbox
        .run(&["people.csv", "--identity-pool-id", pool])
        .expect_exit(2);
    assert!(
        ran.stderr.contains("--identity-pool-id: "),
        "{}",
        ran.stderr
    );
}

#[test]
fn max_invalid_halts_the_run() {
    let sandbox = Sandbox::new();
    // The wrong pool id in two of three rows.
    let rows: Vec<_> = (1..=2400)
        .map(|n| {
            let mut link = link(n);
            if n % 3 > 0 {
                link.identity_pool_id.push('!');
            }
            link
        })
        .collect();
    sandbox.write("people.csv", csv(&rows));
    for (most, exit) in [("50%", 5), ("99", 5), ("70%", 1), ("1600", 1)] {
        let results = format!("{most}.csv");
        let args = [
            "people.csv",
            "--json",
            "--max-invalid",
            most,
            "--results",
            &results,
        ];
        let ran = sandbox.run(&args).expect_exit(exit);
        let [invalid, left] = ran.counts(&["invalid", "left"])[..] else {
            panic!("two counts");
        };
        let reason = &ran.summary()["reason"];
        if exit == 5 {
            assert_eq!(reason, "max_invalid");
            assert!(invalid > 60 && left > 0, "{invalid} and {left}");
            assert!(
                ran.stdout.contains(&format!("--max-invalid {most}")),
                "{}",
                ran.stdout
            );
        } else {
            assert_eq!(
                (reason.as_str(), invalid, left),
                (Some("finished"), 1600, 0)
            );
        }
    }
    // Without the option one warning counts them.
    let ran = sandbox
        .run(&["people.csv", "--results", "r.csv"])
        .expect_exit(1);
    assert_eq!(
        ran.stderr.matches("rows are invalid").count(),
        1,
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("--max-invalid"), "{}", ran.stderr);
    // A small share causes no warning.
    sandbox.write("people.csv", people(1200) + "x\n");
    let ran = sandbox
        .run(&["people.csv", "--results", "s.csv"])
        .expect_exit(1);
    assert!(!ran.stderr.contains("rows are invalid"), "{}", ran.stderr);
}
