//! Which threads of the process are ours. It tells whether the host has any thread left.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::os::machine::{self, KernelThreads};
use crate::os::this_thread;

/// How the names of our threads begin.
const PREFIX: &str = "signal-";

/// A thread that finds no room counts as one of the host's.
const ROOM: usize = 4096;

/// The kernel's IDs of our threads; 0 is free.
static OURS: [AtomicU32; ROOM] = [const { AtomicU32::new(0) }; ROOM];

/// The calling thread, one of ours; it leaves the roster when this is dropped.
pub(super) struct Entry(Option<&'static AtomicU32>);

pub(super) fn enter() -> Entry {
    Entry(take_place(this_thread::id()))
}

fn take_place(id: u32) -> Option<&'static AtomicU32> {
    OURS.iter().find(|place| {
        place
            .compare_exchange(0, id, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    })
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let Some(place) = self.0 {
            place.store(0, Ordering::Relaxed);
        }
    }
}

/// Called in the child of a fork, which has none of them.
pub(crate) fn leave_to_parent() {
    for place in &OURS {
        place.store(0, Ordering::Relaxed);
    }
}

/// Whether there is a thread of ours other than the calling one.
pub(crate) fn has_others() -> bool {
    let me = this_thread::id();
    ids().any(|id| id != me)
}

/// Whether all threads of the host have ended. False if that is not known. The host then has no
/// way to make another thread.
///
/// Threads are counted, not listed: the kernel's list leaves out threads that live while others end.
pub(crate) fn host_has_ended() -> bool {
    // First, because in most processes it is the whole answer.
    machine::first_thread_has_ended() && are_alone(Others::now, machine::threads_at_once)
}

/// Threads of this process that are none of the host's.
#[derive(Debug, PartialEq)]
struct Others {
    ours: usize,
    kernels: KernelThreads,
}

impl Others {
    fn now() -> Self {
        Self {
            ours: ours_alive(),
            kernels: KernelThreads::now(),
        }
    }
}

/// Whether a process whose first thread has ended has no threads but that one, which stays until
/// the process ends, and `others`.
fn are_alone(others: impl Fn() -> Others, all: impl Fn() -> Option<usize>) -> bool {
    // Those that live before and after have lived while all threads were counted.
    let before = others();
    all() == Some(before.ours + before.kernels.count() + 1) && others() == before
}

/// Number of our threads. One that was ended from outside leaves the roster here.
fn ours_alive() -> usize {
    for place in &OURS {
        let id = place.load(Ordering::Relaxed);
        // The kernel may have given the number to a thread of the host's, which has another name.
        let is_none =
            || !this_thread::is_alive(id) || machine::thread_is_named(id, PREFIX) == Some(false);
        if id != 0 && is_none() {
            // Unless it has just left by itself, and another one is there now.
            let _ = place.compare_exchange(id, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
    ids().count()
}

fn ids() -> impl Iterator<Item = u32> {
    let ids = OURS.iter().map(|place| place.load(Ordering::Relaxed));
    ids.filter(|&id| id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::threads::{Wanted, spawn};

    #[test]
    fn a_thread_of_ours_is_there_until_it_ends() {
        let thread = spawn(Wanted::brief("signal-test"), this_thread::id).unwrap();
        let id = thread.join().unwrap();
        assert!(!ids().any(|other| other == id));
        let is_there = || {
            let me = this_thread::id();
            ids().any(|id| id == me)
        };
        let thread = spawn(Wanted::brief("signal-test"), is_there).unwrap();
        assert!(thread.join().unwrap());
        assert!(!is_there());
    }

    #[test]
    fn a_process_with_threads_of_its_own_has_not_ended() {
        assert!(!host_has_ended());
    }

    #[test]
    fn we_are_alone_if_the_first_thread_is_all_that_is_counted_besides_ours_and_the_kernels() {
        use std::cell::Cell;
        for (ours, kernels, all, expected) in [
            ([3, 3], [0, 0], Some(4), true),
            ([3, 3], [0, 0], Some(5), false),
            ([3, 3], [0, 0], Some(3), false),
            // One of ours has ended or begun meanwhile.
            ([3, 2], [0, 0], Some(4), false),
            ([3, 4], [0, 0], Some(4), false),
            ([3, 3], [0, 0], None, false),
            // One of the kernel's, which another one replaces.
            ([3, 3], [7, 7], Some(5), true),
            ([3, 3], [7, 7], Some(6), false),
            ([3, 3], [7, 8], Some(5), false),
        ] {
            let asked = Cell::new(0);
            let next = || {
                asked.set(asked.get() + 1);
                let now = asked.get() - 1;
                let mut found = KernelThreads::NONE;
                if kernels[now] != 0 {
                    found.add(kernels[now]);
                }
                Others {
                    ours: ours[now],
                    kernels: found,
                }
            };
            let said = are_alone(next, || all);
            assert_eq!(said, expected, "{ours:?} and {kernels:?} of {all:?}");
        }
    }

    #[test]
    fn a_thread_that_is_gone_leaves_the_roster() {
        // No kernel gives this number.
        const GONE: u32 = i32::MAX as u32;
        assert!(take_place(GONE).is_some() && ids().any(|id| id == GONE));
        ours_alive();
        assert!(!ids().any(|id| id == GONE));
    }

    #[test]
    fn a_thread_of_the_host_that_got_our_number_is_none_of_ours() {
        let (give, id) = std::sync::mpsc::channel();
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let host = std::thread::Builder::new().name("strategy".to_owned());
        let host = host.spawn(move || {
            give.send(this_thread::id()).unwrap();
            let _ = wait.recv();
        });
        let id = id.recv().unwrap();
        assert!(take_place(id).is_some());
        ours_alive();
        assert!(!ids().any(|other| other == id));
        drop(go);
        host.unwrap().join().unwrap();
    }
}
