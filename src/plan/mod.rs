//! The `plan` command: what a run would do, shown before it is done, and saved so that exactly that is run.
//!
//! ```text
//! settings → input_summary (every row once) → forecast → plan → text, json    saved: a plan in a file
//!                └→ rejects_file (the invalid rows, to be corrected)            take_over: the run of a saved plan
//!
//! --logins: left_rows (the inputs again) → left_links (their hashes) → logins_lookup → logins (the numbers)
//! ```

mod command;
mod counts;
mod forecast;
mod input_summary;
mod json;
mod last_logins;
mod left_links;
mod left_rows;
mod logins;
mod logins_cost;
mod logins_lookup;
mod online;
#[expect(
    clippy::module_inception,
    reason = "the file is named after the type that it defines"
)]
mod plan;
mod rejects_file;
mod repeats;
mod saved;
mod take_over;
mod text;

pub use command::plan;
pub use rejects_file::remove_unfinished;
pub use take_over::take_over;
