//! The timer slack of a thread that sleeps while it waits for another one.
//!
//! The kernel lets each sleep last longer by it. The host, or systemd (`TimerSlackNSec=`), may have
//! set it to seconds, to save power: a wait in steps of 50 us would then take seconds for each step.

use std::marker::PhantomData;

use libc::{c_int, c_ulong};

/// What the kernel gives a thread unless it is told otherwise.
const USUAL_NS: c_ulong = 50_000;

/// While this lives, the calling thread sleeps for as long as it asks for, and little longer; then
/// it has its own slack again. Where a sandbox refuses that, nothing changes.
#[must_use]
pub(crate) struct Punctual {
    before: Option<c_ulong>,
    /// It belongs to the thread that made it.
    _of: PhantomData<*const ()>,
}

impl Punctual {
    pub(crate) fn new() -> Self {
        let long = own().filter(|&slack| slack > USUAL_NS);
        Self {
            before: long.filter(|_| set(USUAL_NS)),
            _of: PhantomData,
        }
    }
}

impl Drop for Punctual {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            set(before);
        }
    }
}

/// Gives the calling thread, one of this library's own, the usual slack: its creator may have had a
/// long one. 0 would mean the creator's. Real-time threads have no slack, and cannot be given one.
pub(crate) fn set_usual() {
    set(USUAL_NS);
}

fn set(ns: c_ulong) -> bool {
    ask(libc::PR_SET_TIMERSLACK, ns) == 0
}

fn own() -> Option<c_ulong> {
    c_ulong::try_from(ask(libc::PR_GET_TIMERSLACK, 0)).ok()
}

/// Not by the C library's `prctl`, which cuts the answer: two seconds do not fit into an `int`.
fn ask(what: c_int, ns: c_ulong) -> libc::c_long {
    // SAFETY: the call takes numbers, touches none of our memory, and asks about or changes only the
    // calling thread.
    unsafe { libc::syscall(libc::SYS_prctl, what, ns, 0, 0, 0) }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_thread_has_its_own_slack_again_however_long() {
        // A thread of its own: others of this program keep what they have.
        std::thread::spawn(|| {
            for slack in [1, USUAL_NS, 200_000_000, 5_000_000_000] {
                assert!(set(slack));
                let punctual = Punctual::new();
                assert_eq!(own(), Some(slack.min(USUAL_NS)));
                // One wait within another.
                drop(Punctual::new());
                assert_eq!(own(), Some(slack.min(USUAL_NS)));
                drop(punctual);
                assert_eq!(own(), Some(slack));
            }
        })
        .join()
        .unwrap();
    }
}
