//! To the shards: lanes that each keep some of the instruments.

use std::sync::Arc;

use super::chain::{Accept, Trace};
use super::counters::{Counter, Counters};
use super::outlet::LaneOutlet;
use super::padded::Items;
use super::wire::Events;
use crate::stages::{Body, Ends, Event, InstrumentId, PairId, Shards};

/// Deals events out by their instruments, so that each instrument's stay in
/// order. An index price goes to every shard: those that have none of its pair's
/// instruments yet remember it for those to come.
///
/// A full ring to one shard makes the lane wait, and with it the others: a loss
/// belongs to the ring to ingest, where it is counted.
pub(crate) struct ShardsOutlet {
    shards: Shards,
    outlets: Vec<LaneOutlet>,
    /// By pair, the shard of the instrument that was heard of first. Its copy of
    /// an index price stands for the event, as that instrument's factor vector is
    /// the event's last where there are no shards.
    homes: Items<u8>,
    /// Instruments heard of: they are numbered as they appear.
    heard: u32,
    counters: Arc<Counters>,
}

const NO_HOME: u8 = u8::MAX;

impl ShardsOutlet {
    /// With one outlet a shard, for so many pairs.
    pub(crate) fn new(outlets: Vec<LaneOutlet>, pairs: usize, counters: Arc<Counters>) -> Self {
        Self {
            shards: Shards::new(outlets.len()),
            outlets,
            homes: Items::new(pairs, || NO_HOME),
            heard: 0,
            counters,
        }
    }

    /// Bytes that it takes for so many pairs.
    pub(crate) fn bytes(pairs: usize) -> usize {
        Items::<u8>::bytes(pairs)
    }

    #[cold]
    fn hear_of(&mut self, id: InstrumentId, pair: PairId) {
        self.heard = id.0 + 1;
        let home = &mut self.homes[pair.index()];
        if *home == NO_HOME {
            *home = self.shards.shard(id) as u8;
        }
    }

    #[inline(never)]
    fn send_to_all(&mut self, event: &Event<'_>, trace: &mut Trace) {
        let home = match self.homes[event.pair.index()] {
            NO_HOME => 0,
            home => usize::from(home),
        };
        // Before the first of them can end.
        let copies = self.outlets.len() - 1;
        self.counters.add(Counter::Copies, copies as u64);
        for (shard, outlet) in self.outlets.iter_mut().enumerate() {
            let ends = if shard == home {
                event.ends
            } else {
                Ends::Copy
            };
            let copy = Event { ends, ..*event };
            Accept::<Events>::accept(outlet, &copy, trace);
        }
    }
}

impl Accept<Events> for ShardsOutlet {
    #[inline]
    fn accept(&mut self, event: &Event<'_>, trace: &mut Trace) {
        if matches!(event.body, Body::IndexPrice(_)) {
            return self.send_to_all(event, trace);
        }
        let id = event.meta.instrument;
        if id.0 >= self.heard {
            self.hear_of(id, event.pair);
        }
        let outlet = &mut self.outlets[self.shards.shard(id)];
        Accept::<Events>::accept(outlet, event, trace);
    }
}
