//! `test0000`: the smallest set that shows whether everything is connected correctly.

use std::io;

use super::{Depth, FactorSet, NoParams};
use crate::state;

/// Spread, mid price and best bid of the last Depth.
///
/// ```
/// use signal::factors::{Depth, FactorSet, Test0000};
///
/// let mut set = Test0000::default();
/// set.on_depth(&Depth::from_values(0, &[100.0, 101.0, 1.0, 1.0]));
/// let mut out = [0.0; 3];
/// set.write(&mut out);
/// assert_eq!(out, [1.0, 100.5, 100.0]);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Test0000 {
    bid: f64,
    ask: f64,
}

impl FactorSet<3> for Test0000 {
    const NAME: &'static str = "test0000";
    const FACTORS: [&'static str; 3] = ["spread", "mid_price", "best_bid"];
    const LEVELS: usize = 1;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self::default()
    }

    #[inline]
    fn on_depth(&mut self, depth: &Depth<'_>) {
        self.bid = depth.bid_price[0];
        self.ask = depth.ask_price[0];
    }

    #[inline]
    fn write(&mut self, out: &mut [f64; 3]) {
        *out = [self.ask - self.bid, (self.ask + self.bid) / 2.0, self.bid];
    }

    fn save(&self, to: &mut dyn io::Write) -> io::Result<()> {
        state::put(to, &[self.bid, self.ask])
    }

    fn load(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        [self.bid, self.ask] = state::take(from)?;
        Ok(())
    }
}
