//! Every protocol between threads. The atomics are the standard library's, or
//! loom's under `--cfg loom`, which then explores every order in which threads
//! can meet.
//!
//! | file | what |
//! |---|---|
//! | `ring` | the ring between two lanes, its memory and its two words |
//! | `broadcast` | one producer, several consumers that each see every message |
//! | `biased_lock` | who is inside a handle: one thread at a time, cheap for the same one |
//! | `membarrier` | a barrier on all threads, paid by the side that is rare |
//! | `per_thread` | a pointer of each thread, where it has no place of its own |
//! | `read_gate` | readers that may be inside while others are, and are waited for |
//! | `padded` | buffers that share no cache line |

pub(crate) mod biased_lock;
pub mod broadcast;
pub(crate) mod membarrier;
pub mod padded;
#[cfg(not(loom))]
pub(crate) mod per_thread;
pub(crate) mod read_gate;
pub mod ring;

#[cfg(not(loom))]
pub(crate) use std::sync::OnceLock;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU64, Ordering, fence};

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
