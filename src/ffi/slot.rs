//! One slot of the handle table: its state and its cursors. What leads to its handle is its
//! `entrance`.

use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::types::signal_egress_t;
use crate::os::limit::Limit;
use crate::sync::read_gate::Readers;

/// A slot's states.
pub(super) const FREE: u8 = 0;
pub(super) const MAKING: u8 = 1;
pub(super) const LIVE: u8 = 2;
/// Never used again, because something may still use its contents.
pub(super) const BURIED: u8 = 3;

/// How long destroying a handle waits for other threads that read from it. They take a millisecond
/// at most, unless destroy interrupted one of them.
const READERS: Duration = Duration::from_secs(1);

/// The contents of `signal_egress_t`, as cursors that may be read at any time.
#[repr(C)]
struct Egress {
    published: AtomicPtr<u64>,
    taken: AtomicPtr<u64>,
    next: AtomicPtr<u64>,
}

/// Indices of the cursors that the host's thread writes. The inlined poll relies on `next` coming
/// right after `taken`.
pub(super) const TAKEN: usize = 0;
pub(super) const NEXT: usize = 1;

/// One slot. The host's cursors, the lane's cursor and the other fields have separate cache lines.
#[repr(C, align(128))]
pub(super) struct Slot {
    egress: CachePadded<Egress>,
    pub(super) hosts: CachePadded<[AtomicU64; 2]>,
    pub(super) published: CachePadded<AtomicU64>,
    pub(super) state: CachePadded<AtomicU8>,
    pub(super) generation: AtomicU32,
    /// Calls of any-thread functions that read from the handle now.
    pub(super) readers: Readers,
    /// Number of calls refused because another was under way.
    pub(super) refused: AtomicU64,
    /// The token of the handle that was in this slot when the process was forked.
    pub(super) before_fork: AtomicU64,
    /// Whether nobody was in the lock when a thread began to fork.
    pub(super) was_empty: AtomicBool,
    /// The thread that destroys the handle when its callback returns; 0 for none.
    pub(super) destroyer: AtomicU64,
}

impl Slot {
    pub(super) const fn new() -> Self {
        Self {
            egress: CachePadded::new(Egress {
                published: AtomicPtr::new(std::ptr::null_mut()),
                taken: AtomicPtr::new(std::ptr::null_mut()),
                next: AtomicPtr::new(std::ptr::null_mut()),
            }),
            hosts: CachePadded::new([const { AtomicU64::new(0) }; 2]),
            published: CachePadded::new(AtomicU64::new(0)),
            state: CachePadded::new(AtomicU8::new(FREE)),
            generation: AtomicU32::new(0),
            readers: Readers::new(),
            refused: AtomicU64::new(0),
            before_fork: AtomicU64::new(0),
            was_empty: AtomicBool::new(false),
            destroyer: AtomicU64::new(0),
        }
    }

    pub(super) fn prepare(&self) {
        self.refused.store(0, Ordering::Relaxed);
        self.destroyer.store(0, Ordering::Relaxed);
        self.reset_cursors();
        let egress = &self.egress;
        if egress.published.load(Ordering::Relaxed).is_null() {
            // Set once only: a host may read them at any time, and not as atomics.
            let hosts = self.hosts.as_ptr().cast::<u64>().cast_mut();
            let store = |at: &AtomicPtr<u64>, word| at.store(word, Ordering::Relaxed);
            store(&egress.taken, hosts);
            store(&egress.next, hosts.wrapping_add(NEXT));
            store(&egress.published, self.published.as_ptr());
        }
    }

    /// After this an inlined poll finds nothing here.
    pub(super) fn reset_cursors(&self) {
        self.published.store(0, Ordering::Relaxed);
        self.hosts[TAKEN].store(0, Ordering::Relaxed);
    }

    /// The cursors of the inlined poll, valid for ever.
    pub(super) fn egress(&self) -> *const signal_egress_t {
        (&raw const *self.egress).cast()
    }

    /// Number of calls on this slot's handle that were refused because another was under way.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(super) fn wait_for_readers(&self) -> bool {
        let mut limit = Limit::of(READERS);
        while self.readers.any() {
            if limit.is_over() {
                return false;
            }
            std::thread::yield_now();
        }
        true
    }

    /// Called in a child of the process: the handle is the parent's. Its memory is kept, because the
    /// child may have been made inside one of its callbacks. `is_empty`: the calling thread is not in
    /// the lock, for certain.
    pub(super) fn leave_to_parent(&self, token: u64, is_empty: bool) {
        let state = self.state.load(Ordering::Relaxed);
        if token != 0 {
            self.before_fork.store(token, Ordering::Relaxed);
        }
        self.reset_cursors();
        let unused = state == LIVE && token != 0 && is_empty && !self.readers.any();
        self.state
            .store(if unused { FREE } else { BURIED }, Ordering::Relaxed);
    }
}

const _: () = assert!(size_of::<Egress>() == size_of::<signal_egress_t>());
