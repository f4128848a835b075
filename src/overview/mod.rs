//! `report`: what results files say, for people and scripts. It reads, and never calls or changes anything.
//!
//! ```text
//! results ─ first pass ─ all lines counted (Collection) ─┐
//!         └ second pass ─ lines that later ones replace ─┴ Overview → text, JSON, page
//! ```
//!
//! A row is known by its four fields, and its last line counts: of the last file, if there are several. The first pass counts every line,
//! and keeps 24 bytes for each ([`LinePlaces`](places::LinePlaces)). Where rows have several lines, a second pass takes the earlier ones
//! out again. It also writes what is made of the lines: the rows that remain (`--remaining`), the results without names (`--redact`).

mod blocks;
mod collection;
mod command;
mod counts;
mod figures;
mod json;
mod last_logins;
mod logged;
mod merge;
mod new_file;
mod page;
mod page_file;
mod places;
mod plots;
mod reading;
mod reasons;
mod redact;
mod remaining;
mod scale;
mod shards;
mod tables;
mod text;
mod timeline;
mod verified;

pub use command::{report, write_page};
pub use merge::merge;
pub use new_file::remove_unfinished;
pub use page_file::PageFile;
