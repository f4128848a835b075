//! The results that an argument names, for commands that read them.

use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::exit_policy;
use crate::objects::{ObjectUri, Objects, is_object};
use crate::report::{ReadingProgress, Style};
use crate::results::{self, Opening, ResultsFiles};

/// Finds the files of results. Those in S3 are copied into a folder of their own, which lasts as long as what is returned.
///
/// # Errors
/// The argument names no results, or those of several jobs; the store or the disk cannot be used.
pub fn find_results(
    argument: &Path,
    objects: &Objects,
    style: Style,
) -> Result<ResultsFiles, Error> {
    if !is_object(argument.as_os_str()) {
        let found = results::expand(argument);
        return found.map_err(|error| Error::usage(error.to_string()));
    }
    let prefix = ObjectUri::of(argument.as_os_str());
    if prefix.bucket.is_empty() || !prefix.key.ends_with('/') || prefix.key == "/" {
        return Err(Error::usage(format!(
            "{prefix}: results in S3 are many objects, below a prefix"
        ))
        .hint("Write s3://BUCKET/PREFIX/, with the last slash."));
    }
    let mut progress = ReadingProgress::of_segments(style);
    let copied = results::copy_log(&prefix, objects, move |opening| {
        if let Opening::Read(segments, known) = opening {
            progress.at_of(segments, known);
        }
    });
    copied.map_err(exit_policy::not_opened)
}

/// Returns the path from which the names of records about results are derived: beside results in files, and in the working directory
/// for those in S3.
pub(super) fn named_after(argument: &Path, files: &ResultsFiles) -> PathBuf {
    if is_object(argument.as_os_str()) {
        let name = files.whole().file_name();
        return name.unwrap_or_default().into();
    }
    files.whole().to_owned()
}
