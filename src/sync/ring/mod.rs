//! The ring between two lanes: bounded, wait-free, one sender, one receiver, in units of
//! cache lines.
//!
//! A message takes a fixed number of 64-byte lines, set when the ring is made. So messages
//! are as small as the configured factor sets allow, and their size is not part of a type.
//! Messages never wrap around the ring's end, because the capacity is a multiple of the
//! message's size.
//!
//! The protocol is two cursors: messages published, written by the sender, and messages
//! taken, written by the receiver. Each has cache lines of its own. The sender writes the
//! payload first; one release store of `published` then makes it visible, and the receiver
//! reads `published` with acquire. `taken` frees slots for the sender in the same way. Each
//! end remembers what it last read of the other's cursor. It reads the cursor again only when
//! the ring seems full or empty.
//!
//! A receiver that waits also prefetches the lines of the message to come
//! ([`Receiver::prefetch`]). Once `published` announces the message, it is already on its
//! way, so that a message of several lines takes little longer than the cursor alone.
//!
//! | file | what |
//! |---|---|
//! | `memory` | a ring's cache lines |
//! | `cursors` | a ring's two cursors, which an inlined poll may read |
//!
//! A ring keeps its high-water mark. The receiver notes how many messages it finds, and the
//! sender notes when there was no room. Each has a cell of its own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_utils::CachePadded;

use cursors::Cursors;
use memory::Slots;

pub(crate) mod cursors;
mod memory;

pub use memory::WORDS_PER_LINE;

/// The ring has no room for one more message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ring is full: its receiver is behind by the ring's whole capacity")
    }
}

impl std::error::Error for Full {}

/// The writing end of a ring, for one thread at a time.
pub struct Sender {
    slots: Slots,
    /// The place of the next message.
    place: usize,
    /// Messages sent.
    sent: u64,
    /// Messages that could have been sent when `taken` was last read.
    limit: u64,
    cursors: Cursors,
    capacity: usize,
    level: Arc<Level>,
}

/// The reading end of a ring, for one thread at a time.
pub struct Receiver {
    slots: Slots,
    /// The place of the next message.
    place: usize,
    /// Messages received.
    received: u64,
    /// Messages that had been sent when `published` was last read.
    known: u64,
    cursors: Cursors,
    capacity: usize,
    most: usize,
    level: Arc<Level>,
}

/// Tells whether a message has been sent that the receiver has not taken.
#[derive(Clone)]
pub(crate) struct Watch {
    cursors: Cursors,
    received: u64,
    slots: Slots,
    place: usize,
}

impl Watch {
    /// Whether a message waits. Costs a load of the sender's cursor.
    #[inline]
    pub(crate) fn sees_message(&self) -> bool {
        self.cursors.published.load(Ordering::Relaxed) != self.received
    }

    /// Prefetches the lines of the next message before it is there, as
    /// [`Receiver::prefetch`].
    #[inline]
    pub(crate) fn prefetch(&self) {
        self.slots.prefetch(self.place);
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

/// How full a ring has been. Each cell has one writer.
#[derive(Debug, Default)]
struct Level {
    most: CachePadded<AtomicUsize>,
    was_full: CachePadded<AtomicBool>,
}

/// Reads a ring's size and high-water mark, from any thread.
#[derive(Clone, Debug)]
pub struct Gauge {
    capacity: usize,
    level: Arc<Level>,
}

impl Gauge {
    /// Messages that the ring can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Most messages that have waited in the ring at once, as its receiver saw them: a lane
    /// looks at least once per batch. The capacity, if the sender ever found no room.
    pub fn high_water(&self) -> usize {
        if self.level.was_full.load(Ordering::Relaxed) {
            return self.capacity;
        }
        self.level.most.load(Ordering::Relaxed).min(self.capacity)
    }
}

/// Makes a ring of `messages` messages of at least `words` 64-bit words each.
///
/// Writes all of its memory once here, so the hot path causes no page fault.
///
/// # Panics
///
/// If `messages` or `words` is 0, or there is not enough memory.
///
/// ```
/// let (mut sender, mut receiver) = signal::sync::ring::ring(2, 3);
/// sender.try_send(|words| words[0] = 7).unwrap();
/// assert_eq!(receiver.try_receive(|words| words[0]), Some(7));
/// assert_eq!(receiver.try_receive(|words| words[0]), None);
/// ```
pub fn ring(messages: usize, words: usize) -> (Sender, Receiver) {
    ring_at(Cursors::default(), messages, words)
}

/// As [`ring`], with cursors that the caller supplies. Both are 0.
pub(crate) fn ring_at(at: Cursors, messages: usize, words: usize) -> (Sender, Receiver) {
    assert!(
        messages > 0 && words > 0,
        "a ring needs at least one message of one word"
    );
    let slots = Slots::new(messages, words.div_ceil(WORDS_PER_LINE));
    let level = Arc::<Level>::default();
    let sender = Sender {
        slots: slots.clone(),
        place: 0,
        sent: 0,
        limit: messages as u64,
        cursors: at.clone(),
        capacity: messages,
        level: level.clone(),
    };
    let receiver = Receiver {
        slots,
        place: 0,
        received: 0,
        known: 0,
        cursors: at,
        capacity: messages,
        most: 0,
        level,
    };
    (sender, receiver)
}

impl Sender {
    /// Writes one message in place and publishes it.
    ///
    /// `fill` gets the whole message: at least as many words as the ring was made for. It
    /// contains an older message's words, so write every word that the receiver reads. If
    /// `fill` panics, nothing is published.
    ///
    /// # Errors
    ///
    /// [`Full`]; `fill` is then not called.
    #[inline(always)]
    pub fn try_send(&mut self, fill: impl FnOnce(&mut [u64])) -> Result<(), Full> {
        self.try_send_or_rehearse(true, fill)
    }

    /// As [`try_send`](Self::try_send), or does all of that without publishing: the next
    /// message overwrites this one, and no receiver ever sees it. The same code does both, so
    /// that a rehearsal warms what a message needs.
    ///
    /// ```
    /// let (mut sender, mut receiver) = signal::sync::ring::ring(2, 1);
    /// sender.try_send_or_rehearse(false, |words| words[0] = 7).unwrap();
    /// assert_eq!(receiver.try_receive(|words| words[0]), None);
    /// ```
    ///
    /// # Errors
    ///
    /// [`Full`]; `fill` is then not called.
    #[inline(always)]
    pub fn try_send_or_rehearse(
        &mut self,
        publishes: bool,
        fill: impl FnOnce(&mut [u64]),
    ) -> Result<(), Full> {
        if self.sent == self.limit && !self.look_for_room() {
            return Err(Full);
        }
        // SAFETY: the message at `place` is free: its receiver has said so with `taken`, or
        // it was never sent. This is the only sender.
        unsafe { self.slots.write(self.place, fill) };
        let next = self.slots.after(self.place);
        self.place = if publishes { next } else { self.place };
        self.sent += u64::from(publishes);
        self.cursors.published.store(self.sent, Ordering::Release);
        Ok(())
    }

    /// Whether there is room for one more message. No gauge notes it if there is none.
    pub fn has_room(&self) -> bool {
        self.waiting() < self.capacity
    }

    #[cold]
    fn look_for_room(&mut self) -> bool {
        self.limit = self.cursors.taken.load(Ordering::Acquire) + self.capacity as u64;
        let room = self.sent != self.limit;
        // Written only once, so that a sender that keeps trying keeps its cache line.
        if !room && !self.level.was_full.load(Ordering::Relaxed) {
            self.level.was_full.store(true, Ordering::Relaxed);
        }
        room
    }

    /// Messages that the ring can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Messages sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Messages that have not been received yet.
    pub fn waiting(&self) -> usize {
        // Only a number: no slot is written because of it, unlike in `look_for_room`.
        (self.sent - self.cursors.taken.load(Ordering::Relaxed)) as usize
    }

    /// Reads the ring's high-water mark.
    ///
    /// ```
    /// let (mut sender, mut receiver) = signal::sync::ring::ring(4, 1);
    /// let gauge = sender.gauge();
    /// for _ in 0..3 {
    ///     sender.try_send(|words| words[0] = 7).unwrap();
    /// }
    /// receiver.try_receive(|words| words[0]);
    /// receiver.note_level();
    /// assert_eq!((gauge.high_water(), gauge.capacity()), (3, 4));
    /// ```
    pub fn gauge(&self) -> Gauge {
        Gauge {
            capacity: self.capacity,
            level: self.level.clone(),
        }
    }
}

impl Receiver {
    /// Hands the oldest message to `take` in place, then frees its slot.
    ///
    /// The slot is freed only after `take` has returned. If `take` panics, the message stays.
    #[inline(always)]
    pub fn try_receive<R>(&mut self, take: impl FnOnce(&[u64]) -> R) -> Option<R> {
        self.try_receive_or(None, |_, words| take(words))
    }

    /// As [`try_receive`](Self::try_receive). If no message waits, `take` gets `spare`,
    /// if there is one, and nothing is freed. `take` is also told whether it got the spare.
    ///
    /// ```
    /// let (mut sender, mut receiver) = signal::sync::ring::ring(2, 1);
    /// let mut next = |spare| receiver.try_receive_or(spare, |is_spare, words| (is_spare, words[0]));
    /// assert_eq!(next(Some(&[7])), Some((true, 7)));
    /// sender.try_send(|words| words[0] = 8).unwrap();
    /// assert_eq!((next(Some(&[7])), next(None)), (Some((false, 8)), None));
    /// ```
    #[inline(always)]
    pub fn try_receive_or<R>(
        &mut self,
        spare: Option<&[u64]>,
        take: impl FnOnce(bool, &[u64]) -> R,
    ) -> Option<R> {
        let is_spare = self.received == self.known && self.look() == 0;
        let words = if is_spare {
            spare?
        } else {
            if self.received + 1 < self.known {
                self.slots.prefetch(self.slots.after(self.place));
            }
            // SAFETY: `published` has announced the message at `place`, and it is not written
            // again before it is freed, below. This is the only receiver.
            unsafe { self.slots.get(self.place) }
        };
        #[cfg(loom)]
        let _reads = (!is_spare).then(|| self.slots.reading(self.place));
        let taken = take(is_spare, words);
        #[cfg(loom)]
        drop(_reads);
        if !is_spare {
            self.free(1);
        }
        Some(taken)
    }

    /// Something that tells whether a message waits, as long as this end takes none.
    pub(crate) fn watch(&self) -> Watch {
        Watch {
            cursors: self.cursors.clone(),
            received: self.received,
            slots: self.slots.clone(),
            place: self.place,
        }
    }

    /// Brings a watch up to date.
    pub(crate) fn renew(&self, watch: &mut Watch) {
        watch.received = self.received;
        watch.place = self.place;
    }

    /// 64-bit words of a message.
    pub fn words(&self) -> usize {
        self.slots.words()
    }

    /// Messages that wait. Costs a load of the sender's cursor.
    #[inline]
    pub fn waiting(&self) -> usize {
        (self.cursors.published.load(Ordering::Acquire) - self.received) as usize
    }

    /// As [`waiting`](Self::waiting), and remembers the result.
    #[inline]
    pub(crate) fn look(&mut self) -> usize {
        self.known = self.cursors.published.load(Ordering::Acquire);
        (self.known - self.received) as usize
    }

    /// The `nth` waiting message in place, where the oldest is number 0; `None` if there are
    /// fewer. It stays until it is received or released.
    ///
    /// ```
    /// let (mut sender, mut receiver) = signal::sync::ring::ring(4, 1);
    /// for word in [7, 8, 9] {
    ///     sender.try_send(|words| words[0] = word).unwrap();
    /// }
    /// assert_eq!((receiver.peek(1).unwrap()[0], receiver.peek(3)), (8, None));
    /// receiver.release(2);
    /// assert_eq!(receiver.try_receive(|words| words[0]), Some(9));
    /// ```
    #[inline]
    pub fn peek(&self, nth: usize) -> Option<&[u64]> {
        if nth >= self.waiting() {
            return None;
        }
        let place = self.slots.behind(self.place, nth);
        // SAFETY: `published` has announced the message there, and it is not written again
        // before it is freed, which takes `&mut self`.
        Some(unsafe { self.slots.get(place) })
    }

    /// Frees the oldest `messages`, all at once; none if fewer wait.
    #[inline]
    pub fn release(&mut self, messages: usize) {
        if messages <= self.look() {
            self.free(messages);
        }
    }

    /// Prefetches the lines of the next message before it is there. Only a hint: call it on
    /// each empty poll.
    #[inline]
    pub fn prefetch(&self) {
        self.slots.prefetch(self.place);
    }

    /// Where the `nth` message from now will lie, for a prefetch elsewhere.
    #[inline]
    pub(crate) fn address(&self, nth: usize) -> *const u8 {
        self.slots.address(self.slots.behind(self.place, nth))
    }

    /// Frees the slots of the oldest messages, which have been announced.
    #[inline]
    fn free(&mut self, messages: usize) {
        self.place = self.slots.behind(self.place, messages);
        self.received += messages as u64;
        self.cursors.taken.store(self.received, Ordering::Release);
    }

    /// Raises the high-water mark if more messages wait than ever before, including the one
    /// received last. Costs a load of the sender's cursor.
    #[inline]
    pub fn note_level(&mut self) {
        let waiting = self.look() + 1;
        self.note_waiting(waiting);
    }

    /// As [`note_level`](Self::note_level), if the last message came from another ring.
    #[inline]
    pub fn note_rest(&mut self) {
        let waiting = self.look();
        self.note_waiting(waiting);
    }

    /// As [`note_level`](Self::note_level), for a receiver that knows how many
    /// messages wait.
    #[inline]
    pub fn note_waiting(&mut self, messages: usize) {
        if messages > self.most {
            self.most = messages;
            self.level.most.store(messages, Ordering::Relaxed);
        }
    }

    /// Messages that the ring can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("capacity", &self.capacity())
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("capacity", &self.capacity())
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
mod loom_tests;

#[cfg(all(test, not(loom)))]
mod tests;
