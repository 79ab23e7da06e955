//! One rate for some time, and whether it was kept.

use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;
use signal::abi::{Depth, Trade};
use signal_bench::bench::Bench;
use signal_bench::drive::{Driver, Host, Probe};
use signal_bench::due::Due;
use signal_bench::live::Live;
use signal_bench::series::{Figures, median};
use signal_bench::workload;

/// Length of the windows that have a p99 of their own.
const WINDOW: Duration = Duration::from_millis(2);
const LEAST_IN_WINDOW: usize = 100;
/// After the last signal, when some are missing: they were dropped.
const SILENCE: Duration = Duration::from_millis(100);
/// Least share of the rate asked for that counts as kept.
const KEPT: f64 = 0.99;
/// A queue that is this short once in the last quarter has not been growing.
const SHORT_QUEUE: u64 = 16;

pub struct Load<'a> {
    pub bench: &'a Bench,
    pub config: Value,
    pub instruments: usize,
    pub trades: usize,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Row {
    #[serde(flatten)]
    pub figures: Figures,
    /// The median over windows of [`WINDOW`] of each window's p99: what it is while
    /// nothing takes a core away. None where a window has too few Depths.
    pub window_p99_ns: Option<f64>,
    /// Depths a second asked for, and sent.
    pub rate: f64,
    pub achieved: f64,
    pub sent: u64,
    pub received: u64,
    /// Trades sent beside them; of those dropped some may be trades.
    pub trades: u64,
    /// Events and signals dropped, by the library's counters.
    pub dropped: u64,
    pub conflated: u64,
    /// Most Depths under way at a send.
    pub deepest_queue: u64,
    /// Fewest Depths under way at a send in the last quarter.
    pub shortest_queue_in_the_last_quarter: u64,
    /// How long after its intended time the latest Depth was sent.
    pub latest_send_ns: f64,
    /// Times that the kernel took a core from a thread of this process meanwhile.
    pub preempted: i64,
}

impl Row {
    /// Why the rate was not sustained; empty if it was.
    pub fn failures(&self) -> Vec<String> {
        let share = self.achieved / self.rate;
        let lost = self.sent.abs_diff(self.received);
        let counted = self.dropped + self.conflated;
        let is_accounted_for = (lost..=lost + self.trades).contains(&counted);
        let queued = self.shortest_queue_in_the_last_quarter;
        let all = [
            (share < KEPT).then(|| {
                let percent = 100.0 * share;
                format!(
                    "missed: {:.0}/s sent, {percent:.1} % of the rate",
                    self.achieved
                )
            }),
            (self.dropped > 0).then(|| format!("{} dropped", self.dropped)),
            (self.conflated > 0).then(|| format!("{} conflated", self.conflated)),
            (!is_accounted_for).then(|| format!("{} unaccounted for", lost.abs_diff(counted))),
            (queued > SHORT_QUEUE).then(|| format!("{queued} or more queued at the end")),
        ];
        all.into_iter().flatten().collect()
    }
}

impl Load<'_> {
    /// Sends Depths at this rate for so long, on a handle of its own. A tenth more go
    /// before, at the same rate, not in the histogram.
    pub fn run(&self, rate: f64, duration: Duration) -> Result<Row, String> {
        let stamps = &self.bench.stamps;
        let measured = ((rate * duration.as_secs_f64()) as usize).max(100);
        let warm_up = measured / 10;
        let total = warm_up + measured;
        let step = stamps.ticks(1_000_000_000) as f64 / rate;
        let handle = self.bench.create(&self.config)?;
        let probe = Due::new(stamps, step, warm_up, measured);
        let mut driver = Driver::with(handle, probe, stamps);
        let mut books = books(self.instruments);
        // Each instrument's first Depth, whose name is new, before anything is timed.
        for (number, (depth, _)) in books.iter().enumerate() {
            driver.host.on_depth(depth);
            driver.wait(number as u64 + 1)?;
        }
        let Driver { host, probe, .. } = &mut driver;

        // Time for the lane to fall idle, so that the first Depth is as any other.
        let start = stamps.raw() + stamps.ticks(200_000);
        probe.begin(start);
        let preemptions = self.bench.preemptions();
        let (mut latest, mut deepest, mut short_at_end, mut end) = (0, 0, u64::MAX, start);
        let quarter = total - total / 4;
        let (mut next, mut book) = (0, 0);
        while next < total {
            let now = stamps.raw();
            let due = probe.due(next);
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
            workload::turn(depth, next);
            next += 1;
            host.on_depth(depth);
            let under_way = next as u64 - probe.calls();
            latest = latest.max(now - due);
            deepest = deepest.max(under_way);
            if next > quarter {
                short_at_end = short_at_end.min(under_way);
            }
            end = now;
        }
        drain(host, probe, total as u64);
        let stats = host.stats()?;
        let sum = |wanted: fn(&str) -> bool| {
            let named = stats.iter().filter(|(name, _)| wanted(name));
            named.map(|(_, count)| count).sum()
        };
        let seconds = stamps.ns((end - start) as f64 + step) / 1e9;
        let window = ((WINDOW.as_secs_f64() * rate) as usize).max(LEAST_IN_WINDOW);
        let window_p99 = windows_p99(&probe.latencies(), window);
        Ok(Row {
            figures: probe.figures(),
            window_p99_ns: window_p99.map(|ticks| stamps.ns(ticks)),
            rate,
            achieved: total as f64 / seconds,
            sent: total as u64,
            received: probe.calls(),
            trades: (total * self.trades) as u64,
            dropped: sum(|name| name.starts_with("dropped_")),
            conflated: sum(|name| name == "conflated_egress"),
            deepest_queue: deepest,
            shortest_queue_in_the_last_quarter: short_at_end,
            latest_send_ns: stamps.ns(latest as f64),
            preempted: self.bench.preemptions() - preemptions,
        })
    }
}

/// Polls until all have come, or nothing more does.
fn drain(host: &mut Live, probe: &Due, sent: u64) {
    let (mut seen, mut since) = (probe.calls(), Instant::now());
    while probe.calls() < sent && since.elapsed() < SILENCE {
        host.poll();
        if probe.calls() != seen {
            (seen, since) = (probe.calls(), Instant::now());
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
fn windows_p99(latencies: &[u64], size: usize) -> Option<f64> {
    let tail = |window: &[u64]| {
        let mut window: Vec<u64> = window.iter().copied().filter(|&l| l > 0).collect();
        let place = (window.len() * 99).div_ceil(100).checked_sub(1)?;
        Some(*window.select_nth_unstable(place).1 as f64)
    };
    let tails: Vec<f64> = latencies.chunks_exact(size).filter_map(tail).collect();
    (!tails.is_empty()).then(|| median(tails))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_fails() {
        let kept = Row {
            rate: 1000.0,
            achieved: 991.0,
            sent: 1000,
            received: 1000,
            ..Row::default()
        };
        assert!(kept.failures().is_empty());
        let fails = |row: Row, expected: &str| assert_eq!(row.failures().join(", "), expected);
        let (achieved, missed) = (980.0, "missed: 980/s sent, 98.0 % of the rate");
        fails(Row { achieved, ..kept }, missed);
        let shortest_queue_in_the_last_quarter = 17;
        let queue = Row {
            shortest_queue_in_the_last_quarter,
            ..kept
        };
        fails(queue, "17 or more queued at the end");
        // Of what was dropped, some may be trades.
        for (received, trades, dropped, conflated, expected) in [
            (999, 0, 1, 0, "1 dropped"),
            (998, 0, 0, 2, "2 conflated"),
            (997, 0, 0, 0, "3 unaccounted for"),
            (998, 5, 7, 0, "7 dropped"),
            (998, 5, 8, 0, "8 dropped, 6 unaccounted for"),
            (998, 5, 1, 0, "1 dropped, 1 unaccounted for"),
        ] {
            let row = Row {
                received,
                trades,
                dropped,
                conflated,
                ..kept
            };
            fails(row, expected);
        }
    }

    #[test]
    fn a_stall_is_in_its_own_window_alone() {
        let mut latencies: Vec<u64> = (0..1000).map(|number| 1 + number % 100).collect();
        assert_eq!(windows_p99(&latencies, 100), Some(99.0));
        // Two windows of ten are all stall.
        latencies[300..500].fill(1_000_000);
        assert_eq!(windows_p99(&latencies, 100), Some(99.0));
        // Half of a window's signals are lost: it is those that came.
        latencies[700..750].fill(0);
        assert_eq!(windows_p99(&latencies[700..800], 100), Some(100.0));
        assert_eq!(windows_p99(&latencies[..99], 100), None);
        assert_eq!(windows_p99(&[0; 300], 100), None);
    }
}
