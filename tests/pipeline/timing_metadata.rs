//! Timing metadata: eight values in front of a signal's own. Strategies test for them and use what
//! follows.

use std::time::Instant;

use signal::abi::HostEvent;
use signal::messages::{Name, Signal};
use signal::replay::Feed;
use signal::telemetry::counters::Counter;
use signal::{Config, Engine};
use support::events::{LIMIT, Owned, PLACEMENTS, depth, feed, index, ticker, trade};

/// Event, model, name and values of a signal.
type Seen = (u64, Option<usize>, String, Vec<f64>);

fn seen(name: &Name, signal: Signal<'_>) -> Seen {
    (
        signal.meta.input_sequence,
        signal.model.map(|id| id.index()),
        name.as_str().to_owned(),
        signal.values.to_vec(),
    )
}

/// How a host gets its signals.
#[derive(Clone, Copy, Debug)]
enum Delivery {
    Poll,
    Batch,
    OnEvent,
}

impl Delivery {
    const ALL: [Self; 3] = [Self::Poll, Self::Batch, Self::OnEvent];

    fn give(self, engine: &mut Engine, event: HostEvent<'_>, got: &mut Vec<Seen>) {
        match self {
            Self::OnEvent => {
                engine.on_event_and_deliver(event, |name, signal| got.push(seen(name, signal)));
            }
            _ => {
                engine.on_event(event);
            }
        }
    }

    fn take(self, engine: &mut Engine, got: &mut Vec<Seen>) {
        match self {
            Self::Batch => {
                let batch = engine.poll_batch(5);
                got.extend(batch.iter().map(|(name, signal)| seen(name, signal)));
            }
            _ => {
                engine.poll(|name, signal| got.push(seen(name, signal)));
            }
        }
    }
}

/// All signals of the feed, in the order of their events.
fn run(config: &str, delivery: Delivery, feed: &Feed) -> (Vec<Seen>, Engine) {
    let mut engine = Engine::start(&Config::from_json(config).unwrap()).unwrap();
    let mut got = Vec::new();
    for event in feed.iter() {
        delivery.give(&mut engine, event, &mut got);
        delivery.take(&mut engine, &mut got);
    }
    let limit = Instant::now() + LIMIT;
    while engine.counters().in_flight() > 0 || engine.counters().queued() > 0 {
        assert!(Instant::now() < limit, "{:?}", engine.counters());
        delivery.take(&mut engine, &mut got);
        std::thread::yield_now();
    }
    assert_eq!(engine.counters().get(Counter::EgressGap), 0);
    got.sort_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
    (got, engine)
}

/// Every kind of event of three instruments, among them what is refused.
fn market() -> Feed {
    let mut events: Vec<Owned> = Vec::new();
    for round in 0..60 {
        let symbol = ["btc_usdt", "eth_usdt", "sol_usdt"][round % 3];
        let price = 100.0 + (round * round % 17) as f64 / 7.0;
        events.push(depth(symbol, round as i64, price));
        events.push(trade(symbol, price, (round % 2) as i8));
        events.push(ticker(symbol, price));
        events.push(index(symbol, price));
        events.push(ticker(symbol, if round % 5 == 0 { -1.0 } else { price }));
    }
    feed(&events)
}

/// What a strategy does: the eight values, and its own.
fn split(values: &[f64]) -> (&[f64], &[f64]) {
    assert!(values.len() > 8 && values[0] == -999.0, "{values:?}");
    values.split_at(8)
}

fn check(times: &[f64], own: usize) {
    assert_eq!((times[6], times[7]), (own as f64, 0.0));
    let [wait, work, done, handed_on, total] = times[1..6].try_into().unwrap();
    assert!(
        0.0 <= wait && wait <= done && done <= handed_on && handed_on <= total,
        "{times:?}"
    );
    // Each is cut off to whole nanoseconds.
    assert!(
        work >= 0.0 && (wait + work - done).abs() < 0.01,
        "{times:?}"
    );
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Whether signals with the key have the values of those without it behind the eight.
fn compare(placement: &str, more: &str, feed: &Feed) {
    let keys = format!(r#""placement": {placement}, {more}"#);
    for delivery in Delivery::ALL {
        let (plain, _) = run(&format!("{{{keys}}}"), delivery, feed);
        assert!(plain.len() > 50);
        let timed = format!(r#"{{{keys}, "timing_metadata": true}}"#);
        let (timed, engine) = run(&timed, delivery, feed);
        assert_eq!(timed.len(), plain.len(), "{keys} {delivery:?}");
        for ((event, model, name, values), plain) in timed.iter().zip(&plain) {
            assert_eq!((event, model, name), (&plain.0, &plain.1, &plain.2));
            let (times, own) = split(values);
            assert_eq!(
                bits(own),
                bits(&plain.3),
                "{keys} {delivery:?}, event {event}"
            );
            check(times, own.len());
        }
        // Each part took some event a time at all.
        for place in 1..6 {
            let took = timed.iter().any(|(_, _, _, values)| values[place] > 0.0);
            assert!(took, "{keys} {delivery:?}, value {place}");
        }
        for info in engine.models() {
            assert_eq!(info.outputs[..8].join(" "), NAMES);
        }
    }
}

const NAMES: &str = "timing.mark timing.wait_us timing.factor_work_us timing.factors_done_us \
                     timing.factors_handed_on_us timing.total_us timing.outputs timing.none";

#[test]
fn a_signals_own_values_are_the_same_bits_for_each_placement_and_delivery() {
    let feed = market();
    for placement in PLACEMENTS {
        compare(
            placement,
            r#""factors": ["market", "test0000"], "model": "none""#,
            &feed,
        );
    }
}

#[test]
fn each_model_has_times_of_its_own_and_disabled_factors_stay_out() {
    let feed = market();
    let more = r#""callback": "per-model", "models": ["none", "test0000"],
                  "trigger": ["depth", "ticker", "trade", "index_price"],
                  "disabled_factors": ["spread"]"#;
    let lanes = r#"[["ingest", "factor"], ["model"], ["model"], ["egress"]]"#;
    for placement in [PLACEMENTS[0], PLACEMENTS[2], lanes] {
        compare(placement, more, &feed);
    }
}

#[test]
fn shards_have_times_too() {
    let more =
        r#""factors": "market", "model": "none", "shards": 2, "trigger": ["depth", "index_price"]"#;
    for placement in [PLACEMENTS[1], PLACEMENTS[2]] {
        compare(placement, more, &market());
    }
}

/// The times are those of the event: they grow with what it waited for.
#[test]
fn the_wait_is_from_arrival_on() {
    let config = r#"{"placement": "inline", "model": "none", "timing_metadata": true}"#;
    let mut engine = Engine::start(&Config::from_json(config).unwrap()).unwrap();
    let (mut totals, mut hops) = (Vec::new(), Vec::new());
    for time in 0..100 {
        let before = Instant::now();
        engine.on_event(depth("btc_usdt", time, 100.0).event());
        let took = before.elapsed().as_nanos() as f64 / 1e3;
        engine.poll(|_, signal| totals.push(signal.values[5]));
        hops.push(took);
    }
    assert_eq!(totals.len(), 100);
    for (total, call) in totals.iter().zip(&hops) {
        // The call that ran all stages took longer than what happened in it, to the clocks' precision.
        assert!(
            *total > 0.0 && *total <= call * 1.01 + 1.0,
            "{total} us in a call of {call} us"
        );
    }
}

#[test]
fn what_cannot_have_times_is_refused_with_the_reason() {
    let refused = Config::from_json(r#"{"timing": false, "timing_metadata": true}"#).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("timing_metadata cannot be used with timing false")
            && refused.contains("expected timing true"),
        "{refused}"
    );
    let config = r#"{"models": ["none", "test0000"], "timing_metadata": true}"#;
    let refused = Engine::start(&Config::from_json(config).unwrap()).unwrap_err();
    let refused = refused.to_string();
    assert!(
        refused.contains("the values of 2 models in one callback")
            && refused.ends_with("\"per-model\""),
        "{refused}"
    );
}
