//! Which of a configuration's factor sets, factors and models are used.

use std::collections::BTreeSet;

use crate::config::{Config, ModelEntry};
use crate::engine::Registry;
use crate::error::content::{legible, quoted};
use crate::error::{Error, suggestion};
use crate::factors::{Entry, Prepared};

/// What the legacy keys `disabled_factors` and `disabled_models` exclude.
pub(super) struct Disabled<'a> {
    factors: &'a [String],
    models: &'a [String],
}

impl<'a> Disabled<'a> {
    /// An unknown name is an error: what it was meant to disable would stay enabled. A name
    /// that is known but not configured is accepted, because it is not in use anyway.
    pub(super) fn new(
        config: &'a Config,
        registry: &Registry,
        configured: &[(Entry, Prepared)],
    ) -> Result<Self, Error> {
        let known: Vec<(&str, Vec<&str>)> = registry
            .factors
            .iter()
            .map(|set| (set.name, set.factors.to_vec()))
            .chain(
                configured
                    .iter()
                    .map(|(set, prepared)| (set.name, prepared.factors().collect())),
            )
            .collect();
        for name in &config.disabled_factors {
            let is_known = known.iter().any(|(set, factors)| {
                let factor = name.strip_prefix(set).and_then(|f| f.strip_prefix('.'));
                name == set || factors.contains(&factor.unwrap_or(name))
            });
            if !is_known {
                let named = known
                    .iter()
                    .flat_map(|(set, factors)| factors.iter().chain([set]));
                let meant = suggestion(name, named.copied());
                return Err(Error::Config(format!(
                    "disabled_factors names {}{meant}; expected a factor set, a factor, \
                     or set.factor",
                    quoted(name)
                )));
            }
        }
        for name in &config.disabled_models {
            let configured = config.models.iter().any(|entry| entry.name == *name);
            if !configured && registry.models.get(name).is_none() {
                let configured = config.models.iter().map(|entry| entry.name.as_str());
                let mut named: Vec<&str> = configured.collect();
                for name in registry.models.names() {
                    named.push(name);
                }
                let meant = suggestion(name, named);
                return Err(Error::Config(format!(
                    "disabled_models names {}{meant}; expected the name of a model",
                    quoted(name)
                )));
            }
        }
        Ok(Self {
            factors: &config.disabled_factors,
            models: &config.disabled_models,
        })
    }

    /// The sets that are left.
    pub(super) fn sets(
        &self,
        mut configured: Vec<(Entry, Prepared)>,
    ) -> Result<Vec<(Entry, Prepared)>, Error> {
        configured.retain(|(set, _)| !self.factors.iter().any(|name| name == set.name));
        if configured.is_empty() {
            return Err(Error::Config(
                "disabled_factors leaves no factor set; expected at least one to stay".into(),
            ));
        }
        Ok(configured)
    }

    fn factor(&self, set: &str, factor: &str) -> bool {
        self.factors.iter().any(|name| {
            name == factor
                || name
                    .strip_prefix(set)
                    .and_then(|rest| rest.strip_prefix('.'))
                    == Some(factor)
        })
    }

    /// The names of the factors that are left, and their places if some are disabled.
    pub(super) fn select(
        &self,
        sets: &[(Entry, Prepared)],
    ) -> Result<(Vec<String>, Option<Vec<usize>>), Error> {
        let all = sets
            .iter()
            .flat_map(|(set, prepared)| prepared.factors().map(|factor| (set.name, factor)));
        let mut names = Vec::new();
        let mut places = Vec::new();
        let mut total = 0;
        for (place, (set, factor)) in all.enumerate() {
            total += 1;
            if !self.factor(set, factor) {
                places.push(place);
                names.push(if sets.len() == 1 {
                    factor.to_owned()
                } else {
                    format!("{set}.{factor}")
                });
            }
        }
        if names.is_empty() {
            return Err(Error::Config(
                "disabled_factors leaves no factor; expected at least one to stay".into(),
            ));
        }
        Ok((names, (places.len() != total).then_some(places)))
    }

    /// The models that are left; if none is, the factors themselves are sent.
    pub(super) fn models(&self, config: &Config) -> Vec<ModelEntry> {
        let stays = |entry: &&ModelEntry| !self.models.contains(&entry.name);
        let models: Vec<_> = config.models.iter().filter(stays).cloned().collect();
        if models.is_empty() {
            return vec![ModelEntry::builtin("none")];
        }
        models
    }
}

/// The configured factor sets with their parameters, in their order.
pub(super) fn configured(
    config: &Config,
    registry: &Registry,
) -> Result<Vec<(Entry, Prepared)>, Error> {
    let mut sets = Vec::new();
    for (index, entry) in config.factors.iter().enumerate() {
        let set = registry.factors.get(&entry.set).ok_or_else(|| {
            let known: Vec<_> = registry.factors.names().collect();
            Error::Config(format!(
                "factors[{index}]: there is no factor set {}{}; expected one of {}",
                quoted(&entry.set),
                suggestion(&entry.set, known.iter().copied()),
                known.join(", ")
            ))
        })?;
        let prepared = set
            .prepare(&entry.params)
            .map_err(|error| Error::Config(format!("factors[{index}].{}", legible(&error))))?;
        let mut named = BTreeSet::new();
        if let Some(twice) = prepared.factors().find(|factor| !named.insert(*factor)) {
            return Err(Error::Config(format!(
                "factors[{index}]: set {} has two factors {}; expected a name of its own for each",
                set.name,
                quoted(twice)
            )));
        }
        sets.push((*set, prepared));
    }
    Ok(sets)
}
