//! The jobs: each brings its call, its verdicts, its outcomes and its columns to the pipeline.

pub mod relink;
pub mod resolve;
pub mod unlink;
mod user_lookup;
pub mod verify;
