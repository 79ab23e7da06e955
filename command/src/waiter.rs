//! How the host's thread waits.

use std::hint;
use std::thread;
use std::time::Instant;

/// Ways to wait that leave a lone core to the lanes.
pub struct Waiter {
    one_core: bool,
}

impl Waiter {
    /// Looks at the cores that this thread may use now.
    pub fn new() -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        Self {
            one_core: cores == 1,
        }
    }

    /// Passes a moment.
    pub fn pause(&self) {
        match self.one_core {
            true => thread::yield_now(),
            false => hint::spin_loop(),
        }
    }

    /// Waits for a moment; like the host, busily where there are cores to spare.
    pub fn until(&self, due: Instant) {
        while let left = due.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            match self.one_core {
                true => thread::sleep(left),
                false => hint::spin_loop(),
            }
        }
    }
}
