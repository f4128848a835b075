//! Arguments of `merge`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `merge`.
#[derive(Debug, Args)]
pub struct MergeArgs {
    /// The results of shards: the folder that they are in, or how their paths begin, as out/people; or results in S3, `s3://BUCKET/PREFIX/`
    #[arg(value_name = "DIR|PREFIX")]
    pub shards: PathBuf,

    /// Write one results file, .csv or .jsonl, with a log of all runs beside it. Only what an earlier merge has written is replaced
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}
