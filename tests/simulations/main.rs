//! Simulates whole runs on paused time, without sockets and files: dispatcher, workers, admission and retry are the real code,
//! and the service is the emulator's model. Each file in `tests/scenarios/` describes a service, a run, and what is expected.

mod checks;
mod reply;
mod runs;
mod scenario;
mod service;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use checks::Violations;
use runs::SimulatedRun;
use scenario::Scenario;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn read(name: &str) -> Scenario {
    Scenario::read(&folder().join(name).with_extension("toml"))
}

fn check(name: &str) {
    let seeds = read(name).seeds;
    for seed in 0..seeds {
        let runs = runs::simulate(read(name), seed);
        let expect = read(name).expect;
        let fail_on = |violations: Violations| {
            let outline: String = runs.iter().map(outline).collect();
            assert!(
                violations.is_empty(),
                "{name}, seed {seed}:\n{violations}{outline}"
            );
        };
        for run in &runs {
            fail_on(Violations::of(run, &expect));
        }
        if let Some(shared) = &expect.shared {
            fail_on(Violations::of_shares(&runs, shared));
        }
    }
}

/// Describes a run in a line, for a test that fails.
fn outline(run: &SimulatedRun) -> String {
    format!(
        "{:?} by {:?} after {:?}: {} calls, {} throttled, at most {} in flight\n",
        run.summary.tally,
        run.summary.reason,
        run.took,
        run.calls_counted,
        run.throttled_counted,
        run.observed.most_in_flight
    )
}

/// Defines a test for each file in `tests/scenarios/`, with its name.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        const SCENARIOS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                check(stringify!($name));
            }
        )*
    };
}

scenarios! {
    a_burst_is_as_large_as_set,
    a_long_retry_after_fails_no_row,
    a_quota_of_1000_is_found,
    a_quota_of_1000_that_doubles_is_used,
    a_quota_of_10_is_found,
    a_quota_of_10_that_doubles_is_used,
    a_quota_of_200_is_found,
    a_quota_of_200_that_doubles_is_used,
    a_quota_of_50_is_found,
    a_quota_of_50_that_doubles_is_used,
    a_quota_of_5_is_found,
    a_quota_that_drops_by_60_percent_is_followed,
    a_quota_that_drops_is_followed,
    a_quota_without_a_burst_is_used,
    a_rate_far_above_the_quota_is_lowered,
    a_rate_of_half_a_call_per_second,
    a_refusal_after_a_lost_reply_leaves_a_row_in_doubt,
    a_row_fails_after_max_attempts,
    a_row_limit_leaves_the_rest,
    a_run_survives_an_outage,
    a_run_waits_for_renewed_credentials,
    a_run_without_faults_keeps_the_rate,
    a_share_of_the_quota_is_left_to_others,
    an_outage_of_one_region_stops_no_other,
    an_unlimited_rate_finds_the_quota,
    back_off_doubles_with_full_jitter,
    concurrency_limits_an_unlimited_rate,
    each_region_has_its_own_rate,
    endless_throttling_fails_rows,
    expired_credentials_halt,
    html_from_a_proxy_is_retried,
    html_instead_of_answers_halts,
    internal_errors_are_retried,
    lost_replies_are_settled_by_retries,
    lost_replies_leave_rows_in_doubt,
    many_rows_of_one_identity_come_first,
    no_call_is_answered,
    no_row_starts_after_time_is_up,
    retry_after_is_respected,
    rows_in_back_off_take_no_concurrency,
    rows_of_an_identity_are_called_one_at_a_time,
    rows_started_before_time_is_up_are_finished,
    slow_calls_time_out,
    the_first_signal_drains_and_the_second_aborts,
    the_reader_waits_while_too_many_rows_are_open,
    throttling_uses_up_no_attempts,
    too_many_failures_stop_the_run,
    too_many_rows_not_linked_stop_the_run,
    two_runs_share_a_quota_of_1000,
    two_runs_share_a_quota_of_20,
    two_runs_share_a_quota_of_200,
    two_runs_share_a_quota_of_50,
}

#[test]
fn every_scenario_is_a_test() {
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
fn the_same_seed_gives_the_same_run() {
    let name = "lost_replies_are_settled_by_retries";
    let run = |seed| runs::simulate(read(name), seed).remove(0);
    let (once, again) = (run(7), run(7));
    assert_eq!(once.observed.calls, again.observed.calls);
    assert_eq!(once.settled, again.settled);
    assert_ne!(once.observed.calls, run(8).observed.calls);
}
