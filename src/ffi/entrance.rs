//! What each call reads first of a slot: on pages that the kernel empties in every child of this
//! process, however the child was made. Emptied, they refuse every handle.
//!
//! Only what a call may find empty at any moment is here: a signal handler that interrupted the call
//! may have made the child.

use std::sync::atomic::AtomicPtr;

use super::handle::Handle;
use crate::os::memory;
use crate::sync::biased_lock::BiasedLock;
use crate::sync::owner::{Emptied, Owner};
use crate::sync::read_gate::Token;

/// Maximum number of handles at once.
pub(super) const SLOTS: usize = 256;

/// The way to one slot's handle.
#[repr(C, align(128))]
pub(super) struct Entrance {
    /// The token of the handle that lives there; 0 for none.
    pub(super) token: Token,
    pub(super) value: AtomicPtr<Handle>,
    pub(super) lock: BiasedLock,
}

impl Entrance {
    const fn new() -> Self {
        Self {
            token: Token::new(),
            value: AtomicPtr::new(std::ptr::null_mut()),
            lock: BiasedLock::new(),
        }
    }
}

const PAGE: usize = 4096;

#[repr(C, align(4096))]
struct Pages {
    entrances: [Entrance; SLOTS],
    owner: Owner,
    // Nothing else lies on the last page.
    _rest: [u8; PAGE - size_of::<Owner>()],
}

const _: () = assert!(size_of::<Pages>() == size_of::<[Entrance; SLOTS]>() + PAGE);

static PAGES: Pages = Pages {
    entrances: [const { Entrance::new() }; SLOTS],
    owner: Owner::new(),
    _rest: [0; PAGE - size_of::<Owner>()],
};

/// The entrances of all slots.
#[inline(always)]
pub(super) fn all() -> &'static [Entrance; SLOTS] {
    &PAGES.entrances
}

/// Whether a child finds the pages emptied. Not before Linux 4.14, nor where a sandbox forbids it.
static EMPTIED: Emptied = Emptied::new();

/// Asks the kernel, once, to empty the pages in children. Called before there is a handle.
pub(super) fn prepare() {
    if EMPTIED.known().is_some() {
        return;
    }
    PAGES.owner.set(std::process::id());
    // SAFETY: zeros are valid for every field, as each is made: no token, no handle, a lock that is
    // empty, no owner. A call that refers to what is there has looked at the token before; where a
    // signal handler makes a child in between, it finds an empty lock, or no handle, and goes back.
    let emptied = unsafe { memory::emptied_in_children(&PAGES) };
    EMPTIED.is_known(emptied);
}

/// Whether a child finds the pages emptied; `None` as long as there was no handle.
pub(super) fn emptied_in_children() -> Option<bool> {
    EMPTIED.known()
}

/// The process that has seen to what it has of its parent.
pub(super) fn owner() -> &'static Owner {
    &PAGES.owner
}
