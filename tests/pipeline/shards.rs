//! Shards: lanes of factor and model that each handle some of the instruments.

use std::collections::BTreeMap;
use std::time::Instant;

use proptest::prelude::*;
use signal::abi::{IndexPrice, SIDE_BUY, Ticker, Trade};
use signal::engine::Blueprint;
use signal::telemetry::counters::{Counter, Snapshot};
use signal::{Config, Engine, Registry};
use support::events::{LIMIT, Owned, depth, feed, put, run};

mod harm;

/// The placements that can have shards, each with as many as a test wants.
const PLACEMENTS: [&str; 5] = [
    r#""auto""#,
    r#""fused""#,
    r#""split""#,
    r#"[["ingest"],["factor","model"],["egress"]]"#,
    r#"[["ingest"],["factor"],["model"],["egress"]]"#,
];

const SYMBOLS: [&str; 3] = ["btc_usdt", "eth_usdt", "sol_usdt"];

/// An event of kind `kind` of an instrument with that symbol.
fn event(kind: u8, symbol: usize, instrument_type: i8, time: i64) -> Owned {
    let (symbol, price) = (SYMBOLS[symbol], 100.0 + (time % 13) as f64 / 8.0);
    match kind {
        0 => {
            let mut ticker: Ticker = bytemuck::Zeroable::zeroed();
            put(&mut ticker.symbol, symbol);
            put(&mut ticker.exchange_id, "binance");
            ticker.instrument_type = instrument_type;
            ticker.data_time = time.into();
            ticker.bid_price = price.into();
            ticker.ask_price = (price + 0.1).into();
            Owned::Ticker(ticker)
        }
        1 => {
            let mut trade: Trade = bytemuck::Zeroable::zeroed();
            put(&mut trade.symbol, symbol);
            put(&mut trade.exchange_id, "binance");
            trade.instrument_type = instrument_type;
            trade.trade_time = time.into();
            trade.price = price.into();
            trade.volume = 1.0.into();
            trade.side = SIDE_BUY;
            Owned::Trade(trade)
        }
        2 => index(symbol, price),
        _ => of_type(depth(symbol, time, price), instrument_type),
    }
}

fn index(symbol: &str, price: f64) -> Owned {
    let mut index: IndexPrice = bytemuck::Zeroable::zeroed();
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

/// The signals of one instrument: input sequence, model, time, value bits.
type Said = Vec<(u64, Option<u8>, i64, Vec<u64>)>;

/// Feeds everything, polls now and then and checks that the signals' numbers have no gaps.
fn play(config: &str, registry: &Registry, events: &[Owned]) -> (BTreeMap<u32, Said>, Engine) {
    let config = Config::from_json(config).unwrap();
    let mut engine = Engine::start_with(&config, registry).unwrap();
    let (mut said, mut last) = (BTreeMap::<u32, Said>::new(), 0);
    let limit = Instant::now() + LIMIT;
    let mut poll = |engine: &mut Engine| {
        engine.poll(|_, signal| {
            assert_eq!(signal.sequence, last + 1, "numbers are dense");
            last = signal.sequence;
            let values = signal.values.iter().map(|value| value.to_bits());
            let meta = signal.meta;
            said.entry(meta.instrument.0).or_default().push((
                meta.input_sequence,
                signal.model.map(|id| id.0),
                meta.timestamp,
                values.collect(),
            ));
        });
    };
    for (place, event) in events.iter().enumerate() {
        engine.on_event(event.event());
        while (place % 64 == 63 || place + 1 == events.len()) && engine.counters().in_flight() > 0 {
            assert!(Instant::now() < limit, "stuck: {:?}", engine.counters());
            poll(&mut engine);
            std::thread::yield_now();
        }
        poll(&mut engine);
    }
    (said, engine)
}

/// Every event and every copy has ended exactly once.
fn assert_books(counters: &Snapshot, shards: u64, events: &[Owned]) {
    let get = |counter| counters.get(counter);
    assert_eq!(counters.in_flight(), 0, "{counters:?}");
    assert_eq!(counters.events(), events.len() as u64);
    let most = (shards - 1) * get(Counter::EventsIndexPrice);
    // A refused index price is not copied.
    let refused = (shards - 1) * get(Counter::RefusedTooManyInstruments);
    let copies = get(Counter::Copies);
    assert!(
        (most.saturating_sub(refused)..=most).contains(&copies),
        "{counters:?}"
    );
    assert_eq!(get(Counter::CopiesEnded), copies, "{counters:?}");
    assert_eq!(get(Counter::Signals), get(Counter::Delivered));
    assert_eq!((counters.lost(), get(Counter::EgressGap)), (0, 0));
}

/// The counters of where events and messages ended, which are the same for any set of lanes.
const ENDS: [Counter; 6] = [
    Counter::Updates,
    Counter::Triggered,
    Counter::Predicted,
    Counter::Signals,
    Counter::Answered,
    Counter::RefusedTooManyInstruments,
];

fn assert_same(rest: &str, placement: &str, shards: usize, events: &[Owned]) {
    let registry = Registry::default();
    let (expected, inline) = play(
        &format!(r#"{{"placement": "inline", {rest}}}"#),
        &registry,
        events,
    );
    let config = format!(
        r#"{{"placement": {placement}, "shards": {shards}, "rings": {{"stage": 2}}, {rest}}}"#
    );
    let (said, engine) = play(&config, &registry, events);
    for (instrument, expected) in &expected {
        assert_eq!(
            said.get(instrument),
            Some(expected),
            "{config}: {instrument}"
        );
    }
    assert_eq!(said.len(), expected.len());
    let (counters, of_inline) = (engine.counters(), inline.counters());
    for counter in ENDS {
        assert_eq!(
            counters.get(counter),
            of_inline.get(counter),
            "{} {config}",
            counter.name()
        );
    }
    // With too few cores, `auto` makes fewer lanes.
    let there = engine
        .lanes()
        .iter()
        .filter(|lane| lane.name.contains("factor"))
        .count();
    if placement != PLACEMENTS[0] {
        assert_eq!(there, shards);
    }
    assert_books(&counters, there.max(1) as u64, events);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the placement, the number of shards and the events are, each instrument's
    /// signals are the same as inline, and so are the counters.
    #[test]
    fn each_instrument_says_the_same_in_any_shard(
        placement in prop::sample::select(PLACEMENTS.to_vec()),
        shards in 2usize..=16,
        idle in prop::sample::select(vec!["park", "yield"]),
        callback in prop::sample::select(vec!["concatenated", "per-model"]),
        trigger in prop::sample::subsequence(vec!["depth", "ticker", "trade", "index_price"], 1..=4),
        max in 1usize..14,
        steps in prop::collection::vec((0u8..5, 0usize..3, 0i8..4), 1..250),
    ) {
        let events: Vec<Owned> = (0..).zip(steps)
            .map(|(time, (kind, symbol, of_type))| event(kind, symbol, of_type, time)).collect();
        let rest = format!(
            r#""factors": ["test0000", "market"], "models": ["none", "test0000"], "callback": "{callback}",
               "trigger": {trigger:?}, "idle": "{idle}", "instruments": {{"max": {max}}}"#
        );
        assert_same(&rest, placement, shards, &events);
    }
}

#[test]
fn each_shard_has_the_model_files_of_all() {
    let models = ["move.json", "move.txt", "move.xgb.json", "move.onnx"].map(|file| {
        let (folder, name) = (env!("CARGO_MANIFEST_DIR"), file.replace('.', "_"));
        format!(r#"{{"file": "{folder}/examples/models/{file}", "name": "{name}"}}"#)
    });
    let rest = format!(r#""factors": "market", "models": [{}]"#, models.join(", "));
    let mut random = fastrand::Rng::with_seed(4);
    let events: Vec<Owned> = (0..600)
        .map(|time| event(random.u8(..5), random.usize(..3), random.i8(0..4), time))
        .collect();
    for placement in &PLACEMENTS[1..] {
        assert_same(&rest, placement, 3, &events);
    }
}

#[test]
fn an_index_price_reaches_each_instrument_of_its_pair_once() {
    // The last index price is known before the first instrument is.
    let mut events = vec![index("btc_usdt", 90.0), index("btc_usdt", 91.0)];
    events.extend((0..7).map(|kind| of_type(depth("btc_usdt", kind.into(), 100.0), kind)));
    events.push(of_type(depth("eth_usdt", 7, 100.0), 0));
    events.extend([index("btc_usdt", 92.0), index("sol_usdt", 50.0)]);
    for placement in PLACEMENTS {
        let config = format!(
            r#"{{"factors": "market", "models": "none", "trigger": ["depth", "index_price"],
                "placement": {placement}, "shards": 3, "idle": "yield"}}"#
        );
        let (said, engine) = play(&config, &Registry::default(), &events);
        // The factor is how far the mid price is above the index price.
        let basis = |signal: &(u64, Option<u8>, i64, Vec<u64>)| f64::from_bits(signal.3[13]);
        for instrument in 0..7 {
            let said = &said[&instrument];
            let sequences: Vec<_> = said.iter().map(|signal| signal.0).collect();
            assert_eq!(sequences, [u64::from(instrument) + 3, 11], "{placement}");
            let (first, last) = (basis(&said[0]), basis(&said[1]));
            assert_eq!((first - last).round(), 1.0, "{placement}: {first} {last}");
        }
        assert_eq!(said[&7].len(), 1, "it is of another pair");
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::Answered), 9, "{counters:?}");
        assert_eq!(counters.get(Counter::Updates), 3, "{counters:?}");
        assert_eq!(counters.in_flight(), 0);
    }
}

#[test]
fn nothing_is_in_flight_once_all_is_visible() {
    let config = r#"{"models": ["none", "test0000"], "callback": "per-model", "trigger": "index_price",
        "placement": "split", "shards": 3, "idle": "yield", "timing": false}"#;
    let mut engine = Engine::start(&Config::from_json(config).unwrap()).unwrap();
    for kind in 0..5 {
        engine.on_event(of_type(depth("btc_usdt", 1, 100.0), kind).event());
    }
    let price = index("btc_usdt", 99.0);
    let limit = Instant::now() + LIMIT;
    for round in 1..=200 {
        engine.on_event(price.event());
        while engine.counters().in_flight() > 0 {
            assert!(Instant::now() < limit, "{:?}", engine.counters());
            std::hint::spin_loop();
        }
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::Answered), round, "{counters:?}");
        assert_eq!(counters.get(Counter::Triggered), 5 * round);
        assert_eq!(counters.get(Counter::Signals), 10 * round);
        assert_eq!(engine.poll(|_, _| {}), 10, "all can be polled");
    }
}

#[test]
fn lanes_rings_and_hops_are_named() {
    let events: Vec<Owned> = (0..300)
        .map(|time| event(3, 0, time as i8 % 5, time))
        .collect();
    for (placement, lanes, rings, hops) in [
        (
            "fused",
            &["ingest", "factor..model#0", "factor..model#1", "egress"][..],
            &[
                "ingest",
                "stage.factor#0",
                "stage.factor#1",
                "stage.egress#0",
                "stage.egress#1",
                "egress",
            ][..],
            9,
        ),
        (
            "split",
            &[
                "ingest", "factor#0", "factor#1", "model#0", "model#1", "egress",
            ],
            &[
                "ingest",
                "stage.factor#0",
                "stage.factor#1",
                "stage.model#0",
                "stage.model#1",
                "stage.egress#0",
                "stage.egress#1",
                "egress",
            ],
            10,
        ),
    ] {
        let config = format!(
            r#"{{"placement": "{placement}", "shards": 2, "idle": "yield", "latency": {{"work_every": 1}}}}"#
        );
        let (_, mut engine) = run(&config, &feed(&events));
        let name = |name: &str| name.split('@').next().unwrap().to_owned();
        let names: Vec<_> = engine.lanes().iter().map(|lane| name(&lane.name)).collect();
        assert_eq!(names, lanes);
        let names: Vec<_> = engine.rings().into_iter().map(|ring| ring.name).collect();
        assert_eq!(names, rings);
        for ring in engine.rings() {
            assert!((1..=64).contains(&ring.high_water), "{ring:?}");
        }
        let about = format!("placement={placement} shards=2 lanes=ingest@");
        assert!(engine.about().contains(&about), "{}", engine.about());
        // Each hop has one row, with the messages of all shards.
        let rows = engine.latency();
        assert_eq!(rows.len(), hops, "{rows:?}");
        assert!(rows.iter().all(|row| row.count == 300), "{rows:?}");
    }
}

#[test]
fn shards_share_the_instruments_memory() {
    let bytes = |shards: usize| {
        let config = format!(
            r#"{{"factors": {{"set": "market", "window": 1000}}, "models": "none", "placement": "fused",
                "shards": {shards}, "instruments": {{"max": 4096}}, "rings": {{"stage": 2}}}}"#
        );
        let config = Config::from_json(&config).unwrap();
        Blueprint::new(&config, &Registry::default())
            .unwrap()
            .bytes()
    };
    let (one, sixteen) = (bytes(1), bytes(16));
    assert!(
        sixteen < one + one / 10,
        "{one} bytes, with shards {sixteen}"
    );
}

#[test]
fn shards_that_cannot_be_are_refused() {
    for (rest, expected) in [
        (
            r#""placement": "inline", "shards": 2"#,
            "shards: 2 with placement inline",
        ),
        (
            r#""placement": [["ingest","factor"],["model"]], "shards": 2"#,
            "shares a lane",
        ),
        (
            r#""placement": [["ingest"],["factor"],["model"],["model"],["egress"]], "shards": 2"#,
            "divide the models among them already",
        ),
        (r#""shards": 17"#, "expected a whole number from 1 to 16"),
        (
            r#""cores": [0], "placement": "fused", "shards": 2"#,
            "1 given for 4 lanes",
        ),
    ] {
        let config = Config::from_json(&format!("{{{rest}}}"));
        let refused = config
            .and_then(|config| Engine::start(&config))
            .unwrap_err()
            .to_string();
        assert!(refused.contains(expected), "{refused}");
    }
    let unchecked = Config {
        shards: 0,
        ..Config::default()
    };
    let refused = Engine::start(&unchecked).unwrap_err().to_string();
    assert!(refused.contains("shards: 0; expected 1 to 16"), "{refused}");
}
