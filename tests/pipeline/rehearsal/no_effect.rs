//! Signals, counters, timed messages and captures with and without rehearsals.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use proptest::prelude::*;
use signal::models::Model;
use signal::replay::Feed;
use signal::telemetry::counters::Counter;
use signal::{Engine, InstrumentId, Registry};
use support::events::{LIMIT, Owned, Received, collect, depth, feed, index, settle, ticker, trade};

use super::{let_rehearse, rehearsals, start};

/// A placement, further keys, and which of its lanes rehearse.
type Lanes = (&'static str, &'static str, &'static [bool]);

/// Every way to spread the stages. Lanes that share out the models do not rehearse, nor does one
/// behind several others.
const ALL: [Lanes; 9] = [
    (r#""inline""#, "", &[]),
    (r#""fused""#, "", &[true]),
    (
        r#"[["ingest"],["factor","model","egress"]]"#,
        "",
        &[true; 2],
    ),
    (
        r#"[["ingest","factor"],["model","egress"]]"#,
        "",
        &[true; 2],
    ),
    (
        r#"[["ingest","factor","model"],["egress"]]"#,
        "",
        &[true; 2],
    ),
    (r#""split""#, "", &[true; 4]),
    (r#""fused""#, r#", "shards": 2"#, &[true, true, true, false]),
    (
        r#""split""#,
        r#", "shards": 2"#,
        &[true, true, true, true, true, false],
    ),
    (
        r#"[["ingest","factor"],["model"],["model"],["egress"]]"#,
        "",
        &[true, false, false, false],
    ),
];

/// Polls until each of the lanes that do rehearse has rehearsed.
fn let_each_rehearse(engine: &mut Engine, lanes: &[bool], received: &mut Vec<Received>) {
    let limit = Instant::now() + LIMIT;
    let rehearsed = |engine: &Engine| -> Vec<bool> {
        let lanes = engine.lanes().into_iter();
        lanes.map(|lane| lane.rehearsed_ns > 0).collect()
    };
    while rehearsed(engine) != lanes {
        assert!(Instant::now() < limit, "{:?}", engine.lanes());
        collect(engine, received);
        std::thread::yield_now();
    }
}

/// Feeds everything, with pauses in which lanes rehearse after the first signal: each of these
/// lanes before half of the feed's end.
fn play_with_pauses(
    mut engine: Engine,
    feed: &Feed,
    pauses: &[usize],
    lanes: &[bool],
) -> (Vec<Received>, Engine) {
    let mut received = Vec::new();
    let mut pauses = pauses.iter().cycle();
    let mut until_pause = 1;
    let half = feed.iter().count() / 2;
    for (index, event) in feed.iter().enumerate() {
        engine.on_event(event);
        if index == half {
            until_pause = 1;
        }
        until_pause -= 1;
        if until_pause > 0 {
            continue;
        }
        settle(&mut engine, &mut received);
        if !received.is_empty() {
            let_rehearse(&mut engine, 2, &mut received);
        }
        if index >= half {
            let_each_rehearse(&mut engine, lanes, &mut received);
        }
        until_pause = *pauses.next().unwrap();
    }
    settle(&mut engine, &mut received);
    (received, engine)
}

const EVERYTHING: &str = r#""factors": ["test0000", "market"], "models": ["none", "test0000", "runs"],
    "callback": "per-model", "trigger": ["depth", "ticker", "trade", "index_price"]"#;

/// Counts its runs for each instrument, and remembers the last.
struct Runs {
    runs: Vec<f64>,
    outputs: [String; 1],
}

impl Model for Runs {
    fn inputs(&self) -> usize {
        18
    }
    fn outputs(&self) -> &[String] {
        &self.outputs
    }
    fn keeps_state(&self) -> bool {
        true
    }
    fn reserve(&mut self, instruments: usize) {
        self.runs = vec![0.0; instruments];
    }
    fn run(&mut self, instrument: InstrumentId, factors: &[f64], out: &mut [f64]) {
        let runs = &mut self.runs[instrument.index()];
        *runs += 1.0;
        out[0] = *runs + factors[0];
    }
    fn reset(&mut self) {
        self.runs.fill(0.0);
    }
}

fn with_runs() -> Registry {
    let mut registry = Registry::default();
    registry.models.add("runs", |_| {
        Box::new(Runs {
            runs: Vec::new(),
            outputs: ["runs".to_owned()],
        })
    });
    registry
}

/// Messages timed in each hop.
fn timed(engine: &mut Engine) -> Vec<(&'static str, u64)> {
    let hops = engine.latency().into_iter();
    hops.map(|hop| (hop.hop.name(), hop.count)).collect()
}

/// A lane that has not got its core for a while hands its times over later.
fn assert_timed_alike(warm: &mut Engine, cold: &mut Engine) {
    let limit = Instant::now() + LIMIT;
    loop {
        let (warm, cold) = (timed(warm), timed(cold));
        if warm == cold {
            return;
        }
        assert!(
            Instant::now() < limit,
            "{warm:?} with rehearsals, {cold:?} without"
        );
    }
}

/// Waits until the capture has every event that was taken.
fn settle_capture(engine: &Engine) {
    let limit = Instant::now() + LIMIT;
    loop {
        let counters = engine.counters();
        let taken = counters.events() - counters.get(Counter::RefusedBadPrice);
        if counters.get(Counter::CaptureWritten) == taken {
            return;
        }
        assert!(Instant::now() < limit, "{counters:?}");
        std::thread::yield_now();
    }
}

/// The lines of a capture, without the times at which its events came.
fn captured(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap();
    let came = text.split(',').position(|column| column == "recv_ns");
    let came = came.expect("a column for the times");
    let rest = |line: &str| {
        let columns = line.split(',').enumerate();
        let columns = columns.filter(|&(column, _)| column != came);
        columns.map(|(_, text)| text).collect::<Vec<_>>().join(",")
    };
    text.lines().map(rest).collect()
}

/// Signals by what made them: instruments, or models, on several lanes overtake each other, and
/// several instruments may have one symbol.
fn by_maker(signals: Vec<Received>) -> BTreeMap<String, Vec<(u64, i64, Vec<u64>)>> {
    let mut makers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (_, input, model, symbol, time, values) in signals {
        let maker = format!("{symbol} {model:?}");
        makers.entry(maker).or_default().push((input, time, values));
    }
    makers.values_mut().for_each(|signals| signals.sort());
    makers
}

/// Signals, every counter but that of the rehearsals, what is timed and what is captured are the
/// same with and without them.
fn assert_no_effect(feed: &Feed, pauses: &[usize], placements: &[Lanes]) {
    let (registry, folder) = (with_runs(), tempfile::tempdir().unwrap());
    let path = |file: &str| folder.path().join(file);
    let extra = |file: &str, more: &str| {
        let file = serde_json::to_string(&path(file)).unwrap();
        format!(
            r#"{EVERYTHING}, "latency": {{"work_every": 3}}, "capture": {{"file": {file}}}{more}"#
        )
    };
    let (mut in_order, mut expected) = (None, None);
    for &(placement, more, lanes) in placements {
        let cold = start(placement, r#""off""#, &registry, &extra("cold.csv", more));
        let (signals, mut cold) = support::events::play(cold, feed);
        assert_eq!(rehearsals(&cold), 0);
        let warm = start(placement, "10", &registry, &extra("warm.csv", more));
        let (warmed, mut warm) = play_with_pauses(warm, feed, pauses, lanes);
        assert!(rehearsals(&warm) > 0, "{placement}{more}");
        let rehearsed = warm.lanes().into_iter();
        let rehearsed: Vec<_> = rehearsed.map(|lane| lane.rehearsed_ns > 0).collect();
        assert_eq!(rehearsed, lanes, "{placement}{more}");
        assert_timed_alike(&mut warm, &mut cold);
        settle_capture(&cold);
        settle_capture(&warm);
        if lanes.last() != Some(&false) {
            let in_order = in_order.get_or_insert(signals.clone());
            assert!(signals == *in_order, "{placement} without rehearsals");
            assert!(warmed == *in_order, "{placement} with rehearsals");
        }
        let (signals, warmed) = (by_maker(signals), by_maker(warmed));
        let expected = expected.get_or_insert(signals.clone());
        assert!(signals == *expected, "{placement}{more} without rehearsals");
        assert!(warmed == *expected, "{placement}{more} with rehearsals");
        for counter in Counter::ALL {
            // Whether a lane has to wait for another depends on the moment.
            if ![Counter::Rehearsals, Counter::RingWaits].contains(counter) {
                let of = |engine: &Engine| engine.counters().get(*counter);
                assert_eq!(
                    of(&warm),
                    of(&cold),
                    "{placement}{more}: {}",
                    counter.name()
                );
            }
        }
        // Both files are whole once the engines are gone.
        let events = cold.counters().get(Counter::CaptureWritten) as usize;
        drop((warm, cold));
        let [warm, cold] = ["warm.csv", "cold.csv"].map(|file| captured(&path(file)));
        assert_eq!(cold.len(), 1 + events, "{placement}{more}");
        let differs = warm.iter().zip(&cold).find(|(warm, cold)| warm != cold);
        assert_eq!(
            (differs, warm.len()),
            (None, cold.len()),
            "{placement}{more}"
        );
    }
}

/// An event of each kind and of several instruments, some of which are refused.
fn events(seed: u64, count: usize) -> Vec<Owned> {
    let mut random = fastrand::Rng::with_seed(seed);
    let symbols = ["btc_usdt", "eth_usdt", "sol_usdt"];
    (0..count)
        .map(|time| {
            let symbol = symbols[random.usize(..3)];
            let price = 100.0 + random.f64();
            match random.u8(..6) {
                0 => ticker(symbol, price),
                1 => trade(symbol, price, 0),
                2 => index(symbol, price),
                3 => depth(symbol, time as i64, -1.0),
                _ => depth(symbol, time as i64, price),
            }
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]
    #[test]
    fn signals_are_bit_identical_with_and_without_rehearsals(
        seed: u64,
        pauses in prop::collection::vec(1..20usize, 1..6),
    ) {
        assert_no_effect(&feed(&events(seed, 120)), &pauses, &ALL[..3]);
    }
}

#[test]
fn signals_are_bit_identical_on_lanes_of_every_kind() {
    let mut random = fastrand::Rng::with_seed(23);
    // Few: these lanes take turns on the cores that there are.
    let pauses: Vec<usize> = (0..5).map(|_| random.usize(10..30)).collect();
    assert_no_effect(&feed(&events(random.u64(..), 50)), &pauses, &ALL[3..]);
}

/// The recorded sessions in parts of 4,000 events: the capture's writer, which gives way to all
/// others, has to keep up with each part.
fn assert_no_effect_on_real_data(parts: usize) {
    const PART: usize = 4_000;
    for (seed, session) in support::SESSIONS.into_iter().enumerate() {
        let Some(file) = support::recorded(session) else {
            continue;
        };
        let mut random = fastrand::Rng::with_seed(seed as u64);
        let all = signal::replay::read(&[file]).unwrap();
        let mut events = all.iter().take(parts.saturating_mul(PART)).peekable();
        while events.peek().is_some() {
            let mut part = Feed::default();
            for event in events.by_ref().take(PART) {
                part.push(0, event);
            }
            // The ring to the host holds the signals between two pauses, three an event.
            let pauses: Vec<usize> = (0..7).map(|_| random.usize(100..1_200)).collect();
            assert_no_effect(&part, &pauses, &ALL[..3]);
        }
    }
}

#[test]
fn real_data_gives_the_same_signals_with_and_without_rehearsals() {
    assert_no_effect_on_real_data(1);
}

#[test]
#[ignore = "takes minutes: .ci/long runs it"]
fn whole_sessions_give_the_same_signals_with_and_without_rehearsals() {
    assert_no_effect_on_real_data(usize::MAX);
}
