//! Each model alone, on rows of fifteen factors.

use std::hint::black_box;

use signal::models::{LightGbm, Linear, Model, ModelError, Onnx, Registry, XgBoost};

use super::events::{DIFFERENT, Random};
use super::made;
use super::{Entry, Made, each, entry};

/// Values of a row: the factors of `market`.
pub const FACTORS: usize = 15;
/// Trees of a forest, with 32 leaves each.
const TREES: usize = 100;
/// Widths of the layers behind the factors.
const SMALL: &[usize] = &[8, 2];
const LARGE: &[usize] = &[64, 64, 2];

pub fn cases() -> Vec<Entry> {
    let parsed = |name: &str, parse: fn() -> Result<Box<dyn Model>, ModelError>| {
        entry(format!("model {name}"), move || {
            Ok(kernel(parse().map_err(|error| error.to_string())?))
        })
    };
    vec![
        entry("model test0000", || builtin("test0000")),
        entry("model none", || builtin("none")),
        entry("model linear", || Ok(kernel(linear()?))),
        parsed("LightGBM, 100 trees", || {
            LightGbm::parse(made::lightgbm(TREES).as_bytes()).map(boxed)
        }),
        parsed("XGBoost, 100 trees", || {
            XgBoost::parse(made::xgboost(TREES).as_bytes()).map(boxed)
        }),
        parsed("ONNX, 100 trees", || {
            Onnx::parse(&made::onnx(TREES), &[]).map(boxed)
        }),
        parsed("ONNX, dense 15-8-2", || {
            Onnx::parse(&made::dense(SMALL), &[]).map(boxed)
        }),
        parsed("ONNX, dense 15-64-64-2", || {
            Onnx::parse(&made::dense(LARGE), &[]).map(boxed)
        }),
    ]
}

fn boxed<M: Model + 'static>(model: M) -> Box<dyn Model> {
    Box::new(model)
}

fn builtin(name: &str) -> Made {
    let make = Registry::builtin()
        .get(name)
        .ok_or_else(|| format!("no model {name}"))?;
    Ok(kernel(make(&[""; FACTORS])))
}

pub fn linear() -> Result<Box<dyn Model>, String> {
    Linear::parse(linear_file().as_bytes())
        .map(boxed)
        .map_err(|error| error.to_string())
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
