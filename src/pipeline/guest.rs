//! Threads that are good guests in the host's process.

use std::io;
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle};

/// Spawns a named thread that has every signal blocked from its first
/// instruction.
///
/// The host's handlers are not safe on a foreign thread. A new thread inherits
/// its maker's mask, so the mask is filled around the spawn and put back.
///
/// # Errors
///
/// What the system says when it refuses a thread.
pub fn spawn<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let _masked = AllSignalsBlocked::new();
    Builder::new().name(name).spawn(run)
}

/// Blocks all signals of the calling thread until it is dropped.
struct AllSignalsBlocked {
    before: libc::sigset_t,
}

impl AllSignalsBlocked {
    fn new() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are valid for writing; sigfillset initialises
        // `all`, and pthread_sigmask with a valid `how` cannot fail and
        // initialises `before`.
        let before = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr());
            before.assume_init()
        };
        Self { before }
    }
}

impl Drop for AllSignalsBlocked {
    fn drop(&mut self) {
        // SAFETY: `before` was filled in by `new` on this same thread: the
        // guard never leaves `spawn`.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }
}
