//! Where a lane's messages come from.

use std::sync::Arc;

use crate::sync::broadcast::{Consumer, Received};
use crate::sync::ring::Receiver;
use crate::telemetry::counters::{Counter, Counters};

/// The receiving end of a lane.
pub(crate) trait Inlet: Send {
    /// Passes the next message to `take`.
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64]) -> R) -> Option<R>;

    /// Raises the high-water mark, if there is one.
    fn note_level(&mut self);

    /// Prefetches the next message's lines before it is there.
    fn prefetch(&self);
}

impl Inlet for Receiver {
    #[inline]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64]) -> R) -> Option<R> {
        Receiver::try_receive(self, take)
    }

    #[inline]
    fn note_level(&mut self) {
        Receiver::note_level(self);
    }

    #[inline]
    fn prefetch(&self) {
        Receiver::prefetch(self);
    }
}

/// The broadcast of factor vectors to the lanes that share out the models. A slow lane misses
/// vectors; they are counted.
pub(crate) struct Share {
    pub(crate) consumer: Consumer,
    pub(crate) counters: Arc<Counters>,
}

impl Inlet for Share {
    #[inline]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64]) -> R) -> Option<R> {
        let mut take = Some(take);
        loop {
            let found = self
                .consumer
                .try_receive(|words| take.take().map(|take| take(words)));
            match found {
                Received::Message(taken) => {
                    // After everything it led to: see `Snapshot::in_flight`.
                    self.counters.bump(Counter::ModelVectorsTaken);
                    return taken;
                }
                Received::Missed(count) => self.counters.add(Counter::ModelVectorsMissed, count),
                Received::Empty | Received::Finished => return None,
            }
        }
    }

    fn note_level(&mut self) {}

    fn prefetch(&self) {}
}

/// The rings of several lanes, polled in turn.
pub(crate) struct Merge {
    inlets: Vec<Receiver>,
    /// Index of the ring to poll next: each gives one message, then it is the next one's
    /// turn.
    next: usize,
    /// Index of the ring that gave the last message.
    last: usize,
}

impl Merge {
    pub(crate) fn new(inlets: Vec<Receiver>) -> Self {
        Self {
            inlets,
            next: 0,
            last: 0,
        }
    }
}

impl Inlet for Merge {
    #[inline]
    fn try_receive<R>(&mut self, take: impl FnOnce(&[u64]) -> R) -> Option<R> {
        let mut take = Some(take);
        for _ in 0..self.inlets.len() {
            let place = self.next;
            // Not a remainder: a division takes longer than a poll.
            self.next = place + 1;
            if self.next == self.inlets.len() {
                self.next = 0;
            }
            let taken = self.inlets[place].try_receive(|words| take.take().map(|take| take(words)));
            if let Some(taken) = taken {
                self.last = place;
                return taken;
            }
        }
        None
    }

    fn note_level(&mut self) {
        for (place, inlet) in self.inlets.iter_mut().enumerate() {
            match place == self.last {
                true => inlet.note_level(),
                false => inlet.note_rest(),
            }
        }
    }

    #[inline]
    fn prefetch(&self) {
        for inlet in &self.inlets {
            inlet.prefetch();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::sync::ring::ring;

    #[test]
    fn a_busy_ring_keeps_no_other_waiting() {
        let (mut senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| ring(8, 1)).unzip();
        let gauges: Vec<_> = senders.iter().map(|sender| sender.gauge()).collect();
        let mut merge = Merge::new(receivers);
        let mut send = |from: usize, count: usize| {
            for _ in 0..count {
                senders[from]
                    .try_send(|words| words[0] = from as u64)
                    .unwrap();
            }
        };
        let mut take = |count: usize| -> Vec<u64> {
            let taken = (0..count).map_while(|_| merge.try_receive(|words| words[0]));
            let taken = taken.collect();
            merge.note_level();
            taken
        };
        send(0, 5);
        assert_eq!(take(2), [0, 0]);
        send(2, 2);
        // Each ring with messages gives one in turn.
        assert_eq!(take(9), [2, 0, 2, 0, 0]);
        send(1, 1);
        assert_eq!(take(1), [1]);
        let high_water: Vec<_> = gauges.iter().map(|gauge| gauge.high_water()).collect();
        // As seen after a batch, including the message taken last.
        assert_eq!(high_water, [4, 1, 0]);
    }
}
