//! Any bytes as the host's events, for an engine without lanes.

use std::path::Path;

use signal::abi::HostEvent;
use signal::telemetry::counters::Counter;
use signal::{Config, Engine};

/// The size of each host struct in bytes.
const KINDS: [(i32, usize); 4] = [(101, 393), (102, 105), (103, 131), (104, 57)];

/// Numbers that are used as they are; the last four may overflow a sum.
const NUMBERS: [f64; 16] = [
    0.0,
    1.0,
    2.5,
    0.1,
    100.0,
    65_000.5,
    1e-8,
    1e9,
    -1.0,
    -0.0,
    f64::NAN,
    f64::INFINITY,
    f64::MAX,
    f64::MIN_POSITIVE,
    5e-324,
    1e300,
];
const ORDINARY: usize = 12;

/// Feeds the events and checks that each is accounted for, and that ordinary numbers lead
/// to finite factors.
pub fn events(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let mut next = || bytes.next();
    let Some(choice) = next() else { return };
    let mut engine = Engine::start(&config(choice)).unwrap();
    let (mut given, mut taken, mut ordinary) = (0u64, 0u64, true);
    while let Some(head) = next() {
        let (kind, size) = KINDS[usize::from(head % 4)];
        let mut payload = vec![0; size];
        if head & 0x80 != 0 {
            // The struct's bytes come straight from the input.
            payload.fill_with(|| next().unwrap_or(0));
            ordinary = false;
        } else {
            let (symbol, numbers) = places(kind);
            payload[symbol..symbol + 3].copy_from_slice(b"btc");
            payload[symbol] += (head >> 4) & 3;
            for at in numbers {
                let chosen = usize::from(next().unwrap_or(1)) % NUMBERS.len();
                ordinary &= chosen < ORDINARY;
                payload[at..at + 8].copy_from_slice(&NUMBERS[chosen].to_le_bytes());
            }
            if let Some(at) = time(kind) {
                let step = u64::from(next().unwrap_or(0));
                payload[at..at + 8].copy_from_slice(&(step << (step % 56)).to_le_bytes());
            }
        }
        engine.on_event(HostEvent::from_bytes(kind, &payload).unwrap());
        given += 1;
        if head & 8 == 0 {
            taken += poll(&mut engine, ordinary);
        }
    }
    taken += poll(&mut engine, ordinary);
    while engine.counters().queued() > 0 {
        taken += poll(&mut engine, ordinary);
    }
    let counters = engine.counters();
    let count = |counter| counters.get(counter);
    assert!(engine.failure().is_none(), "{:?}", engine.failure());
    assert_eq!((counters.events(), counters.in_flight()), (given, 0));
    assert_eq!(count(Counter::Delivered), taken);
    let conflated = count(Counter::ConflatedEgress);
    assert_eq!(count(Counter::Signals), taken + conflated);
    assert_eq!((counters.lost(), count(Counter::Panics)), (conflated, 0));
    assert!(count(Counter::EgressGap) <= conflated);
    assert_eq!(count(Counter::IngestGap), 0);
}

fn config(choice: u8) -> Config {
    let model = Path::new(crate::ROOT).join("examples/models/move.json");
    let window = [1, 2, 20, 64][usize::from(choice % 4)];
    let trigger = [
        r#""depth""#,
        r#"["depth", "ticker", "trade", "index_price"]"#,
    ][usize::from(choice >> 2) % 2];
    let text = format!(
        r#"{{"placement": "inline", "timing": false, "trigger": {trigger}, "callback": "per-model",
            "factors": {{"set": "market", "window": {window}}}, "models": ["none", {model:?}],
            "instruments": {{"max": 3}}, "rings": {{"egress": 64}}}}"#
    );
    Config::from_json(&text).unwrap()
}

fn poll(engine: &mut Engine, ordinary: bool) -> u64 {
    engine.poll(|name, signal| {
        assert!(!name.as_str().is_empty());
        if ordinary {
            let finite = signal.values.iter().all(|value| value.is_finite());
            assert!(finite, "{:?}", signal.values);
        }
    }) as u64
}

/// The offsets of a struct's symbol and numbers.
fn places(kind: i32) -> (usize, Vec<usize>) {
    match kind {
        101 => {
            // Three levels are set, and the others stay empty.
            let sides = [73, 153, 233, 313];
            let level = |side: usize| (0..3).map(move |level| side + level * 8);
            (16, sides.into_iter().flat_map(level).collect())
        }
        102 => (16, vec![73, 81, 89, 97]),
        103 => (32, vec![105, 113]),
        _ => (0, vec![49]),
    }
}

fn time(kind: i32) -> Option<usize> {
    match kind {
        101 | 102 => Some(64),
        103 => Some(123),
        _ => None,
    }
}
