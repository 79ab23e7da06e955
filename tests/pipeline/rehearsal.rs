//! Lanes that keep themselves warm: what they rehearse has no effect.

use std::time::{Duration, Instant};

use signal::factors::{Depth, FactorSet, NoParams};
use signal::messages::Instrument;
use signal::models::Model;
use signal::telemetry::counters::Counter;
use signal::{Config, Engine, InstrumentId, Registry};
use support::events::{LIMIT, Owned, Received, collect, depth, settle, trade};

mod left_out;
mod no_effect;

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
    for idle in ["yield", "park"] {
        let config = format!(r#"{{"placement": "fused", "idle": "{idle}", "warm": 10}}"#);
        let mut engine = Engine::start(&Config::from_json(&config).unwrap()).unwrap();
        let mut received = Vec::new();
        for time in 0..200 {
            engine.on_event(depth("btc_usdt", time, 100.0).event());
            settle(&mut engine, &mut received);
            std::thread::sleep(Duration::from_micros(100));
        }
        assert_eq!(rehearsals(&engine), 0, "{idle}");
        assert_eq!(engine.lanes()[0].rehearsed_ns, 0, "{idle}");
    }
}

/// Between two Depths such a host may make no call but for other events.
#[test]
fn inline_an_event_without_a_signal_keeps_the_stages_warm() {
    let mut engine = start(
        r#""inline""#,
        "10",
        &Registry::default(),
        r#""factors": "market", "models": "none""#,
    );
    let mut received = 0;
    let mut pass = |engine: &mut Engine, event: &Owned| {
        received += engine.on_event_and_deliver(event.event(), |_, _| ());
    };
    pass(&mut engine, &depth("btc_usdt", 0, 100.0));
    let limit = Instant::now() + LIMIT;
    while rehearsals(&engine) < 2 {
        pass(&mut engine, &trade("btc_usdt", 100.0, 0));
        assert!(Instant::now() < limit, "{:?}", engine.counters());
    }
    // A Depth has a signal, and no time to lose.
    let before = rehearsals(&engine);
    for time in 0..100 {
        pass(&mut engine, &depth("btc_usdt", time, 100.0));
        std::thread::sleep(Duration::from_micros(100));
    }
    assert_eq!((received, rehearsals(&engine)), (101, before));
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
