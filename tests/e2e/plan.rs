//! What a run would do, told beforehand, and a run that is held to what was told.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use cognito_unlink::emulator::{Emulator, Link, Rule, Settings, Then, When};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::sandbox::{PATIENCE, POOL, PROVIDER, Ran, Sandbox, csv, link, link_of, people, start};

const OTHER_POOL: &str = "eu-west-1:7a6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b99";

/// The link of user `n` in the pool of another Region.
fn abroad(n: usize) -> Link {
    Link {
        identity_id: format!("eu-west-1:00000000-0000-4000-8000-{n:012x}"),
        identity_pool_id: OTHER_POOL.to_owned(),
        ..link(n)
    }
}

/// `plan`, without any credentials.
fn plan_command(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.bare();
    command.arg("plan").args(args);
    command
}

fn plan(sandbox: &Sandbox, args: &[&str]) -> Ran {
    start(&mut plan_command(sandbox, args)).ended()
}

/// Saves a plan of `inputs` against the emulator.
#[track_caller]
fn save(sandbox: &Sandbox, args: &[&str]) {
    let url = sandbox.emulator.url();
    let usual = [
        "--endpoint-url",
        &url,
        "--rate",
        "unlimited",
        "--out",
        "plan.json",
    ];
    plan(sandbox, &[args, &usual].concat()).exits(0);
}

fn run_plan(sandbox: &Sandbox, args: &[&str]) -> Ran {
    start(&mut run_plan_command(sandbox, args)).ended()
}

fn run_plan_command(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.program();
    command.args(["run", "--plan", "plan.json"]).args(args);
    command
}

/// The run is refused, names `why`, and calls nobody.
#[track_caller]
fn refused(sandbox: &Sandbox, args: &[&str], why: &[&str]) {
    let ran = run_plan(sandbox, args).exits(2);
    for words in why {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert_eq!(sandbox.emulator.counters().unlinks, 0, "{}", ran.stderr);
    assert!(!sandbox.exists("people.results.csv"), "{}", ran.stderr);
}

#[test]
fn everything_is_counted_and_named_by_line() {
    let sandbox = Sandbox::new();
    let mut links: Vec<Link> = (1..=20).map(link).collect();
    links.push(link(4));
    links.push(link_of(99, "acct-7"));
    links.push(abroad(1));
    let mut text = csv(&links);
    text += "us-east-1:1,nowhere\n";
    let _ = writeln!(text, "us-east-1:1,{POOL},{PROVIDER},");
    sandbox.write("people.csv", &text);
    // The first five are done.
    sandbox.run(&["people.csv", "--limit", "5"]).exits(4);
    let calls = sandbox.emulator.counters().unlinks;
    let url = sandbox.emulator.url();
    let args = ["people.csv", "--endpoint-url", &url];
    let told = plan(&sandbox, &[&args[..], &["--json"]].concat())
        .exits(1)
        .summary();
    let keys = [
        "rows",
        "valid",
        "invalid",
        "duplicates",
        "users_with_several_identities",
        "already_done",
        "left",
    ];
    let counts = keys.map(|key| told[key].as_u64().expect(key));
    // The row that repeats one that is done is done, too.
    assert_eq!(counts, [25, 23, 2, 1, 1, 6, 17]);
    assert_eq!(told["seconds_at_rate"], json!(1.6));
    assert_eq!(
        told["pools"],
        json!([
            {
                "identity_pool_id": OTHER_POOL, "region": "eu-west-1",
                "developer_provider_names": [PROVIDER], "rows": 1, "left": 1,
            },
            {
                "identity_pool_id": POOL, "region": "us-east-1",
                "developer_provider_names": [PROVIDER], "rows": 22, "left": 16,
            },
        ])
    );
    let text = plan(&sandbox, &args).exits(1).stdout;
    for line in [
        "people.csv:25: the row has 2 fields, and there are 4 columns",
        "people.csv:26: developer_user_identifier is missing or empty",
        "people.csv:22 repeats people.csv:5",
        "people.csv:23 names the user of people.csv:8",
        "6  done already  in people.results.csv",
        "16  of 22 rows left in pool",
        "eu-west-1: at least 1 call, 0.1 s at 10/s",
        "a run takes at least 1.6 s and ends about 20",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("acct-"), "{text}");
    assert_eq!(sandbox.emulator.counters().unlinks, calls);
}

#[test]
fn whatever_a_run_reads_can_be_planned() {
    let sandbox = Sandbox::new();
    let text = people(30);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).expect("in memory");
    sandbox.write("people.csv.gz", gzip.finish().expect("in memory"));
    sandbox.write(
        "renamed.csv",
        text.replace("developer_user_identifier", "who"),
    );
    let mut lines = String::new();
    for n in 1..=30 {
        let link = link(n);
        let line = json!({
            "IdentityId": link.identity_id, "IdentityPoolId": POOL,
            "DeveloperProviderName": PROVIDER, "DeveloperUserIdentifier": link.developer_user_identifier,
        });
        let _ = writeln!(lines, "{line}");
    }
    sandbox.write("people.jsonl", lines);
    for args in [
        &["people.csv.gz"][..],
        &["people.jsonl", "--carry", "ticket", "--yes", "--rehearse"],
        &["renamed.csv", "--map", "developer_user_identifier=who"],
    ] {
        let told = plan(&sandbox, &[args, &["--json"]].concat())
            .exits(0)
            .summary();
        assert_eq!(
            (&told["rows"], &told["left"]),
            (&json!(30), &json!(30)),
            "{args:?}"
        );
    }
    // One file repeats another, whatever its format.
    let told = plan(&sandbox, &["people.jsonl", "people.csv.gz", "--json"]).summary();
    assert_eq!(
        (&told["duplicates"], &told["left"]),
        (&json!(30), &json!(60))
    );
    assert_eq!(
        told["first_duplicates"][0]["earlier_source"],
        "people.jsonl"
    );

    let mut command = plan_command(&sandbox, &["-", "--format", "csv", "--json"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(text.as_bytes()).expect("it reads");
    drop(stdin);
    let ended = child.wait_with_output().expect("it ends");
    let told: Value = serde_json::from_slice(&ended.stdout).expect("an object");
    assert_eq!(told["rows"], 30);

    for (args, code) in [
        (&["absent.csv"][..], 3),
        (&["renamed.csv"], 3),
        (&["people.txt"], 2),
        (&["renamed.csv", "--plan", "plan.json"], 2),
        (&[], 2),
    ] {
        plan(&sandbox, args).exits(code);
    }
}

#[test]
fn how_long_it_takes_is_the_slowest_regions_time() {
    let sandbox = Sandbox::new();
    let mut links: Vec<Link> = (1..=40).map(link).collect();
    links.extend((1..=10).map(abroad));
    sandbox.write("people.csv", csv(&links));
    let told =
        |args: &[&str]| plan(&sandbox, &[&["people.csv", "--json"], args].concat()).summary();
    assert_eq!(told(&["--rate", "2"])["seconds_at_rate"], json!(20.0));
    assert_eq!(told(&["--rate", "60/h"])["seconds_at_rate"], json!(2400.0));
    let limited = told(&["--rate", "2", "--limit", "6"]);
    assert_eq!(limited["seconds_at_rate"], json!(3.0));
    assert_eq!(
        (&limited["left"], &limited["calls"]),
        (&json!(50), &json!(6))
    );
    let unlimited = told(&["--rate", "unlimited"]);
    assert_eq!(unlimited["seconds_at_rate"], Value::Null);
    assert_eq!(unlimited["finish_at"], Value::Null);
    let text = plan(&sandbox, &["people.csv", "--rate", "unlimited"]).stdout;
    assert!(text.contains("How long that takes is not known"), "{text}");

    let quota = |account: &str, region: &str, calls: f64| {
        json!({
            "endpoint": "AWS", "account": account, "region": region, "calls_per_second": calls,
            "measured_at": "2026-11-23T09:30:00Z",
        })
    };
    fs::create_dir_all(sandbox.path(".local/state/cognito-unlink")).expect("created");
    let remember = |quotas: &[Value]| {
        let file = json!({"version": 1, "quotas": quotas});
        sandbox.write(".local/state/cognito-unlink/quotas.json", file.to_string());
    };
    remember(&[quota("1", "us-east-1", 4.0), quota("1", "eu-west-1", 5.0)]);
    let learned = told(&["--rate", "unlimited"]);
    assert_eq!(learned["seconds_at_rate"], Value::Null);
    assert_eq!(learned["seconds_at_learned_rate"], json!(10.0));
    assert_eq!(
        told(&["--rate", "unlimited", "--leave", "50%"])["seconds_at_learned_rate"],
        json!(20.0)
    );
    assert_eq!(
        told(&["--rate", "unlimited", "--no-state"])["seconds_at_learned_rate"],
        Value::Null
    );
    // Two accounts have found something else: nobody knows which of them this run is.
    remember(&[
        quota("1", "us-east-1", 4.0),
        quota("2", "us-east-1", 40.0),
        quota("1", "eu-west-1", 5.0),
    ]);
    assert_eq!(
        told(&["--rate", "unlimited"])["seconds_at_learned_rate"],
        Value::Null
    );
}

#[test]
fn who_is_held_and_what_a_team_allows_is_told_beforehand() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(10));
    sandbox.write("hold.txt", "acct-3\nacct-4\n");
    let told = plan(&sandbox, &["people.csv", "--hold", "hold.txt", "--json"])
        .exits(0)
        .summary();
    assert_eq!((&told["held"], &told["left"]), (&json!(2), &json!(8)));
    sandbox.write(
        "cognito-unlink.toml",
        "rate = \"5/s\"\nallowed-regions = [\"eu-west-1\"]\n",
    );
    let ran = plan(&sandbox, &["people.csv", "--out", "plan.json"]).exits(5);
    for words in [
        "rate: 5/s (cognito-unlink.toml)",
        "A run would be stopped",
        "Region us-east-1 is not among",
    ] {
        assert!(ran.stdout.contains(words), "{}", ran.stdout);
    }
    assert!(!sandbox.exists("plan.json"));
}

/// Rows that are wrong in every way that a CSV row can be, and what each is to be.
fn bad_csv() -> (Vec<u8>, usize) {
    let header =
        "reason,identity_id,Identity Pool Id,developer_provider_name,developer_user_identifier\n";
    let id = &link(1).identity_id;
    let rows: [&[u8]; 9] = [
        b"mine,@ID,@POOL,@PROVIDER,\n",
        b"mine,@ID,@POOL,log in,acct\r\n",
        b"\"a,\nb\",ID,@POOL,@PROVIDER,\"acct,\"\"1\"\n",
        b"mine,@ID,@POOL\n",
        b"mine,@ID,@POOL,@PROVIDER,acct,and,more\n",
        b"mine,@ID,@POOL,@PROVIDER,caf\xe9\n",
        b"mine,@ID,@POOL,@PROVIDER,\"quoted\" twice\n",
        b"mine,@ID,eu@POOL,@PROVIDER,acct\n",
        b"mine,@ID,@POOL,@PROVIDER,\"never closed\n",
    ];
    let mut bytes = header.as_bytes().to_vec();
    for row in rows {
        for part in row.split(|&b| b == b'@').enumerate() {
            let (at, part) = part;
            let fill = |name: &[u8]| {
                part.strip_prefix(name)
                    .filter(|_| at > 0)
                    .map(<[u8]>::to_vec)
            };
            for (name, value) in [("ID", id.as_str()), ("POOL", POOL), ("PROVIDER", PROVIDER)] {
                if let Some(rest) = fill(name.as_bytes()) {
                    bytes.extend_from_slice(value.as_bytes());
                    bytes.extend_from_slice(&rest);
                }
            }
            if at == 0 {
                bytes.extend_from_slice(part);
            }
        }
    }
    (bytes, rows.len())
}

#[test]
fn invalid_rows_come_back_to_be_mended_as_csv() {
    let sandbox = Sandbox::new();
    let (mut bytes, bad) = bad_csv();
    // A good row among them is not given back.
    let at = bytes.iter().position(|&b| b == b'\n').expect("a header") + 1;
    let good = link(50);
    let row = format!("mine,{},{POOL},{PROVIDER},acct-50\n", good.identity_id);
    bytes.splice(at..at, row.into_bytes());
    sandbox.write("people.csv", &bytes);
    let told = plan(&sandbox, &["people.csv", "--invalid", "bad.csv", "--json"])
        .exits(1)
        .summary();
    assert_eq!((&told["invalid"], &told["valid"]), (&json!(bad), &json!(1)));
    let mode = fs::metadata(sandbox.path("bad.csv"))
        .expect("there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);

    // Before it is mended, no row of it passes.
    let ran = start(
        sandbox
            .bare()
            .args(["run", "bad.csv", "--rehearse", "--json"]),
    )
    .ended();
    assert_eq!(
        ran.exits(1).counts(&["rows", "invalid"]),
        [bad as u64, bad as u64]
    );

    // Any CSV library reads it row by row.
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

    // Mended where it is wrong, and left as it is elsewhere.
    let mut writer = csv::Writer::from_path(sandbox.path("mended.csv")).expect("created");
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
        let user = format!("mended {n}");
        writer
            .write_record(fields.into_iter().chain([user.as_bytes()]))
            .expect("written");
    }
    writer.flush().expect("written");
    let ran = start(
        sandbox
            .bare()
            .args(["run", "mended.csv", "--rehearse", "--json"]),
    )
    .ended();
    assert_eq!(
        ran.exits(0).counts(&["rows", "unlinked"]),
        [bad as u64, bad as u64]
    );
}

#[test]
fn invalid_rows_come_back_to_be_mended_as_jsonl() {
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
    plan(&sandbox, &["people.jsonl", "--invalid", "bad.jsonl"]).exits(1);
    let ran = start(
        sandbox
            .bare()
            .args(["run", "bad.jsonl", "--rehearse", "--json"]),
    )
    .ended();
    assert_eq!(ran.exits(1).counts(&["rows", "invalid"]), [7, 7]);
    let given = fs::read(sandbox.path("bad.jsonl")).expect("there");
    let lines: Vec<&[u8]> = given
        .split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    assert_eq!(lines.len(), rows.len());
    let mut mended = String::new();
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
        let _ = writeln!(mended, "{}", Value::Object(object));
    }
    sandbox.write("mended.jsonl", mended);
    let ran = start(
        sandbox
            .bare()
            .args(["run", "mended.jsonl", "--rehearse", "--json"]),
    )
    .ended();
    assert_eq!(ran.exits(0).counts(&["rows", "unlinked"]), [7, 7]);
}

#[test]
fn a_file_of_invalid_rows_takes_nothings_place() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(2) + "x\n");
    sandbox.write(
        "others.csv",
        people(2).replace("identity_id,", "IdentityId,"),
    );
    sandbox.write("people.jsonl", "");
    sandbox.write("mended.csv", "half of it is mended");
    for (args, why) in [
        (
            &["people.csv", "--invalid", "mended.csv"][..],
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
        let ran = plan(&sandbox, args).exits(2);
        assert!(ran.stderr.contains(why), "{why}: {}", ran.stderr);
        assert!(!sandbox.exists("bad.csv"), "{args:?}");
    }
    assert_eq!(sandbox.read("mended.csv"), "half of it is mended");
    // What cannot be read to its end leaves no half a file.
    plan(
        &sandbox,
        &["people.csv", "absent.csv", "--invalid", "bad.csv"],
    )
    .exits(3);
    assert!(!sandbox.exists("bad.csv"));
}

#[test]
fn exactly_the_plan_is_run_wherever_it_is_taken() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("here/lists")).expect("created");
    sandbox.write(
        "here/lists/people.csv",
        people(20)
            .replace("acct-", "person-")
            .replace("identity_id,", "ticket,identity_id,")
            .replace("us-east-1:0000", "T,us-east-1:0000"),
    );
    let url = sandbox.emulator.url();
    plan(
        &sandbox,
        &[
            "here/lists/people.csv",
            "--out",
            "here/plan.json",
            "--rate",
            "500",
            "--carry",
            "ticket",
            "--endpoint-url",
            &url,
            "--results",
            "here/done.jsonl",
        ],
    )
    .exits(0);
    let text = sandbox.read("here/plan.json");
    assert!(!text.contains("person-"), "{text}");
    let saved: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(saved["version"], 1);
    assert_eq!(saved["inputs"][0]["path"], "lists/people.csv");
    assert_eq!(saved["counts"]["rows"], 20);
    assert_eq!(saved["pools"][0]["identity_pool_id"], POOL);
    assert!(
        text.contains("\"--rate=500/s\"") && text.contains("\"--results=done.jsonl\""),
        "{text}"
    );

    fs::rename(sandbox.path("here"), sandbox.path("there")).expect("renamed");
    let run = |args: &[&str]| {
        let mut command = sandbox.program();
        command
            .args(["run", "--plan", "there/plan.json", "--json"])
            .args(args);
        start(&mut command).ended()
    };
    run(&["--rehearse"]).exits(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    // Rows that are done already are no difference.
    assert_eq!(run(&["--limit", "7"]).exits(4).counts(&["unlinked"]), [7]);
    assert_eq!(run(&[]).exits(0).counts(&["skipped", "unlinked"]), [7, 13]);
    let lines = sandbox.results("there/done.jsonl");
    assert!(lines.iter().all(|line| line["ticket"] == "T"), "{lines:?}");

    for args in [
        &["--rate", "1"][..],
        &["--carry", "x"],
        &["--endpoint-url", "http://127.0.0.1:1"],
        &["--skip-failed"],
        &["--results", "x.csv"],
    ] {
        let ran = run(args).exits(2);
        assert!(ran.stderr.contains("beside --plan"), "{}", ran.stderr);
    }
    run(&["people.csv"]).exits(2);
}

#[test]
fn an_input_that_has_changed_is_refused() {
    let whole = people(30);
    let order = {
        let mut lines: Vec<&str> = whole.lines().collect();
        lines.swap(3, 4);
        lines.join("\n") + "\n"
    };
    let pool = whole.clone() + csv(&[abroad(1)]).lines().nth(1).expect("a row") + "\n";
    for (changed, why) in [
        (
            whole.replace("acct-7\"", "acct+7\""),
            &["people.csv: SHA-256", "another content"][..],
        ),
        (order, &["people.csv: SHA-256", "in another order"]),
        (
            pool,
            &["rows: 31, planned 30", OTHER_POOL, "not planned at all"],
        ),
        (
            whole.replace(POOL, "us-east-1:4f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63"),
            &["rows: 0, planned 30"],
        ),
        (String::new(), &["0 bytes"]),
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", &whole);
        save(&sandbox, &["people.csv"]);
        sandbox.write("people.csv", changed);
        refused(&sandbox, &[], why);
        refused(&sandbox, &["--yes"], why);
        // Put back, it runs.
        sandbox.write("people.csv", &whole);
        run_plan(&sandbox, &[]).exits(0);
        assert_eq!(sandbox.emulator.counters().unlinks, 30);
    }
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", &whole);
    save(&sandbox, &["people.csv"]);
    fs::remove_file(sandbox.path("people.csv")).expect("removed");
    run_plan(&sandbox, &[]).exits(3);
}

#[test]
fn a_plan_of_a_later_version_or_that_was_edited_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    save(&sandbox, &["people.csv", "--max-failures", "1"]);
    let text = sandbox.read("plan.json");
    let edited = |from: &str, to: &str, why: &str| {
        assert!(text.contains(from), "{from} in {text}");
        sandbox.write("plan.json", text.replace(from, to));
        refused(&sandbox, &[], &[why]);
    };
    edited("\"version\": 1", "\"version\": 2", "version 2 of the form");
    edited("--max-failures=1", "--max-failures=9", "was edited");
    edited("\"rows\": 3", "\"rows\": 4", "was edited");
    edited(POOL, OTHER_POOL, "was edited");
    edited(
        "\"account\": null",
        "\"account\": \"123456789012\"",
        "was edited",
    );
    edited("\"version\": 1", "\"version\": \"1\"", "this is no plan");
    sandbox.write("plan.json", "{}");
    refused(&sandbox, &[], &["this is no plan"]);
    // Indented otherwise it is the same plan.
    let plan: Value = serde_json::from_str(&text).expect("JSON");
    sandbox.write("plan.json", plan.to_string());
    run_plan(&sandbox, &[]).exits(0);
}

#[test]
fn another_account_or_endpoint_is_refused() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let sts = |account: &str| {
        Emulator::spawn(Settings {
            account: account.to_owned(),
            ..Settings::default()
        })
        .expect("an emulator")
    };
    let (planned, other) = (sts("111111111111"), sts("222222222222"));
    let with = |mut command: Command, sts: &Emulator| {
        command
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .env("AWS_ENDPOINT_URL_COGNITO_IDENTITY", sandbox.emulator.url())
            .env("AWS_ENDPOINT_URL_STS", sts.url());
        start(&mut command).ended()
    };
    let args = ["people.csv", "--online", "--out", "plan.json", "--json"];
    let told = with(plan_command(&sandbox, &args), &planned)
        .exits(0)
        .summary();
    assert_eq!(told["online"]["account"], "111111111111");
    assert_eq!(told["online"]["pools"][0]["identity_pool_id"], POOL);

    let ran = with(run_plan_command(&sandbox, &[]), &other).exits(2);
    assert!(
        ran.stderr.contains("222222222222") && ran.stderr.contains("111111111111"),
        "{}",
        ran.stderr
    );
    let ran = with(
        run_plan_command(&sandbox, &["--expect-account", "222222222222"]),
        &other,
    )
    .exits(2);
    assert!(
        ran.stderr.contains("made for account 111111111111"),
        "{}",
        ran.stderr
    );
    // Nor does it run anywhere else than at the endpoint that was planned.
    let mut elsewhere = run_plan_command(&sandbox, &[]);
    elsewhere.env("AWS_ENDPOINT_URL", other.url());
    let ran = start(&mut elsewhere).ended().exits(2);
    assert!(ran.stderr.contains("would call"), "{}", ran.stderr);
    assert_eq!(
        sandbox.emulator.counters().unlinks + other.counters().unlinks,
        0
    );

    with(run_plan_command(&sandbox, &[]), &planned).exits(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 3);
}

/// A host that is not this machine, behind a proxy that is the emulator.
const ELSEWHERE: &str = "http://cognito.example";

#[test]
fn a_plan_stands_for_the_confirmation() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(3));
    let out = [
        "people.csv",
        "--endpoint-url",
        ELSEWHERE,
        "--out",
        "plan.json",
    ];
    plan(&sandbox, &out).exits(0);
    let through_proxy =
        |command: &mut Command| start(command.env("HTTP_PROXY", sandbox.emulator.url())).ended();
    let mut unplanned = sandbox.program();
    unplanned.args(["run", "people.csv", "--endpoint-url", ELSEWHERE]);
    let ran = through_proxy(&mut unplanned).exits(2);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
    through_proxy(&mut run_plan_command(&sandbox, &[])).exits(0);
    assert_eq!(sandbox.emulator.counters().unlinks, 3);
}

#[test]
fn the_readme_shows_the_plan_of_the_samples() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("a readme");
    let begin = "$ cognito-unlink plan samples/purge.csv samples/bad-rows.csv\n";
    let (_, shown) = readme.split_once(begin).expect("it shows a plan");
    let (shown, _) = shown.split_once("```").expect("it ends");
    let sandbox = Sandbox::new();
    let mut command = plan_command(&sandbox, &["samples/purge.csv", "samples/bad-rows.csv"]);
    let ran = start(command.current_dir(root)).ended().exits(1);
    // The time of day and the path of the program are another one's.
    let same = |text: &str| {
        let lines = text.lines().filter(|line| !line.starts_with("Begun now"));
        let lines: Vec<_> = lines
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .collect();
        lines[..lines.len() - 1].join("\n")
    };
    assert_eq!(same(shown), same(&ran.stdout));
}

#[test]
fn online_pools_are_held_against_the_rows() {
    let sandbox = Sandbox::with(Settings {
        provider: Some("login.other.example".to_owned()),
        ..Settings::default()
    });
    sandbox.write("people.csv", people(3));
    let url = sandbox.emulator.url();
    let online = |args: &[&str]| {
        let mut command = plan_command(
            &sandbox,
            &[&["people.csv", "--online", "--endpoint-url", &url], args].concat(),
        );
        command
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret");
        start(&mut command).ended()
    };
    let ran = online(&["--out", "plan.json"]).exits(5);
    assert!(
        ran.stdout
            .contains("has the developer provider name login.other.example"),
        "{}",
        ran.stdout
    );
    assert!(!sandbox.exists("plan.json"));
    let ran = online(&["--expect-account", "999999999999"]).exits(5);
    assert!(
        ran.stdout.contains("--expect-account says 999999999999"),
        "{}",
        ran.stdout
    );
    assert_eq!(sandbox.emulator.counters().unlinks, 0);
}

#[test]
fn a_file_that_is_replaced_while_the_run_reads_it_is_not_run() {
    // Far more than is read ahead of the calls.
    let planned = people(6000);
    let changes: [(&str, fn(&Sandbox, &str)); 3] = [
        ("another file", |sandbox, text| {
            sandbox.write("new.csv", text.replace("acct-", "evil-"));
            fs::rename(sandbox.path("new.csv"), sandbox.path("people.csv")).expect("renamed");
        }),
        ("written over", |sandbox, text| {
            sandbox.write("people.csv", text.replace("acct-", "evil-"));
        }),
        ("one byte, far down", |sandbox, text| {
            let at = text.find("acct-5999").expect("a row");
            let mut bytes = text.as_bytes().to_vec();
            bytes[at..at + 4].copy_from_slice(b"evil");
            sandbox.write("people.csv", bytes);
        }),
    ];
    for (name, change) in changes {
        let sandbox = Sandbox::new();
        sandbox.write("people.csv", &planned);
        save(&sandbox, &["people.csv"]);
        sandbox.emulator.add_rule(Rule {
            when: When::Always,
            then: Then::Hold,
            times: None,
        });
        let running = start(&mut run_plan_command(&sandbox, &["--json"]));
        assert!(sandbox.emulator.wait_until(PATIENCE, |seen| seen.held > 0));
        change(&sandbox, &planned);
        sandbox.emulator.clear_rules();
        let ran = running.ended().exits(5);
        assert!(
            ran.stdout.contains("changed or replaced while it was read"),
            "{name}: {}",
            ran.stdout
        );
        let calls = sandbox.calls_by_user();
        assert!(calls.keys().all(|user| user.starts_with("acct-")), "{name}");
        assert!(calls.len() < 6000, "{name}");
    }
}
