//! The two cursors of a ring: messages published and messages taken.
//!
//! A ring owns its cursors, except the ring to the host. An inlined poll reads that ring's
//! cursors, and a host may do so after the ring is gone, so they may lie in a table that is
//! never freed.

use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::Arc;

use crossbeam_utils::CachePadded;

use crate::sync::AtomicU64;

/// A counter that one thread writes and others read. Each of a ring's two cursors has cache
/// lines of its own.
#[derive(Clone, Debug)]
pub(crate) struct Cursor {
    at: NonNull<AtomicU64>,
    /// What `at` points into. For a word that is never freed: the count of its users.
    _owner: Arc<CachePadded<AtomicU64>>,
}

// SAFETY: equals a shared reference to an atomic, which `_owner` keeps alive or which is
// never freed.
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

/// The holders of cursors of a place in a table. A lane that was left behind may hold them
/// for ever.
// The same type as a cursor's owner, so that a cursor is no larger for it.
#[cfg(not(loom))]
#[derive(Debug, Default)]
pub(crate) struct Users(Arc<CachePadded<AtomicU64>>);

#[cfg(not(loom))]
impl Users {
    /// Whether no one holds cursors any more. Everything done with them has then happened.
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
        // SAFETY: `at` points to an atomic that this value keeps alive, or that is never
        // freed.
        unsafe { self.at.as_ref() }
    }
}

/// What an inlined poll reads. `taken` and `next` may share a cache line: the
/// host's thread writes both.
#[derive(Clone, Debug, Default)]
pub(crate) struct HostCursors {
    /// Signals published: a cursor of the ring to the host.
    pub(crate) published: Cursor,
    /// Signals taken, written by the host's thread. Not the ring's cursor: the slots of a
    /// batch are freed later.
    pub(crate) taken: Cursor,
    /// Where the next signal will lie: an address for a prefetch only; nothing is read
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
