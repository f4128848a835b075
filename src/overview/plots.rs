//! The plots of the page, as SVG.
//!
//! Lengths are in units of the view box. Lines and areas carry their names at their right end; colours are classes of the style sheet, which
//! has them for light, dark and paper.

use std::fmt::Write as _;

use indicatif::HumanCount;
use maud::{Markup, html};

use super::counts::Counts;
use super::figures::Overview;
use super::scale::{TimeAxis, latency, linear_ticks, log_ticks, short};
use super::timeline::Timeline;
use crate::jobs::unlink::UnlinkOutcome;
use crate::verdict::{Outcome as _, Standing};

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 46.0;
/// Where the data ends and the names of lines begin.
const RIGHT: f64 = 396.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 226.0;
/// Distance of two names, at least.
const LINE: f64 = 16.0;
/// Lines on average that a bin needs, so that single calls do not look like waves.
const LINES_PER_BIN: u64 = 12;
/// Most bars.
const MOST_BARS: usize = 7;
/// Characters of a bar's name.
const BAR_NAME: usize = 68;

/// Returns the class that colours an outcome: one for each of those that are done, the others by what they mean.
pub(super) fn class_of(outcome: UnlinkOutcome) -> String {
    let standing = outcome.standing();
    let alike = UnlinkOutcome::ALL
        .iter()
        .filter(|other| is_alike(other.standing(), standing));
    let place = alike.take_while(|other| **other != outcome).count();
    let name = match standing {
        Standing::Done => "done",
        Standing::Failed | Standing::Settled => "failed",
        Standing::InDoubt => "doubt",
        Standing::Invalid => "invalid",
        Standing::Held | Standing::Kept | Standing::Undone => "held",
    };
    format!("{name}-{}", place.min(3))
}

/// Returns whether outcomes of these standings share a colour's family.
fn is_alike(a: Standing, b: Standing) -> bool {
    let is_unsent =
        |standing| matches!(standing, Standing::Held | Standing::Kept | Standing::Undone);
    a == b || is_unsent(a) && is_unsent(b)
}

/// A name beside the data.
struct Name {
    y: f64,
    text: String,
    class: String,
}

/// A plot over time.
struct TimePlot {
    axis: TimeAxis,
    /// The bins' begins.
    begins: Vec<i64>,
    bin: i64,
}

impl TimePlot {
    fn new(timeline: &Timeline) -> Self {
        let begins: Vec<i64> = timeline.bins().map(|(begin, _)| begin).collect();
        let bin = timeline.width();
        Self {
            axis: TimeAxis::new(&begins, bin, LEFT, RIGHT - LEFT),
            begins,
            bin,
        }
    }

    /// Returns the frame: grid, axes, data, names.
    fn frame(
        &self,
        label: &str,
        y_ticks: &[(f64, String)],
        data: &Markup,
        names: Vec<Name>,
    ) -> Markup {
        html! {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(label) {
                g class="grid" {
                    @for (y, _) in y_ticks {
                        path d=(format!("M{LEFT} {y:.1}H{RIGHT}")) {}
                    }
                }
                g class="tick" text-anchor="end" {
                    @for (y, text) in y_ticks {
                        text x=(LEFT - 6.0) y=(format!("{:.1}", y + 4.0)) { (text) }
                    }
                }
                (data)
                g class="axis" {
                    @for (from, to) in self.axis.stretches() {
                        path d=(format!("M{from:.1} {BOTTOM}H{to:.1}")) {}
                    }
                }
                g class="tick" text-anchor="middle" {
                    @for (x, text, date) in self.axis.ticks(6.0) {
                        path class="axis" d=(format!("M{x:.1} {BOTTOM}v4")) {}
                        text x=(format!("{x:.1}")) y=(BOTTOM + 18.0) { (text) }
                        @if let Some(date) = date {
                            text x=(format!("{x:.1}")) y=(BOTTOM + 34.0) { (date) }
                        }
                    }
                }
                (beside(names))
            }
        }
    }

    /// Returns the edge of an area or a line over the bins, in steps: values by bin, as heights. Pauses break it.
    fn runs_of_bins(&self) -> Vec<std::ops::Range<usize>> {
        let mut runs = Vec::new();
        let mut start = 0;
        for at in 1..=self.begins.len() {
            let is_end =
                at == self.begins.len() || self.axis.is_apart(self.begins[at - 1], self.begins[at]);
            if is_end {
                runs.push(start..at);
                start = at;
            }
        }
        runs
    }

    /// Returns the path of a line through the middle of bins; bins without a value are passed over.
    fn line(&self, y: impl Fn(usize) -> Option<f64>) -> String {
        let mut path = String::new();
        for run in self.runs_of_bins() {
            let mut verb = 'M';
            let is_single = run.len() == 1;
            for at in run {
                if let Some(y) = y(at) {
                    let x = self.axis.x(self.begins[at] + self.bin / 2);
                    let _ = write!(path, "{verb}{x:.1} {y:.1}");
                    verb = 'L';
                    if is_single {
                        path.push_str("h.5");
                    }
                }
            }
        }
        path
    }

    /// Returns the path of an area in steps, between `low` and `high`. A bin without lines between two others has none of `gap`.
    fn steps(
        &self,
        high: impl Fn(usize) -> f64,
        low: impl Fn(usize) -> f64,
        fills_gaps: bool,
    ) -> String {
        let mut path = String::new();
        for run in self.runs_of_bins() {
            let mut back = String::new();
            let mut verb = 'M';
            for at in run.clone() {
                let from = self.axis.x(self.begins[at]);
                let mut to = self.axis.x(self.begins[at] + self.bin);
                if fills_gaps && at + 1 < run.end {
                    to = self.axis.x(self.begins[at + 1]);
                }
                let (high, low) = (high(at), low(at));
                let _ = write!(path, "{verb}{from:.1} {high:.1}H{to:.1}");
                if fills_gaps {
                    verb = 'L';
                    back = format!("L{to:.1} {low:.1}H{from:.1}{back}");
                } else {
                    let _ = write!(path, "V{low:.1}H{from:.1}Z");
                }
            }
            if fills_gaps {
                path.push_str(&back);
                path.push('Z');
            }
        }
        path
    }
}

/// Returns names beside the data, moved apart where they would overlap.
fn beside(mut names: Vec<Name>) -> Markup {
    names.sort_by(|a, b| a.y.total_cmp(&b.y));
    let wanted: Vec<f64> = names.iter().map(|name| name.y).collect();
    let heights: Vec<f64> = names
        .iter()
        .map(|name| LINE * name.text.lines().count() as f64)
        .collect();
    let mut next = TOP;
    for (name, height) in names.iter_mut().zip(&heights) {
        name.y = name.y.max(next + height / 2.0);
        next = name.y + height / 2.0;
    }
    let mut last = BOTTOM + 8.0;
    for (name, height) in names.iter_mut().zip(&heights).rev() {
        name.y = name.y.min(last - height / 2.0);
        last = name.y - height / 2.0;
    }
    html! {
        g class="names" {
            @for (name, wanted) in names.iter().zip(&wanted) {
                path class=(format!("leader line {}", name.class)) d=(format!("M{:.1} {wanted:.1}L{:.1} {:.1}", RIGHT + 2.0, RIGHT + 12.0, name.y)) {}
                @let lines: Vec<&str> = name.text.lines().collect();
                @for (n, line) in lines.iter().enumerate() {
                    @let y = name.y + 4.0 + LINE * (n as f64 - (lines.len() as f64 - 1.0) / 2.0);
                    text x=(RIGHT + 16.0) y=(format!("{y:.1}")) { (line) }
                }
            }
        }
    }
}

/// Returns a name in lines that fit beside the data.
fn in_lines(name: &str) -> String {
    if name.len() <= 17 {
        return name.to_owned();
    }
    match name.split_once(", ").or_else(|| name.rsplit_once(' ')) {
        Some((head, tail)) => format!("{head}\n{tail}"),
        None => name.to_owned(),
    }
}

/// Returns the place of a value on a linear axis up to `top`.
fn linear(value: f64, top: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * value / top.max(f64::MIN_POSITIVE)
}

fn linear_axis(top: f64) -> (f64, Vec<(f64, String)>) {
    let ticks = linear_ticks(top, 5.0);
    let top = ticks.last().copied().unwrap_or(1.0);
    let ticks = ticks.iter().map(|tick| (linear(*tick, top), short(*tick)));
    (top, ticks.collect())
}

/// The order of the bands from below: what is done, what is held, then what needs attention, so that it stands out at the top.
fn in_bands() -> Vec<UnlinkOutcome> {
    let mut outcomes = UnlinkOutcome::ALL.to_vec();
    outcomes.sort_by_key(|outcome| match outcome.standing() {
        Standing::Done => 0,
        Standing::Held | Standing::Kept | Standing::Undone => 1,
        Standing::Invalid => 2,
        Standing::InDoubt => 3,
        Standing::Settled | Standing::Failed => 4,
    });
    outcomes
}

impl Overview {
    /// Returns the timeline as it is drawn.
    pub(super) fn drawn_timeline(&self) -> Option<Timeline> {
        let timeline = self.timeline.clone().coarsened(LINES_PER_BIN);
        let is_empty = timeline.bins().next().is_none();
        (!is_empty).then_some(timeline)
    }

    /// Draws calls per second, and those that repeated another.
    pub(super) fn calls_plot(&self, timeline: &Timeline) -> Markup {
        let plot = TimePlot::new(timeline);
        let seconds = timeline.width() as f64 / 1000.0;
        let bins: Vec<(f64, f64)> = timeline
            .bins()
            .map(|(_, bin)| (bin.calls as f64 / seconds, bin.repeated as f64 / seconds))
            .collect();
        let busiest = bins.iter().map(|(calls, _)| *calls).fold(0.0, f64::max);
        // A ceiling far above would leave the rest flat.
        let ceiling = self.ceiling().filter(|rate| *rate < busiest * 2.0);
        let (top, ticks) = linear_axis(busiest.max(ceiling.unwrap_or(0.0)).max(0.1));
        let y = |value: f64| linear(value, top);
        let data = html! {
            path class="area done-0" d=(plot.steps(|at| y(bins[at].0 - bins[at].1), |_| y(0.0), false)) {}
            path class="area doubt-0" d=(plot.steps(|at| y(bins[at].0), |at| y(bins[at].0 - bins[at].1), false)) {}
            @if let Some(rate) = ceiling {
                path class="ceiling" d=(format!("M{LEFT} {:.1}H{RIGHT}", y(rate))) {}
            }
        };
        // The very last bin may hold the end of a run alone.
        let (calls, repeated) = bins[bins.len().saturating_sub(2)];
        let mut names = vec![Name {
            y: y((calls - repeated) / 2.0),
            text: "first calls".to_owned(),
            class: "done-0".to_owned(),
        }];
        if self.repeated > 0 {
            names.push(Name {
                y: y(calls - repeated / 2.0),
                text: "repeated calls".to_owned(),
                class: "doubt-0".to_owned(),
            });
        }
        if let Some(rate) = ceiling {
            names.push(Name {
                y: y(rate),
                text: format!("ceiling {}/s", short(rate)),
                class: "plain".to_owned(),
            });
        }
        plot.frame("Calls per second over time", &ticks, &data, names)
    }

    /// Returns the rate that the last run was allowed, if its log tells.
    fn ceiling(&self) -> Option<f64> {
        let log = self.runs.iter().rev().find_map(|run| run.notes.as_ref())?;
        let rate: crate::admission::Rate =
            log.began.settings.get("rate")?.as_str()?.parse().ok()?;
        rate.per_second()
    }

    /// Draws the reasons of rows that are not done; without any, the pools.
    pub(super) fn bars_plot(&self) -> Markup {
        let undone: Vec<_> = self
            .reasons
            .iter()
            .filter(|reason| reason.is_of_undone())
            .collect();
        if undone.is_empty() {
            let pools = self.pools.iter().map(|pool| {
                let id = if pool.id.is_empty() {
                    "(other rows)"
                } else {
                    &pool.id
                };
                (id.to_owned(), pool.rows.clone())
            });
            let mut pools: Vec<_> = pools.collect();
            pools.sort_by_key(|(_, rows)| std::cmp::Reverse(rows.all()));
            return bars("Rows by pool and outcome", &pools);
        }
        let reasons = undone.into_iter().map(|reason| {
            let (name, _) = reason.outcome.describe();
            let mut rows = Counts::default();
            rows.set(reason.outcome, reason.rows);
            (format!("{name}: {}", reason.text()), rows)
        });
        let reasons: Vec<_> = reasons.collect();
        bars("Rows that are not done, by reason", &reasons)
    }
}

/// Draws the rows by outcome, added up over time.
pub(super) fn outcomes_plot(timeline: &Timeline) -> Markup {
    let plot = TimePlot::new(timeline);
    let mut sums: Vec<Counts> = Vec::new();
    for (_, bin) in timeline.bins() {
        let mut sum = sums.last().cloned().unwrap_or_default();
        sum.add(&bin.rows);
        sums.push(sum);
    }
    let outcomes = in_bands();
    // Height of the bands up to this one, by bin.
    let up_to = |band: usize, at: usize| -> f64 {
        let below = outcomes.iter().take(band);
        below.map(|outcome| sums[at].of(*outcome) as f64).sum()
    };
    let last = sums.len() - 1;
    let (top, ticks) = linear_axis(up_to(outcomes.len(), last).max(1.0));
    let mut names = Vec::new();
    let data = html! {
        @for (band, outcome) in outcomes.iter().enumerate() {
            @if sums[last].of(*outcome) > 0 {
                path class=(format!("area {}", class_of(*outcome)))
                    d=(plot.steps(|at| linear(up_to(band + 1, at), top), |at| linear(up_to(band, at), top), true)) {}
            }
        }
    };
    for (band, outcome) in outcomes.iter().enumerate() {
        let rows = sums[last].of(*outcome);
        if rows > 0 {
            let middle = f64::midpoint(up_to(band, last), up_to(band + 1, last));
            let (name, _) = outcome.describe();
            names.push(Name {
                y: linear(middle, top),
                text: in_lines(&format!("{name} {}", short(rows as f64))),
                class: class_of(*outcome),
            });
        }
    }
    plot.frame("Rows by outcome, added up over time", &ticks, &data, names)
}

/// Draws quantiles of the latency over time.
pub(super) fn latency_plot(timeline: &Timeline) -> Option<Markup> {
    let plot = TimePlot::new(timeline);
    let quantiles = [
        (0.5, "median", "done-0"),
        (0.95, "95 %", "doubt-0"),
        (0.99, "99 %", "failed-0"),
    ];
    // A quantile takes as many calls as it cuts off the last of: of 12 calls there is no 99 %.
    let most = timeline.bins().map(|(_, bin)| bin.latencies.count()).max();
    let most = most.unwrap_or(0) as f64;
    let lines: Vec<Vec<Option<f64>>> = quantiles
        .iter()
        .map(|(share, ..)| {
            let bins = timeline.bins();
            bins.map(|(_, bin)| {
                let is_enough = bin.latencies.count() as f64 >= most.min(0.999 / (1.0 - share));
                bin.latencies.quantile(*share).filter(|_| is_enough)
            })
            .collect()
        })
        .collect();
    let all = || lines.iter().flatten().flatten().copied();
    let low = all().reduce(f64::min)?.max(1.0);
    let high = all().reduce(f64::max)?.max(low * 1.5);
    let ticks = log_ticks(low, high);
    let (first, last) = (ticks[0].ln(), ticks[ticks.len() - 1].ln());
    let y = |millis: f64| BOTTOM - (BOTTOM - TOP) * (millis.max(1.0).ln() - first) / (last - first);
    let y_ticks: Vec<_> = ticks
        .iter()
        .map(|tick| (y(*tick), latency(*tick)))
        .collect();
    let data = html! {
        @for (line, (_, _, class)) in lines.iter().zip(&quantiles) {
            path class=(format!("line {class}")) d=(plot.line(|at| line[at].map(y))) {}
        }
    };
    let names = lines
        .iter()
        .zip(&quantiles)
        .filter_map(|(line, (_, name, class))| {
            let last = line.iter().rev().find_map(|value| *value)?;
            Some(Name {
                y: y(last),
                text: format!("{name} {}", latency(last)),
                class: (*class).to_owned(),
            })
        });
    Some(plot.frame(
        "Latency of calls over time",
        &y_ticks,
        &data,
        names.collect(),
    ))
}

fn bars(label: &str, bars: &[(String, Counts)]) -> Markup {
    let others = bars.len().saturating_sub(MOST_BARS);
    let most = bars
        .iter()
        .map(|(_, rows)| rows.all())
        .max()
        .unwrap_or(1)
        .max(1);
    let width = WIDTH - 80.0;
    let distance = 40.0;
    let shown = bars.len().min(MOST_BARS);
    let height = 12.0 + distance * shown as f64 + if others > 0 { 22.0 } else { 0.0 };
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(label) {
            @for (n, (name, rows)) in bars.iter().take(MOST_BARS).enumerate() {
                @let y = 14.0 + distance * n as f64;
                text class="bar-name" x="0" y=(y) { (shortened(name)) }
                @let mut x = 0.0;
                @for (outcome, count) in rows.present() {
                    @let length = (count as f64 / most as f64 * width).max(1.5);
                    rect class=(format!("area {}", class_of(outcome))) x=(format!("{x:.1}")) y=(y + 6.0) width=(format!("{length:.1}")) height="11" {}
                    ({ x += length; "" })
                }
                text class="tick" x=(format!("{:.1}", x + 6.0)) y=(y + 16.0) { (HumanCount(rows.all())) }
            }
            @if others > 0 {
                text class="tick" x="0" y=(height - 6.0) { (others) " more in the tables below" }
            }
        }
    }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= BAR_NAME {
        return name.to_owned();
    }
    let head: String = name.chars().take(BAR_NAME - 1).collect();
    format!("{head}…")
}
