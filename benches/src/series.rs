//! The clock and what is read off many stamps of it.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use serde::Serialize;
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
    /// Calibrates the clock and finds its smallest step.
    fn default() -> Self {
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
}

impl Stamps {
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

    pub fn ns(&self, ticks: f64) -> f64 {
        ticks * self.ns_per_tick
    }

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
    let distances = (0..STAMPS).map(|number| distance(number % 300));
    let fits = distances.filter(|distance| (distance + 1) % step <= 2);
    // Chance alone puts 3 in `step` there.
    match step > 6 && fits.count() > STAMPS * 3 / 4 {
        true => step,
        false => 1,
    }
}

#[derive(Clone)]
pub struct Series(Histogram<u32>);

impl Default for Series {
    /// The histogram's bounds are fixed: recording never allocates.
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, MAX_TICKS, 3).expect("bounds are valid"))
    }
}

impl Series {
    /// Records the trip from one stamp to the other.
    #[inline(always)]
    pub fn record(&mut self, from: u64, to: u64) {
        // A negative difference would be two cores' clocks apart; none is
        // expected, since both stamps are the host thread's.
        self.0.saturating_record(to.saturating_sub(from));
    }

    pub fn add(&mut self, other: &Series) {
        let added = self.0.add(&other.0);
        added.expect("all series have the same bounds");
    }

    pub fn count(&self) -> u64 {
        self.0.len()
    }

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
        let below = match low {
            0 => 0.0,
            _ => self.0.count_between(0, low - 1) as f64,
        };
        let half = self.0.len() as f64 / 2.0;
        if within == 0.0 || half < below {
            return middle as f64;
        }
        low as f64 + granule as f64 * ((half - below) / within).min(1.0)
    }
}

/// What is reported of one measurement in one repetition, ns.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Figures {
    #[serde(rename = "p50_ns")]
    pub p50: f64,
    /// Absent where a mean over many calls was taken.
    #[serde(rename = "p99_ns")]
    pub p99: Option<f64>,
    #[serde(rename = "p999_ns")]
    pub p999: Option<f64>,
    #[serde(rename = "max_ns")]
    pub max: Option<f64>,
    pub count: u64,
}

impl Figures {
    /// Of a mean over many calls.
    pub fn mean(p50: f64, count: u64) -> Self {
        Self {
            p50,
            count,
            ..Self::default()
        }
    }
}

/// The median over the repetitions of their medians, ns.
pub fn middle(all: &[Figures]) -> f64 {
    median(all.iter().map(|of| of.p50))
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
    Figures::mean(median(means), (batches * BATCH) as u64)
}

/// The median; 0 of nothing.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_unstable_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures of these trips, by a clock of 1 ns ticks that steps by `granule` of them.
    fn figures(granule: u64, trips: &[(u64, usize)]) -> Figures {
        let mut series = Series::default();
        for &(trip, count) in trips {
            (0..count).for_each(|_| series.record(1_000, 1_000 + trip));
        }
        series.figures(&Stamps {
            clock: Clock::new(true),
            ns_per_tick: 1.0,
            granule,
        })
    }

    #[test]
    fn percentiles_are_of_the_trips() {
        let trips: Vec<_> = (1..=1000).map(|trip| (trip, 1)).collect();
        let of = figures(1, &trips);
        assert!((of.p50 - 500.0).abs() <= 1.0, "{}", of.p50);
        assert_eq!(
            (of.p99, of.p999, of.max),
            (Some(990.0), Some(999.0), Some(1000.0))
        );
        assert_eq!(of.count, 1000);
        for (values, middle) in [
            (&[][..], 0.0),
            (&[3.0, 1.0, 2.0], 2.0),
            (&[4.0, 1.0, 2.0, 3.0], 2.5),
        ] {
            assert_eq!(median(values.iter().copied()), middle);
        }
    }

    #[test]
    fn a_median_lies_within_the_clocks_step_where_the_half_is() {
        // A quarter below the step around 130, half in it, a quarter above.
        let even = figures(26, &[(104, 25), (130, 50), (156, 25)]);
        assert_eq!(even.p50, 130.0);
        // All but a few of the half are in the step: near its upper end.
        let p50 = figures(26, &[(104, 5), (130, 50), (156, 45)]).p50;
        assert!((p50 - (117.0 + 26.0 * 0.9)).abs() < 1e-9, "{p50}");
    }
}
