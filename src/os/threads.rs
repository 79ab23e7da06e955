//! Threads that are good guests in the host's process.

use std::io;
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle};

use serde::{Deserialize, Serialize};

/// How the kernel schedules a lane, whatever the thread that made it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// `SCHED_OTHER` at nice 0, or the nearest that this process may have.
    #[default]
    Ordinary,
    /// `SCHED_FIFO` at its lowest priority: before all ordinary threads of its core.
    /// A lane that spins never lets another one run there, and the kernel takes the
    /// core away for 50 ms of each second unless it is told not to
    /// (`kernel.sched_rt_runtime_us`). Needs `CAP_SYS_NICE` or `RLIMIT_RTPRIO`.
    Fifo,
    /// That of the thread that makes the handle.
    Inherit,
}

/// Gives the calling thread, one of this library's own, a policy.
///
/// # Errors
///
/// A sentence that says what was refused and what it takes.
pub(crate) fn adopt(policy: Policy) -> Result<(), String> {
    const USUAL_SLACK_NS: libc::c_int = 50_000;
    let (class, priority) = match policy {
        Policy::Inherit => return Ok(()),
        Policy::Ordinary => (libc::SCHED_OTHER, 0),
        Policy::Fifo => (libc::SCHED_FIFO, 1),
    };
    // SAFETY: the struct is plain data, for which all zeros is valid; the calls
    // read it and change the calling thread alone.
    let refusal = unsafe {
        let mut of_class: libc::sched_param = MaybeUninit::zeroed().assume_init();
        of_class.sched_priority = priority;
        let done = libc::sched_setscheduler(0, class, &of_class) == 0;
        let refusal = (!done).then(io::Error::last_os_error);
        // Refused where the maker's was worse and may not be improved.
        libc::setpriority(libc::PRIO_PROCESS, 0, 0);
        // None is what a thread of a real-time maker is left with.
        let slack = libc::prctl(libc::PR_GET_TIMERSLACK);
        if class == libc::SCHED_OTHER && !(1..=USUAL_SLACK_NS).contains(&slack) {
            libc::prctl(libc::PR_SET_TIMERSLACK, USUAL_SLACK_NS as libc::c_ulong);
        }
        refusal
    };
    let Some(error) = refusal else {
        return Ok(());
    };
    // Whoever is ordinary already may be in a sandbox that forbids to say so.
    // SAFETY: the call asks for the calling thread's policy.
    if unsafe { libc::sched_getscheduler(0) } == class {
        return Ok(());
    }
    Err(match policy {
        Policy::Fifo => format!(
            "policy: fifo was refused: {error}; expected CAP_SYS_NICE or RLIMIT_RTPRIO of 1 or more, \
             or policy ordinary"
        ),
        _ => format!("policy: the kernel refused to make a lane an ordinary thread: {error}"),
    })
}

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
