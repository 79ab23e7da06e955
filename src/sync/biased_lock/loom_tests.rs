//! Every order in which threads can meet, within loom's bounds.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

use super::*;

const ME: u64 = 0x1000;
const YOU: u64 = 0x2000;

fn ends() -> bool {
    true
}

/// What the lock guards. Loom fails if two threads touch it at once, or if one touches it
/// without having seen what the other did.
struct Guarded {
    lock: BiasedLock,
    value: UnsafeCell<u32>,
}

// SAFETY: one thread at a time uses `value`; the test checks this.
unsafe impl Sync for Guarded {}

impl Guarded {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            lock: BiasedLock::new(),
            value: UnsafeCell::new(0),
        })
    }

    fn try_use(&self, me: u64) -> bool {
        let Ok(_entered) = self.lock.enter(me, ends) else {
            return false;
        };
        // SAFETY: this thread is inside the lock.
        self.value.with_mut(|value| unsafe { *value += 1 });
        true
    }

    fn uses(&self) -> u32 {
        // SAFETY: all other threads have been joined.
        self.value.with(|value| unsafe { *value })
    }
}

fn check(body: impl Fn() + Sync + Send + 'static) {
    let mut model = loom::model::Builder::new();
    model.preemption_bound = Some(3);
    model.check(body);
}

#[test]
fn loom_an_owner_and_a_thread_that_claims() {
    check(|| {
        let guarded = Guarded::new();
        assert!(guarded.try_use(ME));
        let other = {
            let guarded = guarded.clone();
            thread::spawn(move || u32::from(guarded.try_use(YOU)))
        };
        let mine = u32::from(guarded.try_use(ME)) + u32::from(guarded.try_use(ME));
        let theirs = other.join().unwrap();
        assert!(mine + theirs > 0);
        assert_eq!(guarded.uses(), 1 + mine + theirs);
        // Each gets in when they enter one after the other.
        assert!(guarded.try_use(YOU) && guarded.try_use(ME));
    });
}

#[test]
fn loom_two_threads_claim_until_the_lock_is_shared() {
    check(|| {
        let guarded = Guarded::new();
        assert!(guarded.try_use(ME));
        let others: Vec<_> = [YOU, YOU + 64]
            .into_iter()
            .map(|name| {
                let guarded = guarded.clone();
                thread::spawn(move || u32::from(guarded.try_use(name)))
            })
            .collect();
        let mine = u32::from(guarded.try_use(ME));
        let theirs: u32 = others.into_iter().map(|other| other.join().unwrap()).sum();
        assert_eq!(guarded.uses(), 1 + mine + theirs);
        assert!(guarded.try_use(ME) && guarded.try_use(YOU));
    });
}

#[test]
fn loom_a_claim_around_a_callback() {
    check(|| {
        let guarded = Guarded::new();
        let outer = guarded.lock.enter(ME, ends).unwrap();
        let other = {
            let guarded = guarded.clone();
            thread::spawn(move || guarded.try_use(YOU))
        };
        let calling = outer.call_back();
        // This call is refused if the other thread holds the claim for longer than this
        // thread waits.
        let nested = guarded.try_use(ME);
        drop(calling);
        drop(outer);
        let theirs = other.join().unwrap();
        assert_eq!(guarded.uses(), u32::from(nested) + u32::from(theirs));
    });
}

/// A thread ends and another gets its name while a third claims the lock. Passing the name
/// on orders the first two, as in the C library.
#[test]
fn loom_a_name_goes_to_another_thread() {
    check(|| {
        let guarded = Guarded::new();
        let first = {
            let guarded = guarded.clone();
            thread::spawn(move || {
                let used = guarded.try_use(ME);
                guarded.lock.give_up(ME);
                used
            })
        };
        let other = {
            let guarded = guarded.clone();
            thread::spawn(move || u32::from(guarded.try_use(YOU)))
        };
        let mut uses = u32::from(first.join().unwrap());
        uses += u32::from(guarded.try_use(ME));
        uses += other.join().unwrap();
        assert!(guarded.lock.enter(YOU + 64, ends).is_ok());
        assert_eq!(guarded.uses(), uses);
    });
}
