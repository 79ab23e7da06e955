//! What happens when the last thread of the host ends (`pthread_exit`) without `signal_destroy`. A
//! process ends with its last thread, and our threads must not keep it.
//!
//! Nobody looks while each thread lives that has made a handle. When such a thread ends, a thread of
//! ours, the watcher, is started that looks once a second, until we have no other threads. No lane
//! looks.
//!
//! What the watcher means for a host:
//!
//! - It takes no memory once it has started: a refusal would end the process. The thread that ends
//!   takes what is needed to start it, if the allocator still gives some.
//! - The thread that ends waits until the watcher has started: a millisecond, and thirty seconds at most.
//! - `signal_destroy` of the last handle wakes it, and it ends. It is not joined: for some
//!   microseconds, or as long as it waits for a core, the process has one more thread.
//! - `dlclose` does not unload its code (`build.rs`).
//! - It runs at the lowest priority, off the lanes' cores if there are others. On a machine that is
//!   busy for long it looks late, by as long as it waits for a core. The host's handlers of `exit` then
//!   run at that priority, too: a thread may not better its own.

use std::ffi::c_void;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use super::{door, handle_table};
use crate::os::cores;
use crate::os::memory;
use crate::os::parker::Parker;
use crate::os::stderr::say_parts;
use crate::os::this_thread::Key;
use crate::os::threads::{self, Wanted, roster};

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(1);

/// Set on threads that have made a handle.
static MAKER: Key = Key::new(Some(maker_ends));
/// The process that they belong to.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// Whether a thread looks.
static IS_WATCHED: AtomicBool = AtomicBool::new(false);
/// Where that thread sleeps.
static PARKER: Parker = {
    static WORD: AtomicU32 = AtomicU32::new(0);
    Parker::over(&WORD)
};
/// Whether a handle has ended since that thread last woke.
static HAS_NEWS: AtomicBool = AtomicBool::new(false);

/// Called on the host's thread that has made a handle. Where there is no room for its word, nothing
/// notices the host's end.
pub(super) fn note_maker() {
    PROCESS.store(std::process::id(), Ordering::Relaxed);
    MAKER.set(std::ptr::without_provenance(1));
}

/// Called when a handle has ended, and its threads with it.
pub(super) fn handle_has_ended() {
    if !IS_WATCHED.load(Ordering::Acquire) {
        return;
    }
    HAS_NEWS.store(true, Ordering::Relaxed);
    PARKER.unparker().unpark();
}

/// Called in the child of a fork.
pub(super) fn leave_to_parent() {
    IS_WATCHED.store(false, Ordering::Relaxed);
    roster::leave_to_parent();
}

unsafe extern "C" fn maker_ends(_: *mut c_void) {
    // A child that was made without the handlers of `fork` has no threads of ours.
    if PROCESS.load(Ordering::Relaxed) == std::process::id() {
        door::through((), watch);
    }
}

/// Starts the thread that looks, if it is needed.
fn watch() {
    // ThreadSanitizer takes no new thread here.
    if cfg!(thread_sanitizer) || !roster::has_others() || IS_WATCHED.swap(true, Ordering::AcqRel) {
        return;
    }
    // An allocation that fails would end the host.
    if !memory::allocator_gives_some() {
        return not_watched(&"there is no memory");
    }
    let aside = handle_table::aside().unwrap_or_default();
    let wanted = Wanted::aside("signal-watch", "the watching thread", aside);
    match threads::spawn(wanted, look) {
        Ok(mut thread) => thread.give_way(),
        Err(why) => not_watched(&why),
    }
}

/// Says so, once. The next thread that ends tries again.
fn not_watched(why: &dyn fmt::Display) {
    static IS_SAID: AtomicBool = AtomicBool::new(false);
    IS_WATCHED.store(false, Ordering::Release);
    if !IS_SAID.swap(true, Ordering::Relaxed) {
        say_parts(format_args!(
            "{why}: if all threads of this process end without signal_destroy, the process goes on"
        ));
    }
}

fn look() {
    let mut had_ended = false;
    loop {
        // A park is no call that a sandbox refuses where it refuses to sleep.
        PARKER.park_timeout(INTERVAL);
        // Where a handle has just ended, a thread of the host's was there: less than the interval
        // has passed.
        let has_ended = !HAS_NEWS.swap(false, Ordering::Relaxed) && roster::host_has_ended();
        // Twice in a row.
        if has_ended && had_ended {
            handle_table::destroy_all();
            // Once more: a model that was dropped may have made a thread.
            if roster::host_has_ended() {
                leave();
            }
        }
        had_ended = has_ended;
        if roster::has_others() {
            continue;
        }
        IS_WATCHED.swap(false, Ordering::AcqRel);
        // A handle may have been made, and its maker may have ended, before that.
        if !roster::has_others() || IS_WATCHED.swap(true, Ordering::AcqRel) {
            return;
        }
    }
}

/// Ends the process as its last thread would. The host's handlers of `exit` run, and find what they
/// would have found there: no signal blocked, and the process' cores.
fn leave() -> ! {
    let _ = cores::widen_own_mask();
    threads::unblock_signals();
    // SAFETY: glibc's last thread makes this call; no thread of the host's is left that could run
    // beside it.
    unsafe { libc::exit(0) }
}
