//! The only place that creates threads. They run in a host that we did not write, so of the settings
//! of the thread that happened to create them they keep only the permission to read the TSC and, with
//! the scheduler `inherit`, the scheduling.
//!
//! | file | what |
//! |---|---|
//! | `start` | creates a thread, waits for it with a limit, joins it |
//! | `life` | whether a thread was ended from outside |
//! | `handover` | what a thread gets after it has started |
//! | `policy` | scheduling, nice, timer slack |
//! | `slice` | for how long the kernel lets an ordinary thread run at once |
//! | `roster` | which threads of the process are ours |
//! | `throttle` | what the kernel does with a real-time thread that never sleeps |
//! | `storage` | destroys thread-local values without the loader's lock |
//!
//! These are not the standard library's threads: those take their stack size from the process'
//! `RUST_MIN_STACK`, and cannot report failures before they run.

use std::io;
use std::mem::MaybeUninit;

use super::resources::limit;
use super::{cancellation, cores, float, machine};

pub(crate) mod handover;
mod life;
mod policy;
pub(crate) mod roster;
mod slice;
mod start;
#[cfg(all(target_os = "linux", target_env = "gnu", target_arch = "x86_64"))]
mod storage;
mod throttle;

pub(crate) use life::{CUT_SHORT, Life};
#[cfg(test)]
pub(crate) use policy::nice_of;
pub use policy::{Scheduler, Scheduling};
pub(crate) use start::{Thread, spawn, stack_bytes};

/// How a thread should be set up.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// At most 15 bytes; the kernel cuts the rest off.
    name: String,
    /// Its name in messages.
    called: String,
    schedule: Schedule,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Schedule {
    As(Scheduling),
    Aside,
}

#[derive(Clone, Debug)]
enum Place {
    /// Pinned to this core.
    Core(usize),
    /// On any of these cores, as far as the kernel allows.
    Among(Vec<usize>),
    /// On any core that the process may use.
    Anywhere,
}

impl Wanted {
    /// A lane, pinned to `core` or on any core.
    pub(crate) fn lane(index: usize, core: Option<usize>, scheduling: Scheduling) -> Self {
        Self {
            name: format!("{}{index}", cores::LANE_NAME),
            called: format!("lane {index}"),
            schedule: Schedule::As(scheduling),
            place: core.map_or(Place::Anywhere, Place::Core),
        }
    }

    /// A thread that must not disturb others: on these cores, with the lowest priority from
    /// [`Thread::give_way`] on. Before, somebody waits for it, perhaps beside busy threads: it has
    /// the nice value of the thread that makes it.
    pub(crate) fn aside(name: &str, called: &str, cores: Vec<usize>) -> Self {
        Self {
            name: name.to_owned(),
            called: called.to_owned(),
            schedule: Schedule::Aside,
            place: Place::Among(cores),
        }
    }

    /// A thread that ends at once.
    pub(crate) fn brief(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            called: format!("the thread {name}"),
            // As its creator: its work takes almost no time.
            schedule: Schedule::As(Scheduling {
                scheduler: Scheduler::Inherit,
                nice: 0,
                slice_us: None,
            }),
            place: Place::Anywhere,
        }
    }
}

/// The first thing that every thread of ours does.
fn first_of_all() {
    // Leaked, so that it lasts for the thread's life.
    std::mem::forget(float::set_default());
    cancellation::disable();
    std::mem::forget(AllSignalsBlocked::new());
}

/// Sets up the calling thread, one of this library's own, as wanted.
fn become_wanted(wanted: &Wanted) -> Result<(), String> {
    set_name(&wanted.name);
    match &wanted.place {
        Place::Core(core) => cores::pin(*core)?,
        Place::Among(among) => cores::stay_among(among),
        // As far as possible: the creating thread may have been pinned.
        Place::Anywhere => drop(cores::widen_own_mask()),
    }
    match wanted.schedule {
        Schedule::As(scheduling) => policy::adopt(scheduling),
        Schedule::Aside => {
            policy::become_ordinary();
            Ok(())
        }
    }
}

fn set_name(name: &str) {
    let mut bytes = [0u8; 16];
    let kept = name.len().min(bytes.len() - 1);
    bytes[..kept].copy_from_slice(&name.as_bytes()[..kept]);
    // SAFETY: the call reads a NUL-terminated text and changes only the calling thread.
    unsafe { libc::prctl(libc::PR_SET_NAME, bytes.as_ptr(), 0, 0, 0) };
}

/// Adds what may have caused the error: its maker's policy, or limits.
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
    if error.raw_os_error() == Some(libc::EINVAL) && machine::children_are_elsewhere() {
        return io::Error::new(
            error.kind(),
            format!(
                "{error} (what this thread starts is to have another PID or time namespace, after unshare \
                 or setns, and then it may start no thread: make the handle before that, or in a child \
                 process)"
            ),
        );
    }
    let mut limits: Vec<_> = [
        ("RLIMIT_NPROC", libc::RLIMIT_NPROC),
        ("RLIMIT_AS", libc::RLIMIT_AS),
    ]
    .into_iter()
    .filter_map(|(name, resource)| Some(format!("{name} is {}", limit(resource)?)))
    .collect();
    limits.push("a control group may have a limit, pids.max".into());
    io::Error::new(error.kind(), format!("{error} ({})", limits.join(", ")))
}

/// Signals that the kernel sends to a thread for what this thread has just done. It ends the
/// process if the thread blocks them. A sandbox answers system calls from a handler of SIGSYS, and
/// a host may report crashes from one of the others.
const OF_THE_THREAD_ITSELF: [libc::c_int; 6] = [
    libc::SIGSYS,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
];

/// Lets the calling thread, one of ours, take every signal: it is about to run code of the host's.
pub(crate) fn unblock_signals() {
    let mut none = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: the set is valid for writing and sigemptyset initialises it; pthread_sigmask with a
    // valid `how` cannot fail.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

/// Blocks all signals of the calling thread, but for those of the thread itself, until it is
/// dropped. What the thread has blocked before stays blocked: such a signal may be pending.
struct AllSignalsBlocked {
    before: libc::sigset_t,
}

impl AllSignalsBlocked {
    fn new() -> Self {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: both sets are valid for writing; sigfillset initialises
        // `all`, the signals exist, and pthread_sigmask with a valid `how` cannot
        // fail and initialises `before`.
        let before = unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for signal in OF_THE_THREAD_ITSELF {
                libc::sigdelset(all.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), before.as_mut_ptr());
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
