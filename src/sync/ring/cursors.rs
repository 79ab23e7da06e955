//! The two words of a ring: messages sent and messages received.
//!
//! A ring owns them, but for the one to the host: an inlined poll reads that
//! one's words, and a host may do so too late, so they may lie in a table that
//! is never freed.

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::sync::AtomicU64;

/// A counter that one thread writes and others read. A ring's two have cache lines
/// of their own each.
#[derive(Clone, Debug)]
pub(crate) struct Word {
    at: NonNull<AtomicU64>,
    /// What `at` points into, unless that lives for ever.
    _owner: Option<Arc<CachePadded<AtomicU64>>>,
}

// SAFETY: it stands for a shared reference to an atomic that `_owner` keeps, or
// that is never freed.
unsafe impl Send for Word {}
// SAFETY: as above.
unsafe impl Sync for Word {}

impl Word {
    /// A word in a table that is never freed. Only words of the same writer may
    /// share its cache line.
    #[cfg(not(loom))]
    pub(crate) fn at(place: &'static AtomicU64) -> Self {
        Self {
            at: place.into(),
            _owner: None,
        }
    }
}

impl Default for Word {
    fn default() -> Self {
        let owner = Arc::<CachePadded<AtomicU64>>::default();
        Self {
            at: NonNull::from(&**owner),
            _owner: Some(owner),
        }
    }
}

impl Deref for Word {
    type Target = AtomicU64;

    #[inline]
    fn deref(&self) -> &AtomicU64 {
        // SAFETY: `at` points to an atomic that this value keeps alive, or that
        // is never freed.
        unsafe { self.at.as_ref() }
    }
}

/// What an inlined poll reads. `taken` and `next` may share a cache line: the
/// host's thread writes both.
#[derive(Clone, Debug, Default)]
pub(crate) struct AtHost {
    /// Signals published: a word of the ring to the host.
    pub(crate) published: Word,
    /// Signals taken. Not the ring's word: the slots of a batch are freed later.
    /// Written by the host's thread.
    pub(crate) taken: Word,
    /// Where the next signal will lie: an address for a prefetch, nothing is read
    /// through it. Written by the host's thread.
    pub(crate) next: Word,
}

impl AtHost {
    /// The words of the ring to the host.
    pub(crate) fn ring(&self) -> Words {
        Words {
            published: self.published.clone(),
            taken: Word::default(),
        }
    }
}

/// Both words of one ring. They start at 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Words {
    /// Messages published, written by the sender.
    pub(crate) published: Word,
    /// Messages taken, written by the receiver.
    pub(crate) taken: Word,
}
