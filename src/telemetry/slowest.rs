//! The slowest signals of an interval, each with its stamps: of a percentile nobody can tell where the
//! time went.

use crate::messages::InstrumentId;

/// How many are kept of an interval.
pub const KEPT: usize = 8;

/// One signal on its whole way; times in TSC ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowSignal {
    /// Its number.
    pub sequence: u64,
    /// Its instrument.
    pub instrument: InstrumentId,
    /// When its event arrived.
    pub arrival: u64,
    /// When it was published to the host.
    pub published: u64,
    /// When the host's poll found it.
    pub taken: u64,
    /// When the signal of another event before it was published; 0 if the one before is of the same
    /// event, or there is none.
    pub before: u64,
}

impl SlowSignal {
    /// Of no signal.
    pub const NONE: Self = Self {
        sequence: 0,
        instrument: InstrumentId::NONE,
        arrival: 0,
        published: 0,
        taken: 0,
        before: 0,
    };

    /// Ticks from arrival until the host's poll found it.
    #[inline]
    pub fn took(&self) -> u64 {
        self.taken.saturating_sub(self.arrival)
    }

    /// When this was published, for a signal behind it whose event arrived at `arrival`: 0 if both are
    /// of the same event.
    #[inline]
    pub fn published_before(&self, arrival: u64) -> u64 {
        if self.arrival == arrival {
            0
        } else {
            self.published
        }
    }
}

/// The slowest signals so far, in no order.
#[derive(Debug)]
pub struct Slowest {
    kept: [SlowSignal; KEPT],
    count: usize,
    /// What a further one must take longer than, ticks; 0 while there is room.
    bar: u64,
}

impl Default for Slowest {
    fn default() -> Self {
        Self {
            kept: [SlowSignal::NONE; KEPT],
            count: 0,
            bar: 0,
        }
    }
}

impl Slowest {
    /// Keeps a signal if it is among the slowest: one comparison if it is not.
    #[inline]
    pub fn offer(&mut self, signal: &SlowSignal) {
        if signal.took() > self.bar {
            self.keep(signal);
        }
    }

    #[cold]
    #[inline(never)]
    fn keep(&mut self, &signal: &SlowSignal) {
        if self.count < KEPT {
            self.kept[self.count] = signal;
            self.count += 1;
        } else if let Some(fastest) = self.kept.iter_mut().min_by_key(|kept| kept.took()) {
            *fastest = signal;
        }
        if self.count == KEPT {
            self.bar = self.kept.iter().map(SlowSignal::took).min().unwrap_or(0);
        }
    }

    /// Those that are kept.
    pub fn iter(&self) -> impl Iterator<Item = &SlowSignal> {
        self.kept[..self.count].iter()
    }

    /// Forgets all of them.
    pub fn clear(&mut self) {
        (self.count, self.bar) = (0, 0);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signal(sequence: usize, took: u64) -> SlowSignal {
        SlowSignal {
            sequence: sequence as u64,
            arrival: 1_000,
            taken: 1_000 + took,
            ..SlowSignal::NONE
        }
    }

    proptest! {
        #[test]
        fn keeps_the_slowest(took in prop::collection::vec(1_u64..500, 0..100)) {
            let mut slowest = Slowest::default();
            for round in 0..2 {
                for (sequence, &took) in took.iter().enumerate() {
                    slowest.offer(&signal(sequence, took));
                }
                let mut kept: Vec<_> = slowest.iter().map(SlowSignal::took).collect();
                kept.sort_unstable_by(|a, b| b.cmp(a));
                let mut all = took.clone();
                all.sort_unstable_by(|a, b| b.cmp(a));
                all.truncate(KEPT);
                prop_assert_eq!(kept, all, "round {}", round);
                slowest.clear();
                prop_assert_eq!(slowest.iter().count(), 0);
            }
        }
    }

    #[test]
    fn a_clock_that_steps_back_is_no_long_time() {
        let mut slowest = Slowest::default();
        slowest.offer(&SlowSignal {
            arrival: 2,
            taken: 1,
            ..SlowSignal::NONE
        });
        assert_eq!(slowest.iter().count(), 0);
    }
}
