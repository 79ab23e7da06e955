//! Latencies that were counted: a histogram without its empty places.

use hdrhistogram::Histogram;

/// Counts by latency, ns, in ascending order. Takes as much room as there are different latencies,
/// so that thousands of intervals can be kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Distribution(Vec<(u64, u64)>);

impl Distribution {
    /// The counts of a histogram.
    pub fn new(histogram: &Histogram<u64>) -> Self {
        let each = histogram.iter_recorded();
        Self(
            each.map(|step| (step.value_iterated_to(), step.count_at_value()))
                .collect(),
        )
    }

    /// Latency and count of each place, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        self.0.extend(&other.0);
        self.0.sort_unstable_by_key(|(value, _)| *value);
        self.0.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                kept.1 += later.1;
            }
            same
        });
    }

    /// How many latencies there are.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// The latency below or at which this part of them lies, ns; 0 if there is none.
    pub fn quantile(&self, quantile: f64) -> u64 {
        quantile_of(self.iter(), self.count(), quantile)
    }

    /// The latency of this rank, from 1 on, in ascending order.
    pub fn at_rank(&self, wanted: u64) -> u64 {
        at_rank(self.iter(), wanted)
    }

    /// The greatest latency, ns; 0 if there is none.
    pub fn max(&self) -> u64 {
        self.0.last().map_or(0, |(value, _)| *value)
    }
}

/// The quantile of counts by latency in ascending order, of which there are `count`.
pub fn quantile_of(counts: impl Iterator<Item = (u64, u64)>, count: u64, quantile: f64) -> u64 {
    at_rank(counts, rank(count, quantile))
}

fn at_rank(counts: impl Iterator<Item = (u64, u64)>, wanted: u64) -> u64 {
    let mut seen = 0;
    let mut last = 0;
    for (value, count) in counts {
        seen += count;
        last = value;
        if seen >= wanted {
            break;
        }
    }
    last
}

/// Which of `count` latencies in ascending order is the quantile, from 1 on.
pub fn rank(count: u64, quantile: f64) -> u64 {
    ((quantile * count as f64).ceil() as u64).clamp(1, count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_quantiles_of_the_histogram_that_it_was() {
        let mut random = fastrand::Rng::with_seed(7);
        for count in [1, 2, 3, 10, 999, 1_000, 20_000] {
            let mut histogram = Histogram::<u64>::new(2).unwrap();
            for _ in 0..count {
                let value = 2f64.powf(random.f64() * 30.0) as u64;
                histogram.record(value).unwrap();
            }
            let kept = Distribution::new(&histogram);
            assert_eq!(kept.count(), histogram.len());
            assert_eq!(kept.max(), histogram.max());
            for quantile in [0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0] {
                let expected = histogram.value_at_quantile(quantile);
                // For 0, the histogram gives the lowest latency of the place.
                if quantile > 0.0 {
                    assert_eq!(kept.quantile(quantile), expected, "{quantile} of {count}");
                }
            }
        }
        assert_eq!(Distribution::default().quantile(0.5), 0);
    }

    #[test]
    fn adds_up_as_histograms_do() {
        let mut random = fastrand::Rng::with_seed(9);
        let mut drawn = || {
            let mut histogram = Histogram::<u64>::new(2).unwrap();
            (0..500).for_each(|_| histogram.record(random.u64(1..5_000)).unwrap());
            histogram
        };
        let (mut one, other) = (drawn(), drawn());
        let mut added = Distribution::new(&one);
        added.add(&Distribution::new(&other));
        one.add(&other).unwrap();
        assert_eq!(added, Distribution::new(&one));
    }
}
