//! The host's thread stands in for a lane that is away.
//!
//! A lane that spins may be taken off its core: something else runs there. While the host waits
//! for the signals of its event, its own thread then does the lane's work, in the same order and
//! with the same state. So the work of such a lane belongs to one thread at a time. The lane takes
//! it for each batch of messages and gives it back. A lane that is away between two batches delays
//! nothing; one that was taken off its core within a batch still does.
//!
//! To find a message, the lane only looks at the ring's cursor, which needs no lock. So between
//! two messages it has its work for about one part in a hundred of the time.

use std::sync::Arc;

use super::control::Control;
use super::lane::turn_inline;
use super::work::Turn;
use crate::sync::ring::Watch;
use crate::sync::try_lock::{Held, TryLock};
use crate::sync::{spin_loop, yield_now};

/// Empty polls after which a lane does what is due without a message: it publishes what waits for
/// room, rehearses and hands over histograms.
const POLLS_PER_IDLE_TURN: u32 = 256;

/// Empty polls per prefetch of the next message's lines.
const POLLS_PER_PREFETCH: u32 = 2;

/// Does a lane's work from another thread.
pub(crate) trait StandIn: Send + Sync {
    /// Handles at most one message, unless the lane has its work, the work has ended, or a panic
    /// has left it half done. Returns the number of messages handled.
    fn stand_in(&self, control: &Control) -> usize;

    /// Whether a thread has the work now.
    fn is_held(&self) -> bool;
}

/// The work of a lane that the host's thread may stand in for. On cache lines of its own.
#[repr(align(128))]
struct Shared<T> {
    work: TryLock<Owned<T>>,
}

struct Owned<T> {
    /// `None` once the lane has finished.
    work: Option<Box<T>>,
    /// Whether a batch has begun and not ended. If so when a thread takes the work, a stage has
    /// panicked.
    is_half_done: bool,
}

impl<T: Turn> StandIn for Shared<T> {
    #[cold]
    fn stand_in(&self, control: &Control) -> usize {
        let Some(mut held) = self.work.try_lock() else {
            return 0;
        };
        let held = &mut *held;
        let Some(work) = held.work.as_mut().filter(|_| !held.is_half_done) else {
            return 0;
        };
        held.is_half_done = true;
        let handled = turn_inline(&mut **work, 1, control);
        held.is_half_done = handled.is_none();
        handled.unwrap_or(0)
    }

    fn is_held(&self) -> bool {
        self.work.is_held()
    }
}

/// The lane's side of its work, on cache lines of its own.
#[repr(align(128))]
struct LaneSide<T> {
    shared: Arc<Shared<T>>,
    watch: Watch,
    polls: u32,
    /// Whether something waited for room after the last turn.
    holds: bool,
}

/// A lane's work that the host's thread may do, too. `watch` is of its inlet.
pub(super) fn shared<T: Turn + 'static>(work: Box<T>, watch: Watch) -> Box<dyn Turn> {
    let shared = Arc::new(Shared {
        work: TryLock::new(Owned {
            work: Some(work),
            is_half_done: false,
        }),
    });
    Box::new(LaneSide {
        shared,
        watch,
        polls: 0,
        holds: false,
    })
}

impl<T: Turn> LaneSide<T> {
    /// The work, once no other thread has it: whoever has it is within one batch.
    fn wait_for_work(&self) -> Held<'_, Owned<T>> {
        loop {
            match self.shared.work.try_lock() {
                Some(held) => return held,
                None => yield_now(),
            }
        }
    }
}

impl<T: Turn + 'static> Turn for LaneSide<T> {
    fn prime(&mut self) {
        if let Some(work) = &mut self.wait_for_work().work {
            work.prime();
        }
    }

    #[inline]
    fn turn(&mut self, most: usize) -> usize {
        if !self.watch.sees_message() && !self.holds {
            self.polls = self.polls.wrapping_add(1);
            if self.polls.is_multiple_of(POLLS_PER_PREFETCH) {
                self.watch.prefetch();
            }
            if !self.polls.is_multiple_of(POLLS_PER_IDLE_TURN) {
                return 0;
            }
        }
        // Another thread has the work for one message. A lane that waits here does not beat: if
        // that message never ends, the lane counts as stalled.
        let mut held = loop {
            match self.shared.work.try_lock() {
                Some(held) => break held,
                None => spin_loop(),
            }
        };
        let Owned { work, is_half_done } = &mut *held;
        let Some(work) = work else {
            return 0;
        };
        if *is_half_done {
            return work.discard();
        }
        *is_half_done = true;
        let handled = work.turn(most);
        *is_half_done = false;
        work.hand_over();
        work.renew(&mut self.watch);
        self.holds = work.flush();
        handled
    }

    fn flush(&mut self) -> bool {
        let mut held = self.wait_for_work();
        held.work.as_mut().is_some_and(|work| work.flush())
    }

    fn discard(&mut self) -> usize {
        let mut held = self.wait_for_work();
        held.work.as_mut().map_or(0, |work| work.discard())
    }

    /// Part of each [turn](Self::turn), in which this thread has the work.
    fn hand_over(&mut self) {}

    fn finish(self: Box<Self>) {
        let work = self.wait_for_work().work.take();
        if let Some(work) = work {
            work.finish();
        }
    }

    fn stand_in(&self) -> Option<Arc<dyn StandIn>> {
        Some(self.shared.clone())
    }
}

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests;
