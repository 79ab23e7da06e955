//! A shard that panics or is slow, next to healthy ones.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal::telemetry::counters::Counter;
use signal::{Config, Engine, Registry};
use support::bomb::{Bomb, FATAL};
use support::events::{LIMIT, collect, depth, settle};
use support::models::model;

use super::{PLACEMENTS, SYMBOLS, Said, index, of_type, play};

/// Returns the best bid; panics at the fatal one.
fn picky(factors: &[f64]) -> f64 {
    assert!(factors[2] != FATAL as f64, "a bid of {FATAL}");
    factors[2]
}

#[test]
fn what_panics_in_one_shard_leaves_the_others_alone() {
    let mut registry = Registry::default();
    registry.factors.add::<Bomb, _>();
    registry.models.add("picky", |_| model(picky));
    for placement in &PLACEMENTS[1..] {
        let rest = format!(r#""placement": {placement}, "shards": 2, "idle": "yield""#);
        // Of instruments 0, 1 and 2, the first and the last belong to one shard.
        let round = |time| SYMBOLS.map(|symbol| depth(symbol, time, 9.0));
        let mut events = round(1).to_vec();
        events.push(depth(SYMBOLS[1], 2, FATAL as f64));
        events.extend(round(3));
        let config = format!(r#"{{"models": "picky", {rest}}}"#);
        let (said, engine) = play(&config, &registry, &events);
        let times = |instrument| {
            let said: Option<&Said> = said.get(&instrument);
            said.map(|said| said.iter().map(|signal| signal.2).collect::<Vec<_>>())
        };
        assert_eq!(times(0), Some(vec![1, 3]), "{placement}");
        assert_eq!(times(1), Some(vec![1]), "its shard has no model left");
        assert_eq!(times(2), Some(vec![1, 3]));
        let incidents: Vec<_> = engine.incidents().collect();
        assert!(
            incidents[0].contains("model picky of shard 1 is in quarantine"),
            "{incidents:?}"
        );
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::RefusedQuarantined), 2);
        assert_eq!(
            (counters.get(Counter::Answered), counters.in_flight()),
            (5, 0)
        );

        // All instruments of a pair panic at once, each in its shard.
        let kinds = |time: i64| (0..5).map(move |kind| of_type(depth("btc_usdt", time, 9.0), kind));
        let mut events: Vec<_> = kinds(1).collect();
        events.push(of_type(depth("btc_usdt", FATAL, 9.0), 3));
        events.extend([index("btc_usdt", 5.0), index("btc_usdt", FATAL as f64)]);
        events.extend(kinds(2).chain([index("btc_usdt", 6.0), depth("eth_usdt", 3, 9.0)]));
        events.push(depth("sol_usdt", FATAL, 9.0));
        let config = format!(
            r#"{{"factors": "bomb", "models": "none", "trigger": ["depth", "index_price"], {rest}}}"#
        );
        let (said, engine) = play(&config, &registry, &events);
        let counters = engine.counters();
        assert_eq!(
            counters.get(Counter::Panics),
            6,
            "{placement}: {counters:?}"
        );
        assert_eq!(said.values().map(Vec::len).sum::<usize>(), 5 + 4 + 1);
        assert_eq!(said[&5].len(), 1, "another pair is left alone");
        assert_eq!((counters.in_flight(), counters.events()), (0, 16));
        let ended = counters.get(Counter::RefusedQuarantined)
            + counters.get(Counter::Answered)
            + counters.get(Counter::Updates);
        assert_eq!(ended, 16, "{counters:?}");
        assert_eq!(counters.get(Counter::CopiesEnded), 3);
        let of = |symbol| {
            let begin = format!("instrument {symbol} is in quarantine");
            let incidents = engine.incidents();
            incidents.filter(|text| text.starts_with(&begin)).count()
        };
        assert_eq!((of("BTCUSDT"), of("SOLUSDT")), (5, 1));
    }
}

static HELD: AtomicBool = AtomicBool::new(false);

/// Does not return from the fatal bid while it is held.
fn gate(factors: &[f64]) -> f64 {
    while factors[2] == FATAL as f64 && HELD.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
    }
    factors[2]
}

#[test]
fn a_slow_shard_makes_the_others_wait_and_loses_nothing() {
    let mut registry = Registry::default();
    registry.models.add("gate", |_| model(gate));
    let config = r#"{"models": "gate", "placement": "fused", "shards": 2, "idle": "park",
        "rings": {"stage": 2}}"#;
    let mut engine = Engine::start_with(&Config::from_json(config).unwrap(), &registry).unwrap();
    HELD.store(true, Ordering::Relaxed);
    let (held, free) = (SYMBOLS[0], SYMBOLS[1]);
    engine.on_event(depth(held, 0, FATAL as f64).event());
    for time in 1..=10 {
        engine.on_event(depth(held, time, 9.0).event());
    }
    engine.on_event(depth(free, 11, 9.0).event());
    let limit = Instant::now() + LIMIT;
    while engine.counters().get(Counter::RingWaits) == 0 {
        assert!(Instant::now() < limit, "{:?}", engine.counters());
    }
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(
        engine.poll(|_, _| {}),
        0,
        "the other shard's event is behind"
    );
    assert!(engine.counters().in_flight() >= 8);
    HELD.store(false, Ordering::Relaxed);
    let mut received = Vec::new();
    settle(&mut engine, &mut received);
    collect(&mut engine, &mut received);
    let times = |symbol: &str| {
        let of = received.iter().filter(|signal| signal.3 == symbol);
        of.map(|signal| signal.4).collect::<Vec<_>>()
    };
    assert_eq!(times("BTCUSDT"), (0..=10).collect::<Vec<_>>());
    assert_eq!(times("ETHUSDT"), [11]);
    assert_eq!(engine.counters().lost(), 0);
    let full: Vec<_> = engine
        .rings()
        .into_iter()
        .filter(|ring| ring.name.starts_with("stage.factor") && ring.high_water == ring.capacity)
        .map(|ring| ring.name)
        .collect();
    assert_eq!(
        full,
        ["stage.factor#0"],
        "the ring says which shard is slow"
    );
}
