//! Collects the histograms that recorders hand over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::os::limit::Limit;
use crate::os::time;
use crate::telemetry::counters::{Counter, Counters};
use crate::telemetry::hops::{Feed, Hop, HopSet, beyond, histogram};

/// Longest wait for lanes to hand their histograms over.
const PATIENCE: Duration = Duration::from_millis(100);

/// One hop over the engine's life, latencies in ns.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct HopSummary {
    /// The hop.
    #[serde(serialize_with = "write_name")]
    pub hop: Hop,
    /// Messages timed.
    pub count: u64,
    /// Median, ns.
    pub p50_ns: u64,
    /// 99th percentile, ns.
    pub p99_ns: u64,
    /// 99.9th percentile, ns.
    pub p999_ns: u64,
    /// Greatest, ns.
    pub max_ns: u64,
    /// Messages that took 73 minutes or longer, which the histogram does not tell
    /// apart: where this is not 0, `max_ns` is a lower bound, and so is each
    /// percentile that is equal to it.
    pub beyond: u64,
}

fn write_name<S: serde::Serializer>(hop: &Hop, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(hop.name())
}

impl HopSummary {
    pub(super) fn new(hop: Hop, histogram: &Histogram<u64>) -> Self {
        Self {
            hop,
            count: histogram.len(),
            p50_ns: histogram.value_at_quantile(0.5),
            p99_ns: histogram.value_at_quantile(0.99),
            p999_ns: histogram.value_at_quantile(0.999),
            max_ns: histogram.max(),
            beyond: beyond(histogram),
        }
    }
}

/// One hop's histogram over one interval.
pub(crate) struct Interval {
    pub(crate) hop: Hop,
    pub(crate) histogram: Histogram<u64>,
    /// TSC ticks.
    pub(crate) started: u64,
    /// TSC ticks.
    pub(crate) ended: u64,
}

impl Interval {
    /// Empty ones, in the order of [`Hop::ALL`].
    pub(crate) fn of_each_hop() -> Vec<Self> {
        let empty = |&hop: &Hop| Self {
            hop,
            histogram: histogram(),
            started: 0,
            ended: 0,
        };
        Hop::ALL.iter().map(empty).collect()
    }

    /// Adds to what the log has not taken yet, or begins with it: however often a host
    /// looks between two intervals of the log, they take one histogram a hop.
    fn add(&mut self, histogram: &Histogram<u64>, set: &HopSet) {
        if self.histogram.is_empty() {
            (self.started, self.ended) = (set.started, set.ended);
        }
        self.histogram
            .add(histogram)
            .expect("all hop histograms have the same bounds");
        self.started = self.started.min(set.started);
        self.ended = self.ended.max(set.ended);
    }
}

/// The reading side of all of an engine's recorders, with the totals.
pub(crate) struct Latency {
    feeds: Vec<Feed>,
    totals: Vec<(Hop, Histogram<u64>)>,
    /// Since the log took them last, one for each hop; none where there is no log.
    intervals: Vec<Interval>,
    counters: Arc<Counters>,
}

impl Latency {
    /// `counters` are written under the lock alone, so they have one writer.
    pub(crate) fn new(feeds: Vec<Feed>, counters: Arc<Counters>) -> Self {
        Self {
            feeds,
            totals: Hop::ALL.iter().map(|&hop| (hop, histogram())).collect(),
            intervals: Vec::new(),
            counters,
        }
    }

    /// The lock: no code under it can leave the totals half changed.
    pub(crate) fn lock(this: &Mutex<Self>) -> MutexGuard<'_, Self> {
        this.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what comes until it is taken, for a log.
    pub(crate) fn keep_intervals(&mut self) {
        self.intervals = Interval::of_each_hop();
    }

    /// Nobody takes intervals any more, because the report could not be written.
    pub(crate) fn report_has_ended(&mut self) {
        self.intervals = Vec::new();
        self.counters.set(Counter::ReportEnded, 1);
    }

    /// Asks every recorder for its histograms. Collects first: a recorder that
    /// answered late would otherwise pass for one that has answered now.
    pub(crate) fn request(&mut self) {
        self.collect();
        for feed in &mut self.feeds {
            feed.request();
        }
    }

    /// Adds up what has come.
    pub(crate) fn collect(&mut self) {
        let (totals, intervals) = (&mut self.totals, &mut self.intervals);
        for feed in &mut self.feeds {
            while let Some(beyond) = feed.take(|set| add(set, totals, intervals)) {
                self.counters.add(Counter::LatencyBeyond, beyond);
            }
        }
    }

    /// Whether no request is open.
    pub(crate) fn has_every_answer(&self) -> bool {
        self.feeds.iter().all(|feed| !feed.is_open())
    }

    /// Collects until every recorder has answered, for a tenth of a second at
    /// most: a recorder that nobody runs answers later.
    pub(crate) fn wait_for_lanes(&mut self) {
        let mut limit = Limit::of(PATIENCE);
        loop {
            self.collect();
            if self.has_every_answer() || limit.is_over() {
                return;
            }
            time::sleep(Duration::from_micros(50));
        }
    }

    /// Exchanges the intervals since the last call, oldest first, for those of the
    /// call before, which are emptied. A hop of which nothing came is empty.
    pub(crate) fn take_intervals(&mut self, taken: &mut Vec<Interval>) {
        for interval in taken.iter_mut() {
            interval.histogram.reset();
        }
        taken.sort_unstable_by_key(|interval| interval.hop as usize);
        std::mem::swap(&mut self.intervals, taken);
        taken.sort_unstable_by_key(|interval| (interval.started, interval.hop as usize));
    }

    /// Histograms of the engine's life that hold anything.
    pub(crate) fn totals(&self) -> impl Iterator<Item = &(Hop, Histogram<u64>)> {
        self.totals
            .iter()
            .filter(|(_, histogram)| !histogram.is_empty())
    }

    /// The totals, summed up.
    pub(crate) fn summaries(&self) -> impl Iterator<Item = HopSummary> {
        self.totals()
            .map(|(hop, histogram)| HopSummary::new(*hop, histogram))
    }
}

/// Adds up a set; how many of its latencies are beyond the histograms' bound.
fn add(set: &HopSet, totals: &mut [(Hop, Histogram<u64>)], intervals: &mut [Interval]) -> u64 {
    let mut longer = 0;
    for (hop, histogram) in set.iter().filter(|(_, histogram)| !histogram.is_empty()) {
        longer += beyond(histogram);
        let (_, total) = &mut totals[hop as usize];
        total
            .add(histogram)
            .expect("all hop histograms have the same bounds");
        if let Some(interval) = intervals.get_mut(hop as usize) {
            interval.add(histogram, set);
        }
    }
    longer
}
