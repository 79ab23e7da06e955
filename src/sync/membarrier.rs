//! A pair of barriers, one of which costs nothing.
//!
//! Two threads each store one word and then load the other's. They must not both miss the
//! other's store. The side that runs often only keeps the compiler from swapping the two. The
//! side that runs rarely has the kernel execute a full barrier on every running thread of the
//! process (`membarrier`).

#[cfg(not(loom))]
use std::sync::atomic::compiler_fence;

use super::{Ordering, fence};

/// Between a store and a load, on the frequent side.
#[cfg(not(loom))]
#[inline]
pub(crate) fn light() {
    compiler_fence(Ordering::SeqCst);
}

/// Many times the longest time that a store stays in its core before others see it. A store
/// leaves within microseconds, or when its thread is taken off the core.
#[cfg(not(loom))]
const LONG_ENOUGH: std::time::Duration = std::time::Duration::from_millis(2);

/// Between a store and a load, on the rare side. Takes a few microseconds. Where the kernel
/// refuses its barrier, as a sandbox that was set up later may make it do, a wait of 2 ms
/// replaces it.
#[cfg(not(loom))]
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    if !kernel::membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        std::thread::sleep(LONG_ENOUGH);
        fence(Ordering::SeqCst);
    }
}

/// Tells the kernel that this process will ask for barriers. False if the kernel offers none
/// (before Linux 4.14, or forbidden by a sandbox).
#[cfg(not(loom))]
pub(crate) fn available() -> bool {
    kernel::membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)
}

#[cfg(not(loom))]
mod kernel {
    pub(super) fn membarrier(command: libc::c_int) -> bool {
        // SAFETY: the call takes two numbers and touches none of our memory.
        unsafe { libc::syscall(libc::SYS_membarrier, command, 0) == 0 }
    }
}

/// What the kernel's barrier amounts to on both sides, in terms that loom explores.
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
