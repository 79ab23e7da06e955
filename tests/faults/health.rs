//! What health says of lanes that wait and lanes that stand still.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal::engine::{Health, HealthState};
use signal::{Config, Engine, Registry};
use support::events::depth;
use support::models::model;

static RELEASED: AtomicBool = AtomicBool::new(false);

/// Stays at the bid 666 until it is released.
fn stuck(factors: &[f64]) -> f64 {
    while factors[2] == 666.0 && !RELEASED.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    factors[2]
}

fn start(config: &str) -> Engine {
    let mut registry = Registry::default();
    registry.models.add("stuck", |_| model(stuck));
    Engine::start_with(&Config::from_json(config).unwrap(), &registry).unwrap()
}

fn until(engine: &Engine, done: impl Fn(&Health) -> bool) -> Health {
    let limit = Instant::now() + Duration::from_secs(30);
    loop {
        let health = engine.health();
        if done(&health) {
            return health;
        }
        assert!(Instant::now() < limit, "{health}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_lane_that_waits_for_the_host_is_overloaded_and_does_not_stall() {
    const STALL_US: u64 = 500_000;
    let mut engine = start(&format!(
        r#"{{"placement": "fused", "rings": {{"egress": 2}}, "health": {{"stall_us": {STALL_US}}},
            "overload": {{"egress": "block", "block_ms": 60000}}}}"#
    ));
    for time in 0..4 {
        engine.on_event(depth("btc_usdt", time, 100.0).event());
    }
    until(&engine, |health| health.state == HealthState::Overloaded);
    // Far longer than a stall may be.
    std::thread::sleep(Duration::from_micros(2 * STALL_US));
    let health = until(&engine, |health| health.state == HealthState::Overloaded);
    assert!(health.why.contains("lanes waited"), "{health}");
    while engine.counters().in_flight() > 0 || engine.counters().queued() > 0 {
        engine.poll(|_, _| {});
    }
    let lane = &engine.lanes()[0];
    assert!(lane.longest_duty_ns < STALL_US * 2_000, "{lane:?}");
    until(&engine, |health| health.state == HealthState::Ok);
}

#[test]
fn an_asset_that_never_occurs_is_named() {
    let mut engine =
        start(r#"{"placement": "inline", "assets": ["btcusd", "eth_usdt", "SOLUSDT"]}"#);
    assert_eq!(engine.health().why, "", "no event has come at all");
    for (symbol, missing) in [
        ("btc_usdt", "btcusd, eth_usdt, SOLUSDT, in 1 events"),
        ("ETHUSDT", "btcusd, SOLUSDT, in 2 events"),
        ("sol_usdt", "no event came of btcusd, in 3 events"),
    ] {
        engine.on_event(depth(symbol, 1, 100.0).event());
        engine.poll(|_, _| {});
        let health = engine.health();
        assert_eq!(health.state, HealthState::Ok);
        assert!(health.why.contains(missing), "{health}");
    }
    engine.on_event(depth("btcusd", 1, 100.0).event());
    engine.poll(|_, _| {});
    assert_eq!(engine.health().why, "");
}

#[test]
fn the_lane_that_stands_still_is_named_and_not_those_that_wait_for_it() {
    let mut engine = start(
        r#"{"models": "stuck", "placement": [["ingest"], ["factor"], ["model"]],
            "rings": {"ingest": 64, "stage": 2}, "health": {"stall_us": 200000}}"#,
    );
    for time in 0..20 {
        engine.on_event(depth("btc_usdt", time, 666.0).event());
    }
    let health = until(&engine, |health| health.state == HealthState::Stalled);
    assert!(health.why.contains("lane model..egress@"), "{health}");
    RELEASED.store(true, Ordering::Relaxed);
    until(&engine, |health| health.state != HealthState::Stalled);
}
