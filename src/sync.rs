//! Atomics of our own protocols: the standard library's, or loom's under
//! `--cfg loom`, which then explores every order in which threads can meet.

#[cfg(not(loom))]
pub(crate) use std::sync::OnceLock;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering, fence};

/// loom has no `OnceLock`: the standard one, with its promise (who sees the
/// value sees all that came before it was set) put in terms that loom explores.
#[cfg(loom)]
#[derive(Debug, Default)]
pub(crate) struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    set: AtomicBool,
}

#[cfg(loom)]
impl<T> OnceLock<T> {
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let result = self.value.set(value);
        match result {
            Ok(()) => self.set.store(true, Ordering::Release),
            // As the standard one: it returns once there is a value.
            Err(_) => {
                while self.get().is_none() {
                    loom::thread::yield_now();
                }
            }
        }
        result
    }

    pub(crate) fn get(&self) -> Option<&T> {
        match self.set.load(Ordering::Acquire) {
            true => self.value.get(),
            false => None,
        }
    }
}
