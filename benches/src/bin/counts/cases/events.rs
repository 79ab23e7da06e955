//! Events of one instrument that differ in their numbers, and always the same.

use bytemuck::{Zeroable, bytes_of};
use signal::abi::{Depth, EventKind, HostEvent, IndexPrice, LEVELS, Ticker, Trade};

/// Different events of a kind; a power of two.
pub const DIFFERENT: usize = 64;

/// A random number generator that will always give these numbers.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to below 1 (a linear congruential generator's upper bits).
    pub fn number(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.number() * end as f64) as usize
    }
}

pub enum Owned {
    Depth(Box<Depth>),
    Ticker(Ticker),
    Trade(Trade),
    IndexPrice(IndexPrice),
}

impl Owned {
    pub fn event(&self) -> HostEvent<'_> {
        match self {
            Self::Depth(depth) => HostEvent::Depth(depth),
            Self::Ticker(ticker) => HostEvent::Ticker(ticker),
            Self::Trade(trade) => HostEvent::Trade(trade),
            Self::IndexPrice(index) => HostEvent::IndexPrice(index),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Depth(depth) => bytes_of(&**depth),
            Self::Ticker(ticker) => bytes_of(ticker),
            Self::Trade(trade) => bytes_of(trade),
            Self::IndexPrice(index) => bytes_of(index),
        }
    }
}

/// The name of a kind in a case's name.
pub fn word(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Depth => "Depth",
        EventKind::Ticker => "Ticker",
        EventKind::Trade => "Trade",
        EventKind::IndexPrice => "IndexPrice",
    }
}

pub fn of(kind: EventKind) -> Vec<Owned> {
    let mut random = Random::new(1);
    (0..DIFFERENT).map(|i| one(kind, i, &mut random)).collect()
}

fn one(kind: EventKind, number: usize, random: &mut Random) -> Owned {
    // All at one moment: the events are given again and again, and a time that steps
    // back takes `market`'s slow way.
    let time = 1_700_000_000_000_000_000i64;
    let tick = 0.01;
    let bid = 100.0 + (random.below(100) as f64) * tick;
    let mut size = || (1.0 + random.number()).into();
    match kind {
        EventKind::Depth => {
            let mut depth: Box<Depth> = Box::new(Zeroable::zeroed());
            name(&mut depth.symbol, &mut depth.exchange_id);
            depth.data_time = time.into();
            for level in 0..LEVELS {
                let away = level as f64 * tick;
                depth.bid_price[level] = (bid - away).into();
                depth.ask_price[level] = (bid + tick + away).into();
                depth.bid_volume[level] = size();
                depth.ask_volume[level] = size();
            }
            Owned::Depth(depth)
        }
        EventKind::Ticker => {
            let mut ticker = Ticker::zeroed();
            name(&mut ticker.symbol, &mut ticker.exchange_id);
            ticker.data_time = time.into();
            ticker.bid_price = bid.into();
            ticker.ask_price = (bid + tick).into();
            ticker.bid_volume = size();
            ticker.ask_volume = size();
            Owned::Ticker(ticker)
        }
        EventKind::Trade => {
            let mut trade = Trade::zeroed();
            name(&mut trade.symbol, &mut trade.exchange_id);
            trade.trade_time = time.into();
            trade.price = bid.into();
            trade.volume = size();
            trade.side = (number % 2) as i8;
            Owned::Trade(trade)
        }
        EventKind::IndexPrice => {
            let mut index = IndexPrice::zeroed();
            name(&mut index.symbol, &mut index.exchange_id);
            index.price = bid.into();
            Owned::IndexPrice(index)
        }
    }
}

fn name(symbol: &mut [u8], exchange: &mut [u8]) {
    symbol[..8].copy_from_slice(b"btc_usdt");
    exchange[..7].copy_from_slice(b"binance");
}
