//! What a configuration makes the engine compute: sets, models, triggers, index prices, and
//! what it leaves out.

use std::path::{Path, PathBuf};

use signal::abi::{EventKind, HostEvent, IndexPrice, Trade};
use signal::config::ModelEntry;
use signal::engine::Blueprint;
use signal::telemetry::counters::Counter;
use signal::{Config, Engine, Registry};
use support::events::{Owned, depth, put};

fn inline(json: &str) -> Engine {
    Engine::start(&config(json)).unwrap()
}

pub(crate) fn config(json: &str) -> Config {
    let mut config = Config::from_json(json).unwrap();
    config.placement = signal::pipeline::placement::Placement::Inline;
    config
}

fn refusal(config: &Config) -> String {
    Blueprint::new(config, &Registry::default())
        .unwrap_err()
        .to_string()
}

/// Model and values of each ready signal.
pub(crate) fn poll(engine: &mut Engine) -> Vec<(Option<usize>, Vec<f64>)> {
    let mut seen = Vec::new();
    engine.poll(|_, signal| {
        let model = signal.model.map(|id| id.index());
        seen.push((model, signal.values.to_vec()));
    });
    seen
}

fn index_price(symbol: &str, instrument_type: i8, price: f64) -> IndexPrice {
    let mut index: IndexPrice = bytemuck::Zeroable::zeroed();
    put(&mut index.symbol, symbol);
    put(&mut index.exchange_id, "binance");
    index.instrument_type = instrument_type;
    index.price = price.into();
    index
}

fn write(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// A linear model of `weights` weights, each its index plus one.
fn linear(dir: &Path, name: &str, weights: usize) -> PathBuf {
    let weights: Vec<_> = (1..=weights).map(|weight| weight.to_string()).collect();
    let json = format!(r#"{{"weights": [{}], "bias": 0}}"#, weights.join(","));
    write(dir, name, &json)
}

const BOOK: f64 = 100.0;

pub(crate) fn book() -> Owned {
    depth("btc_usdt", 5, BOOK)
}

/// Spread, mid and best bid of [`book`].
fn test0000() -> [f64; 3] {
    let ask = BOOK + 0.1;
    [ask - BOOK, (ask + BOOK) / 2.0, BOOK]
}

#[test]
fn several_models_see_each_vector_and_say_whose_signal_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = config(r#"{"models": ["none", "test0000"]}"#);
    let file = linear(dir.path(), "sum.json", 3);
    wanted.models.push(ModelEntry::file(file));
    let [spread, mid, bid] = test0000();
    let sum = spread + 2.0 * mid + 3.0 * bid;

    let mut engine = Engine::start(&wanted).unwrap();
    let names: Vec<_> = engine.models().iter().map(|model| &model.name).collect();
    assert_eq!(names, ["none", "test0000", "sum"]);
    assert_eq!(engine.models()[2].kind, "linear");
    engine.on_event(book().event());
    let signals = poll(&mut engine);
    assert_eq!(signals.len(), 1);
    let (model, values) = &signals[0];
    assert_eq!(*model, None);
    assert_eq!(values[..6], [spread, mid, bid, 1.0, 0.8_f32.into(), sum]);
    assert_eq!(values.len(), 7);

    wanted.callback = signal::stages::Callback::PerModel;
    let mut engine = Engine::start(&wanted).unwrap();
    engine.on_event(book().event());
    let signals = poll(&mut engine);
    let models: Vec<_> = signals.iter().map(|(model, _)| *model).collect();
    assert_eq!(models, [Some(0), Some(1), Some(2)]);
    assert_eq!(signals[1].1, [1.0, 0.8_f32.into()]);
    assert_eq!(signals[2].1[0], sum);
    let counters = engine.counters();
    assert_eq!(counters.get(Counter::Signals), 3);
    assert_eq!(counters.get(Counter::Answered), 1);
    assert_eq!(counters.in_flight(), 0);
}

#[test]
fn a_model_that_does_not_fit_the_factors_is_refused_with_both_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = config("{}");
    wanted.models = vec![ModelEntry::file(linear(dir.path(), "four.json", 4))];
    let refused = refusal(&wanted);
    assert!(
        refused.contains("four takes 4 factors, but test0000 gives 3")
            && refused.ends_with("trained on in `factors`"),
        "{refused}"
    );
    wanted.models = vec![ModelEntry::file(linear(dir.path(), "wide.json", 15))];
    let refused = refusal(&wanted);
    assert!(
        refused.ends_with("in `factors`, such as \"market\", which has 15"),
        "{refused}"
    );

    let named =
        r#"{"weights": [1, 2, 3], "bias": 0, "factors": ["spread", "best_bid", "mid_price"]}"#;
    wanted.models = vec![ModelEntry::file(write(dir.path(), "named.json", named))];
    let refused = refusal(&wanted);
    assert!(
        refused.contains(r#"input 1 is "best_bid""#) && refused.contains(r#""mid_price""#),
        "{refused}"
    );
    wanted.models[0].check_names = false;
    assert!(Blueprint::new(&wanted, &Registry::default()).is_ok());
}

#[test]
fn a_check_file_decides_whether_a_model_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let mut wanted = config("{}");
    wanted.models = vec![ModelEntry::file(linear(dir.path(), "sum.json", 3))];
    let confidence = |signal: f64| 2.0 / (1.0 + (-signal).exp()) - 1.0;
    let check = |signal: f64| {
        let confidence = confidence(6.0);
        let json = format!(
            r#"{{"inputs": [[1, 1, 1]], "outputs": [[{signal}, {confidence}]], "tolerance": 1e-9}}"#
        );
        write(dir.path(), "sum.json.check.json", &json);
    };
    check(6.0);
    assert!(Engine::start(&wanted).is_ok());
    check(6.1);
    let refused = Engine::start(&wanted).unwrap_err().to_string();
    for part in [
        "sum.json.check.json",
        "outputs[0][0]",
        "signal",
        "6.1",
        "gives 6",
    ] {
        assert!(refused.contains(part), "{part} is not in {refused}");
    }
    write(dir.path(), "sum.json.check.json", "{");
    assert!(Engine::start(&wanted).is_err());
}

#[test]
fn wrong_sets_models_and_names_are_refused_by_key() {
    for (json, parts) in [
        (r#"{"factors": "nope"}"#, ["factors[0]", "test0000"]),
        (
            r#"{"factors": {"set": "market", "window": 0}}"#,
            ["factors[0].window", "1 to 4096"],
        ),
        (
            r#"{"factors": {"set": "market", "windw": 9}}"#,
            ["factors[0]", "windw"],
        ),
        (r#"{"models": "nope"}"#, ["models: nope", "none"]),
        (
            r#"{"models": "no/such.json"}"#,
            ["no/such.json", "cannot read"],
        ),
        (
            r#"{"models": {"file": "a", "kind": "magic"}}"#,
            ["magic", "linear"],
        ),
        (
            r#"{"models": {"kind": "none", "outputs": ["x"]}}"#,
            ["none", "outputs"],
        ),
        (
            r#"{"disabled_factors": "sprad"}"#,
            ["disabled_factors", "sprad"],
        ),
        (
            r#"{"disabled_factors": "test0000"}"#,
            ["disabled_factors", "no factor set"],
        ),
        (
            r#"{"disabled_factors": ["spread", "mid_price", "best_bid"]}"#,
            ["disabled_factors", "no factor"],
        ),
        (
            r#"{"disabled_models": "nope"}"#,
            ["disabled_models", "nope"],
        ),
    ] {
        let refused = refusal(&config(json));
        for part in parts {
            assert!(refused.contains(part), "{json}: {part} is not in {refused}");
        }
    }
}

#[test]
fn disabled_factors_and_models_are_left_out() {
    let [spread, _, bid] = test0000();
    let mut engine =
        inline(r#"{"disabled_factors": ["mid_price"], "disabled_models": "test0000"}"#);
    engine.on_event(book().event());
    assert_eq!(poll(&mut engine), [(Some(0), vec![spread, bid])]);
    assert_eq!(engine.models()[0].outputs, ["spread", "best_bid"]);

    let json = r#"{"factors": ["test0000", "market"], "model": "none",
                   "disabled_factors": ["market", "test0000.spread"]}"#;
    let mut engine = inline(json);
    engine.on_event(book().event());
    assert_eq!(poll(&mut engine)[0].1.len(), 2);
}

#[test]
fn vectors_of_several_sets_follow_one_another() {
    let config = config(r#"{"factors": ["test0000", "market"], "model": "none"}"#);
    let blueprint = Blueprint::new(&config, &Registry::default()).unwrap();
    assert_eq!(blueprint.factors()[2], "test0000.best_bid");
    assert_eq!(blueprint.factors()[3], "market.spread");
    assert_eq!(blueprint.levels(), 10);
    let mut engine = Engine::start(&config).unwrap();
    engine.on_event(book().event());
    let values = poll(&mut engine).remove(0).1;
    assert_eq!(values[..3], test0000());
    assert_eq!(values[3..5], test0000()[..2]);
    assert_eq!(values.len(), 18);
}

#[test]
fn an_index_price_reaches_every_instrument_type_of_its_symbol() {
    let json = r#"{"factors": "market", "model": "none"}"#;
    let mut engine = inline(json);
    let basis = 13;
    let Owned::Depth(mut swap) = book() else {
        unreachable!()
    };
    swap.instrument_type = 7;
    let mut spot = swap.clone();
    spot.instrument_type = 5;
    engine.on_event(HostEvent::Depth(&swap));
    assert_eq!(poll(&mut engine)[0].1[basis], 0.0);
    let index = index_price("BTCUSDT", 6, 90.0);
    engine.on_event(HostEvent::IndexPrice(&index));
    engine.on_event(HostEvent::Depth(&swap));
    engine.on_event(HostEvent::Depth(&spot));
    let mid = test0000()[1];
    for (_, values) in poll(&mut engine) {
        assert_eq!(values[basis], mid - 90.0);
    }
    let mut other = swap.clone();
    put(&mut other.exchange_id, "elsewhere");
    engine.on_event(HostEvent::Depth(&other));
    assert_eq!(poll(&mut engine)[0].1[basis], 0.0);
    assert_eq!(engine.counters().in_flight(), 0);
}

#[test]
fn any_kind_of_event_can_trigger() {
    let mut trade: Trade = bytemuck::Zeroable::zeroed();
    put(&mut trade.symbol, "btc_usdt");
    put(&mut trade.exchange_id, "binance");
    trade.price = 9.0.into();
    trade.trade_time = 77.into();
    let index = index_price("btc_usdt", 0, 8.0);
    let mut wanted = config(r#"{"trigger": ["trade", "index_price"]}"#);
    let mut engine = Engine::start(&wanted).unwrap();
    // Before any instrument is known, an index price only updates.
    engine.on_event(HostEvent::IndexPrice(&index));
    engine.on_event(book().event());
    assert!(poll(&mut engine).is_empty());
    let mut times = Vec::new();
    engine.on_event(HostEvent::Trade(&trade));
    engine.on_event(HostEvent::IndexPrice(&index));
    engine.poll(|name, signal| times.push((name.as_str().to_owned(), signal.meta.timestamp)));
    // An index price has no timestamp of its own, so the instrument's last one is sent.
    assert_eq!(times, [("BTCUSDT".into(), 77), ("BTCUSDT".into(), 77)]);
    assert_eq!(engine.counters().get(Counter::Updates), 2);
    assert_eq!(engine.counters().in_flight(), 0);

    wanted.trigger = vec![EventKind::Ticker];
    let mut engine = Engine::start(&wanted).unwrap();
    engine.on_event(book().event());
    assert!(poll(&mut engine).is_empty());
}

#[test]
fn only_assets_reach_the_stages_and_the_rest_is_counted() {
    let mut engine = inline(r#"{"assets": ["eth_usdt"], "instruments": {"max": 1}}"#);
    for symbol in ["btc_usdt", "ETHUSDT", "eth_usdt", "sol_usdt", "btc_usdt"] {
        engine.on_event(depth(symbol, 1, BOOK).event());
    }
    assert_eq!(poll(&mut engine).len(), 2);
    let counters = engine.counters();
    assert_eq!(counters.get(Counter::RefusedNotAnAsset), 3);
    assert_eq!(counters.get(Counter::RefusedTooManyInstruments), 0);
    assert_eq!(counters.in_flight(), 0);
}
