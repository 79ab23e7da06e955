//! One factor set's states for all instruments.

use super::{Depth, FactorSet, IndexPrice, Ticker, Trade};
use crate::messages::InstrumentId;
use crate::sync::padded::Items;

/// The states of one factor set, one per instrument.
pub trait FactorBank: Send {
    /// The set's name.
    fn name(&self) -> &'static str;
    /// Number of factors.
    fn width(&self) -> usize;
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
}

struct Bank<F, const N: usize>(Items<F>);

/// States of the set `F` for `instruments` instruments, all allocated here.
pub(super) fn bank<F: FactorSet<N>, const N: usize>(
    instruments: usize,
    params: &F::Params,
) -> Box<dyn FactorBank> {
    Box::new(Bank::<F, N>(Items::new(instruments, || F::new(params))))
}

impl<F: FactorSet<N>, const N: usize> FactorBank for Bank<F, N> {
    fn name(&self) -> &'static str {
        F::NAME
    }

    fn width(&self) -> usize {
        N
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
}
