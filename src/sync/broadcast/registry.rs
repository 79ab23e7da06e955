//! The consumers of a broadcast, and how far each has read.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use crossbeam_utils::CachePadded;

use super::consumer::Consumer;
use super::shared::Shared;
use crate::sync::{AtomicU64, Ordering};

/// Where a consumer begins that registers while the producer runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the next message that is sent.
    Next,
    /// At the oldest message that is kept.
    Oldest,
}

/// Registers consumers and reports how far each has read, from any thread.
#[derive(Clone, Debug)]
pub struct Consumers {
    shared: Arc<Shared>,
    all: Arc<Mutex<Vec<Weak<Reported>>>>,
}

/// How far a consumer has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The name that it registered with.
    pub name: String,
    /// Messages received.
    pub received: u64,
    /// Messages that were overwritten before it read them.
    pub missed: u64,
    /// Messages published that it has not read yet. Those among them that are already
    /// overwritten will count as missed.
    pub behind: u64,
    /// Whether it has read everything, and nothing will follow.
    pub finished: bool,
}

impl Consumers {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            all: Arc::default(),
        }
    }

    /// Adds a consumer, before the producer runs or while it does. Dropping the consumer ends
    /// its registration. Not for the hot path: it takes a lock and allocates.
    pub fn register(&self, name: &str, start: Start) -> Consumer {
        let consumer = Consumer::new(self.shared.clone(), name, start);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|one| one.strong_count() > 0);
        all.push(Arc::downgrade(consumer.reported()));
        consumer
    }

    /// How far each consumer has read, in the order in which they registered.
    ///
    /// ```
    /// use signal::sync::broadcast::{Start, broadcast};
    /// let (mut producer, consumers) = broadcast(8, 1);
    /// let mut slow = consumers.register("slow", Start::Next);
    /// producer.send(|words| words[0] = 1);
    /// assert_eq!(consumers.progress()[0].behind, 1);
    /// slow.try_receive(|words| words[0]);
    /// assert_eq!((consumers.progress()[0].received, consumers.progress()[0].behind), (1, 0));
    /// ```
    pub fn progress(&self) -> Vec<Progress> {
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let living = all.iter().filter_map(Weak::upgrade);
        living
            .map(|one| {
                let (received, missed, sequence) = one.get();
                // Read after the consumer's numbers, so that no consumer is ahead of it.
                let state = self.shared.state();
                let behind = state.published.saturating_sub(sequence);
                Progress {
                    name: one.name().to_owned(),
                    received,
                    missed,
                    behind,
                    finished: state.finished && behind == 0,
                }
            })
            .collect()
    }
}

/// What a consumer reports of itself, on a cache line of its own.
#[derive(Debug)]
pub(super) struct Reported {
    name: String,
    /// The sequence number after which the consumer began.
    start: u64,
    counts: CachePadded<Counts>,
}

#[derive(Debug)]
struct Counts {
    missed: AtomicU64,
    sequence: AtomicU64,
}

impl Reported {
    pub(super) fn new(name: &str, start: u64) -> Self {
        Self {
            name: name.to_owned(),
            start,
            counts: CachePadded::new(Counts {
                missed: AtomicU64::new(0),
                sequence: AtomicU64::new(start),
            }),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    #[inline]
    pub(super) fn set(&self, missed: u64, sequence: u64) {
        self.counts.missed.store(missed, Ordering::Relaxed);
        // A thread that sees it also sees what the consumer did with the message, and a
        // count of missed ones that is no older.
        self.counts.sequence.store(sequence, Ordering::Release);
    }

    /// Messages received, messages missed, and the number of the last of either.
    fn get(&self) -> (u64, u64, u64) {
        let sequence = self.counts.sequence.load(Ordering::Acquire);
        let missed = self.counts.missed.load(Ordering::Relaxed);
        let received = (sequence - self.start).saturating_sub(missed);
        (received, missed, sequence)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn consumers_that_ended_are_forgotten() {
        let (_producer, registry) = crate::sync::broadcast::broadcast(2, 1);
        for _ in 0..5 {
            drop(registry.register("ended", Start::Next));
        }
        let _living = registry.register("living", Start::Next);
        assert_eq!(registry.all.lock().unwrap().len(), 1);
        assert_eq!(registry.progress().len(), 1);
    }
}
