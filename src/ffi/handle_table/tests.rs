use std::thread;

use super::*;

/// A slot for this test only: no other test creates that many handles.
const LAST: usize = SLOTS - 1;

#[test]
fn the_name_of_a_thread_ends_with_it() {
    USED.fetch_max(SLOTS, Ordering::Relaxed);
    let lock = &entrance::all()[LAST].lock;
    for _ in 0..3 {
        let name = thread::spawn(|| {
            let me = this_thread::name();
            for _ in 0..2 {
                assert!(lock.enter(me, name_ends_with_the_thread).is_ok());
            }
            assert!(lock.is_owned_by(me));
            me
        });
        let name = name.join().unwrap();
        assert!(!lock.is_owned_by(name) && lock.is_empty() && !lock.is_shared());
    }
}

#[test]
fn a_slot_whose_cursors_are_held_is_not_given_out_again() {
    let first = Reserved::new().unwrap();
    let place = first.index;
    drop(first.cursors());
    drop(first);
    let second = Reserved::new().unwrap();
    assert_eq!(second.index, place, "nobody holds its cursors");
    // The sender of a lane that never returns holds the ring like this.
    let held = second.cursors().ring().published;
    drop(second);
    let third = Reserved::new().unwrap();
    assert_ne!(third.index, place);
    held.store(7, Ordering::Relaxed);
    assert_eq!(TABLE[place].state.load(Ordering::Relaxed), BURIED);
}

/// The panic hook uses this, so that panics on a host's own threads stay visible.
#[test]
fn a_thread_is_inside_while_it_is_in_a_lock() {
    let reserved = Reserved::new().unwrap();
    assert!(!this_thread_is_inside());
    let lock = &entrance::all()[reserved.index].lock;
    let entered = lock.enter(this_thread::name(), name_ends_with_the_thread);
    assert!(entered.is_ok() && this_thread_is_inside());
    drop(entered);
    assert!(!this_thread_is_inside());
}

#[test]
fn a_token_says_that_it_is_ours_and_counts_its_slots_handles() {
    let part = |token: u64, shift: u32, bits: u32| (token >> shift) & ((1 << bits) - 1);
    for index in [0, 1, LAST] {
        for generation in [0, 1, (1 << GENERATION_BITS) - 1, u32::MAX - 1] {
            let (one, next) = (token(index, generation), token(index, generation + 1));
            for token in [one, next] {
                assert_eq!(token >> (64 - 12), TAG);
                assert_eq!(part(token, 0, SLOT_BITS), index as u64);
            }
            let copy = SLOT_BITS + GENERATION_BITS;
            assert_eq!(part(one, copy, COPY_BITS), part(next, copy, COPY_BITS));
            let counted = part(one, SLOT_BITS, GENERATION_BITS) + 1;
            let counted = counted % (1 << GENERATION_BITS);
            assert_eq!(part(next, SLOT_BITS, GENERATION_BITS), counted);
        }
    }
}

/// A signal handler makes a child at any moment: there the handle is its parent's, and gone.
#[test]
fn a_handle_that_is_gone_while_it_is_destroyed_is_left_alone() {
    let reserved = Reserved::new().unwrap();
    let entrance = &entrance::all()[reserved.index];
    let Ok(entered) = entrance
        .lock
        .enter(this_thread::name(), name_ends_with_the_thread)
    else {
        panic!("the slot's lock is taken");
    };
    let inside = Inside {
        handle: NonNull::dangling(),
        entrance,
        token: token(reserved.index, 0),
        entered,
        freed: Freed::default(),
    };
    inside.destroy_inside();
    drop(inside);
    assert_eq!(reserved.slot.state.load(Ordering::Relaxed), MAKING);
}
