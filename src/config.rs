//! The configuration: one struct, its defaults, and where it comes from.
//!
//! The host always passes `"{}"`, so a real configuration comes from the file
//! that `SIGNAL_CONFIG` names. Keys in the string given to `signal_create` win
//! over the file; `SIGNAL_CORES` wins over the file too, so that several
//! processes can share one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::de::{self, DeserializeOwned, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::error::Error;
use crate::pipeline::cores::{MAX_CORES, parse_list};
use crate::pipeline::idle::Idle;
use crate::pipeline::placement::{Placement, Stage};

/// Names the configuration file.
pub const ENV_CONFIG: &str = "SIGNAL_CONFIG";
/// The lanes' cores, as a list: `2,3` or `2-3`.
pub const ENV_CORES: &str = "SIGNAL_CORES";
/// A folder in which each handle makes a folder for its latency report.
pub const ENV_LATENCY_DIR: &str = "SIGNAL_LATENCY_DIR";

/// Everything that can be configured.
///
/// ```
/// use signal::config::Config;
/// let config = Config::from_json(r#"{"model": "none", "rings": {"egress": 64}}"#)?;
/// assert_eq!(config.model, "none");
/// assert_eq!(config.rings.egress, 64);
/// assert_eq!(config.rings.ingest, Config::default().rings.ingest);
/// # Ok::<(), signal::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Config {
    /// Factor sets, their vectors one after the other. Default `["test0000"]`.
    pub factors: Vec<String>,
    /// The model, or `none` to send the factors themselves. Default `test0000`.
    pub model: String,
    /// Which stages share a lane. Default `auto`.
    #[serde(serialize_with = "write_placement")]
    pub placement: Placement,
    /// Cores for the lanes, one each in their order. Default: chosen.
    pub cores: Option<Vec<usize>>,
    /// What a lane does when it has nothing to do. Default `auto`.
    pub idle: Idle,
    /// Sizes of the rings.
    pub rings: Rings,
    /// Bounds of the instrument table.
    pub instruments: Instruments,
    /// Whether hops are timed. Default true.
    pub timing: bool,
    /// The latency report.
    pub latency: Latency,
}

/// Ring sizes in messages, 2 to 1,048,576 each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Rings {
    /// From the host to ingest. Full: the newest event is dropped and counted.
    /// Default 4,096.
    pub ingest: usize,
    /// Between two lanes. Full: the sending lane waits. Default 1,024.
    pub stage: usize,
    /// From egress to the host. Full: the newest signal is dropped and counted.
    /// Default 4,096.
    pub egress: usize,
}

/// Bounds of the instrument table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Instruments {
    /// Most instruments, 1 to 1,000,000. Events of further ones are refused and
    /// counted. Default 1,024.
    pub max: usize,
}

/// The latency report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// The folder that gets it when the engine ends. Default: no report.
    pub dir: Option<PathBuf>,
    /// Length of the log's intervals, ms, 10 to 3,600,000. Default 1,000.
    pub interval_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            factors: vec!["test0000".into()],
            model: "test0000".into(),
            placement: Placement::Auto,
            cores: None,
            idle: Idle::Auto,
            rings: Rings {
                ingest: 4096,
                stage: 1024,
                egress: 4096,
            },
            instruments: Instruments { max: 1024 },
            timing: true,
            latency: Latency {
                dir: None,
                interval_ms: 1000,
            },
        }
    }
}

impl Config {
    /// Reads a configuration from JSON text. No environment is looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the key's path, line, column and what was
    /// expected.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let mut config = Self::default();
        config.apply(parse("JSON text", text)?, Path::new(""))?;
        config.check()?;
        Ok(config)
    }

    /// The configuration of a host that passes `text` (`None` for a null
    /// pointer), with the environment's additions. The second value says
    /// whether anything but defaults was given.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] with the source, the key's path, line, column and what
    /// was expected.
    pub fn for_host(text: Option<&str>) -> Result<(Self, bool), Error> {
        let mut config = Self::default();
        let path = env_path(ENV_CONFIG);
        if let Some(path) = &path {
            let source = format!("{ENV_CONFIG} file {}", path.display());
            let json = fs::read_to_string(path)
                .map_err(|error| Error::Config(format!("{source}: cannot read it: {error}")))?;
            let folder = path.parent().unwrap_or(Path::new(""));
            config.apply(parse(&source, &json)?, folder)?;
        }
        if let Some(list) = std::env::var_os(ENV_CORES) {
            config.cores = Some(parse_cores(&list.to_string_lossy())?);
        }
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let layer: Layer = parse("the string given to signal_create", text.unwrap_or("{}"))?;
        let given = path.is_some() || layer != Layer::default();
        config.apply(layer, Path::new(""))?;
        config.check()?;
        Ok((config, given))
    }

    fn apply(&mut self, layer: Layer, folder: &Path) -> Result<(), Error> {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut self.factors, layer.factors.map(|OneOrMany(all)| all));
        set(&mut self.model, layer.model);
        set(
            &mut self.placement,
            layer.placement.map(|PlacementKey(p)| p),
        );
        if let Some(cores) = layer.cores {
            self.cores = Some(cores.into_iter().map(Ranged::size).collect());
        }
        set(&mut self.idle, layer.idle);
        set(&mut self.timing, layer.timing);
        let rings = layer.rings.unwrap_or_default();
        set(&mut self.rings.ingest, rings.ingest.map(Ranged::size));
        set(&mut self.rings.stage, rings.stage.map(Ranged::size));
        set(&mut self.rings.egress, rings.egress.map(Ranged::size));
        let instruments = layer.instruments.unwrap_or_default();
        set(&mut self.instruments.max, instruments.max.map(Ranged::size));
        let latency = layer.latency.unwrap_or_default();
        set(
            &mut self.latency.interval_ms,
            latency.interval_ms.map(|Ranged(value)| value),
        );
        if let Some(dir) = latency.dir {
            self.latency.dir = Some(folder.join(dir));
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if self.factors.is_empty() {
            return Err(Error::Config(
                "factors is empty; expected at least one factor set".into(),
            ));
        }
        for (index, name) in self.factors.iter().enumerate() {
            if self.factors[..index].contains(name) {
                return Err(Error::Config(format!(
                    "factors names {name:?} twice; expected each factor set once"
                )));
            }
        }
        Ok(())
    }
}

/// Without a folder in the configuration, `SIGNAL_LATENCY_DIR` gives one: a new
/// folder in it for each handle, so that processes do not overwrite each other.
pub(crate) fn add_latency_dir(config: &mut Config) {
    static HANDLES: AtomicU64 = AtomicU64::new(0);
    let (None, Some(parent)) = (&config.latency.dir, env_path(ENV_LATENCY_DIR)) else {
        return;
    };
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let handle = HANDLES.fetch_add(1, Ordering::Relaxed);
    let name = format!(
        "{}-{}-{handle}",
        since_epoch.as_millis(),
        std::process::id()
    );
    config.latency.dir = Some(parent.join(name));
}

fn parse_cores(list: &str) -> Result<Vec<usize>, Error> {
    parse_list(list)
        .filter(|cores| !cores.is_empty())
        .ok_or_else(|| {
            Error::Config(format!(
                "{ENV_CORES} is {list:?}; expected a list of cores below {MAX_CORES} such as 2,3 or 2-3"
            ))
        })
}

fn env_path(name: &str) -> Option<PathBuf> {
    std::env::var_os(name)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

fn parse<T: DeserializeOwned>(source: &str, json: &str) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let key = if path == "." { "top level" } else { &path };
        Error::Config(format!("{source}: {key}: {}", error.inner()))
    })?;
    reader
        .end()
        .map_err(|error| Error::Config(format!("{source}: {error}")))?;
    Ok(value)
}

/// One source's keys; what is absent is left as it was.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layer {
    factors: Option<OneOrMany>,
    model: Option<String>,
    placement: Option<PlacementKey>,
    cores: Option<Vec<CoreNumber>>,
    idle: Option<Idle>,
    rings: Option<RingsLayer>,
    instruments: Option<InstrumentsLayer>,
    timing: Option<bool>,
    latency: Option<LatencyLayer>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct RingsLayer {
    ingest: Option<RingSize>,
    stage: Option<RingSize>,
    egress: Option<RingSize>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct InstrumentsLayer {
    max: Option<Ranged<1, 1_000_000>>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencyLayer {
    dir: Option<PathBuf>,
    interval_ms: Option<Ranged<10, 3_600_000>>,
}

/// A whole number within bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Ranged<const LOW: u64, const HIGH: u64>(u64);

type CoreNumber = Ranged<0, { MAX_CORES as u64 - 1 }>;
type RingSize = Ranged<2, { 1 << 20 }>;

impl<const LOW: u64, const HIGH: u64> Ranged<LOW, HIGH> {
    fn size(self) -> usize {
        self.0 as usize
    }
}

impl<'de, const LOW: u64, const HIGH: u64> Deserialize<'de> for Ranged<LOW, HIGH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<const LOW: u64, const HIGH: u64>;
        impl<const LOW: u64, const HIGH: u64> de::Visitor<'_> for Visitor<LOW, HIGH> {
            type Value = Ranged<LOW, HIGH>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "a whole number from {LOW} to {HIGH}")
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                if (LOW..=HIGH).contains(&value) {
                    Ok(Ranged(value))
                } else {
                    Err(E::invalid_value(de::Unexpected::Unsigned(value), &self))
                }
            }
        }
        // Not `deserialize_u64`: a negative number should get the same message.
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Debug, PartialEq)]
struct OneOrMany(Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a factor set or a list of names")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![name.to_owned()]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut names: A) -> Result<OneOrMany, A::Error> {
                let mut all = Vec::new();
                while let Some(name) = names.next_element()? {
                    all.push(name);
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[derive(Debug, PartialEq)]
struct PlacementKey(Placement);

impl<'de> Deserialize<'de> for PlacementKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        const NAMES: &[&str] = &["auto", "inline", "fused", "split"];
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = PlacementKey;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("auto, inline, fused, split or a list of lanes, each a list of stages")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<PlacementKey, E> {
                Ok(PlacementKey(match name {
                    "auto" => Placement::Auto,
                    "inline" => Placement::Inline,
                    "fused" => Placement::Fused,
                    "split" => Placement::Split,
                    other => return Err(E::unknown_variant(other, NAMES)),
                }))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(
                self,
                mut lanes: A,
            ) -> Result<PlacementKey, A::Error> {
                let mut all: Vec<Vec<Stage>> = Vec::new();
                while let Some(lane) = lanes.next_element()? {
                    all.push(lane);
                }
                Ok(PlacementKey(Placement::Lanes(all)))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

fn write_placement<S: Serializer>(placement: &Placement, serializer: S) -> Result<S::Ok, S::Error> {
    match placement {
        Placement::Lanes(lanes) => lanes.serialize(serializer),
        named => named.to_string().serialize(serializer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(json: &str) -> String {
        Config::from_json(json).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_read() {
        let config = Config::from_json(
            r#"{"factors": "a", "model": "none", "placement": [["ingest","factor"],["model"]],
                "cores": [1, 2], "idle": "yield", "timing": false,
                "rings": {"ingest": 8, "stage": 4, "egress": 2}, "instruments": {"max": 9}}"#,
        )
        .unwrap();
        assert_eq!(config.factors, ["a"]);
        assert_eq!(config.placement.to_string(), "ingest+factor | model");
        assert_eq!(config.cores, Some(vec![1, 2]));
        assert_eq!(config.rings.stage, 4);
        assert_eq!(config.instruments.max, 9);
        assert!(!config.timing);
        let written = serde_json::to_string(&config).unwrap();
        assert_eq!(Config::from_json(&written).unwrap(), config);
    }

    #[test]
    fn lists_of_cores_are_read_strictly() {
        assert_eq!(parse_cores("2, 4-5").unwrap(), [2, 4, 5]);
        for wrong in [
            "", "x", "2,x", "2-", "9999", "5-4", "3,5-4", "0,1-2-3", "2,,3",
        ] {
            assert!(parse_cores(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn errors_name_path_line_and_what_was_expected() {
        let unknown = refusal("{\n  \"rings\": {\"size\": 4}\n}");
        assert!(unknown.contains("rings.size"), "{unknown}");
        assert!(unknown.contains("line 2"), "{unknown}");
        assert!(unknown.contains("expected one of"), "{unknown}");
        let kind = refusal("{\"rings\": {\"egress\": \"x\"}}");
        assert!(
            kind.contains("rings.egress") && kind.contains("a whole number"),
            "{kind}"
        );
        assert!(refusal("{\"placement\": \"best\"}").contains("expected one of `auto`"));
        assert!(refusal("{\"placement\": [[\"egres\"]]}").contains("expected one of `ingest`"));
        assert!(refusal("{\"rings\": {\"egress\": 1}}").contains("rings.egress: invalid value: integer `1`, expected a whole number from 2 to 1048576 at line 1"));
        assert!(refusal("{\"cores\": [1024]}").contains("a whole number from 0 to 1023"));
        assert!(refusal("{\"cores\": [-1]}").contains("cores[0]"));
        assert!(refusal("{} x").contains("line 1"));
        assert!(refusal("7").contains("top level"));
        assert!(refusal("{\"factors\": [\"a\", \"a\"]}").contains("twice"));
        assert!(refusal("{\"factors\": []}").contains("at least one"));
    }
}
