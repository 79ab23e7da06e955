//! One rate for some time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use serde_json::Value;
use signal::abi::{Depth, Trade};
use signal_bench::bench::{Bench, Library};
use signal_bench::live;
use signal_bench::probe;
use signal_bench::schedule::{Outcome, Schedule, windows_p99};
use signal_bench::series::{Figures, Series, Stamps};
use signal_bench::silence::{LONGEST_WAIT, wait_until};
use signal_bench::workload;
use signal_command::host::library::Handle;

/// Length of the windows that have a p99 of their own.
pub const WINDOW: Duration = Duration::from_millis(2);
/// Fewest Depths in a window.
const LEAST_IN_WINDOW: usize = 100;
/// After the last signal, when some are missing: they were dropped.
const SILENCE: Duration = Duration::from_millis(100);

/// What is loaded.
pub struct Load<'a> {
    pub bench: &'a Bench,
    pub library: &'a Library,
    pub config: Value,
    pub instruments: usize,
    /// Before each Depth.
    pub trades: usize,
}

/// What one rate gave.
pub struct Row {
    pub figures: Figures,
    /// The median over windows of [`WINDOW`] of each window's p99: what it is while
    /// nothing takes a core away. None where a window has too few Depths.
    pub window_p99_ns: Option<f64>,
    pub outcome: Outcome,
}

/// What the callback leaves. It runs on the host's thread, inside poll.
struct Probe<'a> {
    stamps: &'a Stamps,
    schedule: Cell<Schedule>,
    /// Depths that warm up.
    warm_up: i64,
    received: Cell<u64>,
    /// In ticks, by number; 0 where no signal came. Looked at when all is over, so that
    /// a callback writes four bytes and no more.
    latencies: Vec<Cell<u32>>,
}

impl probe::Probe for Probe<'_> {
    /// The signal's time is the number of its Depth, from 1; 0 introduces an instrument.
    #[inline(always)]
    fn take(&self, timestamp: i64) {
        let now = self.stamps.raw();
        if timestamp > self.warm_up {
            let due = self.schedule.get().due(timestamp as u64 - 1);
            let latency = u32::try_from(now.saturating_sub(due)).unwrap_or(u32::MAX);
            let place = (timestamp - self.warm_up - 1) as usize;
            if let Some(cell) = self.latencies.get(place) {
                cell.set(latency.max(1));
            }
        }
        self.received.set(self.received.get() + 1);
    }
}

impl Load<'_> {
    /// Sends Depths at this rate for so long, on a handle of its own. A tenth more go
    /// before, at the same rate, not in the histogram.
    pub fn run(&self, rate: f64, duration: Duration) -> Result<Row, String> {
        let stamps = &self.bench.stamps;
        let handle = live::create(&self.library.api, &self.config)?;
        let mut books = books(self.instruments);
        let measured = ((rate * duration.as_secs_f64()) as u64).max(100);
        let warm_up = measured / 10;
        let total = warm_up + measured;
        let step = stamps.ticks(1_000_000_000) as f64 / rate;
        let probe = Box::new(Probe {
            stamps,
            schedule: Cell::new(Schedule::new(0, step)),
            warm_up: warm_up as i64,
            received: Cell::new(0),
            // Written, so that its pages are there.
            latencies: vec![Cell::new(1); measured as usize],
        });
        // SAFETY: the probe is boxed and outlives the last poll of the handle, below.
        unsafe { probe::register(&*handle, &*probe) };
        introduce(&handle, &books, &probe)?;

        // Time for the lane to fall idle, so that the first Depth is as any other.
        let start = stamps.raw() + stamps.ticks(200_000);
        let schedule = Schedule::new(start, step);
        probe.schedule.set(schedule);
        probe.latencies.iter().for_each(|cell| cell.set(0));
        let preemptions = self.bench.preemptions();
        let mut sending = Sending {
            latest: 0,
            deepest: 0,
            short_at_end: u64::MAX,
            end: start,
        };
        let quarter = total - total / 4;
        let (mut next, mut book) = (0, 0);
        while next < total {
            let now = stamps.raw();
            let due = schedule.due(next);
            // As a host does: before each Depth, and while nothing is due.
            handle.poll_inlined();
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
                handle.on_trade(trade);
            }
            next += 1;
            depth.data_time = (next as i64).into();
            depth.bid_price[0] = (100.0 + (next % 16) as f64 / 16.0).into();
            handle.on_depth(depth);
            let under_way = next - probe.received.get();
            sending.latest = sending.latest.max(now - due);
            sending.deepest = sending.deepest.max(under_way);
            if next > quarter {
                sending.short_at_end = sending.short_at_end.min(under_way);
            }
            sending.end = now;
        }
        drain(&handle, &probe, total);
        let outcome = Outcome {
            trades: total * self.trades as u64,
            preempted: self.bench.preemptions() - preemptions,
            ..sending.outcome(rate, total, &handle, &probe, step)?
        };
        let latencies: Vec<u32> = probe.latencies.iter().map(Cell::get).collect();
        let mut series = Series::new();
        for &latency in latencies.iter().filter(|&&latency| latency > 0) {
            series.record(0, latency.into());
        }
        let window = (WINDOW.as_secs_f64() * rate) as usize;
        Ok(Row {
            figures: series.figures(stamps),
            window_p99_ns: windows_p99(&latencies, window.max(LEAST_IN_WINDOW))
                .map(|ticks| stamps.ns(ticks)),
            outcome,
        })
    }
}

/// Each instrument's first Depth, whose name is new, before anything is timed.
fn introduce(handle: &Handle, books: &[(Depth, Trade)], probe: &Probe) -> Result<(), String> {
    for (number, (depth, _)) in books.iter().enumerate() {
        handle.on_depth(depth);
        let came = wait_until(|| {
            handle.poll_inlined();
            probe.received.get() > number as u64
        });
        came.map_err(|silence| {
            let what = format!("no signal came within {LONGEST_WAIT:?} of a Depth");
            silence.tell(handle, &what)
        })?;
    }
    probe.received.set(0);
    Ok(())
}

/// What the sender saw, in ticks and Depths.
struct Sending {
    latest: u64,
    deepest: u64,
    short_at_end: u64,
    end: u64,
}

impl Sending {
    fn outcome(
        &self,
        rate: f64,
        sent: u64,
        handle: &Handle,
        probe: &Probe,
        step: f64,
    ) -> Result<Outcome, String> {
        let stamps = probe.stamps;
        let stats = handle.stats()?;
        let sum = |wanted: fn(&str) -> bool| {
            let named = stats.iter().filter(|(name, _)| wanted(name));
            named.map(|(_, count)| count).sum()
        };
        let ticks = (self.end - probe.schedule.get().due(0)) as f64 + step;
        Ok(Outcome {
            rate,
            sent,
            seconds: stamps.ns(ticks) / 1e9,
            received: probe.received.get(),
            trades: 0,
            dropped: sum(|name| name.starts_with("dropped_")),
            conflated: sum(|name| name == "conflated_egress"),
            short_at_end: self.short_at_end,
            deepest: self.deepest,
            latest_ns: stamps.ns(self.latest as f64),
            preempted: 0,
        })
    }
}

/// Polls until all have come, or nothing more does.
fn drain(handle: &Handle, probe: &Probe, sent: u64) {
    let (mut seen, mut since) = (probe.received.get(), Instant::now());
    while probe.received.get() < sent && since.elapsed() < SILENCE {
        handle.poll_inlined();
        if probe.received.get() != seen {
            (seen, since) = (probe.received.get(), Instant::now());
        }
    }
}

/// A book and a trade for each instrument.
fn books(instruments: usize) -> Vec<(Depth, Trade)> {
    (0..instruments)
        .map(|number| {
            let mut depth = workload::depth();
            workload::name(&mut depth, number);
            let mut trade = workload::trade(&depth);
            trade.price = 101.0.into();
            (depth, trade)
        })
        .collect()
}
