//! What a lane does when its inlet is empty.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::os::time;

/// How a lane waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Idle {
    /// `spin` if every lane has a core of its own and one is left for the host, else `park`.
    #[default]
    Auto,
    /// Busy-poll with the CPU's pause hint. Lowest latency; takes a whole core.
    Spin,
    /// Give the core to any other runnable thread after each empty poll.
    Yield,
    /// Poll for a moment, then yield, then sleep 50 us at a time. For lanes that share a
    /// core. A message waits for at most one sleep and the kernel's timer slack (often
    /// another 50 us), and the host never has to wake a lane.
    Park,
}

/// How a lane waits, and for how long it has waited.
#[derive(Debug)]
pub struct Waiter {
    idle: Idle,
    empty_polls: u32,
}

const PARK_SPINS: u32 = 100;
const PARK_YIELDS: u32 = 120;
const PARK_SLEEP: Duration = Duration::from_micros(50);

impl Waiter {
    /// A waiter; `Auto` waits as `Park` does.
    pub fn new(idle: Idle) -> Self {
        Self {
            idle,
            empty_polls: 0,
        }
    }

    /// Call it after a poll with work.
    #[inline]
    pub fn reset(&mut self) {
        self.empty_polls = 0;
    }

    /// Whether waiting lets other threads run on this core.
    #[inline]
    pub fn gives_core_away(&self) -> bool {
        self.idle != Idle::Spin
    }

    /// Call it after an empty poll: waits once.
    #[inline]
    pub fn wait(&mut self) {
        match self.idle {
            Idle::Spin => std::hint::spin_loop(),
            Idle::Yield => std::thread::yield_now(),
            Idle::Park | Idle::Auto => self.back_off(),
        }
    }

    fn back_off(&mut self) {
        self.empty_polls = self.empty_polls.saturating_add(1);
        if self.empty_polls <= PARK_SPINS {
            std::hint::spin_loop();
        } else if self.empty_polls <= PARK_YIELDS {
            std::thread::yield_now();
        } else {
            time::nap(PARK_SLEEP);
        }
    }
}
