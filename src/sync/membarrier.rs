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

/// Between a store and a load, on the rare side. Takes a few microseconds. Where the kernel
/// refuses its barrier, as a sandbox that was set up later may make it do, a wait of 2 ms
/// replaces it.
#[cfg(not(loom))]
pub(crate) fn heavy() {
    fence(Ordering::SeqCst);
    if !kernel::membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        kernel::let_time_pass();
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
    use std::io;

    use crate::sync::slack::Punctual;

    /// How long a store waits in its core at most before others see it, many times over:
    /// it leaves within microseconds, and when its thread is taken off the core.
    const LONG_ENOUGH: libc::timespec = libc::timespec {
        tv_sec: 0,
        tv_nsec: 2_000_000,
    };
    /// As long, at the ten cycles that one takes at least.
    const SPINS: u32 = 2_000_000;

    /// Not by the standard library's `sleep`, which panics where a sandbox refuses the
    /// call.
    pub(super) fn let_time_pass() {
        let _punctual = Punctual::new();
        let mut left = LONG_ENOUGH;
        let left = &raw mut left;
        let (clock, from_now) = (libc::CLOCK_MONOTONIC, 0);
        // SAFETY: the call reads the time that `left` points to, and writes into it what
        // is left when a signal's handler has interrupted it.
        while unsafe { libc::syscall(libc::SYS_clock_nanosleep, clock, from_now, left, left) } != 0
        {
            if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted {
                (0..SPINS).for_each(|_| std::hint::spin_loop());
                return;
            }
        }
    }

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
