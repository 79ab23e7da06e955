//! Which threads of the process are ours. It tells whether the host has any thread left.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::os::machine;
use crate::os::this_thread;

/// A thread that finds no room counts as one of the host's.
const ROOM: usize = 4096;

/// The kernel's IDs of our threads; 0 is free.
static OURS: [AtomicU32; ROOM] = [const { AtomicU32::new(0) }; ROOM];

/// The calling thread, one of ours; it leaves the roster when this is dropped.
pub(super) struct Entry(Option<&'static AtomicU32>);

pub(super) fn enter() -> Entry {
    let me = this_thread::id();
    let mut free = OURS.iter();
    Entry(free.find(|place| {
        place
            .compare_exchange(0, me, Ordering::Relaxed, Ordering::Relaxed)
            .is_ok()
    }))
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

/// Whether all threads of the process but ours have ended. False if that is not known. The host
/// then has no way to make another thread.
pub(crate) fn host_has_ended() -> bool {
    // First, because in most processes it is the whole answer.
    if !machine::first_thread_has_ended() {
        return false;
    }
    let mut is_ours_alone = true;
    let looked = machine::each_thread(|thread| {
        is_ours_alone &= thread.has_ended || ids().any(|id| id == thread.id);
    });
    looked.is_ok() && is_ours_alone
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
}
