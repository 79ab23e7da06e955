//! The blueprint: what a configuration asks for, checked, before anything runs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::Registry;
use super::start::boxed;
use crate::config::{Config, ModelEntry, NamedFile};
use crate::error::content::{quoted, shortened};
use crate::error::{Error, suggestion};
use crate::factors::{Entry, FactorBank, Prepared};
use crate::messages::Names;
use crate::models::{self, Iterations, Kind, Model, Wanted};
use crate::pipeline::build::{Stages, Widths};
use crate::pipeline::overload::EgressOverload;
use crate::stages::{Callback, Egress, Factor, Ingest, ModelStage, Rules, Shards, Triggers};
use selection::{Disabled, configured};

mod selection;
mod sizes;
mod timing;

/// A configuration's factor sets and models: found, read, matched with each other and within
/// bounds. There is no thread, ring or clock yet.
///
/// ```
/// use signal::{Config, Registry, engine::Blueprint};
/// let config = Config::from_json(r#"{"factors": "market", "model": "none"}"#)?;
/// let blueprint = Blueprint::new(&config, &Registry::default())?;
/// assert_eq!(blueprint.factors()[0], "spread");
/// assert_eq!(blueprint.models()[0].outputs.len(), 15);
/// # Ok::<(), signal::Error>(())
/// ```
pub struct Blueprint {
    config: Config,
    sets: Vec<(Entry, Prepared)>,
    factors: Vec<String>,
    selection: Option<Vec<usize>>,
    /// The models of each shard, in the order of the shards.
    models: Vec<Vec<Box<dyn Model>>>,
    infos: Vec<ModelInfo>,
    /// Files that were read in addition to those that the configuration names.
    besides: Vec<NamedFile>,
}

/// What is known of a model, by its index among the configured ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelInfo {
    /// The configured name.
    pub name: String,
    /// `test0000`, `none`, or the kind of its file.
    pub kind: String,
    /// Names of the values that it writes.
    pub outputs: Vec<String>,
    /// What was chosen where the file leaves a choice, such as the number of iterations to
    /// run.
    pub note: Option<String>,
    /// Whether the order of its inputs could not be checked, because its file does not name
    /// them.
    pub unnamed: bool,
}

impl Blueprint {
    /// Reads the model files and checks everything that does not depend on this machine's
    /// cores.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the key and what was expected. If there is not enough memory to
    /// read a model file, it also says how much is needed.
    pub fn new(config: &Config, registry: &Registry) -> Result<Self, Error> {
        Self::boxed(config, registry).map(|blueprint| *blueprint)
    }

    /// As [`Blueprint::new`], without taking the caller's stack for it.
    pub(super) fn boxed(config: &Config, registry: &Registry) -> Result<Box<Self>, Error> {
        let shards = config.shards;
        config
            .placement
            .check_shards(shards)
            .map_err(Error::Config)?;
        let configured = configured(config, registry)?;
        let disabled = Disabled::new(config, registry, &configured)?;
        let sets = disabled.sets(configured)?;
        let (factors, selection) = disabled.select(&sets)?;
        let mut models: Vec<Vec<_>> = (0..shards).map(|_| Vec::new()).collect();
        let mut infos = Vec::new();
        let mut besides = Vec::new();
        for entry in &disabled.models(config) {
            let made = model_copies(entry, registry, &factors, shards)?;
            let numbers = made.besides.into_iter();
            besides.extend(numbers.map(|file| NamedFile::besides(&entry.name, file)));
            for (place, (copy, of_shard)) in made.copies.into_iter().zip(&mut models).enumerate() {
                check_inputs(entry, copy.as_ref(), &factors, &sets, registry)?;
                if place == 0 {
                    infos.push(ModelInfo {
                        name: entry.name.clone(),
                        kind: made.kind.clone(),
                        outputs: copy.outputs().to_vec(),
                        note: made.note.clone(),
                        unnamed: entry.file.is_some()
                            && entry.check_names
                            && copy.input_names().is_empty(),
                    });
                }
                of_shard.push(copy);
            }
        }
        let mut blueprint = boxed(|| Self {
            config: config.clone(),
            sets,
            factors,
            selection,
            models,
            infos,
            besides,
        });
        blueprint.name_times()?;
        blueprint.check_sizes()?;
        Ok(blueprint)
    }

    /// The configuration of this blueprint.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Names of the factor sets, in their order.
    pub fn sets(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.sets.iter().map(|(entry, _)| entry.name)
    }

    /// Names of the factors, in the order in which models get them; `set.factor` if there are
    /// several sets.
    pub fn factors(&self) -> &[String] {
        &self.factors
    }

    /// The models, in their order.
    pub fn models(&self) -> &[ModelInfo] {
        &self.infos
    }

    /// Book levels that ingest passes on.
    pub fn levels(&self) -> usize {
        let levels = self.sets.iter().map(|(_, set)| set.levels());
        levels.max().unwrap_or(1)
    }

    /// Most values of a callback.
    pub fn widest_signal(&self) -> usize {
        let widths = self.infos.iter().map(|info| info.outputs.len());
        match self.config.callback {
            Callback::Concatenated => widths.sum(),
            Callback::PerModel => widths.max().unwrap_or(0),
        }
    }

    /// Files that were read in addition to those that the configuration names.
    pub(super) fn besides(&self) -> &[NamedFile] {
        &self.besides
    }

    /// Number of callbacks per factor vector.
    pub(super) fn callbacks(&self) -> usize {
        match self.config.callback {
            Callback::Concatenated => 1,
            Callback::PerModel => self.infos.len(),
        }
    }

    /// Makes the stages of at most as many shards as are configured, for which it gives its models
    /// away. Allocates all of their memory here.
    #[inline(never)]
    pub(super) fn stages(
        &mut self,
        names: Arc<Names>,
        rules: Rules,
        shards: usize,
    ) -> Result<Box<Stages>, Error> {
        let config = &self.config;
        let (levels, outputs) = (self.levels(), self.widest_signal());
        let instruments = config.instruments.max;
        let callbacks = self.callbacks();
        let (timing, places) = (self.timing(), self.places());
        let (selection, triggers) = (places.as_deref(), Triggers::new(&config.trigger));
        let pairs = Ingest::pairs(instruments);
        let factor = (0..shards).map(|shard| {
            let (shards, names) = (Shards::new(shards), names.clone());
            let share = shards.share(instruments);
            let banks = self.sets.iter().map(|set| bank(set, share));
            let mut banks = banks.collect::<Result<Vec<_>, Error>>()?;
            if let Some(timing) = &timing {
                banks = timing.around(banks, share);
            }
            let stage = match shards.count() {
                1 => Factor::new(banks, selection, triggers, names, pairs),
                _ => {
                    let place = (shards, shard);
                    Factor::of_shard(place, banks, selection, triggers, names, pairs)
                }
            };
            Ok(match &timing {
                None => stage,
                Some(_) => stage.with_arrival(),
            })
        });
        let factor = factor.collect::<Result<_, Error>>()?;
        self.models.truncate(shards);
        for model in self.models.iter_mut().flatten() {
            model.reserve(instruments);
        }
        let models = std::mem::take(&mut self.models).into_iter();
        let models = models.map(|all| match &timing {
            None => all,
            Some(timing) => all.into_iter().map(|model| timing.before(model)).collect(),
        });
        let names_of_models = self.infos.iter().map(|info| info.name.clone()).collect();
        let factors = self.vector_width();
        Ok(boxed(|| Stages {
            ingest: Some(Ingest::new(levels, names.clone(), rules)),
            capture: None,
            factor,
            models: models.flat_map(|all| shares(all, config)).collect(),
            egress: Some(match config.overload.egress {
                EgressOverload::Conflate => Egress::conflating(instruments, callbacks, outputs),
                EgressOverload::DropNewest | EgressOverload::Block => Egress::default(),
            }),
            names,
            model_names: names_of_models,
            widths: Widths {
                pairs,
                levels,
                factors,
                outputs,
            },
        }))
    }
}

/// The set's states. A set that is not a Rust type of fixed width must keep what it promised.
fn bank(
    (entry, set): &(Entry, Prepared),
    instruments: usize,
) -> Result<Box<dyn FactorBank>, Error> {
    let bank = set.bank(instruments);
    let factors = set.factors().count();
    if bank.width() != factors {
        return Err(Error::Config(format!(
            "factors: set {} writes {} values for {factors} factors; expected one for each",
            entry.name,
            bank.width()
        )));
    }
    if bank.shadow().index() != instruments {
        return Err(Error::Config(format!(
            "factors: set {}: FactorBank::shadow is {} for {instruments} instruments; expected \
             {instruments}, the number after theirs",
            entry.name,
            bank.shadow().index()
        )));
    }
    Ok(bank)
}

/// The model stage of each lane that has one. The models are divided as evenly as possible,
/// in their order.
fn shares(models: Vec<Box<dyn Model>>, config: &Config) -> Vec<ModelStage> {
    let (lanes, total) = (config.placement.model_lanes(), models.len());
    let mut models = models.into_iter();
    (0..lanes)
        .map(|lane| {
            let (first, end) = (lane * total / lanes, (lane + 1) * total / lanes);
            let share = models.by_ref().take(end - first).collect();
            ModelStage::numbered_from(first, share, config.callback)
        })
        .collect()
}

impl fmt::Display for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets: Vec<_> = self.sets().collect();
        let named = |info: &ModelInfo| match &info.note {
            None => shortened(&info.name),
            Some(note) => format!("{}({note})", shortened(&info.name)),
        };
        let models: Vec<_> = self.infos.iter().map(named).collect();
        write!(f, "factors={} model={}", sets.join("+"), models.join("+"))
    }
}

impl fmt::Debug for Blueprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blueprint")
            .field("factors", &self.factors)
            .field("models", &self.infos)
            .finish_non_exhaustive()
    }
}

/// A model, in as many copies as needed.
struct Made {
    kind: String,
    copies: Vec<Box<dyn Model>>,
    note: Option<String>,
    besides: Vec<PathBuf>,
}

/// Makes `copies` copies of the model.
fn model_copies(
    entry: &ModelEntry,
    registry: &Registry,
    factors: &[String],
    copies: usize,
) -> Result<Made, Error> {
    let name = shortened(&entry.name);
    let wrong = |what: String| Error::Config(format!("models: {name}: {what}"));
    if let Some(file) = &entry.file {
        let kind = entry.kind.as_deref().map(|kind| {
            Kind::ALL
                .into_iter()
                .find(|known| known.name() == kind)
                .ok_or_else(|| {
                    let known: Vec<_> = Kind::ALL.iter().map(|known| known.name()).collect();
                    wrong(format!(
                        "there is no kind of model file {}{}; expected one of {}",
                        quoted(kind),
                        suggestion(kind, known.iter().copied()),
                        known.join(", ")
                    ))
                })
        });
        let wanted = Wanted {
            kind: kind.transpose()?,
            outputs: &entry.outputs,
            iterations: entry.iterations,
        };
        let loaded =
            models::load_copies(file, wanted, copies).map_err(|error| wrong(error.to_string()))?;
        return Ok(Made {
            kind: loaded.kind.name().to_owned(),
            copies: loaded.models,
            note: loaded.note,
            besides: loaded.besides,
        });
    }
    let kind = entry.kind.as_deref().unwrap_or(&entry.name);
    if !entry.outputs.is_empty() {
        return Err(wrong(format!(
            "model {} has no outputs to choose from; leave outputs out",
            shortened(kind)
        )));
    }
    if entry.iterations != Iterations::Saved {
        return Err(wrong(format!(
            "model {} has no iterations; leave iterations out",
            shortened(kind)
        )));
    }
    let make = registry.models.get(kind).ok_or_else(|| {
        let known: Vec<_> = registry.models.names().collect();
        wrong(format!(
            "there is no model {}{}; expected one of {} or the path of a model file",
            quoted(kind),
            suggestion(kind, known.iter().copied()),
            known.join(", ")
        ))
    })?;
    let names: Vec<&str> = factors.iter().map(String::as_str).collect();
    Ok(Made {
        kind: kind.to_owned(),
        copies: (0..copies).map(|_| make(&names)).collect(),
        note: None,
        besides: Vec::new(),
    })
}

/// Checks that the model takes exactly these factors.
fn check_inputs(
    entry: &ModelEntry,
    model: &dyn Model,
    factors: &[String],
    sets: &[(Entry, Prepared)],
    registry: &Registry,
) -> Result<(), Error> {
    let name = shortened(&entry.name);
    let inputs = model.inputs();
    if inputs != factors.len() {
        let sets: Vec<_> = sets.iter().map(|(set, _)| set.name).collect();
        return Err(Error::Config(format!(
            "models: {name} takes {inputs} factors, but {} gives {}; expected the factor sets that \
             it was trained on in `factors`{}",
            sets.join("+"),
            factors.len(),
            fitting(model, registry)
        )));
    }
    if !entry.check_names {
        return Ok(());
    }
    for (place, (theirs, ours)) in model.input_names().iter().zip(factors).enumerate() {
        let plain = ours.rsplit('.').next().unwrap_or(ours);
        if theirs != ours && theirs != plain {
            return Err(Error::Config(format!(
                "models: {name}: input {place} is {} in the model, but factor {place} is {ours:?}; \
                 expected the factors' names in their order (\"check_names\": false accepts any)",
                quoted(theirs)
            )));
        }
    }
    Ok(())
}

/// A factor set that has what the model takes, or nothing if none has.
fn fitting(model: &dyn Model, registry: &Registry) -> String {
    let (inputs, names) = (model.inputs(), model.input_names());
    let is_named = |(theirs, ours): (&String, &&str)| theirs.rsplit('.').next() == Some(*ours);
    let fits =
        |set: &&Entry| set.factors.len() == inputs && names.iter().zip(set.factors).all(is_named);
    registry
        .factors
        .iter()
        .find(fits)
        .map_or_else(String::new, |set| {
            format!(", such as {:?}, which has {inputs}", set.name)
        })
}
