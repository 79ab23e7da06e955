//! Seeded events: good ones whose prices follow from instrument and time, so that
//! a signal can be checked, and bad ones of each kind.

use bytemuck::Zeroable;
use fastrand::Rng;
use signal::abi::{self, Depth, EventKind, IndexPrice, LEVELS, SYMBOL_LEN, Ticker, Trade};

/// Time of the first event, ns since the epoch.
const START_NS: i64 = 1_700_000_000_000_000_000;
/// One in so many events is bad.
const BAD_ONE_IN: u32 = 100;

/// What the host was handed by the feed, by how it should end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Depths, tickers, trades and index prices, in the order of `EventKind::ALL`.
    pub kinds: [u64; 4],
    /// Calls with null data.
    pub null_data: u64,
    /// Calls with a type that the library does not take.
    pub unknown_type: u64,
    /// Events whose symbol is none.
    pub bad_symbol: u64,
    /// Events with an impossible price.
    pub bad_price: u64,
    /// Events with an impossible size.
    pub bad_size: u64,
}

impl Given {
    /// Events of a known type.
    pub fn events(&self) -> u64 {
        self.kinds.iter().sum()
    }
}

/// One call of `signal_on_data`.
#[allow(
    clippy::large_enum_variant,
    reason = "one lives at a time, on the stack"
)]
pub enum Call {
    /// A Depth.
    Depth(Depth),
    /// A ticker.
    Ticker(Ticker),
    /// A trade.
    Trade(Trade),
    /// An index price.
    Index(IndexPrice),
    /// Null data of a known type.
    Null,
    /// Data of a type that the library does not take.
    Unknown([u8; 120]),
}

/// Makes the calls.
pub struct Feed {
    rng: Rng,
    symbols: Vec<[u8; SYMBOL_LEN]>,
    now_ns: i64,
    /// What it has made so far.
    pub given: Given,
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
        let symbols = (0..instruments).map(|number| {
            let mut symbol = [0; SYMBOL_LEN];
            let text = format!("s{number:04}_usdt");
            symbol[..text.len()].copy_from_slice(text.as_bytes());
            symbol
        });
        Self {
            rng: Rng::with_seed(seed),
            symbols: symbols.collect(),
            now_ns: START_NS,
            given: Given::default(),
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
        self.given.kinds[EventKind::ALL.iter().position(|&k| k == kind).unwrap_or(0)] += 1;
        self.now_ns += self.rng.i64(1..1000);
        let (symbol, time) = (self.symbols[instrument], self.now_ns);
        let exchange_id = *b"binance\0\0\0\0\0\0\0\0\0";
        let (bid, ask) = best(instrument, time);
        let mut size = || f64::from(self.rng.u32(1..20_000)) / 1000.0;
        match kind {
            EventKind::Depth => {
                let mut depth = Depth {
                    symbol,
                    exchange_id,
                    data_time: time.into(),
                    instrument_type: 7,
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
                instrument_type: 7,
                bid_price: bid.into(),
                bid_volume: size().into(),
                ask_price: ask.into(),
                ask_volume: size().into(),
                ..Ticker::zeroed()
            }),
            EventKind::Trade => Call::Trade(Trade {
                symbol,
                exchange_id,
                instrument_type: 7,
                price: bid.into(),
                volume: size().into(),
                side: (time & 1) as i8,
                trade_time: time.into(),
                ..Trade::zeroed()
            }),
            EventKind::IndexPrice => Call::Index(IndexPrice {
                symbol,
                exchange_id,
                instrument_type: 7,
                price: bid.into(),
            }),
        }
    }

    /// A call that must be refused, each for one reason only: the instrument is the
    /// first, which every configuration takes.
    fn bad(&mut self) -> Call {
        match self.rng.u8(..5) {
            0 => {
                self.given.null_data += 1;
                return Call::Null;
            }
            1 => {
                self.given.unknown_type += 1;
                return Call::Unknown([0; 120]);
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
        match self.rng.u8(..3) {
            0 => {
                self.given.bad_symbol += 1;
                symbol[0] = [0, 0x01, 0xff, b' '][self.rng.usize(..4)];
            }
            1 => {
                self.given.bad_price += 1;
                *price = [f64::NAN, f64::INFINITY, 0.0, -1.0][self.rng.usize(..4)].into();
            }
            _ => {
                self.given.bad_size += 1;
                *size = [f64::NAN, f64::INFINITY, -1.0][self.rng.usize(..3)].into();
            }
        }
        call
    }
}

impl Call {
    /// The type and the data, as `signal_on_data` takes them.
    pub fn arguments(&self) -> (i32, *const std::ffi::c_void) {
        fn at<T>(data: &T) -> *const std::ffi::c_void {
            std::ptr::from_ref(data).cast()
        }
        match self {
            Call::Depth(depth) => (abi::TYPE_DEPTH, at(depth)),
            Call::Ticker(ticker) => (abi::TYPE_TICKER, at(ticker)),
            Call::Trade(trade) => (abi::TYPE_TRADE, at(trade)),
            Call::Index(index) => (abi::TYPE_INDEX_PRICE, at(index)),
            Call::Null => (abi::TYPE_DEPTH, std::ptr::null()),
            Call::Unknown(bar) => (abi::TYPE_BAR, at(bar)),
        }
    }
}
