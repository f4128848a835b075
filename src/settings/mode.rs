//! The mode of a run.

/// The mode of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Calls the service.
    Real,
    /// Calls an emulator of its own.
    Rehearsal,
    /// Calls nothing and writes nothing.
    DryRun,
}

impl Mode {
    /// Returns the name in summaries.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Real => "run",
            Self::Rehearsal => "rehearsal",
            Self::DryRun => "dry_run",
        }
    }
}
