//! The configurations that take turns, each with its load.

use serde_json::{Value, json};
use signal::abi::EventKind;

/// What a signal's values must be.
#[derive(Clone, Copy, Debug)]
pub enum Expect {
    Finite,
    /// The model `test0000`'s constants.
    Constants,
    /// Spread, mid price and best bid of the Depth with the signal's time.
    Test0000,
    /// Spread and mid price of that Depth, then more.
    Market,
}

/// A configuration and its load, and what follows from the configuration.
pub struct Case {
    pub name: &'static str,
    /// What `signal_create` gets.
    pub config: Value,
    /// Events a second, on average.
    pub rate: u32,
    /// Instruments that the events are of.
    pub instruments: u32,
    pub expect: Expect,
    /// What each callback takes the host, us.
    pub callback_us: u32,
    /// An event that triggers.
    pub trigger: EventKind,
    /// Signals of a factor vector.
    pub signals: u64,
    /// Whether an event that triggers makes one factor vector: an index price makes
    /// one of each instrument of its pair.
    pub one_vector: bool,
    pub latency_report: bool,
    pub capture: bool,
}

fn case(name: &'static str, rate: u32, instruments: u32, expect: Expect, config: Value) -> Case {
    let list = |key: &str| config[key].as_array().filter(|list| !list.is_empty());
    let trigger = list("trigger").map_or(EventKind::Depth, |kinds| {
        let last = kinds[kinds.len() - 1].clone();
        serde_json::from_value(last).expect("the name of a kind")
    });
    let models = list("models").filter(|_| config["callback"] == "per-model");
    Case {
        name,
        rate,
        instruments,
        expect,
        callback_us: 0,
        trigger,
        signals: models.map_or(1, |models| models.len() as u64),
        one_vector: trigger != EventKind::IndexPrice,
        latency_report: !config["latency"].is_null(),
        capture: !config["capture"].is_null(),
        config,
    }
}

/// The repository.
pub const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// A model file of the examples.
fn model(file: &str) -> String {
    let path = format!("{ROOT}/examples/models/{file}");
    // As a reader would write it.
    std::fs::canonicalize(&path).map_or(path, |path| path.display().to_string())
}

/// All four model files.
fn models() -> Value {
    json!([
        model("move.json"),
        { "file": model("move.onnx"), "name": "network" },
        { "file": model("move.txt"), "name": "trees" },
        { "file": model("move.xgb.json"), "name": "boosted" }
    ])
}

/// All cases, in the order of a cycle.
#[rustfmt::skip]
pub fn all() -> Vec<Case> {
    use Expect::{Constants, Finite, Market, Test0000};
    let lanes = json!([["ingest", "factor"], ["model"]]);
    let market = |model: &str, placement: &str| json!({"factors": "market", "models": model, "placement": placement});
    let overload = |ingest: &str, egress: &str| json!({
        "models": "none", "placement": "fused", "rings": {"ingest": 64, "egress": 64},
        "overload": {"ingest": ingest, "stage": "block", "egress": egress, "block_ms": 20}
    });
    let shared = json!([["ingest", "factor"], ["model"], ["model"], ["egress"]]);
    vec![
        case("defaults", 100_000, 8, Constants, json!({})),
        case("inline", 200_000, 100, Test0000, json!({"placement": "inline", "models": "none"})),
        case("fused, spin", 200_000, 10, Test0000,
            json!({"placement": "fused", "idle": "spin", "models": "none"})),
        case("fused, park", 50_000, 10, Test0000,
            json!({"placement": "fused", "idle": "park", "models": "none"})),
        case("fused, yield", 50_000, 10, Constants, json!({"placement": "fused", "idle": "yield"})),
        case("split", 50_000, 10, Market, market("none", "split")),
        case("split, stage rings of 2", 10_000, 10, Test0000,
            json!({"placement": "split", "rings": {"stage": 2}, "models": "none"})),
        case("two lanes, onnx", 20_000, 20, Finite,
            json!({"factors": "market", "models": model("move.onnx"), "placement": lanes})),
        case("two lanes, ingest alone", 20_000, 20, Market,
            json!({"factors": "market", "models": "none", "placement": [["ingest"], ["factor", "model"]]})),
        case("two lanes, egress alone", 20_000, 20, Test0000,
            json!({"models": "none", "placement": [["ingest", "factor", "model"], ["egress"]]})),
        case("market, linear", 100_000, 50, Finite, market(&model("move.json"), "fused")),
        case("market, lightgbm, inline", 100_000, 50, Finite, market(&model("move.txt"), "inline")),
        case("four models, concatenated", 50_000, 10, Finite,
            json!({"factors": "market", "models": models()})),
        case("four models, per-model", 50_000, 10, Finite,
            json!({"factors": "market", "models": models(), "callback": "per-model"})),
        case("four models, per-model, egress ring of 64", 50_000, 10, Finite,
            json!({"factors": "market", "models": models(), "callback": "per-model", "rings": {"egress": 64}})),
        case("two sets", 50_000, 10, Test0000,
            json!({"factors": ["test0000", {"set": "market", "window": 4096}], "models": "none"})),
        case("rings of 16", 100_000, 10, Test0000,
            json!({"models": "none", "placement": "fused", "rings": {"ingest": 16, "egress": 16}})),
        case("trigger ticker and trade", 100_000, 10, Finite,
            json!({"factors": "market", "models": "none", "trigger": ["ticker", "trade"]})),
        case("trigger depth and index price", 50_000, 10, Finite,
            json!({"factors": "market", "models": "none", "trigger": ["depth", "index_price"]})),
        case("three shards", 50_000, 50, Market,
            json!({"factors": "market", "models": "none", "placement": "fused", "shards": 3})),
        case("two shards, split, stage rings of 16", 20_000, 10, Finite,
            json!({"factors": "market", "models": [model("move.json"), "none"], "callback": "per-model",
                "trigger": ["depth", "index_price"], "placement": "split", "shards": 2, "rings": {"stage": 16}})),
        case("assets", 100_000, 100, Constants,
            json!({"assets": ["S0000USDT", "s0001_usdt", "S0077USDT"]})),
        case("1,000 instruments", 100_000, 1000, Market, market("none", "fused")),
        case("one instrument", 100_000, 1, Market, market("none", "fused")),
        case("too many instruments", 50_000, 200, Constants, json!({"instruments": {"max": 50}})),
        case("timing off", 200_000, 10, Constants, json!({"timing": false})),
        case("latency report", 50_000, 10, Constants, json!({"latency": {"interval_ms": 50}})),
        case("capture", 5_000, 10, Test0000,
            json!({"models": "none", "placement": "fused", "capture": {"buffer": 1024}})),
        Case { callback_us: 25, ..case("slow callbacks", 20_000, 10, Constants, json!({})) },
        case("overload: egress conflate", 100_000, 100, Test0000, overload("drop-newest", "conflate")),
        case("overload: egress drop-newest", 100_000, 100, Test0000, overload("drop-newest", "drop-newest")),
        case("overload: egress block", 100_000, 100, Test0000, overload("drop-newest", "block")),
        case("overload: ingest block", 100_000, 100, Test0000, overload("block", "conflate")),
        case("overload: block everywhere", 100_000, 100, Test0000, overload("block", "block")),
        case("two lanes for the models", 20_000, 10, Finite,
            json!({"models": ["none", "test0000"], "callback": "per-model", "placement": shared,
                "rings": {"stage": 64}})),
    ]
}
