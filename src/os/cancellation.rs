//! Cancellation (`pthread_cancel`) unwinds a thread by force from inside a system call, which Rust
//! code cannot survive. So it is disabled while such code runs.

use std::ffi::c_int;

const DISABLE: c_int = 1;

unsafe extern "C" {
    safe fn pthread_setcancelstate(state: c_int, before: Option<&mut c_int>) -> c_int;
}

unsafe extern "C-unwind" {
    /// Ends the thread here, by unwinding it, if it was cancelled. No frame between this one and
    /// the host's may have anything to drop.
    pub(crate) safe fn pthread_testcancel();
}

/// While this exists, a cancellation of the calling thread waits.
#[derive(Debug)]
pub(crate) struct Disabled {
    before: c_int,
}

impl Disabled {
    pub(crate) fn new() -> Self {
        let mut before = DISABLE;
        pthread_setcancelstate(DISABLE, Some(&mut before));
        Self { before }
    }
}

impl Drop for Disabled {
    fn drop(&mut self) {
        pthread_setcancelstate(self.before, None);
    }
}

/// Disables it for good, on a thread of ours.
pub(super) fn disable() {
    pthread_setcancelstate(DISABLE, None);
}
