//! A factor set or model that panics takes nothing down but itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal::factors::{Depth, FactorSet, NoParams};
use signal::{Config, Counter, Engine, HealthState, LaneReport, Registry};
use support::bomb::{Bomb, FATAL};
use support::events::{LIMIT, Owned, Received, collect, depth, put, settle};
use support::models::model;

const PLACEMENTS: [&str; 3] = ["inline", "fused", "split"];
/// A lane that the system delays is not what these tests look for.
const NO_STALL: &str = r#""health": {"stall_us": 60000000}"#;
/// Panics with a payload that panics when it is dropped. At times after the fatal one, that
/// second panic's payload is again a `Dirty`.
struct Dirty;

impl FactorSet<1> for Dirty {
    const NAME: &'static str = "dirty";
    const FACTORS: [&'static str; 1] = ["one"];
    const LEVELS: usize = 1;
    type Params = NoParams;
    fn new(_: &NoParams) -> Self {
        Self
    }
    fn on_depth(&mut self, depth: &Depth<'_>) {
        struct Again;
        impl Drop for Again {
            fn drop(&mut self) {
                panic!("and again");
            }
        }
        struct ForEver;
        impl Drop for ForEver {
            fn drop(&mut self) {
                std::panic::panic_any(ForEver);
            }
        }
        match depth.timestamp - FATAL {
            0 => std::panic::panic_any(Again),
            1 => std::panic::panic_any(ForEver),
            _ => {}
        }
    }
    fn write(&mut self, out: &mut [f64; 1]) {
        out[0] = 1.0;
    }
}

/// Returns the best bid; panics at the fatal one.
fn picky(factors: &[f64]) -> f64 {
    assert!(factors[2] != FATAL as f64, "a bid of {FATAL}");
    factors[2]
}

static RELEASED: AtomicBool = AtomicBool::new(false);

/// Does not return from the fatal bid until it is released.
fn endless(factors: &[f64]) -> f64 {
    while factors[2] == FATAL as f64 && !RELEASED.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    0.0
}

/// Takes a while for the fatal bid.
fn slow(factors: &[f64]) -> f64 {
    if factors[2] == FATAL as f64 {
        std::thread::sleep(SLOW);
    }
    0.0
}

const SLOW: Duration = Duration::from_millis(60);

fn unprimed(_: &[f64]) -> f64 {
    panic!("it cannot run at all");
}

fn start(config: &str) -> Result<Engine, signal::Error> {
    let mut registry = Registry::default();
    registry.factors.add::<Bomb, _>();
    registry.factors.add::<Dirty, _>();
    registry.models.add("slow", |_| model(slow));
    registry.models.add("picky", |_| model(picky));
    registry.models.add("endless", |_| model(endless));
    registry.models.add("unprimed", |_| model(unprimed));
    Engine::start_with(&Config::from_json(config).unwrap(), &registry)
}

fn feed(engine: &mut Engine, events: &[Owned]) -> Vec<Received> {
    let mut received = Vec::new();
    for event in events {
        engine.on_event(event.event());
    }
    settle(engine, &mut received);
    // Signals that an event made before it met a panic may come after the event has ended.
    let limit = Instant::now() + LIMIT;
    let on_their_way = |engine: &Engine| {
        let counters = engine.counters();
        counters.get(Counter::Predicted) - counters.get(Counter::Delivered)
    };
    while on_their_way(engine) > 0 {
        assert!(Instant::now() < limit, "{:?}", engine.counters());
        collect(engine, &mut received);
    }
    received
}

fn index(symbol: &str, price: f64) -> Owned {
    let mut index: signal::abi::IndexPrice = bytemuck::Zeroable::zeroed();
    put(&mut index.symbol, symbol);
    put(&mut index.exchange_id, "binance");
    index.price = price.into();
    Owned::Index(index)
}

/// Another instrument of the same exchange and symbol.
fn of_type(mut event: Owned, instrument_type: i8) -> Owned {
    if let Owned::Depth(depth) = &mut event {
        depth.instrument_type = instrument_type;
    }
    event
}

fn values(signal: &Received) -> Vec<f64> {
    signal.5.iter().map(|&bits| f64::from_bits(bits)).collect()
}

#[test]
fn the_instrument_of_a_factor_set_that_panics_is_put_in_quarantine() {
    for placement in PLACEMENTS {
        let mut engine = start(&format!(
            r#"{{"factors": ["test0000", "bomb"], "model": "none", "placement": "{placement}", {NO_STALL}}}"#
        ))
        .unwrap();
        let received = feed(
            &mut engine,
            &[
                depth("btc_usdt", 1, 9.0),
                depth("eth_usdt", 2, 9.0),
                depth("btc_usdt", FATAL, 9.0),
                depth("btc_usdt", 4, 9.0),
                depth("eth_usdt", 5, 9.0),
            ],
        );
        let seen: Vec<_> = received.iter().map(|s| (s.3.as_str(), s.4)).collect();
        assert_eq!(seen, [("BTCUSDT", 1), ("ETHUSDT", 2), ("ETHUSDT", 5)]);
        assert_eq!(engine.failure(), None);
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::RefusedQuarantined), 2);
        assert_eq!(counters.get(Counter::Panics), 1);
        assert_eq!(counters.in_flight(), 0);
        let incidents: Vec<_> = engine.incidents().collect();
        assert_eq!(
            incidents,
            ["instrument BTCUSDT is in quarantine: factor set bomb panicked: the bomb went off"]
        );
        let health = engine.health();
        assert_eq!(health.state, HealthState::Quarantined, "{health}");
        assert!(health.why.contains("BTCUSDT"));
    }
}

#[test]
fn what_a_factor_set_panics_with_is_never_thrown_away() {
    for placement in PLACEMENTS {
        let mut engine = start(&format!(
            r#"{{"factors": "dirty", "model": "none", "placement": "{placement}", {NO_STALL}}}"#
        ))
        .unwrap();
        let received = feed(
            &mut engine,
            &[
                depth("btc_usdt", 1, 9.0),
                depth("btc_usdt", FATAL, 9.0),
                depth("eth_usdt", FATAL + 1, 9.0),
                depth("btc_usdt", 4, 9.0),
                depth("eth_usdt", 5, 9.0),
                depth("sol_usdt", 6, 9.0),
            ],
        );
        assert_eq!(engine.failure(), None, "{placement}");
        let seen: Vec<_> = received.iter().map(|s| (s.3.as_str(), s.4)).collect();
        assert_eq!(seen, [("BTCUSDT", 1), ("SOLUSDT", 6)]);
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::RefusedQuarantined), 4);
        assert_eq!(counters.get(Counter::Panics), 2);
        assert_eq!(counters.in_flight(), 0);
        let incidents: Vec<_> = engine.incidents().collect();
        assert_eq!(incidents.len(), 2, "{incidents:?}");
        for (incident, name) in incidents.iter().zip(["BTCUSDT", "ETHUSDT"]) {
            let begin = format!("instrument {name} is in quarantine: factor set dirty panicked");
            assert!(incident.starts_with(&begin), "{incident}");
        }
        assert_eq!(engine.health().state, HealthState::Quarantined);
    }
}

#[test]
fn an_index_price_goes_round_the_instrument_in_quarantine() {
    for placement in PLACEMENTS {
        let mut engine = start(&format!(
            r#"{{"factors": "bomb", "model": "none", "trigger": ["depth", "index_price"],
                "placement": "{placement}"}}"#
        ))
        .unwrap();
        // Three instruments share a pair; the index price reaches the youngest first.
        let first: Vec<_> = (5..8)
            .map(|kind| of_type(depth("btc_usdt", kind.into(), 9.0), kind))
            .collect();
        assert_eq!(feed(&mut engine, &first).len(), 3);
        let fatal = of_type(depth("btc_usdt", FATAL, 9.0), 5);
        assert_eq!(feed(&mut engine, &[fatal]).len(), 0);
        // Type 5 was the last in the chain: the event must still end.
        let received = feed(&mut engine, &[index("btc_usdt", 3.0)]);
        let times: Vec<_> = received.iter().map(|signal| signal.4).collect();
        assert_eq!(times, [7, 6]);
        // An instrument that was not seen before the panic is not harmed.
        let late = feed(&mut engine, &[of_type(depth("btc_usdt", 9, 9.0), 1)]);
        assert_eq!(late.len(), 1);
        // All three remaining instruments panic at once.
        assert_eq!(
            feed(&mut engine, &[index("btc_usdt", FATAL as f64)]).len(),
            0
        );
        assert_eq!(feed(&mut engine, &[index("btc_usdt", 4.0)]).len(), 0);
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::Panics), 4);
        assert_eq!(counters.get(Counter::RefusedQuarantined), 2);
        assert_eq!(counters.get(Counter::Answered), 5);
        assert_eq!(counters.in_flight(), 0, "{placement}");
        // The instrument panics at its first event.
        feed(&mut engine, &[depth("eth_usdt", FATAL, 9.0)]);
        assert_eq!(feed(&mut engine, &[depth("eth_usdt", 1, 9.0)]).len(), 0);
        assert_eq!(feed(&mut engine, &[index("eth_usdt", 4.0)]).len(), 0);
        assert_eq!(feed(&mut engine, &[depth("sol_usdt", 1, 9.0)]).len(), 1);
        assert_eq!(engine.failure(), None);
    }
}

#[test]
fn a_model_that_panics_is_put_in_quarantine() {
    for placement in PLACEMENTS {
        for (callback, widths) in [("concatenated", vec![5]), ("per-model", vec![2, 3])] {
            let mut engine = start(&format!(
                r#"{{"models": ["test0000", "none", "picky"], "callback": "{callback}",
                    "placement": "{placement}"}}"#
            ))
            .unwrap();
            assert_eq!(
                feed(&mut engine, &[depth("btc_usdt", 1, 9.0)])
                    .last()
                    .map(|s| values(s).pop()),
                Some(Some(9.0))
            );
            let fatal = feed(&mut engine, &[depth("btc_usdt", 2, FATAL as f64)]);
            let after = feed(&mut engine, &[depth("btc_usdt", 3, 9.0)]);
            for received in [fatal, after] {
                let healthy: Vec<_> = received
                    .iter()
                    .map(|signal| values(signal).iter().filter(|v| !v.is_nan()).count())
                    .collect();
                assert_eq!(healthy, widths, "{placement} {callback}");
            }
            let counters = engine.counters();
            assert_eq!(counters.get(Counter::Panics), 1);
            assert_eq!(counters.in_flight(), 0);
            // With one callback per model, the panicking model's signal would be the event's last.
            let unanswered = u64::from(callback == "per-model");
            assert_eq!(counters.get(Counter::RefusedQuarantined), unanswered);
            assert_eq!(counters.get(Counter::Answered), 3 - unanswered);
            let incidents: Vec<_> = engine.incidents().collect();
            assert_eq!(incidents.len(), 1);
            assert!(
                incidents[0].contains("model picky") && incidents[0].contains("a bid of 666"),
                "{incidents:?}"
            );
        }
    }
}

#[test]
fn without_any_model_left_events_end_and_silence_is_named() {
    for placement in PLACEMENTS {
        let mut engine = start(&format!(
            r#"{{"models": "picky", "placement": "{placement}",
                "health": {{"silent_events": 10, "stall_us": 60000000}}}}"#
        ))
        .unwrap();
        feed(&mut engine, &[depth("btc_usdt", 1, 9.0)]);
        assert_eq!(engine.health().state, HealthState::Ok);
        for time in 0..20 {
            assert_eq!(
                feed(&mut engine, &[depth("btc_usdt", time, FATAL as f64)]).len(),
                0
            );
        }
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::Panics), 1);
        assert_eq!(counters.get(Counter::RefusedQuarantined), 20);
        assert_eq!(counters.in_flight(), 0);
        let health = engine.health();
        assert_eq!(health.state, HealthState::Silent);
        assert!(health.why.contains("refused_quarantined (20)"), "{health}");
    }
}

#[test]
fn a_model_that_never_returns_is_a_stall_and_does_not_keep_the_host() {
    let mut engine =
        start(r#"{"models": "endless", "placement": "fused", "health": {"stall_us": 50000}}"#)
            .unwrap();
    let beats = |engine: &Engine| engine.lanes()[0].beats;
    let before = beats(&engine);
    let limit = Instant::now() + LIMIT;
    while beats(&engine) == before {
        assert!(Instant::now() < limit, "the heart beats");
    }
    engine.on_event(depth("btc_usdt", 1, FATAL as f64).event());
    let limit = Instant::now() + LIMIT;
    let health = loop {
        let health = engine.health();
        if health.state == HealthState::Stalled {
            break health;
        }
        assert!(Instant::now() < limit, "{health}");
    };
    assert!(health.why.contains("ingest..egress@"), "{health}");
    let start = Instant::now();
    drop(engine);
    assert!(start.elapsed() < LIMIT, "destroy came back");
    RELEASED.store(true, Ordering::Relaxed);
}

#[test]
fn a_stall_that_is_over_is_counted() {
    for idle in ["spin", "park"] {
        let mut engine = start(&format!(
            r#"{{"models": "slow", "placement": "fused", "idle": "{idle}", "health": {{"stall_us": 50000}}}}"#
        ))
        .unwrap();
        feed(&mut engine, &[depth("btc_usdt", 1, 9.0)]);
        // The lane beats only after it has answered.
        let wait_for = |engine: &Engine, beaten: &dyn Fn(&LaneReport) -> bool| {
            let limit = Instant::now() + LIMIT;
            while !beaten(&engine.lanes()[0]) {
                assert!(Instant::now() < limit, "{:?}", engine.lanes());
            }
        };
        wait_for(&engine, &|lane| lane.longest_duty_ns > 0);
        let stalls = engine.lanes()[0].stalls;
        feed(&mut engine, &[depth("btc_usdt", 1, FATAL as f64)]);
        wait_for(&engine, &|lane| lane.stalls > stalls);
        let lane = &engine.lanes()[0];
        assert!(
            u128::from(lane.longest_duty_ns) >= SLOW.as_nanos(),
            "{lane:?}"
        );
        assert!(lane.name.starts_with("ingest..egress@"), "{}", lane.name);
    }
}

#[test]
fn a_model_that_cannot_run_refuses_the_engine() {
    for placement in PLACEMENTS {
        let refused = start(&format!(
            r#"{{"models": "unprimed", "placement": "{placement}"}}"#
        ));
        let why = refused.unwrap_err().to_string();
        assert!(why.contains("it cannot run at all"), "{why}");
    }
}
