//! A synthetic feed: random walks of a few instruments, made from a seed.
//!
//! The feed resembles a real market only in its structure (rates, ten levels, tick sizes). All
//! intermediate arithmetic uses integers, so that a seed gives the same feed on every machine.

use bytemuck::Zeroable;
use fastrand::Rng;
use signal::abi::{Depth, EventKind, IndexPrice, LEVELS, SIDE_BUY, SIDE_SELL, Ticker, Trade};

use signal::replay::{Arrival, EXCHANGE, INSTRUMENT_TYPE, fixed};

/// Time of the first event, ns since the epoch.
const START_NS: u64 = 1_700_000_000_000_000_000;
/// Mean time between two events of one instrument, ns (150 a second).
const MEAN_GAP_NS: u64 = 6_666_667;
/// Name, ticks per unit of price, first price in ticks.
const INSTRUMENTS: [(&str, u32, i64); 4] = [
    ("btc_usdt", 10, 640_000),
    ("eth_usdt", 100, 342_500),
    ("sol_usdt", 1_000, 158_000),
    ("doge_usdt", 100_000, 12_400),
];

/// The random walk of one instrument.
struct Instrument {
    name: &'static str,
    ticks_per_unit: f64,
    /// Best bid, in ticks.
    bid: i64,
    /// Best ask minus best bid, in ticks.
    spread: i64,
    next_ns: u64,
    trades: i64,
}

impl Instrument {
    fn price(&self, ticks: i64) -> f64 {
        ticks as f64 / self.ticks_per_unit
    }

    /// Moves the market by at most a tick.
    fn step(&mut self, rng: &mut Rng) {
        // Far enough above zero for ten levels.
        self.bid = (self.bid + rng.i64(-1..=1)).max(2 * LEVELS as i64);
        self.spread = if rng.u8(0..8) == 0 { rng.i64(1..=4) } else { 1 };
    }

    fn depth(&self, now_ns: i64, rng: &mut Rng) -> Depth {
        let mut depth = Depth {
            symbol: fixed(self.name),
            exchange_id: fixed(EXCHANGE),
            data_time: now_ns.into(),
            instrument_type: INSTRUMENT_TYPE,
            ..Depth::zeroed()
        };
        for level in 0..LEVELS {
            let distance = level as i64;
            depth.bid_price[level] = self.price(self.bid - distance).into();
            depth.ask_price[level] = self.price(self.bid + self.spread + distance).into();
            depth.bid_volume[level] = size(rng).into();
            depth.ask_volume[level] = size(rng).into();
        }
        depth
    }

    fn ticker(&self, now_ns: i64, rng: &mut Rng) -> Ticker {
        Ticker {
            symbol: fixed(self.name),
            exchange_id: fixed(EXCHANGE),
            data_time: now_ns.into(),
            instrument_type: INSTRUMENT_TYPE,
            bid_price: self.price(self.bid).into(),
            bid_volume: size(rng).into(),
            ask_price: self.price(self.bid + self.spread).into(),
            ask_volume: size(rng).into(),
            ..Ticker::zeroed()
        }
    }

    fn trade(&mut self, now_ns: i64, rng: &mut Rng) -> Trade {
        self.trades += 1;
        let (side, ticks) = match rng.bool() {
            true => (SIDE_BUY, self.bid + self.spread),
            false => (SIDE_SELL, self.bid),
        };
        Trade {
            symbol: fixed(self.name),
            exchange_id: fixed(EXCHANGE),
            instrument_type: INSTRUMENT_TYPE,
            trade_id: self.trades.into(),
            price: self.price(ticks).into(),
            volume: size(rng).into(),
            side,
            trade_time: now_ns.into(),
            ..Trade::zeroed()
        }
    }

    fn index(&self, rng: &mut Rng) -> IndexPrice {
        IndexPrice {
            symbol: fixed(self.name),
            exchange_id: fixed(EXCHANGE),
            instrument_type: INSTRUMENT_TYPE,
            price: self.price(self.bid + rng.i64(-5..=5)).into(),
        }
    }
}

/// A size in thousandths of a unit.
fn size(rng: &mut Rng) -> f64 {
    rng.u32(1..20_000) as f64 / 1_000.0
}

/// How much to generate.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// This many seconds of market data.
    Seconds(f64),
    /// This many events.
    Events(u64),
}

/// A market that generates one event after the other.
pub struct Market {
    rng: Rng,
    instruments: [Instrument; INSTRUMENTS.len()],
    length: Length,
    made: u64,
    /// Time of the last event.
    now_ns: u64,
    payload: Vec<u8>,
}

impl Market {
    /// The market for a seed.
    pub fn new(seed: u64, length: Length) -> Self {
        let mut rng = Rng::with_seed(seed);
        let instruments = INSTRUMENTS.map(|(name, ticks_per_unit, bid)| Instrument {
            name,
            ticks_per_unit: ticks_per_unit.into(),
            bid,
            spread: 1,
            next_ns: START_NS + rng.u64(0..MEAN_GAP_NS),
            trades: 0,
        });
        Self {
            rng,
            instruments,
            length,
            made: 0,
            now_ns: START_NS,
            payload: Vec::new(),
        }
    }

    /// The next event, or `None` after the last.
    pub fn next(&mut self) -> Option<Arrival<'_>> {
        let instruments = self.instruments.iter_mut();
        let instrument = instruments.min_by_key(|one| one.next_ns)?;
        let enough = match self.length {
            Length::Seconds(seconds) => instrument.next_ns >= START_NS + (seconds * 1e9) as u64,
            Length::Events(events) => self.made >= events,
        };
        if enough {
            return None;
        }
        let rng = &mut self.rng;
        let now_ns = instrument.next_ns as i64;
        instrument.step(rng);
        self.payload.clear();
        // Shares as in recorded futures data.
        let kind = match rng.u8(0..100) {
            0..12 => {
                let depth = instrument.depth(now_ns, rng);
                self.payload.extend_from_slice(bytemuck::bytes_of(&depth));
                EventKind::Depth
            }
            12..27 => {
                let trade = instrument.trade(now_ns, rng);
                self.payload.extend_from_slice(bytemuck::bytes_of(&trade));
                EventKind::Trade
            }
            27..28 => {
                let index = instrument.index(rng);
                self.payload.extend_from_slice(bytemuck::bytes_of(&index));
                EventKind::IndexPrice
            }
            _ => {
                let ticker = instrument.ticker(now_ns, rng);
                self.payload.extend_from_slice(bytemuck::bytes_of(&ticker));
                EventKind::Ticker
            }
        };
        self.now_ns = instrument.next_ns;
        instrument.next_ns += rng.u64(1..2 * MEAN_GAP_NS);
        self.made += 1;
        Some(Arrival {
            recv_ns: now_ns,
            kind,
            payload: &self.payload,
        })
    }

    /// How much was generated, and out of how much: events, or ns of market data.
    pub fn progress(&self) -> (u64, u64) {
        match self.length {
            Length::Events(events) => (self.made, events),
            Length::Seconds(seconds) => (self.now_ns - START_NS, (seconds * 1e9) as u64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Kinds, arrivals and payloads.
    fn all(seed: u64, length: Length) -> Vec<(EventKind, i64, Vec<u8>)> {
        let mut market = Market::new(seed, length);
        let mut all = Vec::new();
        while let Some(event) = market.next() {
            all.push((event.kind, event.recv_ns, event.payload.to_vec()));
        }
        all
    }

    #[test]
    fn a_seed_makes_the_same_feed_each_time() {
        let events = |seed| all(seed, Length::Events(2_000));
        assert!(events(7) == events(7));
        assert!(events(7) != events(8));
    }

    #[test]
    fn makes_what_was_asked_for() {
        let made = all(1, Length::Events(1_000));
        assert_eq!(made.len(), 1_000);
        for kind in EventKind::ALL {
            assert!(made.iter().any(|event| event.0 == kind), "{kind:?}");
        }
        let made = all(1, Length::Seconds(10.0));
        let seconds = (made[made.len() - 1].1 - made[0].1) as f64 / 1e9;
        assert!((9.5..=10.0).contains(&seconds), "{seconds}");
        assert!(made.is_sorted_by_key(|event| event.1));
    }

    #[test]
    fn books_are_never_crossed() {
        for (kind, _, payload) in all(3, Length::Events(5_000)) {
            if kind == EventKind::Depth {
                let depth: Depth = bytemuck::pod_read_unaligned(&payload);
                assert!(depth.bid_price[0].get() < depth.ask_price[0].get());
                assert!(depth.bid_price[LEVELS - 1].get() > 0.0);
            }
        }
    }
}
