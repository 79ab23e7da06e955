//! Ingest: checks what the host's thread copied, and finds the number of its instrument.
//!
//! | file | what |
//! |---|---|
//! | `validate` | checks an event's numbers |
//! | `intern` | from the host's texts to numbers |
//! | `symbol_table` | from the host's spelling of an instrument to its numbers |
//! | `naming` | how instruments are named |
//! | `assets` | the symbols whose events are accepted |
//! | `occurrence` | which configured symbols an event has arrived for |

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxBuildHasher;

use crate::abi::EXCHANGE_LEN;
use crate::messages::{Body, Ends, Event, InstrumentId, Meta, Name, Names, PairId, RawEvent};
use intern::{Bearer, PairKey, Room, touch};
use symbol_table::SymbolTable;
use validate::body;

mod assets;
mod intern;
mod naming;
mod occurrence;
mod symbol_table;
mod validate;

pub use assets::Assets;
pub use naming::{Naming, Notice, SymbolStyle};
pub use validate::Limits;

/// Which events an ingest stage accepts.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The symbols whose events are accepted.
    pub assets: Assets,
    /// The highest numbers that are accepted.
    pub limits: Limits,
    /// How instruments are named.
    pub naming: Naming,
}

/// Called on the lane with a [`Notice`] when names collide, at the first event of a new
/// instrument or spelling.
pub type Tell = Box<dyn Fn(&Notice<'_>) + Send>;

/// Why ingest refused an event. A refused event touches no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The symbol is empty, is not UTF-8, or contains an invisible character (a space, a
    /// control character).
    BadSymbol,
    /// A price is not positive, or is above [`Limits::max_price`].
    BadPrice,
    /// A size is negative, or is above [`Limits::max_size`].
    BadSize,
    /// The instrument is new and the table of instruments is full.
    TooManyInstruments,
    /// The symbol is not one of the configured assets.
    NotAnAsset,
}

/// How many spellings are remembered although they belong to no instrument: the host also
/// forwards events of symbols that are not configured.
const OTHER_SPELLINGS: usize = 4096;

/// The ingest stage.
pub struct Ingest {
    levels: usize,
    by_spelling: SymbolTable,
    by_pair: HashMap<PairKey, PairId, FxBuildHasher>,
    by_instrument: HashMap<(PairId, i8), InstrumentId, FxBuildHasher>,
    by_name: HashMap<Name, Bearer, FxBuildHasher>,
    /// Pairs that were first seen in an index price.
    index_pairs: usize,
    names: Arc<Names>,
    rules: Rules,
    /// How many more spellings can be remembered, of instruments and of others.
    room: Room,
    tell: Option<Tell>,
}

impl Ingest {
    /// An ingest stage for events with `levels` book levels and for as many instruments as
    /// `names` can hold. Allocates all of its memory here.
    pub fn new(levels: usize, names: Arc<Names>, rules: Rules) -> Self {
        let max = names.capacity();
        // An instrument may have two spellings, `btc_usdt` and `BTCUSDT`, and so may its
        // index price.
        let room = Room {
            spellings: max * 4,
            others: OTHER_SPELLINGS,
        };
        let by_spelling = SymbolTable::new(room.spellings + room.others);
        let mut by_pair = HashMap::with_capacity_and_hasher(Self::pairs(max), FxBuildHasher);
        let mut by_instrument = HashMap::with_capacity_and_hasher(max, FxBuildHasher);
        let name = Name::from_symbol(b"-").expect("it is a symbol");
        touch(&mut by_pair, |number| {
            let key = PairKey {
                name,
                exchange: [number; EXCHANGE_LEN / 8],
            };
            (key, PairId(0))
        });
        touch(&mut by_instrument, |number| {
            ((PairId(number as u32), 0), InstrumentId(0))
        });
        // Each number makes a different name, of visible characters.
        let mut by_name = HashMap::with_capacity_and_hasher(max, FxBuildHasher);
        touch(&mut by_name, |number| {
            let name = Name::verbatim(number.to_string().as_bytes()).unwrap_or(name);
            let first = InstrumentId(0);
            (name, Bearer { first, told: false })
        });
        Self {
            levels,
            by_spelling,
            by_pair,
            by_instrument,
            by_name,
            index_pairs: 0,
            names,
            rules,
            room,
            tell: None,
        }
    }

    /// Has `tell` called when names collide.
    pub fn telling(mut self, tell: Tell) -> Self {
        self.tell = Some(tell);
        self
    }

    /// Bytes that the tables take for `instruments`.
    pub fn bytes(instruments: usize) -> usize {
        // A table has a power of two of places, an eighth of them free, and one extra byte
        // for each.
        fn table<Entry>(entries: usize) -> usize {
            (entries * 8 / 7).next_power_of_two() * (size_of::<Entry>() + 1)
        }
        SymbolTable::bytes(instruments * 4 + OTHER_SPELLINGS)
            + table::<(PairKey, PairId)>(Self::pairs(instruments))
            + table::<((PairId, i8), InstrumentId)>(instruments)
            + table::<(Name, Bearer)>(instruments)
    }

    /// Most pairs of exchange and symbol for `instruments`. Index prices of symbols without
    /// an instrument never take an instrument's place.
    pub const fn pairs(instruments: usize) -> usize {
        instruments * 2
    }

    /// Checks the event and passes it to `out`, or says why not.
    ///
    /// # Errors
    ///
    /// The [`Refusal`]; `out` is then not called.
    #[inline(always)]
    #[cfg_attr(realtime_sanitizer, sanitize(realtime = "nonblocking"))]
    pub fn on(&mut self, raw: &RawEvent<'_>, out: impl FnOnce(Event<'_>)) -> Result<(), Refusal> {
        let head = raw.head;
        let body = body(head, raw.values, self.levels, &self.rules.limits)?;
        let (instrument, pair) = self.intern(head, matches!(body, Body::IndexPrice(_)))?;
        out(Event {
            meta: Meta {
                input_sequence: head.sequence,
                instrument,
                timestamp: head.timestamp,
                arrival: head.arrival,
            },
            pair,
            ends: Ends::Event,
            body,
        });
        Ok(())
    }

    /// Instruments seen so far.
    pub fn instruments(&self) -> usize {
        self.by_instrument.len()
    }
}

impl std::fmt::Debug for Ingest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ingest")
            .field("levels", &self.levels)
            .field("instruments", &self.instruments())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
