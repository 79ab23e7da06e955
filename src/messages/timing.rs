//! Timing metadata: values in front of a signal's own, for strategies that look for them.
//!
//! The stamps that they are made of travel in the factor vector, beside the factors. So they pass each
//! ring as values do, and without them nothing on the way is different.

use crate::os::clock::Clock;

/// The first of the values, by which strategies tell that the others are there.
const MARK: f64 = -999.0;

/// Names of the values in front of a model's own.
pub(crate) const NAMES: [&str; 8] = [
    "timing.mark",
    "timing.wait_us",
    "timing.factor_work_us",
    "timing.factors_done_us",
    "timing.factors_handed_on_us",
    "timing.total_us",
    "timing.outputs",
    "timing.none",
];

/// Values that travel with a factor vector: one before the factors, the others behind them.
pub(crate) const STAMPS: usize = 3;

/// Stamps of an event on its way, TSC ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stamps {
    /// When the factor stage began with it.
    pub(crate) begun: u64,
    /// When its factors had been written.
    pub(crate) done: u64,
    /// When it arrived in `signal_on_data`.
    pub(crate) arrival: u64,
}

impl Stamps {
    /// The stamps in a vector that was made with them, and its factors.
    #[inline]
    pub(crate) fn split(vector: &[f64]) -> (Self, &[f64]) {
        let [begun, factors @ .., done, arrival] = vector else {
            return (Self::default(), &[]);
        };
        let stamps = Self {
            begun: begun.to_bits(),
            done: done.to_bits(),
            arrival: arrival.to_bits(),
        };
        (stamps, factors)
    }

    /// The values in front of `outputs` values of a model, which got the factors at `handed_on` and
    /// ended at `ended`. Times are microseconds.
    ///
    /// Stamps of two cores may be out of order, and clocks are set: a later one then counts as not
    /// earlier than the one before it.
    pub(crate) fn values(
        self,
        clock: &Clock,
        handed_on: u64,
        ended: u64,
        outputs: usize,
    ) -> [f64; NAMES.len()] {
        let begun = self.begun.max(self.arrival);
        let done = self.done.max(begun);
        let handed_on = handed_on.max(done);
        let ended = ended.max(handed_on);
        let us = |from: u64, to: u64| clock.nanos(from, to) as f64 / 1e3;
        [
            MARK,
            us(self.arrival, begun),
            us(begun, done),
            us(self.arrival, done),
            us(self.arrival, handed_on),
            us(self.arrival, ended),
            outputs as f64,
            0.0,
        ]
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_values_are_what_the_stamps_say() {
        let clock = Clock::new(true);
        let tick = |us: u64| clock.ticks(us * 1_000) + 7;
        let vector = [tick(30), 1, 2, tick(50), tick(10)].map(f64::from_bits);
        let (stamps, factors) = Stamps::split(&vector);
        assert_eq!(factors, &vector[1..3]);
        let values = stamps.values(&clock, tick(60), tick(110), 2);
        let expected = [MARK, 20.0, 20.0, 40.0, 50.0, 100.0, 2.0, 0.0];
        for (place, (value, expected)) in values.iter().zip(expected).enumerate() {
            // Ticks are whole.
            assert!((value - expected).abs() < 0.01, "{place}: {value}");
        }
        assert_eq!((values[0], values[6], values[7]), (MARK, 2.0, 0.0));
    }

    #[test]
    fn stamps_that_step_back_give_times_in_order() {
        let clock = Clock::new(true);
        let stamps = Stamps {
            begun: 5_000,
            done: 4_000,
            arrival: 9_000,
        };
        let values = stamps.values(&clock, 3_000, 2_000, 1);
        assert_eq!(values[1..6], [0.0; 5]);
    }

    #[test]
    fn a_vector_too_short_for_stamps_has_none() {
        assert_eq!(Stamps::split(&[1.0, 2.0]), (Stamps::default(), &[][..]));
        assert_eq!(Stamps::split(&[0.0; STAMPS]).1, &[0.0; 0]);
    }
}
