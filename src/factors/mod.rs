//! Factor sets: code that keeps state per instrument and writes a factor vector.
//!
//! A factor set is one type that implements [`FactorSet`]: the state of one
//! instrument. It needs no threads, no locks and no unsafe code; the engine
//! makes one value for each instrument and calls it on one thread at a time: its
//! lane or, where that is away, the host's. Keep nothing in thread-local storage.
//!
//! | file | set |
//! |---|---|
//! | `test0000` | spread, mid and best bid, for wiring tests |
//! | `market` | fifteen factors of book, trades, ticker and index |
//! | `bank` | one set's states for all instruments |
//! | `ranged` | whole numbers within bounds, for parameters |
//! | `registry` | the sets that a configuration can name |
//! | `stamp` | stamps beside the factors, for timing metadata |
//!
//! ```
//! use signal::factors::{Depth, FactorSet, NoParams, Registry};
//!
//! /// How often the book changed, and its last mid price.
//! #[derive(Default)]
//! struct Activity { updates: u64, mid: f64 }
//!
//! impl FactorSet<2> for Activity {
//!     const NAME: &'static str = "activity";
//!     const FACTORS: [&'static str; 2] = ["updates", "mid"];
//!     const LEVELS: usize = 1;
//!     type Params = NoParams;
//!
//!     fn new(_: &NoParams) -> Self {
//!         Self::default()
//!     }
//!
//!     fn on_depth(&mut self, depth: &Depth<'_>) {
//!         self.updates += 1;
//!         self.mid = (depth.ask_price[0] + depth.bid_price[0]) / 2.0;
//!     }
//!
//!     fn write(&mut self, out: &mut [f64; 2]) {
//!         out[0] = self.updates as f64;
//!         out[1] = self.mid;
//!     }
//! }
//!
//! let mut registry = Registry::builtin();
//! registry.add::<Activity, _>();
//! assert!(registry.get("activity").is_some());
//! ```
//!
//! [`testing`](crate::testing) has what a set's tests need, and
//! `examples/custom_set.rs` is a set with parameters, tests and an engine.
//!
//! # What the compiler refuses
//!
//! A set must write as many values as it has names. The type of `out` gives the number; two names
//! and three values do not compile:
//!
//! ```compile_fail,E0053
//! # use signal::factors::{FactorSet, NoParams};
//! # struct Quote { bid: f64, ask: f64 }
//! # impl FactorSet<2> for Quote {
//! #     const NAME: &'static str = "quote";
//! const FACTORS: [&'static str; 2] = ["bid", "ask"];
//! #     const LEVELS: usize = 1;
//! #     type Params = NoParams;
//! #     fn new(_: &NoParams) -> Self { Self { bid: 0.0, ask: 0.0 } }
//! fn write(&mut self, out: &mut [f64; 3]) {
//! #       out[0] = self.bid;
//! #       out[1] = self.ask;
//! #   }
//! # }
//! ```
//!
//! With equal numbers it compiles:
//!
//! ```
//! # use signal::factors::{FactorSet, NoParams};
//! # struct Quote { bid: f64, ask: f64 }
//! # impl FactorSet<2> for Quote {
//! #     const NAME: &'static str = "quote";
//! const FACTORS: [&'static str; 2] = ["bid", "ask"];
//! #     const LEVELS: usize = 1;
//! #     type Params = NoParams;
//! #     fn new(_: &NoParams) -> Self { Self { bid: 0.0, ask: 0.0 } }
//! fn write(&mut self, out: &mut [f64; 2]) {
//! #       out[0] = self.bid;
//! #       out[1] = self.ask;
//! #   }
//! # }
//! ```
//!
//! State that cannot move to a lane does not compile, such as an `Rc` that instruments share:
//!
//! ```compile_fail,E0277
//! # use signal::factors::{FactorSet, NoParams};
//! # use std::{rc::Rc, sync::Arc};
//! struct Shared { table: Rc<[f64]> }
//! # impl FactorSet<1> for Shared {
//! #     const NAME: &'static str = "shared";
//! #     const FACTORS: [&'static str; 1] = ["first"];
//! #     const LEVELS: usize = 1;
//! #     type Params = NoParams;
//! #     fn new(_: &NoParams) -> Self { Self { table: [1.0].into() } }
//! #     fn write(&mut self, out: &mut [f64; 1]) { out[0] = self.table[0]; }
//! # }
//! ```
//!
//! An `Arc` is allowed, if nothing in it changes:
//!
//! ```
//! # use signal::factors::{FactorSet, NoParams};
//! # use std::{rc::Rc, sync::Arc};
//! struct Shared { table: Arc<[f64]> }
//! # impl FactorSet<1> for Shared {
//! #     const NAME: &'static str = "shared";
//! #     const FACTORS: [&'static str; 1] = ["first"];
//! #     const LEVELS: usize = 1;
//! #     type Params = NoParams;
//! #     fn new(_: &NoParams) -> Self { Self { table: [1.0].into() } }
//! #     fn write(&mut self, out: &mut [f64; 1]) { out[0] = self.table[0]; }
//! # }
//! ```

use std::io;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

mod bank;
mod market;
mod ranged;
mod registry;
mod stamp;
mod test0000;

pub use crate::messages::Instrument;
pub use crate::messages::market::{Depth, IndexPrice, Ticker, Trade};
pub use crate::sync::prefetch::value as prefetch;
pub use bank::FactorBank;
pub use market::{Market, MarketParams};
pub use ranged::Ranged;
pub use registry::{Entry, Prepared, Registry};
pub(crate) use stamp::{End, StampBank};
pub use test0000::Test0000;

/// A factor set of `N` factors: the state of one instrument and the factors computed from it.
///
/// The engine makes one value for each instrument, calls the `on_` functions with that instrument's
/// checked events in their order, and [`write`](Self::write) after an event that triggers a vector.
/// All calls come from one thread at a time: a lane, or the host's thread (`placement` `inline`,
/// `stand_in_us`). Only [`new`](Self::new), [`save`](Self::save) and
/// [`load`](Self::load) may allocate, lock, log or wait: the others are the hot path.
pub trait FactorSet<const N: usize>: Sized + Send + 'static {
    /// The name that the configuration uses.
    const NAME: &'static str;
    /// The factors' names, in the order in which `write` writes them.
    const FACTORS: [&'static str; N];
    /// Book levels that `on_depth` reads, 1 to 10. Ingest passes on only as many as the configured
    /// sets need, because the cost of a hop is in the bytes copied.
    const LEVELS: usize;

    /// What the configuration can set, as serde reads it from the set's object; [`NoParams`] for a
    /// set without parameters. Check bounds in its `Deserialize`, so that a wrong value is refused
    /// before anything starts.
    type Params: DeserializeOwned + 'static;

    /// The JSON Schema of each parameter, by its key, for tools that read
    /// configurations.
    fn params_schema() -> Map<String, Value> {
        Map::new()
    }

    /// The state of an instrument of which no event has been seen. All memory is allocated here.
    fn new(params: &Self::Params) -> Self;

    /// Bytes of one instrument's state. A set that owns heap memory must add it.
    fn state_bytes(params: &Self::Params) -> usize {
        let _ = params;
        size_of::<Self>()
    }

    /// Which instrument this state belongs to: its name, its exchange and its type. Called once,
    /// before the instrument's first event and before [`load`](Self::load). The state that belongs
    /// to no instrument ([`FactorBank::shadow`]) is told the first one.
    ///
    /// That state is used while a lane has nothing else to do, to keep the set's code warm: it gets
    /// a few past events of several instruments again and again, so that times step back. Nobody
    /// sees its factors, and if it panics it is not used any more.
    fn on_instrument(&mut self, instrument: &Instrument) {
        let _ = instrument;
    }

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

    /// A new index price of the instrument's exchange and symbol.
    fn on_index_price(&mut self, index: &IndexPrice) {
        let _ = index;
    }

    /// Writes the factors. It takes the state mutably, so that it can cache costly results until an
    /// event changes them.
    fn write(&mut self, out: &mut [f64; N]);

    /// Prefetches what the next event of the instrument touches, with [`prefetch()`]. A lane that
    /// has nothing to do calls this now and then. By default the first KiB of the state itself: a
    /// set that owns heap memory adds what it reads of it.
    fn prefetch(&self) {
        prefetch(self);
    }

    /// Saves the state, so that [`load`](Self::load) can restore it in another process on the same
    /// kind of processor. After that, both write the same factors to the last bit. A set without
    /// this function cannot be part of a snapshot.
    ///
    /// # Errors
    ///
    /// What `to` returns; [`io::ErrorKind::Unsupported`] if the set cannot be saved.
    fn save(&self, to: &mut dyn io::Write) -> io::Result<()> {
        let _ = to;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Replaces the state by one that [`save`](Self::save) wrote, of a set with the same parameters.
    ///
    /// # Errors
    ///
    /// What `from` returns; [`io::ErrorKind::InvalidData`] for values that a saved state never has;
    /// [`io::ErrorKind::Unsupported`] if the set cannot be saved. After an error the state is
    /// unspecified and must not be used.
    fn load(&mut self, from: &mut dyn io::Read) -> io::Result<()> {
        let _ = from;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The parameters of a set that has none: any key is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoParams {}
