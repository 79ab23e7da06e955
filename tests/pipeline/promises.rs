//! The pipeline's promises, through the crate's own API.

use proptest::prelude::*;
use signal::abi::{EventKind, HostEvent, SIDE_BUY, SIDE_SELL};
use signal::replay::Feed;
use signal::sync::ring::ring;
use signal::telemetry::counters::Counter;
use signal::{Config, Engine};
use support::events::{Owned, PLACEMENTS, collect, depth, feed, index, run, settle, ticker, trade};

fn assert_all_placements_agree(feed: &Feed) {
    // Covers every kind of message: all kinds trigger, and each model sends its own signal.
    let config = |placement| {
        format!(
            r#"{{"factors": ["test0000", "market"], "models": ["none", "test0000"],
                "callback": "per-model", "trigger": ["depth", "ticker", "trade", "index_price"],
                "placement": {placement}}}"#
        )
    };
    let (expected, _) = run(&config(PLACEMENTS[0]), feed);
    let of_depths = 2 * feed.count(EventKind::Depth);
    assert!(expected.len() as u64 >= of_depths, "a signal a model");
    for placement in &PLACEMENTS[1..] {
        let (received, engine) = run(&config(placement), feed);
        assert!(received == expected, "{placement} differs from inline");
        let counters = engine.counters();
        assert_eq!(counters.events(), feed.events().len() as u64);
        assert_eq!(counters.get(Counter::EgressGap), 0);
        assert_eq!(counters.get(Counter::Delivered), expected.len() as u64);
    }
}

#[test]
fn all_placements_give_bit_identical_signals() {
    let mut random = fastrand::Rng::with_seed(7);
    let symbols = ["btc_usdt", "eth_usdt", "sol_usdt"];
    let events: Vec<Owned> = (0..3_000)
        .map(|time| {
            let symbol = symbols[random.usize(..3)];
            let price = 100.0 + random.f64();
            match random.u8(..5) {
                0 => ticker(symbol, price),
                1 => {
                    let side = if random.bool() { SIDE_BUY } else { SIDE_SELL };
                    trade(symbol, price, side)
                }
                2 => index(symbol, price),
                _ => depth(symbol, time, price),
            }
        })
        .collect();
    assert_all_placements_agree(&feed(&events));
}

#[test]
fn all_placements_agree_on_real_data() {
    for session in support::SESSIONS {
        if let Some(file) = support::recorded(session) {
            assert_all_placements_agree(&signal::replay::read(&[file]).unwrap());
        }
    }
}

#[test]
fn a_host_that_stops_polling_loses_only_what_is_counted() {
    let config =
        r#"{"placement": "inline", "rings": {"egress": 8}, "overload": {"egress": "drop-newest"}}"#;
    let mut engine = Engine::start(&Config::from_json(config).unwrap()).unwrap();
    let events: Vec<Owned> = (0..100)
        .map(|time| depth("btc_usdt", time, 100.0))
        .collect();
    for event in &events[..50] {
        engine.on_event(event.event());
    }
    let mut received = Vec::new();
    collect(&mut engine, &mut received);
    assert_eq!(received.len(), 8);
    assert_eq!(engine.counters().get(Counter::DroppedEgressRingFull), 42);
    engine.on_event(events[50].event());
    collect(&mut engine, &mut received);
    let last = received.last().unwrap();
    assert_eq!((last.0, last.1, last.4), (51, 51, 50));
    assert_eq!(engine.counters().get(Counter::EgressGap), 42);
}

#[test]
fn an_ingest_ring_that_is_full_drops_the_newest_and_shows_the_gap() {
    let config = r#"{"placement": "fused", "idle": "park", "rings": {"ingest": 2}}"#;
    let mut engine = Engine::start(&Config::from_json(config).unwrap()).unwrap();
    let event = depth("btc_usdt", 1, 100.0);
    let mut received = Vec::new();
    for _ in 0..20_000 {
        engine.on_event(event.event());
    }
    settle(&mut engine, &mut received);
    engine.on_event(event.event());
    settle(&mut engine, &mut received);
    let counters = engine.counters();
    let dropped = counters.get(Counter::DroppedIngestRingFull);
    assert!(dropped > 0);
    assert_eq!(counters.get(Counter::IngestGap), dropped);
    assert_eq!(counters.get(Counter::Signals) + dropped, 20_001);
}

#[test]
fn an_event_that_has_ended_counts_everywhere_on_its_way() {
    // Lanes that share a core sleep between two polls, so `split` runs fewer rounds.
    for (placement, rounds) in [("fused", 2_000), ("split", 100)] {
        let config = format!(
            r#"{{"models": ["none", "test0000"], "callback": "per-model", "placement": "{placement}"}}"#
        );
        let mut engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
        let event = depth("btc_usdt", 1, 9.0);
        for events in 1..=rounds {
            engine.on_event(event.event());
            let counters = loop {
                let counters = engine.counters();
                if counters.in_flight() == 0 {
                    break counters;
                }
                std::hint::spin_loop();
            };
            assert_eq!(counters.get(Counter::Triggered), events);
            assert_eq!(counters.get(Counter::Predicted), 2 * events);
            assert_eq!(counters.get(Counter::Signals), 2 * events);
            assert_eq!(counters.get(Counter::Answered), events);
            assert_eq!(engine.poll(|_, _| {}), 2);
        }
    }
}

#[test]
fn sizes_whose_product_is_absurd_are_refused() {
    struct Wide(Vec<String>);
    impl signal::models::Model for Wide {
        fn inputs(&self) -> usize {
            3
        }
        fn outputs(&self) -> &[String] {
            &self.0
        }
        fn keeps_state(&self) -> bool {
            false
        }

        fn run(&mut self, _: signal::InstrumentId, _factors: &[f64], out: &mut [f64]) {
            out.fill(0.0);
        }
    }
    let mut registry = signal::Registry::default();
    registry
        .models
        .add("wide", |_| Box::new(Wide(vec![String::new(); 60_000])));
    let config = r#"{"model": "wide", "rings": {"egress": 1048576}}"#;
    let refused = Engine::start_with(&Config::from_json(config).unwrap(), &registry)
        .unwrap_err()
        .to_string();
    assert!(refused.contains("rings.egress"), "{refused}");
}

#[test]
fn hops_are_counted_where_they_happen() {
    let events: Vec<Owned> = (0..500).map(|time| depth("btc_usdt", time, 9.0)).collect();
    for (placement, hops) in [
        (
            "fused",
            vec![
                "ingest.wait",
                "ingest.work",
                "factor.work",
                "model.work",
                "host.wait",
                "tick_to_callback",
            ],
        ),
        (
            "split",
            vec![
                "ingest.wait",
                "ingest.work",
                "factor.wait",
                "factor.work",
                "model.wait",
                "model.work",
                "egress.wait",
                "egress.work",
                "host.wait",
                "tick_to_callback",
            ],
        ),
    ] {
        let (_, mut engine) = run(
            &format!(r#"{{"placement": "{placement}", "latency": {{"work_every": 1}}}}"#),
            &feed(&events),
        );
        let rows = engine.latency();
        let names: Vec<_> = rows.iter().map(|row| row.hop.name()).collect();
        assert_eq!(names, hops);
        assert!(rows.iter().all(|row| row.count == 500), "{rows:?}");
        assert!(rows.iter().all(|row| row.p50_ns <= row.max_ns));
    }
    // Work is timed for a sample of the messages: of 500, 31 are expected.
    let (_, mut sampled) = run(r#"{"placement": "fused"}"#, &feed(&events));
    for row in sampled.latency() {
        let is_inner = row.hop.name().ends_with(".work");
        assert_eq!(row.count < 100, is_inner, "{row:?}");
        assert!(row.count > 0, "{row:?}");
    }
    let (_, mut untimed) = run(r#"{"timing": false}"#, &feed(&events));
    assert_eq!(untimed.latency(), []);
}

proptest! {
    /// A ring keeps order and loses only what it refused, whatever the mix of sends and receives.
    #[test]
    fn a_rings_sequence_accounts_for_every_message(
        messages in 1usize..9,
        words in 1usize..20,
        sends in proptest::collection::vec(any::<bool>(), 0..200),
    ) {
        let (mut sender, mut receiver) = ring(messages, words);
        let (mut next, mut refused, mut taken, mut last) = (0u64, 0u64, 0u64, None);
        for send in sends {
            if send {
                next += 1;
                if sender.try_send(|words| { words[0] = next; words[words.len() - 1] = next; }).is_err() {
                    refused += 1;
                }
            } else if let Some((first, end)) = receiver.try_receive(|words| (words[0], words[words.len() - 1])) {
                prop_assert_eq!(first, end);
                prop_assert!(last.is_none_or(|last| first > last));
                last = Some(first);
                taken += 1;
            }
        }
        let mut queued = 0;
        while receiver.try_receive(|_| ()).is_some() { queued += 1; }
        prop_assert_eq!(next, refused + taken + queued);
        prop_assert!(queued <= messages as u64);
    }

    /// Every accepted Depth makes exactly one signal, in order, whatever refused ones come between.
    #[test]
    fn signals_are_dense_and_in_order(bids in proptest::collection::vec(-1.0f64..100.0, 1..60)) {
        let events: Vec<Owned> = bids.iter().enumerate()
            .map(|(time, &bid)| depth("btc_usdt", time as i64, bid)).collect();
        let (received, engine) = run(r#"{"placement": "inline"}"#, &feed(&events));
        let valid: Vec<i64> = bids.iter().enumerate()
            .filter(|&(_, &bid)| bid > 0.0).map(|(time, _)| time as i64).collect();
        let times: Vec<i64> = received.iter().map(|signal| signal.4).collect();
        prop_assert_eq!(times, valid);
        let dense = received.iter().enumerate().all(|(index, signal)| signal.0 == index as u64 + 1);
        prop_assert!(dense);
        let refused = engine.counters().get(Counter::RefusedBadPrice);
        prop_assert_eq!(refused as usize + received.len(), bids.len());
    }
}

proptest! {
    /// Whatever bytes the host hands over, each event ends in exactly one counter.
    #[test]
    fn any_payload_is_accounted_for(
        payloads in proptest::collection::vec(
            (101i32..105, proptest::collection::vec(any::<u8>(), 393)), 1..20),
    ) {
        let config = r#"{"placement": "inline", "instruments": {"max": 2}}"#;
        let mut engine = Engine::start(&Config::from_json(config).unwrap()).unwrap();
        for (kind, bytes) in &payloads {
            let size = match kind { 101 => 393, 102 => 105, 103 => 131, _ => 57 };
            engine.on_event(HostEvent::from_bytes(*kind, &bytes[..size]).unwrap());
        }
        let counters = engine.counters();
        prop_assert_eq!(counters.events(), payloads.len() as u64);
        prop_assert_eq!(counters.in_flight(), 0);
        let signals = counters.get(Counter::Signals);
        prop_assert_eq!(engine.poll(|_, _| {}) as u64, signals);
    }
}
