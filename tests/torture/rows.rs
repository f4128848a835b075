//! Generates the rows of a round, and writes the inputs that hold them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use cognito_unlink::testing::emulator::Link;
use fastrand::Rng;

pub(crate) const POOL: &str = "us-east-1:3f6c2a10-9b5e-4d7a-8c21-5e0f7d9a4b63";
pub(crate) const PROVIDER: &str = "login.example.com";

/// Rows of the input in the end.
const ROWS: usize = 2800;
/// Rows of the input at the start; the others are inserted between runs.
const FIRST_ROWS: usize = 1800;
/// Identities that many rows share, so that there are always some with a row in flight and others waiting.
const SHARED_IDENTITIES: usize = 6;

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) link: Link,
    /// The link existed when the round began.
    pub(crate) existed: bool,
}

/// All rows of a round, of which the first `present` are in the input.
#[derive(Debug)]
pub(crate) struct Rows {
    all: Vec<Row>,
    present: usize,
}

impl Rows {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut all: Vec<Row> = (0..ROWS)
            .map(|n| {
                let identity = if rng.u8(..10) < 2 {
                    rng.usize(..SHARED_IDENTITIES)
                } else {
                    SHARED_IDENTITIES + n
                };
                Row {
                    link: Link {
                        identity_id: format!("us-east-1:00000000-0000-4000-8000-{identity:012x}"),
                        identity_pool_id: POOL.to_owned(),
                        developer_provider_name: PROVIDER.to_owned(),
                        developer_user_identifier: user(n, rng),
                    },
                    existed: rng.u8(..100) < 96,
                }
            })
            .collect();
        rng.shuffle(&mut all);
        Self {
            all,
            present: FIRST_ROWS,
        }
    }

    /// Returns the rows that are in the input now.
    pub(crate) fn present(&self) -> &[Row] {
        &self.all[..self.present]
    }

    /// Returns the rows that are in the input in the end.
    pub(crate) fn all(&self) -> &[Row] {
        &self.all
    }

    /// Returns the links that exist when the round begins.
    pub(crate) fn links(&self) -> Vec<Link> {
        self.all
            .iter()
            .filter(|row| row.existed)
            .map(|row| row.link.clone())
            .collect()
    }

    /// Inserts further rows into the input.
    pub(crate) fn insert(&mut self, rows: usize) {
        self.present = self.present.saturating_add(rows).min(self.all.len());
    }

    /// Writes the present rows in random order to one or two files of random formats. Returns the files' names.
    pub(crate) fn write(&self, directory: &Path, rng: &mut Rng) -> Vec<String> {
        let mut rows: Vec<&Link> = self.present().iter().map(|row| &row.link).collect();
        rng.shuffle(&mut rows);
        let split = if rng.bool() {
            rows.len()
        } else {
            rng.usize(..rows.len())
        };
        let mut names = Vec::new();
        for (part, rows) in [&rows[..split], &rows[split..]].into_iter().enumerate() {
            if rows.is_empty() && part > 0 {
                continue;
            }
            let (ending, text) = if rng.bool() {
                ("csv", csv(rows))
            } else {
                ("jsonl", jsonl(rows))
            };
            let name = format!("people-{part}.{ending}");
            fs::write(directory.join(&name), text).expect("written");
            names.push(name);
        }
        names
    }
}

/// Returns a user that no other row has, sometimes with characters that have a meaning in CSV or JSON.
fn user(n: usize, rng: &mut Rng) -> String {
    let special = [
        "\n",
        "\r\n",
        "\"",
        "\",\"",
        ",",
        "\u{1f9d1}\u{1f3fd}",
        "=",
        "\\",
    ];
    match rng.u8(..8) {
        0 => format!("acct{}{n}", rng.choice(special).expect("there are some")),
        1 => format!("{n}{}", "x".repeat(rng.usize(..800))),
        _ => format!("acct-{n}"),
    }
}

fn csv(rows: &[&Link]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record([
            "identity_id",
            "identity_pool_id",
            "developer_provider_name",
            "developer_user_identifier",
        ])
        .expect("memory takes any record");
    for link in rows {
        writer
            .write_record([
                &link.identity_id,
                &link.identity_pool_id,
                &link.developer_provider_name,
                &link.developer_user_identifier,
            ])
            .expect("memory takes any record");
    }
    writer.into_inner().expect("memory takes any record")
}

fn jsonl(rows: &[&Link]) -> Vec<u8> {
    let mut text = String::new();
    for link in rows {
        let row = serde_json::json!({
            "IdentityId": link.identity_id, "IdentityPoolId": link.identity_pool_id,
            "DeveloperProviderName": link.developer_provider_name,
            "DeveloperUserIdentifier": link.developer_user_identifier,
        });
        writeln!(text, "{row}").expect("a string takes any text");
    }
    text.into()
}
