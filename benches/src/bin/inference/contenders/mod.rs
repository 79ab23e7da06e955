//! Who is timed, on which model.
//!
//! | file | engine |
//! |---|---|
//! | `ours` | this crate, as the model stage holds a model |
//! | `onnxruntime` | its C API, from the shared library of the Python package |
//! | `lightgbm` | the same |
//! | `xgboost` | the same |
//! | `tract` | the Rust crate, with the feature `tract` |
//! | `native` | finding and opening the shared libraries |

mod lightgbm;
mod native;
mod onnxruntime;
mod ours;
#[cfg(feature = "tract")]
mod tract;
mod xgboost;

use std::path::Path;

use crate::inputs::{Out, Row};
use crate::measure::Timed;

/// An engine with a model loaded, ready for one sample after the other.
///
/// All take and leave `f64`, as the engine's model stage does: what a library
/// needs to convert is a part of its inference.
pub trait Contender {
    /// One inference.
    ///
    /// # Panics
    ///
    /// If the library reports an error.
    fn run(&mut self, row: &Row, out: &mut Out);
}

/// Somebody's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Ours,
    OnnxRuntime,
    LightGbm,
    XgBoost,
    Tract,
}

impl Engine {
    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Ours => "ours",
            Engine::OnnxRuntime => "onnxruntime",
            Engine::LightGbm => "lightgbm",
            Engine::XgBoost => "xgboost",
            Engine::Tract => "tract",
        }
    }

    /// Whether it allocates through Rust's allocator, where it can be counted.
    pub fn is_rust(self) -> bool {
        matches!(self, Engine::Ours | Engine::Tract)
    }
}

/// A model and those who run it.
pub struct Group {
    /// The heading in the table.
    pub title: &'static str,
    /// The model in `bench.json`.
    pub model: &'static str,
    /// Engines and the files that they load; the first is what the others are
    /// compared with.
    pub rows: &'static [(Engine, &'static str)],
}

use Engine::{LightGbm, OnnxRuntime, Ours, Tract, XgBoost};

/// The table, from top to bottom.
pub const GROUPS: [Group; 6] = [
    Group {
        title: "linear, 15 factors",
        model: "linear",
        rows: &[
            (Ours, "linear.json"),
            (Ours, "linear.onnx"),
            (OnnxRuntime, "linear.onnx"),
            (Tract, "linear.onnx"),
        ],
    },
    Group {
        title: "MLP 15-64-64-2, ReLU",
        model: "mlp",
        rows: &[
            (Ours, "mlp.onnx"),
            (OnnxRuntime, "mlp.onnx"),
            (Tract, "mlp.onnx"),
        ],
    },
    Group {
        title: "LightGBM, 100 trees of 31 leaves",
        model: "lightgbm-100",
        rows: &[
            (Ours, "lightgbm-100.txt"),
            (LightGbm, "lightgbm-100.txt"),
            (Ours, "lightgbm-100.onnx"),
            (OnnxRuntime, "lightgbm-100.onnx"),
            (Tract, "lightgbm-100.onnx"),
        ],
    },
    Group {
        title: "LightGBM, 500 trees of 31 leaves",
        model: "lightgbm-500",
        rows: &[
            (Ours, "lightgbm-500.txt"),
            (LightGbm, "lightgbm-500.txt"),
            (Ours, "lightgbm-500.onnx"),
            (OnnxRuntime, "lightgbm-500.onnx"),
            (Tract, "lightgbm-500.onnx"),
        ],
    },
    Group {
        title: "XGBoost, 100 trees of 31 leaves",
        model: "xgboost-100",
        rows: &[(Ours, "xgboost-100.json"), (XgBoost, "xgboost-100.json")],
    },
    Group {
        title: "XGBoost, 500 trees of 31 leaves",
        model: "xgboost-500",
        rows: &[(Ours, "xgboost-500.json"), (XgBoost, "xgboost-500.json")],
    },
];

/// The engines, opened once; an absent one says why.
pub struct Engines {
    onnxruntime: Result<onnxruntime::Api, String>,
    lightgbm: Result<lightgbm::Api, String>,
    xgboost: Result<xgboost::Api, String>,
}

impl Engines {
    /// Opens those that this machine has.
    pub fn open() -> Self {
        let found = native::locate();
        Self {
            onnxruntime: native::find(&found, "onnxruntime").and_then(onnxruntime::Api::open),
            lightgbm: native::find(&found, "lightgbm").and_then(lightgbm::Api::open),
            xgboost: native::find(&found, "xgboost").and_then(xgboost::Api::open),
        }
    }

    /// Versions, or why there is none.
    pub fn versions(&self) -> [(Engine, Result<String, String>); 5] {
        let of = |engine| match engine {
            Ours => locked("godzilla-signal"),
            OnnxRuntime => version(&self.onnxruntime, |api| &api.version),
            LightGbm => version(&self.lightgbm, |api| &api.version),
            XgBoost => version(&self.xgboost, |api| &api.version),
            Tract => tract_version(),
        };
        [Ours, OnnxRuntime, LightGbm, XgBoost, Tract].map(|engine| (engine, of(engine)))
    }

    /// Loads a model, or says why this engine does not run it.
    pub fn load(&self, engine: Engine, file: &Path) -> Result<Box<dyn Timed>, String> {
        match engine {
            Ours => Ok(Box::new(ours::Loaded::load(file)?)),
            OnnxRuntime => Ok(Box::new(self.onnxruntime.clone()?.load(file)?)),
            LightGbm => Ok(Box::new(self.lightgbm.clone()?.load(file)?)),
            XgBoost => Ok(Box::new(self.xgboost.clone()?.load(file)?)),
            #[cfg(feature = "tract")]
            Tract => Ok(Box::new(tract::Loaded::load(file)?)),
            #[cfg(not(feature = "tract"))]
            Tract => Err("built without the feature tract".into()),
        }
    }
}

fn version<A>(api: &Result<A, String>, of: impl Fn(&A) -> &String) -> Result<String, String> {
    api.as_ref()
        .map(|api| of(api).clone())
        .map_err(Clone::clone)
}

fn tract_version() -> Result<String, String> {
    if !cfg!(feature = "tract") {
        return Err("built without the feature tract".into());
    }
    locked("tract-onnx")
}

/// The version in the lock file, for crates without a constant that says it.
fn locked(package: &str) -> Result<String, String> {
    include_str!("../../../../../Cargo.lock")
        .split_once(&format!("name = \"{package}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map(|(version, _)| version.to_owned())
        .ok_or(format!("the lock file does not name {package}"))
}
