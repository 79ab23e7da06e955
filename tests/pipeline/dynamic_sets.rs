//! A factor set whose factors come from the configuration.

use std::io;

use serde_json::{Map, Value};
use signal::engine::Blueprint;
use signal::factors::{self, Depth, FactorBank, IndexPrice, Prepared, Ticker, Trade};
use signal::{Engine, Instrument, InstrumentId, Registry};

use crate::computing::{book, config, poll};

/// Multiples of the best bid, and the instrument's type.
struct Multiples {
    factors: Vec<f64>,
    /// Best bid and type of each instrument, and of the shadow.
    states: Vec<(f64, i8)>,
}

impl FactorBank for Multiples {
    fn name(&self) -> &'static str {
        "multiples"
    }
    fn width(&self) -> usize {
        self.factors.len() + 1
    }
    fn shadow(&self) -> InstrumentId {
        InstrumentId(self.states.len() as u32 - 1)
    }
    fn on_instrument(&mut self, id: InstrumentId, instrument: &Instrument) {
        self.states[id.index()].1 = instrument.instrument_type();
    }
    fn on_depth(&mut self, id: InstrumentId, depth: &Depth<'_>) {
        self.states[id.index()].0 = depth.bid_price[0];
    }
    fn on_ticker(&mut self, _: InstrumentId, _: &Ticker) {}
    fn on_trade(&mut self, _: InstrumentId, _: &Trade) {}
    fn on_index_price(&mut self, _: InstrumentId, _: &IndexPrice) {}
    fn write(&mut self, id: InstrumentId, out: &mut [f64]) {
        let (bid, kind) = self.states[id.index()];
        for (out, factor) in out.iter_mut().zip(&self.factors) {
            *out = bid * factor;
        }
        out[self.factors.len()] = kind.into();
    }
    fn save(&self, _: InstrumentId, _: &mut dyn io::Write) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn load(&mut self, _: InstrumentId, _: &mut dyn io::Read) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn prepare(params: &Map<String, Value>) -> Result<Prepared, String> {
    let mut named = Vec::new();
    let mut factors = Vec::new();
    for (name, factor) in params {
        let factor = factor.as_f64();
        factors.push(factor.ok_or_else(|| format!("{name}: expected a number"))?);
        named.push(name.clone());
    }
    named.push("kind".to_owned());
    let bytes = size_of::<(f64, i8)>();
    Ok(Prepared::new(named, 1, bytes, move |instruments| {
        Box::new(Multiples {
            factors: factors.clone(),
            states: vec![(0.0, 0); instruments + 1],
        })
    }))
}

fn registry() -> Registry {
    let mut registry = Registry {
        factors: factors::Registry::builtin(),
        ..Registry::default()
    };
    let schema = Map::default;
    registry.factors.add_dynamic("multiples", schema, prepare);
    registry
}

const CONFIG: &str = r#"{
    "placement": "inline",
    "factors": ["test0000", {"set": "multiples", "once": 1, "twice": 2, "half": 0.5}],
    "model": "none",
    "disabled_factors": ["once", "multiples.half"]
}"#;

#[test]
fn a_set_may_have_its_factors_from_the_configuration() {
    let config = config(CONFIG);
    let blueprint = Blueprint::new(&config, &registry()).unwrap();
    assert_eq!(
        blueprint.factors()[2..],
        ["test0000.best_bid", "multiples.twice", "multiples.kind"]
    );
    let mut engine = Engine::start_with(&config, &registry()).unwrap();
    engine.on_event(book().event());
    let values = poll(&mut engine).remove(0).1;
    let bid = values[2];
    assert!(bid > 0.0);
    let instruments = engine.instruments();
    let kind = instruments.get(InstrumentId(0)).unwrap().instrument_type();
    assert_eq!(values[3..], [2.0 * bid, f64::from(kind)]);
}

/// A set whose states have another width or another shadow than it says.
fn wrong_states(params: &Map<String, Value>) -> Result<Prepared, String> {
    let more = usize::from(params.contains_key("shadow"));
    let factors = if more == 0 { vec![] } else { vec![1.0, 2.0] };
    let named = ["a", "b", "kind"].map(str::to_owned).to_vec();
    Ok(Prepared::new(named, 1, 16, move |instruments| {
        Box::new(Multiples {
            factors: factors.clone(),
            states: vec![(0.0, 0); instruments + 1 + more],
        })
    }))
}

/// A set that names a factor twice.
fn doubled(_: &Map<String, Value>) -> Result<Prepared, String> {
    let named = ["a", "b", "a"].map(str::to_owned).to_vec();
    Ok(Prepared::new(named, 1, 16, |_| {
        unreachable!("it is refused")
    }))
}

#[test]
fn a_set_that_breaks_its_promise_is_refused() {
    let mut registry = registry();
    let schema = Map::default;
    registry.factors.add_dynamic("wrong", schema, wrong_states);
    registry.factors.add_dynamic("doubled", schema, doubled);
    for (set, named) in [
        (
            r#"{"set": "wrong"}"#,
            "set wrong writes 1 values for 3 factors",
        ),
        (
            r#"{"set": "wrong", "shadow": 1}"#,
            "set wrong: FactorBank::shadow is 8 for 7 instruments",
        ),
        (
            r#"{"set": "doubled"}"#,
            "factors[0]: set doubled has two factors \"a\"",
        ),
    ] {
        let json = format!(r#"{{"factors": {set}, "model": "none", "instruments": {{"max": 7}}}}"#);
        let error = Engine::start_with(&config(&json), &registry).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn what_such_a_set_refuses_names_its_place() {
    for (wrong, named) in [
        (
            CONFIG.replace("0.5", "\"0.5\""),
            "factors[1].half: expected a number",
        ),
        (CONFIG.replace("\"once\",", "\"onc\","), "\"once\""),
    ] {
        let error = Blueprint::new(&config(&wrong), &registry()).unwrap_err();
        assert!(error.to_string().contains(named), "{error}");
    }
}
