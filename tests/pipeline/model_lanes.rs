//! Several lanes that divide the models between them, through the broadcast of factor vectors.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal::telemetry::counters::Counter;
use signal::{Config, Engine, Registry};
use support::events::{LIMIT, Owned, Received, collect, depth, feed, run, settle};
use support::models::model;

const SHARED: &str = r#"[["ingest","factor"],["model"],["model"],["egress"]]"#;

static HOLD: AtomicBool = AtomicBool::new(false);

/// Does not return while it is held.
fn slow(factors: &[f64]) -> f64 {
    while HOLD.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    factors[1]
}

/// Input sequence, symbol, time, value bits.
type Said = (u64, String, i64, Vec<u64>);

fn by_model(received: &[Received]) -> BTreeMap<u8, Vec<Said>> {
    let mut models: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (_, input, model, symbol, time, values) in received.iter().cloned() {
        let of_model = models.entry(model.unwrap().0).or_default();
        of_model.push((input, symbol, time, values));
    }
    models
}

#[test]
fn each_model_says_the_same_on_a_lane_of_its_own() {
    let symbols = ["btc_usdt", "eth_usdt", "sol_usdt"];
    let events: Vec<Owned> = (0..2_000)
        .map(|time| depth(symbols[time % 3], time as i64, 100.0 + (time % 7) as f64))
        .collect();
    let config = |placement: &str| {
        format!(
            r#"{{"models": ["none", {{"name": "a", "kind": "test0000"}}, {{"name": "b", "kind": "none"}}],
                "callback": "per-model", "placement": {placement}}}"#
        )
    };
    let (expected, _) = run(&config(r#""inline""#), &feed(&events));
    let (received, engine) = run(&config(SHARED), &feed(&events));
    assert_eq!(by_model(&received), by_model(&expected));
    let dense = received
        .iter()
        .zip(1..)
        .all(|(signal, number)| signal.0 == number);
    assert!(dense, "numbers are dense");
    let counters = engine.counters();
    assert_eq!(counters.get(Counter::ModelVectorsMissed), 0);
    assert_eq!(counters.get(Counter::ModelVectorsSent), 4_000);
    assert_eq!(counters.get(Counter::Answered), 2_000);
    assert_eq!(counters.get(Counter::Signals), 6_000);
    assert_eq!(counters.in_flight(), 0);
    let names: Vec<_> = engine.rings().into_iter().map(|ring| ring.name).collect();
    assert_eq!(
        names,
        ["ingest", "stage.egress#0", "stage.egress#1", "egress"]
    );
}

#[test]
fn a_slow_model_misses_vectors_and_stops_nobody() {
    let mut registry = Registry::default();
    registry.models.add("slow", |_| model(slow));
    let config = format!(
        r#"{{"models": ["slow", "none"], "callback": "per-model", "rings": {{"stage": 16}},
            "placement": {SHARED}}}"#
    );
    let mut engine = Engine::start_with(&Config::from_json(&config).unwrap(), &registry).unwrap();
    let mut received = Vec::new();
    let limit = Instant::now() + LIMIT;
    HOLD.store(true, Ordering::Relaxed);
    let mut marker = None;
    for time in 0..400 {
        if time == 200 {
            // It is overtaken as well.
            marker = engine.ends().0.mark();
        }
        engine.on_event(depth("btc_usdt", time, 100.0).event());
        // The fast model answers, whatever the slow one does.
        while engine.counters().get(Counter::ModelVectorsTaken) <= time as u64 {
            assert!(Instant::now() < limit, "{:?}", engine.counters());
            collect(&mut engine, &mut received);
            std::thread::yield_now();
        }
    }
    let marker = marker.expect("there is room for a marker");
    assert!(!engine.ends().0.has_passed(marker));
    HOLD.store(false, Ordering::Relaxed);
    settle(&mut engine, &mut received);
    while !engine.ends().0.has_passed(marker) {
        assert!(Instant::now() < limit, "{:?}", engine.counters());
        std::thread::yield_now();
    }
    let counters = engine.counters();
    let missed = counters.get(Counter::ModelVectorsMissed);
    assert_eq!(counters.get(Counter::ModelVectorsTaken) + missed, 800);
    let models = by_model(&received);
    assert_eq!(models[&1].len(), 400, "the fast model missed nothing");
    // The vector at which the model was held, and those that the broadcast still had.
    let slow = models[&0].len();
    assert!((2..=17).contains(&slow), "{slow} of the slow model");
    assert_eq!(slow as u64 + missed, 400);
    let newest = models[&0].last().unwrap();
    assert_eq!(newest.2, 399, "the slow model comes to the end");
    assert_eq!(counters.get(Counter::EgressGap), 0);
}

#[test]
fn lanes_without_a_model_and_one_callback_for_all_are_refused() {
    for config in [
        format!(r#"{{"models": ["none", "test0000"], "placement": {SHARED}}}"#),
        format!(r#"{{"callback": "per-model", "placement": {SHARED}}}"#),
    ] {
        let refused = Engine::start(&Config::from_json(&config).unwrap()).unwrap_err();
        let refused = refused.to_string();
        assert!(
            refused.contains("2 lanes divide the models among them"),
            "{refused}"
        );
    }
}
