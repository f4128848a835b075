//! Opens the results: locks and repairs the file, and reads what earlier runs left in it.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::appended_file::AppendedFile;
use super::beside::{Beside, ChangedFile};
use super::completed_rows::CompletedRows;
use super::error::OpenError;
use super::format::Format;
use super::in_flight::InFlight;
use super::line::Layout;
use super::link_lines::LinkReader;
use super::log::{self, ChangedLog, LogEnd, LogLock, LogOptions, OnProgress};
use super::marks::Marks;
use super::options::ResultsOptions;
use super::outcome_lines::OutcomeReader;
use super::paths::{check_same_file, folder_of, side_file_path, sync_folder};
use super::random::random_key;
use super::recorded_line::LineReader;
use super::recorder::Recorder;
use super::side_file::{Header, InterruptedRun};
use super::unresolved_file::{UnresolvedFile, UnresolvedOptions};
use super::writer::Writer;
use crate::files;
use crate::row::{Field, Keyer, RowKey, Shard};
use crate::verdict::Outcome;

/// An open, locked and repaired results file, with the rows that it holds.
#[derive(Debug)]
pub struct Results {
    /// The rows that earlier runs have settled.
    pub completed: CompletedRows,
    /// Makes the keys under which `completed` and the side file know rows.
    pub keyer: Keyer,
    /// Marks rows before they are called.
    pub marks: Box<dyn Marks>,
    /// The handle with which a run records its begin and its end, if the results are in a store.
    pub log_end: Option<LogEnd>,
    /// Bytes of a torn last line that were cut off.
    pub cut: u64,
    /// The file's mode before it was made private, if others could read its rows.
    pub mode_before: Option<u32>,
    recorder: Recorder,
}

impl Results {
    /// Locks, repairs and reads the results file, and creates it if it is absent. The content of a file that turns out to be no
    /// results file stays as it is.
    ///
    /// # Errors
    /// Another run has locked the file; it is no results file, or has other columns; it cannot be read or written.
    pub fn open<O: Outcome>(options: &ResultsOptions) -> Result<Self, OpenError> {
        let format = options.format()?;
        let (file, options) = &open_locked::<OutcomeReader<'_>>(options)?;
        let path = &options.path;
        let format = existing_format(options, file, format)?;
        let side_file = side_file_path(path);
        let (interrupted, renamed_side_file) = find_interrupted_run(&side_file, file)?;
        let key = interrupted
            .key
            .map_or_else(random_key, Ok)
            .map_err(|error| OpenError::Io(path.clone(), error))?;
        let keyer = Keyer::new(key);
        let lines = OutcomeReader::new::<O>(&keyer);
        let completed = CompletedRows::read(file, format, options, lines, interrupted)?;
        let results = Self::begin::<OutcomeReader<'_>>(file, format, options, completed, key)?;
        if let Some(renamed) = &renamed_side_file {
            // Its marks stand in the new side file. If it cannot be removed, the next run has more doubts than necessary.
            let _ = fs::remove_file(renamed);
        }
        Ok(results)
    }

    /// Repairs a locked file that is known to be a results file, so that it may be changed, and creates its side file.
    fn begin<R: LineReader>(
        file: &File,
        format: Format,
        options: &ResultsOptions,
        mut completed: CompletedRows,
        key: [u8; 16],
    ) -> Result<Self, OpenError> {
        let path = &options.path;
        let failed = |error| OpenError::Io(path.clone(), error);
        let (cut, mode_before) = repair::<R>(file, options, format, &mut completed)?;
        let in_flight = InFlight::create(options, key, &completed, file)
            .map_err(|error| OpenError::Io(side_file_path(path), error))?;
        sync_folder(path).map_err(failed)?;
        let file = file.try_clone().map_err(failed)?;
        let writer = Box::new(Writer {
            file: AppendedFile::new(file, path.clone(), completed.length),
            beside: None,
            layout: Layout {
                format,
                edition: completed.edition,
                run_id: options.run_id.clone(),
                carry: options.carry.clone(),
            },
            durable: options.durable,
            unsynced: false,
            side_file: Some(in_flight.side_file().clone()),
        });
        Ok(Self {
            cut: if completed.other_header { 0 } else { cut },
            mode_before,
            completed,
            keyer: Keyer::new(key),
            marks: Box::new(in_flight),
            log_end: None,
            recorder: Recorder::File(writer),
        })
    }

    /// Begins a run in the log of results in a store: reads it, and makes sure that no other run is alive there.
    ///
    /// # Errors
    /// Another run is; it is no log of results; the store cannot be read or written.
    pub async fn open_log<O: Outcome>(
        options: &ResultsOptions,
        log: &LogOptions,
        on_progress: OnProgress<'_>,
    ) -> Result<Self, OpenError> {
        let opened = log::open::<O>(options, log, on_progress).await?;
        Ok(Self {
            completed: opened.completed,
            keyer: Keyer::new(opened.key),
            log_end: Some(opened.end),
            marks: Box::new(opened.marks),
            cut: 0,
            mode_before: None,
            recorder: Recorder::Log(opened.appender),
        })
    }

    /// Lets the recorder append the lines of changed rows to `changed` too, the results of earlier runs: each line to those of its
    /// shard, or of a whole job. Returns the lock on them.
    ///
    /// # Errors
    /// The operating system refuses a thread.
    pub fn append_also_to(
        &mut self,
        changed: Vec<(Option<Shard>, Self)>,
    ) -> io::Result<ChangedResults> {
        let mut locks = Vec::new();
        let (mut files, mut logs) = (Vec::new(), Vec::new());
        for (shard, changed) in changed {
            let is_settled = changed.is_settled();
            match (changed.recorder, changed.log_end) {
                (Recorder::File(writer), _) => {
                    locks.push(ResultsLock::File(changed.marks, is_settled));
                    files.push(ChangedFile {
                        shard,
                        file: writer.file,
                        layout: writer.layout,
                    });
                }
                (Recorder::Log(appender), Some(end)) => {
                    let (log, lock) = ChangedLog::start(shard, appender, end)?;
                    locks.push(ResultsLock::Log(lock));
                    logs.push(log);
                }
                (Recorder::Log(_), None) => unreachable!("a log has an end"),
            }
        }
        if let Recorder::File(writer) = &mut self.recorder {
            writer.beside = Some(if logs.is_empty() {
                Beside::Changed(files)
            } else {
                Beside::ChangedLogs(logs)
            });
        }
        Ok(ChangedResults(locks))
    }

    /// Closes results to which nothing was added, and removes their side file, unless it marks rows of earlier runs.
    ///
    /// # Errors
    /// Another file has taken the place of the side file, or it cannot be removed; or the store refuses.
    pub async fn close_unchanged(self) -> io::Result<()> {
        let is_settled = self.is_settled();
        let lock = match self.log_end {
            Some(end) => ResultsLock::Log(LogLock::idle(end)),
            None => ResultsLock::File(self.marks, is_settled),
        };
        ChangedResults(vec![lock]).release().await
    }

    /// Returns whether no row of an earlier run is in doubt.
    fn is_settled(&self) -> bool {
        self.completed.interrupted().next().is_none() && self.completed.doubt().is_none()
    }

    /// Returns the length of the whole lines, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.completed.length
    }

    /// Takes the results apart, for the tasks that own the parts.
    #[must_use]
    pub fn into_parts(self) -> (CompletedRows, Keyer, Box<dyn Marks>, Recorder) {
        (self.completed, self.keyer, self.marks, self.recorder)
    }

    /// Reads the rows that earlier runs have settled without a lock and without changing a file, for a run that records
    /// nothing.
    ///
    /// # Errors
    /// Those of [`Results::open`], except for the lock.
    pub fn peek<O: Outcome>(options: &ResultsOptions) -> Result<(CompletedRows, Keyer), OpenError> {
        if let Some(log) = &options.log {
            return log::peek::<O>(options, log);
        }
        let path = &options.path;
        let format = options.format()?;
        let failed = |error| OpenError::Io(path.clone(), error);
        let keyer = Keyer::new(random_key().map_err(failed)?);
        let target = fs::canonicalize(path);
        match target.and_then(|target| files::open(&target, OpenOptions::new().read(true))) {
            Ok(file) => {
                let format = existing_format(options, &file, format)?;
                let absent = InterruptedRun::default();
                let completed = CompletedRows::read(
                    &file,
                    format,
                    options,
                    OutcomeReader::new::<O>(&keyer),
                    absent,
                )?;
                Ok((completed, keyer))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok((CompletedRows::default(), keyer))
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// The lock on results of earlier runs whose rows a job changes. It lasts until this is dropped.
#[derive(Debug)]
pub struct ChangedResults(Vec<ResultsLock>);

#[derive(Debug)]
enum ResultsLock {
    /// The marks, and whether no row of an earlier run is in doubt.
    File(Box<dyn Marks>, bool),
    Log(LogLock),
}

impl ChangedResults {
    /// Removes the side files of the results, unless they mark rows of earlier runs, and ends the logs among them.
    ///
    /// # Errors
    /// Another file has taken the place of one, or it cannot be removed; or the store refuses.
    pub async fn release(self) -> io::Result<()> {
        let mut released = Ok(());
        // All of them, and then the first error.
        for lock in self.0 {
            let one = match lock {
                ResultsLock::File(marks, true) => marks.remove(),
                ResultsLock::File(_, false) => Ok(()),
                ResultsLock::Log(lock) => lock.release().await,
            };
            released = released.and(one);
        }
        released
    }
}

/// The open results of a resolve, with the file of the rows without links beside them.
#[derive(Debug)]
pub struct OpenResolved {
    /// The results. Rows in the other file with a definite answer are done as well; those that have failed are skipped if they are kept.
    pub results: Results,
    /// Keys of the links in the results: all four fields, under the keyer of the results.
    pub links: HashSet<RowKey>,
    /// Rows without links that are asked for again.
    pub left_out: u64,
}

impl OpenResolved {
    /// Locks, repairs and reads the results of a resolve and the file of the rows without links, and creates them if they are absent.
    /// The content of a file that turns out to be another one stays as it is.
    ///
    /// Rows are known by [`Keyer::lookup_key`]. The side file marks no rows: it tells who holds the lock.
    ///
    /// # Errors
    /// Another run has locked the results; a file is another one, or has other columns; one cannot be read or written.
    pub fn open(
        options: &ResultsOptions,
        unresolved: &UnresolvedOptions,
    ) -> Result<Self, OpenError> {
        let path = &options.path;
        let format = Format::of_name(path).ok_or_else(|| OpenError::Format(path.clone()))?;
        let (file, options) = &open_locked::<LinkReader<'_>>(options)?;
        let key = random_key().map_err(|error| OpenError::Io(options.path.clone(), error))?;
        let keyer = Keyer::new(key);
        let lines = LinkReader { keyer: &keyer };
        let (mut completed, groups) = CompletedRows::read_links(file, format, options, lines)?;
        // Rows that are kept there are not asked for again, and are not done.
        let mut unresolved_rows = HashSet::new();
        let (unresolved, left_out) =
            UnresolvedFile::open(unresolved, options.skip_failed, |link, _| {
                let fields = Field::ALL.map(|field| link.get(field).as_bytes());
                unresolved_rows.insert(keyer.lookup_key(fields));
            })?;
        completed.add(groups.done, unresolved_rows);
        let mut results = Results::begin::<LinkReader<'_>>(file, format, options, completed, key)?;
        if let Recorder::File(writer) = &mut results.recorder {
            writer.beside = Some(Beside::Unresolved(unresolved));
        }
        Ok(Self {
            results,
            links: groups.links,
            left_out,
        })
    }
}

/// Opens or creates the results and locks them. Returns the options with their real path: a link to the results shares their side
/// file, so the side file stands beside that.
fn open_locked<R: LineReader>(
    options: &ResultsOptions,
) -> Result<(File, ResultsOptions), OpenError> {
    let (file, path) = open_or_create::<R>(&options.path)?;
    lock(&file, &path)?;
    check_same_file(&path, &file).map_err(|error| OpenError::Io(path.clone(), error))?;
    let options = ResultsOptions {
        path,
        ..options.clone()
    };
    Ok((file, options))
}

fn lock(file: &File, path: &Path) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let holder = Header::read_holder(path).map(Box::new);
            Err(OpenError::Locked(path.to_owned(), holder))
        }
        Err(TryLockError::Error(error)) => Err(OpenError::Io(path.to_owned(), error)),
    }
}

/// Returns the format in which an existing file was begun, whatever the options request now.
fn existing_format(
    options: &ResultsOptions,
    mut file: &File,
    requested: Format,
) -> Result<Format, OpenError> {
    let Some(safe) = requested.for_spreadsheets() else {
        return Ok(requested);
    };
    let mut start = Vec::new();
    let most = safe.prefix().len() as u64;
    file.rewind()
        .and_then(|()| file.take(most).read_to_end(&mut start))
        .map_err(|error| OpenError::Io(options.path.clone(), error))?;
    if start.is_empty() {
        Ok(requested)
    } else if safe.prefix().starts_with(&start) {
        Ok(safe)
    } else if options.spreadsheet_safe {
        let why = "it was begun without --spreadsheet-safe".to_owned();
        Err(OpenError::Foreign(options.path.clone(), why))
    } else {
        Ok(requested)
    }
}

/// Reads the side file of the results, also under the name that they had before they were renamed; then returns that path too.
fn find_interrupted_run(
    side_file: &Path,
    results: &File,
) -> Result<(InterruptedRun, Option<PathBuf>), OpenError> {
    let run = InterruptedRun::read(side_file, results)?;
    if run.is_absent()
        && let Some((renamed, found)) = InterruptedRun::under_another_name(side_file, results)
    {
        return Ok((found, Some(renamed)));
    }
    Ok((run, None))
}

/// Makes the file private, cuts off a torn last line, and writes the header of a new file. Returns the bytes that were cut off,
/// and the mode before, if others could read the rows.
fn repair<R: LineReader>(
    mut file: &File,
    options: &ResultsOptions,
    format: Format,
    completed: &mut CompletedRows,
) -> Result<(u64, Option<u32>), OpenError> {
    let failed = |error| OpenError::Io(options.path.clone(), error);
    let made_private = files::make_private(file).map_err(|error| {
        let why = format!(
            "it names people and cannot be made private: {error}. Name a place that keeps permissions with {}",
            R::OPTION
        );
        OpenError::Refused(options.path.clone(), why)
    })?;
    let length = file.metadata().map_err(failed)?.len();
    let mode_before = made_private.filter(|_| length > 0);
    let cut = length - completed.length;
    if cut > 0 {
        file.set_len(completed.length).map_err(failed)?;
    }
    file.seek(SeekFrom::End(0)).map_err(failed)?;
    if completed.length == 0 {
        let header = format.header_of(completed.edition, &options.carry);
        file.write_all(&header).map_err(failed)?;
        completed.length = header.len() as u64;
    }
    file.sync_all().map_err(failed)?;
    Ok((cut, mode_before))
}

/// Creates the results, or opens existing ones, for reading and appending. The file names people, so it is private to the user.
/// Returns the file with its real path, which leads through no link.
fn open_or_create<R: LineReader>(path: &Path) -> Result<(File, PathBuf), OpenError> {
    let failed = |error| OpenError::Io(path.to_owned(), error);
    let (file, target) = match files::create(path) {
        Ok(file) => (file, fs::canonicalize(path).map_err(failed)?),
        // Another run may have created it just now.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_existing::<R>(path)?,
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !files::is_mine(&metadata) {
        let why = format!(
            "it belongs to another user (uid {}). Run as that user, or name another file with {}",
            metadata.uid(),
            R::OPTION
        );
        return Err(OpenError::Refused(path.to_owned(), why));
    }
    Ok((file, target))
}

fn open_existing<R: LineReader>(path: &Path) -> Result<(File, PathBuf), OpenError> {
    let failed = |error| OpenError::Io(path.to_owned(), error);
    let refused = |why: String| OpenError::Refused(path.to_owned(), why);
    let metadata = fs::symlink_metadata(path).map_err(failed)?;
    let target = match fs::canonicalize(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refused(format!(
                "it is a symbolic link to a file that does not exist. Name that file itself with {}",
                R::OPTION
            )));
        }
        target => target.map_err(failed)?,
    };
    let mut options = OpenOptions::new();
    let file = match files::open(&target, options.read(true).append(true)) {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            return Err(refused(format!("{error}. Name another with {}", R::OPTION)));
        }
        file => file.map_err(failed)?,
    };
    let is_empty = file.metadata().map_err(failed)?.len() == 0;
    if metadata.is_symlink() && is_empty && !may_begin_behind(path, &metadata).map_err(failed)? {
        return Err(refused(format!(
            "it is a symbolic link to an empty file, in a folder where others may have put it. Name that file itself with {}",
            R::OPTION
        )));
    }
    Ok((file, target))
}

/// Returns whether results may be begun in the empty file behind a link. A link that another user could have made may lead to
/// any empty file.
fn may_begin_behind(path: &Path, link: &fs::Metadata) -> io::Result<bool> {
    let folder = fs::metadata(folder_of(path))?;
    Ok(files::is_mine(link) && files::is_mine_alone(&folder))
}

#[cfg(test)]
#[path = "resolved_tests.rs"]
mod resolved_tests;
