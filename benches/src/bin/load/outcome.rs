//! When each event is meant to be sent, whether a rate was kept, and the search for the
//! highest that is.

use serde::Serialize;

/// Intended send times, evenly spread, in clock ticks: the first at `start`. Fractions of
/// a tick are kept, so the mean rate is exact.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    pub start: u64,
    pub step: f64,
}

impl Schedule {
    /// When the event of this number is meant to be sent.
    #[inline(always)]
    pub fn due(&self, index: u64) -> u64 {
        self.start + (index as f64 * self.step) as u64
    }
}

/// Least share of the rate asked for that counts as kept.
const KEPT: f64 = 0.99;
/// A queue that is this short once in the last quarter has not been growing.
const SHORT_QUEUE: u64 = 16;

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Depths a second asked for.
    pub rate: f64,
    pub sent: u64,
    /// Seconds from the first intended time to the last send, and one step.
    pub seconds: f64,
    pub received: u64,
    /// Trades sent beside them; of those dropped some may be trades.
    pub trades: u64,
    /// Events and signals dropped, by the library's counters.
    pub dropped: u64,
    pub conflated: u64,
    /// Most Depths under way at a send.
    #[serde(rename = "deepest_queue")]
    pub deepest: u64,
    /// Fewest Depths under way at a send in the last quarter.
    #[serde(rename = "shortest_queue_in_the_last_quarter")]
    pub short_at_end: u64,
    /// How long after its intended time the latest Depth was sent.
    #[serde(rename = "latest_send_ns")]
    pub latest_ns: f64,
    /// Times that the kernel took a core from a thread of this process meanwhile.
    pub preempted: i64,
}

impl Outcome {
    pub fn achieved(&self) -> f64 {
        self.sent as f64 / self.seconds
    }

    /// Why the rate was not sustained; empty if it was.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        let share = self.achieved() / self.rate;
        if share < KEPT {
            let percent = 100.0 * share;
            failures.push(format!(
                "missed: {:.0}/s sent, {percent:.1} % of the rate",
                self.achieved()
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
        bad = (good * 2.0).min(high);
        if sustains(bad)? {
            good = bad;
        }
    }
    while bad / good > 1.0 + precision {
        let middle = (good * bad).sqrt();
        match sustains(middle)? {
            true => good = middle,
            false => bad = middle,
        }
    }
    Ok(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_are_evenly_spread_and_do_not_drift() {
        let schedule = Schedule {
            start: 1000,
            step: 2.5,
        };
        assert_eq!(
            [0, 1, 2, 3, 4].map(|at| schedule.due(at)),
            [1000, 1002, 1005, 1007, 1010]
        );
        // A step rounded to whole ticks would be off by a third here.
        let day = Schedule {
            start: 0,
            step: 4.0 / 3.0,
        };
        assert_eq!(day.due(3_000_000_000), 4_000_000_000);
    }

    #[test]
    fn each_fault_fails() {
        let kept = Outcome {
            rate: 1000.0,
            sent: 1000,
            seconds: 1.009,
            received: 1000,
            short_at_end: 1,
            ..Outcome::default()
        };
        let with = |change: fn(&mut Outcome)| {
            let mut outcome = kept;
            change(&mut outcome);
            outcome.failures().join(", ")
        };
        assert_eq!(with(|_| {}), "");
        assert!(with(|of| of.seconds = 1.02).starts_with("missed: 980/s"));
        assert_eq!(with(|of| (of.received, of.dropped) = (999, 1)), "1 dropped");
        assert_eq!(
            with(|of| (of.received, of.conflated) = (998, 2)),
            "2 conflated"
        );
        assert_eq!(with(|of| of.received = 997), "3 unaccounted for");
        assert!(with(|of| of.short_at_end = 17).starts_with("17 or more queued"));
        // Trades may be among what was dropped.
        let trades =
            |of: &mut Outcome, dropped| (of.received, of.trades, of.dropped) = (998, 5, dropped);
        let dropped = |dropped| {
            let mut outcome = kept;
            trades(&mut outcome, dropped);
            outcome.failures().join(", ")
        };
        assert_eq!(dropped(7), "7 dropped");
        assert_eq!(dropped(8), "8 dropped, 6 unaccounted for");
        assert_eq!(dropped(1), "1 dropped, 1 unaccounted for");
    }

    #[test]
    fn saturation_is_found_from_either_side_within_its_bounds() {
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
        assert_eq!(saturation(100.0, 800.0, 0.02, |_| Ok(true)), Ok(800.0));
        assert_eq!(saturation(100.0, 800.0, 0.02, |_| Ok(false)), Ok(0.0));
        let broken = saturation(100.0, 800.0, 0.02, |_| Err("broken".to_owned()));
        assert_eq!(broken, Err("broken".to_owned()));
    }
}
