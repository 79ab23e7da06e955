//! A synthetic feed: random walks of a few instruments, made from a seed.
//!
//! Nothing here resembles a real market beyond its shape (rates, ten levels,
//! tick sizes). All arithmetic on the way is on integers, so that a seed makes
//! the same feed everywhere.

use bytemuck::Zeroable;
use fastrand::Rng;
use signal::abi::{Depth, HostEvent, IndexPrice, LEVELS, SIDE_BUY, SIDE_SELL, Ticker, Trade};

use signal::replay::{EXCHANGE, Feed, INSTRUMENT_TYPE, fixed};

/// Time of the first event, ns since the epoch.
const START_NS: u64 = 1_700_000_000_000_000_000;
/// Mean time between two events of one instrument, ns (150 a second).
const MEAN_GAP_NS: u64 = 6_666_667;
/// Names, ticks in one unit of price, first price in ticks.
const INSTRUMENTS: [(&str, u32, i64); 4] = [
    ("btc_usdt", 10, 640_000),
    ("eth_usdt", 100, 342_500),
    ("sol_usdt", 1_000, 158_000),
    ("doge_usdt", 100_000, 12_400),
];

/// One instrument on its walk.
struct Instrument {
    name: &'static str,
    ticks_per_unit: f64,
    /// Best bid, in ticks.
    bid: i64,
    /// Best ask less best bid, in ticks.
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
        // Far enough from zero for ten levels.
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

/// A feed of this many seconds.
pub fn seconds(seed: u64, seconds: f64) -> Feed {
    let end_ns = START_NS + (seconds * 1e9) as u64;
    make(seed, |now_ns, _| now_ns >= end_ns)
}

/// A feed of this many events.
pub fn events(seed: u64, events: u64) -> Feed {
    make(seed, |_, made| made >= events)
}

/// Makes events until `enough(time of the next event, events so far)`.
fn make(seed: u64, enough: impl Fn(u64, u64) -> bool) -> Feed {
    let mut rng = Rng::with_seed(seed);
    let mut instruments = INSTRUMENTS.map(|(name, ticks_per_unit, bid)| Instrument {
        name,
        ticks_per_unit: ticks_per_unit.into(),
        bid,
        spread: 1,
        next_ns: START_NS + rng.u64(0..MEAN_GAP_NS),
        trades: 0,
    });
    let mut feed = Feed::default();
    let mut made = 0;
    while let Some(instrument) = instruments.iter_mut().min_by_key(|one| one.next_ns) {
        if enough(instrument.next_ns, made) {
            break;
        }
        let now_ns = instrument.next_ns as i64;
        instrument.step(&mut rng);
        // Shares as in recorded futures data.
        match rng.u8(0..100) {
            0..12 => {
                let depth = instrument.depth(now_ns, &mut rng);
                feed.push(now_ns, HostEvent::Depth(&depth));
            }
            12..27 => {
                let trade = instrument.trade(now_ns, &mut rng);
                feed.push(now_ns, HostEvent::Trade(&trade));
            }
            27..28 => {
                let index = instrument.index(&mut rng);
                feed.push(now_ns, HostEvent::IndexPrice(&index));
            }
            _ => {
                let ticker = instrument.ticker(now_ns, &mut rng);
                feed.push(now_ns, HostEvent::Ticker(&ticker));
            }
        }
        instrument.next_ns += rng.u64(1..2 * MEAN_GAP_NS);
        made += 1;
    }
    feed
}

#[cfg(test)]
mod tests {
    use signal::abi::EventKind;

    use super::*;

    fn bytes(feed: &Feed) -> Vec<u8> {
        let events = feed.events().iter();
        events
            .flat_map(|event| feed.payload(event).to_vec())
            .collect()
    }

    #[test]
    fn a_seed_makes_the_same_feed_each_time() {
        assert_eq!(bytes(&events(7, 2_000)), bytes(&events(7, 2_000)));
        assert_ne!(bytes(&events(7, 2_000)), bytes(&events(8, 2_000)));
    }

    #[test]
    fn makes_what_was_asked_for() {
        let feed = events(1, 1_000);
        assert_eq!(feed.events().len(), 1_000);
        for kind in EventKind::ALL {
            assert!(feed.count(kind) > 0, "{kind:?}");
        }
        let feed = seconds(1, 10.0);
        assert!((9.5..=10.0).contains(&feed.seconds()));
        assert!(feed.events().is_sorted_by_key(|event| event.recv_ns));
    }

    #[test]
    fn books_are_never_crossed() {
        let feed = events(3, 5_000);
        for event in feed.events() {
            if event.kind == EventKind::Depth {
                let depth: Depth = *bytemuck::from_bytes(feed.payload(event));
                assert!(depth.bid_price[0].get() < depth.ask_price[0].get());
                assert!(depth.bid_price[LEVELS - 1].get() > 0.0);
            }
        }
    }
}
