//! The clock and what is read off many stamps of it.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use serde_json::{Value, json};
use signal::os::clock::Clock;

/// Longest single trip that is told apart, in clock ticks: an hour on any machine.
const MAX_TICKS: u64 = 1 << 44;

/// The time-stamp counter, with its scale and granularity.
pub struct Stamps {
    clock: Clock,
    ns_per_tick: f64,
    granule: u64,
}

impl Default for Stamps {
    fn default() -> Self {
        Self::new()
    }
}

impl Stamps {
    /// Calibrates the clock and finds its smallest step.
    pub fn new() -> Self {
        let clock = Clock::new(true);
        let span = 1u64 << 40;
        let ns_per_tick = clock.nanos(0, span) as f64 / span as f64;
        let granule = granule(&clock);
        Self {
            clock,
            ns_per_tick,
            granule,
        }
    }

    /// One stamp, in ticks.
    #[inline(always)]
    pub fn raw(&self) -> u64 {
        self.clock.now()
    }

    /// The stamp that begins a trip: not before all that went before is done, so
    /// that what the last trip left over is no part of this one.
    #[inline(always)]
    pub fn start(&self) -> u64 {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: every x86-64 processor has the instruction; it touches no memory.
        unsafe {
            std::arch::x86_64::_mm_lfence();
        }
        self.raw()
    }

    /// Ticks as nanoseconds.
    pub fn ns(&self, ticks: f64) -> f64 {
        ticks * self.ns_per_tick
    }

    /// Nanoseconds as ticks.
    pub fn ticks(&self, ns: u64) -> u64 {
        (ns as f64 / self.ns_per_tick) as u64
    }

    /// The smallest step seen between two stamps, ns.
    pub fn granule_ns(&self) -> f64 {
        self.ns(self.granule as f64)
    }

    /// Waits without a system call. Nothing happens for 0 ticks.
    #[inline(always)]
    pub fn pause(&self, ticks: u64) {
        if ticks > 0 {
            let start = self.raw();
            while self.raw().wrapping_sub(start) < ticks {}
        }
    }
}

/// The step of a counter that does not count single ticks, else 1.
///
/// The candidate is the distance seen most often between two stamps in a row.
/// It is a step of the counter, rather than what a read takes, if stamps with
/// unequal work between them lie multiples of it apart too, give or take one.
fn granule(clock: &Clock) -> u64 {
    const STAMPS: usize = 10_000;
    let distance = |work: usize| {
        let start = clock.now();
        for step in 0..work {
            std::hint::black_box(step);
        }
        clock.now().saturating_sub(start)
    };
    let mut seen = HashMap::new();
    for _ in 0..STAMPS {
        *seen.entry(distance(0)).or_insert(0u32) += 1;
    }
    seen.remove(&0);
    let Some((&step, _)) = seen.iter().max_by_key(|&(_, count)| count) else {
        return 1;
    };
    let fits = (0..STAMPS)
        .map(|number| distance(number % 300))
        .filter(|distance| (distance + 1) % step <= 2)
        .count();
    // Chance alone puts 3 in `step` there.
    if step > 6 && fits > STAMPS * 3 / 4 {
        step
    } else {
        1
    }
}

/// Single trips, in clock ticks.
pub struct Series(Histogram<u32>);

impl Default for Series {
    fn default() -> Self {
        Self::new()
    }
}

impl Series {
    /// An empty series. The histogram's bounds are fixed: recording never allocates.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_TICKS, 3).expect("bounds are valid"))
    }

    /// Records the trip from one stamp to the other.
    #[inline(always)]
    pub fn record(&mut self, from: u64, to: u64) {
        // A negative difference would be two cores' clocks apart; none is
        // expected, since both stamps are the host thread's.
        self.0.saturating_record(to.saturating_sub(from));
    }

    /// Adds another's trips.
    pub fn add(&mut self, other: &Series) {
        self.0
            .add(&other.0)
            .expect("all series have the same bounds");
    }

    /// The series' figures.
    pub fn figures(&self, stamps: &Stamps) -> Figures {
        let quantile = |q| stamps.ns(self.0.value_at_quantile(q) as f64);
        Figures {
            p50: stamps.ns(self.median(stamps.granule)),
            p99: Some(quantile(0.99)),
            p999: Some(quantile(0.999)),
            max: Some(stamps.ns(self.0.max() as f64)),
            count: self.0.len(),
        }
    }

    /// The median of grouped data.
    ///
    /// A counter that steps by `granule` ticks sorts the trips into groups that
    /// wide, and the plain median would jump from one group to the next. Within
    /// the median's group the trips are taken as evenly spread.
    fn median(&self, granule: u64) -> f64 {
        let middle = self.0.value_at_quantile(0.5);
        let low = middle.saturating_sub(granule / 2);
        let within = self.0.count_between(low, low + granule - 1) as f64;
        let below = if low == 0 {
            0.0
        } else {
            self.0.count_between(0, low - 1) as f64
        };
        let half = self.0.len() as f64 / 2.0;
        if within == 0.0 || half < below {
            return middle as f64;
        }
        low as f64 + granule as f64 * ((half - below) / within).min(1.0)
    }
}

/// What is reported of one measurement in one repetition, ns.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    /// Median.
    pub p50: f64,
    /// 99 % were at most this. Absent where a mean over many calls was taken.
    pub p99: Option<f64>,
    /// 99.9 % were at most this.
    pub p999: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
    /// How many trips or calls.
    pub count: u64,
}

impl Figures {
    /// For the report.
    pub fn to_json(self) -> Value {
        json!({
            "p50_ns": self.p50,
            "p99_ns": self.p99,
            "p999_ns": self.p999,
            "max_ns": self.max,
            "count": self.count,
        })
    }
}

/// Times a call that is shorter than the clock's step: the median over
/// batches of a batch's mean.
pub fn batched(stamps: &Stamps, calls: usize, mut call: impl FnMut()) -> Figures {
    const BATCH: usize = 1000;
    let batches = calls.div_ceil(BATCH);
    let mut means = Vec::with_capacity(batches);
    for _ in 0..batches {
        let start = stamps.raw();
        for _ in 0..BATCH {
            call();
        }
        let end = stamps.raw();
        means.push(stamps.ns(end.saturating_sub(start) as f64) / BATCH as f64);
    }
    Figures {
        p50: median(&mut means),
        p99: None,
        p999: None,
        max: None,
        count: (batches * BATCH) as u64,
    }
}

/// The median; 0 of nothing.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A clock of 1 ns ticks that steps by `granule` of them.
    fn stamps(granule: u64) -> Stamps {
        Stamps {
            clock: Clock::new(true),
            ns_per_tick: 1.0,
            granule,
        }
    }

    fn series(trips: &[u64]) -> Series {
        let mut series = Series::new();
        for &trip in trips {
            series.record(1_000, 1_000 + trip);
        }
        series
    }

    #[test]
    fn the_median_of_many_and_of_none() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn percentiles_are_of_the_trips() {
        let trips: Vec<u64> = (1..=1000).collect();
        let figures = series(&trips).figures(&stamps(1));
        assert_eq!(figures.count, 1000);
        assert!((figures.p50 - 500.0).abs() <= 1.0, "{}", figures.p50);
        assert_eq!(figures.p99, Some(990.0));
        assert_eq!(figures.p999, Some(999.0));
        assert_eq!(figures.max, Some(1000.0));
    }

    #[test]
    fn a_median_lies_within_the_clocks_step_where_the_half_is() {
        // A quarter below the step around 130, half in it, a quarter above.
        let mut trips = vec![104; 25];
        trips.extend(vec![130; 50]);
        trips.extend(vec![156; 25]);
        assert_eq!(series(&trips).figures(&stamps(26)).p50, 130.0);
        // All but a few of the half are in the step: near its upper end.
        let mut trips = vec![104; 5];
        trips.extend(vec![130; 50]);
        trips.extend(vec![156; 45]);
        let p50 = series(&trips).figures(&stamps(26)).p50;
        assert!((p50 - (117.0 + 26.0 * 0.9)).abs() < 1e-9, "{p50}");
    }

    #[test]
    fn stamps_that_run_backwards_count_as_no_time() {
        let mut series = Series::new();
        series.record(2_000, 1_000);
        let figures = series.figures(&stamps(1));
        assert_eq!((figures.count, figures.max), (1, Some(0.0)));
    }

    #[test]
    fn a_batch_is_a_mean_of_whole_thousands() {
        let mut calls = 0;
        let figures = batched(&Stamps::new(), 1500, || calls += 1);
        assert_eq!((calls, figures.count), (2000, 2000));
        assert!(figures.p50 >= 0.0 && figures.p99.is_none());
    }
}
