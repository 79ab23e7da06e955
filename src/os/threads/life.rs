//! Whether a thread of ours was ended from outside. A sandbox may answer a system call by ending
//! the thread that made it, and no other (`SECCOMP_RET_KILL_THREAD`): it runs no further
//! instruction, so others must find out.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::os::this_thread;

/// What has happened to a thread that is gone.
pub(crate) const CUT_SHORT: &str = "was ended from outside, as by a sandbox that kills threads (SECCOMP_RET_KILL_THREAD): \
     nothing more is written, and its file stays locked until this process ends";

/// What others see of a thread.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// The kernel's ID; 0 before it runs.
    id: AtomicU32,
    has_ended: AtomicBool,
    /// Found once, and true from then on: the kernel may give the number to another thread.
    was_cut_short: AtomicBool,
}

/// Notes the calling thread's end when dropped.
pub(super) struct Living<'a>(&'a Life);

impl Life {
    /// The calling thread begins.
    pub(super) fn begin(&self) -> Living<'_> {
        self.id.store(this_thread::id(), Ordering::Release);
        Living(self)
    }

    /// The kernel's ID of it; 0 before it runs.
    pub(crate) fn id(&self) -> u32 {
        self.id.load(Ordering::Acquire)
    }

    /// Whether it came to its own end.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Whether it is gone without having come to its end. Asks the system once, of a thread
    /// that may still run. Neither waits nor allocates. A thread that the kernel says nothing of
    /// lives.
    pub(crate) fn was_cut_short(&self) -> bool {
        let id = self.id.load(Ordering::Acquire);
        if id == 0 || self.has_ended() {
            return false;
        }
        // Asked in this order: a thread notes its end before it is gone.
        let is = self.was_cut_short.load(Ordering::Relaxed)
            || !this_thread::is_alive(id) && !self.has_ended();
        if is {
            self.was_cut_short.store(true, Ordering::Relaxed);
        }
        is
    }
}

impl Drop for Living<'_> {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_gone_stays_gone_when_another_one_gets_its_number() {
        // No kernel gives this number.
        const GONE: u32 = i32::MAX as u32;
        let life = Life::default();
        assert!(!life.was_cut_short());
        life.id.store(GONE, Ordering::Relaxed);
        assert!(life.was_cut_short());
        life.id.store(this_thread::id(), Ordering::Relaxed);
        assert!(life.was_cut_short());
        // One that has ended by itself was not.
        let life = Life::default();
        life.id.store(GONE, Ordering::Relaxed);
        drop(Living(&life));
        assert!(!life.was_cut_short());
    }
}
