//! A child of the process has none of its threads: it leaves every handle, and what belongs to it, to
//! its parent.
//!
//! `fork` runs a handler of ours that does that. A handler of the host's that was registered before
//! runs before it, and may make a handle for the child, or destroy the parent's. And a child that was
//! made by `_Fork` or a bare `clone` runs no handlers. Such a child finds the pages of `entrance`
//! emptied, so that every call is refused; the first one that is, a create or a destroy does the
//! handler's work. If several of its threads call at once, one does it and the others wait, or are
//! refused. The handler leaves alone what the child has made by itself.
//!
//! Where the kernel does not empty the pages, the process' number tells: it is compared in each call
//! but `signal_on_data` and the polls.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::{calibration, departure, entrance, handle_table};
use crate::os::limit::Limit;
use crate::os::{claims, files, this_thread};
use crate::sync::owner::{SeeingTo, Whose};

/// How long a create or a destroy waits for the thread of a child that leaves its parent's handles:
/// it takes less than a millisecond, unless the call has interrupted it.
const LEAVING: Duration = Duration::from_secs(1);

/// Whether this process has left its parent's handles since it, or a parent, began to fork.
static EARLY: AtomicBool = AtomicBool::new(false);
/// The thread that forks, once it has noted which locks are empty; 0 if none.
static FORKING: AtomicU64 = AtomicU64::new(0);

/// Leaves the parent's handles to it, if this is a child and has not done so yet. While another
/// thread of the child does so, this one waits.
#[inline(never)]
pub(super) fn notice() -> Whose {
    let mut limit = None;
    loop {
        let is_over = limit.as_mut().is_some_and(Limit::is_over);
        let whose = try_notice();
        if whose != Whose::OursSoon || is_over {
            return whose;
        }
        limit.get_or_insert_with(|| Limit::of(LEAVING));
        std::thread::yield_now();
    }
}

/// As [`notice`], but never waits.
#[inline(never)]
fn try_notice() -> Whose {
    // First: before the first create, the owner is nobody in every process.
    let Some(emptied) = entrance::emptied_in_children() else {
        return Whose::Ours;
    };
    match entrance::owner().begin(std::process::id(), emptied) {
        Ok(seeing_to) => {
            leave_to_parent(seeing_to);
            Whose::Ours
        }
        Err(whose) => whose,
    }
}

/// As [`notice`], where the pages are emptied in children: never waits, and makes no system call in a
/// process that has done so.
pub(super) fn notice_emptied() {
    if entrance::owner().is_nobody() {
        try_notice();
    }
}

/// As [`notice`], where the pages are not emptied in children: never waits.
#[inline(always)]
pub(super) fn look() {
    if entrance::emptied_in_children() == Some(false) {
        try_notice();
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
    match notice() {
        Whose::Ours => (),
        Whose::OursSoon => {
            return Err(
                "another thread of this child process still leaves the parent's handles to the parent: \
                 expected that to take less than a second; create again when its call has returned"
                    .into(),
            );
        }
        Whose::Shared => {
            return Err(
                "this process shares its parent's memory (vfork, or clone with CLONE_VM), and can make \
                 no handle"
                    .into(),
            );
        }
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
    EARLY.store(false, Ordering::Relaxed);
    handle_table::note_empty_locks();
    FORKING.store(this_thread::name(), Ordering::Relaxed);
}

extern "C" fn in_parent() {
    FORKING.store(0, Ordering::Relaxed);
}

extern "C" fn in_child() {
    // Zeros tell by themselves. Numbers do not: the first processes of two PID namespaces have the
    // same one.
    if entrance::emptied_in_children() == Some(true) {
        notice_emptied();
    } else if !EARLY.load(Ordering::Relaxed) {
        leave_to_parent(entrance::owner().begin_as_child(std::process::id()));
    }
}

#[cold]
#[inline(never)]
fn leave_to_parent(seeing_to: SeeingTo<'_>) {
    EARLY.store(true, Ordering::Relaxed);
    let are_noted = FORKING.swap(0, Ordering::Relaxed) == this_thread::name();
    handle_table::leave_to_parent(are_noted);
    calibration::leave_to_parent();
    departure::leave_to_parent();
    claims::leave_to_parent();
    files::leave_to_parent();
    drop(seeing_to);
}
