//! What the library is asked to do: configurations, a model's file, events.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

use bytemuck::Zeroable;
use serde_json::{Value, json};
use signal::abi::{Depth, LEVELS, Trade};

use crate::machine::Cores;

/// Values in the factor vector of the set `market`.
const MARKET_FACTORS: usize = 15;

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

/// A linear model with a weight, a mean and a scale for each factor of `market`.
pub fn linear_model() -> Result<ModelFile, String> {
    let numbers = |start: f64| {
        (0..MARKET_FACTORS)
            .map(|place| start + place as f64)
            .collect()
    };
    let (weights, mean, scale): (Vec<f64>, Vec<f64>, Vec<f64>) =
        (numbers(-7.0), numbers(0.0), numbers(1.0));
    let json = json!({"weights": weights, "bias": 0.5, "mean": mean, "scale": scale});
    ModelFile::write(&json.to_string()).map_err(|error| {
        format!(
            "cannot write a model file in {}: {error}",
            env::temp_dir().display()
        )
    })
}

/// A model's file, deleted on drop.
#[derive(Debug)]
pub struct ModelFile(PathBuf);

impl ModelFile {
    /// Writes `text` to a new file in the system's folder for such.
    pub fn write(text: &str) -> std::io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("signal-bench-{}-{number}.json", process::id());
        let path = env::temp_dir().join(name);
        let mut file = File::create_new(&path)?;
        let model = Self(path);
        file.write_all(text.as_bytes())?;
        Ok(model)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ModelFile {
    fn drop(&mut self) {
        // A file that stays behind in the system's folder does no harm.
        let _ = fs::remove_file(&self.0);
    }
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

    #[test]
    fn a_model_file_is_a_model_and_goes_when_dropped() {
        let (first, second) = (linear_model().unwrap(), linear_model().unwrap());
        assert_ne!(first.path(), second.path());
        let text = fs::read_to_string(first.path()).unwrap();
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["weights"].as_array().unwrap().len(), MARKET_FACTORS);
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().exists());
    }
}
