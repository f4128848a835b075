//! Starts the executable, and waits for it and for what it has sent.

use std::fs::{self, File};
use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use cognito_unlink::testing::emulator::Emulator;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Time limit of every wait. No step takes half as long, even on a busy machine; one that does is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The running executable. Its output goes to files.
pub(crate) struct Program {
    child: Child,
    ended: Receiver<()>,
    /// The reading end of its standard error, held open and never read.
    _unread: Option<PipeReader>,
}

/// An adversity of a run, besides faults and kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hardship {
    None,
    /// Standard error is a full pipe without a reader.
    BlockedStandardError,
    /// Credentials come from a slow command, and expire within seconds.
    SlowCredentials,
}

impl Program {
    /// Starts a command of `cognito-unlink` with `args` in `directory`, in an empty environment. Its output goes to files of this name.
    pub(crate) fn start(
        directory: &Path,
        job: &str,
        name: &str,
        args: &[String],
        hardship: Hardship,
    ) -> Self {
        Self::start_with(directory, job, name, args, hardship, &[])
    }

    /// Starts a command as [`Self::start`] does, with these further variables in its environment.
    pub(crate) fn start_with(
        directory: &Path,
        job: &str,
        name: &str,
        args: &[String],
        hardship: Hardship,
        environment: &[(&str, &str)],
    ) -> Self {
        let file = |stream: &str| {
            let path = directory.join(format!("{name}.{stream}"));
            Stdio::from(File::create(path).expect("a file"))
        };
        let mut stderr = (file("stderr"), None);
        if hardship == Hardship::BlockedStandardError {
            let (unread, full) = full_pipe();
            stderr = (Stdio::from(full), Some(unread));
        }
        let (stderr, unread) = stderr;
        let mut command = Command::new(env!("CARGO_BIN_EXE_cognito-unlink"));
        command
            .current_dir(directory)
            .env_clear()
            .env("HOME", directory)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .arg(job)
            .args(args)
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(stderr);
        if hardship == Hardship::SlowCredentials {
            command
                .env("AWS_CONFIG_FILE", slow_credentials(directory))
                .env("PATH", "/usr/bin:/bin");
        } else {
            command
                .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
                .env("AWS_SECRET_ACCESS_KEY", "secret");
        }
        command.envs(environment.iter().copied());
        let child = command.spawn().expect("the program starts");
        let pid = Pid::from_child(&child);
        let (sender, ended) = sync_channel(1);
        thread::spawn(move || {
            // It stays a zombie until `end` reaps it, so that its process id is not used again before.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(pid), options)
                .is_err_and(|error| error == rustix::io::Errno::INTR)
            {}
            let _ = sender.send(());
        });
        Self {
            child,
            ended,
            _unread: unread,
        }
    }

    /// Returns true if it has ended. After that, not to be called again.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.try_recv().is_ok()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is ours");
    }

    /// Waits until it has ended, for at most `timeout`. Returns true if it has. After that, not to be called again.
    pub(crate) fn wait_for_end(&self, timeout: Duration) -> bool {
        self.ended.recv_timeout(timeout).is_ok()
    }

    /// Waits for its end, unless `has_ended` has returned true, and returns its status.
    pub(crate) fn end(mut self, has_ended: bool) -> Result<ExitStatus, String> {
        if !has_ended && self.ended.recv_timeout(PATIENCE).is_err() {
            let _ = self.child.kill();
            return Err("the program is stuck".to_owned());
        }
        Ok(self.child.wait().expect("it is ours"))
    }
}

/// Returns a pipe that is full.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().expect("a pipe");
    let flags = fcntl_getfl(&writer).expect("flags");
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).expect("flags");
    while writer.write(&[b'.'; 4096]).is_ok() {}
    fcntl_setfl(&writer, flags).expect("flags");
    (reader, writer)
}

/// Writes an AWS configuration file with a `credential_process` that is slow, and whose credentials expire within seconds.
fn slow_credentials(directory: &Path) -> PathBuf {
    let (config, command) = (directory.join("config"), directory.join("vend"));
    let vend = "#!/bin/sh\nsleep 0.05\nt=$(date -u -d '+4 seconds' +%Y-%m-%dT%H:%M:%SZ)\n\
                echo '{\"Version\":1,\"AccessKeyId\":\"AKIDEXAMPLE\",\"SecretAccessKey\":\"secret\",\"SessionToken\":\"t\",\"Expiration\":\"'$t'\"}'\n";
    fs::write(&command, vend).expect("written");
    let command = command.display();
    let text = format!("[default]\ncredential_process = /bin/sh {command}\n");
    fs::write(&config, text).expect("written");
    config
}

/// Returns what a run wrote to one of its streams; nothing if that was a pipe.
pub(crate) fn output(directory: &Path, name: &str, stream: &str) -> String {
    let bytes = fs::read(directory.join(format!("{name}.{stream}"))).expect("a file");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits until the emulator has read everything that an ended program sent, and has closed its connections. Otherwise its calls could
/// be taken for those of the next run.
pub(crate) fn settle(emulator: &Emulator) -> Result<(), String> {
    let address = emulator.url().replace("http://", "");
    // The emulator accepts this request after all connections of the program. Its reply may overtake calls that were just
    // accepted; the reply to a second request does not.
    for _ in 0..2 {
        let mut answer = Vec::new();
        TcpStream::connect(&address)
            .and_then(|mut stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                write!(
                    stream,
                    "GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
                )?;
                stream.read_to_end(&mut answer)
            })
            .map_err(|error| format!("the emulator does not answer: {error}"))?;
    }
    let is_settled = emulator.wait_until(PATIENCE, |counters| counters.in_flight == 0);
    is_settled
        .then_some(())
        .ok_or_else(|| "calls go on after the program's end".to_owned())
}
