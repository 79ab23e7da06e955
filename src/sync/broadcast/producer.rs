//! The writing end of a broadcast.

use std::fmt;
use std::sync::Arc;

use super::shared::Shared;

/// The writing end of a broadcast, for one thread at a time. Dropping it tells the consumers
/// that no message will follow.
pub struct Producer {
    shared: Arc<Shared>,
    sent: u64,
    /// The slot that the next message goes to.
    place: usize,
    message: Box<[u64]>,
}

impl Producer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            message: shared.buffer(),
            shared,
            sent: 0,
            place: 0,
        }
    }

    /// Publishes one message and returns its number, from 1. Wait-free: it overwrites the
    /// oldest message, so no consumer can block it.
    ///
    /// `fill` gets the whole message: at least as many words as the broadcast was made for.
    /// It contains the words of the previous message, so write every word that a consumer
    /// reads. If `fill` panics, nothing is published.
    ///
    /// ```
    /// let (mut producer, _) = signal::sync::broadcast::broadcast(2, 1);
    /// assert_eq!(producer.send(|words| words[0] = 7), 1);
    /// assert_eq!(producer.send(|words| words[0] = 8), 2);
    /// ```
    #[inline]
    pub fn send(&mut self, fill: impl FnOnce(&mut [u64])) -> u64 {
        fill(&mut self.message[1..]);
        self.sent += 1;
        self.shared.write(self.place, self.sent, &self.message);
        self.place += 1;
        if self.place == self.shared.capacity() {
            self.place = 0;
        }
        self.sent
    }

    /// Messages sent so far.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Messages that are kept.
    pub fn capacity(&self) -> usize {
        self.shared.capacity()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.shared.finish(self.sent);
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Producer")
            .field("sent", &self.sent)
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
