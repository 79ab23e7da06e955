//! A reading end of a broadcast.

use std::fmt;
use std::sync::Arc;

use super::registry::{Reported, Start};
use super::shared::{Shared, State};

/// What [`Consumer::try_receive`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<R> {
    /// What `take` returned for the next message.
    Message(R),
    /// This many messages were overwritten before they were read. Try again: the next one is
    /// still there, unless the producer was faster again.
    Missed(u64),
    /// Nothing new yet.
    Empty,
    /// Nothing new, and nothing will follow.
    Finished,
}

/// A reading end of a broadcast, for one thread at a time.
pub struct Consumer {
    pub(super) shared: Arc<Shared>,
    reported: Arc<Reported>,
    /// Number of the last message received or missed.
    sequence: u64,
    /// The slot of the next message.
    place: usize,
    received: u64,
    missed: u64,
    message: Box<[u64]>,
}

impl Consumer {
    pub(super) fn new(shared: Arc<Shared>, name: &str, start: Start) -> Self {
        let published = shared.state().published;
        let sequence = match start {
            Start::Next => published,
            Start::Oldest => published.saturating_sub(shared.capacity() as u64),
        };
        Self {
            reported: Arc::new(Reported::new(name, sequence)),
            sequence,
            place: (sequence % shared.capacity() as u64) as usize,
            received: 0,
            missed: 0,
            message: shared.buffer(),
            shared,
        }
    }

    pub(super) fn reported(&self) -> &Arc<Reported> {
        &self.reported
    }

    /// Copies the next message and passes the copy to `take`. If there is nothing new, this
    /// takes one acquire load and a compare.
    ///
    /// A consumer that was overtaken continues in the middle of what is kept (or at the
    /// oldest message, if nothing will follow): from the oldest it would soon be overtaken
    /// again. If `take` panics, the message counts as received.
    #[inline]
    pub fn try_receive<R>(&mut self, take: impl FnOnce(&[u64]) -> R) -> Received<R> {
        let state = self.shared.state();
        let ahead = state.published.saturating_sub(self.sequence);
        if ahead == 0 {
            return match state.finished {
                true => Received::Finished,
                false => Received::Empty,
            };
        }
        if ahead > self.shared.capacity() as u64 {
            return self.skip(state);
        }
        let begun = self.shared.read(self.place, &mut self.message);
        if begun != self.sequence + 1 {
            return self.skip(State {
                published: begun - 1,
                finished: false,
            });
        }
        self.sequence += 1;
        self.received += 1;
        self.place += 1;
        if self.place == self.shared.capacity() {
            self.place = 0;
        }
        let taken = take(&self.message[1..]);
        self.report();
        Received::Message(taken)
    }

    /// Skips what has been overwritten.
    #[cold]
    fn skip<R>(&mut self, state: State) -> Received<R> {
        let capacity = self.shared.capacity() as u64;
        let kept = if state.finished {
            capacity
        } else {
            capacity / 2
        };
        let missed = state.published - kept - self.sequence;
        self.sequence += missed;
        self.missed += missed;
        self.place = (self.sequence % capacity) as usize;
        self.report();
        Received::Missed(missed)
    }

    #[inline]
    fn report(&self) {
        self.reported.set(self.missed, self.sequence);
    }

    /// Number of the last message received or missed, from 1. Before the first, it is the
    /// number of the message before that.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Messages received.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Messages that were overwritten before they were read.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Whether everything written so far has been received or missed.
    pub fn has_read_all(&self) -> bool {
        self.shared.state().published <= self.sequence
    }

    /// Whether everything has been received or missed, and nothing will follow.
    pub fn is_finished(&self) -> bool {
        let state = self.shared.state();
        state.finished && state.published <= self.sequence
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer")
            .field("name", &self.reported.name())
            .field("sequence", &self.sequence)
            .field("received", &self.received)
            .field("missed", &self.missed)
            .finish_non_exhaustive()
    }
}
