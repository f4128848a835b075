//! Decides which unusual values are sent.

use std::str::FromStr;

use super::detect::may_be_unusual;
use super::kind::UnusualKind;

/// A set of kinds of unusual values: those that `--as-is` sends as they stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnusualKinds(u8);

impl UnusualKinds {
    /// Every kind.
    pub const ALL: Self = Self(u8::MAX);

    /// Returns whether `kind` is in the set.
    #[must_use]
    pub fn contains(self, kind: UnusualKind) -> bool {
        self.0 & Self::from(kind).0 != 0
    }
}

impl From<UnusualKind> for UnusualKinds {
    fn from(kind: UnusualKind) -> Self {
        Self(1 << kind as u8)
    }
}

impl FromIterator<UnusualKinds> for UnusualKinds {
    fn from_iter<I: IntoIterator<Item = UnusualKinds>>(sets: I) -> Self {
        Self(sets.into_iter().fold(0, |all, set| all | set.0))
    }
}

impl FromStr for UnusualKinds {
    type Err = String;

    /// Parses the name of a kind, or `all`.
    fn from_str(name: &str) -> Result<Self, String> {
        if name == "all" {
            return Ok(Self::ALL);
        }
        let kind = UnusualKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name);
        kind.map(Self::from).ok_or_else(|| {
            let names = UnusualKind::ALL.map(UnusualKind::name).join(", ");
            format!("the kinds are {names}, or all")
        })
    }
}

/// Decides which unusual values make a row invalid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UnusualPolicy {
    /// Kinds that are sent as they stand.
    pub allowed: UnusualKinds,
    /// The values come from a file with tabs between fields.
    pub is_tsv: bool,
}

impl UnusualPolicy {
    /// Rejects nothing.
    pub const ALLOW_ALL: Self = Self {
        allowed: UnusualKinds::ALL,
        is_tsv: false,
    };

    /// Returns the kind for which `value` is not sent, or `None` if it is sent.
    #[must_use]
    pub fn rejects(self, value: &str) -> Option<UnusualKind> {
        if !may_be_unusual(value.as_bytes()) {
            return None;
        }
        UnusualKind::ALL
            .into_iter()
            .find(|&kind| !self.allowed.contains(kind) && kind.matches(value, self.is_tsv))
    }
}
