//! The one place that makes threads: good guests in the host's process, which have
//! nothing of the thread that happened to make them.
//!
//! | file | what |
//! |---|---|
//! | `start` | a thread made, waited for within a limit, joined |
//! | `policy` | scheduling, nice, timer slack |
//! | `storage` | its thread-local values end without the loader's lock |
//!
//! Not the standard library's threads: those take the process' `RUST_MIN_STACK` for
//! their size, and say nothing before they run.

use std::io;
use std::mem::MaybeUninit;

use super::memory::limit;
use super::{cancellation, cores, float};

mod policy;
mod start;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod storage;

pub use policy::Policy;
pub(crate) use start::{Thread, spawn, stack_bytes};

/// What a thread should be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// At most 15 bytes; the kernel cuts the rest off.
    name: String,
    /// In messages.
    called: String,
    schedule: Schedule,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Schedule {
    As(Policy),
    GiveWay,
}

#[derive(Clone, Debug)]
enum Place {
    /// Pinned there.
    Core(usize),
    /// On any of these, as far as the kernel lets it.
    Among(Vec<usize>),
    /// Wherever the process may run.
    Anywhere,
}

impl Wanted {
    /// A lane, on a core of its own or wherever it may be.
    pub(crate) fn lane(index: usize, core: Option<usize>, policy: Policy) -> Self {
        Self {
            name: format!("{}{index}", cores::LANE_NAME),
            called: format!("lane {index}"),
            schedule: Schedule::As(policy),
            place: core.map_or(Place::Anywhere, Place::Core),
        }
    }

    /// A thread in nobody's way: on these cores, and after all others.
    pub(crate) fn aside(name: &str, called: &str, cores: Vec<usize>) -> Self {
        Self {
            name: name.to_owned(),
            called: called.to_owned(),
            schedule: Schedule::GiveWay,
            place: Place::Among(cores),
        }
    }

    /// A thread that is gone at once.
    pub(crate) fn brief(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            called: format!("the thread {name}"),
            // As its maker: what it does takes no time.
            schedule: Schedule::As(Policy::Inherit),
            place: Place::Anywhere,
        }
    }
}

/// What every thread of ours does before anything else.
fn first_of_all() {
    // For as long as it lives.
    std::mem::forget(float::set_default());
    cancellation::disable();
    std::mem::forget(AllSignalsBlocked::new());
}

/// Makes the calling thread, one of this library's own, what it should be.
fn become_wanted(wanted: &Wanted) -> Result<(), String> {
    set_name(&wanted.name);
    match &wanted.place {
        Place::Core(core) => cores::pin(*core)?,
        Place::Among(among) => cores::stay_among(among),
        // As far as it may: its maker's thread may have been pinned.
        Place::Anywhere => drop(cores::widen_own_mask()),
    }
    match wanted.schedule {
        Schedule::As(policy) => policy::adopt(policy),
        Schedule::GiveWay => {
            policy::give_way();
            Ok(())
        }
    }
}

fn set_name(name: &str) {
    let mut bytes = [0u8; 16];
    let kept = name.len().min(bytes.len() - 1);
    bytes[..kept].copy_from_slice(&name.as_bytes()[..kept]);
    // SAFETY: the call reads a NUL-terminated text and changes the calling thread
    // alone.
    unsafe { libc::prctl(libc::PR_SET_NAME, bytes.as_ptr(), 0, 0, 0) };
}

/// Adds what a thread may have met: its maker's policy, or limits.
fn refused(error: io::Error) -> io::Error {
    // SAFETY: the call asks for the calling thread's policy.
    let policy = unsafe { libc::sched_getscheduler(0) };
    if policy == libc::SCHED_DEADLINE {
        return io::Error::new(
            error.kind(),
            format!(
                "{error} (a SCHED_DEADLINE thread may make none: make the handle on another thread, or \
                 set SCHED_FLAG_RESET_ON_FORK)"
            ),
        );
    }
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
        // SAFETY: `before` was filled in by `new` on this same thread, which the
        // guard never leaves.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests;
