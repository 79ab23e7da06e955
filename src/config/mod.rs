//! The configuration: one struct, its defaults, and where it comes from.
//!
//! The host always passes `"{}"`, so a real configuration comes from the file
//! that `SIGNAL_CONFIG` names. Keys in the string given to `signal_create` win
//! over the file; `SIGNAL_CORES` wins over the file too, so that several
//! processes can share one.
//!
//! | file | what |
//! |---|---|
//! | `sections` | keys that have subkeys |
//! | `symbols` | how instruments are named |
//! | `scheduler` | how lanes are scheduled |
//! | `source` | files and the environment |
//! | `budget` | how long `signal_on_data` waits |
//! | `forms` | how values are written in JSON |
//! | `layer` | the keys of one source |
//! | `mistakes` | likely mistakes in a file |
//! | `origin` | which source a key came from, for errors |
//! | `notes` | what a valid configuration leaves out, to be said |
//! | `paths` | files that are read and files that are written |
//! | `size` | how large a configuration is |
//! | `schema.json` | the JSON Schema; a test in `schema` derives it from the types and compares |

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::abi::EventKind;
use crate::error::Error;
use crate::error::content::quoted;
use crate::messages::ModelId;
use crate::pipeline::plan::Wanted;
use crate::stages::{Assets, Naming, Rules};

mod budget;
mod forms;
mod layer;
mod mistakes;
mod notes;
mod origin;
mod paths;
mod scheduler;
#[cfg(test)]
mod schema;
mod sections;
mod size;
mod source;
mod symbols;

#[doc(hidden)]
pub use crate::os::files::{check_expanded, check_written};
pub use crate::os::threads::{Scheduler, Scheduling};
pub use crate::pipeline::idle::Idle;
pub use crate::pipeline::overload::{EgressOverload, IngestOverload, Overload, StageOverload};
pub use crate::pipeline::placement::Placement;
pub use crate::pipeline::rehearsal::Warm;
pub use crate::stages::{Callback, Limits, Stage, SymbolStyle};
pub use budget::DeliverBudget;
pub use forms::{FactorsEntry, ModelEntry};
pub use origin::Origin;
#[doc(hidden)]
pub use paths::{NamedFile, check_apart};
pub use sections::{Capture, Health, Instruments, Latency, Rings};
#[doc(hidden)]
pub use source::add_latency_dir;
pub use source::{ENV_CONFIG, ENV_CORES, ENV_LATENCY_DIR, MAX_FILE_BYTES};
pub use symbols::{InstrumentType, MappedSymbol, Symbols};

use forms::write_placement;
use layer::{Layer, parse};

/// Maximum number of instruments that a configuration can set.
pub const MAX_INSTRUMENTS: usize = 1_000_000;

/// From which of the host's calls callbacks are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Deliver {
    /// From `signal_poll_callbacks` alone.
    #[default]
    Poll,
    /// Also from `signal_on_data`, which waits up to `deliver_budget_us` for the
    /// signals of its event. What comes later is delivered by the next poll or
    /// the next `signal_on_data`.
    OnData,
}

/// Everything that can be configured.
///
/// ```
/// use signal::config::Config;
/// let config = Config::from_json(r#"{"factors": "market", "rings": {"egress": 64}}"#)?;
/// assert_eq!(config.factors[0].set, "market");
/// assert_eq!(config.rings.egress, 64);
/// assert_eq!(config.rings.ingest, Config::default().rings.ingest);
/// # Ok::<(), signal::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(default, deny_unknown_fields))]
pub struct Config {
    /// Factor sets: a name, an object with the set's name in `set` and its parameters, or
    /// a list of these. The sets' vectors are concatenated. Default `["test0000"]`.
    #[cfg_attr(test, schemars(with = "schema::OneOrMany<FactorsEntry>"))]
    pub factors: Vec<FactorsEntry>,
    /// Models: a name (`none` sends the factors themselves), the path of a file, an
    /// object, or a list of these. Each model runs on every factor vector. The key may
    /// also be called `model`. Default `["test0000"]`.
    #[cfg_attr(test, schemars(with = "schema::OneOrMany<ModelEntry>"))]
    pub models: Vec<ModelEntry>,
    /// How the values of several models reach the callback. Default `concatenated`.
    pub callback: Callback,
    /// Kinds of event that lead to a factor vector and a signal. Default `["depth"]`.
    #[cfg_attr(test, schemars(with = "schema::OneOrMany<EventKind>"))]
    pub trigger: Vec<EventKind>,
    /// Symbols to accept, in either spelling, or names from `symbols.map`. Events of other
    /// symbols are refused and counted. Default: accept all.
    #[cfg_attr(test, schemars(with = "schema::OneOrMany<String>"))]
    pub assets: Vec<String>,
    /// How instruments are named. Default `compact`.
    #[cfg_attr(test, schemars(with = "schema::Symbols"))]
    pub symbols: Symbols,
    /// Factors to leave out of the vector: the name of a factor (`spread` or
    /// `market.spread`) or of a set. Default: none.
    #[cfg_attr(test, schemars(with = "schema::OneOrMany<String>"))]
    pub disabled_factors: Vec<String>,
    /// Names of models to leave out. If none is left, the factors themselves are sent.
    /// Default: none.
    #[cfg_attr(test, schemars(with = "schema::OneOrMany<String>"))]
    pub disabled_models: Vec<String>,
    /// Which of the host's calls make callbacks. Default `poll`.
    pub deliver: Deliver,
    /// Where `deliver` is `on_data`: the longest time that `signal_on_data` waits for the
    /// signals of its event, us, 1 to 10,000, or `auto`: 50, which is enough for an event that
    /// finds all caches cold, and less while no signal comes within that. Default `auto`.
    #[cfg_attr(test, schemars(with = "schema::BudgetKey"))]
    pub deliver_budget_us: DeliverBudget,
    /// Where `deliver` is `on_data`: if the only lane has not begun an event for this long, us,
    /// 0 to 10,000, the host's thread does its work. 0 means never. Default 5.
    #[cfg_attr(test, schemars(range(max = 10_000)))]
    pub stand_in_us: u64,
    /// A signal that is older than this when it would be delivered is dropped and counted, us, 1 to
    /// 60,000,000, from the arrival of its event on. Default: none is too old.
    #[cfg_attr(test, schemars(range(min = 1, max = 60_000_000)))]
    pub max_age_us: Option<u64>,
    /// Which stages share a lane. Default `auto`.
    #[serde(serialize_with = "write_placement")]
    #[cfg_attr(test, schemars(with = "schema::PlacementKey"))]
    pub placement: Placement,
    /// Number of copies of the lanes for factor and model, 1 to 16. Each instrument is
    /// assigned to one of them by its number. Each shard has models of its own. Where
    /// `placement` is `auto`, there are no more than there are cores for. Default 1.
    #[cfg_attr(test, schemars(range(min = 1, max = 16)))]
    pub shards: usize,
    /// Cores for the lanes, one per lane, in their order. Default: chosen automatically.
    #[cfg_attr(test, schemars(inner(range(max = 1023))))]
    pub cores: Option<Vec<usize>>,
    /// What a lane does while it has nothing to do. Default `auto`.
    pub idle: Idle,
    /// Whether a lane that spins keeps itself warm while it has nothing to do: `auto` (every
    /// 100 us), `off`, or an interval, 10 to 1,000,000 us. Default `auto`.
    #[cfg_attr(test, schemars(with = "schema::WarmKey"))]
    pub warm: Warm,
    /// How the kernel schedules lanes: `other`, `fifo`, `rr` or `inherit` (as the thread that makes
    /// the handle), or an object with `policy` and `priority`, 1 to 99, which is 1 by default. The key
    /// may also be called `policy`. Default `other`.
    #[cfg_attr(test, schemars(with = "schema::SchedulerKey"))]
    pub scheduler: Scheduler,
    /// The nice value of lanes, -20 to 19, where `scheduler` is `other`. Default 0.
    #[cfg_attr(test, schemars(range(min = -20, max = 19)))]
    pub nice: i8,
    /// The slice of lanes, us, 100 to 100,000, where `scheduler` is `other`: for how long the kernel
    /// lets a lane run at once while others want its core. A shorter one than theirs brings a lane
    /// back earlier. Linux 6.12 or later. Default: what the kernel gives.
    #[cfg_attr(test, schemars(range(min = 100, max = 100_000)))]
    pub slice_us: Option<u32>,
    /// Sizes of the rings.
    pub rings: Rings,
    /// What happens to a message when its ring is full.
    pub overload: Overload,
    /// Limits of the instrument table.
    pub instruments: Instruments,
    /// The highest price and size that are accepted.
    pub limits: Limits,
    /// Whether hops are timed. Default true.
    pub timing: bool,
    /// Whether each signal has eight values in front of its own that say how long its event took, for
    /// strategies that look for them. Default false.
    pub timing_metadata: bool,
    /// What counts as a stall, as silence and as too many refused events.
    pub health: Health,
    /// The latency report.
    pub latency: Latency,
    /// The capture of events.
    pub capture: Capture,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            factors: vec![FactorsEntry {
                set: "test0000".into(),
                params: serde_json::Map::new(),
            }],
            models: vec![ModelEntry::builtin("test0000")],
            callback: Callback::Concatenated,
            trigger: vec![EventKind::Depth],
            assets: Vec::new(),
            symbols: Symbols::default(),
            disabled_factors: Vec::new(),
            disabled_models: Vec::new(),
            deliver: Deliver::Poll,
            deliver_budget_us: DeliverBudget::Auto,
            stand_in_us: 5,
            max_age_us: None,
            placement: Placement::Auto,
            shards: 1,
            cores: None,
            idle: Idle::Auto,
            warm: Warm::Auto,
            scheduler: Scheduler::Other,
            nice: 0,
            slice_us: None,
            rings: Rings::default(),
            overload: Overload::default(),
            instruments: Instruments::default(),
            limits: Limits::default(),
            timing: true,
            timing_metadata: false,
            health: Health::default(),
            latency: Latency::default(),
            capture: Capture::default(),
        }
    }
}

impl Config {
    /// Reads a configuration from JSON text. The environment is ignored; relative paths are
    /// relative to the process's folder.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the key's path, line, column and what was
    /// expected.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let mut config = Self::default();
        let forms::Object(layer) = parse::<forms::Object<Layer>>("JSON text", text)?;
        layer.apply(&mut config, Path::new(""));
        config.check()?;
        Ok(config)
    }

    /// Reads a configuration from a file. The environment is ignored; relative paths are relative
    /// to the file.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the file, the key's path, line, column and what
    /// was expected.
    pub fn from_file(path: &Path) -> Result<Self, Error> {
        let mut config = Self::default();
        let source = path.display().to_string();
        config.apply_file(path, &source)?;
        config.check().map_err(|error| error.with_source(&source))?;
        config.check_paths(&[paths::configuration(path)])?;
        Ok(config)
    }

    /// The lanes and cores that it asks for.
    #[doc(hidden)]
    pub fn wanted(&self) -> Wanted<'_> {
        Wanted {
            placement: &self.placement,
            shards: self.shards,
            cores: self.cores.as_deref(),
            idle: self.idle,
            may_run_inline: self.deliver == Deliver::OnData,
        }
    }

    /// Checks the values as far as possible without knowing the factor sets and models.
    fn check(&self) -> Result<(), Error> {
        fn some<T>(key: &str, list: &[T], what: &str) -> Result<(), Error> {
            match list.is_empty() {
                true => Err(Error::Config(format!(
                    "{key} is empty; expected at least one {what}"
                ))),
                false => Ok(()),
            }
        }
        fn once<'a>(
            key: &str,
            names: impl Iterator<Item = &'a str>,
            expected: &str,
        ) -> Result<(), Error> {
            let mut seen = std::collections::HashSet::new();
            for name in names {
                if !seen.insert(name) {
                    return Err(Error::Config(format!(
                        "{key} names {} twice; expected {expected}",
                        quoted(name)
                    )));
                }
            }
            Ok(())
        }
        some("factors", &self.factors, "factor set")?;
        some("models", &self.models, "model (none sends the factors)")?;
        some("trigger", &self.trigger, "kind of event")?;
        let sets = self.factors.iter().map(|entry| entry.set.as_str());
        once("factors", sets, "each factor set once")?;
        let models = self.models.iter().map(|entry| entry.name.as_str());
        once("models", models, "a name of its own for each (key name)")?;
        if let Some(core) = repeated(self.cores.as_deref().unwrap_or_default()) {
            return Err(Error::Config(format!(
                "cores names core {core} twice; expected a core of its own for each lane, or no \
                 cores, so that lanes share where there are too few"
            )));
        }
        if self.models.len() > ModelId::MAX {
            return Err(Error::Config(format!(
                "models has {} entries; expected at most {}",
                self.models.len(),
                ModelId::MAX
            )));
        }
        self.placement
            .check_shards(self.shards)
            .map_err(Error::Config)?;
        if self.placement == Placement::Inline && self.overload.egress == EgressOverload::Block {
            return Err(Error::Config(
                "overload.egress: block cannot be used with placement inline, where the thread that \
                 would wait is the one that makes room; expected conflate or drop-newest"
                    .into(),
            ));
        }
        self.check_timing()?;
        self.check_scheduling()?;
        self.rules().map(drop)
    }

    fn check_timing(&self) -> Result<(), Error> {
        let timed = [
            ("timing_metadata", self.timing_metadata),
            ("max_age_us", self.max_age_us.is_some()),
        ];
        match timed.iter().find(|(_, is_set)| *is_set && !self.timing) {
            Some((key, _)) => Err(Error::Config(format!(
                "{key} cannot be used with timing false, where no time is taken; expected timing true, or no {key}"
            ))),
            None => Ok(()),
        }
    }

    fn check_scheduling(&self) -> Result<(), Error> {
        let nice = (self.nice != 0).then_some(("nice", i64::from(self.nice)));
        let slice = self.slice_us.map(|us| ("slice_us", i64::from(us)));
        match nice.or(slice) {
            Some((key, value)) if self.scheduler != Scheduler::Other => {
                Err(Error::Config(format!(
                    "{key}: {value} cannot be used with scheduler {}, whose threads it does not concern; \
                     expected scheduler other, or no {key}",
                    self.scheduler.name()
                )))
            }
            _ => Ok(()),
        }
    }

    /// How lanes are scheduled.
    #[doc(hidden)]
    pub fn scheduling(&self) -> Scheduling {
        Scheduling {
            scheduler: self.scheduler,
            nice: self.nice,
            slice_us: self.slice_us,
        }
    }

    /// How instruments are named.
    fn naming(&self) -> Result<Naming, Error> {
        self.symbols.naming()
    }

    /// Which events ingest accepts, and how it names instruments.
    pub(crate) fn rules(&self) -> Result<Rules, Error> {
        Ok(Rules {
            assets: self.assets()?,
            limits: self.limits,
            naming: self.naming()?,
        })
    }

    /// The symbols of `assets`.
    fn assets(&self) -> Result<Assets, Error> {
        Assets::new(&self.assets).map_err(|symbol| {
            Error::Config(format!(
                "assets names {}; expected a symbol such as btc_usdt or BTCUSDT, \
                 at most 32 bytes of UTF-8 without spaces and control characters",
                quoted(&symbol)
            ))
        })
    }
}

/// The first core that appears twice in a list.
fn repeated(cores: &[usize]) -> Option<usize> {
    let mut places = cores.iter().enumerate();
    let (_, core) = places.find(|(place, core)| cores[..*place].contains(core))?;
    Some(*core)
}

/// The JSON Schema (draft 2020-12) of a configuration file, for editors and other tools. It says
/// which files are valid. Only the engine can say whether a factor set, a model file or a core
/// exists.
pub fn schema() -> serde_json::Value {
    serde_json::from_str(include_str!("schema.json")).expect("it is JSON: a test reads it")
}

#[cfg(test)]
mod tests;
