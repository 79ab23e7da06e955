//! Models: code that maps a factor vector to outputs.
//!
//! | file | model |
//! |---|---|
//! | `test0000` | a constant, for wiring tests |
//! | `none` | the factors themselves |

mod none;
mod test0000;

pub use none::NoModel;
pub use test0000::Test0000;

/// A model. It runs on one lane and may keep state, but not allocate, lock,
/// log or wait in [`run`](Self::run).
pub trait Model: Send {
    /// Length of the factor vector that it takes.
    fn inputs(&self) -> usize;
    /// Number of values that it writes.
    fn outputs(&self) -> usize;
    /// Maps `factors` ([`inputs`](Self::inputs) values) to `out`
    /// ([`outputs`](Self::outputs) values).
    fn run(&mut self, factors: &[f64], out: &mut [f64]);
}

/// Makes a model for a factor vector with these names.
pub type Make = fn(&[&'static str]) -> Box<dyn Model>;

/// The models that a configuration can name.
#[derive(Clone, Debug)]
pub struct Registry(Vec<(&'static str, Make)>);

impl Registry {
    /// The models of this crate.
    pub fn builtin() -> Self {
        let mut registry = Self(Vec::new());
        registry.add("test0000", |factors| Box::new(Test0000::new(factors.len())));
        registry.add("none", |factors| Box::new(NoModel::new(factors.len())));
        registry
    }

    /// Adds a model, in place of one of the same name.
    pub fn add(&mut self, name: &'static str, make: Make) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, make));
    }

    /// The maker of the model of that name.
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
