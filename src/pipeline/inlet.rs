//! Where a lane's messages come from.

use std::sync::Arc;

use crate::messages::Marker;
use crate::messages::wire::{self, FactorVectors, Wire};
use crate::sync::broadcast::{self, Consumer};
use crate::sync::ring::{Receiver, Watch};
use crate::telemetry::counters::{Counter, Counters};

/// A message from an inlet.
pub(crate) struct Received<'a> {
    pub(crate) words: &'a [u64],
    /// A marker before the message, which this lane has missed.
    pub(crate) missed: Option<Marker>,
    /// Whether the message is the spare one, which was not sent.
    pub(crate) is_spare: bool,
}

/// What a lane needs to know of its inlet to rehearse messages.
pub(crate) struct Spares {
    /// 64-bit words of a message.
    pub(crate) words: usize,
    pub(crate) watch: Watch,
}

/// The receiving end of a lane.
pub(crate) trait Inlet: Send {
    /// Passes the next message to `take`, or if there is none, `spare`.
    fn try_receive<R>(
        &mut self,
        spare: Option<&[u64]>,
        take: impl FnOnce(Received<'_>) -> R,
    ) -> Option<R>;

    /// `None` if this inlet ignores spare messages.
    fn spares(&self) -> Option<Spares> {
        None
    }

    /// Brings a watch of this inlet up to date.
    #[inline]
    fn renew(&self, _watch: &mut Watch) {}

    /// Raises the high-water mark, if there is one.
    fn note_level(&mut self);

    /// Prefetches the next message's lines before it is there.
    fn prefetch(&self);
}

impl Inlet for Receiver {
    #[inline]
    fn try_receive<R>(
        &mut self,
        spare: Option<&[u64]>,
        take: impl FnOnce(Received<'_>) -> R,
    ) -> Option<R> {
        self.try_receive_or(spare, |is_spare, words| {
            take(Received {
                words,
                missed: None,
                is_spare,
            })
        })
    }

    fn spares(&self) -> Option<Spares> {
        Some(Spares {
            words: self.words(),
            watch: self.watch(),
        })
    }

    fn renew(&self, watch: &mut Watch) {
        Receiver::renew(self, watch);
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
/// vectors; they are counted. It may miss a marker too. Then the next vector says so. There is
/// at most one marker under way.
pub(crate) struct Share {
    consumer: Consumer,
    counters: Arc<Counters>,
    /// The last marker that this lane knows.
    last_marker: u64,
    /// Messages missed since the last one that was taken.
    missed: u64,
}

impl Share {
    pub(crate) fn new(consumer: Consumer, counters: Arc<Counters>) -> Self {
        Self {
            consumer,
            counters,
            last_marker: 0,
            missed: 0,
        }
    }
}

impl Inlet for Share {
    #[inline]
    fn try_receive<R>(
        &mut self,
        _: Option<&[u64]>,
        take: impl FnOnce(Received<'_>) -> R,
    ) -> Option<R> {
        let mut take = Some(take);
        loop {
            let (counters, known, missed) =
                (&self.counters, &mut self.last_marker, &mut self.missed);
            let found = self.consumer.try_receive(|words| {
                let (last, is_marker) = (wire::last_marker(words), is_marker(words));
                let missed_marker = (last != *known && !is_marker).then_some(Marker(last));
                *known = last;
                // Before the marker is passed on: what was missed before it is then counted.
                // Markers are not counted.
                if *missed > 0 {
                    let vectors = *missed - u64::from(missed_marker.is_some());
                    counters.add(Counter::ModelVectorsMissed, vectors);
                    *missed = 0;
                }
                let taken = take.take().map(|take| {
                    take(Received {
                        words,
                        missed: missed_marker,
                        is_spare: false,
                    })
                });
                (taken, is_marker)
            });
            match found {
                broadcast::Received::Message((taken, is_marker)) => {
                    // After everything the vector led to: see `Snapshot::in_flight`.
                    if !is_marker {
                        self.counters.bump(Counter::ModelVectorsTaken);
                    }
                    return taken;
                }
                broadcast::Received::Missed(count) => self.missed += count,
                broadcast::Received::Empty | broadcast::Received::Finished => return None,
            }
        }
    }

    fn note_level(&mut self) {}

    fn prefetch(&self) {}
}

#[inline]
fn is_marker(words: &[u64]) -> bool {
    FactorVectors::marker(words).is_some()
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
    fn try_receive<R>(
        &mut self,
        _: Option<&[u64]>,
        take: impl FnOnce(Received<'_>) -> R,
    ) -> Option<R> {
        let mut take = Some(take);
        for _ in 0..self.inlets.len() {
            let place = self.next;
            // Not a remainder: a division takes longer than a poll.
            self.next = place + 1;
            if self.next == self.inlets.len() {
                self.next = 0;
            }
            let taken = self.inlets[place].try_receive(|words| {
                let received = Received {
                    words,
                    missed: None,
                    is_spare: false,
                };
                take.take().map(|take| take(received))
            });
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
    use crate::messages::wire::Encode;
    use crate::messages::{Ends, FactorVector, InstrumentId, Meta};
    use crate::os::clock::Clock;
    use crate::pipeline::accept::Accept;
    use crate::pipeline::outlet::ModelsOutlet;
    use crate::pipeline::trace::Trace;
    use crate::stages::Stage;
    use crate::sync::broadcast::{Start, broadcast};
    use crate::sync::ring::ring;
    use crate::telemetry::counters::Snapshot;

    /// A marker that was missed before the message, and the message: a marker's number, or
    /// minus a vector's value.
    fn look(share: &mut Share) -> Option<(Option<u64>, i64)> {
        share.try_receive(None, |received| {
            let (missed, words) = (received.missed, received.words);
            let message = match FactorVectors::marker(words) {
                Some(marker) => marker.number() as i64,
                None => -(FactorVectors::decode(words).0.values[0] as i64),
            };
            (missed.map(Marker::number), message)
        })
    }

    #[test]
    fn a_share_finds_each_marker_once_even_if_it_was_overtaken() {
        let (producer, consumers) = broadcast(4, FactorVectors::words(1));
        let counters = Counters::new();
        let mut outlet = ModelsOutlet {
            producer,
            lanes: 1,
            last_marker: 0,
            counters: counters.clone(),
        };
        let consumer = consumers.register("model#0", Start::Next);
        let mut share = Share::new(consumer, counters.clone());
        let mut trace = Trace::new(Clock::new(false), Stage::Factor, Stage::Factor, 1);
        let mut send = |outlet: &mut ModelsOutlet, value: f64| {
            let vector = FactorVector {
                meta: Meta {
                    input_sequence: 1,
                    instrument: InstrumentId(0),
                    timestamp: 0,
                    arrival: 0,
                },
                ends: Ends::Event,
                values: &[value],
            };
            outlet.accept(&vector, &mut trace);
        };
        let balance = || {
            let counters = Snapshot::of(std::slice::from_ref(&counters));
            let get = |counter| counters.get(counter);
            assert_eq!(
                get(Counter::ModelVectorsSent),
                get(Counter::ModelVectorsTaken) + get(Counter::ModelVectorsMissed)
            );
            get(Counter::ModelVectorsMissed)
        };

        send(&mut outlet, 1.0);
        outlet.on_marker(Marker(1));
        send(&mut outlet, 2.0);
        assert_eq!(look(&mut share), Some((None, -1)));
        assert_eq!(look(&mut share), Some((None, 1)));
        assert_eq!(look(&mut share), Some((None, -2)));
        assert_eq!((look(&mut share), balance()), (None, 0));

        // Now with the marker among the messages that were overtaken.
        send(&mut outlet, 3.0);
        outlet.on_marker(Marker(2));
        for value in 4..=12 {
            send(&mut outlet, f64::from(value));
        }
        let (missed, first) = look(&mut share).unwrap();
        assert_eq!(missed, Some(2));
        assert!(first < -4, "{first}");
        let mut next = first;
        while let Some((missed, vector)) = look(&mut share) {
            next -= 1;
            assert_eq!((missed, vector), (None, next));
        }
        assert_eq!(next, -12);
        assert_eq!(balance() as i64, -first - 3);

        // Vectors were overtaken, but no marker.
        for value in 13..=30 {
            send(&mut outlet, f64::from(value));
        }
        assert_eq!(look(&mut share).unwrap().0, None);
        while look(&mut share).is_some() {}
        balance();
    }

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
            let taken =
                (0..count).map_while(|_| merge.try_receive(None, |received| received.words[0]));
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
