//! A server on loopback that answers as the Cognito Identity API does, for rehearsals and tests. It does not replace
//! Amazon Cognito: it emulates nine operations, and `GetCallerIdentity` of STS.
//!
//! ```text
//! socket → server (hyper) → service: host → sigv4 → injector / quota → model → response
//!                                     all counted in the journal
//! ```
//!
//! Except for [`command`], the program's subcommand, it uses nothing else of this project, and no AWS crate: a test oracle
//! must not share the client's bugs. So its [`Link`], [`Settings`] and [`Quota`] are its own.
//! [`Model`] is pure: simulations use it without a socket or a clock.

pub mod command;
mod fault;
mod handle;
mod host;
mod injector;
mod journal;
mod model;
mod quota;
mod response;
mod rule;
mod server;
mod service;
mod settings;
mod shared;
mod sigv4;
mod sts;

pub use fault::{FaultKind, FaultShare};
pub use handle::Emulator;
pub use journal::{Call, Counters};
pub use model::{
    DisabledLinkAnswer, DisabledLookupAnswer, ErrorStatus, Guest, InvalidParameterAnswer, Link,
    Model, NotLinkedAnswer, OtherProviderAnswer, Undocumented, UnknownUserAnswer,
};
pub use quota::{ProductionCounts, Quota, QuotaSettings, QuotaShape};
pub use rule::{Canned, Rule, Then, When};
pub use server::serve_connection;
pub use settings::Settings;
pub use sigv4::AccessKey;
