//! What is asked at most once a second, though a caller may want to know it all the time.

use std::time::Duration;

use super::clock::Clock;

const INTERVAL: Duration = Duration::from_secs(1);

/// When it was last asked.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Option<u64>);

impl Seldom {
    /// Whether a second has passed since it was asked.
    pub(crate) fn is_due(&self, clock: &Clock) -> bool {
        let now = clock.now();
        // A clock may be set back.
        let since = self
            .0
            .filter(|&at| at <= now)
            .map(|at| clock.nanos(at, now));
        since.is_none_or(|since| u128::from(since) >= INTERVAL.as_nanos())
    }

    /// Notes that it was asked. Call it after the answer: that may have taken long.
    pub(crate) fn asked(&mut self, clock: &Clock) {
        self.0 = Some(clock.now());
    }

    #[cfg(all(test, not(loom)))]
    pub(crate) fn was_never_asked(&self) -> bool {
        self.0.is_none()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_due_again_after_a_second() {
        let clock = Clock::new(false);
        assert!(Seldom(None).is_due(&clock));
        // More than any test takes, and the same again.
        let (now, ages) = (clock.now(), clock.ticks(INTERVAL.as_nanos() as u64));
        assert!(!Seldom(Some(now)).is_due(&clock) || clock.now() - now >= ages);
        assert!(Seldom(Some(now - ages.min(now))).is_due(&clock));
        // The clock was set back.
        assert!(Seldom(Some(now + 1_000 * ages)).is_due(&clock));
        let mut seldom = Seldom::default();
        seldom.asked(&clock);
        assert!(!seldom.is_due(&clock) || clock.now() - now >= ages);
    }
}
