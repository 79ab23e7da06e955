//! Signals that are too old when the host would get them are dropped and counted (key `max_age_us`).

use std::collections::BTreeMap;
use std::thread::sleep;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use signal::telemetry::counters::{Counter, Snapshot};
use signal::{Config, Engine, HealthState};
use support::events::{LIMIT, PLACEMENTS, depth};

fn engine(keys: &str) -> Engine {
    Engine::start(&Config::from_json(&format!("{{{keys}}}")).unwrap()).unwrap()
}

fn settle(engine: &Engine) -> Snapshot {
    let limit = Instant::now() + LIMIT;
    loop {
        let counters = engine.counters();
        if counters.in_flight() == 0 {
            return counters;
        }
        assert!(Instant::now() < limit, "{counters:?}");
        std::thread::yield_now();
    }
}

fn give(engine: &mut Engine, times: std::ops::Range<i64>) {
    for time in times {
        engine.on_event(depth("btc_usdt", time, 100.0).event());
    }
    settle(engine);
}

#[test]
fn what_is_too_old_is_dropped_by_polls_and_batches() {
    for placement in PLACEMENTS {
        let mut engine = engine(&format!(r#""placement": {placement}, "max_age_us": 1"#));
        assert_eq!(engine.health().state, HealthState::Ok);
        let old = Duration::from_millis(2);
        give(&mut engine, 0..7);
        sleep(old);
        assert_eq!(engine.poll(|_, signal| panic!("{signal:?}")), 0);
        give(&mut engine, 7..9);
        sleep(old);
        // Where none is wanted, none is taken.
        assert!(engine.poll_batch(0).is_empty());
        assert_eq!(engine.counters().queued(), 2, "{placement}");
        assert!(engine.poll_batch(1).is_empty());
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::DroppedEgressTooOld), 9, "{placement}");
        assert_eq!(
            (counters.get(Counter::Delivered), counters.queued()),
            (0, 0)
        );
        assert_eq!((counters.get(Counter::EgressGap), counters.lost()), (0, 9));
        let health = engine.health();
        assert_eq!(health.state, HealthState::Overloaded, "{health:?}");
        assert!(health.why.contains("9 messages were dropped"), "{health:?}");
        // The ring goes on behind what was dropped.
        assert_eq!(engine.ends().1.ready(), 0);
        let hops = engine.latency();
        assert!(
            hops.iter()
                .all(|row| row.hop.name() != "tick_to_callback" || row.count == 0)
        );
    }
}

#[test]
fn what_is_young_enough_comes() {
    for placement in PLACEMENTS {
        let mut engine = engine(&format!(
            r#""placement": {placement}, "max_age_us": 60000000"#
        ));
        give(&mut engine, 0..5);
        let mut seen = Vec::new();
        assert_eq!(engine.poll(|_, signal| seen.push(signal.sequence)), 5);
        give(&mut engine, 5..8);
        let batch = engine.poll_batch(2);
        seen.extend(batch.iter().map(|(_, signal)| signal.sequence));
        drop(batch);
        assert_eq!(engine.poll_batch(8).len(), 1);
        assert_eq!(seen, [1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(engine.counters().lost(), 0);
    }
}

#[test]
fn without_timing_no_age_is_known() {
    let refused = Config::from_json(r#"{"timing": false, "max_age_us": 5}"#).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("max_age_us cannot be used with timing false")
            && refused.ends_with("or no max_age_us"),
        "{refused}"
    );
}

/// What a host does between two events.
#[derive(Clone, Copy, Debug)]
enum Step {
    Nothing,
    Poll,
    Batch(usize),
    Sleep,
}

const MAX_AGE: Duration = Duration::from_micros(300);

/// When an event was given: before and after the call.
type Given = BTreeMap<u64, (Instant, Instant)>;

/// Takes signals, and checks their age by this thread's clock: what was certainly too old must not
/// come. Returns the event and the number of each.
fn take(engine: &mut Engine, step: Step, given: &Given) -> Vec<(u64, u64)> {
    let before = Instant::now();
    let mut got = Vec::new();
    match step {
        Step::Batch(max) => {
            let batch = engine.poll_batch(max);
            let all = batch.iter();
            got.extend(all.map(|(_, signal)| (signal.meta.input_sequence, signal.sequence)));
        }
        _ => {
            engine.poll(|_, signal| got.push((signal.meta.input_sequence, signal.sequence)));
        }
    }
    for (event, _) in &got {
        let youngest = before.saturating_duration_since(given[event].1);
        // The two clocks may differ by a little.
        assert!(youngest <= MAX_AGE + MAX_AGE / 10, "{event}: {youngest:?}");
    }
    got
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every signal is delivered, conflated, dropped or too old, exactly once.
    #[test]
    fn every_signal_ends_once(
        policy in prop::sample::select(vec!["conflate", "drop-newest"]),
        placement in prop::sample::select(vec![
            r#""inline""#, r#""fused""#, r#""split""#, r#""fused", "shards": 3"#,
        ]),
        size in 2usize..6,
        steps in prop::collection::vec((0usize..3, prop_oneof![
            Just(Step::Nothing), Just(Step::Poll), (0usize..4).prop_map(Step::Batch), Just(Step::Sleep),
        ]), 1..80),
    ) {
        let mut engine = engine(&format!(
            r#""placement": {placement}, "rings": {{"egress": {size}}}, "idle": "yield",
               "overload": {{"egress": "{policy}"}}, "max_age_us": {}"#, MAX_AGE.as_micros()
        ));
        let (mut given, mut got) = (Given::new(), Vec::new());
        for (number, &(symbol, step)) in steps.iter().enumerate() {
            let before = Instant::now();
            let symbol = ["btc_usdt", "eth_usdt", "sol_usdt"][symbol];
            engine.on_event(depth(symbol, number as i64, 100.0).event());
            given.insert(number as u64 + 1, (before, Instant::now()));
            match step {
                Step::Nothing => {}
                Step::Sleep => sleep(MAX_AGE * 2),
                _ => got.extend(take(&mut engine, step, &given)),
            }
        }
        settle(&engine);
        let limit = Instant::now() + LIMIT;
        while engine.counters().queued() > 0 {
            prop_assert!(Instant::now() < limit);
            got.extend(take(&mut engine, Step::Poll, &given));
        }
        let counters = engine.counters();
        let get = |counter| counters.get(counter);
        prop_assert_eq!(get(Counter::Delivered), got.len() as u64);
        prop_assert_eq!(get(Counter::Signals), steps.len() as u64);
        let (old, lost) = (get(Counter::DroppedEgressTooOld), counters.lost());
        prop_assert_eq!(get(Counter::Signals), get(Counter::Delivered) + lost);
        // The others are those whose numbers are missing, as far as a later signal came out.
        let missing = get(Counter::ConflatedEgress) + get(Counter::DroppedEgressRingFull);
        prop_assert_eq!(old + missing, lost);
        prop_assert!(get(Counter::EgressGap) <= missing);
        if policy == "conflate" {
            prop_assert_eq!(get(Counter::EgressGap), missing);
        }
        // No number twice, and no event.
        let mut numbers: Vec<u64> = got.iter().map(|(_, number)| *number).collect();
        prop_assert!(numbers.is_sorted());
        numbers.dedup();
        let mut events: Vec<u64> = got.iter().map(|(event, _)| *event).collect();
        events.sort_unstable();
        events.dedup();
        prop_assert_eq!((numbers.len(), events.len()), (got.len(), got.len()));
    }
}
