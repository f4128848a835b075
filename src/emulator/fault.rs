//! What goes wrong: by chance in a given share of the calls, or by a rule for certain ones.

use std::fmt;
use std::str::FromStr;

/// A way in which an unlink goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// `TooManyRequestsException`, whatever the quota.
    Throttle,
    /// `InternalErrorException`, without effect.
    InternalError,
    /// A proxy's page: HTTP 500 in HTML, without effect.
    Html500,
    /// The connection ends before the call takes effect.
    ResetBefore,
    /// The connection ends after the call has taken effect, without an answer.
    ResetAfter,
    /// Never answered, without effect.
    Hang,
    /// Never answered, after taking effect.
    HangAfter,
    /// The answer breaks off, after taking effect.
    Truncate,
    /// `ExpiredTokenException`
    ExpiredToken,
    /// `AccessDeniedException`
    AccessDenied,
    /// `InvalidSignatureException`
    BadSignature,
}

impl FaultKind {
    /// All kinds, in the order in which help names them.
    pub const ALL: [Self; 11] = [
        Self::Throttle,
        Self::InternalError,
        Self::Html500,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Hang,
        Self::HangAfter,
        Self::Truncate,
        Self::ExpiredToken,
        Self::AccessDenied,
        Self::BadSignature,
    ];

    /// As options name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::InternalError => "internal-error",
            Self::Html500 => "html-500",
            Self::ResetBefore => "reset-before",
            Self::ResetAfter => "reset-after",
            Self::Hang => "hang",
            Self::HangAfter => "hang-after",
            Self::Truncate => "truncate",
            Self::ExpiredToken => "expired-token",
            Self::AccessDenied => "access-denied",
            Self::BadSignature => "bad-signature",
        }
    }

    /// Whether the link is gone although the caller is not told.
    pub(super) fn takes_effect(self) -> bool {
        matches!(self, Self::ResetAfter | Self::HangAfter | Self::Truncate)
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A fault, and the share of the unlinks that it strikes, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultShare {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How often.
    pub share: f64,
}

impl FromStr for FaultShare {
    type Err = String;

    /// `throttle=0.05` or `throttle=5%`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, share) = text
            .split_once('=')
            .ok_or("expected KIND=SHARE, as in throttle=5%")?;
        let kind = FaultKind::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let names = FaultKind::ALL.map(FaultKind::name).join(", ");
                format!("no such fault; the kinds are {names}")
            })?;
        let share = match share.strip_suffix('%') {
            Some(percent) => percent.parse().map(|percent: f64| percent / 100.0),
            None => share.parse(),
        };
        share
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
            .map(|share| Self { kind, share })
            .ok_or_else(|| "expected a share from 0 to 1, or from 0% to 100%".to_owned())
    }
}

/// Which calls a rule applies to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// Every unlink.
    Always,
    /// The unlink of this number, from 1.
    Call(u64),
    /// Unlinks of this developer user identifier.
    User(String),
    /// Unlinks that are signed with this access key.
    Key(String),
    /// Every request of this operation, as `DescribeIdentityPool`.
    Operation(&'static str),
}

impl When {
    fn applies(&self, call: &Struck<'_>) -> bool {
        let is_unlink = call.unlink.is_some();
        match self {
            Self::Always => is_unlink,
            Self::Call(nth) => Some(*nth) == call.unlink,
            Self::User(user) => is_unlink && user == call.user,
            Self::Key(key) => is_unlink && key == call.key,
            Self::Operation(name) => *name == call.operation,
        }
    }
}

/// What rules go by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Struck<'a> {
    pub(super) operation: &'a str,
    /// Number of the unlink, from 1, if it is one.
    pub(super) unlink: Option<u64>,
    pub(super) user: &'a str,
    /// Access key that it is signed with.
    pub(super) key: &'a str,
}

/// What a rule does with a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Then {
    /// Lets it go wrong.
    Fault(FaultKind),
    /// Holds it, before any effect, until the rule is taken away.
    Hold,
    /// Answers with this, without effect.
    Answer(Canned),
}

/// An answer as it goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canned {
    /// HTTP status.
    pub status: u16,
    /// Headers beside those that every answer has.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: String,
}

/// A rule for certain calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Which calls.
    pub when: When,
    /// What happens to them.
    pub then: Then,
    /// How often; without end if nothing is given.
    pub times: Option<u32>,
}

/// Rules and chance.
#[derive(Debug)]
pub(super) struct Faults {
    pub(super) rules: Vec<Rule>,
    shares: Vec<FaultShare>,
    chance: Chance,
}

impl Faults {
    pub(super) fn new(shares: Vec<FaultShare>, seed: u64) -> Self {
        Self {
            rules: Vec::new(),
            shares,
            chance: Chance(seed),
        }
    }

    /// What happens to a call. Chance strikes unlinks only.
    pub(super) fn strike(&mut self, call: &Struck<'_>) -> Option<Then> {
        let applies = |rule: &&mut Rule| rule.times != Some(0) && rule.when.applies(call);
        if let Some(rule) = self.rules.iter_mut().find(applies) {
            rule.times = rule.times.map(|times| times - 1);
            return Some(rule.then.clone());
        }
        if self.shares.is_empty() || call.unlink.is_none() {
            return None;
        }
        // One throw for all kinds, so that the shares add up.
        let mut throw = self.chance.next();
        for fault in &self.shares {
            if throw < fault.share {
                return Some(Then::Fault(fault.kind));
            }
            throw -= fault.share;
        }
        None
    }

    /// Whether a rule holds this call now.
    pub(super) fn holds(&self, call: &Struck<'_>) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.then == Then::Hold && rule.when.applies(call))
    }

    /// A number that is uniform in `[0, 1)`.
    pub(super) fn chance(&mut self) -> f64 {
        self.chance.next()
    }
}

/// splitmix64 (Steele, Lea, Flood 2014): the same for the same seed.
#[derive(Debug)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(nth: u64, user: &str) -> Struck<'_> {
        Struck {
            operation: "UnlinkDeveloperIdentity",
            unlink: Some(nth),
            user,
            key: "key",
        }
    }

    #[test]
    fn shares_are_read_as_documented() {
        let read = |text: &str| text.parse::<FaultShare>().map(|f| (f.kind, f.share));
        assert_eq!(read("throttle=5%"), Ok((FaultKind::Throttle, 0.05)));
        assert_eq!(read("reset-after=0.5"), Ok((FaultKind::ResetAfter, 0.5)));
        for wrong in [
            "throttle",
            "throttle=",
            "throttle=101%",
            "throttle=-1",
            "x=1%",
            "hang=nan",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn faults_strike_as_often_as_asked_and_the_same_for_the_same_seed() {
        let shares: Vec<FaultShare> = ["throttle=10%", "hang=5%"]
            .map(|s| s.parse().expect("valid"))
            .into();
        let strikes = |seed| -> Vec<_> {
            let mut faults = Faults::new(shares.clone(), seed);
            (1..=20_000)
                .map(|nth| faults.strike(&call(nth, "u")))
                .collect()
        };
        let struck = strikes(1);
        let count = |kind| {
            struck
                .iter()
                .filter(|s| **s == Some(Then::Fault(kind)))
                .count()
        };
        assert!((1_800..2_200).contains(&count(FaultKind::Throttle)));
        assert!((850..1_150).contains(&count(FaultKind::Hang)));
        assert_eq!(struck, strikes(1));
        assert_ne!(struck, strikes(2));
    }

    #[test]
    fn rules_go_before_chance_and_run_out() {
        let mut faults = Faults::new(Vec::new(), 1);
        faults.rules.push(Rule {
            when: When::User("u".into()),
            then: Then::Fault(FaultKind::Hang),
            times: Some(2),
        });
        let struck = [1, 2, 3].map(|nth| faults.strike(&call(nth, "u")).is_some());
        assert_eq!(struck, [true, true, false]);
        assert_eq!(faults.strike(&call(4, "other")), None);
    }

    #[test]
    fn other_operations_are_struck_by_their_name_only() {
        let shares = vec!["throttle=1".parse().expect("valid")];
        let mut faults = Faults::new(shares, 1);
        let rule = |when| Rule {
            when,
            then: Then::Fault(FaultKind::AccessDenied),
            times: None,
        };
        let described = Struck {
            operation: "DescribeIdentityPool",
            unlink: None,
            user: "",
            key: "key",
        };
        for when in [
            When::Always,
            When::User(String::new()),
            When::Key("key".into()),
        ] {
            faults.rules.push(rule(when));
        }
        assert_eq!(faults.strike(&described), None);
        faults
            .rules
            .push(rule(When::Operation("DescribeIdentityPool")));
        assert_eq!(
            faults.strike(&described),
            Some(Then::Fault(FaultKind::AccessDenied))
        );
    }
}
