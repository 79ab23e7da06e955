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
/// What the system says when it refuses a thread, and the process' limits.
pub fn spawn<T: Send + 'static>(
    name: String,
    run: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let _masked = AllSignalsBlocked::new();
    Builder::new().name(name).spawn(run).map_err(refused)
}

/// Adds the limits that a thread may have met.
fn refused(error: io::Error) -> io::Error {
    let limits: Vec<_> = [
        ("RLIMIT_NPROC", libc::RLIMIT_NPROC),
        ("RLIMIT_AS", libc::RLIMIT_AS),
    ]
    .into_iter()
    .filter_map(|(name, resource)| Some(format!("{name} is {}", limit(resource)?)))
    .collect();
    if limits.is_empty() {
        return error;
    }
    io::Error::new(error.kind(), format!("{error} ({})", limits.join(", ")))
}

/// The process' soft limit, if there is one.
pub(crate) fn limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: libc::RLIM_INFINITY,
        rlim_max: libc::RLIM_INFINITY,
    };
    // SAFETY: `limit` is a valid place for the answer.
    let read = unsafe { libc::getrlimit(resource, &mut limit) } == 0;
    (read && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
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
