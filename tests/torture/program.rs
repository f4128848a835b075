//! One run of the executable.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};

/// Nothing takes half as long, even on a busy machine; what does is stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The executable under way. What it says goes to files.
pub(crate) struct Program {
    child: Child,
    ended: Receiver<()>,
}

impl Program {
    /// Starts `run` with `args` in `directory`, with an environment that holds nothing of the machine's.
    pub(crate) fn start(directory: &Path, name: &str, args: &[String]) -> Self {
        let said = |stream: &str| {
            let path = directory.join(format!("{name}.{stream}"));
            Stdio::from(File::create(path).expect("a file"))
        };
        let child = Command::new(env!("CARGO_BIN_EXE_cognito-unlink"))
            .current_dir(directory)
            .env_clear()
            .env("HOME", directory)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "secret")
            .arg("run")
            .args(args)
            .stdin(Stdio::null())
            .stdout(said("stdout"))
            .stderr(said("stderr"))
            .spawn()
            .expect("the program starts");
        let pid = Pid::from_child(&child);
        let (tell, ended) = sync_channel(1);
        thread::spawn(move || {
            // It stays a zombie until `ended` fetches it, so its number cannot be another's meanwhile.
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while waitid(WaitId::Pid(pid), options)
                .is_err_and(|error| error == rustix::io::Errno::INTR)
            {}
            let _ = tell.send(());
        });
        Self { child, ended }
    }

    /// Whether it has ended. Once it has, it need not be asked again.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.try_recv().is_ok()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is ours");
    }

    /// Waits for its end, if it has not been seen yet.
    pub(crate) fn end(mut self, seen: bool) -> Result<ExitStatus, String> {
        if !seen && self.ended.recv_timeout(PATIENCE).is_err() {
            let _ = self.child.kill();
            return Err("the program is stuck".to_owned());
        }
        Ok(self.child.wait().expect("it is ours"))
    }
}

/// What a run said on one of its streams.
pub(crate) fn said(directory: &Path, name: &str, stream: &str) -> String {
    let bytes = fs::read(directory.join(format!("{name}.{stream}"))).expect("a file");
    String::from_utf8_lossy(&bytes).into_owned()
}
