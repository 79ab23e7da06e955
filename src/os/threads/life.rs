//! Whether a thread of ours was ended from outside. A sandbox may answer a system call by ending
//! the thread that made it, and no other (`SECCOMP_RET_KILL_THREAD`): it runs no further
//! instruction, so others must find out.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::os::this_thread;

/// What has happened to a thread that is gone.
pub(crate) const CUT_SHORT: &str = "was ended from outside, as a sandbox does that kills threads (SECCOMP_RET_KILL_THREAD): \
     nothing more is written, and its file stays locked until this process ends";

/// What others see of a thread.
#[derive(Debug, Default)]
pub(crate) struct Life {
    /// The kernel's ID; 0 before it runs.
    id: AtomicU32,
    has_ended: AtomicBool,
}

/// Notes the calling thread's end when dropped.
pub(super) struct Living<'a>(&'a Life);

impl Life {
    /// The calling thread begins.
    pub(super) fn begin(&self) -> Living<'_> {
        self.id.store(this_thread::id(), Ordering::Release);
        Living(self)
    }

    /// Whether it came to its own end.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    /// Whether it is gone without having come to its end. Neither waits nor allocates. A
    /// thread that the kernel says nothing of lives.
    pub(crate) fn was_cut_short(&self) -> bool {
        let id = self.id.load(Ordering::Acquire);
        // Asked in this order: a thread notes its end before it is gone.
        id != 0 && !this_thread::is_alive(id) && !self.has_ended()
    }
}

impl Drop for Living<'_> {
    fn drop(&mut self) {
        self.0.has_ended.store(true, Ordering::Release);
    }
}
