//! Seeded events: good ones whose prices follow from instrument and time, so that
//! a signal can be checked, and bad ones of each kind.

use std::ffi::{c_int, c_void};
use std::ptr;

use bytemuck::Zeroable;
use fastrand::Rng;
use signal::abi::{self, Bar, Depth, EventKind, IndexPrice, LEVELS, SYMBOL_LEN, Ticker, Trade};
use signal::replay::{EXCHANGE, INSTRUMENT_TYPE, fixed};

use crate::accounts::Counters;

/// Time of the first event, ns since the epoch.
const START_NS: i64 = 1_700_000_000_000_000_000;
/// One in so many events is bad.
const BAD_ONE_IN: u32 = 100;

/// The library's counters that the feed can foretell: the four kinds of event in the order
/// of `EventKind::ALL`, then what must be refused.
const FORETOLD: [&str; 9] = [
    "events_depth",
    "events_ticker",
    "events_trade",
    "events_index_price",
    "refused_null_data",
    "refused_unknown_type",
    "refused_bad_symbol",
    "refused_bad_price",
    "refused_bad_size",
];

/// One call of `signal_on_data`.
#[allow(
    clippy::large_enum_variant,
    reason = "one lives at a time, on the stack"
)]
pub enum Call {
    Depth(Depth),
    Ticker(Ticker),
    Trade(Trade),
    Index(IndexPrice),
    /// Null data of a known type.
    Null,
    /// A type that the library does not take.
    Unknown(Bar),
}

impl Call {
    /// The type and the data, as `signal_on_data` takes them.
    pub fn arguments(&self) -> (c_int, *const c_void) {
        match self {
            Call::Depth(depth) => (abi::TYPE_DEPTH, ptr::from_ref(depth).cast()),
            Call::Ticker(ticker) => (abi::TYPE_TICKER, ptr::from_ref(ticker).cast()),
            Call::Trade(trade) => (abi::TYPE_TRADE, ptr::from_ref(trade).cast()),
            Call::Index(index) => (abi::TYPE_INDEX_PRICE, ptr::from_ref(index).cast()),
            Call::Null => (abi::TYPE_DEPTH, ptr::null()),
            Call::Unknown(bar) => (abi::TYPE_BAR, ptr::from_ref(bar).cast()),
        }
    }
}

/// Makes the calls.
pub struct Feed {
    rng: Rng,
    symbols: Vec<[u8; SYMBOL_LEN]>,
    now_ns: i64,
    /// What it has made so far, as the library should count it.
    pub given: Counters,
}

/// Best bid and ask of a Depth: eighths, so that sums and halves are exact.
pub fn best(instrument: usize, time_ns: i64) -> (f64, f64) {
    let mixed = (time_ns as u64 ^ (instrument as u64) << 48).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let bid = 1000.0 + (mixed >> 40 & 0xfff) as f64 / 8.0;
    (bid, bid + (1 + (mixed >> 60)) as f64 / 8.0)
}

/// The place of an instrument by the name that its signals bear (`S0012USDT`).
pub fn instrument(name: &[u8]) -> Option<usize> {
    let digits = name.strip_prefix(b"S")?.strip_suffix(b"USDT")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Feed {
    /// A feed of so many instruments.
    pub fn new(seed: u64, instruments: u32) -> Self {
        let symbols = (0..instruments).map(|number| fixed(&format!("s{number:04}_usdt")));
        Self {
            rng: Rng::with_seed(seed),
            symbols: symbols.collect(),
            now_ns: START_NS,
            given: Counters::new(&FORETOLD.map(|name| (name, 0))),
        }
    }

    /// The next call: mostly good events, shares somewhat as in a market.
    pub fn next_call(&mut self) -> Call {
        if self.rng.u32(..BAD_ONE_IN) == 0 {
            return self.bad();
        }
        let kind = match self.rng.u8(..100) {
            0..30 => EventKind::Depth,
            30..60 => EventKind::Trade,
            60..98 => EventKind::Ticker,
            _ => EventKind::IndexPrice,
        };
        let instrument = self.rng.usize(..self.symbols.len());
        self.good(kind, instrument)
    }

    /// A good event of an instrument.
    pub fn good(&mut self, kind: EventKind, instrument: usize) -> Call {
        self.given.add(FORETOLD[kind as usize]);
        self.now_ns += self.rng.i64(1..1000);
        let (symbol, time) = (self.symbols[instrument], self.now_ns);
        let (exchange_id, instrument_type) = (fixed(EXCHANGE), INSTRUMENT_TYPE);
        let (bid, ask) = best(instrument, time);
        let mut size = || f64::from(self.rng.u32(1..20_000)) / 1000.0;
        match kind {
            EventKind::Depth => {
                let mut depth = Depth {
                    symbol,
                    exchange_id,
                    data_time: time.into(),
                    instrument_type,
                    ..Depth::zeroed()
                };
                for level in 0..LEVELS {
                    depth.bid_price[level] = (bid - level as f64 / 8.0).into();
                    depth.ask_price[level] = (ask + level as f64 / 8.0).into();
                    depth.bid_volume[level] = size().into();
                    depth.ask_volume[level] = size().into();
                }
                Call::Depth(depth)
            }
            EventKind::Ticker => Call::Ticker(Ticker {
                symbol,
                exchange_id,
                data_time: time.into(),
                instrument_type,
                bid_price: bid.into(),
                bid_volume: size().into(),
                ask_price: ask.into(),
                ask_volume: size().into(),
                ..Ticker::zeroed()
            }),
            EventKind::Trade => Call::Trade(Trade {
                symbol,
                exchange_id,
                instrument_type,
                price: bid.into(),
                volume: size().into(),
                side: (time & 1) as i8,
                trade_time: time.into(),
                ..Trade::zeroed()
            }),
            EventKind::IndexPrice => Call::Index(IndexPrice {
                symbol,
                exchange_id,
                instrument_type,
                price: bid.into(),
            }),
        }
    }

    /// A call that must be refused, each for one reason only: the instrument is the
    /// first, which every configuration takes.
    fn bad(&mut self) -> Call {
        match self.rng.u8(..5) {
            0 => {
                self.given.add("refused_null_data");
                return Call::Null;
            }
            1 => {
                self.given.add("refused_unknown_type");
                return Call::Unknown(Bar::zeroed());
            }
            _ => {}
        }
        let kinds = [EventKind::Depth, EventKind::Ticker, EventKind::Trade];
        let kind = kinds[self.rng.usize(..kinds.len())];
        let mut call = self.good(kind, 0);
        let (symbol, price, size) = match &mut call {
            Call::Depth(d) => (&mut d.symbol, &mut d.bid_price[0], &mut d.ask_volume[0]),
            Call::Ticker(t) => (&mut t.symbol, &mut t.ask_price, &mut t.bid_volume),
            Call::Trade(t) => (&mut t.symbol, &mut t.price, &mut t.volume),
            _ => unreachable!("one of the kinds above"),
        };
        self.given.add(match self.rng.u8(..3) {
            0 => {
                symbol[0] = [0, 0x01, 0xff, b' '][self.rng.usize(..4)];
                "refused_bad_symbol"
            }
            1 => {
                *price = [f64::NAN, f64::INFINITY, 0.0, -1.0][self.rng.usize(..4)].into();
                "refused_bad_price"
            }
            _ => {
                *size = [f64::NAN, f64::INFINITY, -1.0][self.rng.usize(..3)].into();
                "refused_bad_size"
            }
        });
        call
    }
}
