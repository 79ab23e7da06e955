//! Who is timed, on which model.
//!
//! All take and leave `f64`, as the engine's model stage does: what a library
//! needs to convert is a part of its inference.
//!
//! | file | engine |
//! |---|---|
//! | `onnxruntime` | its C API, from the shared library of the Python package |
//! | `lightgbm` | the same |
//! | `xgboost` | the same |
//! | `native` | finding and opening the shared libraries |

mod lightgbm;
mod native;
mod onnxruntime;
mod xgboost;

use std::path::Path;

use signal::models;

use crate::inputs::{FACTORS, Out, Row};
use crate::measure::Timed;
use native::Located;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Ours,
    OnnxRuntime,
    LightGbm,
    XgBoost,
    Tract,
}

use Engine::{LightGbm, OnnxRuntime, Ours, Tract, XgBoost};

impl Engine {
    /// The name in the table; of peers in shared libraries that of the Python package.
    pub fn name(self) -> &'static str {
        match self {
            Ours => "ours",
            OnnxRuntime => "onnxruntime",
            LightGbm => "lightgbm",
            XgBoost => "xgboost",
            Tract => "tract",
        }
    }

    /// Whether it allocates through Rust's allocator, where it can be counted.
    pub fn is_rust(self) -> bool {
        matches!(self, Ours | Tract)
    }
}

const OURS: &[Engine] = &[Ours];
const ONNX: &[Engine] = &[Ours, OnnxRuntime, Tract];
const LIGHTGBM: &[Engine] = &[Ours, LightGbm];
const XGBOOST: &[Engine] = &[Ours, XgBoost];

const LINEAR: &str = "linear, 15 factors";
const MLP: &str = "MLP 15-64-64-2, ReLU";
const LIGHTGBM_100: &str = "LightGBM, 100 trees of 31 leaves";
const LIGHTGBM_500: &str = "LightGBM, 500 trees of 31 leaves";
const XGBOOST_100: &str = "XGBoost, 100 trees of 31 leaves";
const XGBOOST_500: &str = "XGBoost, 500 trees of 31 leaves";

/// Models, their files and the engines that load them, in the order of the table. Others are
/// compared with the model's first.
pub const FILES: [(&str, &str, &[Engine]); 9] = [
    (LINEAR, "linear.json", OURS),
    (LINEAR, "linear.onnx", ONNX),
    (MLP, "mlp.onnx", ONNX),
    (LIGHTGBM_100, "lightgbm-100.txt", LIGHTGBM),
    (LIGHTGBM_100, "lightgbm-100.onnx", ONNX),
    (LIGHTGBM_500, "lightgbm-500.txt", LIGHTGBM),
    (LIGHTGBM_500, "lightgbm-500.onnx", ONNX),
    (XGBOOST_100, "xgboost-100.json", XGBOOST),
    (XGBOOST_500, "xgboost-500.json", XGBOOST),
];

/// The engines that this machine has; an absent one says why.
pub struct Engines(Result<Located, String>);

impl Engines {
    pub fn open() -> Self {
        Self(native::locate())
    }

    pub fn versions(&self) -> [(Engine, Result<String, String>); 5] {
        let of = |engine: Engine| match engine {
            Ours => locked("godzilla-signal"),
            Tract if cfg!(feature = "tract") => locked("tract-onnx"),
            Tract => Err(NO_TRACT.into()),
            _ => native::find(&self.0, engine.name()).map(|found| found.version),
        };
        [Ours, OnnxRuntime, LightGbm, XgBoost, Tract].map(|engine| (engine, of(engine)))
    }

    /// Loads a model of so many outputs, or says why this engine does not run it.
    pub fn load(
        &self,
        engine: Engine,
        file: &Path,
        outputs: usize,
    ) -> Result<Box<dyn Timed>, String> {
        let library = || native::find(&self.0, engine.name()).and_then(native::open);
        match engine {
            Ours => ours(file, outputs),
            OnnxRuntime => onnxruntime::load(library()?, file, outputs),
            LightGbm => lightgbm::load(library()?, file),
            XgBoost => xgboost::load(library()?, file),
            #[cfg(feature = "tract")]
            Tract => tract(file).map_err(|error| error.root_cause().to_string()),
            #[cfg(not(feature = "tract"))]
            Tract => Err(NO_TRACT.into()),
        }
    }
}

const NO_TRACT: &str = "built without the feature tract";

/// The version in the lock file, for crates without a constant that says it.
fn locked(package: &str) -> Result<String, String> {
    let lock = include_str!("../../../../../Cargo.lock");
    let found = lock.split_once(&format!("name = \"{package}\"\nversion = \""));
    let version = found.and_then(|(_, rest)| rest.split_once('"'));
    let version = version.map(|(version, _)| version.to_owned());
    version.ok_or(format!("the lock file does not name {package}"))
}

/// This crate: `Box<dyn Model>` from `models::load`, as the model stage has it.
fn ours(file: &Path, outputs: usize) -> Result<Box<dyn Timed>, String> {
    let mut model = models::load(file, None, &[]).map_err(|error| error.to_string())?;
    let (found, expected) = ((model.inputs(), model.outputs().len()), (FACTORS, outputs));
    if found != expected {
        let what = "inputs and outputs";
        return Err(format!("{found:?} {what}; expected {expected:?}"));
    }
    Ok(Box::new(move |row: &Row, out: &mut Out| {
        model.run(signal::InstrumentId(0), row, &mut out[..outputs])
    }))
}

/// Optimised for one row, its state kept between runs.
#[cfg(feature = "tract")]
fn tract(file: &Path) -> tract_onnx::prelude::TractResult<Box<dyn Timed>> {
    use tract_onnx::prelude::*;

    let model = tract_onnx::onnx().model_for_path(file)?;
    let model = model.with_input_fact(0, f32::fact([1, FACTORS]).into())?;
    let mut state = SimpleState::new(model.into_optimized()?.into_runnable()?)?;
    Ok(Box::new(move |row: &Row, out: &mut Out| {
        let narrow = row.map(|value| value as f32);
        let input = Tensor::from_shape(&[1, FACTORS], &narrow).expect("as many as a row has");
        let outputs = state.run(tvec!(input.into())).expect("tract's run");
        let values = outputs[0].as_slice::<f32>().expect("floats");
        for (to, &value) in out.iter_mut().zip(values) {
            *to = value.into();
        }
    }))
}
