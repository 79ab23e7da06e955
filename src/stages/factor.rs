//! Factor: keeps state per instrument and computes on a trigger.

use super::{Body, Event, FactorVector};
use crate::factors::FactorBank;
use crate::pipeline::padded::Values;

/// The factor stage: every configured set, their vectors one after the other.
pub struct Factor {
    banks: Vec<Box<dyn FactorBank>>,
    values: Values,
}

impl Factor {
    /// A stage that runs these sets in this order.
    pub fn new(banks: Vec<Box<dyn FactorBank>>) -> Self {
        let width = banks.iter().map(|bank| bank.width()).sum();
        Self {
            banks,
            values: Values::new(width),
        }
    }

    /// Updates the instrument's state; a Depth also computes its factors.
    #[inline]
    pub fn on(&mut self, event: &Event<'_>, out: impl FnOnce(FactorVector<'_>)) {
        let id = event.meta.instrument;
        match &event.body {
            Body::Depth(depth) => {
                let mut rest = &mut self.values[..];
                for bank in &mut self.banks {
                    bank.on_depth(id, depth);
                    let (values, tail) = rest.split_at_mut(bank.width());
                    bank.write(id, values);
                    rest = tail;
                }
                out(FactorVector {
                    meta: event.meta,
                    values: &self.values,
                });
            }
            Body::Ticker(ticker) => {
                for bank in &mut self.banks {
                    bank.on_ticker(id, ticker);
                }
            }
            Body::Trade(trade) => {
                for bank in &mut self.banks {
                    bank.on_trade(id, trade);
                }
            }
            Body::IndexPrice(index) => {
                for bank in &mut self.banks {
                    bank.on_index_price(id, index);
                }
            }
        }
    }
}

impl std::fmt::Debug for Factor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Factor")
            .field("sets", &self.banks.len())
            .field("width", &self.values.len())
            .finish()
    }
}
