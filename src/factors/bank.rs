//! One factor set's states for all instruments.

use std::io;

use super::{Depth, FactorSet, IndexPrice, Ticker, Trade};
use crate::messages::{Instrument, InstrumentId};
use crate::sync::padded::Items;

/// The states of one factor set: one per instrument, and the [shadow](Self::shadow).
///
/// An id is an instrument's place in the bank, from 0. The functions panic if it is outside the
/// bank.
pub trait FactorBank: Send {
    /// The set's name.
    fn name(&self) -> &'static str;
    /// Number of factors.
    fn width(&self) -> usize;
    /// The state that belongs to no instrument, in the place after all instruments'. The same
    /// functions can be exercised on it without an effect on any instrument.
    fn shadow(&self) -> InstrumentId;
    /// Tells the state which instrument it belongs to, before that instrument's first event.
    fn on_instrument(&mut self, id: InstrumentId, instrument: &Instrument);
    /// Hands a Depth to the instrument's state.
    fn on_depth(&mut self, id: InstrumentId, depth: &Depth<'_>);
    /// Hands a Ticker to the instrument's state.
    fn on_ticker(&mut self, id: InstrumentId, ticker: &Ticker);
    /// Hands a Trade to the instrument's state.
    fn on_trade(&mut self, id: InstrumentId, trade: &Trade);
    /// Hands an index price to the instrument's state.
    fn on_index_price(&mut self, id: InstrumentId, index: &IndexPrice);
    /// Writes the instrument's factors; `out` has [`width`](Self::width) values.
    fn write(&mut self, id: InstrumentId, out: &mut [f64]);
    /// Prefetches the instrument's state. See [`FactorSet::prefetch`].
    fn prefetch(&self, id: InstrumentId) {
        let _ = id;
    }
    /// Saves the instrument's state. See [`FactorSet::save`].
    ///
    /// # Errors
    ///
    /// As [`FactorSet::save`].
    fn save(&self, id: InstrumentId, to: &mut dyn io::Write) -> io::Result<()>;
    /// Replaces the instrument's state by a saved one. See [`FactorSet::load`].
    ///
    /// # Errors
    ///
    /// As [`FactorSet::load`].
    fn load(&mut self, id: InstrumentId, from: &mut dyn io::Read) -> io::Result<()>;
}

struct Bank<F, const N: usize>(Items<F>);

/// States of the set `F` for `instruments` instruments and the shadow, all allocated here.
pub(super) fn bank<F: FactorSet<N>, const N: usize>(
    instruments: usize,
    params: &F::Params,
) -> Box<dyn FactorBank> {
    let states = instruments.saturating_add(1);
    Box::new(Bank::<F, N>(Items::new(states, || F::new(params))))
}

impl<F: FactorSet<N>, const N: usize> FactorBank for Bank<F, N> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn width(&self) -> usize {
        N
    }

    fn shadow(&self) -> InstrumentId {
        InstrumentId(self.0.len() as u32 - 1)
    }

    fn on_instrument(&mut self, id: InstrumentId, instrument: &Instrument) {
        self.0[id.index()].on_instrument(instrument);
    }

    fn on_depth(&mut self, id: InstrumentId, depth: &Depth<'_>) {
        self.0[id.index()].on_depth(depth);
    }

    fn on_ticker(&mut self, id: InstrumentId, ticker: &Ticker) {
        self.0[id.index()].on_ticker(ticker);
    }

    fn on_trade(&mut self, id: InstrumentId, trade: &Trade) {
        self.0[id.index()].on_trade(trade);
    }

    fn on_index_price(&mut self, id: InstrumentId, index: &IndexPrice) {
        self.0[id.index()].on_index_price(index);
    }

    fn write(&mut self, id: InstrumentId, out: &mut [f64]) {
        let out = out
            .first_chunk_mut()
            .expect("the stage gives `width` values");
        self.0[id.index()].write(out);
    }

    fn prefetch(&self, id: InstrumentId) {
        self.0[id.index()].prefetch();
    }

    fn save(&self, id: InstrumentId, to: &mut dyn io::Write) -> io::Result<()> {
        self.0[id.index()].save(to)
    }

    fn load(&mut self, id: InstrumentId, from: &mut dyn io::Read) -> io::Result<()> {
        self.0[id.index()].load(from)
    }
}

#[cfg(test)]
mod tests;
