//! What flows through the pipeline, as plain data.
//!
//! | file | what |
//! |---|---|
//! | `ids` | numbers of instruments, of their pairs and of models |
//! | `instrument` | what an instrument is |
//! | `marker` | a place in the sequence of events |
//! | `market` | checked events as factor sets see them |
//! | `names` | instrument names, shared with the host's thread |
//! | `timing` | timing metadata: times in front of a signal's values |
//! | `wire` | the layout of messages in a ring |

use bytemuck::{Pod, Zeroable};

use crate::abi::{EXCHANGE_LEN, SYMBOL_LEN};

mod ids;
mod instrument;
mod marker;
pub mod market;
mod names;
pub(crate) mod timing;
pub mod wire;

pub use ids::{InstrumentId, ModelId, PairId};
pub use instrument::Instrument;
pub use marker::Marker;
use market::{Depth, IndexPrice, Ticker, Trade};
pub use names::{Name, Names, symbol_text};

/// What has ended once a message, and everything that it leads to, has been processed.
///
/// An index price belongs to instruments that may be in several shards, so each shard gets a
/// copy. One copy counts as the event. The others are counted separately, so that every event
/// ends once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Ends {
    /// Nothing: the event leads to more messages.
    Nothing,
    /// The event.
    Event,
    /// A further shard's copy of the event.
    Copy,
}

impl Ends {
    /// This, if it is the last message; otherwise nothing ends.
    #[inline]
    pub fn if_last(self, is_last: bool) -> Self {
        match is_last {
            true => self,
            false => Ends::Nothing,
        }
    }

    /// From the number of a variant. Any other number is a copy.
    #[inline]
    pub const fn from_number(number: u8) -> Self {
        match number {
            0 => Ends::Nothing,
            1 => Ends::Event,
            _ => Ends::Copy,
        }
    }
}

/// What travels with a message from ingest to the callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Number of the host's event, from 1.
    pub input_sequence: u64,
    /// The instrument; [`InstrumentId::NONE`] in an index price.
    pub instrument: InstrumentId,
    /// The event's own time, ns since the Unix epoch. An index price has none: it is 0 there,
    /// and what the index price triggers has the instrument's last time.
    pub timestamp: i64,
    /// TSC ticks when the host passed the event in; 0 with timing off.
    pub arrival: u64,
}

impl Meta {
    /// Makes this a rehearsal's: of no real instrument. Returns the instrument that it had.
    #[inline]
    pub(crate) fn rehearse(&mut self) -> InstrumentId {
        std::mem::replace(&mut self.instrument, InstrumentId::SHADOW)
    }
}

/// The head of an event as the host's thread copied it, unchecked.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub struct RawHead {
    /// Number of the event, from 1.
    pub sequence: u64,
    /// TSC ticks when it arrived; 0 with timing off.
    pub arrival: u64,
    /// The event's own time, ns since the Unix epoch; 0 if it has none.
    pub timestamp: i64,
    /// An [`EventKind`](crate::abi::EventKind) as its number.
    pub kind: u8,
    /// The host's instrument type.
    pub instrument_type: i8,
    /// Aggressor side of a trade.
    pub side: i8,
    #[doc(hidden)]
    pub _unused: [u8; 5],
    /// Exchange, NUL-terminated unless full.
    pub exchange: [u8; EXCHANGE_LEN],
    /// Symbol, NUL-terminated unless full.
    pub symbol: [u8; SYMBOL_LEN],
}

/// An event as the host's thread copied it, unchecked.
#[derive(Clone, Copy, Debug)]
pub struct RawEvent<'a> {
    /// Everything except prices and sizes.
    pub head: &'a RawHead,
    /// Depth: the levels of bid prices, ask prices, bid sizes and ask sizes, one after the
    /// other. Ticker: bid, ask, bid size, ask size. Trade: price, size. Index price: price.
    /// What follows is unspecified.
    pub values: &'a [f64],
}

/// A checked event of a known instrument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Event<'a> {
    /// Number, instrument and times.
    pub meta: Meta,
    /// The instrument's exchange and symbol.
    pub pair: PairId,
    /// What ends with its last message: the event, or a further shard's copy of it.
    pub ends: Ends,
    /// What happened.
    pub body: Body<'a>,
}

/// What an [`Event`] says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Body<'a> {
    /// Levels of the order book.
    Depth(Depth<'a>),
    /// Best bid and ask.
    Ticker(Ticker),
    /// A trade.
    Trade(Trade),
    /// The index price.
    IndexPrice(IndexPrice),
}

/// The factors of one instrument at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FactorVector<'a> {
    /// From the event that triggered the computation.
    pub meta: Meta,
    /// What ends with it. An index price triggers one vector for each instrument of its pair,
    /// and ends with the last of them.
    pub ends: Ends,
    /// One value per factor, in the order of the configured sets.
    pub values: &'a [f64],
}

/// What one model, or all of them, made of a factor vector.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction<'a> {
    /// From the event that triggered the computation.
    pub meta: Meta,
    /// The model; `None` if the values come from several.
    pub model: Option<ModelId>,
    /// What ends with it. If an event has several predictions, it ends with the last.
    pub ends: Ends,
    /// The models' outputs, one model after the other.
    pub values: &'a [f64],
}

/// A numbered result, as the host's callback receives it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signal<'a> {
    /// Number of the signal, from 1. A gap means that signals were dropped or conflated.
    pub sequence: u64,
    /// From the event that triggered the computation.
    pub meta: Meta,
    /// The model; `None` if the values come from several.
    pub model: Option<ModelId>,
    /// The values.
    pub values: &'a [f64],
}
