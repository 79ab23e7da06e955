//! One factor set's states for all instruments.

use super::{Depth, FactorSet, IndexPrice, Ticker, Trade};
use crate::stages::InstrumentId;

/// The states of one factor set, one an instrument.
pub trait FactorBank: Send {
    /// The factors' names.
    fn names(&self) -> &'static [&'static str];
    /// Hands a Depth to the instrument's state.
    fn on_depth(&mut self, id: InstrumentId, depth: &Depth<'_>);
    /// Hands a Ticker to the instrument's state.
    fn on_ticker(&mut self, id: InstrumentId, ticker: &Ticker);
    /// Hands a Trade to the instrument's state.
    fn on_trade(&mut self, id: InstrumentId, trade: &Trade);
    /// Hands an index price to the instrument's state.
    fn on_index_price(&mut self, id: InstrumentId, index: &IndexPrice);
    /// Writes the instrument's factors.
    fn write(&self, id: InstrumentId, out: &mut [f64]);
}

struct Bank<F>(Box<[F]>);

/// States of the set `F` for so many instruments, all made here.
pub fn bank<F: FactorSet>(instruments: usize) -> Box<dyn FactorBank> {
    Box::new(Bank::<F>(
        std::iter::repeat_with(F::default)
            .take(instruments)
            .collect(),
    ))
}

impl<F: FactorSet> FactorBank for Bank<F> {
    fn names(&self) -> &'static [&'static str] {
        F::FACTORS
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

    fn write(&self, id: InstrumentId, out: &mut [f64]) {
        self.0[id.index()].write(out);
    }
}
