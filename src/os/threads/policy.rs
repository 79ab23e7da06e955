//! How the kernel schedules a thread of ours, independent of the thread that created it.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

use crate::os::memory;
use crate::os::stderr::say;

/// How the kernel schedules a lane, whatever the policy of the thread that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// `SCHED_OTHER` at nice 0, or at the closest nice value that this process may have.
    #[default]
    Ordinary,
    /// `SCHED_FIFO` at its lowest priority: before all ordinary threads of its core.
    /// A lane that spins never lets another one run there, and the kernel takes the
    /// core away for 50 ms of each second unless it is told not to
    /// (`kernel.sched_rt_runtime_us`). Needs `CAP_SYS_NICE` or `RLIMIT_RTPRIO`,
    /// and no `RLIMIT_RTTIME`.
    Fifo,
    /// The policy of the thread that makes the handle.
    Inherit,
}

/// The nice value with the lowest priority.
const LOWEST: libc::c_int = 19;

/// Sets the scheduling policy of the calling thread, one of this library's own.
///
/// # Errors
///
/// A sentence that says what was refused and what it requires.
pub(super) fn adopt(policy: Policy) -> Result<(), String> {
    let (class, priority) = match policy {
        Policy::Inherit => return check_limit(),
        Policy::Ordinary => (libc::SCHED_OTHER, 0),
        Policy::Fifo => (libc::SCHED_FIFO, 1),
    };
    let refusal = schedule(class, priority);
    usual_slack();
    let nice = set_nice(0);
    if class == libc::SCHED_OTHER && nice > 0 {
        say_once_that_lanes_are_nice(nice);
    }
    let Err(error) = refusal else {
        return check_limit();
    };
    // A thread that already has this policy may be in a sandbox that forbids setting it.
    // SAFETY: the call reads the calling thread's policy.
    if unsafe { libc::sched_getscheduler(0) } == class {
        return check_limit();
    }
    Err(match policy {
        Policy::Fifo => format!(
            "policy: fifo was refused: {error}; expected CAP_SYS_NICE or RLIMIT_RTPRIO of 1 or more, \
             or policy ordinary"
        ),
        _ => format!("policy: the kernel refused to make a lane an ordinary thread: {error}"),
    })
}

/// Refuses a real-time lane where the kernel ends the process once such a thread has run for some
/// time without sleeping: a lane may never sleep.
fn check_limit() -> Result<(), String> {
    // SAFETY: the call reads the calling thread's policy.
    let class = unsafe { libc::sched_getscheduler(0) } & !libc::SCHED_RESET_ON_FORK;
    if ![libc::SCHED_FIFO, libc::SCHED_RR].contains(&class) {
        return Ok(());
    }
    memory::limit(libc::RLIMIT_RTTIME).map_or(Ok(()), |us| {
        Err(format!(
            "policy: the kernel ends this process when a real-time thread has run for {us} us \
             without sleeping (RLIMIT_RTTIME), as lanes do; expected that limit to be unlimited, \
             or policy ordinary"
        ))
    })
}

/// Makes the calling thread, one of this library's own, give way to all others. A refusal by the
/// kernel is ignored: the thread also works without.
pub(super) fn give_way() {
    let _ = schedule(libc::SCHED_OTHER, 0);
    usual_slack();
    set_nice(LOWEST);
}

/// A thread sleeps longer by its timer slack, which its creator may have set to a long time. 0
/// would mean the creator's. Real-time threads have no slack, and cannot be given one.
fn usual_slack() {
    const USUAL_NS: libc::c_ulong = 50_000;
    // SAFETY: the call changes only the calling thread.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, USUAL_NS, 0, 0, 0) };
}

fn schedule(class: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // SAFETY: the struct is plain data, for which all zeros is valid; the call reads it and changes
    // only the calling thread.
    let done = unsafe {
        let mut of_class: libc::sched_param = MaybeUninit::zeroed().assume_init();
        of_class.sched_priority = priority;
        libc::sched_setscheduler(0, class, &of_class) == 0
    };
    match done {
        true => Ok(()),
        false => Err(io::Error::last_os_error()),
    }
}

/// Sets the calling thread's nice value, unless its creator's was higher and may not be lowered;
/// returns the value that it then has.
fn set_nice(nice: libc::c_int) -> libc::c_int {
    // SAFETY: the calls change and read only the calling thread.
    unsafe {
        libc::setpriority(libc::PRIO_PROCESS, 0, nice);
        libc::getpriority(libc::PRIO_PROCESS, 0)
    }
}

fn say_once_that_lanes_are_nice(nice: libc::c_int) {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        say(&format!(
            "lanes run at nice {nice}, like the thread that made them: this process may not lower it; \
             expected signal_create on a thread of nice 0, CAP_SYS_NICE or RLIMIT_NICE of 20 or more"
        ));
    }
}
