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

/// Between a store and a load, on the rare side: a few microseconds. False if
/// the kernel does not do it, and then nothing is known of the other side.
#[cfg(not(loom))]
pub(crate) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    kernel::membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED)
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
pub(crate) fn heavy() -> bool {
    fence(Ordering::SeqCst);
    true
}
