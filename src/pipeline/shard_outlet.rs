//! The sending end to the shards: lanes that each keep some of the instruments.

use std::sync::Arc;

use super::accept::Accept;
use super::outlet::LaneOutlet;
use super::trace::Trace;
use crate::messages::wire::Events;
use crate::messages::{Body, Ends, Event, InstrumentId, Marker, PairId};
use crate::stages::Shards;
use crate::sync::padded::Items;
use crate::telemetry::counters::{Counter, Counters};

/// Distributes events by instrument, so that each instrument's events stay in order. An index
/// price goes to every shard: a shard that has none of its pair's instruments yet remembers
/// it for those to come.
///
/// A full ring to one shard makes the lane wait, and so the other shards too. Losses happen
/// in the ring to ingest, where they are counted.
pub(crate) struct ShardsOutlet {
    shards: Shards,
    outlets: Vec<LaneOutlet>,
    /// For each pair, the shard of the instrument that was seen first. That shard's copy of
    /// an index price counts as the event, because without shards that instrument's factor
    /// vector is the event's last.
    homes: Items<u8>,
    /// Number of instruments seen; they are numbered as they appear.
    heard: u32,
    counters: Arc<Counters>,
}

const NO_HOME: u8 = u8::MAX;

impl ShardsOutlet {
    /// With one outlet per shard, for `pairs` pairs.
    pub(crate) fn new(outlets: Vec<LaneOutlet>, pairs: usize, counters: Arc<Counters>) -> Self {
        Self {
            shards: Shards::new(outlets.len()),
            outlets,
            homes: Items::new(pairs, || NO_HOME),
            heard: 0,
            counters,
        }
    }

    /// Bytes that it takes for `pairs` pairs.
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
        // Counted before the first of them can end.
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
        let id = match event.meta.instrument {
            InstrumentId::SHADOW => trace.rehearsed,
            id => id,
        };
        if id.0 >= self.heard {
            self.hear_of(id, event.pair);
        }
        let outlet = &mut self.outlets[self.shards.shard(id)];
        Accept::<Events>::accept(outlet, event, trace);
    }

    fn may_rehearse(&self) -> bool {
        let mut outlets = self.outlets.iter();
        outlets.all(Accept::<Events>::may_rehearse)
    }

    fn on_marker(&mut self, marker: Marker) {
        for outlet in &mut self.outlets {
            Accept::<Events>::on_marker(outlet, marker);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::messages::Meta;
    use crate::messages::market::{IndexPrice, Trade};
    use crate::messages::wire::{Encode, Wire};
    use crate::os::clock::Clock;
    use crate::pipeline::control::Control;
    use crate::pipeline::idle::Idle;
    use crate::stages::Stage;
    use crate::sync::ring::{Receiver, ring};
    use crate::telemetry::counters::Snapshot;
    use crate::telemetry::heartbeat::heartbeat;

    /// An outlet to shards with rings of `size` messages, and the rings' receivers.
    fn outlet(shards: usize, size: usize) -> (ShardsOutlet, Vec<Receiver>, Arc<Control>) {
        let (clock, control) = (Clock::new(false), Arc::new(Control::new(1)));
        let counters = Counters::new();
        let (_, reader) = heartbeat(&clock, 1_000);
        let (outlets, receivers) = (0..shards)
            .map(|_| {
                let (sender, receiver) = ring(size, Events::words(4));
                let outlet = LaneOutlet {
                    sender,
                    idle: Idle::Yield,
                    patience: reader.patience(),
                    counters: counters.clone(),
                    control: control.clone(),
                };
                (outlet, receiver)
            })
            .unzip();
        (ShardsOutlet::new(outlets, 8, counters), receivers, control)
    }

    fn event(instrument: u32, pair: u32, body: Body<'static>) -> Event<'static> {
        Event {
            meta: Meta {
                input_sequence: 1,
                instrument: InstrumentId(instrument),
                timestamp: 0,
                arrival: 0,
            },
            pair: PairId(pair),
            ends: Ends::Event,
            body,
        }
    }

    fn trade(instrument: u32, pair: u32) -> Event<'static> {
        let trade = Trade {
            timestamp: 0,
            price: 1.0,
            volume: 1.0,
            side: 0,
        };
        event(instrument, pair, Body::Trade(trade))
    }

    fn index(pair: u32) -> Event<'static> {
        let body = Body::IndexPrice(IndexPrice { price: 1.0 });
        event(InstrumentId::NONE.0, pair, body)
    }

    /// For each shard, the instruments of its messages and what ends with them.
    fn received(shards: &mut [Receiver]) -> Vec<Vec<(u32, Ends)>> {
        let all = |shard: &mut Receiver| {
            let message = |words: &[u64]| {
                let (event, _) = Events::decode(words);
                (event.meta.instrument.0, event.ends)
            };
            std::iter::from_fn(|| shard.try_receive(message)).collect()
        };
        shards.iter_mut().map(all).collect()
    }

    const NONE: u32 = InstrumentId::NONE.0;

    #[test]
    fn events_go_to_their_instruments_shard_and_index_prices_to_all() {
        let (mut outlet, mut shards, _) = outlet(3, 16);
        let mut trace = Trace::new(Clock::new(false), Stage::Ingest, Stage::Ingest, 1);
        let mut send = |event: Event<'_>| {
            Accept::<Events>::accept(&mut outlet, &event, &mut trace);
        };
        send(index(0));
        let (own, copy) = ((NONE, Ends::Event), (NONE, Ends::Copy));
        assert_eq!(received(&mut shards), [[own], [copy], [copy]]);
        for (instrument, pair) in [(0, 1), (1, 0), (2, 1), (3, 0), (1, 0), (4, 2)] {
            send(trade(instrument, pair));
        }
        let of = |ids: &[u32]| ids.iter().map(|&id| (id, Ends::Event)).collect::<Vec<_>>();
        assert_eq!(
            received(&mut shards),
            [of(&[0, 3]), of(&[1, 1, 4]), of(&[2])]
        );
        // The pair's oldest instrument decides which copy counts as the event.
        send(index(0));
        assert_eq!(received(&mut shards), [[copy], [own], [copy]]);
        send(index(1));
        assert_eq!(received(&mut shards), [[own], [copy], [copy]]);
        assert_eq!(
            Snapshot::of(&[outlet.counters.clone()]).get(Counter::Copies),
            6
        );
    }

    #[test]
    fn what_cannot_be_sent_any_more_is_counted_once() {
        let (mut outlet, mut shards, control) = outlet(3, 1);
        let mut trace = Trace::new(Clock::new(false), Stage::Ingest, Stage::Ingest, 1);
        let mut send = |event: Event<'_>| {
            Accept::<Events>::accept(&mut outlet, &event, &mut trace);
        };
        control.stop();
        // One event fits into each ring; then one event and two copies are lost.
        for event in [trade(0, 0), trade(1, 1), index(0), trade(2, 2)] {
            send(event);
        }
        let counters = Snapshot::of(&[outlet.counters.clone()]);
        let get = |counter| counters.get(counter);
        // The copy that counts as the event, and the last trade.
        assert_eq!(get(Counter::DroppedStageStopped), 2);
        assert_eq!((get(Counter::Copies), get(Counter::CopiesEnded)), (2, 1));
        assert_eq!(get(Counter::LostStageParts), 1);
        assert_eq!(counters.lost(), 3);
        let left = received(&mut shards);
        assert_eq!(left[2], [(NONE, Ends::Copy)]);
        assert_eq!(left.iter().map(Vec::len).sum::<usize>(), 3);
    }
}
