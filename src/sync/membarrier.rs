//! A pair of barriers of which one side costs nothing.
//!
//! Two threads that each store one word and then load the other's must not both
//! miss the other's store. The side that runs often keeps the compiler from
//! swapping the two; the side that runs seldom has the kernel put a full barrier
//! on every running thread of the process (`membarrier`).

#[cfg(not(loom))]
use std::sync::atomic::compiler_fence;

use super::{Ordering, fence};

/// Between a store and a load, on the frequent side.
#[cfg(not(loom))]
#[inline]
pub(crate) fn light() {
    compiler_fence(Ordering::SeqCst);
}

/// How long a store waits in its core at most before others see it, many times over:
/// it leaves within microseconds, and when its thread is taken off the core.
#[cfg(not(loom))]
const LONG_ENOUGH: std::time::Duration = std::time::Duration::from_millis(2);

/// Between a store and a load, on the rare side: a few microseconds. Where the kernel
/// refuses its barrier, as a sandbox that came later may have it do, time takes its
/// place, 2 ms.
#[cfg(not(loom))]
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    if !kernel::membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        crate::os::time::sleep(LONG_ENOUGH);
        fence(Ordering::SeqCst);
    }
}

/// Tells the kernel that this process will ask for barriers; false if it has
/// none to give (before Linux 4.14, or forbidden by a sandbox).
#[cfg(not(loom))]
pub(crate) fn available() -> bool {
    kernel::membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
}

#[cfg(not(loom))]
mod kernel {
    pub(super) fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes two numbers and touches no memory of ours.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0) == 0 }
    }
}

/// What the kernel's barrier makes of both sides, in terms that loom explores.
#[cfg(loom)]
pub(crate) fn light() {
    fence(Ordering::SeqCst);
}

/// See [`light`].
#[cfg(loom)]
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
}

#[cfg(all(test, not(loom)))]
mod tests;
