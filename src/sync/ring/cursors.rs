//! The two cursors of a ring: messages sent and messages received.
//!
//! A ring owns them, but for the one to the host: an inlined poll reads that
//! one's cursors, and a host may do so too late, so they may lie in a table that
//! is never freed.

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::sync::AtomicU64;

/// A counter that one thread writes and others read. A ring's two have cache lines
/// of their own each.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    at: NonNull<AtomicU64>,
    /// What `at` points into, or for a word that lives for ever its users' count.
    _owner: Arc<CachePadded<AtomicU64>>,
}

// SAFETY: it stands for a shared reference to an atomic that `_owner` keeps, or
// that is never freed.
unsafe impl Send for Cursor {}
// SAFETY: as above.
unsafe impl Sync for Cursor {}

impl Cursor {
    /// A cursor in a table that is never freed. Only cursors of the same writer may
    /// share its cache line.
    #[cfg(not(loom))]
    pub(crate) fn at(place: &'static AtomicU64, users: &Users) -> Self {
        Self {
            at: place.into(),
            _owner: users.0.clone(),
        }
    }
}

/// Whoever holds cursors of a place in a table: a lane that was left behind may hold
/// them for ever.
// The type is a word's own, so that a word is no larger for it.
#[cfg(not(loom))]
#[derive(Debug, Default)]
pub(crate) struct Users(Arc<CachePadded<AtomicU64>>);

#[cfg(not(loom))]
impl Users {
    /// Whether nobody holds cursors any more. What they did with them is done.
    pub(crate) fn are_gone(&mut self) -> bool {
        Arc::get_mut(&mut self.0).is_some()
    }
}

impl Default for Cursor {
    fn default() -> Self {
        let owner = Arc::<CachePadded<AtomicU64>>::default();
        Self {
            at: NonNull::from(&**owner),
            _owner: owner,
        }
    }
}

impl Deref for Cursor {
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
pub(crate) struct HostCursors {
    /// Signals published: a cursor of the ring to the host.
    pub(crate) published: Cursor,
    /// Signals taken. Not the ring's cursor: the slots of a batch are freed later.
    /// Written by the host's thread.
    pub(crate) taken: Cursor,
    /// Where the next signal will lie: an address for a prefetch, nothing is read
    /// through it. Written by the host's thread.
    pub(crate) next: Cursor,
}

impl HostCursors {
    /// The cursors of the ring to the host.
    pub(crate) fn ring(&self) -> Cursors {
        Cursors {
            published: self.published.clone(),
            taken: Cursor::default(),
        }
    }
}

/// Both cursors of one ring. They start at 0.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursors {
    /// Messages published, written by the sender.
    pub(crate) published: Cursor,
    /// Messages taken, written by the receiver.
    pub(crate) taken: Cursor,
}
