//! What rehearsals leave out because it takes too long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use signal::factors::{Depth, FactorSet, NoParams};
use signal::models::Model;
use signal::{InstrumentId, Registry};
use support::events::{LIMIT, depth, settle};

use super::{SPINNING, let_rehearse, start};

/// Longer than a stage may take in a rehearsal.
fn take_long() {
    let until = Instant::now() + Duration::from_micros(30);
    while Instant::now() < until {}
}

/// Runs of [`Counts`] in rehearsals, and how often it prefetched.
static RUNS: AtomicU64 = AtomicU64::new(0);
static PREFETCHED: AtomicU64 = AtomicU64::new(0);

struct Counts {
    outputs: [String; 1],
    takes_long: bool,
}

impl Counts {
    fn boxed(takes_long: bool) -> Box<dyn Model> {
        Box::new(Self {
            outputs: ["out".to_owned()],
            takes_long,
        })
    }
}

impl Model for Counts {
    fn inputs(&self) -> usize {
        1
    }
    fn outputs(&self) -> &[String] {
        &self.outputs
    }
    fn keeps_state(&self) -> bool {
        false
    }
    fn prefetch(&self) {
        PREFETCHED.fetch_add(1, Ordering::Relaxed);
    }
    fn run(&mut self, instrument: InstrumentId, factors: &[f64], out: &mut [f64]) {
        if instrument == InstrumentId::SHADOW {
            RUNS.fetch_add(1, Ordering::Relaxed);
        }
        if self.takes_long {
            take_long();
        }
        out[0] = factors[0];
    }
}

struct Quick;
struct Lengthy;

impl FactorSet<1> for Quick {
    const NAME: &'static str = "quick";
    const FACTORS: [&'static str; 1] = ["one"];
    const LEVELS: usize = 1;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self
    }
    fn write(&mut self, out: &mut [f64; 1]) {
        out[0] = 1.0;
    }
}

impl FactorSet<1> for Lengthy {
    const NAME: &'static str = "lengthy";
    const FACTORS: [&'static str; 1] = ["one"];
    const LEVELS: usize = 1;
    type Params = NoParams;

    fn new(_: &NoParams) -> Self {
        Self
    }
    fn on_depth(&mut self, _: &Depth<'_>) {
        take_long();
    }
    fn write(&mut self, out: &mut [f64; 1]) {
        out[0] = 1.0;
    }
}

#[test]
fn a_model_is_prefetched_where_it_or_its_factors_take_too_long_to_be_rehearsed() {
    let mut registry = Registry::default();
    registry.factors.add::<Quick, _>();
    registry.factors.add::<Lengthy, _>();
    registry.models.add("long", |_| Counts::boxed(true));
    registry.models.add("short", |_| Counts::boxed(false));
    for extra in [
        r#""factors": "quick", "models": "long""#,
        r#""factors": "lengthy", "models": "short""#,
    ] {
        for placement in SPINNING {
            let mut engine = start(placement, "10", &registry, extra);
            let mut received = Vec::new();
            engine.on_event(depth("btc_usdt", 1, 100.0).event());
            settle(&mut engine, &mut received);
            let before = PREFETCHED.load(Ordering::Relaxed);
            let limit = Instant::now() + LIMIT;
            while PREFETCHED.load(Ordering::Relaxed) < before + 3 {
                assert!(Instant::now() < limit, "{placement}, {extra}");
                let_rehearse(&mut engine, 1, &mut received);
            }
            let runs = RUNS.load(Ordering::Relaxed);
            assert!(runs > 0, "{placement}, {extra}");
            while PREFETCHED.load(Ordering::Relaxed) < before + 20 {
                assert!(Instant::now() < limit, "{placement}, {extra}");
                let_rehearse(&mut engine, 1, &mut received);
            }
            assert_eq!(RUNS.load(Ordering::Relaxed), runs, "{placement}, {extra}");
            // An event is computed as ever.
            engine.on_event(depth("btc_usdt", 2, 100.0).event());
            settle(&mut engine, &mut received);
            assert_eq!(received.len(), 2, "{placement}, {extra}");
        }
    }
}
