//! Room for texts that are written without allocating, one for each thread that asked.
//!
//! It is not in thread-local storage: glibc allocates that of a library at a thread's first access,
//! and the thread may be in a signal handler that has interrupted `malloc`.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::os::this_thread;

/// Maximum number of threads that have a text at once.
const THREADS: usize = 64;
/// What a further thread is told instead.
pub(super) const NO_ROOM: &CStr =
    c"there is no room for the reason: 64 other threads have a text already; expected a call from one of those, or that one of them ends";
const _: () = assert!(THREADS == 64, "the text says 64");
/// Bytes of a text, including the NUL.
pub(super) const LEN: usize = 4096;

/// One thread's room. Other threads read it only by mistake, and then see arbitrary bytes.
pub(super) struct Room {
    /// The kernel's ID of the thread; 0 for none.
    owner: AtomicU32,
    pub(super) bytes: [AtomicU8; LEN],
}

static ROOMS: [Room; THREADS] = [const {
    Room {
        owner: AtomicU32::new(0),
        bytes: [const { AtomicU8::new(0) }; LEN],
    }
}; THREADS];

/// The calling thread's room; `None` if living threads own all of them.
pub(super) fn of_this_thread() -> Option<&'static Room> {
    room_of(this_thread::id(), &ROOMS, this_thread::is_alive)
}

fn room_of(me: u32, rooms: &[Room], is_alive: impl Fn(u32) -> bool) -> Option<&Room> {
    let owned = |room: &&Room| room.owner.load(Ordering::Relaxed) == me;
    let claim = |room: &&Room| {
        let owner = room.owner.load(Ordering::Relaxed);
        (owner == 0 || !is_alive(owner))
            && room
                .owner
                .compare_exchange(owner, me, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    };
    let mut all = rooms.iter();
    all.clone().find(owned).or_else(|| all.find(claim))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(count: usize) -> Vec<Room> {
        let room = |_| Room {
            owner: AtomicU32::new(0),
            bytes: [const { AtomicU8::new(0) }; LEN],
        };
        (0..count).map(room).collect()
    }

    #[test]
    fn each_thread_keeps_its_room_and_a_dead_ones_is_taken() {
        let rooms = rooms(2);
        let find = |me, dead: u32| {
            let found = room_of(me, &rooms, |thread| thread != dead);
            found.map(|found| rooms.iter().position(|room| std::ptr::eq(room, found)))
        };
        assert_eq!(find(7, 0), Some(Some(0)));
        assert_eq!(find(8, 0), Some(Some(1)));
        assert_eq!(find(7, 0), Some(Some(0)));
        assert_eq!(find(9, 0), None);
        assert_eq!(find(9, 7), Some(Some(0)));
        assert_eq!(find(9, 0), Some(Some(0)));
        assert_eq!(find(7, 0), None);
    }
}
