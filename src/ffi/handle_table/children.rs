//! What a child of the process does with the handles that it has of its parent.

use std::sync::atomic::Ordering;

use super::{BURIED, FREE, LIVE, latest_token, used_slots};
use super::{entrance, this_thread};

/// Before this thread forks: notes which locks it is not in.
pub(in crate::ffi) fn note_empty_locks() {
    for (slot, entrance) in used_slots() {
        let is_empty = entrance.lock.is_empty();
        slot.was_empty.store(is_empty, Ordering::Relaxed);
    }
}

/// In a child of the process: every handle is its parent's, and refused. `are_noted`: the thread that
/// made the child has called [`note_empty_locks`] before.
pub(in crate::ffi) fn leave_to_parent(are_noted: bool) {
    let emptied = entrance::emptied_in_children() == Some(true);
    for (index, (slot, entrance)) in used_slots().enumerate() {
        let state = slot.state.load(Ordering::Relaxed);
        if state == BURIED {
            continue;
        }
        let (token, is_empty);
        if emptied {
            token = match state {
                LIVE => latest_token(index, slot),
                _ => 0,
            };
            is_empty = are_noted && slot.was_empty.load(Ordering::Relaxed);
        } else {
            token = entrance.token.take_down();
            is_empty = entrance.lock.is_empty();
            entrance.lock.forget_all_but(this_thread::name());
        }
        if state != FREE {
            slot.leave_to_parent(token, is_empty);
        } else if !emptied && !is_empty {
            // A call with a dead handle may have been entering, and counts in the lock.
            slot.state.store(BURIED, Ordering::Relaxed);
        }
    }
}
