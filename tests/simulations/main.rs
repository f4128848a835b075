//! Whole runs under paused time, without sockets and files: the engine, the workers, admission and retry are the real ones,
//! and the service is the emulator's model. `tests/scenarios/` says what is simulated and what must come of it.

mod reply;
mod scenario;
mod service;
mod stage;
mod verdict;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use scenario::Scenario;
use stage::{Played, play};
use verdict::Complaints;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn read(name: &str) -> Scenario {
    Scenario::read(&folder().join(name).with_extension("toml"))
}

fn simulate(name: &str) {
    let seeds = read(name).seeds;
    for seed in 0..seeds {
        let played = play(read(name), seed);
        let expect = read(name).expect;
        let fail_on = |complaints: Complaints| {
            let told: String = played.iter().map(told).collect();
            assert!(
                complaints.is_empty(),
                "{name}, seed {seed}:\n{complaints}{told}"
            );
        };
        for played in &played {
            fail_on(Complaints::of(played, &expect));
        }
        if let Some(shared) = &expect.shared {
            fail_on(Complaints::of_shares(&played, shared));
        }
    }
}

/// The run in a few lines, for whoever has to find out.
fn told(played: &Played) -> String {
    format!(
        "{:?} by {:?} after {:?}: {} calls, {} throttled, at most {} in flight\n",
        played.summary.tally,
        played.summary.reason,
        played.took,
        played.calls_counted,
        played.throttled_counted,
        played.seen.most_in_flight
    )
}

/// One test for each file in `tests/scenarios/`, of its name.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        const SCENARIOS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                simulate(stringify!($name));
            }
        )*
    };
}

scenarios! {
    a_bucket_of_a_single_call_is_borne,
    a_burst_is_as_large_as_asked,
    a_crowd_beyond_the_open_rows_waits_outside,
    a_limit_leaves_the_rest,
    a_page_instead_of_an_answer_halts,
    a_quiet_run_keeps_to_the_rate,
    a_quota_that_drops_is_followed,
    a_quota_of_10_is_found,
    a_quota_of_1000_is_found,
    a_quota_of_200_is_found,
    a_quota_of_5_is_found,
    a_quota_of_50_is_found,
    a_quota_of_10_that_doubles_is_used,
    a_quota_of_1000_that_doubles_is_used,
    a_quota_of_200_that_doubles_is_used,
    a_quota_that_doubles_is_used,
    a_quota_that_drops_by_60_percent_is_followed,
    a_rate_far_above_the_quota_is_lowered,
    a_region_that_does_not_answer_stops_no_other,
    a_share_is_left_to_production,
    a_refusal_after_a_lost_reply_is_no_failure,
    a_wait_beyond_a_rows_life_fails_no_row,
    an_outage_is_outlived,
    an_unlimited_rate_finds_the_quota,
    back_off_doubles_with_full_jitter,
    concurrency_binds,
    credentials_that_come_back_are_waited_for,
    expired_credentials_halt,
    half_a_call_a_second,
    internal_errors_are_tried_again,
    lost_replies_leave_rows_in_doubt,
    nobody_answers,
    one_identity_holds_many_rows,
    only_internal_errors_use_up_the_attempts,
    pages_of_a_proxy_are_tried_again,
    regions_have_their_own_rate,
    replies_are_lost,
    rows_in_back_off_hold_no_place,
    rows_that_have_begun_when_time_is_up_go_on,
    rows_of_an_identity_take_turns,
    slow_answers_are_not_waited_for,
    the_first_signal_drains_and_the_second_aborts,
    throttling_alone_uses_up_no_attempts,
    throttling_without_end_is_given_up,
    time_is_up,
    too_many_failures_stop,
    too_much_is_done_already,
    two_runs_share_a_quota_of_1000,
    two_runs_share_a_quota_of_200,
    two_runs_share_a_quota_of_20,
    two_runs_share_a_quota_of_50,
    what_the_service_asks_for_is_waited,
}

#[test]
fn every_scenario_is_simulated() {
    let files: BTreeSet<String> = std::fs::read_dir(folder())
        .expect("the folder of scenarios")
        .map(|file| {
            let name = file.expect("a file").file_name();
            name.to_str().expect("a name in ASCII").to_owned()
        })
        .collect();
    let simulated = SCENARIOS
        .iter()
        .map(|name| format!("{name}.toml"))
        .collect();
    assert_eq!(files, simulated);
}

#[test]
fn a_seed_says_how_a_run_goes() {
    let name = "replies_are_lost";
    let played = |seed| play(read(name), seed).remove(0);
    let (once, again) = (played(7), played(7));
    assert_eq!(once.seen.calls, again.seen.calls);
    assert_eq!(once.records, again.records);
    assert_ne!(once.seen.calls, played(8).seen.calls);
}
