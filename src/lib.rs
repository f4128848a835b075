//! The library behind the `cognito-unlink` program; it promises nothing about its versions.
//!
//! A row takes this way, and the modules stand in its order:
//!
//! ```text
//! input → row → admit → call → outcome / retry → record → report       run: the map     emulator: the rehearsal stage
//! ```
//!
//! - [`input`] reads rows, [`row`] says what they are and how they are known again.
//! - [`worker`] brings one row to its outcome: it waits for [`admit`], makes a [`call`], lets [`outcome`] say what the answer
//!   means and [`retry`] what follows.
//! - [`record`] appends the outcome to the results file, which is also how the next run knows what is done.
//! - [`run`] owns the tasks and threads and ends them; [`report`] shows what happens.
//! - [`plan`] tells beforehand what a run would do, and keeps it in a file that a run is held to.
//! - [`hold`] knows who must not be called, [`config`] what a team allows its runs.
//! - [`files`] opens, makes and replaces files of our own, and [`clock`] writes times.
//! - [`quotas`] remembers from run to run what a Region bears.
//! - [`single`] makes one call as the AWS CLI does, beside all this.
//! - [`cli`] is text, [`settings`] what the text means; [`error`], [`signal`] and [`terminal`] are what they say.
//! - [`limits`] is what the operating system grants: where it refuses a file or a thread, that is what is said.
//! - [`url`] checks endpoints.
//! - [`supervisor`] heeds signals whatever else the program is doing; [`stderr`] writes what is said without anyone waiting.
//! - [`emulator`] knows nothing of all this: what is measured against it must not share its mistakes.

pub mod admit;
pub mod call;
pub mod cli;
pub mod clock;
pub mod config;
pub mod emulator;
pub mod error;
pub mod files;
pub mod hold;
pub mod input;
pub mod limits;
pub mod outcome;
pub mod plan;
pub mod quotas;
pub mod record;
pub mod rehearsal;
pub mod report;
pub mod retry;
pub mod row;
pub mod run;
pub mod settings;
pub mod signal;
pub mod single;
pub mod stderr;
pub mod supervisor;
pub mod terminal;
pub mod url;
pub mod worker;
