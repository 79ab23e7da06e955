//! Signals for which the ring to the host had no room: the newest one of each instrument, in
//! the order of their places.

use crate::messages::{Ends, InstrumentId, Meta, ModelId, Prediction};
use crate::sync::padded::Items;

/// A conflation queue. A newer value replaces the older one of the same key at its place, so
/// no instrument waits longer because it is busy.
pub(super) struct ConflationQueue {
    /// Callbacks per computation of an instrument.
    per_instrument: usize,
    width: usize,
    entries: Items<Entry>,
    values: Items<f64>,
    /// Keys in the order of their places, wrapping around at the end.
    order: Items<u32>,
    first: usize,
    len: usize,
}

#[derive(Clone, Copy)]
struct Entry {
    meta: Meta,
    model: Option<ModelId>,
    ends: Ends,
    count: u32,
    waits: bool,
}

const EMPTY: Entry = Entry {
    meta: Meta {
        input_sequence: 0,
        instrument: InstrumentId::NONE,
        timestamp: 0,
        arrival: 0,
    },
    model: None,
    ends: Ends::Nothing,
    count: 0,
    waits: false,
};

impl ConflationQueue {
    /// Room for one signal per instrument and callback, each of at most `width` values.
    /// Writes all of its memory here.
    pub(super) fn new(instruments: usize, per_instrument: usize, width: usize) -> Self {
        let keys = instruments * per_instrument;
        Self {
            per_instrument,
            width,
            entries: Items::new(keys, || EMPTY),
            // Not zeros: for those the allocator would return untouched pages.
            values: Items::new(keys * width, || f64::NAN),
            order: Items::new(keys, || u32::MAX),
            first: 0,
            len: 0,
        }
    }

    pub(super) fn bytes(instruments: usize, per_instrument: usize, width: usize) -> usize {
        let keys = instruments.saturating_mul(per_instrument);
        Items::<Entry>::bytes(keys)
            .saturating_add(Items::<f64>::bytes(keys.saturating_mul(width)))
            .saturating_add(Items::<u32>::bytes(keys))
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Stores a prediction. Returns whether it replaced an older one.
    pub(super) fn keep(&mut self, prediction: &Prediction<'_>) -> bool {
        let callback = match self.per_instrument {
            1 => 0,
            _ => prediction.model.map_or(0, ModelId::index),
        };
        let key = prediction.meta.instrument.index() * self.per_instrument + callback;
        let count = prediction.values.len();
        self.values[key * self.width..][..count].copy_from_slice(prediction.values);
        let entry = &mut self.entries[key];
        let replaced = entry.waits;
        *entry = Entry {
            meta: prediction.meta,
            model: prediction.model,
            ends: prediction.ends,
            count: count as u32,
            waits: true,
        };
        if !replaced {
            let mut place = self.first + self.len;
            if place >= self.order.len() {
                place -= self.order.len();
            }
            self.order[place] = key as u32;
            self.len += 1;
        }
        replaced
    }

    /// The signal that is sent next when there is room.
    pub(super) fn oldest(&self) -> Option<Prediction<'_>> {
        if self.len == 0 {
            return None;
        }
        let key = self.order[self.first] as usize;
        let entry = &self.entries[key];
        Some(Prediction {
            meta: entry.meta,
            model: entry.model,
            ends: entry.ends,
            values: &self.values[key * self.width..][..entry.count as usize],
        })
    }

    /// Removes the oldest.
    pub(super) fn release(&mut self) {
        let key = self.order[self.first] as usize;
        self.entries[key].waits = false;
        self.first += 1;
        if self.first == self.order.len() {
            self.first = 0;
        }
        self.len -= 1;
    }
}
