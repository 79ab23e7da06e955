//! How long a lane rests from rehearsals, so that they take about 1 % of its time at most.

use std::time::Duration;

/// A rehearsal owes this many times its own length without one.
const REST: u64 = 99;

/// Most rest that may still be owed when the next rehearsal begins: that of 50 us. One of a cold
/// pipeline takes 15 us, a warm one 0.5. If the rest of each cold one came at once, all would be
/// cold again after it, and none would ever be warm.
const MOST_OWED: Duration = Duration::from_millis(5);

/// Longest rest: a rehearsal in which the lane was taken off its core says little.
const LONGEST: Duration = Duration::from_millis(50);

/// The rest that rehearsals owe. All times are TSC ticks.
#[derive(Debug)]
pub(super) struct Rest {
    interval: u64,
    most_owed: u64,
    longest: u64,
    owed: u64,
    /// When the last rehearsal ended.
    ended: u64,
}

impl Rest {
    /// At least `interval` lies between two rehearsals.
    pub(super) fn new(interval: Duration, ticks: impl Fn(Duration) -> u64) -> Self {
        let interval = ticks(interval);
        Self {
            interval,
            most_owed: ticks(MOST_OWED),
            longest: interval.max(ticks(LONGEST)),
            owed: 0,
            ended: 0,
        }
    }

    pub(super) fn interval(&self) -> u64 {
        self.interval
    }

    pub(super) fn longest(&self) -> u64 {
        self.longest
    }

    /// A rehearsal began and ended then. It owes its rest from now on.
    pub(super) fn owe(&mut self, began: u64, ended: u64) {
        let rested = began.saturating_sub(self.ended);
        let more = ended.saturating_sub(began).saturating_mul(REST);
        self.owed = self.owed.saturating_sub(rested).saturating_add(more);
        self.owed = self.owed.min(self.longest);
        self.ended = ended;
    }

    /// Time from the end of the last rehearsal, which took `length`, to the next.
    pub(super) fn until_next(&self, length: u64) -> u64 {
        let rest = length.saturating_mul(REST);
        let rest = rest.clamp(self.interval, self.longest);
        match self.owed > self.most_owed {
            true => rest.max(self.owed),
            false => rest,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const COLD: u64 = 15_000;
    const WARM: u64 = 500;

    /// A lane whose ticks are nanoseconds, and which has nothing else to do.
    struct Lane {
        rest: Rest,
        now: u64,
        rehearsed: u64,
    }

    impl Lane {
        fn new(interval_us: u64) -> Self {
            let ticks = |time: Duration| time.as_nanos() as u64;
            Self {
                rest: Rest::new(Duration::from_micros(interval_us), ticks),
                now: 1_000_000_000,
                rehearsed: 0,
            }
        }

        fn rehearse(&mut self, length: u64) {
            let began = self.now;
            self.now += length;
            self.rehearsed += length;
            self.rest.owe(began, self.now);
        }

        /// Rests after a rehearsal of this length. Returns for how long.
        fn wait(&mut self, length: u64) -> u64 {
            let rest = self.rest.until_next(length);
            self.now += rest;
            rest
        }
    }

    /// One in a hundred of the time, and what may be owed meanwhile.
    fn most(time: u64) -> u64 {
        (time + MOST_OWED.as_nanos() as u64) / (REST + 1) + COLD + WARM
    }

    #[test]
    fn rehearsals_that_are_cold_each_time_take_one_percent_of_the_time() {
        for interval_us in [10, 100, 1_000] {
            let mut lane = Lane::new(interval_us);
            let began = lane.now;
            for _ in 0..10_000 {
                lane.rehearse(COLD);
                lane.rehearse(WARM);
                lane.wait(WARM);
                let most = most(lane.now - began);
                assert!(lane.rehearsed <= most, "{} of {most} ns", lane.rehearsed);
            }
            // It is used, too.
            let least = (lane.now - began) / 101;
            assert!(lane.rehearsed > least, "{interval_us}");
        }
    }

    #[test]
    fn a_cold_rehearsal_now_and_then_delays_no_other() {
        let mut lane = Lane::new(100);
        for round in 0..10_000 {
            if round % 40 == 0 {
                lane.rehearse(COLD);
            }
            lane.rehearse(WARM);
            assert_eq!(lane.wait(WARM), 100_000, "{round}");
        }
    }

    #[test]
    fn an_interrupted_rehearsal_rests_for_the_longest_time() {
        let mut lane = Lane::new(100);
        lane.rehearse(10_000_000);
        assert_eq!(lane.wait(10_000_000), 50_000_000);
        lane.rehearse(WARM);
        assert_eq!(lane.wait(WARM), 100_000);
        let mut lane = Lane::new(1_000_000);
        lane.rehearse(100_000_000);
        assert_eq!(lane.wait(100_000_000), 1_000_000_000);
    }
}
