//! The program: parse, settings, run, exit code.

use std::io::{self, Write};
use std::panic::resume_unwind;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cognito_unlink::cli::{Cli, Command, EmulatorArgs, RunArgs};
use cognito_unlink::error::{Error, Exit};
use cognito_unlink::report::notice;
use cognito_unlink::settings::Settings;
use cognito_unlink::{rehearsal, run};
use mimalloc::MiMalloc;
use tokio::runtime::{Builder, Runtime};

/// A call takes some three hundred allocations, and many are freed by another thread: with the system's allocator threads wait
/// for each other, and a run does a quarter less. Without huge pages, which it would take twice the memory with.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(args) => run_rows(*args),
        Command::Emulator(args) => emulate(*args),
        Command::Completions { shell } => print(|out| {
            clap_complete::generate(shell, &mut Cli::command(), "cognito-unlink", out);
            Ok(())
        }),
        Command::Man => print(|out| clap_mangen::Man::new(Cli::command()).render(out)),
    };
    let exit = ended.unwrap_or_else(|error| {
        notice(&format!("error: {error}"));
        error.exit
    });
    ExitCode::from(exit.code())
}

fn run_rows(args: RunArgs) -> Result<Exit, Error> {
    let settings = Settings::new(args, std::env::args().collect())?;
    let json = settings.json;
    let runtime = runtime()?;
    // As a task beside the workers: on this thread, every event of the run would cost a switch from theirs to it and back.
    let report = match runtime.block_on(runtime.spawn(run::run(settings))) {
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

fn emulate(args: EmulatorArgs) -> Result<Exit, Error> {
    runtime()?.block_on(rehearsal::serve(args, |url| {
        print(|out| writeln!(out, "{url}")).map(|_| ())
    }))
}

fn runtime() -> Result<Runtime, Error> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::usage(format!("the runtime cannot start: {error}")))
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
