//! What the library is asked to do: configurations, a model's file, events.

use std::io::Write;
use std::path::Path;

use bytemuck::Zeroable;
use serde_json::{Value, json};
use signal::abi::{Depth, LEVELS, Trade};
use tempfile::NamedTempFile;

use crate::machine::Cores;

/// Values in the factor vector of the set `market`.
const MARKET_FACTORS: usize = 15;

/// Lanes that spin on these cores; everything else as by default.
pub fn config(placement: &Value, cores: &Cores, timing: bool) -> Value {
    let mut config = json!({
        "placement": placement,
        "idle": "spin",
        "timing": timing,
    });
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

/// A linear model with a weight, a mean and a scale for each factor of `market`.
pub fn linear_model() -> Result<NamedTempFile, String> {
    let numbers = |start: f64| {
        (0..MARKET_FACTORS)
            .map(|place| start + place as f64)
            .collect()
    };
    let (weights, mean, scale): (Vec<f64>, Vec<f64>, Vec<f64>) =
        (numbers(-7.0), numbers(0.0), numbers(1.0));
    let json = json!({"weights": weights, "bias": 0.5, "mean": mean, "scale": scale});
    let write = || {
        let mut file = NamedTempFile::new()?;
        write!(file, "{json}")?;
        Ok(file)
    };
    write().map_err(|error: std::io::Error| format!("cannot write a model file: {error}"))
}

/// A book of ten levels around 101.
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

/// A trade in the instrument of that book.
pub fn trade(depth: &Depth) -> Trade {
    Trade {
        symbol: depth.symbol,
        exchange_id: depth.exchange_id,
        instrument_type: depth.instrument_type,
        volume: 0.5.into(),
        ..Trade::zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instrument_has_its_name() {
        let mut depth = depth();
        for (number, expected) in [
            (0, "i00000_usdt"),
            (42, "i00042_usdt"),
            (99_999, "i99999_usdt"),
        ] {
            name(&mut depth, number);
            assert_eq!(signal::abi::text(&depth.symbol), expected.as_bytes());
        }
    }
}
