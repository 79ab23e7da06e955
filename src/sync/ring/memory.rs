//! A ring's memory: cache lines that one end writes and the other reads.
//!
//! All access goes by place, the index of a message's first line. Which end may
//! touch which place is the ring's business (`ring`).

use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::Arc;

use bytemuck::{Pod, Zeroable};

/// 64-bit words in a cache line.
pub const WORDS_PER_LINE: usize = 8;

/// Lines that are fetched ahead at most: as many as a processor has under way
/// at once, and a message of a full book with room to spare.
const MOST_AHEAD: usize = 16;

/// Lines of a ring at most: what an allocation may have.
const MOST_LINES: usize = isize::MAX as usize / size_of::<Line>();

/// One cache line of a message.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u64; WORDS_PER_LINE]);

/// The memory, held by both ends.
#[derive(Clone)]
pub(super) struct Slots {
    /// The first line of `owner`'s.
    base: NonNull<Line>,
    per_message: usize,
    lines: usize,
    _owner: Arc<Memory>,
}

struct Memory {
    lines: Box<[UnsafeCell<Line>]>,
    /// Has loom see who touches which message, and when.
    #[cfg(loom)]
    watched: Box<[loom::cell::UnsafeCell<()>]>,
}

// SAFETY: lines are plain data. That no place is written while it is written or
// read by another thread is what `Slots::write` and `Slots::read` ask for.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}
// SAFETY: `base` points into `owner`, which moves along; see `Memory`.
unsafe impl Send for Slots {}

impl Slots {
    /// Memory for so many messages. It is written here: no page fault is left.
    pub(super) fn new(messages: usize, per_message: usize) -> Self {
        // Also in bytes, and one more is no overflow: places are added up unchecked.
        let lines = messages
            .checked_mul(per_message)
            .filter(|&lines| lines <= MOST_LINES)
            .unwrap_or_else(|| panic!("a ring of {messages} messages of {per_message} lines"));
        // Not zeros, for which the allocator would hand out untouched pages.
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

    /// The place behind this one, around the end.
    #[inline]
    pub(super) fn after(&self, place: usize) -> usize {
        let next = place + self.per_message;
        if next == self.lines { 0 } else { next }
    }

    /// The place so many messages behind this one.
    #[inline]
    pub(super) fn behind(&self, place: usize, messages: usize) -> usize {
        let line = place + messages * self.per_message;
        if line < self.lines {
            line
        } else {
            line - self.lines
        }
    }

    /// Lets `fill` write the message at `place`, which holds an older one.
    ///
    /// # Safety
    ///
    /// `place` is 0 or came from this memory's [`after`](Self::after), and until
    /// `fill` has returned nobody else touches the message there.
    #[inline]
    pub(super) unsafe fn write<R>(&self, place: usize, fill: impl FnOnce(&mut [u64]) -> R) -> R {
        debug_assert!(place < self.lines && place.is_multiple_of(self.per_message));
        // SAFETY: the caller gives a place within the memory that nobody else
        // touches; `base` comes from all of the memory's cells.
        let lines = unsafe {
            std::slice::from_raw_parts_mut(self.base.add(place).as_ptr(), self.per_message)
        };
        #[cfg(loom)]
        return self._owner.watched[place / self.per_message]
            .with_mut(|_| fill(bytemuck::cast_slice_mut(lines)));
        #[cfg(not(loom))]
        fill(bytemuck::cast_slice_mut(lines))
    }

    /// Lets `take` read the message at `place`.
    ///
    /// # Safety
    ///
    /// `place` is 0 or came from this memory's [`after`](Self::after) or
    /// [`behind`](Self::behind), and until `take` has returned nobody writes the
    /// message there.
    #[inline]
    pub(super) unsafe fn read<R>(&self, place: usize, take: impl FnOnce(&[u64]) -> R) -> R {
        // SAFETY: what the caller promises lasts as long as the message is used.
        let words = unsafe { self.get(place) };
        #[cfg(loom)]
        return self._owner.watched[place / self.per_message].with(|_| take(words));
        #[cfg(not(loom))]
        take(words)
    }

    /// The message at `place`.
    ///
    /// # Safety
    ///
    /// As for [`read`](Self::read), for as long as the message is used.
    #[inline]
    pub(super) unsafe fn get(&self, place: usize) -> &[u64] {
        debug_assert!(place < self.lines && place.is_multiple_of(self.per_message));
        // Loom sees when the use begins; when it ends, the caller alone knows.
        #[cfg(loom)]
        self._owner.watched[place / self.per_message].with(|_| ());
        // SAFETY: the caller gives a place within the memory that nobody writes.
        let lines =
            unsafe { std::slice::from_raw_parts(self.base.add(place).as_ptr(), self.per_message) };
        bytemuck::cast_slice(lines)
    }

    /// Asks for the message's lines, whoever has them. Nothing is read.
    #[inline]
    pub(super) fn prefetch(&self, place: usize) {
        for line in 0..self.per_message.min(MOST_AHEAD) {
            prefetch(self.base.as_ptr().wrapping_add(place + line));
        }
    }

    /// Where the message at `place` begins, for a prefetch elsewhere.
    #[inline]
    pub(super) fn address(&self, place: usize) -> *const u8 {
        self.base.as_ptr().wrapping_add(place).cast()
    }
}

#[inline(always)]
fn prefetch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 processor has the instruction, which neither reads
    // nor faults, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(at.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}
