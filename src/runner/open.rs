//! Opens what a run reads and writes: hold lists, inputs, results.

use std::path::Path;
use std::sync::Arc;

use crate::error::Error;
use crate::exit_policy;
use crate::files::Identity;
use crate::guard::hold::{HoldFiles, Holds};
use crate::input::{self, Input, WaitToken};
use crate::report::{ReadingProgress, counted, notice};
use crate::results::{
    self, LogOptions, OpenError, Opening, ReadResults, Results, ResultsFiles, ResultsOptions,
};
use crate::settings::Settings;
use crate::verdict::Outcome;

/// Reads the hold lists and prints the warnings about them.
///
/// # Errors
/// A list cannot be read, or is not as planned.
pub fn read_holds(settings: &Settings) -> Result<Option<(Arc<Holds>, HoldFiles)>, Error> {
    let paths = &settings.guards.holds;
    if paths.is_empty() {
        return Ok(None);
    }
    let planned = &settings.guards.planned_holds;
    let (holds, files) =
        Holds::read_as_planned(paths, planned).map_err(|error| Error::usage(error.to_string()))?;
    for warning in holds.take_notices() {
        notice(&warning);
    }
    Ok(Some((Arc::new(holds), files)))
}

/// Opens every input, reads its header and checks it for damage, so that a faulty input fails before the first call and not hours
/// later. Reading from a pipe would consume it, so only its name is checked.
///
/// # Errors
/// An input cannot be read, or is the results file as well.
pub fn check_inputs(settings: &Settings) -> Result<(), Error> {
    let results = settings
        .results
        .as_ref()
        .and_then(|named| Identity::at(&named.path).ok());
    let reading = input::ReadOptions {
        wait: WaitToken::cancelled(),
        ..settings.input.clone()
    };
    for input in &settings.inputs {
        if let Input::File(path) = input
            && results.is_some()
            && Identity::at(path).ok() == results
        {
            // Every line that is recorded would be read as one more row.
            return Err(Error::usage(format!(
                "{} is an input, and the results file too",
                path.display()
            ))
            .hint("Name another results file with --results."));
        }
        let checked = if input.can_be_read_again() {
            input::open(input, &reading).and_then(|_| input::check_integrity(input, &reading))
        } else {
            input::format_of(input, &reading).map(|_| ())
        };
        checked.map_err(exit_policy::unreadable)?;
    }
    Ok(())
}

/// Opens the results, and prints notices on what was found there.
///
/// # Errors
/// The results have no name, or cannot be opened.
pub async fn open_results<O: Outcome>(settings: &Settings) -> Result<Results, Error> {
    let options = settings.results.as_ref();
    let results = match options.and_then(|options| Some((options, options.log.as_ref()?))) {
        Some((options, log)) => open_log::<O>(settings, options, log).await?,
        None => open_record(settings, Results::open::<O>)?,
    };
    report_record(settings, &results);
    Ok(results)
}

/// Opens results in a store, and shows how far reading them is.
///
/// # Errors
/// Another run is alive there, or the store cannot be used.
pub async fn open_log<O: Outcome>(
    settings: &Settings,
    options: &ResultsOptions,
    log: &LogOptions,
) -> Result<Results, Error> {
    let mut progress = ReadingProgress::of_segments(settings.progress);
    let name = options.path.display();
    let opened = Results::open_log::<O>(options, log, &mut |opening| match opening {
        Opening::Read(segments, known) => progress.at_of(segments, known),
        Opening::Watching(holder, time) => notice(&format!(
            "{name}: the last run recorded no end ({holder}); waiting {} to see whether it is still running.",
            humantime::format_duration(time)
        )),
    })
    .await;
    progress.finish();
    opened.map_err(exit_policy::not_opened)
}

/// Opens the file in which a job records its rows.
///
/// # Errors
/// It has no name, or cannot be opened.
pub fn open_record<T>(
    settings: &Settings,
    open: impl FnOnce(&ResultsOptions) -> Result<T, OpenError>,
) -> Result<T, Error> {
    let named = settings
        .results
        .as_ref()
        .ok_or_else(|| Error::usage("a run needs a results file; name one with --results"))?;
    open(named).map_err(exit_policy::not_opened)
}

/// Prints notices on what was found in the file in which a job records its rows.
pub fn report_record(settings: &Settings, results: &Results) {
    let Some(named) = &settings.results else {
        return;
    };
    let name = named.path.display();
    if results.cut > 0 {
        notice(&format!(
            "{name}: cut off a torn last line of {}; its row is tried again.",
            counted(results.cut, "byte")
        ));
    }
    if let Some(mode) = results.mode_before {
        notice(&format!(
            "{name}: made private to you (mode 0600); it names people, and its mode was {mode:04o}."
        ));
    }
    if let Some(why) = results.completed.doubt() {
        notice(&format!(
            "{name}.inflight: {why}. The rows in flight when a run ended are not known, so each row that is not done \
             counts as in doubt: \"nothing to unlink\" is recorded as unlinked_reply_lost, and a refusal as in_doubt."
        ));
    }
    let interrupted = results.completed.interrupted().count();
    if interrupted > 0 {
        // A log claims rows ahead of their calls.
        let state = match named.log {
            None => "in flight",
            Some(_) => "in flight, or about to be,",
        };
        notice(&format!(
            "{name}: {} {state} when the last run ended; each is tried again, knowing that.",
            match interrupted {
                1 => "1 row was".to_owned(),
                _ => format!("{interrupted} rows were"),
            }
        ));
    }
}

/// Checks what a job about results has read: prints notices on torn last lines and on shards without results, and checks that the job
/// does not record its rows in the results themselves.
///
/// # Errors
/// The record is one of the results files.
pub fn check_read(
    named: &ResultsFiles,
    read: &[ReadResults],
    settings: &Settings,
) -> Result<(), Error> {
    for (path, file) in named.files.iter().zip(read) {
        check_record(path, settings)?;
        report_torn(path, file.torn);
    }
    if let Some(shards) = named.shards.as_ref().filter(|set| !set.missing.is_empty()) {
        let missing = shards.missing.iter().map(|shard| shards.path_of(*shard));
        notice(&format!(
            "Warning: results of {} of {} shards are missing: {}. Their rows do not count.",
            shards.missing.len(),
            shards.of,
            results::names(missing)
        ));
    }
    Ok(())
}

/// Checks that a job about results does not record its rows in the results themselves.
///
/// # Errors
/// The record is the results file.
fn check_record(results: &Path, settings: &Settings) -> Result<(), Error> {
    let record = settings.results.as_ref().map(|named| &*named.path);
    let is_same = |record: &Path| {
        record == results
            || Identity::at(record)
                .is_ok_and(|id| Identity::at(results).is_ok_and(|other| other == id))
    };
    match record.filter(|record| is_same(record)) {
        Some(record) => Err(Error::usage(format!(
            "--out {}: these are the results themselves",
            record.display()
        ))
        .hint("Name another file, or leave --out out.")),
        None => Ok(()),
    }
}

/// Prints a notice on a torn last line of results that a job reads.
fn report_torn(results: &Path, torn: u64) {
    if torn > 0 {
        notice(&format!(
            "{}: the last line is torn ({}) and was not read; the next run tries its row again.",
            results.display(),
            counted(torn, "byte")
        ));
    }
}
