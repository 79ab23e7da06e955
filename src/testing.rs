//! What tests of a factor set need.
//!
//! A set is a plain value: make one with [`instrument`], call its functions, and
//! look at [`vector`]. [`run`] feeds it a whole recording instead.
//!
//! ```
//! use signal::factors::{FactorSet, Market, Trade};
//! use signal::testing;
//!
//! let mut set = testing::instrument::<Market, _>(r#"{"window": 2}"#)?;
//! for (timestamp, price) in [(1, 100.0), (2, 101.0), (3, 103.0)] {
//!     set.on_trade(&Trade { timestamp, price, volume: 1.0, side: 0 });
//! }
//! let vwap = 8;
//! assert_eq!(testing::vector(&mut set)[vwap], 102.0);
//! # Ok::<(), String>(())
//! ```

use std::panic::resume_unwind;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::abi::{EventKind, HostEvent};
use crate::factors::{FactorSet, Registry};
use crate::messages::wire::{self, RawEvents, Wire};
use crate::messages::{FactorVector, Name, Names};
use crate::stages::{Factor, Ingest, Rules, Triggers};

/// Maximum number of instruments in one [`run`].
const INSTRUMENTS: usize = 64;

/// The factors of one instrument after one Depth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Vector<const N: usize> {
    /// The symbol as strategies see it, e.g. `BTCUSDT`.
    pub symbol: Name,
    /// Time of the Depth, ns since the Unix epoch.
    pub timestamp: i64,
    /// One value per factor.
    pub values: [f64; N],
}

/// The state of an instrument of which no event has been seen, with `params` as JSON; `"{}"` for
/// the defaults.
///
/// # Errors
///
/// The key and what was expected, worded as for a configuration.
pub fn instrument<F: FactorSet<N>, const N: usize>(params: &str) -> Result<F, String> {
    Ok(F::new(&read::<F, N>(params)?))
}

/// The factors as the set writes them now.
pub fn vector<F: FactorSet<N>, const N: usize>(set: &mut F) -> [f64; N] {
    // NaN shows a factor that `write` leaves out.
    let mut values = [f64::NAN; N];
    set.write(&mut values);
    values
}

/// Feeds events to one state per instrument, as the engine does, and returns a vector for each
/// Depth, in the order of the events. It runs the engine's own ingest and factor stages. Events
/// that they refuse, among them those of instruments beyond the first 64, change nothing.
///
/// With the feature `replay`, [`Feed::iter`](crate::replay::Feed::iter) gives the events of a
/// capture.
///
/// # Errors
///
/// What is wrong with `params`, as in [`instrument`].
///
/// ```
/// use signal::abi::{Depth, HostEvent};
/// use signal::factors::Test0000;
/// use signal::testing;
///
/// let mut depth: Depth = bytemuck::Zeroable::zeroed();
/// depth.symbol[..8].copy_from_slice(b"btc_usdt");
/// depth.bid_price[0] = 100.0.into();
/// depth.ask_price[0] = 101.0.into();
/// let vectors = testing::run::<Test0000, _>([HostEvent::Depth(&depth)], "{}")?;
/// assert_eq!(vectors[0].symbol.as_str(), "BTCUSDT");
/// assert_eq!(vectors[0].values, [1.0, 100.5, 100.0]);
/// # Ok::<(), String>(())
/// ```
pub fn run<'a, F: FactorSet<N>, const N: usize>(
    events: impl IntoIterator<Item = HostEvent<'a>>,
    params: &str,
) -> Result<Vec<Vector<N>>, String> {
    let mut registry = Registry::builtin();
    registry.add::<F, N>();
    let set = registry.get(F::NAME).expect("it has just been added");
    let params: Map<String, Value> =
        serde_json::from_str(params).map_err(|error| error.to_string())?;
    let bank = set.prepare(&params)?.bank(INSTRUMENTS);
    let names = Arc::new(Names::new(INSTRUMENTS));
    let mut ingest = Ingest::new(F::LEVELS, Arc::clone(&names), Rules::default());
    let mut factor = Factor::new(
        vec![bank],
        None,
        Triggers::new(&[EventKind::Depth]),
        Arc::clone(&names),
        Ingest::pairs(INSTRUMENTS),
    );
    let mut vectors = Vec::new();
    let mut words = vec![0; wire::raw_words(F::LEVELS)];
    for event in events {
        wire::carry(&event, F::LEVELS, 0, 0, &mut words);
        let (raw, _) = RawEvents::decode(&words);
        // The engine only counts a refusal.
        let _ = ingest.on(&raw, |event| {
            let take = |vector: FactorVector<'_>| {
                let id = vector.meta.instrument;
                vectors.push(Vector {
                    symbol: *names.get(id).expect("ingest has named the instrument"),
                    timestamp: vector.meta.timestamp,
                    values: *vector.values.first_chunk().expect("the set has N factors"),
                });
            };
            // In a test a panic should be seen, not put in quarantine.
            factor.on(&event, take, |panic| resume_unwind(panic.payload));
        });
    }
    Ok(vectors)
}

fn read<F: FactorSet<N>, const N: usize>(params: &str) -> Result<F::Params, String> {
    let mut reader = serde_json::Deserializer::from_str(params);
    let read = serde_path_to_error::deserialize(&mut reader)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    reader.end().map_err(|error| error.to_string())?;
    Ok(read)
}
