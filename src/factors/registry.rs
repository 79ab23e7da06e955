//! The factor sets that a configuration can name.

use serde::de::value::MapDeserializer;
use serde_json::{Map, Value};

use super::bank::{self, FactorBank};
use super::{FactorSet, Market, Test0000};
use crate::abi::LEVELS;

/// What the engine knows about a factor set.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name that the configuration uses.
    pub name: &'static str,
    /// The factors' names.
    pub factors: &'static [&'static str],
    /// Book levels that the set reads.
    pub levels: usize,
    /// The JSON Schema of each parameter, by its key.
    pub params_schema: fn() -> Map<String, Value>,
    prepare: fn(&Map<String, Value>) -> Result<Prepared, String>,
}

/// A set whose parameters have been read.
pub struct Prepared {
    /// Bytes of one instrument's state.
    pub state_bytes: usize,
    make: Box<dyn Fn(usize) -> Box<dyn FactorBank>>,
}

impl Prepared {
    /// Creates new states for `instruments` instruments.
    pub fn bank(&self, instruments: usize) -> Box<dyn FactorBank> {
        (self.make)(instruments)
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("state_bytes", &self.state_bytes)
            .finish_non_exhaustive()
    }
}

impl Entry {
    /// Reads the set's parameters.
    ///
    /// # Errors
    ///
    /// The key and what was expected.
    pub fn prepare(&self, params: &Map<String, Value>) -> Result<Prepared, String> {
        (self.prepare)(params)
    }
}

fn prepare<F: FactorSet<N>, const N: usize>(
    params: &Map<String, Value>,
) -> Result<Prepared, String> {
    let pairs = params.iter().map(|(key, value)| (key.as_str(), value));
    let reader: MapDeserializer<'_, _, serde_json::Error> = MapDeserializer::new(pairs);
    let params: F::Params = serde_path_to_error::deserialize(reader)
        .map_err(|error| format!("{}: {}", error.path(), error.inner()))?;
    Ok(Prepared {
        state_bytes: F::state_bytes(&params),
        make: Box::new(move |instruments| bank::bank::<F, N>(instruments, &params)),
    })
}

/// The factor sets that a configuration can name.
#[derive(Clone, Debug)]
pub struct Registry(Vec<Entry>);

impl Registry {
    /// The sets of this crate.
    pub fn builtin() -> Self {
        let mut registry = Self(Vec::new());
        registry.add::<Test0000, _>();
        registry.add::<Market, _>();
        registry
    }

    /// Adds a set, replacing one of the same name. `N` can be left to the compiler:
    /// `registry.add::<MySet, _>()`. A set without factors, or one that reads no levels or more
    /// than 10, does not compile.
    pub fn add<F: FactorSet<N>, const N: usize>(&mut self) {
        const {
            assert!(N > 0, "a factor set needs at least one factor");
            assert!(
                F::LEVELS >= 1 && F::LEVELS <= LEVELS,
                "a factor set reads 1 to 10 book levels"
            );
        }
        self.0.retain(|entry| entry.name != F::NAME);
        self.0.push(Entry {
            name: F::NAME,
            factors: const { &F::FACTORS },
            levels: F::LEVELS,
            params_schema: F::params_schema,
            prepare: prepare::<F, N>,
        });
    }

    /// The set with this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.0.iter().find(|entry| entry.name == name)
    }

    /// All sets.
    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.0.iter().map(|entry| entry.name)
    }
}

impl Default for Registry {
    fn default() -> Self {
        Self::builtin()
    }
}
