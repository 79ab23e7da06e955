//! A marker comes after all events before it, under every placement.

use std::time::Instant;

use signal::messages::Marker;
use signal::telemetry::counters::Counter;
use signal::{Config, Engine};
use support::events::{LIMIT, depth};

const SYMBOLS: [&str; 4] = ["btc_usdt", "eth_usdt", "sol_usdt", "xrp_usdt"];

/// The number of events between two markers: fewer than any ring holds.
const EVENTS: usize = 50;

const CONFIGS: [&str; 8] = [
    r#"{"placement": "inline"}"#,
    r#"{"placement": "fused", "idle": "park"}"#,
    r#"{"placement": "split", "idle": "park"}"#,
    r#"{"placement": [["ingest"],["factor","model"]], "idle": "park"}"#,
    r#"{"placement": [["ingest","factor","model"],["egress"]], "idle": "park"}"#,
    r#"{"placement": "fused", "shards": 3, "idle": "park"}"#,
    r#"{"placement": "split", "shards": 2, "idle": "park"}"#,
    r#"{"placement": [["ingest","factor"],["model"],["model"],["egress"]], "idle": "park",
        "models": ["test0000", {"kind": "none", "name": "raw"}], "callback": "per-model"}"#,
];

fn wait_for(engine: &mut Engine, marker: Marker) {
    let limit = Instant::now() + LIMIT;
    while !engine.ends().0.has_passed(marker) {
        assert!(Instant::now() < limit, "{:?}", engine.counters());
        std::thread::yield_now();
    }
}

#[test]
fn the_signals_of_all_events_before_a_marker_are_ready_when_it_has_passed() {
    for json in CONFIGS {
        let mut engine = Engine::start(&Config::from_json(json).unwrap()).unwrap();
        let models = engine.models().len();
        for round in 1..=5u64 {
            for event in 0..EVENTS {
                let symbol = SYMBOLS[event % SYMBOLS.len()];
                engine.on_event(depth(symbol, event as i64, 100.0).event());
            }
            let marker = engine.ends().0.mark().expect("the last one has passed");
            assert_eq!(marker.number(), round);
            wait_for(&mut engine, marker);
            assert_eq!(engine.poll(|_, _| {}), models * EVENTS, "{json}");
            let counters = engine.counters();
            assert_eq!(counters.events(), round * EVENTS as u64, "{json}");
            assert_eq!((counters.in_flight(), counters.lost()), (0, 0), "{json}");
            assert_eq!(counters.get(Counter::IngestGap), 0, "{json}");
        }
    }
}

#[test]
fn there_is_one_marker_at_a_time_and_none_in_a_failed_engine() {
    let json = r#"{"placement": "fused", "idle": "park"}"#;
    let mut engine = Engine::start(&Config::from_json(json).unwrap()).unwrap();
    let (feeder, _) = engine.ends();
    let first = feeder.mark().unwrap();
    let limit = Instant::now() + LIMIT;
    let second = loop {
        assert!(Instant::now() < limit);
        match feeder.mark() {
            Some(second) => break second,
            None => std::thread::yield_now(),
        }
    };
    assert!(feeder.has_passed(first));
    assert_eq!(second.number(), 2);
    wait_for(&mut engine, second);
    engine.ends().0.break_lane();
    while engine.failure().is_none() {
        assert!(Instant::now() < limit);
        std::thread::yield_now();
    }
    assert_eq!(engine.ends().0.mark(), None);
}
