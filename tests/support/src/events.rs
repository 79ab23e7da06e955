//! Events made by hand, and engines fed with them.

use std::time::{Duration, Instant};

use signal::abi::{Depth, HostEvent, IndexPrice, Ticker, Trade};
use signal::messages::ModelId;
use signal::replay::Feed;
use signal::{Config, Engine};

/// Any host struct, owned.
#[derive(Clone)]
pub enum Owned {
    /// A book; boxed, because it is many times the size of the others.
    Depth(Box<Depth>),
    /// A best bid and ask.
    Ticker(Ticker),
    /// A trade.
    Trade(Trade),
    /// An index price.
    Index(IndexPrice),
}

impl Owned {
    /// The event in the engine's form.
    pub fn event(&self) -> HostEvent<'_> {
        match self {
            Owned::Depth(depth) => HostEvent::Depth(depth),
            Owned::Ticker(ticker) => HostEvent::Ticker(ticker),
            Owned::Trade(trade) => HostEvent::Trade(trade),
            Owned::Index(index) => HostEvent::IndexPrice(index),
        }
    }
}

/// How long a test waits for something that must come: only a hang takes this long.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Writes the text at the beginning of the field.
pub fn put(field: &mut [u8], text: &str) {
    let len = text.len().min(field.len());
    field[..len].copy_from_slice(&text.as_bytes()[..len]);
}

/// A book of ten levels that are a tenth apart; its best ask is a tenth above `bid`.
pub fn depth(symbol: &str, time: i64, bid: f64) -> Owned {
    let mut depth: Box<Depth> = Box::new(bytemuck::Zeroable::zeroed());
    put(&mut depth.symbol, symbol);
    put(&mut depth.exchange_id, "binance");
    depth.data_time = time.into();
    for level in 0..10 {
        let away = level as f64 / 10.0;
        depth.bid_price[level] = (bid - away).into();
        depth.ask_price[level] = (bid + 0.1 + away).into();
        depth.bid_volume[level] = (1.0 + away).into();
        depth.ask_volume[level] = (2.0 + away).into();
    }
    Owned::Depth(depth)
}

/// A ticker whose best ask is a tenth above `bid`.
pub fn ticker(symbol: &str, bid: f64) -> Owned {
    let mut ticker: Ticker = bytemuck::Zeroable::zeroed();
    put(&mut ticker.symbol, symbol);
    ticker.bid_price = bid.into();
    ticker.ask_price = (bid + 0.1).into();
    Owned::Ticker(ticker)
}

/// A trade of size 1.
pub fn trade(symbol: &str, price: f64, side: i8) -> Owned {
    let mut trade: Trade = bytemuck::Zeroable::zeroed();
    put(&mut trade.symbol, symbol);
    trade.price = price.into();
    trade.volume = 1.0.into();
    trade.side = side;
    Owned::Trade(trade)
}

/// An index price.
pub fn index(symbol: &str, price: f64) -> Owned {
    let mut index: IndexPrice = bytemuck::Zeroable::zeroed();
    put(&mut index.symbol, symbol);
    index.price = price.into();
    Owned::Index(index)
}

/// The events as a feed.
pub fn feed(events: &[Owned]) -> Feed {
    let mut feed = Feed::default();
    for event in events {
        feed.push(0, event.event());
    }
    feed
}

/// One received signal: sequence, input sequence, model, symbol, time, value bits.
pub type Received = (u64, u64, Option<ModelId>, String, i64, Vec<u64>);

/// Feeds everything without loss and returns the signals.
pub fn run(config: &str, feed: &Feed) -> (Vec<Received>, Engine) {
    play(
        Engine::start(&Config::from_json(config).unwrap()).unwrap(),
        feed,
    )
}

/// As [`run`], with an engine that is already running.
pub fn play(mut engine: Engine, feed: &Feed) -> (Vec<Received>, Engine) {
    let mut received = Vec::new();
    for (index, event) in feed.iter().enumerate() {
        engine.on_event(event);
        if index % 64 == 63 {
            settle(&mut engine, &mut received);
        }
    }
    settle(&mut engine, &mut received);
    (received, engine)
}

/// Collects signals until no event is on its way.
pub fn settle(engine: &mut Engine, received: &mut Vec<Received>) {
    let limit = Instant::now() + LIMIT;
    while engine.counters().in_flight() > 0 {
        assert!(
            Instant::now() < limit,
            "events are stuck: {:?}",
            engine.counters()
        );
        collect(engine, received);
        std::thread::yield_now();
    }
    collect(engine, received);
}

/// Takes every signal that is ready.
pub fn collect(engine: &mut Engine, received: &mut Vec<Received>) {
    engine.poll(|name, signal| {
        received.push((
            signal.sequence,
            signal.meta.input_sequence,
            signal.model,
            name.as_str().to_owned(),
            signal.meta.timestamp,
            signal.values.iter().map(|value| value.to_bits()).collect(),
        ));
    });
}

/// All ways to assign the stages to lanes.
pub const PLACEMENTS: [&str; 6] = [
    r#""inline""#,
    r#""fused""#,
    r#""split""#,
    r#"[["ingest"],["factor","model"]]"#,
    r#"[["ingest","factor"],["model"]]"#,
    r#"[["ingest","factor","model"],["egress"]]"#,
];
