//! Lanes that keep themselves warm: what they rehearse has no effect.

use std::time::Instant;

use proptest::prelude::*;
use signal::factors::{Depth, FactorSet, NoParams};
use signal::messages::Instrument;
use signal::models::Model;
use signal::replay::Feed;
use signal::telemetry::counters::Counter;
use signal::{Config, Engine, InstrumentId, Registry};
use support::events::{LIMIT, Owned, Received, collect, depth, feed, index, settle, ticker, trade};

/// Lanes that spin, and the host's own thread.
const SPINNING: [&str; 3] = [
    r#""inline""#,
    r#""fused""#,
    r#"[["ingest"],["factor","model","egress"]]"#,
];

fn start(placement: &str, warm: &str, registry: &Registry, extra: &str) -> Engine {
    let config =
        format!(r#"{{"placement": {placement}, "idle": "spin", "warm": {warm}, {extra}}}"#);
    Engine::start_with(&Config::from_json(&config).unwrap(), registry).unwrap()
}

fn rehearsals(engine: &Engine) -> u64 {
    engine.counters().get(Counter::Rehearsals)
}

/// Polls until the lanes have rehearsed `more` messages.
fn let_rehearse(engine: &mut Engine, more: u64, received: &mut Vec<Received>) {
    let (limit, enough) = (Instant::now() + LIMIT, rehearsals(engine) + more);
    while rehearsals(engine) < enough {
        assert!(
            Instant::now() < limit,
            "{}: {:?}",
            engine.about(),
            engine.counters()
        );
        collect(engine, received);
        std::thread::yield_now();
    }
}

/// Feeds everything, with pauses in which lanes rehearse after the first signal.
fn play_with_pauses(mut engine: Engine, feed: &Feed, pauses: &[usize]) -> (Vec<Received>, Engine) {
    let mut received = Vec::new();
    let mut pauses = pauses.iter().cycle();
    let mut until_pause = 1;
    for event in feed.iter() {
        engine.on_event(event);
        until_pause -= 1;
        if until_pause > 0 {
            continue;
        }
        settle(&mut engine, &mut received);
        if !received.is_empty() {
            let_rehearse(&mut engine, 2, &mut received);
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

/// Signals, every counter but that of the rehearsals, what is timed and what is captured are the
/// same with and without them.
fn assert_no_effect(feed: &Feed, pauses: &[usize]) {
    let (registry, folder) = (with_runs(), tempfile::tempdir().unwrap());
    let extra = |file: &str| {
        let file = serde_json::to_string(&folder.path().join(file)).unwrap();
        format!(r#"{EVERYTHING}, "latency": {{"work_every": 3}}, "capture": {{"file": {file}}}"#)
    };
    let mut expected = None;
    for placement in SPINNING {
        let cold = start(placement, r#""off""#, &registry, &extra("cold.csv"));
        let (signals, mut cold) = support::events::play(cold, feed);
        assert_eq!(rehearsals(&cold), 0);
        let warm = start(placement, "10", &registry, &extra("warm.csv"));
        let (warmed, mut warm) = play_with_pauses(warm, feed, pauses);
        assert!(rehearsals(&warm) > 0, "{placement}");
        assert_timed_alike(&mut warm, &mut cold);
        settle_capture(&cold);
        settle_capture(&warm);
        let expected = expected.get_or_insert(signals.clone());
        assert!(signals == *expected, "{placement} without rehearsals");
        assert!(warmed == *expected, "{placement} with rehearsals");
        for counter in Counter::ALL {
            // Whether a lane has to wait for another depends on the moment.
            if ![Counter::Rehearsals, Counter::RingWaits].contains(counter) {
                let of = |engine: &Engine| engine.counters().get(*counter);
                assert_eq!(of(&warm), of(&cold), "{placement}: {}", counter.name());
            }
        }
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
        assert_no_effect(&feed(&events(seed, 120)), &pauses);
    }
}

#[test]
fn real_data_gives_the_same_signals_with_and_without_rehearsals() {
    for session in support::SESSIONS {
        if let Some(file) = support::recorded(session) {
            let all = signal::replay::read(&[file]).unwrap();
            let mut first = Feed::default();
            for event in all.iter().take(4_000) {
                first.push(0, event);
            }
            assert_no_effect(&first, &[211, 397]);
        }
    }
}

/// Panics if the same book comes twice.
#[derive(Default)]
struct Once {
    last: i64,
    is_named: bool,
}

impl FactorSet<1> for Once {
    const NAME: &'static str = "once";
    const FACTORS: [&'static str; 1] = ["last"];
    const LEVELS: usize = 1;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self::default()
    }
    fn on_instrument(&mut self, _: &Instrument) {
        self.is_named = true;
    }
    fn on_depth(&mut self, depth: &Depth<'_>) {
        assert!(self.is_named, "no name");
        assert!(depth.timestamp != self.last, "the same again");
        self.last = depth.timestamp;
    }
    fn write(&mut self, out: &mut [f64; 1]) {
        out[0] = self.last as f64;
    }
}

/// A model without state that panics on what it is given in a rehearsal.
struct Choosy([String; 1]);

impl Model for Choosy {
    fn inputs(&self) -> usize {
        3
    }
    fn outputs(&self) -> &[String] {
        &self.0
    }
    fn keeps_state(&self) -> bool {
        false
    }
    fn run(&mut self, instrument: InstrumentId, factors: &[f64], out: &mut [f64]) {
        assert!(instrument != InstrumentId::SHADOW, "no instrument");
        out[0] = factors[0];
    }
}

#[test]
fn a_panic_in_a_rehearsal_is_told_once_and_harms_no_event() {
    let mut registry = Registry::default();
    registry.factors.add::<Once, _>();
    registry
        .models
        .add("choosy", |_| Box::new(Choosy(["out".to_owned()])));
    for (what, extra) in [
        (
            "factor set once panicked while it was kept warm (key warm), which harms no event; it is not kept warm any more: the same again",
            r#""factors": "once", "models": "none""#,
        ),
        (
            "model choosy panicked while it was kept warm (key warm), which harms no event; it is not kept warm any more: no instrument",
            r#""models": "choosy""#,
        ),
    ] {
        for placement in SPINNING {
            let mut engine = start(placement, "10", &registry, extra);
            let mut received = Vec::new();
            for time in 1..=50 {
                engine.on_event(depth("btc_usdt", time, 100.0).event());
                settle(&mut engine, &mut received);
                if time > 1 {
                    let_rehearse(&mut engine, 1, &mut received);
                }
            }
            assert_eq!(received.len(), 50, "{placement}");
            let health = engine.health();
            assert!(health.why.contains(what), "{health:?}");
            // Nothing is in quarantine.
            assert_eq!(engine.incidents().count(), 0);
            assert_eq!(engine.counters().get(Counter::Panics), 0);
        }
    }
}

/// Panics while it prefetches.
#[derive(Default)]
struct Blunt;

impl FactorSet<1> for Blunt {
    const NAME: &'static str = "blunt";
    const FACTORS: [&'static str; 1] = ["one"];
    const LEVELS: usize = 1;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self
    }
    fn write(&mut self, out: &mut [f64; 1]) {
        out[0] = 1.0;
    }
    fn prefetch(&self) {
        panic!("no such line");
    }
}

/// As [`Choosy`] or, with state, as [`Blunt`]. Does not let itself be reset after a rehearsal.
struct Stubborn {
    outputs: [String; 1],
    keeps_state: bool,
    is_spoilt: bool,
}

impl Stubborn {
    fn boxed(keeps_state: bool) -> Box<dyn Model> {
        Box::new(Self {
            outputs: ["out".to_owned()],
            keeps_state,
            is_spoilt: false,
        })
    }
}

impl Model for Stubborn {
    fn inputs(&self) -> usize {
        3
    }
    fn outputs(&self) -> &[String] {
        &self.outputs
    }
    fn keeps_state(&self) -> bool {
        self.keeps_state
    }
    fn prefetch(&self) {
        panic!("no such line");
    }
    fn run(&mut self, instrument: InstrumentId, factors: &[f64], out: &mut [f64]) {
        self.is_spoilt = instrument == InstrumentId::SHADOW;
        assert!(!self.is_spoilt, "no instrument");
        out[0] = factors[0];
    }
    fn reset(&mut self) {
        assert!(!self.is_spoilt, "not to be reset");
    }
}

#[test]
fn a_panic_while_prefetching_is_told_once_and_harms_no_event() {
    let mut registry = Registry::default();
    registry.factors.add::<Blunt, _>();
    registry.models.add("stateful", |_| Stubborn::boxed(true));
    for (what, extra) in [
        (
            "factor set blunt panicked while it was kept warm (key warm), which harms no event; it is not kept warm any more: no such line",
            r#""factors": "blunt", "models": "none""#,
        ),
        (
            "model stateful panicked while it was kept warm (key warm), which harms no event; it is not kept warm any more: no such line",
            r#""models": "stateful""#,
        ),
    ] {
        for placement in SPINNING {
            let mut engine = start(placement, "10", &registry, extra);
            let mut received = Vec::new();
            for time in 1..=20 {
                engine.on_event(depth("btc_usdt", time, 100.0).event());
                settle(&mut engine, &mut received);
                let_rehearse(&mut engine, 1, &mut received);
            }
            assert_eq!(received.len(), 20, "{placement}");
            let health = engine.health();
            assert_eq!(health.why.matches(what).count(), 1, "{health:?}");
            assert_eq!(engine.failure(), None);
            assert_eq!(engine.incidents().count(), 0);
        }
    }
}

#[test]
fn a_model_that_panics_in_its_reset_after_a_rehearsal_is_in_quarantine() {
    let mut registry = Registry::default();
    registry.models.add("stubborn", |_| Stubborn::boxed(false));
    for placement in SPINNING {
        let extra = r#""models": ["test0000", "stubborn"], "callback": "per-model""#;
        let mut engine = start(placement, "10", &registry, extra);
        let mut received = Vec::new();
        engine.on_event(depth("btc_usdt", 1, 100.0).event());
        settle(&mut engine, &mut received);
        assert_eq!(received.len(), 2, "{placement}");
        let_rehearse(&mut engine, 1, &mut received);
        for time in 2..=20 {
            engine.on_event(depth("btc_usdt", time, 100.0).event());
            settle(&mut engine, &mut received);
        }
        // The other model goes on, and no lane has ended.
        assert_eq!(received.len(), 21, "{placement}");
        assert_eq!(engine.failure(), None);
        assert_eq!(engine.counters().get(Counter::Panics), 1);
        let incidents: Vec<String> = engine.incidents().collect();
        let what = "model stubborn is in quarantine: it panicked while it was kept warm, and again in its \
                    reset: not to be reset";
        assert!(
            incidents.len() == 1 && incidents[0].contains(what),
            "{incidents:?}"
        );
    }
}

#[test]
fn a_lane_that_gives_its_core_away_does_not_rehearse() {
    let config = r#"{"placement": "fused", "idle": "yield", "warm": 10}"#;
    let mut engine = Engine::start(&Config::from_json(config).unwrap()).unwrap();
    let mut received = Vec::new();
    for time in 0..200 {
        engine.on_event(depth("btc_usdt", time, 100.0).event());
        settle(&mut engine, &mut received);
        std::thread::sleep(std::time::Duration::from_micros(100));
    }
    assert_eq!(rehearsals(&engine), 0);
}

/// While signals wait for room, a rehearsal could overtake them or wait itself.
#[test]
fn nothing_is_rehearsed_while_the_host_leaves_no_room() {
    let extra = r#""rings": {"egress": 2}, "overload": {"egress": "conflate"}"#;
    let mut engine = start(r#""fused""#, "10", &Registry::default(), extra);
    let mut received = Vec::new();
    engine.on_event(depth("btc_usdt", 0, 100.0).event());
    settle(&mut engine, &mut received);
    let_rehearse(&mut engine, 1, &mut received);
    for time in 1..=4 {
        engine.on_event(depth("btc_usdt", time, 100.0 + time as f64).event());
    }
    while engine.counters().in_flight() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(engine.counters().get(Counter::Held), 1);
    let before = rehearsals(&engine);
    std::thread::sleep(std::time::Duration::from_millis(5));
    assert_eq!(rehearsals(&engine), before);
    settle(&mut engine, &mut received);
    let_rehearse(&mut engine, 1, &mut received);
    collect(&mut engine, &mut received);
    let times: Vec<i64> = received.iter().map(|signal| signal.4).collect();
    assert_eq!(times, [0, 1, 2, 4]);
    assert_eq!(engine.counters().get(Counter::EventsDepth), 5);
}
