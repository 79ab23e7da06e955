//! Real factor vectors, to train models on.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use bytemuck::Zeroable;
use signal::abi::{Depth, HostEvent, IndexPrice, Ticker, Trade};
use signal::factors::{FactorSet, Market};
use signal::replay::{self, Feed};
use signal::testing;

/// The session with index prices, which all 15 factors need.
const SESSION: &str = "s2023_usdm_BTCUSDT.csv.gz";
/// Vectors that are written at most.
const VECTORS: usize = 9_000;

/// Writes `market` vectors as CSV under their names: of a recorded session, or,
/// where the recorded data is not there, of a random walk.
pub fn write(folder: &Path, recorded: fn(&str) -> Option<PathBuf>) -> PathBuf {
    let feed = match recorded(SESSION) {
        Some(file) => replay::read(&[file]).unwrap(),
        None => random_walk(),
    };
    let vectors = testing::run::<Market, _>(feed.iter(), "{}").unwrap();
    assert!(vectors.len() >= VECTORS);
    let mut text = Market::FACTORS.join(",");
    for vector in &vectors[..VECTORS] {
        text.push('\n');
        for (place, value) in vector.values.iter().enumerate() {
            let comma = if place > 0 { "," } else { "" };
            write!(text, "{comma}{value}").unwrap();
        }
    }
    let path = folder.join("factors.csv");
    std::fs::write(&path, text).unwrap();
    path
}

fn random_walk() -> Feed {
    let mut random = fastrand::Rng::with_seed(5);
    let mut feed = Feed::default();
    let mut mid = 20_000.0;
    for step in 0..2 * VECTORS as i64 {
        mid += random.f64() - 0.5;
        let spread = (1.0 + random.f64() * 3.0).floor() / 10.0;
        let (bid, ask) = (mid - spread / 2.0, mid + spread / 2.0);
        let time = step * 20_000_000;
        let mut depth = Depth::zeroed();
        let mut trade = Trade::zeroed();
        let mut ticker = Ticker::zeroed();
        let mut index = IndexPrice::zeroed();
        for symbol in [
            &mut depth.symbol,
            &mut trade.symbol,
            &mut ticker.symbol,
            &mut index.symbol,
        ] {
            symbol[..8].copy_from_slice(b"btc_usdt");
        }
        depth.data_time = time.into();
        for level in 0..10 {
            let away = level as f64 / 10.0;
            depth.bid_price[level] = (bid - away).into();
            depth.ask_price[level] = (ask + away).into();
            depth.bid_volume[level] = random.f64().into();
            depth.ask_volume[level] = random.f64().into();
        }
        trade.trade_time = time.into();
        trade.price = mid.into();
        trade.volume = random.f64().into();
        trade.side = random.i8(0..2);
        ticker.bid_price = bid.into();
        ticker.ask_price = ask.into();
        ticker.bid_volume = random.f64().into();
        ticker.ask_volume = random.f64().into();
        index.price = (mid + random.f64() * 5.0).into();
        feed.push(time, HostEvent::Trade(&trade));
        feed.push(time, HostEvent::Ticker(&ticker));
        if step % 50 == 0 {
            feed.push(time, HostEvent::IndexPrice(&index));
        }
        feed.push(time, HostEvent::Depth(&depth));
    }
    feed
}
