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
    let lock = BiasedLock::new();
    for _ in 0..2 {
        assert!(lock.is_empty());
        let outer = lock.enter(ME, ends).unwrap();
        assert!(!outer.is_nested() && lock.runs(ME) && !lock.runs(YOU));
        assert_eq!(lock.enter(ME, ends).unwrap_err(), Taken);
        let calling = outer.call_back();
        assert!(!lock.runs(ME) && !lock.is_empty());
        assert!(lock.enter(ME, ends).unwrap().is_nested());
        assert_eq!(lock.enter(YOU, ends).unwrap_err(), Taken);
        assert!(lock.enter(ME, ends).is_ok());
        drop(calling);
        assert_eq!(lock.enter(ME, ends).unwrap_err(), Taken);
        drop(outer);
        lock.share();
    }
}

/// The test runs while another thread holds the claim, so entering uses only plain stores.
#[test]
fn whoever_was_inside_last_needs_no_claim_and_is_as_much_inside() {
    // After the last of these counts the lock is shared.
    for owned_before in [0, 1, 2, ROUNDS as u64] {
        let lock = BiasedLock::new();
        for turn in 1..=owned_before {
            drop(lock.enter(YOU + 64 * turn, ends).unwrap());
        }
        drop(lock.enter(ME, ends).unwrap());
        let _claim = Claim::new(&lock.claim).unwrap();
        let outer = lock.enter(ME, ends).unwrap();
        assert!(lock.runs(ME) && !outer.is_nested());
        assert_eq!(lock.enter(ME, ends).unwrap_err(), Taken);
        let calling = outer.call_back();
        let inner = lock.enter(ME, ends).unwrap();
        assert!(lock.runs(ME) && inner.is_nested());
        assert_eq!(lock.enter(ME, ends).unwrap_err(), Taken);
        drop(inner);
        assert!(!lock.runs(ME));
        drop(calling);
        assert!(lock.runs(ME));
    }
}

/// This happens when a claim is abandoned while the owner waits for it.
#[test]
fn an_owner_that_comes_by_the_slow_way_stays_the_owner() {
    let lock = BiasedLock::new();
    drop(lock.enter(YOU, ends).unwrap());
    let outer = lock.enter(ME, ends).unwrap();
    let owner = lock.owner.load(Ordering::Relaxed);
    assert_eq!(lock.enter_slowly(ME, ends).unwrap_err(), Taken);
    let calling = outer.call_back();
    let inner = lock.enter_slowly(ME, ends).unwrap();
    assert!(inner.is_nested() && lock.runs(ME));
    drop(inner);
    drop(calling);
    drop(outer);
    assert!(!lock.enter_slowly(ME, ends).unwrap().is_nested());
    assert_eq!(lock.owner.load(Ordering::Relaxed), owner);
    assert!(lock.is_empty());
}

#[test]
fn a_lock_changes_hands_without_end_and_is_shared_in_the_end() {
    assert!(membarrier::available(), "the kernel has no membarrier");
    assert_eq!(ROUNDS, 64);
    let lock = BiasedLock::new();
    for turn in 0..3 * ROUNDS as u64 {
        let entered = lock.enter(ME + 64 * turn, ends).unwrap();
        assert_eq!(lock.enter(YOU << 20, ends).unwrap_err(), Taken);
        let calling = entered.call_back();
        assert!(lock.enter(ME + 64 * turn, ends).unwrap().is_nested());
        drop(calling);
        drop(entered);
        assert!(lock.is_empty());
        assert_eq!(lock.is_shared(), turn >= ROUNDS as u64);
    }
}

#[test]
fn a_lock_that_is_shared_from_the_start_works_alike() {
    let lock = BiasedLock::new();
    lock.share();
    assert!(lock.is_shared());
    let entered = lock.enter(ME, ends).unwrap();
    assert!(lock.runs(ME));
    assert_eq!(lock.enter(ME, ends).unwrap_err(), Taken);
    assert_eq!(lock.enter(YOU, ends).unwrap_err(), Taken);
    drop(entered);
    assert!(lock.enter(YOU, ends).is_ok());
}

fn ends_not() -> bool {
    false
}

fn must_not_be_asked() -> bool {
    unreachable!("it owns the lock without having claimed it")
}

#[test]
fn a_name_that_is_given_up_is_asked_for_its_end_again() {
    let lock = BiasedLock::new();
    for round in 0..3 {
        assert!(lock.enter(ME, ends).is_ok());
        assert!(lock.enter(ME, must_not_be_asked).is_ok());
        lock.give_up(YOU);
        assert!(lock.enter(ME, must_not_be_asked).is_ok());
        lock.give_up(ME);
        assert!(lock.is_empty() && !lock.is_shared() && !lock.runs(ME));
        // A later thread of the same name enters, then one of another name, in the same round.
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            drop(lock.enter(ME, must_not_be_asked));
        }));
        assert!(asked.is_err());
        assert_eq!(round_of(&lock), round);
        let other = YOU + 64 * round as u64;
        assert!(lock.enter(other, ends).is_ok());
        assert_eq!(round_of(&lock), round);
    }
}

fn round_of(lock: &BiasedLock) -> usize {
    round(lock.owner.load(SeqCst))
}

#[test]
fn a_name_is_given_up_under_a_claim_too() {
    assert!(membarrier::available(), "the kernel has no membarrier");
    let lock = BiasedLock::new();
    let entered = lock.enter(ME, ends).unwrap();
    lock.owner.fetch_or(CLAIMED, SeqCst);
    assert!(lock.runs(ME) && !lock.is_empty());
    drop(entered);
    lock.give_up(ME);
    assert_eq!(lock.owner.load(SeqCst), NOBODY | CLAIMED);
    // The refused claim does the same.
    lock.owner.fetch_and(!CLAIMED, SeqCst);
    assert!(lock.enter(YOU, ends).is_ok());
}

#[test]
fn whoever_ends_inside_is_never_mistaken_for_another() {
    for shared in [false, true] {
        let lock = BiasedLock::new();
        if shared {
            lock.share();
        }
        let entered = lock.enter(ME, ends).unwrap();
        std::mem::forget(entered.call_back());
        std::mem::forget(entered);
        assert!(lock.enter(ME, ends).unwrap().is_nested());
        lock.give_up(ME);
        for name in [ME, YOU] {
            assert_eq!(lock.enter(name, ends).unwrap_err(), Taken);
        }
        assert!(!lock.is_empty());
    }
}

#[test]
fn a_thread_that_cannot_promise_its_end_owns_no_lock() {
    for first in [true, false] {
        let lock = BiasedLock::new();
        if first {
            assert!(lock.enter(YOU, ends).is_ok());
        }
        let entered = lock.enter(ME, ends_not).unwrap();
        assert!(lock.is_shared());
        assert_eq!(lock.enter(YOU, ends).unwrap_err(), Taken);
        drop(entered);
        assert!(lock.enter(YOU, ends).is_ok());
    }
}

#[test]
fn in_the_child_of_a_fork_other_names_are_forgotten() {
    let lock = BiasedLock::new();
    assert!(lock.enter(ME, ends).is_ok());
    lock.forget_all_but(ME);
    assert!(lock.enter(ME, must_not_be_asked).is_ok());
    lock.forget_all_but(YOU);
    assert_eq!(lock.owner.load(SeqCst), NOBODY);
    lock.share();
    lock.forget_all_but(YOU);
    assert!(lock.is_shared());
}

#[test]
fn a_lock_is_shared_only_while_nobody_is_inside() {
    let lock = BiasedLock::new();
    let entered = lock.enter(ME, ends).unwrap();
    lock.share();
    assert!(!lock.is_shared());
    drop(entered);
    lock.share();
    assert!(lock.is_shared() && lock.is_empty());
}

#[test]
fn an_unwinding_call_leaves() {
    let lock = BiasedLock::new();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let outer = lock.enter(ME, ends).unwrap();
        let _calling = outer.call_back();
        panic!("on purpose");
    }));
    assert!(result.is_err());
    assert!(lock.is_empty());
    assert!(!lock.enter(ME, ends).unwrap().is_nested());
}

/// With real threads and the kernel's barrier: never two inside, and both get in.
#[test]
fn threads_that_fight_are_never_both_inside() {
    assert!(membarrier::available(), "the kernel has no membarrier");
    for _ in 0..50 {
        let lock = BiasedLock::new();
        let inside = AtomicBool::new(false);
        let entries = [AtomicUsize::new(0), AtomicUsize::new(0)];
        thread::scope(|scope| {
            for (index, me) in [ME, YOU].into_iter().enumerate() {
                let (lock, inside, entries) = (&lock, &inside, &entries);
                scope.spawn(move || {
                    while entries[index].load(SeqCst) < 500 {
                        let Ok(_entered) = lock.enter(me, ends) else {
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
