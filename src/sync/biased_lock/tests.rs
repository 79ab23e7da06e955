use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

use super::*;

const ME: u64 = 0x1000;
const YOU: u64 = 0x2000;

fn ends() -> bool {
    true
}

#[test]
fn the_owner_enters_again_from_callbacks_only() {
    let seat = Seat::new();
    for _ in 0..2 {
        assert!(seat.is_empty());
        let outer = seat.enter(ME, ends).unwrap();
        assert!(!outer.is_nested() && seat.runs(ME) && !seat.runs(YOU));
        assert_eq!(seat.enter(ME, ends).unwrap_err(), Taken);
        let calling = outer.call_back();
        assert!(!seat.runs(ME) && !seat.is_empty());
        assert!(seat.enter(ME, ends).unwrap().is_nested());
        assert_eq!(seat.enter(YOU, ends).unwrap_err(), Taken);
        assert!(seat.enter(ME, ends).is_ok());
        drop(calling);
        assert_eq!(seat.enter(ME, ends).unwrap_err(), Taken);
        drop(outer);
        seat.share();
    }
}

/// While another thread holds the claim, and so by nothing but plain stores.
#[test]
fn whoever_was_inside_last_needs_no_claim_and_is_as_much_inside() {
    // Behind the last of them the seat is shared.
    for owned_before in [0, 1, 2, ROUNDS as u64] {
        let seat = Seat::new();
        for turn in 1..=owned_before {
            drop(seat.enter(YOU + 64 * turn, ends).unwrap());
        }
        drop(seat.enter(ME, ends).unwrap());
        let _claim = Claim::new(&seat.claim).unwrap();
        let outer = seat.enter(ME, ends).unwrap();
        assert!(seat.runs(ME) && !outer.is_nested());
        assert_eq!(seat.enter(ME, ends).unwrap_err(), Taken);
        let calling = outer.call_back();
        let inner = seat.enter(ME, ends).unwrap();
        assert!(seat.runs(ME) && inner.is_nested());
        assert_eq!(seat.enter(ME, ends).unwrap_err(), Taken);
        drop(inner);
        assert!(!seat.runs(ME));
        drop(calling);
        assert!(seat.runs(ME));
    }
}

/// As when a claim was given back while the owner waited for it.
#[test]
fn an_owner_that_comes_by_the_slow_way_stays_the_owner() {
    let seat = Seat::new();
    drop(seat.enter(YOU, ends).unwrap());
    let outer = seat.enter(ME, ends).unwrap();
    let owner = seat.owner.load(Ordering::Relaxed);
    assert_eq!(seat.enter_slowly(ME, ends).unwrap_err(), Taken);
    let calling = outer.call_back();
    let inner = seat.enter_slowly(ME, ends).unwrap();
    assert!(inner.is_nested() && seat.runs(ME));
    drop(inner);
    drop(calling);
    drop(outer);
    assert!(!seat.enter_slowly(ME, ends).unwrap().is_nested());
    assert_eq!(seat.owner.load(Ordering::Relaxed), owner);
    assert!(seat.is_empty());
}

#[test]
fn a_seat_changes_hands_without_end_and_is_shared_in_the_end() {
    assert!(membarrier::available(), "the kernel has no membarrier");
    assert_eq!(ROUNDS, 64);
    let seat = Seat::new();
    for turn in 0..3 * ROUNDS as u64 {
        let entered = seat.enter(ME + 64 * turn, ends).unwrap();
        assert_eq!(seat.enter(YOU << 20, ends).unwrap_err(), Taken);
        let calling = entered.call_back();
        assert!(seat.enter(ME + 64 * turn, ends).unwrap().is_nested());
        drop(calling);
        drop(entered);
        assert!(seat.is_empty());
        assert_eq!(seat.is_shared(), turn >= ROUNDS as u64);
    }
}

#[test]
fn a_seat_that_is_shared_from_the_start_works_alike() {
    let seat = Seat::new();
    seat.share();
    assert!(seat.is_shared());
    let entered = seat.enter(ME, ends).unwrap();
    assert!(seat.runs(ME));
    assert_eq!(seat.enter(ME, ends).unwrap_err(), Taken);
    assert_eq!(seat.enter(YOU, ends).unwrap_err(), Taken);
    drop(entered);
    assert!(seat.enter(YOU, ends).is_ok());
}

fn ends_not() -> bool {
    false
}

fn must_not_be_asked() -> bool {
    unreachable!("it owns the seat without having claimed it")
}

#[test]
fn a_name_that_is_given_up_is_asked_for_its_end_again() {
    let seat = Seat::new();
    for round in 0..3 {
        assert!(seat.enter(ME, ends).is_ok());
        assert!(seat.enter(ME, must_not_be_asked).is_ok());
        seat.give_up(YOU);
        assert!(seat.enter(ME, must_not_be_asked).is_ok());
        seat.give_up(ME);
        assert!(seat.is_empty() && !seat.is_shared() && !seat.runs(ME));
        // The next of that name, then one of another, at the same round.
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(seat.enter(ME, must_not_be_asked));
        }));
        assert!(asked.is_err());
        assert_eq!(round_of(&seat), round);
        let other = YOU + 64 * round as u64;
        assert!(seat.enter(other, ends).is_ok());
        assert_eq!(round_of(&seat), round);
    }
}

fn round_of(seat: &Seat) -> usize {
    round(seat.owner.load(SeqCst))
}

#[test]
fn a_name_is_given_up_under_a_claim_too() {
    assert!(membarrier::available(), "the kernel has no membarrier");
    let seat = Seat::new();
    let entered = seat.enter(ME, ends).unwrap();
    seat.owner.fetch_or(CLAIMED, SeqCst);
    assert!(seat.runs(ME) && !seat.is_empty());
    drop(entered);
    seat.give_up(ME);
    assert_eq!(seat.owner.load(SeqCst), NOBODY | CLAIMED);
    // As the claim does that was refused.
    seat.owner.fetch_and(!CLAIMED, SeqCst);
    assert!(seat.enter(YOU, ends).is_ok());
}

#[test]
fn whoever_ends_inside_is_never_mistaken_for_another() {
    for shared in [false, true] {
        let seat = Seat::new();
        if shared {
            seat.share();
        }
        let entered = seat.enter(ME, ends).unwrap();
        std::mem::forget(entered.call_back());
        std::mem::forget(entered);
        assert!(seat.enter(ME, ends).unwrap().is_nested());
        seat.give_up(ME);
        for name in [ME, YOU] {
            assert_eq!(seat.enter(name, ends).unwrap_err(), Taken);
        }
        assert!(!seat.is_empty());
    }
}

#[test]
fn a_thread_that_cannot_promise_its_end_owns_no_seat() {
    for first in [true, false] {
        let seat = Seat::new();
        if first {
            assert!(seat.enter(YOU, ends).is_ok());
        }
        let entered = seat.enter(ME, ends_not).unwrap();
        assert!(seat.is_shared());
        assert_eq!(seat.enter(YOU, ends).unwrap_err(), Taken);
        drop(entered);
        assert!(seat.enter(YOU, ends).is_ok());
    }
}

#[test]
fn in_the_child_of_a_fork_other_names_are_forgotten() {
    let seat = Seat::new();
    assert!(seat.enter(ME, ends).is_ok());
    seat.forget_all_but(ME);
    assert!(seat.enter(ME, must_not_be_asked).is_ok());
    seat.forget_all_but(YOU);
    assert_eq!(seat.owner.load(SeqCst), NOBODY);
    seat.share();
    seat.forget_all_but(YOU);
    assert!(seat.is_shared());
}

#[test]
fn a_seat_is_shared_only_while_nobody_is_inside() {
    let seat = Seat::new();
    let entered = seat.enter(ME, ends).unwrap();
    seat.share();
    assert!(!seat.is_shared());
    drop(entered);
    seat.share();
    assert!(seat.is_shared() && seat.is_empty());
}

#[test]
fn an_unwinding_call_leaves() {
    let seat = Seat::new();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let outer = seat.enter(ME, ends).unwrap();
        let _calling = outer.call_back();
        panic!("on purpose");
    }));
    assert!(result.is_err());
    assert!(seat.is_empty());
    assert!(!seat.enter(ME, ends).unwrap().is_nested());
}

/// Real threads, the kernel's barrier: never two inside, and both get in.
#[test]
fn threads_that_fight_are_never_both_inside() {
    assert!(membarrier::available(), "the kernel has no membarrier");
    for _ in 0..50 {
        let seat = Seat::new();
        let inside = AtomicBool::new(false);
        let entries = [AtomicUsize::new(0), AtomicUsize::new(0)];
        thread::scope(|scope| {
            for (index, me) in [ME, YOU].into_iter().enumerate() {
                let (seat, inside, entries) = (&seat, &inside, &entries);
                scope.spawn(move || {
                    while entries[index].load(SeqCst) < 500 {
                        let Ok(_entered) = seat.enter(me, ends) else {
                            thread::yield_now();
                            continue;
                        };
                        assert!(!inside.swap(true, SeqCst));
                        entries[index].fetch_add(1, SeqCst);
                        inside.store(false, SeqCst);
                    }
                });
            }
        });
    }
}
