//! A lane that cannot continue: its finished signals are delivered, what cannot be
//! delivered is counted, and later events are refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal::telemetry::counters::{Counter, Snapshot};
use signal::{Config, Engine, HealthState, Registry};
use support::events::{Received, collect, depth};
use support::models::model;

/// Returns the mid price after a pause.
fn slow(factors: &[f64]) -> f64 {
    if factors[1] != 0.0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    factors[1]
}

fn start(models: &str, rest: &str) -> Engine {
    let mut registry = Registry::default();
    registry.models.add("slow", |_| model(slow));
    let config = format!(r#"{{"models": {models}, {rest}}}"#);
    Engine::start_with(&Config::from_json(&config).unwrap(), &registry).unwrap()
}

fn until(engine: &mut Engine, what: &str, done: impl Fn(&mut Engine) -> bool) {
    let limit = Instant::now() + Duration::from_secs(30);
    while !done(engine) {
        assert!(Instant::now() < limit, "{what}: {:?}", engine.counters());
        std::thread::yield_now();
    }
}

/// Every event and every signal has ended exactly once.
fn assert_accounts(counters: &Snapshot) {
    assert_eq!(counters.in_flight(), 0, "{counters:?}");
    let get = |counter| counters.get(counter);
    let lost = get(Counter::DroppedEgressStopped) + get(Counter::ConflatedEgress);
    assert_eq!(
        get(Counter::Signals),
        get(Counter::Delivered) + lost + counters.queued(),
        "{counters:?}"
    );
}

/// Placements, some with a number of shards.
const PLACEMENTS: [&str; 7] = [
    r#""inline""#,
    r#""fused""#,
    r#""split""#,
    r#"[["ingest"],["factor","model","egress"]]"#,
    r#"[["ingest","factor"],["model"],["model"],["egress"]]"#,
    r#""fused", "shards": 2"#,
    r#""split", "shards": 3"#,
];

#[test]
fn what_was_on_its_way_behind_the_failed_lane_is_delivered() {
    for placement in PLACEMENTS {
        for idle in ["park", "yield"] {
            let mut engine = start(
                r#"["slow", "none"]"#,
                &format!(
                    r#""callback": "per-model", "placement": {placement}, "idle": "{idle}",
                        "rings": {{"stage": 16, "egress": 2}}"#
                ),
            );
            let mut received: Vec<Received> = Vec::new();
            for time in 1..=3 {
                engine.on_event(depth("btc_usdt", time, 100.0).event());
            }
            engine.ends().0.break_lane();
            until(&mut engine, "failed", |engine| engine.failure().is_some());
            assert_eq!(engine.health().state, HealthState::Failed);
            engine.on_event(depth("btc_usdt", 9, 100.0).event());
            let limit = Instant::now() + Duration::from_secs(30);
            while engine.counters().in_flight() > 0 || engine.counters().queued() > 0 {
                assert!(
                    Instant::now() < limit,
                    "{placement}: {:?}",
                    engine.counters()
                );
                collect(&mut engine, &mut received);
                std::thread::yield_now();
            }
            let counters = engine.counters();
            assert_accounts(&counters);
            assert_eq!(counters.get(Counter::RefusedFailed), 1, "{placement}");
            assert_eq!(counters.get(Counter::IngestGap), 0);
            assert_eq!(
                counters.get(Counter::DroppedIngestStopped),
                1,
                "the broken one"
            );
            assert_eq!(counters.events(), 5);
            // The three events made all their signals, and the newest of each model came.
            assert_eq!(
                counters.get(Counter::Signals),
                6,
                "{placement}: {counters:?}"
            );
            let last = |model: u8| {
                let mut of_model = received.iter().filter(|s| s.2.unwrap().0 == model);
                of_model.next_back().map(|signal| signal.4)
            };
            assert_eq!((last(0), last(1)), (Some(3), Some(3)), "{placement}");
        }
    }
}

#[test]
fn a_failed_engine_stays_as_it_is() {
    for placement in PLACEMENTS {
        let mut engine = start(
            r#"["none", "test0000"]"#,
            &format!(r#""callback": "per-model", "placement": {placement}"#),
        );
        engine.ends().0.break_lane();
        until(&mut engine, "failed", |engine| engine.failure().is_some());
        until(&mut engine, "counted", |engine| {
            engine.counters().in_flight() == 0
        });
        let before = engine.counters();
        for _ in 0..5 {
            assert_eq!(engine.poll(|_, _| {}), 0);
        }
        assert_eq!(engine.counters(), before, "{placement}");
        assert_eq!(before.get(Counter::Panics), 0);
        let why = engine.failure().unwrap().to_owned();
        assert!(why.contains("index out of bounds"), "{why}");
    }
}

#[test]
fn a_failed_engine_ends_at_once_though_nobody_polls() {
    for placement in PLACEMENTS {
        let mut engine = start(
            r#"["none", "test0000"]"#,
            &format!(
                r#""callback": "per-model", "placement": {placement}, "rings": {{"egress": 2}}"#
            ),
        );
        for time in 1..=10 {
            engine.on_event(depth("btc_usdt", time, 100.0).event());
        }
        engine.ends().0.break_lane();
        until(&mut engine, "failed", |engine| engine.failure().is_some());
        let start = Instant::now();
        drop(engine);
        assert!(start.elapsed() < Duration::from_secs(20), "{placement}");
    }
}

/// Either the lane counts them when it ends, or the next event that is given does.
#[test]
fn events_that_the_failed_lane_leaves_are_counted_once() {
    static OPEN: AtomicBool = AtomicBool::new(false);
    fn gate(factors: &[f64]) -> f64 {
        while factors[1] != 0.0 && !OPEN.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
        factors[1]
    }
    let mut registry = Registry::default();
    registry.models.add("gate", |_| model(gate));
    let config = Config::from_json(r#"{"models": ["gate"], "placement": "fused"}"#).unwrap();
    let mut engine = Engine::start_with(&config, &registry).unwrap();
    let event = depth("btc_usdt", 1, 100.0);
    engine.on_event(event.event());
    engine.ends().0.break_lane();
    for _ in 0..5 {
        engine.on_event(event.event());
    }
    OPEN.store(true, Ordering::Relaxed);
    until(&mut engine, "failed", |engine| engine.failure().is_some());
    let stopped = |engine: &mut Engine| engine.counters().get(Counter::DroppedIngestStopped);
    until(&mut engine, "counted", |engine| {
        assert!(!engine.on_event(event.event()));
        // The lane counts them one by one.
        stopped(engine) == 1 + 5
    });
    for _ in 0..3 {
        assert!(!engine.on_event(event.event()));
    }
    // The lane failed in the middle of its own event.
    assert_eq!(stopped(&mut engine), 1 + 5);
}
