//! Stamps of the factor stage, written as factors of their own.

use std::io;

use super::{Depth, FactorBank, IndexPrice, Ticker, Trade};
use crate::messages::{Instrument, InstrumentId};
use crate::os::clock::Clock;

/// Which end of the stage's work is stamped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// When an event comes: for the first bank.
    First,
    /// When the factors are written: for the last bank.
    Last,
}

/// A bank without states, whose one value is a stamp.
pub(crate) struct StampBank {
    clock: Clock,
    end: End,
    at: u64,
    shadow: InstrumentId,
}

impl StampBank {
    /// For `instruments` instruments, as the other banks of the stage.
    pub(crate) fn new(clock: Clock, end: End, instruments: usize) -> Self {
        Self {
            clock,
            end,
            at: 0,
            shadow: InstrumentId(instruments as u32),
        }
    }

    fn begin(&mut self) {
        if self.end == End::First {
            self.at = self.clock.stamp();
        }
    }
}

impl FactorBank for StampBank {
    fn name(&self) -> &'static str {
        "timing"
    }

    fn width(&self) -> usize {
        1
    }

    fn shadow(&self) -> InstrumentId {
        self.shadow
    }

    fn on_instrument(&mut self, _: InstrumentId, _: &Instrument) {}

    fn on_depth(&mut self, _: InstrumentId, _: &Depth<'_>) {
        self.begin();
    }

    fn on_ticker(&mut self, _: InstrumentId, _: &Ticker) {
        self.begin();
    }

    fn on_trade(&mut self, _: InstrumentId, _: &Trade) {
        self.begin();
    }

    fn on_index_price(&mut self, _: InstrumentId, _: &IndexPrice) {
        self.begin();
    }

    fn write(&mut self, _: InstrumentId, out: &mut [f64]) {
        if self.end == End::Last {
            self.at = self.clock.stamp();
        }
        out[0] = f64::from_bits(self.at);
    }

    fn save(&self, _: InstrumentId, _: &mut dyn io::Write) -> io::Result<()> {
        Ok(())
    }

    fn load(&mut self, _: InstrumentId, _: &mut dyn io::Read) -> io::Result<()> {
        Ok(())
    }
}
