//! A factor set that panics when it is told to.

use signal::factors::{Depth, FactorSet, IndexPrice, NoParams};

/// The time or price that makes the bombs panic.
pub const FATAL: i64 = 666;

/// Panics at a Depth with the fatal time, and at an index price with that price.
pub struct Bomb;

impl FactorSet<1> for Bomb {
    const NAME: &'static str = "bomb";
    const FACTORS: [&'static str; 1] = ["one"];
    const LEVELS: usize = 1;
    type Params = NoParams;
    fn new(_: &NoParams) -> Self {
        Self
    }
    fn on_depth(&mut self, depth: &Depth<'_>) {
        assert!(depth.timestamp != FATAL, "the bomb went off");
    }
    fn on_index_price(&mut self, index: &IndexPrice) {
        assert!(index.price != FATAL as f64, "the index bomb went off");
    }
    fn write(&mut self, out: &mut [f64; 1]) {
        out[0] = 1.0;
    }
}
