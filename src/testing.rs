//! The parts of the library that tests, benches and fuzz targets use, by room. It is not an API: nothing here is stable.

/// Rate limit, pace, permits, circuit breakers.
pub mod admission {
    pub use crate::admission::{Admission, Feedback, Limits, Rate};
}

/// Calls through the AWS SDK.
pub mod aws {
    pub use crate::aws::{AwsCalls, ClientSettings};
}

/// The clients' traits.
pub mod call {
    pub use crate::call::identity_lookup::{
        Identities, Identity, IdentityLookup, Page, Users, UsersQuery,
    };
    pub use crate::call::lookup::{LookupError, LookupErrorKind};
    pub use crate::call::{Client, LastCheck, Unlink, released};
}

/// Argument definitions.
pub mod cli {
    pub use crate::cli::{Cli, Command};
}

/// The Cognito Identity API on loopback.
pub mod emulator {
    pub use crate::emulator::{
        AccessKey, Call, Canned, Counters, DisabledLinkAnswer, DisabledLookupAnswer, Emulator,
        FaultKind, FaultShare, Guest, Link, Model, NotLinkedAnswer, ProductionCounts, Quota,
        QuotaSettings, QuotaShape, Rule, Settings, Then, Undocumented, UnknownUserAnswer, When,
        serve_connection,
    };
}

/// Guards before a call.
pub mod guard {
    pub use crate::guard::PoolChecks;
}

/// Readers.
pub mod input {
    pub use crate::input::{
        Fill, Format, Header, Input, InputError, InputRow, KeepText, MAX_RECORD, ReadOptions,
        TextForm, open, open_bytes,
    };
}

/// The jobs.
pub mod jobs {
    /// The unlink job.
    pub mod unlink {
        pub use crate::jobs::unlink::{UnlinkJob, UnlinkOutcome, bounds};
    }
}

/// Operations of the API.
pub mod operation {
    pub use crate::operation::{Operation, OperationQuotas};
}

/// The pipeline of every job.
pub mod pipeline {
    pub use crate::pipeline::{
        Bounds, Channels, Context, Counters, Job, NextCall, OpenRow, ReadEvent, Reason, SettledRow,
        Summary, drive,
    };
}

/// The results file.
pub mod results {
    pub use crate::results::{
        AskedBy, Edition, Entry, Format, FoundLink, Layout, Line, OpenError, OpenResolved,
        RESOLVED_COLUMNS, Recorded, Recording, Results, ResultsOptions, RowLinks, SkipReason,
        ToRecord, UNRESOLVED_COLUMNS, Unresolved, UnresolvedOptions,
    };
}

/// Rows.
pub mod row {
    pub use crate::row::{
        Carried, Field, InvalidRow, Keyer, Link, MemoryReservation, Position, Required, Row,
        RowErrorCode, RowKey, Shard, SourceText, UnusualPolicy,
    };
}

/// Settings of a run.
pub mod settings {
    pub use crate::settings::Settings;
}

/// Orders to stop.
pub mod signal {
    pub use crate::signal::{Signal, Stop};
}

/// Verdicts on replies, and the step after each.
pub mod verdict {
    pub use crate::verdict::{
        End, History, Outcome, Policy, Reply, ReplyDetails, ReplyKind, RunEvidence, Standing,
        Verdict, classify,
    };
}
