//! What each call reads first of a slot: on pages that the kernel empties in every child of this
//! process, however the child was made. Emptied, they refuse every handle.
//!
//! Only what a call may find empty at any moment is here: a signal handler that interrupted the call
//! may have made the child.

use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, Ordering};

use super::handle::Handle;
use crate::os::memory;
use crate::sync::biased_lock::BiasedLock;
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
    /// The process that has seen to what it has of its parent; 0 in a child that has not.
    process: AtomicU32,
    // Nothing else lies on the last page.
    _rest: [u8; PAGE - size_of::<AtomicU32>()],
}

const _: () = assert!(size_of::<Pages>() == size_of::<[Entrance; SLOTS]>() + PAGE);

static PAGES: Pages = Pages {
    entrances: [const { Entrance::new() }; SLOTS],
    process: AtomicU32::new(0),
    _rest: [0; PAGE - size_of::<AtomicU32>()],
};

/// The entrances of all slots.
#[inline(always)]
pub(super) fn all() -> &'static [Entrance; SLOTS] {
    &PAGES.entrances
}

const NOT_ASKED: u8 = 0;
const EMPTIED: u8 = 1;
const KEPT: u8 = 2;
static IN_CHILDREN: AtomicU8 = AtomicU8::new(NOT_ASKED);

/// Asks the kernel, once, to empty the pages in children. Called before there is a handle.
pub(super) fn prepare() {
    if is_prepared() {
        return;
    }
    PAGES.process.store(std::process::id(), Ordering::Relaxed);
    // SAFETY: zeros are valid for every field, as each is made: no token, no handle, a lock that is
    // empty, no process. Nothing refers to what is there without a look at the token.
    let emptied = unsafe { memory::emptied_in_children(&PAGES) };
    let answer = if emptied { EMPTIED } else { KEPT };
    IN_CHILDREN.store(answer, Ordering::Relaxed);
}

pub(super) fn is_prepared() -> bool {
    IN_CHILDREN.load(Ordering::Relaxed) != NOT_ASKED
}

/// Whether a child finds the pages emptied. Not before Linux 4.14, nor where a sandbox forbids it.
pub(super) fn are_emptied_in_children() -> bool {
    IN_CHILDREN.load(Ordering::Relaxed) == EMPTIED
}

/// The process that has seen to what it has of its parent; 0 in a child that has not, if the pages
/// are emptied there.
pub(super) fn process() -> u32 {
    PAGES.process.load(Ordering::Relaxed)
}

/// See [`process`].
pub(super) fn set_process(to: u32) {
    PAGES.process.store(to, Ordering::Relaxed);
}
