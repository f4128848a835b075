//! The time per row of the parts that do not wait: `cargo bench --bench parts`.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::Write;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cognito_unlink::testing::admission::{Admission, Feedback, Limits, Rate};
use cognito_unlink::testing::input::{self, Input, InputRow};
use cognito_unlink::testing::jobs::unlink::UnlinkOutcome;
use cognito_unlink::testing::operation::Operation;
use cognito_unlink::testing::results::{Edition, Entry, Format, Layout};
use cognito_unlink::testing::row::{Keyer, Link, Position};
use cognito_unlink::testing::verdict::{History, Policy, RunEvidence};
use cognito_unlink::testing::verdict::{Reply, ReplyDetails, ReplyKind, classify};
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use tempfile::NamedTempFile;
use tokio::time::Instant;

const ROWS: usize = 100_000;

fn main() {
    divan::main();
}

fn link(n: usize) -> Link {
    Link {
        identity_id: format!("us-east-1:00000000-0000-4000-8000-{n:012x}"),
        identity_pool_id: "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63".to_owned(),
        developer_provider_name: "login.example.com".to_owned(),
        developer_user_identifier: format!("acct-{n}"),
    }
}

/// Writes a file of `header` and [`ROWS`] lines.
fn file(ending: &str, header: &str, line: impl Fn(&Link) -> String) -> NamedTempFile {
    let mut text = header.to_owned();
    for n in 0..ROWS {
        text.push_str(&line(&link(n)));
        text.push('\n');
    }
    let mut file = tempfile::Builder::new()
        .suffix(ending)
        .tempfile()
        .expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn csv_file() -> NamedTempFile {
    let header = "identity_id,identity_pool_id,developer_provider_name,developer_user_identifier\n";
    file(".csv", header, |link| {
        format!(
            "{},{},{},{}",
            link.identity_id,
            link.identity_pool_id,
            link.developer_provider_name,
            link.developer_user_identifier
        )
    })
}

fn jsonl_file() -> NamedTempFile {
    file(".jsonl", "", |link| {
        serde_json::json!({
            "identity_id": link.identity_id,
            "identity_pool_id": link.identity_pool_id,
            "developer_provider_name": link.developer_provider_name,
            "developer_user_identifier": link.developer_user_identifier,
        })
        .to_string()
    })
}

fn bytes(file: &NamedTempFile) -> BytesCount {
    BytesCount::new(file.as_file().metadata().expect("its size").len())
}

fn read(bencher: Bencher<'_, '_>, file: &NamedTempFile) {
    let input = Input::File(file.path().to_owned());
    let settings = input::ReadOptions::default();
    bencher
        .counter(bytes(file))
        .counter(ItemsCount::new(ROWS))
        .bench(|| {
            let rows = input::open(&input, &settings).expect("opened");
            let valid = rows.filter(|row| matches!(black_box(row), Ok(InputRow::Valid(_))));
            assert_eq!(valid.count(), ROWS);
        });
}

#[divan::bench]
fn input_csv(bencher: Bencher<'_, '_>) {
    read(bencher, &csv_file());
}

#[divan::bench]
fn input_jsonl(bencher: Bencher<'_, '_>) {
    read(bencher, &jsonl_file());
}

/// Reads the same file with the csv crate alone, as the baseline: without validation and rows.
#[divan::bench]
fn input_csv_crate_alone(bencher: Bencher<'_, '_>) {
    let file = csv_file();
    bencher
        .counter(bytes(&file))
        .counter(ItemsCount::new(ROWS))
        .bench(|| {
            let mut reader = csv::Reader::from_path(file.path()).expect("opened");
            let mut record = csv::ByteRecord::new();
            let mut rows = 0;
            while reader.read_byte_record(&mut record).expect("a record") {
                black_box(&record);
                rows += 1;
            }
            assert_eq!(rows, ROWS);
        });
}

#[divan::bench]
fn row_key(bencher: Bencher<'_, '_>) {
    let (keyer, link) = (Keyer::new([7; 16]), link(1));
    bencher.bench(|| keyer.key(black_box(&link)));
}

#[divan::bench(args = ["csv", "jsonl"])]
fn record_write(bencher: Bencher<'_, '_>, format: &str) {
    let layout = Layout {
        format: Format::of_name(format!("results.{format}").as_ref()).expect("a format"),
        edition: Edition::default(),
        run_id: "run".to_owned(),
        carry: Vec::new(),
    };
    let request_id = "00000000-0000-4000-8000-000000000001".to_owned();
    let entry = Entry {
        position: Position {
            source: Arc::from("people.csv"),
            row: 1,
            line: 2,
        },
        link: link(1),
        carried: Vec::new(),
        key: None,
        outcome: UnlinkOutcome::Unlinked,
        details: ReplyDetails {
            http_status: Some(200),
            request_id: Some(request_id.clone()),
            ..ReplyDetails::default()
        },
        request_ids: request_id,
        logins_left: None,
        attempts: 1,
        started_at: Some(SystemTime::UNIX_EPOCH),
        finished_at: SystemTime::UNIX_EPOCH,
        latency: Some(Duration::from_millis(40)),
        memory: None,
    };
    let entries: Vec<_> = std::iter::repeat_n(&entry, 100).collect();
    let mut lines = Vec::new();
    bencher
        .counter(ItemsCount::new(entries.len()))
        .bench_local(|| {
            lines.clear();
            layout.write(entries.iter().copied(), &mut lines);
            black_box(&lines);
        });
}

fn throttled() -> Reply {
    Reply {
        kind: ReplyKind::Error { html: false },
        details: ReplyDetails {
            code: Some("TooManyRequestsException".to_owned()),
            message: Some("Rate exceeded".to_owned()),
            http_status: Some(400),
            ..ReplyDetails::default()
        },
    }
}

#[divan::bench]
fn outcome_classify(bencher: Bencher<'_, '_>) {
    let answer = throttled();
    bencher.bench(|| classify(black_box(&answer)));
}

#[divan::bench]
fn retry_next(bencher: Bencher<'_, '_>) {
    let verdict = classify(&throttled());
    let (evidence, now) = (RunEvidence::default(), Instant::now());
    bencher.bench(|| {
        let mut history = History::new(false);
        history.start(now);
        black_box(history.step(
            black_box(verdict),
            None,
            evidence,
            &Policy::DEFAULT,
            now,
            0.5,
        ))
    });
}

/// Admissions per iteration, so that entering the runtime does not count.
const ADMISSIONS: usize = 1000;

/// Admits and answers calls while no limit makes a call wait.
#[divan::bench(args = ["unlimited", "1000000000"])]
fn admit_and_answer(bencher: Bencher<'_, '_>, rate: &str) {
    let limits = Limits {
        rate: rate.parse::<Rate>().expect("a rate"),
        burst: NonZeroU32::MIN,
        concurrency: NonZeroU32::MIN,
        leave: 0.0,
        processes: NonZeroU32::MIN,
    };
    let operation = Operation::UnlinkDeveloperIdentity;
    let admission = Admission::new(limits, operation, BTreeMap::new());
    let queue = admission.queue("us-east-1", operation);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    bencher
        .counter(ItemsCount::new(ADMISSIONS))
        .bench_local(|| {
            runtime.block_on(async {
                for _ in 0..ADMISSIONS {
                    drop(
                        queue
                            .admit()
                            .await
                            .expect("open")
                            .answered(Feedback::Accepted),
                    );
                }
            });
        });
}
