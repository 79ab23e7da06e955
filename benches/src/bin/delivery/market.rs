//! Depths at a fixed rate, each with Godzilla's calls: poll, the strategy's
//! `on_depth`, `on_data`.

use std::cell::{Cell, RefCell};

use serde::Serialize;
use serde_json::json;
use signal_bench::drive::{Driver, Host, Probe, Signal};
use signal_bench::live::Live;
use signal_bench::report::{Table, time};
use signal_bench::series::{Figures, Series, Stamps};
use signal_bench::workload;

use crate::{Setup, Way, way};

const WAYS: [Way; 4] = [
    way("fused, poll", "fused", "poll"),
    way("fused, on_data", "fused", "on_data"),
    way("inline, poll", "inline", "poll"),
    way("inline, on_data", "inline", "on_data"),
];
/// Unmeasured, at full speed: around the rings' first turns.
const WARM_UP: usize = 2_000;

#[derive(Serialize)]
pub struct Row {
    #[serde(flatten)]
    figures: Figures,
    /// Depths a second.
    rate: u64,
    way: &'static str,
    valid: bool,
    /// Signals that no Depth came to fetch.
    left_behind: u64,
}

/// Knows when each Depth was given, by its number.
struct Starts<'a> {
    stamps: &'a Stamps,
    starts: Vec<Cell<u64>>,
    series: RefCell<Series>,
    calls: Cell<u64>,
}

impl Probe for Starts<'_> {
    #[inline(always)]
    fn take(&self, signal: Signal) {
        let now = self.stamps.raw();
        let start = self.starts[signal.timestamp as usize - 1].get();
        self.series.borrow_mut().record(start, now);
        self.calls.set(self.calls.get() + 1);
    }

    #[inline(always)]
    fn calls(&self) -> u64 {
        self.calls.get()
    }
}

pub fn measure(setup: &Setup) -> Result<Vec<Row>, String> {
    let mut table = Table::new(
        "Depths/s",
        ["way", "median", "p99", "max", "count", "left behind", ""],
    );
    let mut rows = Vec::new();
    for &rate in &setup.rates {
        for way in WAYS {
            let name = format!("{rate} a second, {}", way.name);
            let run = setup.bench.run(&name, || one(setup, rate, way))?;
            let row = Row {
                valid: run.taken.is_valid(),
                ..run.value
            };
            let Figures {
                p50,
                p99,
                max,
                count,
                ..
            } = row.figures;
            let times = [Some(p50), p99, max].map(|ns| time(ns.unwrap_or_default()));
            let counts = [count, row.left_behind].map(|count| count.to_string());
            let mark = if row.valid { "" } else { "INVALID" }.to_owned();
            let cells = [way.name.to_owned()].into_iter().chain(times);
            table.row(&rate.to_string(), cells.chain(counts).chain([mark]));
            rows.push(row);
        }
    }
    setup.bench.show(table);
    Ok(rows)
}

fn one(setup: &Setup, rate: u64, way: Way) -> Result<Row, String> {
    let stamps = &setup.bench.stamps;
    let depths = (setup.duration.as_secs_f64() * rate as f64)
        .round()
        .max(1.0) as usize;
    let probe = Starts {
        stamps,
        starts: vec![Cell::new(0); WARM_UP + depths],
        series: RefCell::default(),
        calls: Cell::new(0),
    };
    let mut driver = Driver::with(setup.create(way, json!({}))?, probe, stamps);
    let mut depth = workload::depth();
    // The book moves.
    let mut give = |driver: &mut Driver<'_, Live, Starts<'_>>, number| {
        workload::turn(&mut depth, number);
        driver.probe.starts[number].set(stamps.start());
        driver.host.on_depth(&depth);
    };
    for number in 0..WARM_UP {
        give(&mut driver, number);
        driver.wait(number as u64 + 1)?;
    }
    driver.probe.series.take();
    let period = stamps.ticks(1_000_000_000 / rate);
    let mut due = stamps.raw();
    for number in WARM_UP..WARM_UP + depths {
        // Between two events the host's main thread looks at its journal.
        due += period;
        while stamps.raw() < due {}
        driver.host.poll();
        // Here the strategy's on_depth runs.
        give(&mut driver, number);
    }
    let figures = driver.probe.series.borrow().figures(stamps);
    Ok(Row {
        figures,
        rate,
        way: way.name,
        valid: true,
        left_behind: depths as u64 - figures.count,
    })
}
