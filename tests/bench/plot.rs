//! Draws how a run finds a quota that it does not know, and how a second one that joins it shares the quota:
//! `cargo bench --bench plot`.
//!
//! Admission is the real one, on paused time; the service accepts as many calls as its token bucket holds. The picture is
//! `tests/bench/shared_quota.svg`.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cognito_unlink::testing::admission::{Admission, Feedback, Limits, Rate};
use cognito_unlink::testing::emulator::{Quota, QuotaSettings};
use cognito_unlink::testing::operation::Operation;
use plotters::prelude::*;
use tokio::time::{Instant, sleep, sleep_until};

/// Second from which a quota applies, and its calls per second; the bucket holds ten.
const QUOTAS: [(u64, f64); 3] = [(0, 50.0), (90, 20.0), (120, 50.0)];
/// Second at which the second run starts. The first finds the quota in less.
const JOINS: usize = 30;
const END: usize = 150;
const REGION: &str = "us-east-1";
const CONCURRENCY: NonZeroU32 = NonZeroU32::new(64).expect("positive");
const GREY: RGBColor = RGBColor(150, 150, 150);
const ORANGE: RGBColor = RGBColor(240, 150, 40);

/// Calls in each second.
type Calls = Vec<u32>;

/// The service's side of both runs.
struct Service {
    quota: Quota,
    /// Number of [`QUOTAS`] that apply or have applied.
    quotas: usize,
    latency: fastrand::Rng,
    counts: Counts,
}

#[derive(Clone)]
struct Counts {
    /// Of each run.
    accepted: [Calls; 2],
    /// Of both runs.
    throttled: Calls,
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let counts = runtime.block_on(play());
    draw(&counts)
}

async fn play() -> Counts {
    let service = Arc::new(Mutex::new(Service {
        quota: bucket(QUOTAS[0].1),
        quotas: 1,
        latency: fastrand::Rng::with_seed(1),
        counts: Counts {
            accepted: [(); 2].map(|()| vec![0; END]),
            throttled: vec![0; END],
        },
    }));
    let began = Instant::now();
    for (nth, joins) in [0, JOINS].into_iter().enumerate() {
        let joins = began + Duration::from_secs(joins as u64);
        tokio::spawn(run(nth, joins, began, Arc::clone(&service)));
    }
    sleep_until(began + Duration::from_secs(END as u64)).await;
    lock(&service).counts.clone()
}

/// Starts calls as fast as they are admitted.
async fn run(nth: usize, joins: Instant, began: Instant, service: Arc<Mutex<Service>>) {
    sleep_until(joins).await;
    let limits = Limits {
        rate: Rate::Unlimited,
        burst: NonZeroU32::MIN,
        concurrency: CONCURRENCY,
        leave: 0.0,
        processes: NonZeroU32::MIN,
    };
    let operation = Operation::UnlinkDeveloperIdentity;
    let queue = Admission::new(limits, operation, BTreeMap::new()).queue(REGION, operation);
    while let Some(permit) = queue.admit().await {
        let way = lock(&service).latency() / 2;
        let service = Arc::clone(&service);
        tokio::spawn(async move {
            sleep(way).await;
            let feedback = lock(&service).call(nth, began.elapsed());
            sleep(way).await;
            permit.answered(feedback);
        });
    }
}

impl Service {
    fn latency(&mut self) -> Duration {
        Duration::from_millis(self.latency.u64(30..=50))
    }

    /// Decides a call that arrives from one of the runs.
    fn call(&mut self, nth: usize, at: Duration) -> Feedback {
        while let Some((from, quota)) = QUOTAS.get(self.quotas)
            && at.as_secs() >= *from
        {
            self.quota = bucket(*quota);
            self.quotas += 1;
        }
        let (feedback, counts) = if self.quota.take(REGION, "UnlinkDeveloperIdentity", at) {
            (Feedback::Accepted, &mut self.counts.accepted[nth])
        } else {
            (Feedback::Throttled, &mut self.counts.throttled)
        };
        let second = usize::try_from(at.as_secs()).unwrap_or(END);
        if let Some(calls) = counts.get_mut(second) {
            *calls += 1;
        }
        feedback
    }
}

fn bucket(quota: f64) -> Quota {
    Quota::new(QuotaSettings::bucket(quota, 10), 1)
}

fn lock(service: &Mutex<Service>) -> MutexGuard<'_, Service> {
    service.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw(counts: &Counts) -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/shared_quota.svg");
    let area = SVGBackend::new(&path, (900, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let end = END as f64;
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(45)
        .build_cartesian_2d(0.0..end, 0.0..90.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .y_desc("calls per second")
        .draw()?;

    let throttled = (0..).zip(&counts.throttled).map(|(second, calls)| {
        let (left, right) = (f64::from(second), f64::from(second) + 1.0);
        Rectangle::new([(left, 0.0), (right, f64::from(*calls))], ORANGE.filled())
    });
    chart
        .draw_series(throttled)?
        .label("throttled")
        .legend(key(ORANGE));
    let [first, second] = &counts.accepted;
    let both: Calls = first.iter().zip(second).map(|(a, b)| a + b).collect();
    let rates = [
        ("first run", BLUE, 0, first),
        ("second run", RED, JOINS, second),
        ("both", GREY, JOINS, &both),
    ];
    for (name, color, from, accepted) in rates {
        let points = (0..)
            .zip(accepted)
            .map(|(second, calls)| (f64::from(second) + 0.5, f64::from(*calls)))
            .skip(from);
        chart
            .draw_series(LineSeries::new(points, color.stroke_width(2)))?
            .label(name)
            .legend(key(color));
    }
    let ends = QUOTAS[1..].iter().map(|(from, _)| *from as f64);
    let steps = QUOTAS.iter().zip(ends.chain([end]));
    let quota = steps.flat_map(|((from, quota), to)| [(*from as f64, *quota), (to, *quota)]);
    chart
        .draw_series(LineSeries::new(quota, BLACK.stroke_width(1)))?
        .label("quota")
        .legend(key(BLACK));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE)
        .draw()?;
    area.present()?;
    Ok(())
}

fn key(color: RGBColor) -> impl Fn((i32, i32)) -> PathElement<(i32, i32)> {
    move |(x, y)| PathElement::new(vec![(x, y), (x + 16, y)], color.stroke_width(2))
}
