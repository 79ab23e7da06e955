//! Every protocol between threads. The atomics are the standard library's, or loom's under
//! `--cfg loom`. Loom then explores every order in which threads can meet.
//!
//! | file | what |
//! |---|---|
//! | `ring` | the ring between two lanes, its memory and its two cursors |
//! | `broadcast` | one producer, several consumers that each see every message |
//! | `biased_lock` | at most one thread is inside a handle; cheap if it is always the same one |
//! | `membarrier` | a barrier on all threads, paid for by the side that runs rarely |
//! | `try_lock` | one thread at a time, and nobody waits |
//! | `per_thread` | one pointer per thread, in a table of fixed size |
//! | `read_gate` | many readers at once; the thread that ends what they read waits for them |
//! | `owner` | the process to which memory belongs that a child may have a copy of |
//! | `padded` | buffers that share no cache line |
//! | `slack` | how long a thread that waits oversleeps |
//! | `prefetch` | hints that bring memory into this core's cache |

pub(crate) mod biased_lock;
pub mod broadcast;
pub(crate) mod membarrier;
pub(crate) mod owner;
pub mod padded;
#[cfg(not(loom))]
pub(crate) mod per_thread;
pub mod prefetch;
pub(crate) mod read_gate;
pub mod ring;
pub(crate) mod slack;
pub(crate) mod try_lock;

#[cfg(loom)]
pub(crate) use loom::{hint::spin_loop, thread::yield_now};
#[cfg(not(loom))]
pub(crate) use std::{hint::spin_loop, thread::yield_now};

#[cfg(not(loom))]
pub(crate) use std::sync::OnceLock;
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{
    AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering, fence,
};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering, fence};

/// Loom has no `OnceLock`. This is the standard one, with its guarantee (a thread that sees
/// the value sees everything from before it was set) in terms that loom explores.
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
            // As in the standard library: it returns once there is a value.
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
