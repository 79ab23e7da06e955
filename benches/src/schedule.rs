//! Open loop: when each event is meant to be sent, and whether a rate was kept.

use crate::series::median;

/// Intended send times, evenly spread, in clock ticks.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    start: u64,
    step: f64,
}

impl Schedule {
    /// The first event is due at `start`, each other one `step` ticks after the one
    /// before. Fractions of a tick are kept: the mean rate is exact.
    pub fn new(start: u64, step: f64) -> Self {
        Self { start, step }
    }

    /// When the event of this number is meant to be sent.
    #[inline(always)]
    pub fn due(&self, index: u64) -> u64 {
        self.start + (index as f64 * self.step) as u64
    }
}

/// Least share of the rate asked for that counts as kept.
pub const KEPT: f64 = 0.99;

/// A queue that is this short once in the last quarter has not been growing.
pub const SHORT_QUEUE: u64 = 16;

/// What became of one rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Depths a second asked for.
    pub rate: f64,
    /// Depths sent.
    pub sent: u64,
    /// Seconds from the first intended time to the last send, and one step.
    pub seconds: f64,
    /// Callbacks made.
    pub received: u64,
    /// Trades sent beside them; of those dropped some may be trades.
    pub trades: u64,
    /// Events and signals dropped, by the library's counters.
    pub dropped: u64,
    /// Signals conflated, by the library's counters.
    pub conflated: u64,
    /// Fewest Depths under way at a send in the last quarter.
    pub short_at_end: u64,
    /// Most Depths under way at a send.
    pub deepest: u64,
    /// How long after its intended time the latest Depth was sent, ns.
    pub latest_ns: f64,
    /// Times that the kernel took a core from a thread of this process meanwhile.
    pub preempted: i64,
}

impl Outcome {
    /// Depths a second sent.
    pub fn achieved(&self) -> f64 {
        self.sent as f64 / self.seconds
    }

    /// Why the rate was not sustained; empty if it was.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if self.achieved() < KEPT * self.rate {
            failures.push(format!(
                "missed: {:.0}/s sent, {:.1} % of the rate",
                self.achieved(),
                100.0 * self.achieved() / self.rate
            ));
        }
        if self.dropped > 0 {
            failures.push(format!("{} dropped", self.dropped));
        }
        if self.conflated > 0 {
            failures.push(format!("{} conflated", self.conflated));
        }
        let lost = self.sent.abs_diff(self.received);
        let counted = self.dropped + self.conflated;
        if lost > counted || counted > lost + self.trades {
            failures.push(format!("{} unaccounted for", lost.abs_diff(counted)));
        }
        if self.short_at_end > SHORT_QUEUE {
            failures.push(format!("{} or more queued at the end", self.short_at_end));
        }
        failures
    }

    /// Whether the rate was sustained.
    pub fn passed(&self) -> bool {
        self.failures().is_empty()
    }
}

/// A rate sustains if so many trials do, of [`TRIALS`]: a moment's trouble should not
/// decide. Trials whose cores were not the bench's own do not count.
pub const NEEDED: usize = 2;
/// Valid trials of a rate.
pub const TRIALS: usize = 3;
/// Trials of a rate in all, until enough of them are valid.
pub const MOST_TRIALS: usize = 9;

/// Trials of one rate.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trials {
    kept: usize,
    failed: usize,
    /// Of those that do not count.
    kept_invalid: usize,
    failed_invalid: usize,
}

impl Trials {
    /// One more.
    pub fn add(&mut self, valid: bool, passed: bool) {
        *match (valid, passed) {
            (true, true) => &mut self.kept,
            (true, false) => &mut self.failed,
            (false, true) => &mut self.kept_invalid,
            (false, false) => &mut self.failed_invalid,
        } += 1;
    }

    /// How many there were.
    pub fn count(&self) -> usize {
        self.kept + self.failed + self.kept_invalid + self.failed_invalid
    }

    /// Whether the rate sustains, once enough valid ones agree.
    pub fn decided(&self) -> Option<bool> {
        match (self.kept >= NEEDED, self.failed > TRIALS - NEEDED) {
            (true, _) => Some(true),
            (_, true) => Some(false),
            _ => None,
        }
    }

    /// What most of all trials say, where too few count.
    pub fn guess(&self) -> bool {
        self.kept + self.kept_invalid > self.failed + self.failed_invalid
    }
}

/// The median over windows of `size` latencies of each window's 99th percentile; zeros
/// are no latencies. None without a whole window.
pub fn windows_p99(latencies: &[u32], size: usize) -> Option<f64> {
    let mut tails: Vec<f64> = latencies
        .chunks_exact(size)
        .filter_map(|window| {
            let mut window: Vec<u32> = window.iter().copied().filter(|&l| l > 0).collect();
            let place = (window.len() * 99).div_ceil(100).checked_sub(1)?;
            Some(f64::from(*window.select_nth_unstable(place).1))
        })
        .collect();
    (!tails.is_empty()).then(|| median(&mut tails))
}

/// The highest rate that `sustains`, to `precision` (0.02: 2 %), by halving the ratio
/// between one that does and one that does not. 0 if not even `low` does.
pub fn saturation(
    low: f64,
    high: f64,
    precision: f64,
    mut sustains: impl FnMut(f64) -> Result<bool, String>,
) -> Result<f64, String> {
    if !sustains(low)? {
        return Ok(0.0);
    }
    // Upwards first: a rate far above saturation says little and takes long to drain.
    let (mut good, mut bad) = (low, low);
    while bad == good {
        if good >= high {
            return Ok(good);
        }
        let next = (good * 2.0).min(high);
        if sustains(next)? {
            (good, bad) = (next, next);
        } else {
            bad = next;
        }
    }
    while bad / good > 1.0 + precision {
        let middle = (good * bad).sqrt();
        if sustains(middle)? {
            good = middle;
        } else {
            bad = middle;
        }
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_without_cores_of_their_own_decide_nothing() {
        let mut trials = Trials::default();
        for _ in 0..5 {
            trials.add(false, true);
        }
        assert_eq!((trials.decided(), trials.guess()), (None, true));
        trials.add(true, false);
        assert_eq!(trials.decided(), None);
        trials.add(true, false);
        assert_eq!((trials.decided(), trials.count()), (Some(false), 7));
        let mut trials = Trials::default();
        trials.add(true, true);
        trials.add(true, false);
        trials.add(true, true);
        assert_eq!(trials.decided(), Some(true));
    }

    const KEPT_RATE: Outcome = Outcome {
        rate: 1000.0,
        sent: 1000,
        seconds: 1.0,
        received: 1000,
        trades: 0,
        dropped: 0,
        conflated: 0,
        short_at_end: 1,
        deepest: 5,
        latest_ns: 0.0,
        preempted: 0,
    };

    #[test]
    fn sends_are_evenly_spread_and_do_not_drift() {
        let schedule = Schedule::new(1000, 2.5);
        let dues: Vec<u64> = (0..5).map(|index| schedule.due(index)).collect();
        assert_eq!(dues, [1000, 1002, 1005, 1007, 1010]);
        // A step rounded to whole ticks would be off by a third here.
        let day = Schedule::new(0, 4.0 / 3.0);
        assert_eq!(day.due(3_000_000_000), 4_000_000_000);
    }

    #[test]
    fn a_rate_that_was_kept_passes() {
        assert_eq!(KEPT_RATE.failures(), [""; 0]);
        let nearly = Outcome {
            seconds: 1.009,
            ..KEPT_RATE
        };
        assert!(nearly.passed());
    }

    #[test]
    fn each_fault_fails() {
        let faults = [
            (
                Outcome {
                    seconds: 1.02,
                    ..KEPT_RATE
                },
                "missed: 980/s",
            ),
            (
                Outcome {
                    received: 999,
                    dropped: 1,
                    ..KEPT_RATE
                },
                "1 dropped",
            ),
            (
                Outcome {
                    received: 998,
                    conflated: 2,
                    ..KEPT_RATE
                },
                "2 conflated",
            ),
            (
                Outcome {
                    received: 997,
                    ..KEPT_RATE
                },
                "3 unaccounted for",
            ),
            (
                Outcome {
                    short_at_end: 17,
                    ..KEPT_RATE
                },
                "17 or more queued",
            ),
        ];
        for (outcome, expected) in faults {
            let failures = outcome.failures();
            assert_eq!(failures.len(), 1, "{failures:?}");
            assert!(failures[0].starts_with(expected), "{failures:?}");
            assert!(!outcome.passed());
        }
    }

    #[test]
    fn trades_may_be_among_what_was_dropped() {
        let with_trades = Outcome {
            received: 998,
            trades: 5,
            dropped: 7,
            ..KEPT_RATE
        };
        assert_eq!(with_trades.failures(), ["7 dropped"]);
        let too_many = Outcome {
            dropped: 8,
            ..with_trades
        };
        assert_eq!(too_many.failures()[1], "6 unaccounted for");
        let too_few = Outcome {
            dropped: 1,
            ..with_trades
        };
        assert_eq!(too_few.failures()[1], "1 unaccounted for");
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

    #[test]
    fn saturation_is_found_from_either_side() {
        for limit in [150.0, 3_456_789.0, 9e6] {
            let mut tried = 0;
            let found = saturation(100.0, 1e8, 0.02, |rate| {
                tried += 1;
                Ok(rate <= limit)
            });
            let found = found.unwrap();
            assert!(found <= limit && found * 1.03 > limit, "{limit}: {found}");
            assert!(tried < 40, "{tried}");
        }
    }

    #[test]
    fn saturation_has_bounds_and_passes_errors_on() {
        assert_eq!(saturation(100.0, 800.0, 0.02, |_| Ok(true)), Ok(800.0));
        assert_eq!(saturation(100.0, 800.0, 0.02, |_| Ok(false)), Ok(0.0));
        let broken = saturation(100.0, 800.0, 0.02, |_| Err("broken".to_owned()));
        assert_eq!(broken, Err("broken".to_owned()));
    }
}
