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
