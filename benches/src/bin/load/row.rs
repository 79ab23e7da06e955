//! One rate for some time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use signal::abi::{Depth, Trade};
use signal_bench::bench::{Bench, Library};
use signal_bench::drive::{Driver, Host, Probe, Signal};
use signal_bench::live::{self, Live};
use signal_bench::series::{Figures, Series, Stamps, median};
use signal_bench::workload;

use crate::outcome::{Outcome, Schedule};

/// Length of the windows that have a p99 of their own.
const WINDOW: Duration = Duration::from_millis(2);
const LEAST_IN_WINDOW: usize = 100;
/// After the last signal, when some are missing: they were dropped.
const SILENCE: Duration = Duration::from_millis(100);

pub struct Load<'a> {
    pub bench: &'a Bench,
    pub library: &'a Library,
    pub config: Value,
    pub instruments: usize,
    pub trades: usize,
}

#[derive(Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub figures: Figures,
    /// The median over windows of [`WINDOW`] of each window's p99: what it is while
    /// nothing takes a core away. None where a window has too few Depths.
    pub window_p99_ns: Option<f64>,
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// What the callback leaves. It runs on the host's thread, inside poll.
struct Latencies<'a> {
    stamps: &'a Stamps,
    schedule: Cell<Schedule>,
    warm_up: i64,
    received: Cell<u64>,
    /// In ticks, by number; 0 where no signal came. Looked at when all is over, so that
    /// a callback writes four bytes and no more.
    latencies: Vec<Cell<u32>>,
}

impl Probe for Latencies<'_> {
    /// The signal's time is the number of its Depth, from 1; 0 introduces an instrument.
    #[inline(always)]
    fn take(&self, signal: Signal) {
        let now = self.stamps.raw();
        let number = signal.timestamp - self.warm_up;
        if number > 0 {
            let due = self.schedule.get().due(signal.timestamp as u64 - 1);
            let latency = u32::try_from(now.saturating_sub(due)).unwrap_or(u32::MAX);
            if let Some(cell) = self.latencies.get(number as usize - 1) {
                cell.set(latency.max(1));
            }
        }
        self.received.set(self.received.get() + 1);
    }

    #[inline(always)]
    fn calls(&self) -> u64 {
        self.received.get()
    }
}

impl Load<'_> {
    /// Sends Depths at this rate for so long, on a handle of its own. A tenth more go
    /// before, at the same rate, not in the histogram.
    pub fn run(&self, rate: f64, duration: Duration) -> Result<Row, String> {
        let stamps = &self.bench.stamps;
        let measured = ((rate * duration.as_secs_f64()) as u64).max(100);
        let warm_up = measured / 10;
        let total = warm_up + measured;
        let step = stamps.ticks(1_000_000_000) as f64 / rate;
        let probe = Latencies {
            stamps,
            schedule: Cell::new(Schedule { start: 0, step }),
            warm_up: warm_up as i64,
            received: Cell::new(0),
            // Written, so that its pages are there.
            latencies: vec![Cell::new(1); measured as usize],
        };
        let handle = live::create(&self.library.api, &self.config)?;
        let mut driver = Driver::with(handle, probe, stamps);
        let mut books = books(self.instruments);
        // Each instrument's first Depth, whose name is new, before anything is timed.
        for (number, (depth, _)) in books.iter().enumerate() {
            driver.host.on_depth(depth);
            driver.wait(number as u64 + 1)?;
        }
        let Driver { host, probe, .. } = &mut driver;
        probe.received.set(0);

        // Time for the lane to fall idle, so that the first Depth is as any other.
        let start = stamps.raw() + stamps.ticks(200_000);
        let schedule = Schedule { start, step };
        probe.schedule.set(schedule);
        probe.latencies.iter().for_each(|cell| cell.set(0));
        let preemptions = self.bench.preemptions();
        let (mut latest, mut deepest, mut short_at_end, mut end) = (0, 0, u64::MAX, start);
        let quarter = total - total / 4;
        let (mut next, mut book) = (0, 0);
        while next < total {
            let now = stamps.raw();
            let due = schedule.due(next);
            // As a host does: before each Depth, and while nothing is due.
            host.poll();
            if now < due {
                continue;
            }
            let (depth, trade) = &mut books[book];
            book = if book + 1 == self.instruments {
                0
            } else {
                book + 1
            };
            for _ in 0..self.trades {
                trade.trade_time = (next as i64 * 10_000_000).into();
                host.on_trade(trade);
            }
            workload::turn(depth, next as usize);
            next += 1;
            host.on_depth(depth);
            let under_way = next - probe.received.get();
            latest = latest.max(now - due);
            deepest = deepest.max(under_way);
            if next > quarter {
                short_at_end = short_at_end.min(under_way);
            }
            end = now;
        }
        drain(host, probe, total);
        let stats = host.stats()?;
        let sum = |wanted: fn(&str) -> bool| {
            let named = stats.iter().filter(|(name, _)| wanted(name));
            named.map(|(_, count)| count).sum()
        };
        let outcome = Outcome {
            rate,
            sent: total,
            seconds: stamps.ns((end - start) as f64 + step) / 1e9,
            received: probe.received.get(),
            trades: total * self.trades as u64,
            dropped: sum(|name| name.starts_with("dropped_")),
            conflated: sum(|name| name == "conflated_egress"),
            deepest,
            short_at_end,
            latest_ns: stamps.ns(latest as f64),
            preempted: self.bench.preemptions() - preemptions,
        };
        let latencies: Vec<u32> = probe.latencies.iter().map(Cell::get).collect();
        let mut series = Series::default();
        for &latency in latencies.iter().filter(|&&latency| latency > 0) {
            series.record(0, latency.into());
        }
        let window = ((WINDOW.as_secs_f64() * rate) as usize).max(LEAST_IN_WINDOW);
        Ok(Row {
            figures: series.figures(stamps),
            window_p99_ns: windows_p99(&latencies, window).map(|ticks| stamps.ns(ticks)),
            outcome,
        })
    }
}

/// Polls until all have come, or nothing more does.
fn drain(host: &mut Live, probe: &Latencies, sent: u64) {
    let (mut seen, mut since) = (probe.received.get(), Instant::now());
    while probe.received.get() < sent && since.elapsed() < SILENCE {
        host.poll();
        if probe.received.get() != seen {
            (seen, since) = (probe.received.get(), Instant::now());
        }
    }
}

/// A book and a trade for each instrument.
fn books(instruments: usize) -> Vec<(Depth, Trade)> {
    let book = |number| {
        let mut depth = workload::depth();
        workload::name(&mut depth, number);
        let mut trade = workload::trade(&depth);
        trade.price = 101.0.into();
        (depth, trade)
    };
    (0..instruments).map(book).collect()
}

/// The median over windows of `size` latencies of each window's 99th percentile; zeros
/// are no latencies. None without a whole window.
fn windows_p99(latencies: &[u32], size: usize) -> Option<f64> {
    let tail = |window: &[u32]| {
        let mut window: Vec<u32> = window.iter().copied().filter(|&l| l > 0).collect();
        let place = (window.len() * 99).div_ceil(100).checked_sub(1)?;
        Some(f64::from(*window.select_nth_unstable(place).1))
    };
    let tails: Vec<f64> = latencies.chunks_exact(size).filter_map(tail).collect();
    (!tails.is_empty()).then(|| median(tails))
}

#[test]
fn a_stall_is_in_its_own_window_alone() {
    let mut latencies: Vec<u32> = (0..1000).map(|number| 1 + number % 100).collect();
    assert_eq!(windows_p99(&latencies, 100), Some(99.0));
    // Two windows of ten are all stall.
    latencies[300..500].fill(1_000_000);
    assert_eq!(windows_p99(&latencies, 100), Some(99.0));
    // Half of a window's signals are lost: it is those that came.
    latencies[700..750].fill(0);
    assert_eq!(windows_p99(&latencies[700..], 100), Some(99.0));
    assert_eq!(windows_p99(&latencies[700..800], 100), Some(100.0));
    assert_eq!(windows_p99(&latencies[..99], 100), None);
    assert_eq!(windows_p99(&[0; 300], 100), None);
}
