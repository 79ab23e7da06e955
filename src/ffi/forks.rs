//! A child of the process has none of its threads: it leaves every handle, and what belongs to it, to
//! its parent.
//!
//! `fork` runs a handler of ours that does that. A handler of the host's that was registered before
//! runs before it, and may make a handle for the child, or destroy the parent's. And a child that was
//! made by `_Fork` or a bare `clone` runs no handlers. Such a child finds the pages of `entrance`
//! emptied, so that every call is refused; the first one that is, a create or a destroy does the
//! handler's work. The handler leaves alone what the child has made by itself.
//!
//! Where the kernel does not empty the pages, the process' number tells: it is compared in each call
//! but `signal_on_data` and the polls.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::{calibration, departure, entrance, handle_table};
use crate::os::{claims, files, this_thread};

/// A child that has left its parent's handles before the handler ran.
static EARLY: AtomicU32 = AtomicU32::new(0);
/// The thread that forks, once it has noted which locks are empty; 0 if none.
static FORKING: AtomicU64 = AtomicU64::new(0);

/// Leaves the parent's handles to it, if this is a child and has not done so yet.
#[inline(never)]
pub(super) fn notice() {
    let me = std::process::id();
    let seen = entrance::process();
    // A process with another number that finds the pages as they were has no copy of them: it shares
    // its parent's memory.
    let shares = seen != 0 && entrance::are_emptied_in_children();
    if seen == me || shares || !entrance::is_prepared() {
        return;
    }
    EARLY.store(me, Ordering::Relaxed);
    leave_to_parent(me);
}

/// [`notice`], where the pages are emptied in children: makes no system call in a process that has
/// done so.
pub(super) fn notice_emptied() {
    if entrance::process() == 0 {
        notice();
    }
}

/// [`notice`], where the pages are not emptied in children.
#[inline(always)]
pub(super) fn look() {
    if !entrance::are_emptied_in_children() {
        notice();
    }
}

/// From now on, a child of the process notices.
///
/// # Errors
///
/// A sentence that says what failed.
// In a call of its own, as are the steps of a create: the host's thread may have a small stack.
#[inline(never)]
pub(super) fn watch() -> Result<(), String> {
    static WATCHED: AtomicU8 = AtomicU8::new(0);
    entrance::prepare();
    notice();
    if entrance::process() != std::process::id() {
        return Err(
            "this process shares its parent's memory (vfork, or clone with CLONE_VM), and can make no \
             handle"
                .into(),
        );
    }
    if WATCHED.swap(1, Ordering::Relaxed) == 1 {
        return Ok(());
    }
    // SAFETY: the handlers only use static atomics and close descriptors of ours, and this library is
    // never unloaded (`build.rs`).
    match unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) } {
        0 => Ok(()),
        error => {
            WATCHED.store(0, Ordering::Relaxed);
            let error = std::io::Error::from_raw_os_error(error);
            Err(format!("cannot watch for fork(): {error}"))
        }
    }
}

extern "C" fn before() {
    handle_table::note_empty_locks();
    FORKING.store(this_thread::name(), Ordering::Relaxed);
}

extern "C" fn in_parent() {
    FORKING.store(0, Ordering::Relaxed);
}

extern "C" fn in_child() {
    let me = std::process::id();
    if EARLY.swap(0, Ordering::Relaxed) != me {
        leave_to_parent(me);
    }
}

#[cold]
#[inline(never)]
fn leave_to_parent(me: u32) {
    entrance::set_process(me);
    let are_noted = FORKING.swap(0, Ordering::Relaxed) == this_thread::name();
    handle_table::leave_to_parent(are_noted);
    calibration::leave_to_parent();
    departure::leave_to_parent();
    claims::leave_to_parent();
    files::leave_to_parent();
}
