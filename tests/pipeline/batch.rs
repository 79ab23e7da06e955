//! Batches: signals read in place, through the crate's API. `tests/c_abi/` does the same as
//! a C++ host.

use std::time::Instant;

use signal::telemetry::counters::Counter;
use signal::{Config, Engine};
use support::events::{LIMIT, PLACEMENTS, depth};

fn start(placement: &str, more: &str) -> Engine {
    let config = format!(r#"{{"placement": {placement}, "model": "none"{more}}}"#);
    Engine::start(&Config::from_json(&config).unwrap()).unwrap()
}

fn give(engine: &mut Engine, times: std::ops::Range<i64>) {
    for time in times {
        engine.on_event(depth("btc_usdt", time, time as f64).event());
    }
    let limit = Instant::now() + LIMIT;
    while engine.counters().in_flight() > 0 {
        assert!(Instant::now() < limit, "{:?}", engine.counters());
        std::thread::yield_now();
    }
}

#[test]
fn batches_and_polls_take_turns_around_the_ring() {
    for placement in PLACEMENTS {
        // A signal takes a bit more than one line; seven of them do not divide the ring.
        let mut engine = start(placement, r#", "rings": {"egress": 16}"#);
        let (mut given, mut seen) = (1, Vec::new());
        for round in 0..200usize {
            let more = (round % 7 + 1) as i64;
            give(&mut engine, given..given + more);
            given += more;
            let max = round % 9;
            let batch = engine.poll_batch(max);
            assert_eq!(batch.len(), max.min(more as usize), "{placement}, {round}");
            assert_eq!(batch.is_empty(), max == 0);
            assert_eq!(batch.iter().len(), batch.len());
            for (name, signal) in batch.iter() {
                assert_eq!(name.as_str(), "BTCUSDT");
                seen.push((signal.sequence, signal.meta.timestamp, signal.values[2]));
            }
            assert!(batch.get(batch.len()).is_none());
            drop(batch);
            engine.poll(|_, signal| {
                seen.push((signal.sequence, signal.meta.timestamp, signal.values[2]));
            });
        }
        let expected = (1..given).map(|n| (n as u64, n, n as f64));
        assert!(seen.iter().copied().eq(expected), "{placement}");
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::Delivered), seen.len() as u64);
        assert_eq!(counters.queued(), 0);
        assert_eq!(counters.get(Counter::EgressGap), 0);
        let hops = engine.latency();
        for hop in ["host.wait", "tick_to_callback"] {
            let row = hops.iter().find(|row| row.hop.name() == hop).unwrap();
            assert_eq!(row.count, seen.len() as u64, "{placement} {hop}");
        }
    }
}

#[test]
fn what_is_lent_is_not_overwritten() {
    for placement in ["\"inline\"", "\"fused\""] {
        let mut engine = start(placement, r#", "rings": {"egress": 4}"#);
        give(&mut engine, 1..4);
        let batch = engine.poll_batch(usize::MAX);
        assert_eq!(batch.len(), 3);
        let places: Vec<_> = batch
            .iter()
            .map(|(_, signal)| signal.values.as_ptr())
            .collect();
        assert!(places.is_sorted() && places[0] != places[1]);
        // The batch stays out while the counters are read, as with a C host.
        std::mem::forget(batch);
        // One more slot is free; the other signals are conflated. All of them have been
        // handled when `give` returns.
        give(&mut engine, 4..100);
        assert_eq!(engine.counters().get(Counter::ConflatedEgress), 94);
        for (nth, place) in places.iter().enumerate() {
            // SAFETY: the batch has not been freed, so its values lie in the ring, which
            // the engine keeps and nobody writes to.
            let value = unsafe { place.add(2).read() };
            assert_eq!(value, nth as f64 + 1.0, "{placement}");
        }
        let mut seen = Vec::new();
        let limit = Instant::now() + LIMIT;
        while engine.counters().queued() > 0 {
            assert!(Instant::now() < limit);
            engine.poll(|_, signal| seen.push(signal.values[2]));
        }
        assert_eq!(seen, [4.0, 99.0], "{placement}");
        let counters = engine.counters();
        assert_eq!(counters.get(Counter::ConflatedEgress), 94);
        assert_eq!(counters.get(Counter::EgressGap), 94);
        assert_eq!(counters.get(Counter::Delivered), 5);
    }
}

#[test]
fn a_batch_leaves_room_for_news() {
    for placement in PLACEMENTS {
        let mut engine = start(placement, r#", "rings": {"egress": 4}"#);
        give(&mut engine, 1..5);
        assert_eq!(engine.poll_batch(usize::MAX).len(), 3, "{placement}");
        for round in 0..50 {
            // The batch stays out, as with a C host that calls only on news.
            give(&mut engine, 5 + 5 * round..10 + 5 * round);
            let limit = Instant::now() + LIMIT;
            while engine.ends().1.ready() == 0 {
                assert!(Instant::now() < limit, "{placement}: no news any more");
                std::thread::yield_now();
            }
            let batch = engine.poll_batch(usize::MAX);
            assert!((1..4).contains(&batch.len()), "{placement}");
            std::mem::forget(batch);
        }
    }
}

#[test]
fn a_batch_that_is_forgotten_is_freed_by_the_next_call() {
    let mut engine = start("\"inline\"", r#", "rings": {"egress": 4}"#);
    give(&mut engine, 1..5);
    std::mem::forget(engine.poll_batch(3));
    assert_eq!(engine.poll(|_, signal| assert_eq!(signal.sequence, 4)), 1);
    give(&mut engine, 5..9);
    std::mem::forget(engine.poll_batch(2));
    // A latency is recorded once, whether it is read before the batch is freed or after.
    let count = |engine: &mut Engine| {
        let hops = engine.latency();
        let row = hops.iter().find(|row| row.hop.name() == "tick_to_callback");
        row.unwrap().count
    };
    assert_eq!(count(&mut engine), 6);
    assert_eq!(engine.poll_batch(10).len(), 2);
    assert_eq!(count(&mut engine), 8);
    give(&mut engine, 9..13);
    // The engine may be dropped while a batch is out.
    std::mem::forget(engine.poll_batch(2));
}
