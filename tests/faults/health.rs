//! What health says about lanes that wait, lanes that do not move and feeds with bad data.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal::abi::{HostEvent, IndexPrice};
use signal::{Config, Counter, Engine, Health, HealthState, Registry};
use support::events::depth;
use support::models::model;

static RELEASED: AtomicBool = AtomicBool::new(false);

/// Does not return from the bid 666 until it is released.
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
    // This is far longer than the stall threshold.
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
        ("sol_usdt", "no event came for btcusd, in 3 events"),
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
fn a_mapped_instrument_that_never_occurs_is_named() {
    let mut engine = start(
        r#"{"placement": "inline", "symbols": {"map": [
            {"exchange": "binance", "type": "unknown", "symbol": "BTCUSDT", "name": "A"},
            {"exchange": "Binance", "type": "unknown", "symbol": "eth_usdt", "name": "B"},
            {"exchange": "binance", "type": "spot", "symbol": "btc_usdt", "name": "C"}]}}"#,
    );
    assert_eq!(engine.health().why, "", "no event has come at all");
    for symbol in ["eth_usdt", "btc_usdt"] {
        engine.on_event(depth(symbol, 1, 100.0).event());
        engine.poll(|_, _| {});
    }
    let health = engine.health();
    assert_eq!(health.state, HealthState::Ok);
    let said = "symbols.map: no event came for eth_usdt of Binance (unknown), \
                btc_usdt of binance (spot), in 2 events; expected exchange, type and symbol";
    assert!(health.why.contains(said), "{health}");
}

#[test]
fn a_mapped_instrument_occurs_in_an_index_price_and_where_its_event_is_refused() {
    let mut engine = start(
        r#"{"placement": "inline", "instruments": {"max": 1}, "symbols": {"map": [
            {"exchange": "binance", "type": "index", "symbol": "btc_usdt", "name": "A"},
            {"exchange": "binance", "type": "unknown", "symbol": "sol_usdt", "name": "B"}]}}"#,
    );
    let mut index: IndexPrice = bytemuck::Zeroable::zeroed();
    index.symbol[..8].copy_from_slice(b"btc_usdt");
    index.exchange_id[..7].copy_from_slice(b"binance");
    index.instrument_type = 6;
    index.price = 100.0.into();
    engine.on_event(HostEvent::IndexPrice(&index));
    for symbol in ["eth_usdt", "sol_usdt"] {
        engine.on_event(depth(symbol, 1, 100.0).event());
    }
    assert_eq!(engine.counters().get(Counter::RefusedTooManyInstruments), 1);
    let health = engine.health();
    assert!(!health.why.contains("symbols.map"), "{health}");
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

/// Gives `times` events of an instrument, then polls.
fn give(engine: &mut Engine, symbol: &str, times: i64) {
    for time in 0..times {
        engine.on_event(depth(symbol, time, 100.0).event());
        engine.poll(|_, _| {});
    }
}

#[test]
fn a_feed_of_which_too_much_is_refused_is_degraded_and_says_why() {
    let mut engine = start(r#"{"placement": "inline", "instruments": {"max": 1}}"#);
    give(&mut engine, "btc_usdt", 1);
    assert_eq!(engine.health().state, HealthState::Ok);
    give(&mut engine, "eth_usdt", 999);
    let health = engine.health();
    assert_eq!(health.state, HealthState::Degraded, "{health}");
    assert_eq!(
        health.to_string(),
        "degraded: since the last check 999 of 999 events were refused, most as \
         refused_too_many_instruments (999): instruments.max is too small for this feed"
    );
    // The report ends with the burst that caused it.
    give(&mut engine, "btc_usdt", 1);
    assert_eq!(engine.health().state, HealthState::Ok);
    // One refused event in ten is too much, one in eleven is not.
    for (taken, state) in [(9, HealthState::Degraded), (10, HealthState::Ok)] {
        give(&mut engine, "btc_usdt", taken);
        engine.on_event(depth("btc_usdt", 1, -1.0).event());
        let health = engine.health();
        assert_eq!(health.state, state, "{taken}: {health}");
        let named =
            health.why.contains("1 of 10 events") && health.why.contains("refused_bad_price (1)");
        assert_eq!(named, taken == 9, "{health}");
    }
}

#[test]
fn how_much_may_be_refused_is_configured() {
    for (percent, degraded) in [(1, true), (50, true), (51, false), (100, false)] {
        let mut engine = start(&format!(
            r#"{{"placement": "inline", "instruments": {{"max": 1}},
                "health": {{"refused_percent": {percent}}}}}"#
        ));
        give(&mut engine, "btc_usdt", 5);
        give(&mut engine, "eth_usdt", 5);
        let health = engine.health();
        assert_eq!(
            health.state == HealthState::Degraded,
            degraded,
            "{percent}: {health}"
        );
    }
}

#[test]
fn events_that_the_configuration_refuses_are_no_fault() {
    let mut engine = start(r#"{"placement": "inline", "assets": "btc_usdt"}"#);
    give(&mut engine, "btc_usdt", 1);
    give(&mut engine, "eth_usdt", 999);
    assert_eq!(engine.health().to_string(), "ok");
}

#[test]
fn a_worse_state_is_given_and_what_is_wrong_besides_is_named() {
    let mut engine = start(
        r#"{"placement": "inline", "instruments": {"max": 1}, "health": {"silent_events": 100}}"#,
    );
    give(&mut engine, "btc_usdt", 1);
    assert_eq!(engine.health().state, HealthState::Ok);
    give(&mut engine, "eth_usdt", 200);
    let health = engine.health();
    assert_eq!(health.state, HealthState::Silent, "{health}");
    assert!(
        health
            .why
            .contains("besides, since the last check 200 of 200"),
        "{health}"
    );
}

#[test]
fn states_are_in_the_order_of_severity() {
    use HealthState::{Degraded, Failed, Ok, Overloaded, Quarantined, Silent, Stalled};
    let worse = [
        Ok,
        Degraded,
        Quarantined,
        Silent,
        Overloaded,
        Stalled,
        Failed,
    ];
    assert!(worse.is_sorted_by(|one, next| one < next));
}
