//! A value that belongs to one process, used by one of its threads at a time.
//!
//! A thread that holds an ordinary lock when another one forks does not exist in the child, where
//! nobody gives the lock back. Here the lock names the process whose thread holds it: a child finds
//! it free, and a new value, since its parent's may be half written. What the parent's value owns
//! is not dropped in the child.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU32, Ordering};

/// No thread holds it.
const FREE: u32 = 0;
/// What is there is a parent's. No process has this number.
const OF_PARENT: u32 = u32::MAX;

pub(crate) struct ProcessLock<T> {
    /// The process whose thread holds it.
    holder: AtomicU32,
    /// With the process that it belongs to; `None` before the first use.
    value: UnsafeCell<Option<(u32, T)>>,
}

// SAFETY: one thread at a time has the value, which may go from thread to thread.
unsafe impl<T: Send> Sync for ProcessLock<T> {}

/// The value, for this thread alone until this is dropped.
pub(crate) struct Guard<T: 'static> {
    lock: &'static ProcessLock<T>,
    process: u32,
    value: &'static mut T,
}

impl<T> ProcessLock<T> {
    pub(crate) const fn new() -> Self {
        Self {
            holder: AtomicU32::new(FREE),
            value: UnsafeCell::new(None),
        }
    }

    /// Called in the child of a fork. A child that was made without the handlers of `fork` is known
    /// by its number.
    pub(crate) fn leave_to_parent(&self) {
        self.holder.store(OF_PARENT, Ordering::Relaxed);
    }
}

impl<T: Default> ProcessLock<T> {
    /// Takes the value, unless another thread of this process has it. Neither waits nor allocates,
    /// if `T::default` does not.
    pub(crate) fn try_lock(&'static self) -> Option<Guard<T>> {
        let process = std::process::id();
        let before = self.holder.load(Ordering::Relaxed);
        if before == process {
            return None;
        }
        let (taken, failed) = (Ordering::Acquire, Ordering::Relaxed);
        self.holder
            .compare_exchange(before, process, taken, failed)
            .ok()?;
        let place = self.value.get();
        // SAFETY: `holder` now names this process, so no other thread of it comes here before the
        // guard is dropped. A thread that held it in the parent does not exist here. The parent's
        // value may be half written: it is overwritten unread.
        let value = unsafe {
            if before != FREE || !matches!(&*place, Some((of, _)) if *of == process) {
                place.write(Some((process, T::default())));
            }
            (*place).as_mut()
        };
        let Some((_, value)) = value else {
            unreachable!("a value was written");
        };
        Some(Guard {
            lock: self,
            process,
            value,
        })
    }
}

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.value
    }
}

impl<T> DerefMut for Guard<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.value
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // Not in the child of a fork that this thread made meanwhile.
        let (given_back, failed) = (Ordering::Release, Ordering::Relaxed);
        let _ = self
            .lock
            .holder
            .compare_exchange(self.process, FREE, given_back, failed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_has_the_value_and_the_next_finds_it_as_it_was_left() {
        static LOCK: ProcessLock<Vec<u32>> = ProcessLock::new();
        let mut first = LOCK.try_lock().unwrap();
        first.push(7);
        let is_taken = || LOCK.try_lock().is_none();
        assert!(std::thread::spawn(is_taken).join().unwrap());
        drop(first);
        assert_eq!(*LOCK.try_lock().unwrap(), [7]);
    }

    #[test]
    fn a_child_finds_the_lock_free_and_nothing_of_its_parents_value() {
        /// Must not be dropped in the child: what it owns may be half written.
        #[derive(Default)]
        struct Value(u32);
        impl Drop for Value {
            fn drop(&mut self) {
                assert_eq!(self.0, 0);
            }
        }
        static LOCK: ProcessLock<Value> = ProcessLock::new();
        let left = |holder| {
            let mut guard = LOCK.try_lock().unwrap();
            guard.0 = 7;
            std::mem::forget(guard);
            LOCK.holder.store(holder, Ordering::Relaxed);
        };
        // Another process' thread held it.
        left(std::process::id() + 1);
        assert_eq!(LOCK.try_lock().unwrap().0, 0);
        // The handlers of `fork` have run.
        left(FREE);
        LOCK.leave_to_parent();
        assert_eq!(LOCK.try_lock().unwrap().0, 0);
        // Nobody held it, and no handler has run.
        left(FREE);
        // SAFETY: no other thread of this test uses it.
        unsafe { (*LOCK.value.get()).as_mut().unwrap().0 = 1 };
        assert_eq!(LOCK.try_lock().unwrap().0, 0);
        // A guard that has come along gives back nothing of the child's.
        let guard = LOCK.try_lock().unwrap();
        LOCK.leave_to_parent();
        drop(guard);
        assert_eq!(LOCK.holder.load(Ordering::Relaxed), OF_PARENT);
    }
}
