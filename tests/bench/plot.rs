//! Draws how two runs share a quota that neither knows: `cargo bench --bench plot`.
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
const QUOTAS: [(u64, f64); 3] = [(0, 50.0), (80, 20.0), (120, 50.0)];
const JOINS: Duration = Duration::from_secs(10);
const END: usize = 180;
const REGION: &str = "us-east-1";
const CONCURRENCY: NonZeroU32 = NonZeroU32::new(64).expect("positive");

/// Accepted calls per second.
type Accepted = Vec<u32>;

/// The service's side of both runs.
struct Service {
    quota: Quota,
    /// Number of [`QUOTAS`] that apply or have applied.
    quotas: usize,
    latency: fastrand::Rng,
    accepted: [Accepted; 2],
}

fn main() -> Result<(), Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let accepted = runtime.block_on(play());
    draw(&accepted)
}

async fn play() -> [Accepted; 2] {
    let service = Arc::new(Mutex::new(Service {
        quota: bucket(QUOTAS[0].1),
        quotas: 1,
        latency: fastrand::Rng::with_seed(1),
        accepted: [(); 2].map(|()| vec![0; END]),
    }));
    let began = Instant::now();
    for (nth, joins) in [Duration::ZERO, JOINS].into_iter().enumerate() {
        tokio::spawn(run(nth, joins, began, Arc::clone(&service)));
    }
    sleep_until(began + Duration::from_secs(END as u64)).await;
    lock(&service).accepted.clone()
}

/// Starts calls as fast as they are admitted.
async fn run(nth: usize, joins: Duration, began: Instant, service: Arc<Mutex<Service>>) {
    sleep_until(began + joins).await;
    let limits = Limits {
        rate: Rate::Unlimited,
        burst: NonZeroU32::MIN,
        concurrency: CONCURRENCY,
        leave: 0.0,
    };
    let operation = Operation::UnlinkDeveloperIdentity;
    let queue = Admission::new(limits, operation, BTreeMap::new()).queue(REGION, operation);
    while let Some(permit) = queue.admit().await {
        let (feedback, latency) = lock(&service).call(nth, began.elapsed());
        tokio::spawn(async move {
            sleep(latency).await;
            permit.answered(feedback);
        });
    }
}

impl Service {
    fn call(&mut self, nth: usize, at: Duration) -> (Feedback, Duration) {
        while let Some((from, quota)) = QUOTAS.get(self.quotas)
            && at.as_secs() >= *from
        {
            self.quota = bucket(*quota);
            self.quotas += 1;
        }
        let latency = Duration::from_millis(self.latency.u64(30..=50));
        if !self.quota.take(REGION, "UnlinkDeveloperIdentity", at) {
            return (Feedback::Throttled, latency);
        }
        let second = usize::try_from(at.as_secs()).unwrap_or(END);
        if let Some(accepted) = self.accepted[nth].get_mut(second) {
            *accepted += 1;
        }
        (Feedback::Accepted, latency)
    }
}

fn bucket(quota: f64) -> Quota {
    Quota::new(QuotaSettings::bucket(quota, 10), 1)
}

fn lock(service: &Mutex<Service>) -> MutexGuard<'_, Service> {
    service.lock().unwrap_or_else(PoisonError::into_inner)
}

fn draw(accepted: &[Accepted; 2]) -> Result<(), Box<dyn Error>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/shared_quota.svg");
    let area = SVGBackend::new(&path, (900, 360)).into_drawing_area();
    area.fill(&WHITE)?;
    let end = END as f64;
    let mut chart = ChartBuilder::on(&area)
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(45)
        .build_cartesian_2d(0.0..end, 0.0..70.0)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("seconds")
        .y_desc("calls accepted per second")
        .draw()?;

    let both: Accepted = accepted[0]
        .iter()
        .zip(&accepted[1])
        .map(|(a, b)| a + b)
        .collect();
    let rates = [
        ("first run", BLUE, &accepted[0]),
        ("second run", RED, &accepted[1]),
        ("both", RGBColor(150, 150, 150), &both),
    ];
    for (name, color, accepted) in rates {
        let points = (0..)
            .zip(accepted)
            .map(|(second, accepted)| (f64::from(second) + 0.5, f64::from(*accepted)));
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
