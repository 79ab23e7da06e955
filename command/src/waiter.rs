//! How the host's thread waits.

use std::hint;
use std::thread;
use std::time::{Duration, Instant};

use crate::interrupt::Interrupt;

/// Longest single sleep, because a signal does not end one.
const NAP: Duration = Duration::from_millis(50);

/// Ways to wait that leave the core to the lanes if there is only one.
pub struct Waiter {
    one_core: bool,
}

impl Waiter {
    /// Checks which cores this thread may use now.
    pub fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            one_core: cores == 1,
        }
    }

    /// Waits for a moment.
    pub fn pause(&self) {
        match self.one_core {
            true => thread::yield_now(),
            false => hint::spin_loop(),
        }
    }

    /// Waits until `due`, or until the run is interrupted; like the host, it spins if there are
    /// cores to spare.
    pub fn until(&self, due: Instant, interrupt: &Interrupt) {
        while let left = due.saturating_duration_since(Instant::now())
            && !left.is_zero()
            && interrupt.told().is_none()
        {
            match self.one_core {
                true => thread::sleep(left.min(NAP)),
                false => hint::spin_loop(),
            }
        }
    }
}
