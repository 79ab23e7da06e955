//! Factor vectors of recorded data, to train models on.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use signal::factors::{FactorSet, Market};
use signal::replay;
use signal::testing;

use crate::capture;

/// The session with index prices, which all 15 factors need.
const SESSION: &str = "s2023_usdm_BTCUSDT.csv.gz";
/// The most vectors that are written.
const VECTORS: usize = 9_000;

/// Writes `market` vectors as CSV with a header of factor names. They come from a recorded
/// session or, if the recorded data is missing, from a generated one.
pub fn write(folder: &Path, recorded: fn(&str) -> Option<PathBuf>) -> PathBuf {
    let file = recorded(SESSION).unwrap_or_else(|| capture::write(folder));
    let feed = replay::read(&[file]).unwrap();
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
