//! End to end: the real executable, real files, real signals, and the emulator on a real socket.
//!
//! Processes are brought to a known point by a call that the emulator holds, never by waiting a while.

mod admission;
mod answers;
mod disk;
mod formats;
mod hostile;
mod interruption;
mod network;
mod outages;
mod people_and_scripts;
mod quotas;
mod rehearsal;
mod resume;
mod sandbox;
mod single_call;
mod verdicts;
