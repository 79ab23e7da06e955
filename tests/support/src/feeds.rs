//! All four feeds of an instrument, and engines of every kind that take them.

use std::path::Path;

use bytemuck::Zeroable;
use signal::abi::{Depth, EventKind, HostEvent, IndexPrice, Ticker, Trade};
use signal::stages::Callback;
use signal::{Config, Engine};

/// The four feeds of an instrument, whose prices and times move.
pub struct Feeds {
    /// The book.
    pub depth: Depth,
    /// The best bid and ask.
    pub ticker: Ticker,
    /// The last trade.
    pub trade: Trade,
    /// The index price.
    pub index: IndexPrice,
}

impl Default for Feeds {
    fn default() -> Self {
        Self::new()
    }
}

impl Feeds {
    /// Feeds of `btc_usdt`. All numbers except the trade's volume are zero.
    pub fn new() -> Self {
        let mut feeds = Self {
            depth: Depth::zeroed(),
            ticker: Ticker::zeroed(),
            trade: Trade::zeroed(),
            index: IndexPrice::zeroed(),
        };
        for symbol in [
            &mut feeds.depth.symbol,
            &mut feeds.ticker.symbol,
            &mut feeds.trade.symbol,
            &mut feeds.index.symbol,
        ] {
            symbol[..8].copy_from_slice(b"btc_usdt");
        }
        feeds.trade.volume = 1.0.into();
        feeds
    }

    /// Changes to another instrument.
    pub fn rename(&mut self, number: usize) {
        for symbol in [
            &mut self.depth.symbol,
            &mut self.ticker.symbol,
            &mut self.trade.symbol,
            &mut self.index.symbol,
        ] {
            symbol[..2]
                .copy_from_slice(&(number as u16).to_be_bytes().map(|byte| b'a' + byte % 16));
            symbol[2..4]
                .copy_from_slice(&[b'a' + (number / 16 % 16) as u8, b'a' + (number / 256) as u8]);
        }
    }

    /// Sets the prices and times of a round.
    pub fn at(&mut self, time: i64) {
        let price = 100.0 + (time % 97) as f64 / 8.0;
        self.depth.data_time = time.into();
        self.depth.bid_price[0] = price.into();
        self.depth.ask_price[0] = (price + 1.0).into();
        self.ticker.bid_price = price.into();
        self.ticker.ask_price = (price + 1.0).into();
        self.trade.price = price.into();
        self.trade.trade_time = (time * 1_000_000).into();
        self.index.price = price.into();
    }

    /// One event of each feed.
    pub fn events(&self) -> [HostEvent<'_>; 4] {
        [
            HostEvent::Depth(&self.depth),
            HostEvent::Trade(&self.trade),
            HostEvent::Ticker(&self.ticker),
            HostEvent::IndexPrice(&self.index),
        ]
    }
}

/// Feeds `rounds` rounds of all four feeds and returns the number of signals. Waits only by
/// spinning.
pub fn feed(engine: &mut Engine, feeds: &mut Feeds, rounds: i64) -> usize {
    let mut received = 0;
    for time in 0..rounds {
        feeds.at(time);
        for event in feeds.events() {
            engine.on_event(event);
        }
        received += drain(engine, 64);
    }
    received + drain(engine, 0)
}

/// Takes signals until at most `on_the_way` events are on their way.
pub fn drain(engine: &mut Engine, on_the_way: u64) -> usize {
    let mut received = 0;
    loop {
        // This comes first: the signals of events that have ended by now are published.
        let ended = engine.counters().in_flight() <= on_the_way;
        received += engine.poll(|_, signal| {
            std::hint::black_box(signal.values[0]);
        });
        if ended {
            return received;
        }
        std::hint::spin_loop();
    }
}

/// The smallest configuration, and one with every kind of factor set, model and trigger.
/// The second value is the number of signals per round.
pub fn configurations() -> [(Config, usize); 2] {
    let examples = Path::new(crate::ROOT).join("examples");
    let mut all = Config::from_file(&examples.join("market-models.json")).unwrap();
    all.callback = Callback::PerModel;
    all.trigger = EventKind::ALL.to_vec();
    let signals = all.models.len() * all.trigger.len();
    [(Config::default(), 1), (all, signals)]
}
