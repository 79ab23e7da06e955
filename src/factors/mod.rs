//! Factor sets: code that keeps state per instrument and writes a factor vector.
//!
//! A factor set is one type that implements [`FactorSet`]: the state of one
//! instrument. It needs no threads, no locks and no unsafe code; the engine
//! makes one value for each instrument and calls it on one lane.
//!
//! | file | set |
//! |---|---|
//! | `test0000` | spread, mid and best bid, for wiring tests |
//! | `bank` | one set's states for all instruments |
//!
//! ```
//! use signal::factors::{Depth, FactorSet, Registry};
//!
//! /// How often the book changed, and its last mid price.
//! #[derive(Default)]
//! struct Activity { updates: u64, mid: f64 }
//!
//! impl FactorSet for Activity {
//!     const NAME: &'static str = "activity";
//!     const FACTORS: &'static [&'static str] = &["updates", "mid"];
//!     const LEVELS: usize = 1;
//!
//!     fn on_depth(&mut self, depth: &Depth<'_>) {
//!         self.updates += 1;
//!         self.mid = (depth.ask_price[0] + depth.bid_price[0]) / 2.0;
//!     }
//!
//!     fn write(&self, out: &mut [f64]) {
//!         out[0] = self.updates as f64;
//!         out[1] = self.mid;
//!     }
//! }
//!
//! let mut registry = Registry::builtin();
//! registry.add::<Activity>();
//! assert!(registry.get("activity").is_some());
//! ```

mod bank;
mod test0000;

pub use bank::{FactorBank, bank};
pub use test0000::Test0000;

/// Levels of an order book, best first, all four slices of the same length.
///
/// Only as many levels are there as the configured sets read. A level beyond
/// the best that the book does not have is all zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Depth<'a> {
    /// Time of the book, ns since the Unix epoch.
    pub timestamp: i64,
    /// Bid prices, in quote currency.
    pub bid_price: &'a [f64],
    /// Ask prices, in quote currency.
    pub ask_price: &'a [f64],
    /// Bid sizes, in the exchange's size unit.
    pub bid_volume: &'a [f64],
    /// Ask sizes, in the exchange's size unit.
    pub ask_volume: &'a [f64],
}

impl<'a> Depth<'a> {
    /// Reads bid prices, ask prices, bid sizes and ask sizes, one after the
    /// other, a quarter of `values` each.
    #[inline]
    pub fn from_values(timestamp: i64, values: &'a [f64]) -> Self {
        let levels = values.len() / 4;
        let (bid_price, rest) = values.split_at(levels);
        let (ask_price, rest) = rest.split_at(levels);
        let (bid_volume, ask_volume) = rest.split_at(levels);
        Self {
            timestamp,
            bid_price,
            ask_price,
            bid_volume,
            ask_volume: &ask_volume[..levels],
        }
    }
}

/// Best bid and ask.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ticker {
    /// Time of the ticker, ns since the Unix epoch.
    pub timestamp: i64,
    /// Best bid price, in quote currency.
    pub bid_price: f64,
    /// Best ask price, in quote currency.
    pub ask_price: f64,
    /// Size at the best bid.
    pub bid_volume: f64,
    /// Size at the best ask.
    pub ask_volume: f64,
}

impl Ticker {
    /// Reads bid, ask, bid size, ask size.
    ///
    /// # Panics
    ///
    /// If there are fewer than four values.
    #[inline]
    pub fn from_values(timestamp: i64, values: &[f64]) -> Self {
        Self {
            timestamp,
            bid_price: values[0],
            ask_price: values[1],
            bid_volume: values[2],
            ask_volume: values[3],
        }
    }
}

/// One trade.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trade {
    /// Time of the trade, ns since the Unix epoch.
    pub timestamp: i64,
    /// Price, in quote currency.
    pub price: f64,
    /// Size, in the exchange's size unit.
    pub volume: f64,
    /// The host's aggressor side: 0 bought, 1 sold; other values are possible.
    pub side: i8,
}

impl Trade {
    /// Reads price and size.
    ///
    /// # Panics
    ///
    /// If there are fewer than two values.
    #[inline]
    pub fn from_values(timestamp: i64, side: i8, values: &[f64]) -> Self {
        Self {
            timestamp,
            price: values[0],
            volume: values[1],
            side,
        }
    }
}

/// The index price of an instrument's underlying.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct IndexPrice {
    /// Price, in quote currency.
    pub price: f64,
}

/// A factor set: the state of one instrument and the factors made from it.
///
/// The engine makes one value for each instrument with [`Default`], calls the
/// `on_` functions with that instrument's checked events in their order, and
/// [`write`](Self::write) after a Depth. All calls come from one lane. None of
/// them may allocate, lock, log or wait: they are the hot path.
pub trait FactorSet: Default + Send + 'static {
    /// The name that the configuration uses.
    const NAME: &'static str;
    /// The factors' names, in the order in which `write` writes them.
    const FACTORS: &'static [&'static str];
    /// Book levels that `on_depth` reads, 1 to 10. Ingest carries only as many
    /// as the configured sets need, because bytes are what a hop costs.
    const LEVELS: usize;

    /// A new book. Prices are finite and positive, sizes finite and not negative.
    fn on_depth(&mut self, depth: &Depth<'_>) {
        let _ = depth;
    }

    /// A new ticker.
    fn on_ticker(&mut self, ticker: &Ticker) {
        let _ = ticker;
    }

    /// A trade.
    fn on_trade(&mut self, trade: &Trade) {
        let _ = trade;
    }

    /// A new index price.
    fn on_index_price(&mut self, index: &IndexPrice) {
        let _ = index;
    }

    /// Writes the factors; `out` is as long as [`FACTORS`](Self::FACTORS).
    fn write(&self, out: &mut [f64]);
}

/// What the engine knows of a factor set by its name.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name that the configuration uses.
    pub name: &'static str,
    /// The factors' names.
    pub factors: &'static [&'static str],
    /// Book levels that the set reads.
    pub levels: usize,
    /// Bytes of one instrument's state.
    pub state_bytes: usize,
    make: fn(usize) -> Box<dyn FactorBank>,
}

impl Entry {
    /// States of this set for so many instruments.
    pub fn bank(&self, instruments: usize) -> Box<dyn FactorBank> {
        (self.make)(instruments)
    }
}

/// The factor sets that a configuration can name.
#[derive(Clone, Debug)]
pub struct Registry(Vec<Entry>);

impl Registry {
    /// The sets of this crate.
    pub fn builtin() -> Self {
        let mut registry = Self(Vec::new());
        registry.add::<Test0000>();
        registry
    }

    /// Adds a set, in place of one of the same name.
    ///
    /// # Panics
    ///
    /// If the set has no factors or reads no or more than 10 levels.
    pub fn add<F: FactorSet>(&mut self) {
        assert!(
            !F::FACTORS.is_empty(),
            "factor set {} has no factors",
            F::NAME
        );
        assert!(
            (1..=crate::abi::LEVELS).contains(&F::LEVELS),
            "factor set {} reads {} levels, expected 1 to 10",
            F::NAME,
            F::LEVELS
        );
        self.0.retain(|entry| entry.name != F::NAME);
        self.0.push(Entry {
            name: F::NAME,
            factors: F::FACTORS,
            levels: F::LEVELS,
            state_bytes: size_of::<F>(),
            make: bank::<F>,
        });
    }

    /// The set of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.name == name)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|entry| entry.name)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::builtin()
    }
}
