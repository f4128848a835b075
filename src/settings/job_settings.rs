//! The arguments of `resolve`, `verify` and `relink`, resolved.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::{Arguments, RecordArgs};
use super::mode::Mode;
use super::results_files::{find_results, named_after};
use super::results_path::{relinked_path, resolved_path, unresolved_path, verified_path};
use super::run_settings::{Settings, objects_for, progress_style};
use crate::cli::{InputArgs, JobArgs, RelinkArgs, ResolveArgs, VerifyArgs};
use crate::error::Error;
use crate::exit_policy;
use crate::input::{self, Format};
use crate::objects::ObjectUri;
use crate::results::{self, LogOptions, ResultsFiles, ResultsOptions};
use crate::row::{Field, Required};

/// The settings of `resolve`.
#[derive(Debug, Clone)]
pub struct ResolveSettings {
    /// Those that every job has. The results are the file of links.
    pub job: Settings,
    /// The file of the rows without a link.
    pub unresolved: PathBuf,
    /// Format of the first input.
    pub format: Format,
    /// Maximum number of users that an identity may have.
    pub max_users: usize,
}

impl ResolveSettings {
    /// Resolves the arguments of `resolve`.
    ///
    /// # Errors
    /// They contradict each other, or what they name.
    pub fn new(args: ResolveArgs, command: Vec<String>) -> Result<Self, Error> {
        let arguments = Arguments {
            inputs: args.inputs,
            beside: None,
            input: args.input,
            hold: args.hold,
            job: args.job,
            record: RecordArgs {
                columns: &results::RESOLVED_COLUMNS,
                path: args.out,
                skip_failed: args.skip_failed,
                again: false,
                last_login_named: true,
                durable: false,
                spreadsheet_safe: false,
                take_over_after: None,
            },
        };
        let mut job = Settings::resolve(arguments, Mode::Real, command, |path, inputs| {
            resolved_path(path, inputs).map(Some)
        })?;
        job.input.required = Required::LookupKey;
        let first = job.inputs.first();
        let first = first.ok_or_else(|| Error::usage("there is no input"))?;
        let format = input::format_of(first, &job.input).map_err(exit_policy::unreadable)?;
        let resolved = job.results.as_ref().map(|results| &results.path);
        let unresolved =
            unresolved_path(&resolved.cloned().unwrap_or_default(), format.rest_ending());
        Ok(Self {
            job,
            unresolved,
            format,
            max_users: usize::try_from(args.max_users.get()).unwrap_or(usize::MAX),
        })
    }
}

/// Time without a sign of a relink after which another run may take over the results: that of runs, unless they say otherwise.
const TAKE_OVER_AFTER: Duration = Duration::from_secs(45);

/// Finds the results that an argument names.
fn results_files(argument: &Path, job: &JobArgs) -> Result<ResultsFiles, Error> {
    let style = progress_style(job.progress, job.log_format);
    find_results(argument, &objects_for(job), style)
}

/// The settings of `verify`.
#[derive(Debug, Clone)]
pub struct VerifySettings {
    /// Those that every job has. The results are the record of what is found.
    pub job: Settings,
    /// The results that are verified, as they were named.
    pub verified: PathBuf,
    /// Their files.
    pub files: ResultsFiles,
    /// Number of done rows to look at; `None` looks at all.
    pub sample: Option<u64>,
    /// The number that the sample is drawn by, if it is given.
    pub seed: Option<u64>,
    /// The file of users who must still be linked.
    pub still_linked: Option<PathBuf>,
}

impl VerifySettings {
    /// Resolves the arguments of `verify`.
    ///
    /// # Errors
    /// They contradict each other, or what they name.
    pub fn new(args: VerifyArgs, command: Vec<String>) -> Result<Self, Error> {
        let files = results_files(&args.results, &args.job)?;
        let named_after = named_after(&args.results, &files);
        let arguments = Arguments {
            inputs: Vec::new(),
            beside: Some(named_after.clone()),
            input: InputArgs::default(),
            hold: Vec::new(),
            job: args.job,
            record: RecordArgs::about_results(args.out),
        };
        let job = Settings::resolve(arguments, Mode::Real, command, |path, _| {
            Ok(Some(path.unwrap_or_else(|| verified_path(&named_after))))
        })?;
        Ok(Self {
            job,
            verified: args.results,
            files,
            sample: (!args.all).then(|| args.sample.get()),
            seed: args.seed,
            still_linked: args.still_linked,
        })
    }

    /// Returns the options for reading the users who must still be linked.
    #[must_use]
    pub fn still_linked_options(&self) -> input::ReadOptions {
        input::ReadOptions {
            required: Required::LookupKey,
            list_column: Some(Field::DeveloperUserIdentifier.name().to_owned()),
            ..self.job.input.clone()
        }
    }
}

/// The settings of `relink`.
#[derive(Debug, Clone)]
pub struct RelinkSettings {
    /// Those that every job has. The results are the record of what is done; the lists that hold rows are those of `--erasure`.
    pub job: Settings,
    /// The results whose rows are relinked, as they were named.
    pub results: PathBuf,
    /// Their files.
    pub files: ResultsFiles,
    /// The rows.
    pub which: Relinked,
    /// Rows that are `unlinked_reply_lost` are relinked too.
    pub includes_reply_lost: bool,
}

/// The rows that `relink` brings back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relinked {
    /// Those in this file.
    Only(PathBuf),
    /// Those that this run has unlinked.
    OfRun(String),
    /// All that are unlinked.
    All,
}

impl RelinkSettings {
    /// Resolves the arguments of `relink`.
    ///
    /// # Errors
    /// They contradict each other, or what they name.
    pub fn new(args: RelinkArgs, command: Vec<String>) -> Result<Self, Error> {
        let which = match (args.only, args.run_id) {
            (Some(file), _) => Relinked::Only(file),
            (None, Some(id)) => Relinked::OfRun(id),
            (None, None) => Relinked::All,
        };
        let files = results_files(&args.results, &args.job)?;
        let named_after = named_after(&args.results, &files);
        let arguments = Arguments {
            inputs: Vec::new(),
            beside: Some(named_after.clone()),
            input: args.input,
            hold: Vec::new(),
            job: args.job,
            record: RecordArgs::about_results(args.out),
        };
        let mut job = Settings::resolve(arguments, Mode::Real, command, |path, _| {
            Ok(Some(path.unwrap_or_else(|| relinked_path(&named_after))))
        })?;
        // Held users may be relinked; a hold list of the configuration does not count.
        job.guards.holds = args.erasure;
        job.confirmed = args.yes;
        Ok(Self {
            job,
            results: args.results,
            files,
            which,
            includes_reply_lost: args.include_reply_lost,
        })
    }

    /// Returns the options of the log that this file is a copy of, if it is one. It is held as by a run.
    #[must_use]
    pub fn log_of(&self, file: &Path) -> Option<LogOptions> {
        self.files.copied.as_ref()?;
        let name = self.files.name_of(file);
        Some(LogOptions {
            objects: self.job.input.objects.clone(),
            prefix: ObjectUri::of(name.as_ref()),
            concurrency: self.job.limits.concurrency.get() as usize,
            take_over_after: TAKE_OVER_AFTER,
            give_up_after: self.job.policy.give_up_after,
            waits_for_credentials: self.job.policy.wait_for_credentials,
        })
    }

    /// Returns the options of the record.
    ///
    /// # Panics
    /// Never: `relink` always names a record.
    #[must_use]
    pub fn record_options(&self) -> ResultsOptions {
        let record = self.job.results.clone();
        record.expect("a relink has a record")
    }
}
