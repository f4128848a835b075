//! The clock of claims: it runs on while the machine is suspended.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

#[cfg(target_os = "linux")]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A clock that never steps and runs on while the machine is suspended, as `Instant` on Linux does not: a machine that wakes up must
/// know that its claims are old.
#[derive(Debug, Clone, Copy)]
pub(super) enum LogClock {
    /// The operating system's.
    System,
    /// That of a simulation, since this time.
    #[cfg(test)]
    Simulated(tokio::time::Instant),
}

impl LogClock {
    /// Returns the time since a fixed moment in the past.
    pub(super) fn now(self) -> Duration {
        match self {
            Self::System => {
                let now = clock_gettime(CLOCK);
                let seconds = u64::try_from(now.tv_sec).unwrap_or_default();
                Duration::new(seconds, u32::try_from(now.tv_nsec).unwrap_or_default())
            }
            #[cfg(test)]
            Self::Simulated(began) => began.elapsed(),
        }
    }
}
