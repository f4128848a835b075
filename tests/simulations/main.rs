//! Simulates whole runs on paused time, without sockets and files: dispatcher, workers, admission and retry are the real code,
//! and the service is the emulator's model. Each file in `tests/scenarios/` describes a service, a run, and what is expected.

mod checks;
mod over_seeds;
mod reply;
mod runs;
mod scenario;
mod service;

use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use checks::Violations;
use over_seeds::{Figure, Table};
use runs::SimulatedRun;
use scenario::{Scenario, Service};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

fn read(name: &str) -> Scenario {
    Scenario::read(&folder().join(name).with_extension("toml"))
}

/// Simulates a scenario with each of its services and seeds, on all processors.
fn check(name: &str) {
    let scenario = read(name);
    let services = scenario.services.iter();
    let cases: Vec<_> = services
        .flat_map(|service| (0..scenario.seeds).map(move |seed| (service, seed)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut checked = Vec::new();
        while let Some(((service_name, service), seed)) =
            cases.get(next.fetch_add(1, Ordering::Relaxed))
        {
            let case = format!("{name}, {service_name}seed {seed}");
            let figures = check_case(&case, &scenario, service, *seed);
            checked.push((service_name.as_str(), *seed, figures));
        }
        checked
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let mut checked = thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        let checked = joined.flat_map(|joined| joined.unwrap_or_else(|panic| resume_unwind(panic)));
        checked.collect::<Vec<_>>()
    });
    checked.sort_by_key(|(_, seed, _)| *seed);
    for (nth, part) in scenario.over_seeds.iter().enumerate() {
        let mut table = Table::new(part, scenario.seeds);
        for (service_name, _) in &scenario.services {
            let seeds = checked.iter().filter(|(name, ..)| name == service_name);
            table.add(
                service_name,
                seeds.map(|(_, _, figures)| figures[nth].as_slice()),
            );
        }
        assert!(!table.misses, "{name}:\n{table}");
    }
}

/// Simulates a scenario with one of its services and one seed, and checks its runs. Returns the figures of each part of the
/// run of which something is expected over all seeds.
fn check_case(case: &str, scenario: &Scenario, service: &Service, seed: u64) -> Vec<Vec<Figure>> {
    let runs = runs::simulate(scenario, service, seed);
    let fail_on = |violations: Violations| {
        let outline: String = runs.iter().map(outline).collect();
        assert!(violations.is_empty(), "{case}:\n{violations}{outline}");
    };
    for run in &runs {
        fail_on(Violations::of(run, scenario.expect.as_ref()));
    }
    let expect = scenario.expect.as_ref();
    if let Some(shared) = expect.and_then(|expect| expect.shared.as_ref()) {
        fail_on(Violations::of_shares(&runs, shared));
    }
    let parts = scenario.over_seeds.iter();
    parts
        .map(|part| over_seeds::figures(part, service, &runs[0]))
        .collect()
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
    a_bucket_of_one_call_is_used,
    a_burst_is_as_large_as_set,
    a_large_quota_is_found,
    a_long_retry_after_fails_no_row,
    a_middling_quota_is_found,
    a_quota_in_fixed_windows_is_used,
    a_quota_is_found_despite_chance,
    a_quota_is_shared_with_production,
    a_very_large_quota_is_found,
    a_quota_of_1000_that_doubles_is_used,
    a_quota_of_10_that_doubles_is_used,
    a_quota_of_200_that_doubles_is_used,
    a_quota_of_20_on_4_front_ends_is_used,
    a_quota_of_50_on_8_front_ends_is_used,
    a_quota_of_50_that_doubles_is_used,
    a_quota_that_drops_by_60_percent_is_followed,
    a_quota_that_drops_is_followed,
    a_quota_without_a_burst_is_used,
    a_rate_far_above_the_quota_is_lowered,
    a_rate_is_kept_despite_chance,
    a_rate_of_half_a_call_per_second,
    a_refusal_after_a_lost_reply_leaves_a_row_in_doubt,
    a_row_fails_after_max_attempts,
    a_row_limit_leaves_the_rest,
    a_run_survives_an_outage,
    a_run_waits_for_renewed_credentials,
    a_run_without_faults_keeps_the_rate,
    a_saved_quota_of_200_is_used,
    a_saved_quota_of_50_is_used,
    a_share_left_alone_serves_production,
    a_share_of_the_quota_is_left_to_others,
    a_small_quota_is_found,
    an_outage_of_one_region_stops_no_other,
    an_unlimited_rate_finds_the_quota,
    back_off_doubles_with_full_jitter,
    concurrency_limits_an_unlimited_rate,
    eight_shards_share_a_quota_of_50,
    eight_shards_share_a_rate,
    eight_shards_slow_down_by_chance,
    each_region_has_its_own_rate,
    endless_throttling_fails_rows,
    expired_credentials_halt,
    half_a_rate_is_kept_despite_much_chance,
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
    sigterm_waits_twelve_seconds_for_calls,
    sixteen_shards_share_a_quota_of_50,
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
    two_shards_share_a_quota_of_50,
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
    let scenario = read(name);
    let run = |seed| runs::simulate(&scenario, &scenario.services[0].1, seed).remove(0);
    let (once, again) = (run(7), run(7));
    assert_eq!(once.observed.calls, again.observed.calls);
    assert_eq!(once.settled, again.settled);
    assert_ne!(once.observed.calls, run(8).observed.calls);
}
