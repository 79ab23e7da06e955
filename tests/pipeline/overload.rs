//! What happens when a ring is full: no policy loses anything that it does not count.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::Value;
use signal::telemetry::counters::{Counter, Snapshot};
use signal::{Config, Engine, Registry};
use support::events::{LIMIT, Owned, Received, collect, depth, settle};
use support::models::model;

fn engine(config: &str) -> Engine {
    Engine::start(&Config::from_json(config).unwrap()).unwrap()
}

const SYMBOLS: [&str; 5] = ["btc_usdt", "eth_usdt", "sol_usdt", "xrp_usdt", "ada_usdt"];

/// Checks both accounting identities; nothing may be on its way.
fn assert_accounts(counters: &Snapshot) {
    let get = |counter| counters.get(counter);
    assert_eq!(counters.in_flight(), 0, "{counters:?}");
    let lost = counters.lost()
        - get(Counter::DroppedIngestRingFull)
        - get(Counter::DroppedIngestTimeout)
        - get(Counter::DroppedStageStopped);
    assert_eq!(
        get(Counter::Signals),
        get(Counter::Delivered) + lost + counters.queued(),
        "{counters:?}"
    );
}

/// Each instrument's signals come in order, and their numbers show what is lost.
fn assert_in_order(received: &[Received], last_number: u64) {
    let mut times = HashMap::new();
    let mut number = 0;
    for signal in received {
        assert!(signal.0 > number, "numbers grow");
        number = signal.0;
        let before = times.insert(&signal.3, signal.4);
        assert!(before.is_none_or(|before| before < signal.4), "{signal:?}");
    }
    assert!(number <= last_number);
}

/// Polls until nothing waits.
fn drain(engine: &mut Engine, received: &mut Vec<Received>) {
    let limit = Instant::now() + LIMIT;
    settle(engine, received);
    while engine.counters().queued() > 0 {
        assert!(Instant::now() < limit, "{:?}", engine.counters());
        collect(engine, received);
        std::thread::yield_now();
    }
}

/// Waits, without polling, until the counters satisfy `so`.
fn until(engine: &Engine, so: impl Fn(&Snapshot) -> bool) {
    let limit = Instant::now() + LIMIT;
    while !so(&engine.counters()) {
        assert!(Instant::now() < limit, "{:?}", engine.counters());
        std::thread::yield_now();
    }
}

#[test]
fn conflate_keeps_the_newest_of_each_instrument() {
    for placement in ["inline", "fused", "split"] {
        let mut engine = engine(&format!(
            r#"{{"placement": "{placement}", "rings": {{"egress": 4}}}}"#
        ));
        let mut received = Vec::new();
        // Nobody polls: four signals go into the ring, then one signal of each instrument waits.
        for time in 0..100 {
            for symbol in SYMBOLS {
                engine.on_event(depth(symbol, time, 100.0).event());
            }
        }
        until(&engine, |counters| counters.in_flight() == 0);
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::Signals), 500);
        assert_eq!(counters.get(Counter::Published), 4);
        assert_eq!(counters.get(Counter::Held), 5);
        assert_eq!(counters.get(Counter::ConflatedEgress), 491);
        assert_accounts(&counters);
        drain(&mut engine, &mut received);
        assert_eq!(received.len(), 9, "{placement}");
        for symbol in SYMBOLS {
            let name = symbol.replace('_', "").to_uppercase();
            let last = received.iter().rfind(|signal| signal.3 == name).unwrap();
            assert_eq!(last.4, 99, "the newest of {name} came");
        }
        assert_in_order(&received, 500);
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::EgressGap), 491, "the gap was seen");
        assert_eq!(counters.get(Counter::Held), 0);
        assert_accounts(&counters);
        let rings = engine.rings();
        let egress = rings.last().unwrap();
        assert_eq!((egress.name.as_str(), egress.capacity), ("egress", 4));
        assert_eq!(egress.high_water, 4);
    }
}

#[test]
fn conflate_keeps_each_models_own_signal() {
    let mut engine = engine(
        r#"{"placement": "inline", "models": ["none", "test0000"], "callback": "per-model",
            "rings": {"egress": 2}}"#,
    );
    for time in 0..10 {
        engine.on_event(depth("btc_usdt", time, 100.0).event());
    }
    let mut received = Vec::new();
    drain(&mut engine, &mut received);
    let seen: Vec<_> = received
        .iter()
        .map(|signal| (signal.2.unwrap().0, signal.4, signal.5.len()))
        .collect();
    assert_eq!(seen, [(0, 0, 3), (1, 0, 2), (0, 9, 3), (1, 9, 2)]);
}

#[test]
fn block_at_egress_waits_for_the_host() {
    for placement in ["fused", "split"] {
        let mut engine = engine(&format!(
            r#"{{"placement": "{placement}", "rings": {{"egress": 2}},
                "overload": {{"egress": "block", "block_ms": 60000}}}}"#
        ));
        let mut received = Vec::new();
        for time in 0..50 {
            engine.on_event(depth("btc_usdt", time, 100.0).event());
        }
        until(&engine, |counters| counters.get(Counter::RingWaits) > 0);
        drain(&mut engine, &mut received);
        assert_eq!(received.len(), 50, "nothing is lost while the host polls");
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::EgressGap), 0);
        assert_accounts(&counters);
    }
}

#[test]
fn block_at_egress_does_not_wait_for_ever() {
    for placement in ["fused", "split"] {
        let mut engine = engine(&format!(
            r#"{{"placement": "{placement}", "rings": {{"egress": 2}},
                "overload": {{"egress": "block", "block_ms": 30}}}}"#
        ));
        let mut received = Vec::new();
        for time in 0..4 {
            engine.on_event(depth("btc_usdt", time, 100.0).event());
        }
        until(&engine, |counters| {
            counters.get(Counter::DroppedEgressTimeout) == 2
        });
        drain(&mut engine, &mut received);
        assert_eq!(received.len(), 2);
        let counters = engine.counters();
        assert_accounts(&counters);
        assert_eq!(counters.get(Counter::EgressGap), 0, "the gap is at the end");
        engine.on_event(depth("btc_usdt", 60, 100.0).event());
        drain(&mut engine, &mut received);
        assert_eq!(engine.counters().get(Counter::EgressGap), 2);
    }
}

#[test]
fn a_lane_that_blocks_ends_when_its_engine_does() {
    for placement in ["fused", "split"] {
        let dir = tempfile::tempdir().unwrap();
        let mut engine = engine(&format!(
            r#"{{"placement": "{placement}", "rings": {{"egress": 2}}, "latency": {{"dir": {:?}}},
                "overload": {{"egress": "block", "block_ms": 60000}}}}"#,
            dir.path()
        ));
        for time in 0..10 {
            engine.on_event(depth("btc_usdt", time, 100.0).event());
        }
        until(&engine, |counters| counters.get(Counter::RingWaits) > 0);
        drop(engine);
        // A lane that kept waiting would be left behind, and no counter would show its signal.
        let summary = std::fs::read_to_string(dir.path().join("summary.json")).unwrap();
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let get = |name: &str| summary["counters"][name].as_u64().unwrap();
        assert!(get("dropped_egress_stopped") > 0, "{summary}");
        assert_eq!(get("published"), 2);
        assert_eq!(get("signals"), 2 + get("dropped_egress_stopped"));
    }
}

#[test]
fn block_at_ingest_loses_nothing_while_the_lane_runs() {
    for placement in ["fused", "split"] {
        let mut engine = engine(&format!(
            r#"{{"placement": "{placement}", "idle": "park", "rings": {{"ingest": 2}},
                "overload": {{"ingest": "block", "block_ms": 60000}}}}"#
        ));
        let mut received = Vec::new();
        let event = depth("btc_usdt", 1, 100.0);
        for count in 0..2_000 {
            engine.on_event(event.event());
            if count % 1_000 == 999 {
                settle(&mut engine, &mut received);
            }
        }
        drain(&mut engine, &mut received);
        let counters = engine.counters();
        assert_eq!(received.len(), 2_000);
        assert_eq!(counters.get(Counter::IngestGap), 0);
        assert!(counters.get(Counter::RingWaits) > 0);
        assert_eq!(engine.rings()[0].high_water, 2);
    }
}

#[test]
fn block_at_ingest_gives_up_in_time() {
    // The lane waits for the host, and the host waits for the lane.
    let mut engine = engine(
        r#"{"placement": "fused", "rings": {"ingest": 2, "egress": 2},
            "overload": {"ingest": "block", "egress": "block", "block_ms": 200}}"#,
    );
    let event = depth("btc_usdt", 1, 100.0);
    for _ in 0..16 {
        engine.on_event(event.event());
    }
    let mut received = Vec::new();
    drain(&mut engine, &mut received);
    // A gap at the end only shows in the next event.
    engine.on_event(event.event());
    drain(&mut engine, &mut received);
    let counters = engine.counters();
    let at_ingest = counters.get(Counter::DroppedIngestTimeout);
    let at_egress = counters.get(Counter::DroppedEgressTimeout);
    assert!(at_ingest + at_egress > 0);
    assert_eq!(counters.get(Counter::IngestGap), at_ingest);
    assert_eq!(counters.get(Counter::EgressGap), at_egress);
    assert_accounts(&counters);
}

#[test]
fn block_at_ingest_gives_up_though_the_lane_stands_still() {
    static OPEN: AtomicBool = AtomicBool::new(false);
    fn gate(factors: &[f64]) -> f64 {
        // The gate opens eventually, so that a broken engine fails the test and does not hang it.
        let start = Instant::now();
        while factors[1] != 0.0 && !OPEN.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
            if start.elapsed() > Duration::from_secs(20) {
                OPEN.store(true, Ordering::Relaxed);
            }
        }
        factors[1]
    }
    let mut registry = Registry::default();
    registry.models.add("gate", |_| model(gate));
    let config = r#"{"models": ["gate"], "placement": "fused", "rings": {"ingest": 2},
        "overload": {"ingest": "block", "block_ms": 20}}"#;
    let config = Config::from_json(config).unwrap();
    let mut engine = Engine::start_with(&config, &registry).unwrap();
    let event = depth("btc_usdt", 1, 100.0);
    let taken = (0..8).filter(|_| engine.on_event(event.event())).count();
    OPEN.store(true, Ordering::Relaxed);
    let timeouts = engine.counters().get(Counter::DroppedIngestTimeout);
    assert!(timeouts > 0);
    assert_eq!(taken as u64, 8 - timeouts);
}

#[test]
fn high_water_marks_follow_what_waits() {
    let mut engine = engine(r#"{"placement": "inline", "rings": {"egress": 64}}"#);
    let mut received = Vec::new();
    for burst in [3, 7, 2] {
        for time in 0..burst {
            engine.on_event(depth("btc_usdt", time, 100.0).event());
        }
        collect(&mut engine, &mut received);
    }
    let rings = engine.rings();
    assert_eq!(rings[1].high_water, 7, "{rings:?}");
    assert_eq!(rings[0].name, "ingest");
    let names = |config: &str| -> Vec<String> {
        let rings = self::engine(config).rings();
        rings.into_iter().map(|ring| ring.name).collect()
    };
    assert_eq!(
        names(r#"{"placement": "split"}"#),
        [
            "ingest",
            "stage.factor",
            "stage.model",
            "stage.egress",
            "egress"
        ]
    );
}

static ENTERED: AtomicBool = AtomicBool::new(false);
static RELEASED: AtomicBool = AtomicBool::new(false);

/// The bid at which the gate is closed.
const HELD: f64 = 666.0;

/// Holds its lane at that bid until it is released.
fn gate(factors: &[f64]) -> f64 {
    if factors[2] == HELD {
        ENTERED.store(true, Ordering::Relaxed);
        while !RELEASED.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    0.0
}

#[test]
fn what_came_while_the_lane_was_at_one_message_is_in_the_high_water_mark() {
    let mut registry = Registry::default();
    registry.models.add("gate", |_| model(gate));
    let config = r#"{"models": "gate", "placement": "fused", "rings": {"ingest": 64}}"#;
    let mut engine = Engine::start_with(&Config::from_json(config).unwrap(), &registry).unwrap();
    let mut received = Vec::new();
    engine.on_event(depth("btc_usdt", 0, HELD).event());
    until(&engine, |_| ENTERED.load(Ordering::Relaxed));
    for time in 1..40 {
        engine.on_event(depth("btc_usdt", time, 100.0).event());
    }
    RELEASED.store(true, Ordering::Relaxed);
    drain(&mut engine, &mut received);
    assert_eq!(received.len(), 40);
    // The count may include the event that the lane was working on.
    let high_water = engine.rings()[0].high_water;
    assert!((39..=40).contains(&high_water), "{high_water}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is fed and polled, under every policy, the accounts add up, each
    /// instrument's signals are in order and the gaps match what was lost.
    #[test]
    fn every_policy_accounts_for_everything(
        policy in prop::sample::select(vec!["conflate", "drop-newest"]),
        placement in prop::sample::select(vec![
            r#""inline""#, r#""fused""#, r#""split""#, r#""fused", "shards": 3"#,
        ]),
        size in 2usize..6,
        steps in prop::collection::vec((0usize..5, any::<bool>()), 1..120),
    ) {
        let mut engine = engine(&format!(
            r#"{{"placement": {placement}, "rings": {{"egress": {size}, "ingest": 8}},
                "idle": "yield", "overload": {{"egress": "{policy}"}}}}"#
        ));
        let mut received = Vec::new();
        let mut last: HashMap<String, i64> = HashMap::new();
        for (time, &(symbol, poll)) in steps.iter().enumerate() {
            let event: Owned = depth(SYMBOLS[symbol], time as i64, 100.0);
            let refused = engine.counters().get(Counter::DroppedIngestRingFull);
            engine.on_event(event.event());
            if engine.counters().get(Counter::DroppedIngestRingFull) == refused {
                last.insert(SYMBOLS[symbol].replace('_', "").to_uppercase(), time as i64);
            }
            if poll {
                collect(&mut engine, &mut received);
            }
        }
        drain(&mut engine, &mut received);
        let counters = engine.counters();
        assert_accounts(&counters);
        assert_in_order(&received, counters.get(Counter::Signals));
        prop_assert_eq!(received.len() as u64, counters.get(Counter::Delivered));
        let end = received.last().map_or(0, |signal| signal.0);
        prop_assert_eq!(end, received.len() as u64 + counters.get(Counter::EgressGap));
        if policy == "conflate" {
            prop_assert_eq!(counters.get(Counter::DroppedEgressRingFull), 0);
            for (name, time) in last {
                let newest = received.iter().rfind(|signal| signal.3 == name).map(|signal| signal.4);
                prop_assert_eq!(newest, Some(time), "the newest of {} came", name);
            }
        }
    }
}
