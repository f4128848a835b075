//! A process, run to its end and measured.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tokio::time::Instant;

/// The time and memory of a process.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    /// Peak memory in bytes.
    pub(crate) peak: u64,
}

impl Cost {
    /// Runs a process to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let begin = Instant::now();
        let mut child = command.stdout(Stdio::null()).spawn().expect("it runs");
        let status = PathBuf::from(format!("/proc/{}/status", child.id()));
        let (sender, ended) = sync_channel(1);
        std::thread::spawn(move || sender.send(child.wait()));
        // The kernel keeps the peak only while the process lives: an increase in its last moments is missed.
        let mut peak = 0;
        loop {
            match ended.recv_timeout(Duration::from_millis(5)) {
                Ok(ended) => {
                    assert!(ended.expect("it ends").success());
                    break;
                }
                Err(RecvTimeoutError::Timeout) => peak = peak_in(&status).unwrap_or(peak),
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("the thread sends before it ends")
                }
            }
        }
        Self {
            seconds: begin.elapsed().as_secs_f64(),
            peak,
        }
    }
}

/// Returns the peak memory in a process's status.
fn peak_in(status: &Path) -> Option<u64> {
    let status = std::fs::read_to_string(status).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibi: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibi * 1024)
}

/// Converts bytes to MiB.
pub(crate) fn mebi(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
