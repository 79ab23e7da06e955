//! The slots, and the word that makes messages visible.

use std::fmt;

use crossbeam_utils::CachePadded;

use crate::sync::{AtomicU64, Ordering, fence};

/// Words in a slot's line. Loom explores each word, so under loom a line is small.
#[cfg(not(loom))]
pub(super) const LINE: usize = crate::sync::ring::WORDS_PER_LINE;
#[cfg(loom)]
pub(super) const LINE: usize = 3;

/// Set in the published word once no message will follow.
const FINISHED: u64 = 1 << 63;

#[repr(align(64))]
struct Line([AtomicU64; LINE]);

/// What producer and consumers share.
pub(super) struct Shared {
    /// A slot's first word is the number of the message last begun there.
    lines: Box<[Line]>,
    lines_per_slot: usize,
    capacity: usize,
    /// Messages that are ready to be read, and whether more will follow.
    published: CachePadded<AtomicU64>,
}

/// What the published word says.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) published: u64,
    pub(super) finished: bool,
}

impl Shared {
    pub(super) fn new(messages: usize, words: usize) -> Self {
        let lines_per_slot = words / LINE + 1;
        let Some(lines) = messages.checked_mul(lines_per_slot) else {
            panic!("a broadcast of {messages} messages of {lines_per_slot} lines");
        };
        let line = |_| Line(std::array::from_fn(|_| AtomicU64::new(0)));
        Self {
            lines: (0..lines).map(line).collect(),
            lines_per_slot,
            capacity: messages,
            published: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// Messages that are kept.
    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// A buffer for one message, its number in the first word.
    pub(super) fn buffer(&self) -> Box<[u64]> {
        vec![0; self.lines_per_slot * LINE].into()
    }

    #[inline]
    pub(super) fn state(&self) -> State {
        let word = self.published.load(Ordering::Acquire);
        State {
            published: word & !FINISHED,
            finished: word & FINISHED != 0,
        }
    }

    #[inline]
    fn slot(&self, place: usize) -> &[Line] {
        let first = place * self.lines_per_slot;
        &self.lines[first..first + self.lines_per_slot]
    }

    /// Writes message `number` into a slot and publishes it. Only the producer
    /// calls it.
    #[inline]
    pub(super) fn write(&self, place: usize, number: u64, message: &[u64]) {
        let slot = self.slot(place);
        slot[0].0[0].store(number, Ordering::Relaxed);
        // A thread that reads a word of this payload also sees the number above.
        fence(Ordering::Release);
        for (cell, &word) in slot[0].0[1..].iter().zip(&message[1..]) {
            cell.store(word, Ordering::Relaxed);
        }
        for (line, words) in slot[1..].iter().zip(message[LINE..].chunks_exact(LINE)) {
            for (cell, &word) in line.0.iter().zip(words) {
                cell.store(word, Ordering::Relaxed);
            }
        }
        self.published.store(number, Ordering::Release);
    }

    /// Copies a slot's payload and returns the number of the message last begun there. The
    /// copy is whole if that is the message's own number.
    #[inline]
    pub(super) fn read(&self, place: usize, message: &mut [u64]) -> u64 {
        let slot = self.slot(place);
        for (cell, word) in slot[0].0[1..].iter().zip(&mut message[1..]) {
            *word = cell.load(Ordering::Relaxed);
        }
        for (line, words) in slot[1..].iter().zip(message[LINE..].chunks_exact_mut(LINE)) {
            for (cell, word) in line.0.iter().zip(words) {
                *word = cell.load(Ordering::Relaxed);
            }
        }
        fence(Ordering::Acquire);
        slot[0].0[0].load(Ordering::Relaxed)
    }

    /// Marks that no message will follow the first `sent`.
    pub(super) fn finish(&self, sent: u64) {
        self.published.store(sent | FINISHED, Ordering::Release);
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("capacity", &self.capacity)
            .field("published", &self.state().published)
            .finish_non_exhaustive()
    }
}
