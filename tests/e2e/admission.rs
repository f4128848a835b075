//! The rate and the concurrency of calls, by the emulator's own count.

use std::time::Duration;

use cognito_unlink::testing::emulator::{FaultKind, Rule, Settings, Then, When};

use crate::sandbox::{Sandbox, csv, link_of, people};

/// Tolerates how early a timer may fire.
const TIMER: Duration = Duration::from_millis(2);

#[test]
fn calls_start_no_faster_than_the_rate() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(101));
    sandbox.run(&["people.csv", "--rate", "50"]).expect_exit(0);
    // 100 spacings of 20 ms lie before the last call, however late a call arrives.
    let last = sandbox.emulator.calls()[100].began;
    assert!(last + TIMER >= Duration::from_secs(2), "{last:?}");
}

#[test]
fn a_retry_takes_a_token_too() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(30));
    for n in 1..=30 {
        sandbox.emulator.add_rule(Rule {
            when: When::User(format!("acct-{n}")),
            then: Then::Fault(FaultKind::InternalError),
            times: Some(1),
        });
    }
    let ran = sandbox
        .run(&["people.csv", "--rate", "40", "--json"])
        .expect_exit(0);
    assert_eq!(ran.counts(&["unlinked", "calls"]), [30, 60]);
    // 59 spacings of 25 ms.
    let last = sandbox.emulator.calls()[59].began;
    assert!(last + TIMER >= Duration::from_millis(1_475), "{last:?}");
}

#[test]
fn concurrency_limits_calls_in_flight() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(40));
    let running = sandbox.start_with_four_calls_held(&["people.csv"]);
    sandbox.emulator.clear_rules();
    running.wait().expect_exit(0);
    let seen = sandbox.emulator.counters();
    assert_eq!((seen.unlinks, seen.most_in_flight), (40, 4));
}

#[test]
fn an_identity_has_one_call_in_flight_at_most() {
    let latency = Duration::from_millis(5);
    let sandbox = Sandbox::with_settings(Settings {
        latency,
        ..Settings::default()
    });
    let links: Vec<_> = (0..60)
        .map(|n| link_of(n % 3 + 1, &format!("acct-{n}")))
        .collect();
    sandbox.write("people.csv", csv(&links));
    sandbox.run(&["people.csv"]).expect_exit(0);
    let seen = sandbox.emulator.counters();
    assert_eq!((seen.unlinks, seen.effects), (60, 60));
    assert_eq!(seen.most_in_flight_for_one_identity, 1);
    assert!(seen.most_in_flight <= 3, "{seen:?}");
}

#[test]
fn connections_are_kept_and_used_again() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(200));
    sandbox
        .run(&["people.csv", "--concurrency", "4"])
        .expect_exit(0);
    let seen = sandbox.emulator.counters();
    assert_eq!(seen.unlinks, 200);
    assert!(seen.connections <= 8, "{seen:?}");
}
