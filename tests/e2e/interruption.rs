//! Signals.

use cognito_unlink::emulator::{Canned, Rule, Then, When};
use rustix::process::Signal;

use crate::sandbox::{Running, Sandbox, people};

/// A run of 40 rows with four calls in flight, which the emulator holds.
fn held(sandbox: &Sandbox) -> Running {
    sandbox.write("people.csv", people(40));
    sandbox.start_four_held(&["people.csv", "--json"])
}

#[test]
fn the_first_signal_drains() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let sandbox = Sandbox::new();
        let running = held(&sandbox);
        running.signal(signal);
        running.says("waiting for 4 calls in flight");
        sandbox.emulator.clear_rules();
        let ran = running.ended().exits(code);
        assert_eq!(ran.counts(&["rows", "unlinked", "left"]), [40, 4, 36]);
        assert_eq!(sandbox.emulator.counters().unlinks, 4);
        assert!(!sandbox.exists("people.results.csv.inflight"));
        let next = ran.summary()["next"]
            .as_str()
            .expect("a command")
            .to_owned();
        assert!(next.contains("run people.csv"), "{next}");
        let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
        assert_eq!(ran.counts(&["skipped", "unlinked"]), [4, 36]);
    }
}

#[test]
fn the_second_signal_waits_for_nothing() {
    let sandbox = Sandbox::new();
    let running = held(&sandbox);
    running.signal(Signal::INT);
    running.says("waiting for 4 calls in flight");
    running.signal(Signal::INT);
    let ran = running.ended().exits(130);
    assert_eq!(ran.counts(&["in_doubt"]), [4]);
    assert_eq!(
        sandbox.results("people.results.csv")[0]["error_code"],
        "Aborted"
    );
    sandbox.emulator.clear_rules();
    let ran = sandbox.run(&["people.csv", "--json"]).exits(0);
    assert_eq!(ran.counts(&["rows", "skipped", "unlinked"]), [40, 0, 40]);
}

#[test]
fn nobody_waits_for_a_row_in_back_off() {
    let sandbox = Sandbox::new();
    sandbox.write("people.csv", people(1));
    sandbox.emulator.add_rule(Rule {
        when: When::Always,
        then: Then::Answer(Canned {
            status: 400,
            headers: vec![("retry-after".into(), "600".into())],
            body: r#"{"__type":"TooManyRequestsException"}"#.into(),
        }),
        times: None,
    });
    let running = sandbox.start(&["people.csv", "-v", "--json"]);
    running.says("trying again");
    running.signal(Signal::TERM);
    let ran = running.ended().exits(143);
    assert_eq!(ran.counts(&["left", "calls"]), [1, 1]);
    assert!(!sandbox.exists("people.results.csv.inflight"));
}
