//! The hot path takes no memory and causes no page fault after warm-up.
//!
//! One test in a program of its own: the counting allocator sees the whole
//! process, lanes and host's thread alike.

use std::path::Path;

use bytemuck::Zeroable;
use signal::abi::{Depth, EventKind, HostEvent, IndexPrice, Ticker, Trade};
use signal::pipeline::placement::Placement;
use signal::stages::Callback;
use signal::{Config, Engine};

#[path = "support/meters.rs"]
mod meters;

use meters::{Of, calls_of_process, page_faults};

/// An instrument's four feeds; prices and times move.
struct Feeds {
    depth: Depth,
    ticker: Ticker,
    trade: Trade,
    index: IndexPrice,
}

impl Feeds {
    fn new() -> Self {
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

    /// Another instrument.
    fn rename(&mut self, number: usize) {
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

    fn feed(&mut self, engine: &mut Engine, time: i64) {
        let price = 100.0 + (time % 97) as f64 / 8.0;
        self.depth.data_time = time.into();
        self.depth.bid_price[0] = price.into();
        self.depth.ask_price[0] = (price + 1.0).into();
        self.ticker.bid_price = price.into();
        self.ticker.ask_price = (price + 1.0).into();
        self.trade.price = price.into();
        self.trade.trade_time = (time * 1_000_000).into();
        self.index.price = price.into();
        engine.on_event(HostEvent::Depth(&self.depth));
        engine.on_event(HostEvent::Trade(&self.trade));
        engine.on_event(HostEvent::Ticker(&self.ticker));
        engine.on_event(HostEvent::IndexPrice(&self.index));
    }
}

/// Signals of so many rounds of all four feeds.
fn feed(engine: &mut Engine, feeds: &mut Feeds, rounds: i64) -> usize {
    let mut received = 0;
    for time in 0..rounds {
        feeds.feed(engine, time);
        while engine.counters().in_flight() > 32 {
            std::hint::spin_loop();
        }
        received += engine.poll(|_, signal| {
            std::hint::black_box(signal.values[0]);
        });
    }
    while engine.counters().in_flight() > 0 {
        std::thread::yield_now();
    }
    received + engine.poll(|_, _| {})
}

/// The smallest configuration, and one with every kind of factor set, model and
/// trigger. The second value is the number of signals a round.
fn configurations() -> [(Config, usize); 2] {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut all = Config::from_file(&examples.join("market-models.json")).unwrap();
    all.callback = Callback::PerModel;
    all.trigger = EventKind::ALL.to_vec();
    let signals = all.models.len() * all.trigger.len();
    [(Config::default(), 1), (all, signals)]
}

/// What the process takes while `run` runs: calls of the allocator, page faults.
fn taken<R>(run: impl FnOnce() -> R) -> (R, u64, i64) {
    let (calls, faults) = (calls_of_process(), page_faults(Of::Process));
    let result = run();
    (
        result,
        calls_of_process() - calls,
        page_faults(Of::Process) - faults,
    )
}

fn main() {
    const ROUNDS: i64 = 25_000;
    const NEW_INSTRUMENTS: usize = 500;
    for placement in [Placement::Inline, Placement::Fused, Placement::Split] {
        for (mut config, signals) in configurations() {
            config.placement = placement.clone();
            let mut engine = Engine::start(&config).unwrap();
            let mut feeds = Feeds::new();
            // Around all rings and more.
            feed(&mut engine, &mut feeds, ROUNDS / 4);
            let (received, calls, faults) = taken(|| feed(&mut engine, &mut feeds, ROUNDS));
            assert_eq!(received, ROUNDS as usize * signals, "{}", engine.about());
            assert_eq!(
                (calls, faults),
                (0, 0),
                "{}: allocations, page faults",
                engine.about()
            );
            // Instruments that have not been heard of take no memory either.
            let (received, calls, faults) = taken(|| {
                let mut received = 0;
                for number in 0..NEW_INSTRUMENTS {
                    feeds.rename(number);
                    received += feed(&mut engine, &mut feeds, 1);
                }
                received
            });
            let about = engine.about();
            assert_eq!(received, NEW_INSTRUMENTS * signals, "{about}");
            assert_eq!((calls, faults), (0, 0), "{about}: new instruments");
            println!(
                "{about}: no allocation and no page fault in 100,000 events and {NEW_INSTRUMENTS} new instruments"
            );
        }
    }
}
