//! Time limits that only run while this process runs.
//!
//! After a process was stopped (SIGSTOP, a freezer, a paused virtual machine), its deadlines would
//! have passed, although what it waits for had no time to run either. So the time between two
//! checks counts as one slice at most.

use std::time::Duration;

use super::time::{self, Instant};

/// The most time that one check adds. Code that waits checks far more often.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// A limit on the time since it was created.
#[derive(Debug)]
pub(crate) struct Limit {
    left: Duration,
    looked: Instant,
}

impl Limit {
    pub(crate) fn of(time: Duration) -> Self {
        Self {
            left: time,
            looked: Instant::now(),
        }
    }

    /// Whether the limit has passed. A caller that checks the limit before what it waits for still
    /// gets one last look at that.
    pub(crate) fn is_over(&mut self) -> bool {
        self.look_at(Instant::now())
    }

    fn look_at(&mut self, now: Instant) -> bool {
        let passed = now.since(self.looked).min(SLICE);
        self.looked = now;
        self.left = self.left.saturating_sub(passed);
        self.left.is_zero()
    }

    /// Extends the limit by `more`.
    pub(crate) fn extend(&mut self, more: Duration) {
        self.left += more;
    }
}

/// Asks again and again, after a `step` each, until there is an answer or the time is over.
pub(crate) fn ask_for<T>(
    patience: Duration,
    step: Duration,
    mut ask: impl FnMut() -> Option<T>,
) -> Option<T> {
    let mut limit = Limit::of(patience);
    loop {
        let is_over = limit.is_over();
        match ask() {
            None if !is_over => time::sleep(step),
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_in_which_nobody_looked_is_a_slice() {
        let mut limit = Limit::of(SLICE * 2);
        let stopped = limit.looked + Duration::from_secs(7);
        assert!(!limit.look_at(stopped));
        assert!(!limit.look_at(stopped + SLICE / 2));
        assert!(limit.look_at(stopped + SLICE));
        assert!(limit.is_over());
        limit.extend(SLICE);
        assert!(!limit.is_over());
    }

    #[test]
    fn who_looks_often_waits_for_as_long_as_it_says() {
        let start = Instant::now();
        let mut limit = Limit::of(Duration::from_millis(20));
        while !limit.is_over() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert!(start.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn it_is_asked_until_there_is_an_answer_and_at_least_once() {
        let step = Duration::from_millis(1);
        let mut asked = 0;
        let answer = ask_for(Duration::from_secs(60), step, || {
            asked += 1;
            (asked == 3).then_some(7)
        });
        assert_eq!((answer, asked), (Some(7), 3));
        assert_eq!(ask_for(Duration::ZERO, step, || Some(1)), Some(1));
        assert_eq!(ask_for(step, step, || None::<u8>), None);
    }
}
