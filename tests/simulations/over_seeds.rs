//! Checks expectations over all seeds: the median and the worst of each figure.

use std::fmt;
use std::time::Duration;

use crate::checks::{accepted, between, throttled_share};
use crate::reply::CallResult;
use crate::runs::SimulatedRun;
use crate::scenario::{OverSeeds, Service};

/// Throttled calls in a second that are never too many.
const MIN_WORST_SECOND: f64 = 5.0;

/// A figure of one run, with its limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figure {
    name: &'static str,
    value: f64,
    /// True if less is better.
    is_cost: bool,
    /// Limits of the median and of the worst seed.
    limits: Option<[f64; 2]>,
}

impl Figure {
    fn gain(name: &'static str, value: f64, limits: Option<[f64; 2]>) -> Self {
        Self {
            name,
            value,
            is_cost: false,
            limits,
        }
    }

    fn cost(name: &'static str, value: f64, limits: Option<[f64; 2]>) -> Self {
        Self {
            is_cost: true,
            ..Self::gain(name, value, limits)
        }
    }
}

/// Returns the figures of a part of a run, for each run of the same service in the same order.
pub(crate) fn figures(part: &OverSeeds, service: &Service, run: &SimulatedRun) -> Vec<Figure> {
    let (from, to) = (part.from.0, part.to.0);
    assert!(run.took >= to, "the run ended after {:?}", run.took);
    let seconds = to.saturating_sub(from).as_secs_f64();
    let accepted_per_second = accepted(run, from, to) / seconds;
    let started_per_second = between(run, from, to).count() as f64 / seconds;
    let worst = part.worst_within;
    let least = |least: f64| [least, least / worst];
    let most = |most: f64| [most, most * worst];
    let mut figures = vec![
        Figure::gain(
            "accepted/s",
            accepted_per_second,
            part.min_accepted_per_second.map(least),
        ),
        Figure::gain(
            "started/s",
            started_per_second,
            part.min_started_per_second.map(least),
        ),
        Figure::cost(
            "throttled",
            throttled_share(between(run, from, to)),
            part.max_throttled.map(most),
        ),
    ];
    if let Some(quota) = service.quota {
        let least = |least: f64| [least, 1.0 - (1.0 - least) * worst];
        let used = accepted_per_second / quota;
        figures.push(Figure::gain("used", used, part.min_used.map(least)));
        let most = |share: f64| [(quota * share).max(MIN_WORST_SECOND); 2];
        figures.push(Figure::cost(
            "worst second",
            worst_second(run, from, to),
            part.max_worst_second.map(most),
        ));
    }
    if service.production > 0.0 {
        let until = |time: Duration| {
            let second = usize::try_from(time.as_secs()).expect("a few minutes");
            run.production[second]
        };
        let (before, after) = (until(from), until(to));
        let calls = (after.calls - before.calls) as f64;
        let throttled = (after.throttled - before.throttled) as f64;
        figures.push(Figure::cost(
            "production throttled",
            throttled / calls,
            part.max_production_throttled.map(most),
        ));
    }
    figures
}

/// Returns the most throttled calls that started within a second.
fn worst_second(run: &SimulatedRun, from: Duration, to: Duration) -> f64 {
    let throttled: Vec<Duration> = between(run, from, to)
        .filter(|call| call.result == CallResult::Throttled)
        .map(|call| call.started)
        .collect();
    let within = |(nth, first): (usize, &Duration)| {
        let end = *first + Duration::from_secs(1);
        throttled[nth..].partition_point(|started| *started < end)
    };
    throttled.iter().enumerate().map(within).max().unwrap_or(0) as f64
}

/// A line for each service, with the median and the worst of each figure.
#[derive(Debug)]
pub(crate) struct Table {
    text: String,
    /// True if a limit is missed.
    pub(crate) misses: bool,
}

impl Table {
    pub(crate) fn new(part: &OverSeeds, seeds: u64) -> Self {
        let (from, to) = (part.from.0, part.to.0);
        let text =
            format!("{from:?} to {to:?}, median/worst of {seeds} seeds; ! misses its limit\n");
        Self {
            text,
            misses: false,
        }
    }

    /// Adds the line of a service: the figures of each of its runs.
    pub(crate) fn add<'a>(&mut self, service: &str, runs: impl Iterator<Item = &'a [Figure]>) {
        let runs: Vec<_> = runs.collect();
        self.text += service;
        for (nth, figure) in runs[0].iter().enumerate() {
            let mut values: Vec<f64> = runs.iter().map(|figures| figures[nth].value).collect();
            values.sort_by(f64::total_cmp);
            let (low, high) = (values[(values.len() - 1) / 2], values[values.len() / 2]);
            let worst = values[if figure.is_cost { values.len() - 1 } else { 0 }];
            let cells = [f64::midpoint(low, high), worst];
            let cells = [0, 1].map(|cell| {
                let misses = figure.limits.is_some_and(|limits| {
                    let over = cells[cell] - limits[cell];
                    if figure.is_cost {
                        over > 0.0
                    } else {
                        over < 0.0
                    }
                });
                self.misses |= misses;
                let mark = if misses { "!" } else { "" };
                format!("{:.3}{mark}", cells[cell])
            });
            self.text
                .extend([" | ", figure.name, " ", &cells.join("/")]);
        }
        self.text += "\n";
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
