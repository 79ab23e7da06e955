//! The clock's calibration, once per process, also if the process forks meanwhile.
//!
//! Threads that create their first handles wait for the thread that calibrates. In a child that was
//! forked meanwhile that thread does not exist, so no thread may wait for it.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::os::clock::{self, Clock};
use crate::os::tsc;

const NOT_YET: u8 = 0;
const UNDER_WAY: u8 = 1;
const DONE: u8 = 2;
/// Begun by a thread of the parent; it never completes in this process.
const LOST: u8 = 3;

static STATE: AtomicU8 = AtomicU8::new(NOT_YET);

/// Calibrates the clock, unless another thread is doing so.
///
/// # Errors
///
/// A sentence that says that this process has no clock.
pub(super) fn begin() -> Result<(), String> {
    clock::check()?;
    if !tsc::may_read() {
        // There is nothing to calibrate here, but the thread of a later handle may read the TSC.
        return Ok(());
    }
    match STATE.compare_exchange(NOT_YET, UNDER_WAY, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => {
            Clock::new(false);
            STATE.store(DONE, Ordering::Relaxed);
            Ok(())
        }
        Err(LOST) => Err(
            "this process was forked while another thread made the parent's first handle and \
             calibrated the clock, and can make none: fork before that or after it"
                .into(),
        ),
        Err(_) => Ok(()),
    }
}

/// Called in the child of a fork.
pub(super) fn leave_to_parent() {
    let _ = STATE.compare_exchange(UNDER_WAY, LOST, Ordering::Relaxed, Ordering::Relaxed);
}
