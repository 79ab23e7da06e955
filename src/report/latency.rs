//! Collects the histograms that recorders hand over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::messages::Names;
use crate::os::limit::Limit;
use crate::os::time;
use crate::telemetry::counters::{Counter, Counters};
use crate::telemetry::hops::{Feed, Hop, HopSet, beyond, histogram};
use crate::telemetry::slowest::{KEPT, SlowSignal};

/// Longest wait for lanes to hand over their histograms.
const PATIENCE: Duration = Duration::from_millis(100);

/// Slow signals that are kept for the log: those of two intervals, since a recorder that answers
/// late brings two at once.
pub(super) const MOST_SLOW: usize = 2 * KEPT;

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
    /// Maximum, ns.
    pub max_ns: u64,
    /// Messages that took 73 minutes or longer; the histogram does not distinguish them. If
    /// this is not 0, `max_ns` is a lower bound, and so is each percentile that is equal to
    /// it.
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

    /// Adds to what the log has not taken yet, or begins with it. However often a host reads
    /// the hops between two intervals of the log, each hop needs only one histogram.
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
    /// One for each hop since the log last took them; none if there is no log.
    intervals: Vec<Interval>,
    /// The slowest signals since the log last took them. It never grows.
    slow: Vec<SlowSignal>,
    names: Arc<Names>,
    counters: Arc<Counters>,
}

impl Latency {
    /// `counters` are written only under the lock, so they have one writer.
    pub(crate) fn new(feeds: Vec<Feed>, counters: Arc<Counters>, names: Arc<Names>) -> Self {
        Self {
            feeds,
            totals: Hop::ALL.iter().map(|&hop| (hop, histogram())).collect(),
            intervals: Vec::new(),
            slow: Vec::new(),
            names,
            counters,
        }
    }

    /// Takes the lock, even if it is poisoned: no code under it can leave the totals half
    /// changed.
    pub(crate) fn lock(this: &Mutex<Self>) -> MutexGuard<'_, Self> {
        this.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what arrives until it is taken, for a log.
    pub(crate) fn keep_intervals(&mut self) {
        self.intervals = Interval::of_each_hop();
        self.slow = Vec::with_capacity(MOST_SLOW);
    }

    /// Stops keeping intervals: no one takes them any more, because the report could not be
    /// written.
    pub(crate) fn report_has_ended(&mut self) {
        self.intervals = Vec::new();
        self.slow = Vec::new();
        self.counters.set(Counter::ReportEnded, 1);
    }

    /// Requests the histograms of every recorder. Collects first: otherwise a late answer to
    /// an earlier request would count as the answer to this one.
    pub(crate) fn request(&mut self) {
        self.collect();
        for feed in &mut self.feeds {
            feed.request();
        }
    }

    /// Adds up what has arrived.
    pub(crate) fn collect(&mut self) {
        let (totals, intervals) = (&mut self.totals, &mut self.intervals);
        for feed in &mut self.feeds {
            let slow = &mut self.slow;
            while let Some(beyond) = feed.take(|set| {
                let room = slow.capacity() - slow.len();
                slow.extend(set.slowest.iter().take(room));
                add(set, totals, intervals)
            }) {
                self.counters.add(Counter::LatencyBeyond, beyond);
            }
        }
    }

    /// Whether no request is open.
    pub(crate) fn has_every_answer(&self) -> bool {
        self.feeds.iter().all(|feed| !feed.is_open())
    }

    /// Collects until every recorder has answered, but at most for 100 ms: a recorder that no
    /// thread runs answers later.
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

    /// Swaps the intervals since the last call, oldest first, with those of the previous call,
    /// which are emptied. A hop without latencies is empty.
    pub(crate) fn take_intervals(&mut self, taken: &mut Vec<Interval>) {
        for interval in taken.iter_mut() {
            interval.histogram.reset();
        }
        taken.sort_unstable_by_key(|interval| interval.hop as usize);
        std::mem::swap(&mut self.intervals, taken);
        taken.sort_unstable_by_key(|interval| (interval.started, interval.hop as usize));
    }

    /// The instruments' names.
    pub(crate) fn names(&self) -> Arc<Names> {
        self.names.clone()
    }

    /// Swaps the slowest signals since the last call with the empty list that is given.
    pub(crate) fn take_slow(&mut self, taken: &mut Vec<SlowSignal>) {
        std::mem::swap(&mut self.slow, taken);
    }

    /// Histograms of the engine's life that are not empty.
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

/// Adds a set. Returns how many of its latencies are at the histograms' bound.
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
