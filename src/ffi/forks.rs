//! The child of a `fork` has none of the process' threads: it leaves every handle, and what belongs to
//! it, to its parent.
//!
//! A handler of `fork` does that. One of the host's that was registered before runs before it, and may
//! make a handle for the child, or destroy the parent's. So create and destroy compare the process'
//! number first, and the handler then leaves what the child has made by itself.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use super::{calibration, departure, handle_table};
use crate::os::{claims, files};

/// The process whose handles there are; 0 before the first.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// A child that has left its parent's handles before the handler ran.
static EARLY: AtomicU32 = AtomicU32::new(0);

/// Leaves the parent's handles to it, if this is a child and has not done so yet.
pub(super) fn notice() {
    let me = std::process::id();
    if PROCESS.load(Ordering::Relaxed) == me {
        return;
    }
    if PROCESS.swap(me, Ordering::Relaxed) != 0 {
        EARLY.store(me, Ordering::Relaxed);
        leave_to_parent();
    }
}

/// From now on, the child of a fork notices at once.
///
/// # Errors
///
/// A sentence that says what failed.
pub(super) fn watch() -> Result<(), String> {
    static WATCHED: AtomicU8 = AtomicU8::new(0);
    extern "C" fn in_child() {
        let me = std::process::id();
        if EARLY.swap(0, Ordering::Relaxed) != me {
            PROCESS.store(me, Ordering::Relaxed);
            leave_to_parent();
        }
    }
    notice();
    if WATCHED.swap(1, Ordering::Relaxed) == 1 {
        return Ok(());
    }
    // SAFETY: the handler only stores into static atomics and closes descriptors of ours, and this
    // library is never unloaded (`build.rs`).
    match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
        0 => Ok(()),
        error => {
            WATCHED.store(0, Ordering::Relaxed);
            let error = std::io::Error::from_raw_os_error(error);
            Err(format!("cannot watch for fork(): {error}"))
        }
    }
}

fn leave_to_parent() {
    handle_table::leave_to_parent();
    calibration::leave_to_parent();
    departure::leave_to_parent();
    claims::leave_to_parent();
    files::leave_to_parent();
}
