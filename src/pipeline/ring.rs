//! The ring between two lanes: `rtrb`, in units of cache lines.
//!
//! A message takes a fixed number of 64-byte lines, set when the ring is made,
//! so that it is as small as the configured factor sets allow without the
//! message's size being part of a type. Messages never wrap around the ring's
//! end, because the capacity is a multiple of the message's size.
//!
//! Publication is `rtrb`'s: the payload is written first, then one release
//! store of the tail makes it visible; the receiver reads the tail with
//! acquire. Both operations are wait-free.
//!
//! A ring keeps its high-water mark: the receiver notes how many messages it
//! finds, the sender that there was no room. Each has a cell of its own.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytemuck::{Pod, Zeroable};
use crossbeam_utils::CachePadded;
use rtrb::{Consumer, Producer, RingBuffer};

/// 64-bit words in a cache line.
pub const WORDS_PER_LINE: usize = 8;

/// One cache line of a message.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C, align(64))]
struct Line([u64; WORDS_PER_LINE]);

/// The ring has no room for one more message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the ring is full: its receiver is behind by the ring's whole capacity")
    }
}

impl std::error::Error for Full {}

/// The writing end of a ring. One thread at a time.
pub struct Sender {
    lines: Producer<Line>,
    per_message: usize,
    level: Arc<Level>,
}

/// The reading end of a ring. One thread at a time.
pub struct Receiver {
    lines: Consumer<Line>,
    per_message: usize,
    most_lines: usize,
    level: Arc<Level>,
}

/// How full a ring has been. One writer a cell.
#[derive(Debug, Default)]
struct Level {
    most_lines: CachePadded<AtomicUsize>,
    was_full: CachePadded<AtomicBool>,
}

/// Reads a ring's size and high-water mark, from any thread.
#[derive(Clone, Debug)]
pub struct Gauge {
    capacity: usize,
    per_message: usize,
    level: Arc<Level>,
}

impl Gauge {
    /// Messages that the ring can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Most messages that have waited in the ring at once, as its receiver saw
    /// them: a lane looks at least once in a batch. The capacity, once the
    /// sender has found no room.
    pub fn high_water(&self) -> usize {
        if self.level.was_full.load(Ordering::Relaxed) {
            return self.capacity;
        }
        let messages = self.level.most_lines.load(Ordering::Relaxed) / self.per_message;
        messages.min(self.capacity)
    }
}

/// Makes a ring of `messages` messages of at least `words` 64-bit words each.
///
/// All of its memory is written once here, so no page fault is left for the
/// hot path.
///
/// # Panics
///
/// If `messages` or `words` is 0.
///
/// ```
/// let (mut sender, mut receiver) = signal::pipeline::ring::ring(2, 3);
/// sender.try_send(|words| words[0] = 7).unwrap();
/// assert_eq!(receiver.try_receive(|words| words[0]), Some(7));
/// assert_eq!(receiver.try_receive(|words| words[0]), None);
/// ```
pub fn ring(messages: usize, words: usize) -> (Sender, Receiver) {
    assert!(
        messages > 0 && words > 0,
        "a ring needs at least one message of one word"
    );
    let per_message = words.div_ceil(WORDS_PER_LINE);
    let capacity = messages * per_message;
    let (mut producer, mut consumer) = RingBuffer::new(capacity);
    if let Ok(chunk) = producer.write_chunk_uninit(capacity) {
        let filled = chunk.fill_from_iter(std::iter::repeat_n(Line::zeroed(), capacity));
        debug_assert_eq!(filled, capacity);
    }
    if let Ok(chunk) = consumer.read_chunk(capacity) {
        chunk.commit_all();
    }
    let level = Arc::<Level>::default();
    (
        Sender {
            lines: producer,
            per_message,
            level: level.clone(),
        },
        Receiver {
            lines: consumer,
            per_message,
            most_lines: 0,
            level,
        },
    )
}

impl Sender {
    /// Writes one message in place and publishes it.
    ///
    /// `fill` gets the whole message, at least as many words as the ring was
    /// made for. It holds an older message's words: write every word that the
    /// receiver reads.
    ///
    /// # Errors
    ///
    /// [`Full`], and `fill` is not called.
    #[inline]
    pub fn try_send(&mut self, fill: impl FnOnce(&mut [u64])) -> Result<(), Full> {
        let Ok(mut chunk) = self.lines.write_chunk_uninit(self.per_message) else {
            // Written once, so that a sender that tries again and again keeps
            // its line.
            if !self.level.was_full.load(Ordering::Relaxed) {
                self.level.was_full.store(true, Ordering::Relaxed);
            }
            return Err(Full);
        };
        let (slots, wrapped) = chunk.as_mut_slices();
        debug_assert!(wrapped.is_empty());
        // SAFETY: every slot of the ring was initialised by `ring` and holds
        // plain data ever since: nothing in this file moves a value out.
        let lines = unsafe { &mut *(std::ptr::from_mut(slots) as *mut [Line]) };
        fill(bytemuck::cast_slice_mut(lines));
        // SAFETY: as above, all slots of the chunk are initialised.
        unsafe { chunk.commit_all() };
        Ok(())
    }

    /// Messages that the ring can hold.
    pub fn capacity(&self) -> usize {
        self.lines.buffer().capacity() / self.per_message
    }

    /// Messages that have not been received yet.
    pub fn waiting(&self) -> usize {
        self.capacity() - self.lines.slots() / self.per_message
    }

    /// Reads the ring's high-water mark.
    ///
    /// ```
    /// let (mut sender, mut receiver) = signal::pipeline::ring::ring(4, 1);
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
            capacity: self.capacity(),
            per_message: self.per_message,
            level: self.level.clone(),
        }
    }
}

impl Receiver {
    /// Hands the oldest message to `take` in place, then frees its slot.
    ///
    /// The slot is freed only after `take` has returned: should it panic, the
    /// message stays.
    #[inline]
    pub fn try_receive<R>(&mut self, take: impl FnOnce(&[u64]) -> R) -> Option<R> {
        let chunk = self.lines.read_chunk(self.per_message).ok()?;
        let (lines, wrapped) = chunk.as_slices();
        debug_assert!(wrapped.is_empty());
        let taken = take(bytemuck::cast_slice(lines));
        chunk.commit_all();
        Some(taken)
    }

    /// Raises the high-water mark if more messages wait than ever before, the
    /// one counted that was received last. Costs a load of the sender's position.
    #[inline]
    pub fn note_level(&mut self) {
        let lines = self.lines.slots() + self.per_message;
        self.note_lines(lines);
    }

    /// As [`note_level`](Self::note_level), where the last message came from
    /// another ring.
    #[inline]
    pub fn note_rest(&mut self) {
        self.note_lines(self.lines.slots());
    }

    /// As [`note_level`](Self::note_level), for a receiver that knows how many
    /// messages wait.
    #[inline]
    pub fn note_waiting(&mut self, messages: usize) {
        self.note_lines(messages * self.per_message);
    }

    #[inline]
    fn note_lines(&mut self, lines: usize) {
        if lines > self.most_lines {
            self.most_lines = lines;
            self.level.most_lines.store(lines, Ordering::Relaxed);
        }
    }

    /// Messages that the ring can hold.
    pub fn capacity(&self) -> usize {
        self.lines.buffer().capacity() / self.per_message
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("capacity", &self.capacity())
            .field("lines_per_message", &self.per_message)
            .finish()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver")
            .field("capacity", &self.capacity())
            .field("lines_per_message", &self.per_message)
            .finish()
    }
}
