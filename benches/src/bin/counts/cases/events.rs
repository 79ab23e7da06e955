//! Events of one instrument that differ in their numbers, and always the same.

use bytemuck::{NoUninit, Zeroable, bytes_of};
use signal::abi::{Depth, EventKind, HostEvent, IndexPrice, LEVELS, Ticker, Trade};
use signal::replay::{EXCHANGE, fixed};

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

/// Any of the host's structs.
pub struct Payload {
    kind: EventKind,
    pub bytes: Vec<u8>,
}

impl Payload {
    fn new(kind: EventKind, event: &impl NoUninit) -> Self {
        let bytes = bytes_of(event).to_vec();
        Self { kind, bytes }
    }

    pub fn event(&self) -> HostEvent<'_> {
        let event = HostEvent::from_bytes(self.kind.message_type(), &self.bytes);
        event.expect("the bytes are the kind's struct")
    }
}

pub fn of(kind: EventKind) -> Vec<Payload> {
    let mut random = Random::new(1);
    (0..DIFFERENT).map(|i| one(kind, i, &mut random)).collect()
}

fn one(kind: EventKind, number: usize, random: &mut Random) -> Payload {
    let (symbol, exchange_id) = (fixed("btc_usdt"), fixed(EXCHANGE));
    // All at one moment: the events are given again and again, and a time that steps
    // back takes `market`'s slow way.
    let time = 1_700_000_000_000_000_000i64.into();
    let tick = 0.01;
    let bid = 100.0 + (random.below(100) as f64) * tick;
    let mut size = || (1.0 + random.number()).into();
    match kind {
        EventKind::Depth => {
            let mut depth = Depth {
                symbol,
                exchange_id,
                data_time: time,
                ..Depth::zeroed()
            };
            for level in 0..LEVELS {
                let away = level as f64 * tick;
                depth.bid_price[level] = (bid - away).into();
                depth.ask_price[level] = (bid + tick + away).into();
                depth.bid_volume[level] = size();
                depth.ask_volume[level] = size();
            }
            Payload::new(kind, &depth)
        }
        EventKind::Ticker => {
            let ticker = Ticker {
                symbol,
                exchange_id,
                data_time: time,
                bid_price: bid.into(),
                ask_price: (bid + tick).into(),
                bid_volume: size(),
                ask_volume: size(),
                ..Ticker::zeroed()
            };
            Payload::new(kind, &ticker)
        }
        EventKind::Trade => {
            let trade = Trade {
                symbol,
                exchange_id,
                trade_time: time,
                price: bid.into(),
                volume: size(),
                side: (number % 2) as i8,
                ..Trade::zeroed()
            };
            Payload::new(kind, &trade)
        }
        EventKind::IndexPrice => {
            let index = IndexPrice {
                symbol,
                exchange_id,
                price: bid.into(),
                ..IndexPrice::zeroed()
            };
            Payload::new(kind, &index)
        }
    }
}
