//! How long the host's thread waits for the signals of its event with `deliver_budget_us` `auto`.
//!
//! A wait ends as soon as the signals are there, so a long limit costs nothing where they come. And
//! a signal that comes after its wait is lost time of another kind: it reaches the host with the
//! next event, 10 or 100 ms later. So the limit does not follow what the last events took: they may
//! have found warm caches, and the next one comes after a pause. It is the full one, unless so many
//! waits in a row have been useless that the model must be slower than any of them. Then most waits
//! are short, and now and then a full one tries again.

use std::sync::atomic::{AtomicU32, Ordering};

/// After so many waits in a row without the signals, waiting is useless.
const USELESS: u32 = 100;
/// Of these waits one in so many is a full one.
const TRY_EVERY: u32 = 8;

/// The limit of each wait. Changed by the host's thread alone.
#[derive(Debug)]
pub(super) struct Budget {
    /// Ticks.
    full: u64,
    short: u64,
    /// Waits in a row after which the signals were not there.
    in_vain: AtomicU32,
}

impl Budget {
    /// Always waits for as long.
    pub(super) fn fixed(full: u64) -> Self {
        Self::between(full, full)
    }

    /// Waits for `short` where waiting is useless.
    pub(super) fn between(short: u64, full: u64) -> Self {
        Self {
            full,
            short: short.min(full),
            in_vain: AtomicU32::new(0),
        }
    }

    /// The longest wait for the next event's signals, ticks.
    #[inline]
    pub(super) fn limit(&self) -> u64 {
        match self.in_vain.load(Ordering::Relaxed) {
            0..USELESS => self.full,
            in_vain if in_vain.is_multiple_of(TRY_EVERY) => self.full,
            _ => self.short,
        }
    }

    /// A wait has ended with its event's last signal.
    #[inline]
    pub(super) fn has_paid(&self) {
        // The line stays as it is where waits pay.
        if self.in_vain.load(Ordering::Relaxed) > 0 {
            self.in_vain.store(0, Ordering::Relaxed);
        }
    }

    /// A wait has ended without it.
    pub(super) fn was_in_vain(&self) {
        let in_vain = self.in_vain.load(Ordering::Relaxed);
        // So that the count never ends in the part that is full.
        let next = match in_vain.wrapping_add(1) {
            0 => USELESS,
            next => next,
        };
        self.in_vain.store(next, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: u64 = 50;
    const SHORT: u64 = 10;

    /// Goes through events that need so long each; returns the waits, and how many of them were in
    /// vain.
    fn play(budget: &Budget, needs: impl IntoIterator<Item = u64>) -> (Vec<u64>, usize) {
        let mut late = 0;
        let waits = needs.into_iter().map(|need| {
            let limit = budget.limit();
            if need <= limit {
                budget.has_paid();
            } else {
                budget.was_in_vain();
                late += 1;
            }
            need.min(limit)
        });
        (waits.collect(), late)
    }

    #[test]
    fn a_model_that_is_slower_than_any_wait_is_not_waited_for_each_time() {
        let budget = Budget::between(SHORT, FULL);
        let (waits, late) = play(&budget, [FULL + 1; 1_000]);
        assert_eq!(late, 1_000);
        assert!(waits[..100].iter().all(|&wait| wait == FULL));
        let full = waits[100..].iter().filter(|&&wait| wait == FULL).count();
        assert_eq!(full, 900 / 8);
        assert_eq!(
            waits.iter().sum::<u64>(),
            (100 + 112) * FULL + (900 - 112) * SHORT
        );
    }

    #[test]
    fn the_count_of_useless_waits_does_not_begin_again() {
        let budget = Budget::between(SHORT, FULL);
        budget.in_vain.store(u32::MAX, Ordering::Relaxed);
        budget.was_in_vain();
        assert_eq!(budget.in_vain.load(Ordering::Relaxed), USELESS);
    }

    #[test]
    fn a_configured_limit_stays() {
        let budget = Budget::fixed(FULL);
        let (waits, _) = play(&budget, [FULL + 1; 1_000]);
        assert!(waits.iter().all(|&wait| wait == FULL));
    }

    proptest! {
        /// Cold events and lanes that are away for a while cost no signal that the full limit
        /// would have brought.
        #[test]
        fn events_of_which_some_come_in_time_are_waited_for_as_with_the_full_limit(
            stretches in prop::collection::vec((0..USELESS as usize, 1..=FULL), 1..60),
        ) {
            let needs = || stretches.iter().flat_map(|&(slow, fast)| {
                std::iter::repeat_n(10_000, slow).chain([fast])
            });
            let seen = play(&Budget::between(SHORT, FULL), needs());
            prop_assert_eq!(seen, play(&Budget::fixed(FULL), needs()));
        }

        /// A pipeline that is fast enough again is waited for after a few events at most.
        #[test]
        fn what_has_become_fast_is_noticed_soon(
            slow in 0..1_000_usize,
            needs in prop::collection::vec(1..=FULL, 20..100),
        ) {
            let budget = Budget::between(SHORT, FULL);
            play(&budget, std::iter::repeat_n(FULL + 1, slow));
            let (_, late) = play(&budget, needs[..8].iter().copied());
            prop_assert!(late < 8);
            let (_, late) = play(&budget, needs[8..].iter().copied());
            prop_assert_eq!(late, 0);
        }

        /// No wait is outside the two limits, and all together are no longer than full ones.
        #[test]
        fn waits_stay_within_the_limits(needs in prop::collection::vec(0..2 * FULL, 0..2_000)) {
            let budget = Budget::between(SHORT, FULL);
            for &need in &needs {
                let limit = budget.limit();
                prop_assert!((SHORT..=FULL).contains(&limit));
                play(&budget, [need]);
            }
            let all = |budget: Budget| {
                play(&budget, needs.iter().copied()).0.iter().sum::<u64>()
            };
            prop_assert!(all(Budget::between(SHORT, FULL)) <= all(Budget::fixed(FULL)));
        }
    }
}
