//! How values are written in JSON: one or many, placements, factor sets and
//! models.

use std::path::{Path, PathBuf};

use serde::de::{self, Deserializer};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

pub(super) use crate::error::object::Object;
use crate::factors::Ranged;
use crate::models::Iterations;
use crate::os::files::check_written;
use crate::os::machine::MAX_CORES;
use crate::pipeline::placement::Placement;
use crate::stages::Stage;

pub(super) type CoreNumber = Ranged<0, { MAX_CORES as u64 - 1 }>;
pub(super) type RingSize = Ranged<2, { 1 << 20 }>;

/// One value, or a list of them.
#[derive(Debug, PartialEq)]
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = OneOrMany<T>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name, an object, or a list of them")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Self::Value, E> {
                T::deserialize(de::value::StrDeserializer::new(name))
                    .map(|one| OneOrMany(vec![one]))
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(|one| OneOrMany(vec![one]))
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(one) = seq.next_element()? {
                    all.push(one);
                }
                Ok(OneOrMany(all))
            }
        }
        deserializer.deserialize_any(Visitor(std::marker::PhantomData))
    }
}

/// A path, or none. An empty path is refused: it would mean the folder that relative paths start
/// from.
pub(super) fn place<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<PathBuf>, D::Error> {
    match Option::<PathBuf>::deserialize(deserializer)? {
        Some(path) if path.as_os_str().is_empty() => Err(de::Error::custom(
            "it is empty; expected a path, or null for none",
        )),
        Some(path) => expanded(path).map(Some),
        None => Ok(None),
    }
}

/// A path as it is shown: of one that is no UTF-8, which JSON cannot have, as much as is.
pub(super) fn write_place<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let shown = path.as_deref().map(Path::to_string_lossy);
    shown.serialize(serializer)
}

/// A path that is written as it is meant: without `~`, quotes or blanks around it.
fn expanded<E: de::Error>(path: PathBuf) -> Result<PathBuf, E> {
    match check_written(&path) {
        Ok(()) => Ok(path),
        Err(what) => Err(E::custom(what)),
    }
}

/// A factor set with its parameters.
///
/// In JSON its name, or an object with the key `set` and the parameters:
/// `{"set": "market", "window": 50}`.
#[derive(Clone, Debug, PartialEq)]
pub struct FactorsEntry {
    /// The set's name.
    pub set: String,
    /// Its parameters; what is absent has its default.
    pub params: Map<String, Value>,
}

impl Serialize for FactorsEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.params.is_empty() {
            return self.set.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("set", &self.set)?;
        for (key, value) in &self.params {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for FactorsEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = FactorsEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the name of a factor set, or an object with its name in set")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<FactorsEntry, E> {
                Ok(FactorsEntry {
                    set: name.to_owned(),
                    params: Map::new(),
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<FactorsEntry, A::Error> {
                let (mut set, mut params) = (None, Map::new());
                while let Some(key) = map.next_key::<String>()? {
                    let again = match key.as_str() {
                        "set" => set.replace(map.next_value()?).is_some(),
                        _ => params.insert(key.clone(), map.next_value()?).is_some(),
                    };
                    if again {
                        return Err(de::Error::custom(format!("duplicate key `{key}`")));
                    }
                }
                let set = set.ok_or_else(|| de::Error::missing_field("set"))?;
                Ok(FactorsEntry { set, params })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A model: one that needs no file, or one that is read from a file.
///
/// In JSON a name (`"none"`), a file's path (it has a `/` or a `.`:
/// `"model.onnx"`), or an object with the keys below.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelEntry {
    /// What reports and signals call it. Default: the file's name without its
    /// extension, or the kind.
    pub name: String,
    /// `linear`, `lightgbm`, `xgboost` or `onnx` with a file (default: told from
    /// its content); without one `test0000` or `none`.
    pub kind: Option<String>,
    /// The file, relative to the configuration file that names it.
    pub file: Option<PathBuf>,
    /// Which of an ONNX model's outputs to send. Default: all.
    pub outputs: Vec<String>,
    /// Whether a model that knows its inputs' names must find the factors under
    /// these names, in this order. Default true.
    pub check_names: bool,
    /// How many iterations of an ensemble run. Default: as many as the class that
    /// saved the file predicts with.
    pub iterations: Iterations,
}

impl ModelEntry {
    /// The model of this kind that needs no file.
    pub fn builtin(kind: &str) -> Self {
        Self {
            name: kind.to_owned(),
            kind: Some(kind.to_owned()),
            file: None,
            outputs: Vec::new(),
            check_names: true,
            iterations: Iterations::Saved,
        }
    }

    /// A model from a file; its content tells the kind.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            name: stem(&path),
            kind: None,
            file: Some(path),
            outputs: Vec::new(),
            check_names: true,
            iterations: Iterations::Saved,
        }
    }

    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        self.file = self.file.map(|file| folder.join(file));
        self
    }
}

/// Characters that tell a model file's path from a model's name.
const FILE_MARKS: [char; 2] = ['/', '.'];

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    stem.to_string_lossy().into_owned()
}

impl Serialize for ModelEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // A name with one of these would be read back as a file.
        if *self == Self::builtin(&self.name) && !self.name.contains(FILE_MARKS) {
            return self.name.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        if let Some(kind) = &self.kind {
            map.serialize_entry("kind", kind)?;
        }
        if let Some(file) = &self.file {
            map.serialize_entry("file", &file.to_string_lossy())?;
        }
        if !self.outputs.is_empty() {
            map.serialize_entry("outputs", &self.outputs)?;
        }
        if !self.check_names {
            map.serialize_entry("check_names", &self.check_names)?;
        }
        if self.iterations != Iterations::Saved {
            map.serialize_entry("iterations", &self.iterations)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for ModelEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Object {
            name: Option<String>,
            kind: Option<String>,
            #[serde(default, deserialize_with = "place")]
            file: Option<PathBuf>,
            #[serde(default)]
            outputs: Vec<String>,
            check_names: Option<bool>,
            #[serde(default)]
            iterations: Iterations,
        }
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = ModelEntry;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(
                    "the name of a model, a model file's path, or an object with file or kind",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ModelEntry, E> {
                Ok(if text.contains(FILE_MARKS) {
                    ModelEntry::file(expanded::<E>(text.into())?)
                } else {
                    ModelEntry::builtin(text)
                })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<ModelEntry, A::Error> {
                let object = Object::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let default = match (&object.file, &object.kind) {
                    (Some(file), _) => stem(file),
                    (None, Some(kind)) => kind.clone(),
                    (None, None) => {
                        return Err(de::Error::custom("expected the key file or the key kind"));
                    }
                };
                Ok(ModelEntry {
                    name: object.name.unwrap_or(default),
                    kind: object.kind,
                    file: object.file,
                    outputs: object.outputs,
                    check_names: object.check_names.unwrap_or(true),
                    iterations: object.iterations,
                })
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

/// A number above 0.
pub(super) fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    struct Visitor;
    impl de::Visitor<'_> for Visitor {
        type Value = f64;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a number above 0")
        }

        fn visit_f64<E: de::Error>(self, value: f64) -> Result<f64, E> {
            match value > 0.0 && value.is_finite() {
                true => Ok(value),
                false => Err(E::invalid_value(de::Unexpected::Float(value), &self)),
            }
        }

        fn visit_u64<E: de::Error>(self, value: u64) -> Result<f64, E> {
            self.visit_f64(value as f64)
        }

        fn visit_i64<E: de::Error>(self, value: i64) -> Result<f64, E> {
            self.visit_f64(value as f64)
        }
    }
    deserializer.deserialize_any(Visitor).map(Some)
}

#[derive(Debug, PartialEq)]
pub(super) struct PlacementKey(pub(super) Placement);

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

pub(super) fn write_placement<S: Serializer>(
    placement: &Placement,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match placement {
        Placement::Lanes(lanes) => lanes.serialize(serializer),
        named => named.to_string().serialize(serializer),
    }
}
