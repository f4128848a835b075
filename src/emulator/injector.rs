//! Fault injection: by rule for certain calls, at random for a share of the unlinks and of the look-ups
//! of users and identities.

use super::fault::FaultShare;
use super::rule::{CallDetails, Rule, Then};

/// The rules, and the random faults.
#[derive(Debug)]
pub(super) struct FaultInjector {
    pub(super) rules: Vec<Rule>,
    shares: Vec<FaultShare>,
    random: SplitMix64,
}

impl FaultInjector {
    pub(super) fn new(shares: Vec<FaultShare>, seed: u64) -> Self {
        Self {
            rules: Vec::new(),
            shares,
            random: SplitMix64(seed),
        }
    }

    /// Returns the action for a call, if there is one. Rules go before random faults.
    pub(super) fn next_action(&mut self, call: &CallDetails<'_>) -> Option<Then> {
        let applies = |rule: &&mut Rule| rule.times != Some(0) && rule.when.matches(call);
        if let Some(rule) = self.rules.iter_mut().find(applies) {
            rule.times = rule.times.map(|times| times - 1);
            return Some(rule.then.clone()).filter(|then| *then != Then::Serve);
        }
        if self.shares.is_empty() || !call.gets_faults() {
            return None;
        }
        // One random number for all kinds, so that a call gets at most one fault and the shares add up.
        let mut random = self.random();
        for fault in &self.shares {
            if random < fault.share {
                return Some(Then::Fault(fault.kind));
            }
            random -= fault.share;
        }
        None
    }

    /// Returns true while a rule holds this call.
    pub(super) fn is_held(&self, call: &CallDetails<'_>) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.then == Then::Hold && rule.when.matches(call))
    }

    /// Returns a random number, uniform in `[0, 1)`.
    pub(super) fn random(&mut self) -> f64 {
        self.random.next()
    }
}

/// The random number generator splitmix64 (Steele, Lea, Flood 2014): the same numbers for the same seed.
#[derive(Debug)]
struct SplitMix64(u64);

impl SplitMix64 {
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
    use super::super::fault::FaultKind;
    use super::super::rule::When;
    use super::*;

    fn call(number: u64, user: &str) -> CallDetails<'_> {
        CallDetails {
            operation: "UnlinkDeveloperIdentity",
            unlink: Some(number),
            user,
            access_key: "key",
        }
    }

    #[test]
    fn faults_have_the_given_shares_and_repeat_with_the_seed() {
        let shares: Vec<FaultShare> = ["throttle=10%", "hang=5%"]
            .map(|share| share.parse().expect("valid"))
            .into();
        let actions = |seed| -> Vec<_> {
            let mut injector = FaultInjector::new(shares.clone(), seed);
            (1..=20_000)
                .map(|number| injector.next_action(&call(number, "u")))
                .collect()
        };
        let taken = actions(1);
        let count = |kind| {
            taken
                .iter()
                .filter(|action| **action == Some(Then::Fault(kind)))
                .count()
        };
        assert!((1_800..2_200).contains(&count(FaultKind::Throttle)));
        assert!((850..1_150).contains(&count(FaultKind::Hang)));
        assert_eq!(taken, actions(1));
        assert_ne!(taken, actions(2));
    }

    #[test]
    fn unlinks_and_look_ups_of_rows_get_random_faults() {
        let shares = vec!["hang=1".parse().expect("valid")];
        let mut injector = FaultInjector::new(shares, 1);
        for (operation, gets) in [
            ("UnlinkDeveloperIdentity", true),
            ("LookupDeveloperIdentity", true),
            ("DescribeIdentity", true),
            ("DescribeIdentityPool", false),
            ("ListIdentities", false),
        ] {
            let call = CallDetails {
                operation,
                unlink: (operation == "UnlinkDeveloperIdentity").then_some(1),
                ..call(1, "u")
            };
            let action = injector.next_action(&call);
            assert_eq!(action.is_some(), gets, "{operation}");
        }
    }

    #[test]
    fn rules_go_before_random_faults_and_run_out() {
        let mut injector = FaultInjector::new(Vec::new(), 1);
        injector.rules.push(Rule {
            when: When::User("u".into()),
            then: Then::Fault(FaultKind::Hang),
            times: Some(2),
        });
        let taken = [1, 2, 3].map(|number| injector.next_action(&call(number, "u")).is_some());
        assert_eq!(taken, [true, true, false]);
        assert_eq!(injector.next_action(&call(4, "other")), None);
    }

    #[test]
    fn other_operations_match_by_their_name_only() {
        let shares = vec!["throttle=1".parse().expect("valid")];
        let mut injector = FaultInjector::new(shares, 1);
        let rule = |when| Rule {
            when,
            then: Then::Fault(FaultKind::AccessDenied),
            times: None,
        };
        let describe = CallDetails {
            operation: "DescribeIdentityPool",
            unlink: None,
            user: "",
            access_key: "key",
        };
        for when in [
            When::Always,
            When::User(String::new()),
            When::Key("key".into()),
        ] {
            injector.rules.push(rule(when));
        }
        assert_eq!(injector.next_action(&describe), None);
        injector
            .rules
            .push(rule(When::Operation("DescribeIdentityPool")));
        assert_eq!(
            injector.next_action(&describe),
            Some(Then::Fault(FaultKind::AccessDenied))
        );
    }
}
