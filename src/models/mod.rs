//! Models: code that maps a factor vector to outputs.
//!
//! | file | model |
//! |---|---|
//! | `test0000` | a constant, for wiring tests |
//! | `none` | the factors themselves |
//! | `linear` | a weighted sum, from JSON |
//! | `forest` | what the tree formats share |
//! | `lightgbm` | trees, from LightGBM's text |
//! | `xgboost` | trees, from XGBoost's JSON |
//! | `onnx` | networks and classical models, from ONNX |
//! | `load` | loads a model from a file: kind, limits, the check file |
//! | `parsed` | a model, and what its file leaves open |
//! | `iterations` | how many iterations of an ensemble run |
//! | `check` | reference vectors in a file beside the model |
//! | `room` | the memory that reading takes, asked for first |

mod check;
mod forest;
mod iterations;
mod lightgbm;
mod linear;
mod load;
mod none;
mod onnx;
mod parsed;
mod room;
mod test0000;
mod xgboost;

pub use check::Check;
pub use iterations::Iterations;
pub use lightgbm::LightGbm;
pub use linear::Linear;
pub use load::{Kind, MAX_FILE_BYTES, MAX_JSON_BYTES, load};
pub(crate) use load::{Wanted, load_copies};
pub use none::NoModel;
pub use onnx::Onnx;
pub use test0000::Test0000;
pub use xgboost::XgBoost;

/// A model. It runs on one lane and may keep state, but must not allocate, lock, log or wait in
/// [`run`](Self::run). With several shards there is one model per shard, which sees only the factor
/// vectors of its shard's instruments.
pub trait Model: Send {
    /// Length of the factor vector that it takes.
    fn inputs(&self) -> usize;

    /// Names of the inputs in their order; empty if the model does not know them.
    fn input_names(&self) -> &[String] {
        &[]
    }

    /// Names of the values that it writes.
    fn outputs(&self) -> &[String];

    /// Maps `factors` ([`inputs`](Self::inputs) values) to `out`
    /// (one value for each of [`outputs`](Self::outputs)).
    ///
    /// # Panics
    ///
    /// May panic if a slice has another length.
    fn run(&mut self, factors: &[f64], out: &mut [f64]);

    /// Forgets all earlier runs. A model that keeps state must implement this: before the first
    /// event, the engine warms every model by running it on zeros, and on the rows of its check
    /// file, and then resets it.
    fn reset(&mut self) {}
}

/// What is wrong with a model file, in a sentence that names the place in it and what was expected.
/// It does not contain the file's path: [`load`] adds that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ModelError(pub String);

impl ModelError {
    /// An error with this sentence.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

/// Maximum number of features of a model: as many as the engine can have factors.
const MAX_FEATURES: usize = 1 << 16;

/// Creates a model for a factor vector with these names.
pub type Make = fn(&[&str]) -> Box<dyn Model>;

/// The models that a configuration can name without a file.
#[derive(Clone, Debug)]
pub struct Registry(Vec<(&'static str, Make)>);

impl Registry {
    /// The models of this crate.
    pub fn builtin() -> Self {
        let mut registry = Self(Vec::new());
        registry.add("test0000", |factors| Box::new(Test0000::new(factors.len())));
        registry.add("none", |factors| Box::new(NoModel::new(factors)));
        registry
    }

    /// Adds a model, replacing one of the same name.
    pub fn add(&mut self, name: &'static str, make: Make) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, make));
    }

    /// The function that creates the model of this name.
    pub fn get(&self, name: &str) -> Option<Make> {
        self.0
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, make)| *make)
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|(name, _)| *name)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::builtin()
    }
}
