//! What the library is asked to do: configurations, a model's file, events.

use std::path::{Path, PathBuf};

use bytemuck::Zeroable;
use serde_json::{Value, json};
use signal::abi::{Depth, LEVELS, Ticker, Trade};

use crate::drive::Source;
use crate::folder::Folder;
use crate::machine::Cores;

/// Lanes that spin on these cores; everything else as by default. One shard is what the
/// library has without the key: one of before does not know it.
pub fn config(placement: &Value, shards: usize, cores: &Cores, timing: bool) -> Value {
    let mut config = json!({
        "placement": placement,
        "idle": "spin",
        "timing": timing,
    });
    if shards > 1 {
        config["shards"] = json!(shards);
    }
    // Inline has no lane to pin.
    if placement != "inline" {
        config["cores"] = json!(cores.lanes);
    }
    config
}

/// The same with the factor set `market` and the model in this file.
pub fn market(mut config: Value, model: &Path) -> Value {
    config["factors"] = json!("market");
    config["model"] = json!({"name": "linear", "file": model});
    config
}

/// A linear model with a weight, a mean and a scale for each of the 15 factors of `market`.
pub fn linear_model(folder: &Folder) -> Result<PathBuf, String> {
    let numbers = |start: i32| -> Vec<f64> { (start..start + 15).map(f64::from).collect() };
    let model =
        json!({"weights": numbers(-7), "bias": 0.5, "mean": numbers(0), "scale": numbers(1)});
    folder.write("linear.json", &model.to_string())
}

pub fn depth() -> Depth {
    let mut depth = Depth::zeroed();
    depth.source_id[..7].copy_from_slice(b"binance");
    depth.symbol[..8].copy_from_slice(b"btc_usdt");
    depth.exchange_id[..7].copy_from_slice(b"binance");
    depth.instrument_type = 7;
    for level in 0..LEVELS {
        let step = level as f64;
        depth.bid_price[level] = (100.0 - step).into();
        depth.ask_price[level] = (102.0 + step).into();
        depth.bid_volume[level] = (1.0 + step).into();
        depth.ask_volume[level] = (2.0 + step).into();
    }
    depth
}

pub const BOOKS: usize = 16;

/// Makes it the Depth of this number, from 0; its time is the number, from 1. The book
/// moves, so that no trip repeats the one before.
#[inline(always)]
pub fn turn(depth: &mut Depth, number: usize) {
    depth.data_time = (number as i64 + 1).into();
    depth.bid_price[0] = (100.0 + (number % BOOKS) as f64 / BOOKS as f64).into();
}

/// Gives a book the name of the instrument of this number, below 100,000.
#[inline]
pub fn name(depth: &mut Depth, number: usize) {
    let mut symbol = *b"i00000_usdt";
    let mut rest = number;
    for digit in symbol[1..6].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    depth.symbol[..symbol.len()].copy_from_slice(&symbol);
}

pub fn trade(depth: &Depth) -> Trade {
    Trade {
        symbol: depth.symbol,
        exchange_id: depth.exchange_id,
        instrument_type: depth.instrument_type,
        volume: 0.5.into(),
        ..Trade::zeroed()
    }
}

pub fn ticker(depth: &Depth) -> Ticker {
    Ticker {
        source_id: depth.source_id,
        symbol: depth.symbol,
        exchange_id: depth.exchange_id,
        instrument_type: depth.instrument_type,
        bid_price: depth.bid_price[0],
        bid_volume: depth.bid_volume[0],
        ask_price: depth.ask_price[0],
        ask_volume: depth.ask_volume[0],
        ..Ticker::zeroed()
    }
}

/// The text of a capture file: a row each `step_ns`, every so many a Depth, all at one time of the
/// exchange's; the others Trades.
pub fn capture(rows: usize, step_ns: usize, depth_every: usize) -> String {
    let levels = |of: &dyn Fn(usize) -> String| (1..=LEVELS).map(of).collect::<String>();
    let head =
        levels(&|level| format!("bid_px_{level},bid_sz_{level},ask_px_{level},ask_sz_{level},"));
    let book = levels(&|level| format!("{},1,{},1,", 100 - level, 100 + level));
    let empty = ",".repeat(4 * LEVELS);
    let mut text = format!("type,ts_ns,symbol,{head}trade_id,price,qty,side,recv_ns,seq\n");
    for row in 0..rows {
        let at = row * step_ns;
        text += &match row % depth_every {
            0 => format!("depth,5,BTCUSDT,{book},,,,{at},{row}\n"),
            _ => format!("trade,5,BTCUSDT,{empty}{row},100,1,buy,{at},{row}\n"),
        };
    }
    text
}

pub struct Moving {
    depth: Depth,
    trade: Option<Trade>,
}

impl Moving {
    /// With a trade before each Depth, what a factor set computes from trades is never up to
    /// date already.
    pub fn new(with_trades: bool) -> Self {
        let depth = depth();
        let trade = with_trades.then(|| trade(&depth));
        Self { depth, trade }
    }
}

impl Source for Moving {
    #[inline(always)]
    fn event(&mut self, number: usize) -> (&Depth, Option<&Trade>) {
        turn(&mut self.depth, number);
        if let Some(trade) = &mut self.trade {
            trade.price = (101.0 + (number % 7) as f64 / 8.0).into();
            trade.trade_time = ((number as i64 + 1) * 1_000_000).into();
        }
        (&self.depth, self.trade.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_linear_model_fits_the_set_and_goes_with_its_folder() {
        let (first, second) = (Folder::new("test").unwrap(), Folder::new("test").unwrap());
        let path = linear_model(&first).unwrap();
        let model = signal::models::load(&path, None, &[]).unwrap();
        assert_eq!(
            model.inputs(),
            crate::feed::market_rows(1, 1).unwrap()[0].len()
        );
        drop(first);
        assert!(!path.exists() && second.path().exists());
    }
}
