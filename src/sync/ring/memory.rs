//! A ring's memory: cache lines that one end writes and the other reads.
//!
//! A place is the index of a message's first line. The ring (`ring`) decides which end may
//! touch which place.

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

use crate::sync::prefetch::{self, MOST_AHEAD};

/// 64-bit words in a cache line.
pub const WORDS_PER_LINE: usize = 8;

/// Most lines of a ring: what one allocation may have.
const MOST_LINES: usize = isize::MAX as usize / size_of::<Line>();

/// One cache line of a message.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u64; WORDS_PER_LINE]);

/// The memory, held by both ends.
#[derive(Clone)]
pub(super) struct Slots {
    /// The first of `_owner`'s lines.
    base: NonNull<Line>,
    per_message: usize,
    lines: usize,
    _owner: Arc<Memory>,
}

struct Memory {
    lines: Box<[UnsafeCell<Line>]>,
    /// Lets loom see who touches which message, and when.
    #[cfg(loom)]
    watched: Box<[loom::cell::UnsafeCell<()>]>,
}

// SAFETY: lines are plain data. The callers of `Slots::write` and `Slots::read` ensure that
// no place is written while another thread reads or writes it.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}
// SAFETY: `base` points into `_owner`, which moves with it; see `Memory`.
unsafe impl Send for Slots {}

impl Slots {
    /// Memory for `messages` messages. Writes all of it, so that no page fault is left.
    pub(super) fn new(messages: usize, per_message: usize) -> Self {
        // Also fits in bytes; one more message does not overflow, as places are added
        // unchecked.
        let lines = messages
            .checked_mul(per_message)
            .filter(|&lines| lines <= MOST_LINES)
            .unwrap_or_else(|| panic!("a ring of {messages} messages of {per_message} lines"));
        // Not zeros: for those the allocator would return untouched pages.
        let line = || UnsafeCell::new(Line([u64::MAX; WORDS_PER_LINE]));
        let owner = Arc::new(Memory {
            lines: std::iter::repeat_with(line).take(lines).collect(),
            #[cfg(loom)]
            watched: (0..messages)
                .map(|_| loom::cell::UnsafeCell::new(()))
                .collect(),
        });
        Self {
            base: NonNull::from(&owner.lines[..]).cast(),
            per_message,
            lines,
            _owner: owner,
        }
    }

    /// 64-bit words of a message.
    pub(super) fn words(&self) -> usize {
        self.per_message * WORDS_PER_LINE
    }

    /// The place after this one, wrapping around at the end.
    #[inline]
    pub(super) fn after(&self, place: usize) -> usize {
        let next = place + self.per_message;
        if next == self.lines { 0 } else { next }
    }

    /// The place `messages` messages after this one.
    #[inline]
    pub(super) fn behind(&self, place: usize, messages: usize) -> usize {
        let line = place + messages * self.per_message;
        if line < self.lines {
            line
        } else {
            line - self.lines
        }
    }

    /// Lets `fill` overwrite the message at `place`, which contains an older one.
    ///
    /// # Safety
    ///
    /// `place` is 0 or came from this memory's [`after`](Self::after), and no one else
    /// touches the message there until `fill` has returned.
    #[inline]
    pub(super) unsafe fn write<R>(&self, place: usize, fill: impl FnOnce(&mut [u64]) -> R) -> R {
        debug_assert!(place < self.lines && place.is_multiple_of(self.per_message));
        // SAFETY: the caller passes a place within the memory that no one else touches;
        // `base` comes from all of the memory's cells.
        let lines = unsafe {
            std::slice::from_raw_parts_mut(self.base.add(place).as_ptr(), self.per_message)
        };
        #[cfg(loom)]
        return self._owner.watched[place / self.per_message]
            .with_mut(|_| fill(bytemuck::cast_slice_mut(lines)));
        #[cfg(not(loom))]
        fill(bytemuck::cast_slice_mut(lines))
    }

    /// The message at `place`.
    ///
    /// # Safety
    ///
    /// `place` is 0 or came from this memory's [`after`](Self::after) or
    /// [`behind`](Self::behind), and no one writes the message there as long as it is used.
    #[inline]
    pub(super) unsafe fn get(&self, place: usize) -> &[u64] {
        debug_assert!(place < self.lines && place.is_multiple_of(self.per_message));
        // Loom sees when the use begins. Only the caller knows when it ends.
        #[cfg(loom)]
        self._owner.watched[place / self.per_message].with(|_| ());
        // SAFETY: the caller passes a place within the memory that no one writes.
        let lines =
            unsafe { std::slice::from_raw_parts(self.base.add(place).as_ptr(), self.per_message) };
        bytemuck::cast_slice(lines)
    }

    /// Lets loom see that the message at `place` is read until this is dropped.
    #[cfg(loom)]
    pub(super) fn reading(&self, place: usize) -> loom::cell::ConstPtr<()> {
        self._owner.watched[place / self.per_message].get()
    }

    /// Prefetches the message's lines, whichever core has them. Nothing is read.
    #[inline]
    pub(super) fn prefetch(&self, place: usize) {
        for line in 0..self.per_message.min(MOST_AHEAD) {
            prefetch::address(self.base.as_ptr().wrapping_add(place + line));
        }
    }

    /// Where the message at `place` begins, for a prefetch elsewhere.
    #[inline]
    pub(super) fn address(&self, place: usize) -> *const u8 {
        self.base.as_ptr().wrapping_add(place).cast()
    }
}
