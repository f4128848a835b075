//! End to end: the real executable, real files, real signals, and the emulator on a real socket.
//!
//! Processes are brought to a known point by a call that the emulator holds, never by waiting a while.

mod admission;
mod agreement;
mod answers;
mod changing;
mod credentials;
mod disk;
mod formats;
mod gate;
mod guards;
mod holds;
mod hostile;
mod interruption;
mod last_check;
mod limit;
mod limits;
mod manual;
mod mending;
mod network;
mod outages;
mod own_files;
mod people_and_scripts;
mod plan;
mod quotas;
mod reasons;
mod rehearsal;
mod resume;
mod sandbox;
mod saved_plan;
mod single_call;
mod torn;
mod verdicts;
