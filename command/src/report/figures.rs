//! The figures of a hop: percentiles with the range in which they would lie in another run like it.

use hdrhistogram::Histogram;
use serde::Serialize;
use signal::telemetry::hops::beyond;

use super::distribution::{Distribution, quantile_of, rank};
use super::run::HopTimes;

/// The percentiles of tables, by name and quantile.
pub const PERCENTILES: [(&str, f64); 5] = [
    ("p50", 0.5),
    ("p90", 0.9),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
];
/// A percentile is told from this number of latencies at or beyond it on.
const LEAST_BEYOND: f64 = 10.0;
/// With fewer slices of time, resampling them says nothing.
const LEAST_SLICES: usize = 10;
/// How often the slices are drawn anew.
const DRAWS: usize = 400;
/// The part of the draws that lies in a range.
const CONFIDENCE: f64 = 0.95;
/// The normal distribution's quantile for that part.
const DEVIATIONS: f64 = 1.96;

/// All figures of one hop, ns.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// The hop's name.
    pub hop: &'static str,
    /// Messages timed.
    pub count: u64,
    /// The shortest, ns.
    pub min_ns: u64,
    /// The mean, ns.
    pub mean_ns: f64,
    /// The standard deviation, ns.
    pub deviation_ns: f64,
    /// The percentiles, in the order of [`PERCENTILES`].
    pub percentiles: Vec<Percentile>,
    /// The longest, ns.
    pub max_ns: u64,
    /// How many took 73 minutes or longer: more than the histogram tells apart.
    pub beyond: u64,
    /// How the ranges were found.
    pub ranges: Ranges,
}

/// One percentile.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Percentile {
    /// Its name, such as p99.
    pub name: &'static str,
    /// The latency, ns.
    pub ns: u64,
    /// Whether there are enough latencies beyond it to tell it.
    pub told: bool,
    /// The 95 % confidence interval, ns.
    pub low_ns: u64,
    /// Its upper end, ns.
    pub high_ns: u64,
}

/// Where confidence intervals come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranges {
    /// From drawing the slices of time anew (bootstrap): latencies that follow each other are
    /// alike, slices less so.
    Bootstrap,
    /// From the ranks of single latencies, as if each were drawn by itself: too narrow where
    /// latencies come in bursts. For runs of fewer than ten slices.
    Ranks,
}

/// How many latencies a percentile needs to be told.
pub fn least_count(quantile: f64) -> u64 {
    (LEAST_BEYOND / (1.0 - quantile)).round() as u64
}

impl Figures {
    /// The figures of a hop.
    pub fn new(times: &HopTimes) -> Self {
        let total = &times.total;
        let slices: Vec<_> = times
            .slices
            .iter()
            .filter(|slice| slice.count() > 0)
            .collect();
        let (ranges, each) = if slices.len() >= LEAST_SLICES {
            (Ranges::Bootstrap, bootstrap(&slices))
        } else {
            (Ranges::Ranks, by_rank(total))
        };
        let percentiles = PERCENTILES.into_iter().zip(each);
        Self {
            hop: times.hop.name(),
            count: total.len(),
            min_ns: total.min(),
            mean_ns: total.mean(),
            deviation_ns: total.stdev(),
            percentiles: percentiles
                .map(|((name, quantile), (low_ns, high_ns))| Percentile {
                    name,
                    ns: total.value_at_quantile(quantile),
                    told: total.len() >= least_count(quantile),
                    low_ns,
                    high_ns,
                })
                .collect(),
            max_ns: total.max(),
            beyond: beyond(total),
            ranges,
        }
    }
}

/// The ranges of all percentiles, from draws of the slices.
fn bootstrap(slices: &[&Distribution]) -> [(u64, u64); PERCENTILES.len()] {
    let mut values: Vec<u64> = slices
        .iter()
        .flat_map(|slice| slice.iter().map(|(value, _)| value))
        .collect();
    values.sort_unstable();
    values.dedup();
    // The places of each slice's latencies among all of them.
    let placed = |slice: &&Distribution| -> Vec<(usize, u64)> {
        let place = |value| {
            values
                .binary_search(&value)
                .expect("it is one of the values")
        };
        slice
            .iter()
            .map(|(value, count)| (place(value), count))
            .collect()
    };
    let placed: Vec<_> = slices.iter().map(placed).collect();
    // One seed: the same report gives the same ranges.
    let mut random = fastrand::Rng::with_seed(1);
    let mut counts = vec![0; values.len()];
    let mut drawn: [Vec<u64>; PERCENTILES.len()] = Default::default();
    for _ in 0..DRAWS {
        counts.fill(0);
        for _ in 0..placed.len() {
            for (place, count) in &placed[random.usize(..placed.len())] {
                counts[*place] += count;
            }
        }
        let all: u64 = counts.iter().sum();
        for ((_, quantile), drawn) in PERCENTILES.iter().zip(&mut drawn) {
            let each = values.iter().copied().zip(counts.iter().copied());
            drawn.push(quantile_of(
                each.filter(|(_, count)| *count > 0),
                all,
                *quantile,
            ));
        }
    }
    drawn.map(|mut drawn| {
        drawn.sort_unstable();
        let outside = ((1.0 - CONFIDENCE) / 2.0 * DRAWS as f64).floor() as usize;
        (drawn[outside], drawn[DRAWS - 1 - outside])
    })
}

/// The ranges of all percentiles, by the binomial distribution of ranks.
fn by_rank(total: &Histogram<u64>) -> [(u64, u64); PERCENTILES.len()] {
    let all = Distribution::new(total);
    let count = total.len();
    PERCENTILES.map(|(_, quantile)| {
        let spread = DEVIATIONS * (count as f64 * quantile * (1.0 - quantile)).sqrt();
        let middle = rank(count, quantile) as f64;
        let at = |rank: f64| {
            let rank = rank.clamp(1.0, count.max(1) as f64);
            all.at_rank(rank as u64)
        };
        (at((middle - spread).floor()), at((middle + spread).ceil()))
    })
}

#[cfg(test)]
mod tests {
    use signal::Hop;

    use super::*;

    fn median(figures: &Figures) -> Percentile {
        figures.percentiles[0]
    }

    /// A hop whose slices are drawn from one distribution.
    fn hop(slices: usize, in_each: usize, random: &mut fastrand::Rng) -> HopTimes {
        let mut total = Histogram::<u64>::new(2).unwrap();
        let mut each = Vec::new();
        for _ in 0..slices {
            let mut histogram = Histogram::<u64>::new(2).unwrap();
            for _ in 0..in_each {
                histogram.record(1_000 + random.u64(0..1_000)).unwrap();
            }
            total.add(&histogram).unwrap();
            each.push(Distribution::new(&histogram));
        }
        HopTimes {
            hop: Hop::HostWait,
            total,
            slices: each,
            rates: Vec::new(),
        }
    }

    /// How many of 100 runs have the true median in the range that they state.
    fn right(slices: usize, ranges: Ranges) -> usize {
        let mut random = fastrand::Rng::with_seed(3);
        let runs = (0..100).map(|_| Figures::new(&hop(slices, 200, &mut random)));
        runs.filter(|figures| {
            assert_eq!(figures.ranges, ranges);
            let median = median(figures);
            assert!(median.low_ns <= median.ns && median.ns <= median.high_ns);
            // The end of the histogram's place that has the true median.
            (median.low_ns..=median.high_ns).contains(&1_503)
        })
        .count()
    }

    #[test]
    fn ranges_hold_the_truth_as_often_as_they_say() {
        for (slices, ranges) in [(3, Ranges::Ranks), (40, Ranges::Bootstrap)] {
            let right = right(slices, ranges);
            assert!(right >= 90, "{ranges:?}: {right} of 100");
        }
    }

    #[test]
    fn a_shift_of_slices_widens_the_range() {
        let mut random = fastrand::Rng::with_seed(5);
        let even = hop(40, 200, &mut random);
        let mut odd = hop(40, 200, &mut random);
        let mut shifted = Histogram::<u64>::new(2).unwrap();
        (0..200).for_each(|_| shifted.record(3_000).unwrap());
        for slice in odd.slices.iter_mut().take(18) {
            *slice = Distribution::new(&shifted);
            odd.total.add(&shifted).unwrap();
        }
        let width = |times: &HopTimes| {
            let figures = Figures::new(times);
            let median = median(&figures);
            median.high_ns - median.low_ns
        };
        assert!(
            width(&odd) > 5 * width(&even).max(1),
            "{} {}",
            width(&odd),
            width(&even)
        );
    }

    #[test]
    fn percentiles_of_few_latencies_are_not_told() {
        let told = |count| {
            let figures = Figures::new(&hop(1, count, &mut fastrand::Rng::with_seed(5)));
            let each = figures.percentiles.iter();
            each.filter(|percentile| percentile.told).count()
        };
        assert_eq!(
            [10, 20, 100, 1_000, 10_000, 100_000].map(told),
            [0, 1, 2, 3, 4, 5]
        );
    }
}
