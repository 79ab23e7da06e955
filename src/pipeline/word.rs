//! A counter that an inlined poll reads: the engine's own, or one that outlives
//! every engine, for hosts that may read it too late.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crossbeam_utils::CachePadded;

/// How many signals have been published, or taken.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    /// Shared by the engine's ends.
    Owned(Arc<CachePadded<AtomicU64>>),
    /// Lies in a table that is never freed.
    Static(&'static AtomicU64),
}

impl Default for Word {
    fn default() -> Self {
        Self::Owned(Arc::default())
    }
}

impl Deref for Word {
    type Target = AtomicU64;

    #[inline]
    fn deref(&self) -> &AtomicU64 {
        match self {
            Self::Owned(word) => word,
            Self::Static(word) => word,
        }
    }
}

/// The two words of one engine. Both start at 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// Signals published to the host's thread, written by the last lane.
    pub(crate) published: Word,
    /// Signals that the host's thread has taken, written by it.
    pub(crate) taken: Word,
}

#[cfg(all(test, loom))]
mod models {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, Ordering};

    /// As much of a ring as matters here, then the word: the item, then the
    /// position with release; the position with acquire, then the item.
    #[derive(Default)]
    struct Egress {
        items: [AtomicU64; 2],
        tail: AtomicU64,
        published: AtomicU64,
    }

    impl Egress {
        fn push(&self, place: u64, item: u64) {
            self.items[place as usize].store(item, Ordering::Relaxed);
            self.tail.store(place + 1, Ordering::Release);
            self.published.store(place + 1, Ordering::Release);
        }

        fn pop(&self, place: u64) -> Option<u64> {
            let there = self.tail.load(Ordering::Acquire) > place;
            there.then(|| self.items[place as usize].load(Ordering::Relaxed))
        }
    }

    #[test]
    fn loom_what_is_published_is_in_the_ring() {
        loom::model(|| {
            let egress = Arc::new(Egress::default());
            let lane = egress.clone();
            let lane = loom::thread::spawn(move || {
                for place in 0..2 {
                    lane.push(place, place + 7);
                }
            });
            let mut taken = 0;
            for _ in 0..2 {
                for place in taken..egress.published.load(Ordering::Acquire) {
                    assert_eq!(egress.pop(place), Some(place + 7));
                    taken += 1;
                }
            }
            lane.join().unwrap();
            assert_eq!(egress.published.load(Ordering::Acquire), 2);
        });
    }
}
