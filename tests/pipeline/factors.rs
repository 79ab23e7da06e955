//! The `market` factors compared with pandas and NumPy on recorded data, and with the engine.

use std::path::Path;

use signal::factors::{FactorSet, Market};
use signal::replay::{self, Feed};
use signal::testing::{self, Vector};
use signal::{Config, Engine};
use support::{SESSIONS, capture, python, recorded, script};

/// Largest relative error of each factor. Where it is 0, both sides do the same operations
/// in the same order. The other factors are sums, which the script computes exactly or in
/// wider floats. A sum of n positive terms in four lanes is off by at most n / 4 + 3
/// roundings of 1.1e-16, and a quotient of two by twice that: 2e-14 for the widest window
/// here.
const BOUNDS: [f64; 15] = [
    0.0, 0.0, 0.0, 3e-14, 3e-14, 3e-14, 0.0, 0.0, 3e-14, 3e-14, 0.0, 0.0, 0.0, 0.0, 0.0,
];

/// The script's factors for a capture.
fn reference(file: &Path, window: usize) -> Option<Vec<[f64; 15]>> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let output = dir.path().join("factors");
    let status = python("numpy, pandas")?
        .arg(script("factors.py"))
        .arg(file)
        .arg(window.to_string())
        .arg(&output)
        .status()
        .expect("python3 runs");
    assert!(status.success(), "factors.py: {status}");
    let bytes = std::fs::read(&output).expect("the script's output");
    let (rows, rest) = bytes.as_chunks::<{ 15 * 8 }>();
    assert!(rest.is_empty());
    let value = |bytes: &[u8; 8]| f64::from_le_bytes(*bytes);
    let row = |row: &[u8; 15 * 8]| std::array::from_fn(|n| value(&row.as_chunks().0[n]));
    Some(rows.iter().map(row).collect())
}

fn relative_error(got: f64, want: f64) -> f64 {
    if got == want {
        0.0
    } else {
        (got - want).abs() / want.abs()
    }
}

fn compare(file: &Path, window: usize) {
    let name = file.file_name().expect("a file").to_string_lossy();
    let Some(expected) = reference(file, window) else {
        return;
    };
    let feed = replay::read(&[file]).expect("a feed");
    let params = format!(r#"{{"window": {window}}}"#);
    let vectors = testing::run::<Market, _>(feed.iter(), &params).expect("vectors");
    assert_eq!(vectors.len(), expected.len());
    let mut worst = [0.0f64; 15];
    let mut alive = [false; 15];
    for (number, (vector, expected)) in vectors.iter().zip(&expected).enumerate() {
        for factor in 0..15 {
            let (got, want) = (vector.values[factor], expected[factor]);
            let error = relative_error(got, want);
            worst[factor] = worst[factor].max(error);
            alive[factor] |= want != 0.0;
            assert!(
                error <= BOUNDS[factor],
                "{name}, window {window}, Depth {number}, {}: {got:e}, expected {want:e}",
                Market::FACTORS[factor]
            );
        }
    }
    println!("{name}, window {window}, {} vectors", vectors.len());
    let has_index = feed.count(signal::abi::EventKind::IndexPrice) > 0;
    for (factor, name) in Market::FACTORS.iter().enumerate() {
        println!("  {name:20} {:e}", worst[factor]);
        // A column of zeros would hide any error.
        assert!(alive[factor] || factor >= 13 && !has_index || factor == 9 && window == 1);
    }
}

#[test]
fn equal_pandas_on_real_data() {
    for file in SESSIONS.iter().filter_map(|file| recorded(file)) {
        compare(&file, 20);
    }
}

#[test]
fn equal_pandas_on_a_generated_capture() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = capture::write(dir.path());
    for window in [20, 300] {
        compare(&file, window);
    }
}

#[test]
fn equal_pandas_with_other_windows() {
    let Some(file) = recorded(SESSIONS[1]) else {
        return;
    };
    for window in [1, 7, 300] {
        compare(&file, window);
    }
}

/// The signals of an engine that runs `market` on the host's thread and sends the factors
/// themselves.
fn from_engine(feed: &Feed) -> Vec<Vector<15>> {
    let config = r#"{"factors": "market", "model": "none", "placement": "inline"}"#;
    let config = Config::from_json(config).expect("a configuration");
    let mut engine = Engine::start(&config).expect("an engine");
    let mut vectors = Vec::new();
    for event in feed.iter() {
        engine.on_event(event);
        engine.poll(|&symbol, signal| {
            vectors.push(Vector {
                symbol,
                timestamp: signal.meta.timestamp,
                values: signal.values.try_into().expect("15 factors"),
            });
        });
    }
    vectors
}

#[test]
fn the_engine_sends_the_same_bits() {
    // This session has index prices.
    let Some(file) = recorded(SESSIONS[0]) else {
        return;
    };
    let feed = replay::read(&[file]).expect("a feed");
    let expected = testing::run::<Market, _>(feed.iter(), "{}").expect("vectors");
    let got = from_engine(&feed);
    assert_eq!(got.len(), expected.len());
    for (got, expected) in got.iter().zip(&expected) {
        assert_eq!(
            got.values.map(f64::to_bits),
            expected.values.map(f64::to_bits)
        );
        assert_eq!(got, expected);
    }
}
