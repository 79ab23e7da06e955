//! The factor sets that a configuration can name.

use std::borrow::Cow;

use serde::de::value::MapDeserializer;
use serde_json::{Map, Value};

use super::bank::{self, FactorBank};
use super::{FactorSet, Market, Test0000};
use crate::abi::LEVELS;
use crate::error::content::shortened;
use crate::error::json;

/// What the engine knows about a factor set.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The name that the configuration uses.
    pub name: &'static str,
    /// The factors' names; empty if they depend on the parameters.
    pub factors: &'static [&'static str],
    /// The JSON Schema of each parameter, by its key.
    pub params_schema: fn() -> Map<String, Value>,
    prepare: fn(&Map<String, Value>) -> Result<Prepared, String>,
}

/// A set whose parameters have been read.
pub struct Prepared {
    factors: Vec<Cow<'static, str>>,
    levels: usize,
    state_bytes: usize,
    make: Box<dyn Fn(usize) -> Box<dyn FactorBank>>,
}

impl Prepared {
    /// A set whose factors are known only now, such as one that reads their definitions from a
    /// file. `levels` is the number of book levels that it reads, `state_bytes` the memory of one
    /// instrument's state. `make` creates the states for a number of instruments, and the
    /// [shadow](FactorBank::shadow); their width is the number of `factors`.
    ///
    /// # Panics
    ///
    /// If there is no factor, or if `levels` is not 1 to 10.
    pub fn new(
        factors: Vec<String>,
        levels: usize,
        state_bytes: usize,
        make: impl Fn(usize) -> Box<dyn FactorBank> + 'static,
    ) -> Self {
        assert!(
            !factors.is_empty(),
            "a factor set needs at least one factor"
        );
        assert!(
            (1..=LEVELS).contains(&levels),
            "a factor set reads 1 to 10 book levels"
        );
        Self {
            factors: factors.into_iter().map(Cow::Owned).collect(),
            levels,
            state_bytes,
            make: Box::new(make),
        }
    }

    /// The factors' names, in the order in which the set writes them.
    pub fn factors(&self) -> impl Iterator<Item = &str> {
        self.factors.iter().map(|factor| &**factor)
    }

    /// Book levels that the set reads, 1 to 10.
    pub fn levels(&self) -> usize {
        self.levels
    }

    /// Bytes of one instrument's state.
    pub fn state_bytes(&self) -> usize {
        self.state_bytes
    }

    /// Creates new states for `instruments` instruments.
    pub fn bank(&self, instruments: usize) -> Box<dyn FactorBank> {
        (self.make)(instruments)
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Prepared")
            .field("factors", &self.factors)
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
    let params: F::Params = serde_path_to_error::deserialize(reader).map_err(|error| {
        format!(
            "{}: {}",
            shortened(&error.path().to_string()),
            json::worded(&error.inner().to_string())
        )
    })?;
    Ok(Prepared {
        factors: F::FACTORS.map(Cow::Borrowed).into(),
        levels: F::LEVELS,
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
            params_schema: F::params_schema,
            prepare: prepare::<F, N>,
        });
    }

    /// Adds a set whose factors depend on its parameters, replacing one of the same name. `prepare`
    /// gets the set's object from the configuration. Its error is a sentence that begins with the
    /// key.
    ///
    /// ```
    /// use signal::factors::{Prepared, Registry};
    ///
    /// let mut registry = Registry::builtin();
    /// registry.add_dynamic("listed", Default::default, |params| {
    ///     let Some(names) = params.get("names").and_then(|names| names.as_array()) else {
    ///         return Err("names: expected a list of names".into());
    ///     };
    ///     let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    ///     let states = |instruments| todo!("states for {instruments} instruments");
    ///     Ok(Prepared::new(names, 1, 64, states))
    /// });
    /// let listed = registry.get("listed").unwrap();
    /// let params = serde_json::json!({"names": [1, 2]});
    /// let prepared = listed.prepare(params.as_object().unwrap())?;
    /// assert_eq!(prepared.factors().collect::<Vec<_>>(), ["1", "2"]);
    /// # Ok::<(), String>(())
    /// ```
    pub fn add_dynamic(
        &mut self,
        name: &'static str,
        params_schema: fn() -> Map<String, Value>,
        prepare: fn(&Map<String, Value>) -> Result<Prepared, String>,
    ) {
        self.0.retain(|entry| entry.name != name);
        self.0.push(Entry {
            name,
            factors: &[],
            params_schema,
            prepare,
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
