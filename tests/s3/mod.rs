//! Amazon S3 for tests: a store in memory on a real socket, and a proxy that makes faults before any store.
//!
//! Both are shared by the test binaries, each of which includes them by path:
//!
//! ```ignore
//! #[path = "../s3/mod.rs"]
//! mod s3;
//!
//! let store = S3Server::spawn(Settings::default());
//! store.put(BUCKET, "people.csv", people(100));
//! // The second put answers 503, and the fourth is held until the rules are cleared.
//! store.add_rule(When::Nth(Kind::Put, 2), Then::Fail(503, "SlowDown"));
//! store.add_rule(When::Nth(Kind::Put, 4), Then::Hold);
//! let running = start(
//!     sandbox
//!         .run_command(&["s3://bucket/people.csv", "--results", "s3://bucket/results/"])
//!         .env("AWS_ENDPOINT_URL_S3", store.url()),
//! );
//! assert!(store.wait_until(TIMEOUT, |seen| seen.held == 1));
//! store.clear_rules();
//! assert_eq!(store.keys(BUCKET, "results/"), ["results/0000000001.jsonl"]);
//! assert_eq!(store.counters().of(Kind::Put), 5);
//! ```
//!
//! [`FaultProxy`] stands before a store of any kind: `FaultProxy::spawn(&store.url(), faults)`, and its URL is the endpoint.
//!
//! The store knows only what S3 documents of `GetObject`, `HeadObject`, `HeadBucket`, `PutObject` and `ListObjectsV2`, path
//! style; anything else is answered `NotImplemented`. It takes any signature, but no request without one.
#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(
    unused_imports,
    reason = "the names by which test binaries reach the parts"
)]

mod error;
mod handler;
mod list;
mod listening;
mod log;
mod objects;
mod proxy;
mod request;
mod server;

pub(crate) use log::{Counters, Request};
pub(crate) use proxy::{FaultProxy, Faults, Passage, ProxyFault};
pub(crate) use request::Kind;
pub(crate) use server::{BUCKET, S3Server, Settings, Then, When};
