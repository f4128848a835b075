//! The program: arguments, settings, command, exit code.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, Write};
use std::panic;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::{
    self, Argument, Cli, Command, EmulatorArgs, LogFormat, MergeArgs, PlanArgs, ProgressStyle,
    RelinkArgs, ReportArgs, ResolveArgs, RunArgs, SingleArgs, VerifyArgs,
};
use crate::emulator::command as emulator_command;
use crate::error::{Error, Exit};
use crate::jobs::unlink::{self, Opened, UnlinkOutcome};
use crate::jobs::{relink, resolve, verify};
use crate::os_limits;
use crate::overview::PageFile;
use crate::report::{Report, Style, complaint, log, notice, refusal};
use crate::settings::{RelinkSettings, ResolveSettings, Settings, VerifySettings, progress_style};
use crate::stderr::{self, Kind};
use crate::supervisor::{Supervisor, end_unsupervised, write_out};
use crate::verdict::Outcome;
use crate::{aws_cli, overview, plan};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// Runs the program, and returns its exit code.
pub(crate) fn main() -> ExitCode {
    panic::set_hook(Box::new(print_panic));
    let _flush = PanicFlush;
    os_limits::raise_open_files();
    let (cli, options) = Cli::parse_with_options();
    let exit = match cli.command {
        Command::Run(args) => supervised(|supervisor| run_rows(supervisor, *args, options)),
        Command::Resolve(args) => supervised(|supervisor| resolve_rows(supervisor, *args)),
        Command::Verify(args) => supervised(|supervisor| verify_rows(supervisor, *args)),
        Command::Report(args) => supervised(|supervisor| report_on(supervisor, *args)),
        Command::Merge(args) => supervised(|supervisor| merge_results(supervisor, &args)),
        Command::Relink(args) => supervised(|supervisor| relink_rows(supervisor, *args)),
        Command::Plan(args) => supervised(|supervisor| plan_rows(supervisor, *args, options)),
        Command::Emulator(args) => supervised(|supervisor| emulate(supervisor, *args)),
        Command::UnlinkDeveloperIdentity(args) => unsupervised(|| unlink_one(*args)),
        Command::Completions { shell } => {
            unsupervised(|| print(|out| out.write_all(cli::completions(shell).as_bytes())))
        }
        Command::Man { command } => unsupervised(|| manual(command.as_deref())),
    };
    ExitCode::from(exit.code())
}

/// Runs a command that, on a signal, finishes what it has begun.
fn supervised(command: impl FnOnce(&mut Supervisor) -> Result<Exit, Error>) -> Exit {
    // Before the first file is opened.
    match Supervisor::new() {
        Ok(mut supervisor) => {
            let exit = command(&mut supervisor).unwrap_or_else(report_error);
            supervisor.end();
            exit
        }
        Err(error) => unsupervised(|| Err(error)),
    }
}

/// Runs a command that a signal may end at any time.
fn unsupervised(command: impl FnOnce() -> Result<Exit, Error>) -> Exit {
    let exit = command().unwrap_or_else(report_error);
    end_unsupervised();
    exit
}

fn report_error(error: Error) -> Exit {
    let error = os_limits::blame(error);
    complaint(&error.to_string());
    log::causes(&error);
    error.exit
}

/// Prints a panic as the standard library does, but through the thread that writes standard error: a panicking thread must not
/// block.
fn print_panic(panic: &panic::PanicHookInfo<'_>) {
    if is_refused_thread(panic) {
        // The runtime reports this only by a panic. Unwinding would wait for threads that were never started, so the process exits
        // here. Calls in flight are marked, as for any sudden end.
        let exit = report_error(os_limits::no_thread());
        end_unsupervised();
        #[expect(clippy::exit, reason = "there is no thread to end in an orderly way")]
        std::process::exit(exit.code().into());
    }
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let mut text = format!("thread '{name}' {panic}");
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        text = format!("{text}\nstack backtrace:\n{trace}");
    }
    stderr::line(Kind::Notice, &text);
}

/// Returns whether tokio panics because the operating system refuses it a thread.
fn is_refused_thread(panic: &panic::PanicHookInfo<'_>) -> bool {
    let payload = panic.payload();
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    text.is_some_and(|text| text.starts_with("OS can't spawn worker thread"))
}

/// Waits, if the program ends by a panic, until the panic has been printed.
struct PanicFlush;

impl Drop for PanicFlush {
    fn drop(&mut self) {
        if std::thread::panicking() {
            end_unsupervised();
        }
    }
}

/// Prints a man page: of the program, or of a command.
fn manual(command: Option<&str>) -> Result<Exit, Error> {
    let page = cli::man_page(command).ok_or_else(|| {
        Error::usage("there is no such command").hint("`cognito-unlink --help` lists them.")
    })?;
    print(|out| out.write_all(page.as_bytes()))
}

fn plan_rows(
    supervisor: &mut Supervisor,
    args: PlanArgs,
    options: Vec<Argument>,
) -> Result<Exit, Error> {
    let json = args.run.job.json;
    log::start(
        args.run.job.verbose,
        args.run.job.log_format == LogFormat::Json,
    );
    let plan = supervisor
        .prepare(move || async move { Box::pin(plan::plan(args, &options, command_line())).await });
    // A plan may be stopped at any point.
    let plan = plan.inspect_err(|_| {
        stderr::bar(None);
        plan::remove_unfinished();
    })?;
    let text = if json {
        plan.json() + "\n"
    } else {
        plan.text()
    };
    supervisor.print(text)?;
    Ok(plan.exit())
}

fn run_rows(
    supervisor: &mut Supervisor,
    args: RunArgs,
    options: Vec<Argument>,
) -> Result<Exit, Error> {
    let json = args.job.json;
    log::start(args.job.verbose, args.job.log_format == LogFormat::Json);
    let style = progress_style(args.job.progress, args.job.log_format);
    let page = args.report.clone();
    // Before the first call: a page that cannot be written is found at once.
    let page = page
        .map(|path| PageFile::check("report", &path))
        .transpose();
    let report = page.and_then(|page| {
        let mut report = report_of(supervisor, args, options)?;
        if let (Some(page), Some(results)) = (page, &report.results) {
            report.page = write_page(supervisor, page, results.clone(), style, report.exit);
        }
        Ok(report)
    });
    finish(supervisor, report, json)
}

/// Time for the page after a signal: the sender waits for the end of the program.
const PAGE_AFTER_SIGNAL: Duration = Duration::from_secs(2);

/// Writes the page that reports on the results, and returns its path. A run whose page cannot be written ends as it would without one.
fn write_page(
    supervisor: &mut Supervisor,
    page: PageFile,
    results: PathBuf,
    style: Style,
    exit: Exit,
) -> Option<PathBuf> {
    let is_signalled = matches!(exit, Exit::HungUp | Exit::Interrupted | Exit::Terminated);
    let (path, command) = (page.path().to_owned(), page.command(&results));
    let written = supervisor.prepare(move || async move {
        let writing = spawn_blocking(move || overview::write_page(&results, &page, style));
        let limit = if is_signalled {
            PAGE_AFTER_SIGNAL
        } else {
            Duration::MAX
        };
        match timeout(limit, writing).await {
            Ok(Ok(written)) => written,
            Ok(Err(panicked)) => Err(Error::new(Exit::Halted, panicked.to_string())),
            Err(_) => Err(Error::new(exit, "there was no time for the report")),
        }
    });
    match written {
        Ok(()) => Some(path),
        Err(error) => {
            notice(&format!(
                "Warning: {error}. It can be written with: {command}"
            ));
            None
        }
    }
}

/// Prints the report on a job, or the reason why it could not begin.
fn finish<O: Outcome>(
    supervisor: &mut Supervisor,
    report: Result<Report<O>, Error>,
    json: bool,
) -> Result<Exit, Error> {
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let error = os_limits::blame(error);
            let refused = refusal(&error) + "\n";
            let exit = report_error(error);
            // After a signal nothing may block, and standard output may block on its reader forever.
            if json && !matches!(exit, Exit::HungUp | Exit::Interrupted | Exit::Terminated) {
                supervisor.print(refused)?;
            }
            return Ok(exit);
        }
    };
    let text = if json {
        report.json() + "\n"
    } else {
        report.text()
    };
    report.write_reason(json);
    supervisor.print(text)?;
    Ok(report.exit)
}

fn resolve_rows(supervisor: &mut Supervisor, args: ResolveArgs) -> Result<Exit, Error> {
    let json = args.job.json;
    log::start(args.job.verbose, args.job.log_format == LogFormat::Json);
    let opened = supervisor.prepare(move || async move {
        resolve::open(ResolveSettings::new(args, command_line())?).await
    });
    let report = opened.and_then(|run| supervisor.run(|signals| run.drive(signals)));
    finish(supervisor, report, json)
}

fn verify_rows(supervisor: &mut Supervisor, args: VerifyArgs) -> Result<Exit, Error> {
    let json = args.job.json;
    log::start(args.job.verbose, args.job.log_format == LogFormat::Json);
    let opened = supervisor.prepare(move || async move {
        verify::open(VerifySettings::new(args, command_line())?).await
    });
    let report = opened.and_then(|run| supervisor.run(|signals| run.drive(signals)));
    finish(supervisor, report, json)
}

fn report_on(supervisor: &mut Supervisor, args: ReportArgs) -> Result<Exit, Error> {
    let finished = supervisor.prepare(move || async move { overview::report(&args) });
    let finished = finished.inspect_err(|_| overview::remove_unfinished())?;
    supervisor.print(finished.text)?;
    Ok(finished.exit)
}

fn merge_results(supervisor: &mut Supervisor, args: &MergeArgs) -> Result<Exit, Error> {
    let (shards, out) = (args.shards.clone(), args.out.clone());
    let style = progress_style(ProgressStyle::Auto, LogFormat::Text);
    let merged = supervisor.prepare(move || async move { overview::merge(&shards, &out, style) });
    let merged = merged.inspect_err(|_| overview::remove_unfinished())?;
    supervisor.print(merged.text)?;
    Ok(merged.exit)
}

fn relink_rows(supervisor: &mut Supervisor, args: RelinkArgs) -> Result<Exit, Error> {
    let json = args.job.json;
    log::start(args.job.verbose, args.job.log_format == LogFormat::Json);
    let opened = supervisor.prepare(move || async move {
        relink::open(RelinkSettings::new(args, command_line())?).await
    });
    let report = opened.and_then(|run| supervisor.run(|signals| run.drive(signals)));
    finish(supervisor, report, json)
}

/// Carries out `run`, and returns its report.
fn report_of(
    supervisor: &mut Supervisor,
    args: RunArgs,
    options: Vec<Argument>,
) -> Result<Report<UnlinkOutcome>, Error> {
    let prepared = supervisor.prepare(move || async move {
        let command = command_line();
        let settings = match args.plan {
            Some(_) => plan::take_over(&args, &options, command).await?,
            None => Settings::new(args, command)?,
        };
        unlink::open(settings).await
    })?;
    match prepared {
        Opened::Report(report) => Ok(*report),
        Opened::Run(run) => supervisor.run(|signals| run.drive(signals)),
    }
}

/// Returns the command as typed, to be shown. A file name need not be UTF-8; the file itself is opened by the bytes typed.
fn command_line() -> Vec<String> {
    std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// Makes a single call. Errors are printed after an empty line, as by the AWS CLI: scripts match how they begin.
fn unlink_one(args: SingleArgs) -> Result<Exit, Error> {
    // DNS look-ups and standard error take a thread each.
    os_limits::try_threads(2).map_err(|error| error.with_exit(Exit::CallFailed))?;
    // One call needs no other thread.
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Error::usage(format!("the runtime cannot start: {error}")))?;
    match runtime.block_on(aws_cli::run(args)) {
        Ok(text) => print(|out| out.write_all(text.as_bytes())),
        Err(error) => {
            notice(&format!("\n{error}"));
            Ok(error.exit)
        }
    }
}

fn emulate(supervisor: &mut Supervisor, args: EmulatorArgs) -> Result<Exit, Error> {
    let emulator = supervisor.prepare(move || async move { emulator_command::start(args) })?;
    supervisor.print(emulator.url() + "\n")?;
    supervisor.wait();
    emulator_command::print_counters(&emulator.counters());
    Ok(Exit::Done)
}

/// Writes to standard output.
fn print(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<Exit, Error> {
    let mut text = Vec::new();
    write(&mut text).map_err(|error| {
        Error::new(
            Exit::Halted,
            format!("standard output cannot be written: {error}"),
        )
    })?;
    write_out(&text).map(|()| Exit::Done)
}
