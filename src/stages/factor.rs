//! Factor: keeps state per instrument and computes on a trigger.
//!
//! If a factor set panics, the state of its instrument may be inconsistent. That instrument
//! is put in quarantine; the others continue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::Shards;
use crate::abi::EventKind;
use crate::factors::FactorBank;
use crate::messages::market::IndexPrice;
use crate::messages::{Body, Event, FactorVector, InstrumentId, Meta, Names, PairId};
use crate::os::panic::Payload;
use crate::sync::padded::{Items, Values};
use crate::sync::prefetch;

/// Which kinds of event make the engine compute a factor vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Triggers([bool; EventKind::ALL.len()]);

impl Triggers {
    /// These kinds.
    pub fn new(kinds: &[EventKind]) -> Self {
        let mut triggers = Self([false; EventKind::ALL.len()]);
        for &kind in kinds {
            triggers.0[kind as usize] = true;
        }
        triggers
    }

    #[inline]
    pub(crate) fn has(self, kind: EventKind) -> bool {
        self.0[kind as usize]
    }
}

/// How an event ended in the factor stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// State was updated, nothing was computed.
    Updated,
    /// Its last factor vector was sent on.
    HandedOn,
    /// Its instrument is in quarantine, or this event put it there.
    Quarantined,
}

/// A factor set panicked: its instrument is in quarantine from now on.
#[derive(Debug)]
pub struct FactorPanic {
    /// The instrument.
    pub instrument: InstrumentId,
    /// The factor set's name.
    pub set: &'static str,
    /// What it panicked with.
    pub payload: Payload,
}

/// The factor stage: every configured set, their vectors one after the other.
pub struct Factor {
    banks: Vec<Box<dyn FactorBank>>,
    /// Width of each bank's vector.
    widths: Box<[usize]>,
    /// Index of the bank that is running.
    at: usize,
    values: Values,
    /// Places in `values` of the factors that are sent, unless all are.
    selection: Option<Box<[usize]>>,
    /// The selected ones, and behind them the event's arrival if it is sent too.
    selected: Values,
    triggers: Triggers,
    /// By place. Without shards an instrument's place is its number.
    instruments: Items<Instrument>,
    /// The place that belongs to no instrument, as in each bank.
    shadow: InstrumentId,
    /// Whether no instrument is known yet.
    is_new: bool,
    /// Whether no set has panicked while it prefetched.
    prefetches: bool,
    pairs: Items<Pair>,
    /// What the instruments are, by number.
    names: Arc<Names>,
    /// How instruments are assigned to shards, and which shard this is; `None` if all are
    /// here.
    shard: Option<(Shards, usize)>,
}

/// What the stage itself stores per instrument.
#[derive(Clone, Copy)]
struct Instrument {
    /// The instrument of the same pair that was first seen before this one.
    next: Next,
    /// Time of its last event, ns since the Unix epoch.
    timestamp: i64,
}

#[derive(Clone, Copy, PartialEq)]
enum Next {
    /// No event of the instrument has been seen.
    Unheard,
    Quarantined,
    End,
    Instrument(InstrumentId),
}

/// Instruments of one exchange and symbol, and the index price they share.
#[derive(Clone, Copy)]
struct Pair {
    first: Next,
    index: Option<IndexPrice>,
}

impl Factor {
    /// A stage that runs these sets in this order, with room for the instruments of `names` and
    /// for `pairs`. `selection` has the places of the factors that are sent; `None` sends all.
    ///
    /// # Panics
    ///
    /// If a place is outside the vector.
    pub fn new(
        banks: Vec<Box<dyn FactorBank>>,
        selection: Option<&[usize]>,
        triggers: Triggers,
        names: Arc<Names>,
        pairs: usize,
    ) -> Self {
        let instruments = names.capacity();
        Self::with_room((instruments, pairs), banks, selection, triggers, names)
    }

    fn with_room(
        (instruments, pairs): (usize, usize),
        banks: Vec<Box<dyn FactorBank>>,
        selection: Option<&[usize]>,
        triggers: Triggers,
        names: Arc<Names>,
    ) -> Self {
        let widths: Box<[usize]> = banks.iter().map(|bank| bank.width()).collect();
        let width = widths.iter().sum();
        let selection: Option<Box<[usize]>> = selection.map(Into::into);
        if let Some(places) = &selection {
            assert!(places.iter().all(|&place| place < width));
        }
        let selected = Values::new(selection.as_ref().map_or(0, |places| places.len()));
        let unheard = Instrument {
            next: Next::Unheard,
            timestamp: 0,
        };
        // One more, which belongs to no instrument. It is in no pair.
        let mut places = Items::new(instruments.saturating_add(1), || unheard);
        let shadow = InstrumentId(instruments as u32);
        places[instruments].next = Next::End;
        let pair = Pair {
            first: Next::End,
            index: None,
        };
        Self {
            banks,
            widths,
            at: 0,
            values: Values::new(width),
            selection,
            selected,
            triggers,
            instruments: places,
            shadow,
            is_new: true,
            prefetches: true,
            pairs: Items::new(pairs, || pair),
            names,
            shard: None,
        }
    }

    /// As [`new`](Self::new), for the instruments of one of several shards. It has room for
    /// that shard's share of the instruments, and so must the banks.
    ///
    /// # Panics
    ///
    /// If a place is outside the vector.
    pub fn of_shard(
        (shards, shard): (Shards, usize),
        banks: Vec<Box<dyn FactorBank>>,
        selection: Option<&[usize]>,
        triggers: Triggers,
        names: Arc<Names>,
        pairs: usize,
    ) -> Self {
        let share = shards.share(names.capacity());
        Self {
            shard: Some((shards, shard)),
            ..Self::with_room((share, pairs), banks, selection, triggers, names)
        }
    }

    /// This stage, if it has a selection, with each event's arrival (TSC ticks, as the bits of a
    /// value) behind the selected factors.
    pub(crate) fn with_arrival(mut self) -> Self {
        if let Some(places) = &self.selection {
            self.selected = Values::new(places.len() + 1);
        }
        self
    }

    /// The instrument's place in this stage.
    #[inline]
    fn place(&self, id: InstrumentId) -> InstrumentId {
        match self.shard {
            _ if id == InstrumentId::SHADOW => self.shadow,
            None => id,
            Some((shards, _)) => InstrumentId(shards.local(id)),
        }
    }

    /// The number of the instrument with this place.
    fn number(&self, place: InstrumentId) -> InstrumentId {
        match self.shard {
            _ if place == self.shadow => InstrumentId::SHADOW,
            None => place,
            Some((shards, shard)) => shards.global(shard, place.0),
        }
    }

    /// Bytes that the stage itself takes for `instruments` and `pairs`, without the sets'
    /// states.
    pub fn bytes(instruments: usize, pairs: usize) -> usize {
        Items::<Instrument>::bytes(instruments.saturating_add(1))
            .saturating_add(Items::<Pair>::bytes(pairs))
    }

    /// Prefetches what the instrument's next event touches. A set that panics is passed to
    /// `panicked`, and nothing is prefetched any more.
    pub fn prefetch(&mut self, id: InstrumentId, panicked: impl FnOnce(FactorPanic)) {
        let place = self.place(id);
        let Some(instrument) = self.instruments.get(place.index()) else {
            return;
        };
        if !self.prefetches {
            return;
        }
        prefetch::value(instrument);
        for bank in &self.banks {
            let prefetch = || bank.prefetch(place);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(prefetch)) {
                self.prefetches = false;
                return panicked(FactorPanic {
                    instrument: InstrumentId::SHADOW,
                    set: bank.name(),
                    payload,
                });
            }
        }
    }

    /// Updates the instrument's state. An event that triggers also computes its factors. An
    /// index price updates every instrument of its pair.
    ///
    /// An event of [`InstrumentId::SHADOW`] does the same on a state that belongs to no
    /// instrument. An index price has no such state.
    ///
    /// A panic of a factor set does not spread: it is passed to `panicked` once, and the
    /// instrument's later events end as [`Applied::Quarantined`].
    #[inline(always)]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn on(
        &mut self,
        event: &Event<'_>,
        mut out: impl FnMut(FactorVector<'_>),
        mut panicked: impl FnMut(FactorPanic),
    ) -> Applied {
        let timestamp = event.meta.timestamp;
        let kind = match &event.body {
            Body::Depth(_) => EventKind::Depth,
            Body::Ticker(_) => EventKind::Ticker,
            Body::Trade(_) => EventKind::Trade,
            Body::IndexPrice(index) => {
                return self.on_index_price(event, index, &mut out, &mut panicked);
            }
        };
        let id = self.place(event.meta.instrument);
        let instrument = &mut self.instruments[id.index()];
        if instrument.next == Next::Quarantined {
            return Applied::Quarantined;
        }
        instrument.timestamp = timestamp;
        let triggered = self.triggers.has(kind);
        let caught = catch_unwind(AssertUnwindSafe(|| {
            if self.instruments[id.index()].next == Next::Unheard {
                self.join_pair(id, event.pair);
            }
            self.update(id, &event.body);
            if triggered {
                self.compute(id);
            }
        }));
        if let Err(payload) = caught {
            self.quarantine(id, event.pair, payload, &mut panicked);
            return Applied::Quarantined;
        }
        if !triggered {
            return Applied::Updated;
        }
        out(FactorVector {
            meta: event.meta,
            ends: event.ends,
            values: self.vector(event.meta.arrival),
        });
        Applied::HandedOn
    }

    #[inline]
    fn update(&mut self, id: InstrumentId, body: &Body<'_>) {
        for (place, bank) in self.banks.iter_mut().enumerate() {
            self.at = place;
            match body {
                Body::Depth(depth) => bank.on_depth(id, depth),
                Body::Ticker(ticker) => bank.on_ticker(id, ticker),
                Body::Trade(trade) => bank.on_trade(id, trade),
                Body::IndexPrice(index) => bank.on_index_price(id, index),
            }
        }
    }

    /// Tells the sets a new instrument, adds it to its pair, and applies the pair's index price
    /// if there is one.
    #[cold]
    fn join_pair(&mut self, id: InstrumentId, pair: PairId) {
        if let Some(instrument) = self.names.instrument(self.number(id)) {
            // The state that belongs to none gets to know the first one.
            let is_first = std::mem::take(&mut self.is_new);
            for (place, bank) in self.banks.iter_mut().enumerate() {
                self.at = place;
                bank.on_instrument(id, instrument);
                if is_first {
                    bank.on_instrument(self.shadow, instrument);
                }
            }
        }
        let pair = &mut self.pairs[pair.index()];
        self.instruments[id.index()].next = pair.first;
        pair.first = Next::Instrument(id);
        if let Some(index) = pair.index {
            self.update(id, &Body::IndexPrice(index));
        }
    }

    /// Removes the instrument from its pair and from service.
    #[cold]
    fn quarantine(
        &mut self,
        id: InstrumentId,
        pair: PairId,
        payload: Payload,
        panicked: &mut dyn FnMut(FactorPanic),
    ) {
        let after = std::mem::replace(&mut self.instruments[id.index()].next, Next::Quarantined);
        let mut place = &mut self.pairs[pair.index()].first;
        while let Next::Instrument(member) = *place {
            if member == id {
                *place = after;
                break;
            }
            place = &mut self.instruments[member.index()].next;
        }
        panicked(FactorPanic {
            instrument: self.number(id),
            set: self.banks[self.at].name(),
            payload,
        });
    }

    #[inline(never)]
    fn on_index_price(
        &mut self,
        event: &Event<'_>,
        index: &IndexPrice,
        out: &mut dyn FnMut(FactorVector<'_>),
        panicked: &mut dyn FnMut(FactorPanic),
    ) -> Applied {
        let pair = &mut self.pairs[event.pair.index()];
        pair.index = Some(*index);
        let triggered = self.triggers.has(EventKind::IndexPrice);
        let mut member = pair.first;
        let mut applied = Applied::Updated;
        while let Next::Instrument(id) = member {
            let Instrument { next, timestamp } = self.instruments[id.index()];
            let caught = catch_unwind(AssertUnwindSafe(|| {
                self.update(id, &Body::IndexPrice(*index));
                if triggered {
                    self.compute(id);
                }
            }));
            member = next;
            if let Err(payload) = caught {
                self.quarantine(id, event.pair, payload, panicked);
                // This instrument would have made the event's last vector.
                if triggered && next == Next::End {
                    applied = Applied::Quarantined;
                }
                continue;
            }
            if triggered {
                let ends = event.ends.if_last(next == Next::End);
                out(FactorVector {
                    meta: Meta {
                        instrument: self.number(id),
                        timestamp,
                        ..event.meta
                    },
                    ends,
                    values: self.vector(event.meta.arrival),
                });
                applied = Applied::HandedOn;
            }
        }
        applied
    }

    #[inline]
    fn compute(&mut self, id: InstrumentId) {
        let mut rest = &mut self.values[..];
        for (place, (bank, &width)) in self.banks.iter_mut().zip(&self.widths).enumerate() {
            self.at = place;
            let (values, tail) = rest.split_at_mut(width);
            bank.write(id, values);
            rest = tail;
        }
        if let Some(places) = &self.selection {
            for (value, &place) in self.selected.iter_mut().zip(places) {
                *value = self.values[place];
            }
        }
    }

    /// The factors computed last, for an event that arrived then.
    #[inline]
    fn vector(&mut self, arrival: u64) -> &[f64] {
        match &self.selection {
            None => &self.values,
            Some(places) => {
                if let Some(last) = self.selected.get_mut(places.len()) {
                    *last = f64::from_bits(arrival);
                }
                &self.selected
            }
        }
    }
}

impl std::fmt::Debug for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factor")
            .field("sets", &self.banks.len())
            .field("width", &self.values.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
