//! The command `report`.

use std::path::Path;

use super::page_file::PageFile;
use super::reading::{OpenFiles, Sink};
use super::redact::RedactedFile;
use super::remaining::RemainingFile;
use super::shards::NamedResults;
use super::verified::Verification;
use crate::cli::{LogFormat, ReportArgs};
use crate::error::{Error, Exit};
use crate::report::Style;
use crate::settings::progress_style;

/// What the command prints, and how it ends.
#[derive(Debug)]
pub struct Finished {
    /// For standard output.
    pub text: String,
    /// 1 while rows are left or need attention.
    pub exit: Exit,
}

/// Reads the results and reports on them.
///
/// # Errors
/// A file cannot be read or written, or holds something else.
pub fn report(args: &ReportArgs) -> Result<Finished, Error> {
    let style = progress_style(args.progress, LogFormat::Text);
    let files = OpenFiles::open(NamedResults::of(&args.results, style)?)?;
    let page = args
        .html
        .as_deref()
        .map(|path| PageFile::check("html", path));
    let page = page.transpose()?;
    let verification = args.verified.as_deref().map(Verification::read);
    let verification = verification.transpose()?;
    let mut remaining = args
        .remaining
        .as_ref()
        .map(|path| RemainingFile::create(path, &files))
        .transpose()?;
    let mut redacted = match (&args.redact, &args.key) {
        (Some(path), Some(key)) => Some(RedactedFile::create(path, key, &files)?),
        _ => None,
    };
    let mut sinks: Vec<&mut dyn Sink> = Vec::new();
    if let Some(file) = &mut remaining {
        sinks.push(file);
    }
    if let Some(file) = &mut redacted {
        sinks.push(file);
    }
    let with_hashes = args.json || page.is_some();
    let mut overview = files.read(with_hashes, style, &mut sinks)?;
    let remaining = remaining.map(RemainingFile::finish);
    let redacted = redacted.map(RedactedFile::finish);
    for written in [remaining, redacted] {
        overview.written.extend(written.transpose()?);
    }
    if let Some(page) = page {
        let html = overview.html(verification.as_ref());
        overview.written.push(page.write(&html)?);
    }
    overview.verification = verification;
    let text = if args.json {
        overview.json() + "\n"
    } else {
        overview.text()
    };
    let exit = if overview.is_done() {
        Exit::Done
    } else {
        Exit::NotAllDone
    };
    Ok(Finished { text, exit })
}

/// Writes a page that reports on one results file.
///
/// # Errors
/// The results cannot be read, or the page cannot be written.
pub fn write_page(results: &Path, page: &PageFile, style: Style) -> Result<(), Error> {
    let files = OpenFiles::open(NamedResults::of(&[results.to_owned()], style)?)?;
    let overview = files.read(true, style, &mut [])?;
    page.write(&overview.html(None))?;
    Ok(())
}
