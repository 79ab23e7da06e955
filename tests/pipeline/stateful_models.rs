//! A model that keeps a state per instrument.

use signal::engine::Blueprint;
use signal::models::Model;
use signal::{Engine, InstrumentId, Registry};
use support::events::{depth, feed, play};

use crate::computing::config;

/// The number of runs and the sum of best bids, per instrument.
struct Sums {
    sums: Vec<[f64; 2]>,
    outputs: Vec<String>,
}

/// Bytes per instrument that a [`Greedy`] model says it needs.
const TOO_MANY: usize = 1 << 30;

/// A [`Sums`] whose state is too large.
struct Greedy(Sums);

impl Sums {
    fn new() -> Self {
        Self {
            sums: Vec::new(),
            outputs: ["runs", "sum"].map(str::to_owned).into(),
        }
    }
}

impl Model for Sums {
    fn inputs(&self) -> usize {
        3
    }
    fn outputs(&self) -> &[String] {
        &self.outputs
    }
    fn keeps_state(&self) -> bool {
        true
    }
    fn state_bytes(&self) -> usize {
        size_of::<[f64; 2]>()
    }
    fn reserve(&mut self, instruments: usize) {
        self.sums = vec![[0.0; 2]; instruments];
    }
    fn run(&mut self, instrument: InstrumentId, factors: &[f64], out: &mut [f64]) {
        let [runs, sum] = &mut self.sums[instrument.index()];
        *runs += 1.0;
        *sum += factors[2];
        out.copy_from_slice(&[*runs, *sum]);
    }
    fn reset(&mut self) {
        self.sums.fill([0.0; 2]);
    }
}

impl Model for Greedy {
    fn inputs(&self) -> usize {
        self.0.inputs()
    }
    fn outputs(&self) -> &[String] {
        self.0.outputs()
    }
    fn keeps_state(&self) -> bool {
        true
    }
    fn state_bytes(&self) -> usize {
        TOO_MANY
    }
    fn reserve(&mut self, _: usize) {
        panic!("it is refused before");
    }
    fn run(&mut self, _: InstrumentId, _: &[f64], _: &mut [f64]) {}
}

fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.models.add("sums", |_| Box::new(Sums::new()));
    registry
        .models
        .add("greedy", |_| Box::new(Greedy(Sums::new())));
    registry
}

const ROUNDS: usize = 10;

fn bid(place: usize, round: usize) -> f64 {
    100.0 * (place + 1) as f64 + round as f64
}

#[test]
fn each_instrument_has_a_state_of_its_own_under_every_placement() {
    for json in [
        r#"{"model": "sums", "placement": "inline"}"#,
        r#"{"model": "sums", "placement": "fused", "idle": "park"}"#,
        r#"{"model": "sums", "placement": "split", "idle": "park"}"#,
        r#"{"model": "sums", "placement": "fused", "shards": 2, "idle": "park"}"#,
    ] {
        let symbols = ["btc_usdt", "eth_usdt", "sol_usdt"];
        let mut events = Vec::new();
        for round in 0..ROUNDS {
            for (place, symbol) in symbols.iter().enumerate() {
                events.push(depth(symbol, round as i64, bid(place, round)));
            }
        }
        let config = signal::Config::from_json(json).unwrap();
        let engine = Engine::start_with(&config, &registry()).unwrap();
        let (received, _) = play(engine, &feed(&events));
        for (place, symbol) in ["BTCUSDT", "ETHUSDT", "SOLUSDT"].iter().enumerate() {
            let own = received.iter().filter(|received| received.3 == *symbol);
            let values: Vec<_> = own.map(|received| received.5.clone()).collect();
            let mut sum = 0.0;
            let expected = (0..ROUNDS).map(|round| {
                sum += bid(place, round);
                vec![(round as f64 + 1.0).to_bits(), sum.to_bits()]
            });
            assert_eq!(values, expected.collect::<Vec<_>>(), "{symbol} {json}");
        }
    }
}

#[test]
fn a_state_that_is_too_large_is_refused_by_name() {
    let config = config(r#"{"model": "greedy"}"#);
    let error = Blueprint::new(&config, &registry()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.contains("instruments.max") && error.contains("bytes of model state each"),
        "{error}"
    );
}
