//! A callback that calls `exit` never returns, so what `signal_destroy` defers until it does would
//! never happen: no summary, and no last rows of the capture.
//!
//! Handlers of `exit` run on the thread that called it, and destructors of libraries after them. Ours
//! ends the handles that such a handler has destroyed.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{BURIED, Entrance, Handle, Inside, LIVE, Slot, slot_of, used_slots};
use super::{departure, door, forks, guarded, this_thread};

/// The thread that is in `exit`, once our destructor has run; 0 before.
static LEAVING: AtomicU64 = AtomicU64::new(0);

/// Runs in `exit`, and at no other time: this library is never unloaded (`build.rs`).
#[used]
#[unsafe(link_section = ".fini_array")]
static DESTRUCTOR: extern "C" fn() = {
    extern "C" fn at_exit() {
        LEAVING.store(this_thread::name(), Ordering::Relaxed);
        // In the child of a fork the handles are its parent's.
        if owed().next().is_some() && forks::notice().is_ours() {
            door::through((), end_what_is_owed);
        }
    }
    at_exit
};

impl Inside {
    /// Has a handle that was taken down destroyed when the callback returns that this thread is in.
    /// In the process' `exit` it never does.
    pub(in crate::ffi) fn destroy_later(&self) {
        let destroyer = &slot_of(self.token).destroyer;
        destroyer.store(this_thread::name(), Ordering::Relaxed);
        if !ends_now() {
            self.handle().destroy_after_poll.set(true);
        }
    }
}

/// If the calling thread is in `exit`, after our destructor (another library's calls
/// `signal_destroy`), ends what it owes and returns true.
fn ends_now() -> bool {
    let ends = LEAVING.load(Ordering::Relaxed) == this_thread::name();
    if ends {
        door::through((), end_what_is_owed);
    }
    ends
}

/// The slots of handles that this thread was to destroy, and their entrances.
fn owed() -> impl Iterator<Item = (&'static Slot, &'static Entrance)> {
    let me = this_thread::name();
    used_slots().filter(move |(slot, _)| {
        let is_mine = slot.destroyer.load(Ordering::Relaxed) == me;
        is_mine && slot.state.load(Ordering::Relaxed) == LIVE
    })
}

fn end_what_is_owed() {
    for (slot, entrance) in owed() {
        // SAFETY: the slot keeps the handle as long as this thread is in its callback, which is for
        // ever: it is in `exit`.
        if let Some(handle) = unsafe { entrance.value.load(Ordering::Relaxed).as_ref() } {
            // SAFETY: this thread has entered the lock and calls back from it. It runs nothing of the
            // engine while the callback runs, and the callback never returns.
            unsafe { end_and_bury(slot, handle) };
        }
    }
}

/// Ends everything of a handle, and keeps its memory.
///
/// # Safety
///
/// This thread is inside the handle's lock, and from now on nothing else uses the two ends.
pub(super) unsafe fn end_and_bury(slot: &Slot, handle: &Handle) {
    guarded((), || {
        // SAFETY: the caller upholds it.
        let (feeder, poller) = unsafe { (&mut *handle.feeder.get(), &mut *handle.poller.get()) };
        handle.runtime.end(feeder, poller);
    });
    departure::handle_has_ended();
    slot.state.store(BURIED, Ordering::Release);
}
