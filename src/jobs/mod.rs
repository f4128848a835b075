//! The jobs: each brings its call, its verdicts, its outcomes and its columns to the pipeline.

pub mod unlink;
