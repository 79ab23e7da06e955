//! Each model alone, on rows of fifteen factors.

use std::hint::black_box;

use signal::models::{LightGbm, Linear, Model, ModelError, Onnx, Registry, XgBoost};

use super::events::{DIFFERENT, Random};
use super::made;
use super::{Entry, each, entry};

/// Values of a row: the factors of `market`.
pub const FACTORS: usize = 15;
/// Trees of a forest, with 32 leaves each.
const TREES: usize = 100;

type Parsed = Result<Box<dyn Model>, String>;

pub fn cases() -> Vec<Entry> {
    let case = |name: &str, parse: fn() -> Parsed| {
        entry(format!("model {name}"), move || Ok(kernel(parse()?)))
    };
    vec![
        case("test0000", || builtin("test0000")),
        case("none", || builtin("none")),
        case("linear", linear),
        case("LightGBM, 100 trees", || {
            boxed(LightGbm::parse(made::lightgbm(TREES).as_bytes()))
        }),
        case("XGBoost, 100 trees", || {
            boxed(XgBoost::parse(made::xgboost(TREES).as_bytes()))
        }),
        case("ONNX, 100 trees", || onnx(made::onnx(TREES))),
        case("ONNX, dense 15-8-2", || onnx(made::dense(&[8, 2]))),
        case("ONNX, dense 15-64-64-2", || onnx(made::dense(&[64, 64, 2]))),
    ]
}

fn boxed<M: Model + 'static>(model: Result<M, ModelError>) -> Parsed {
    match model {
        Ok(model) => Ok(Box::new(model)),
        Err(error) => Err(error.to_string()),
    }
}

pub fn builtin(name: &str) -> Parsed {
    let make = Registry::builtin().get(name);
    let make = make.ok_or_else(|| format!("no model {name}"))?;
    Ok(make(&[""; FACTORS]))
}

fn onnx(file: Vec<u8>) -> Parsed {
    boxed(Onnx::parse(&file, &[]))
}

pub fn linear() -> Parsed {
    boxed(Linear::parse(linear_file().as_bytes()))
}

pub fn linear_file() -> String {
    let mut random = Random::new(2);
    let weights: Vec<f64> = (0..FACTORS).map(|_| random.number() - 0.5).collect();
    serde_json::json!({"weights": weights, "bias": 0.25}).to_string()
}

pub fn rows() -> Vec<[f64; FACTORS]> {
    let mut random = Random::new(3);
    let mut row = |_| std::array::from_fn(|_| random.number());
    (0..DIFFERENT).map(&mut row).collect()
}

fn kernel(mut model: Box<dyn Model>) -> Box<dyn super::Case> {
    let rows = rows();
    let mut out = vec![0.0; model.outputs().len()];
    each(move |number| {
        model.run(signal::InstrumentId(0), &rows[number % DIFFERENT], &mut out);
        black_box(&out);
    })
}
