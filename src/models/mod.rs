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
//! | `timed` | a model with timing metadata in front of its values |
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
mod timed;
mod xgboost;

use std::io;

use crate::messages::InstrumentId;

pub use check::Check;
pub use iterations::Iterations;
pub use lightgbm::LightGbm;
pub use linear::Linear;
pub use load::{Kind, MAX_FILE_BYTES, MAX_JSON_BYTES, load};
pub(crate) use load::{Wanted, besides, load_copies};
pub use none::NoModel;
pub use onnx::Onnx;
pub use test0000::Test0000;
pub(crate) use timed::{Timed, with_times};
pub use xgboost::XgBoost;

/// A model. It runs on one thread at a time, its lane or, where that is away, the host's thread: it
/// must keep nothing in thread-local storage. It may keep state, but must not allocate, lock, log or
/// wait in [`run`](Self::run). With several shards there is one model per shard, which sees only the factor
/// vectors of its shard's instruments.
///
/// A model without state, the sum of its factors:
///
/// ```
/// use signal::InstrumentId;
/// use signal::models::Model;
///
/// struct Sum { inputs: usize, outputs: [String; 1] }
///
/// impl Model for Sum {
///     fn inputs(&self) -> usize {
///         self.inputs
///     }
///     fn outputs(&self) -> &[String] {
///         &self.outputs
///     }
///     fn keeps_state(&self) -> bool {
///         false
///     }
///     fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
///         out[0] = factors.iter().sum();
///     }
/// }
///
/// let mut registry = signal::Registry::default();
/// registry.models.add("sum", |factors| {
///     Box::new(Sum { inputs: factors.len(), outputs: ["sum".to_owned()] })
/// });
/// ```
pub trait Model: Send {
    /// Length of the factor vector that it takes.
    fn inputs(&self) -> usize;

    /// Names of the inputs in their order; empty if the model does not know them.
    fn input_names(&self) -> &[String] {
        &[]
    }

    /// Names of the values that it writes.
    fn outputs(&self) -> &[String];

    /// Whether the outputs depend on earlier runs. The engine may run a model without state at any
    /// time, on any vector, to keep it warm. The instrument is then [`InstrumentId::SHADOW`], which
    /// is not an index. If the model panics there, it is [reset](Self::reset), goes on with real
    /// vectors, and is not kept warm any more. If the reset panics too, it is in quarantine.
    fn keeps_state(&self) -> bool;

    /// Bytes of state per instrument.
    fn state_bytes(&self) -> usize {
        0
    }

    /// Makes room for the state of `instruments` instruments, numbered from 0, and forgets all
    /// earlier runs. The engine calls it before the first run. All memory of the state is allocated
    /// here.
    fn reserve(&mut self, instruments: usize) {
        let _ = instruments;
    }

    /// Prefetches what a run touches, with [`factors::prefetch`](crate::factors::prefetch()). A lane
    /// that has nothing to do calls this now and then for a model that it does not run to keep it
    /// warm: one that keeps state, and all if factors or models take more than 1 us. An event that
    /// comes meanwhile waits for it. The models of this crate prefetch up to 16 KiB.
    fn prefetch(&self) {}

    /// Maps `factors` of `instrument` ([`inputs`](Self::inputs) values) to `out` (one value for each
    /// of [`outputs`](Self::outputs)).
    ///
    /// # Panics
    ///
    /// May panic if a slice has another length, or if there is no [room](Self::reserve) for the
    /// instrument.
    fn run(&mut self, instrument: InstrumentId, factors: &[f64], out: &mut [f64]);

    /// Forgets all earlier runs. A model that keeps state must implement this: before the first
    /// event, the engine warms every model by running it on zeros, and on the rows of its check
    /// file, and then resets it.
    fn reset(&mut self) {}

    /// Saves the instrument's state, so that [`load`](Self::load) can restore it in another process
    /// on the same kind of processor.
    ///
    /// # Errors
    ///
    /// What `to` returns; [`io::ErrorKind::Unsupported`] if the model has no state or cannot save it.
    fn save(&self, instrument: InstrumentId, to: &mut dyn io::Write) -> io::Result<()> {
        let _ = (instrument, to);
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Replaces the instrument's state by one that [`save`](Self::save) wrote.
    ///
    /// # Errors
    ///
    /// What `from` returns; [`io::ErrorKind::InvalidData`] for values that a saved state never has;
    /// [`io::ErrorKind::Unsupported`] if the model has no state or cannot save it. After an error
    /// the state is unspecified and must not be used.
    fn load(&mut self, instrument: InstrumentId, from: &mut dyn io::Read) -> io::Result<()> {
        let _ = (instrument, from);
        Err(io::ErrorKind::Unsupported.into())
    }
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

    /// As [`new`](Self::new), for what no library writes.
    pub(crate) fn unwritten(what: impl Into<String>) -> Self {
        Self(format!(
            "{}; the file may be damaged or edited: save the model again",
            what.into()
        ))
    }
}

/// Most lines that a model prefetches, 16 KiB. An event that comes meanwhile waits for them, up to
/// 2 us if all are in memory: a core gets about a dozen in its 90 ns. A large model has far more.
const MOST_PREFETCHED: usize = 256;

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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::sync::prefetch;

    #[test]
    fn each_kind_of_model_file_prefetches_what_a_run_reads() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/models");
        for (file, least) in [
            ("move.json", 15 * 24 / 64),
            ("move.onnx", (15 * 32 + 32 * 16 + 16 * 8) * 4 / 64),
            ("move.txt", 16),
            ("move.xgb.json", 16),
        ] {
            let model = load(&folder.join(file), None, &[]).unwrap();
            let lines = prefetch::counted(|| model.prefetch());
            assert!(
                (least..=MOST_PREFETCHED).contains(&lines),
                "{file}: {lines}"
            );
        }
    }
}
