//! A lock that nobody waits for: a thread gets what it guards at once, or not at all.
//!
//! One word says whether a thread has it. Taking it is a compare and exchange (acquire), giving
//! it back a store (release), so each holder sees everything that the last one did.

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use super::{AtomicBool, Ordering};

#[cfg(loom)]
use loom::cell::UnsafeCell;
#[cfg(not(loom))]
use std::cell::UnsafeCell;

/// Guards a value for one thread at a time.
#[derive(Debug)]
pub(crate) struct TryLock<T> {
    is_held: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: `Held` is the only way to the value, and `is_held` lets one exist at a time; a value
// that may be sent to another thread may be used by several in turn.
unsafe impl<T: Send> Sync for TryLock<T> {}

impl<T> TryLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            is_held: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// Whether a thread has the value now.
    #[inline]
    pub(crate) fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    /// The value, or `None` while a thread has it: this one, too.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<Held<'_, T>> {
        // A thread that tries again and again must not take the word's line from the holder.
        if self.is_held() {
            return None;
        }
        self.is_held
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        Some(Held {
            lock: self,
            _value: PhantomData,
            #[cfg(loom)]
            value: Some(self.value.get_mut()),
        })
    }
}

/// The value of a [`TryLock`], until this is dropped.
pub(crate) struct Held<'a, T> {
    lock: &'a TryLock<T>,
    _value: PhantomData<&'a mut T>,
    /// Until the lock is given back.
    #[cfg(loom)]
    value: Option<loom::cell::MutPtr<T>>,
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: this thread has the lock, and the borrow of `self` keeps `deref_mut` away.
        #[cfg(not(loom))]
        return unsafe { &*self.lock.value.get() };
        // SAFETY: as above.
        #[cfg(loom)]
        return unsafe { self.value.as_ref().unwrap().deref() };
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: this thread has the lock, and `self` is borrowed mutably.
        #[cfg(not(loom))]
        return unsafe { &mut *self.lock.value.get() };
        // SAFETY: as above.
        #[cfg(loom)]
        return unsafe { self.value.as_ref().unwrap().deref() };
    }
}

impl<T> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        #[cfg(loom)]
        drop(self.value.take());
        self.lock.is_held.store(false, Ordering::Release);
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use std::sync::Arc;

    use super::*;

    /// Two threads add what they can: none adds to what the other has not finished.
    #[test]
    fn loom_one_thread_at_a_time_sees_what_the_last_one_did() {
        loom::model(|| {
            let lock = Arc::new(TryLock::new(0));
            let add = |lock: &TryLock<u32>| {
                let mut added = 0;
                for _ in 0..2 {
                    if let Some(mut value) = lock.try_lock() {
                        *value += 1;
                        added += 1;
                    }
                }
                added
            };
            let other = lock.clone();
            let thread = loom::thread::spawn(move || add(&other));
            let here = add(&lock);
            let there = thread.join().unwrap();
            assert_eq!(*lock.try_lock().unwrap(), here + there);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_until_it_is_dropped() {
        let lock = TryLock::new(7);
        let mut held = lock.try_lock().unwrap();
        *held += 1;
        assert!(lock.try_lock().is_none() && lock.is_held());
        drop(held);
        assert!(!lock.is_held());
        assert_eq!(*lock.try_lock().unwrap(), 8);
    }
}
