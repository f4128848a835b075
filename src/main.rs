//! The program: parse, settings, run, exit code.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::process::ExitCode;

use clap::CommandFactory;
use cognito_unlink::cli::{
    Argument, Cli, Command, EmulatorArgs, LogFormat, PlanArgs, RunArgs, SingleArgs, plain_words,
};
use cognito_unlink::error::{Error, Exit};
use cognito_unlink::report::{complaint, log, notice};
use cognito_unlink::settings::Settings;
use cognito_unlink::{plan, rehearsal, run, single};
use mimalloc::MiMalloc;
use tokio::runtime::{Builder, Runtime};

/// A call takes some three hundred allocations, and many are freed by another thread: with the system's allocator threads wait
/// for each other, and a run does a quarter less. Without huge pages, which it would take twice the memory with.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let words = match plain_words(std::env::args_os().collect()) {
        Ok(words) => words,
        Err(misread) => {
            notice(&format!(
                "error: {}\n\nFor more information, try 'cognito-unlink unlink-developer-identity help'.",
                misread.message
            ));
            return ExitCode::from(misread.code);
        }
    };
    let (cli, options) = Cli::told(words);
    let ended = match cli.command {
        Command::Run(args) => run_rows(*args, &options),
        Command::Plan(args) => plan_rows(*args, &options),
        Command::UnlinkDeveloperIdentity(args) => unlink_one(*args),
        Command::Emulator(args) => emulate(*args),
        Command::Completions { shell } => print(|out| {
            clap_complete::generate(shell, &mut Cli::command(), "cognito-unlink", out);
            Ok(())
        }),
        Command::Man { command } => manual(command.as_deref()),
    };
    let exit = ended.unwrap_or_else(|error| {
        complaint(&error.to_string());
        error.exit
    });
    ExitCode::from(exit.code())
}

/// Prints a manual page: the program's, which names the commands' as `cognito-unlink-run(1)`, or that of a command.
fn manual(command: Option<&str>) -> Result<Exit, Error> {
    let mut program = Cli::command();
    // Only then do the commands know what they are called.
    program.build();
    let page = match command {
        None => Some(program),
        Some(name) => program.find_subcommand(name).cloned(),
    };
    let page = page.ok_or_else(|| {
        Error::usage("there is no such command").hint("`cognito-unlink --help` lists them.")
    })?;
    print(|out| clap_mangen::Man::new(page).render(out))
}

fn plan_rows(args: PlanArgs, options: &[Argument]) -> Result<Exit, Error> {
    let json = args.run.json;
    let _ = log::start(args.run.verbose, args.run.log_format == LogFormat::Json);
    let plan = runtime()?.block_on(plan::plan(args, options, command_line()))?;
    let text = if json {
        plan.json() + "\n"
    } else {
        plan.text()
    };
    print(|out| out.write_all(text.as_bytes()))?;
    Ok(plan.exit())
}

fn run_rows(args: RunArgs, options: &[Argument]) -> Result<Exit, Error> {
    let command = command_line();
    let bar = log::start(args.verbose, args.log_format == LogFormat::Json);
    let runtime = runtime()?;
    let settings = match args.plan {
        Some(_) => runtime.block_on(plan::take_over(&args, options, command))?,
        None => Settings::new(args, command)?,
    };
    let json = settings.json;
    // As a task beside the workers: on this thread, every event of the run would cost a switch from theirs to it and back.
    let report = match runtime.block_on(runtime.spawn(run::run(settings, bar))) {
        Ok(report) => report?,
        Err(panicked) => resume_unwind(panicked.into_panic()),
    };
    let text = if json {
        report.json() + "\n"
    } else {
        report.text()
    };
    print(|out| out.write_all(text.as_bytes()))?;
    Ok(report.exit)
}

/// What was typed, to be shown. A file's name may be no text; the file itself is opened by what was typed.
fn command_line() -> Vec<String> {
    std::env::args_os()
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// Its errors stand by themselves behind an empty line, as those of the AWS CLI do: scripts look for their beginnings.
fn unlink_one(args: SingleArgs) -> Result<Exit, Error> {
    // One call needs no second thread.
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(cannot_start)?;
    match runtime.block_on(single::run(args)) {
        Ok(text) => print(|out| out.write_all(text.as_bytes())),
        Err(error) => {
            notice(&format!("\n{error}"));
            Ok(error.exit)
        }
    }
}

fn emulate(args: EmulatorArgs) -> Result<Exit, Error> {
    runtime()?.block_on(rehearsal::serve(args, |url| {
        print(|out| writeln!(out, "{url}")).map(|_| ())
    }))
}

fn runtime() -> Result<Runtime, Error> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(cannot_start)
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "it is what `map_err` hands over"
)]
fn cannot_start(error: io::Error) -> Error {
    Error::usage(format!("the runtime cannot start: {error}"))
}

/// Writes to standard output. Whoever has closed it wants no more, which is no error.
fn print(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> Result<Exit, Error> {
    let mut text = Vec::new();
    let written = write(&mut text).and_then(|()| {
        let mut out = io::stdout().lock();
        out.write_all(&text)?;
        out.flush()
    });
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::new(
            Exit::Halted,
            format!("standard output cannot be written: {error}"),
        )),
        _ => Ok(Exit::Done),
    }
}
