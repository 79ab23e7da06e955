//! Events at a fixed pace, each with Godzilla's calls: poll, the strategy's `on_depth`, `on_data`.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use signal_bench::drive::{Driver, Host, Probe, Signal};
use signal_bench::live;
use signal_bench::series::{Figures, Series, Stamps};
use signal_bench::workload;

use crate::{Between, Setup, Way};

const MODEL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/models/move.onnx");

/// Unmeasured, at full speed: until predictors and the rings' pages are as they stay.
const WARM_UP: usize = 2_000;
/// Unmeasured, at the pace.
const SETTLE: usize = 5;

/// Knows when each Depth was to be given, by its number.
struct Due<'a> {
    stamps: &'a Stamps,
    due: Vec<Cell<u64>>,
    series: RefCell<Series>,
    calls: Cell<u64>,
    late: Cell<u64>,
    /// Number of the Depth that is given now.
    now: Cell<usize>,
}

impl Probe for Due<'_> {
    #[inline(always)]
    fn take(&self, signal: Signal) {
        let now = self.stamps.raw();
        let number = signal.timestamp as usize - 1;
        self.series.borrow_mut().record(self.due[number].get(), now);
        self.calls.set(self.calls.get() + 1);
        if number != self.now.get() {
            self.late.set(self.late.get() + 1);
        }
    }

    #[inline(always)]
    fn calls(&self) -> u64 {
        self.calls.get()
    }
}

/// The times from when each Depth was to be given to its callback, and how many signals missed
/// their own call.
pub fn measure(setup: &Setup, gap: Duration, way: Way) -> Result<(Figures, u64), String> {
    let stamps = &setup.bench.stamps;
    let depths = (setup.duration.as_secs_f64() / gap.as_secs_f64()).round() as usize;
    let depths = depths.max(10);
    let mut config = workload::config(&json!(way.placement), 1, &setup.bench.cores, true);
    config = workload::market(config, Path::new(MODEL));
    config["deliver"] = json!("on_data");
    config["deliver_budget_us"] = json!(setup.budget_us);
    if let Some(warm) = way.warm {
        config["warm"] = json!(warm);
    }
    let library = match (way.against, setup.against) {
        (true, Some(against)) => against,
        _ => setup.library,
    };
    let probe = Due {
        stamps,
        due: vec![Cell::new(0); WARM_UP + SETTLE + depths],
        series: RefCell::default(),
        calls: Cell::new(0),
        late: Cell::new(0),
        now: Cell::new(0),
    };
    let mut driver = Driver::with(live::create(&library.api, &config)?, probe, stamps);
    let mut depth = workload::depth();
    let mut trade = workload::trade(&depth);
    for number in 0..WARM_UP {
        workload::turn(&mut depth, number);
        driver.probe.due[number].set(stamps.start());
        driver.host.on_depth(&depth);
        driver.wait(number as u64 + 1)?;
    }
    let memory = vec![1u64; setup.pollute];
    let events = setup.others as u64 + 1;
    let step = stamps.ticks(gap.as_nanos() as u64) / events;
    let mut due = stamps.raw();
    for number in WARM_UP..WARM_UP + SETTLE + depths {
        if number == WARM_UP + SETTLE {
            driver.probe.series.take();
            driver.probe.late.set(0);
        }
        for other in 0..events {
            due += step;
            black_box(black_box(&memory).iter().sum::<u64>());
            while stamps.raw() < due {
                match setup.host {
                    Between::Silent => {}
                    Between::Polls => drop(driver.host.poll_call()),
                    Between::Inlined => driver.host.poll(),
                }
            }
            if other + 1 < events {
                trade.price = (101.0 + (number % 7) as f64 / 8.0).into();
                trade.trade_time = (number as i64 + 1).into();
                driver.host.on_trade(&trade);
                continue;
            }
            driver.host.poll();
            // Here the strategy's on_depth runs.
            workload::turn(&mut depth, number);
            driver.probe.due[number].set(due);
            driver.probe.now.set(number);
            driver.host.on_depth(&depth);
        }
    }
    driver.wait((WARM_UP + SETTLE + depths) as u64)?;
    let figures = driver.probe.series.borrow().figures(stamps);
    Ok((figures, driver.probe.late.get()))
}
