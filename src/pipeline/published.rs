//! How many signals the host's thread may take: the word that an inlined poll
//! reads, and nothing else.

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering};

/// The number of signals published to the host's thread, on a cache line of its
/// own. One lane writes it, after the ring.
#[derive(Debug, Default)]
pub(crate) struct Published(CachePadded<AtomicU64>);

impl Published {
    /// Makes `count` signals visible: the last store on their path.
    #[inline]
    pub(crate) fn set(&self, count: u64) {
        self.0.store(count, Ordering::Release);
    }

    /// Signals that are in the ring, or have been taken from it.
    #[inline]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The word's address, for an inlined poll in C.
    #[cfg(not(loom))]
    pub(crate) fn address(&self) -> *const u64 {
        self.0.as_ptr()
    }

    /// loom's atomics have no address to read.
    #[cfg(loom)]
    pub(crate) fn address(&self) -> *const u64 {
        std::ptr::null()
    }
}

#[cfg(all(test, loom))]
mod models {
    use std::sync::Arc;

    use super::*;

    /// As much of a ring as matters here: the item, then the position with
    /// release; the position with acquire, then the item.
    #[derive(Default)]
    struct Ring {
        items: [AtomicU64; 2],
        tail: AtomicU64,
    }

    impl Ring {
        fn push(&self, place: u64, item: u64) {
            self.items[place as usize].store(item, Ordering::Relaxed);
            self.tail.store(place + 1, Ordering::Release);
        }

        fn pop(&self, place: u64) -> Option<u64> {
            let there = self.tail.load(Ordering::Acquire) > place;
            there.then(|| self.items[place as usize].load(Ordering::Relaxed))
        }
    }

    #[test]
    fn loom_what_is_published_is_in_the_ring() {
        loom::model(|| {
            let shared = Arc::new((Ring::default(), Published::default()));
            let lane = shared.clone();
            let lane = loom::thread::spawn(move || {
                for place in 0..2 {
                    lane.0.push(place, place + 7);
                    lane.1.set(place + 1);
                }
            });
            let mut taken = 0;
            for _ in 0..2 {
                for place in taken..shared.1.get() {
                    assert_eq!(shared.0.pop(place), Some(place + 7));
                    taken += 1;
                }
            }
            lane.join().unwrap();
            assert_eq!(shared.1.get(), 2);
        });
    }
}
