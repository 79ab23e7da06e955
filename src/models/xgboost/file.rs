//! The JSON's shape: the keys that matter; others are passed over.

use std::str::FromStr;

use serde::Deserialize;

use crate::models::{MAX_FEATURES, ModelError};

#[derive(Deserialize)]
pub(super) struct File {
    pub(super) learner: Learner,
}

#[derive(Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    pub(super) gradient_booster: Booster,
    pub(super) learner_model_param: Param,
    pub(super) objective: Objective,
}

#[derive(Deserialize)]
pub(super) struct Objective {
    pub(super) name: String,
}

/// XGBoost writes these numbers as strings.
#[derive(Deserialize)]
pub(super) struct Param {
    base_score: String,
    #[serde(default = "zero")]
    num_class: String,
    num_feature: String,
    #[serde(default = "one")]
    num_target: String,
}

fn zero() -> String {
    "0".into()
}

fn one() -> String {
    "1".into()
}

impl Param {
    /// Refuses models of several outputs.
    pub(super) fn one_output(&self) -> Result<(), ModelError> {
        for (name, value) in [
            ("num_class", &self.num_class),
            ("num_target", &self.num_target),
        ] {
            let count: u64 = number(name, value)?;
            if count > 1 {
                return Err(ModelError(format!(
                    "{name} is {count}; models of several outputs are not supported"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn features(&self) -> Result<usize, ModelError> {
        let count = number("num_feature", &self.num_feature)?;
        if !(1..=MAX_FEATURES).contains(&count) {
            return Err(ModelError(format!(
                "num_feature is {count}; expected 1 to {MAX_FEATURES}"
            )));
        }
        Ok(count)
    }

    /// One number; since version 3.1 a list of one.
    pub(super) fn base(&self) -> Result<f32, ModelError> {
        let list = self.base_score.trim_ascii();
        let text = list
            .strip_prefix('[')
            .and_then(|list| list.strip_suffix(']'))
            .unwrap_or(list);
        let base: f32 = number("base_score", text)?;
        if !base.is_finite() {
            return Err(wrong("base_score", text));
        }
        Ok(base)
    }
}

pub(super) fn number<T: FromStr>(name: &str, text: &str) -> Result<T, ModelError> {
    text.trim_ascii().parse().map_err(|_| wrong(name, text))
}

fn wrong(name: &str, text: &str) -> ModelError {
    let part: String = text.chars().take(40).collect();
    ModelError(format!("{name} is {part:?}; expected a number"))
}

/// What kind of booster it is; an internally tagged enum would hold the trees in
/// an untyped form first.
#[derive(Deserialize)]
pub(super) struct Booster {
    pub(super) name: String,
    /// Of a `gbtree`.
    pub(super) model: Option<Model>,
    /// Of a `dart`.
    pub(super) gbtree: Option<Trees>,
    pub(super) weight_drop: Option<Vec<f32>>,
}

impl Booster {
    /// The trees, and what a `dart` multiplies each one's leaves with.
    pub(super) fn open(self) -> Result<(Model, Option<Vec<f32>>), ModelError> {
        let absent = |key: &str| ModelError(format!("learner.gradient_booster: {key} is missing"));
        match self.name.as_str() {
            "gbtree" => match self.model {
                Some(model) if model.trees.is_some() => Ok((model, None)),
                _ => Err(absent("model.trees")),
            },
            "dart" => {
                let trees = self.gbtree.map(|gbtree| gbtree.model);
                let trees = trees.filter(|model| model.trees.is_some());
                let trees = trees.ok_or_else(|| absent("gbtree.model.trees"))?;
                let weights = self.weight_drop.ok_or_else(|| absent("weight_drop"))?;
                if weights.len() != trees.trees().len() {
                    return Err(ModelError(format!(
                        "weight_drop has {} entries; expected {}, one for each tree",
                        weights.len(),
                        trees.trees().len()
                    )));
                }
                Ok((trees, Some(weights)))
            }
            name => {
                let part: String = name.chars().take(40).collect();
                Err(ModelError(format!(
                    "learner.gradient_booster.name: {part:?} is not supported; \
                     expected gbtree or dart"
                )))
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Trees {
    pub(super) model: Model,
}

#[derive(Deserialize)]
pub(super) struct Model {
    /// A linear booster has none; its name says more than their absence.
    trees: Option<Vec<Nodes>>,
    /// The output that each tree is for.
    #[serde(default)]
    pub(super) tree_info: Vec<i64>,
}

impl Model {
    pub(super) fn trees(&self) -> &[Nodes] {
        self.trees.as_deref().unwrap_or_default()
    }
}

/// A tree's nodes: entry `i` of each list belongs to node `i`.
#[derive(Deserialize)]
pub(super) struct Nodes {
    /// -1 for a leaf.
    pub(super) left_children: Vec<i32>,
    pub(super) right_children: Vec<i32>,
    pub(super) split_indices: Vec<u32>,
    /// Thresholds; a leaf's value.
    pub(super) split_conditions: Vec<f32>,
    pub(super) default_left: Vec<Flag>,
    /// 1 for a categorical split.
    #[serde(default)]
    pub(super) split_type: Vec<u8>,
    pub(super) tree_param: TreeParam,
}

#[derive(Deserialize)]
pub(super) struct TreeParam {
    #[serde(default = "one")]
    pub(super) size_leaf_vector: String,
    #[serde(default = "zero")]
    pub(super) num_deleted: String,
}

/// `true` in old files, 1 in new ones.
#[derive(Clone, Copy)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: serde::Deserializer<'de>>(reader: D) -> Result<Self, D::Error> {
        struct Visit;

        impl serde::de::Visitor<'_> for Visit {
            type Value = Flag;

            fn expecting(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
                to.write_str("0, 1, true or false")
            }

            fn visit_bool<E>(self, flag: bool) -> Result<Flag, E> {
                Ok(Flag(flag))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Flag, E> {
                match number {
                    0 | 1 => Ok(Flag(number == 1)),
                    _ => Err(E::invalid_value(
                        serde::de::Unexpected::Unsigned(number),
                        &self,
                    )),
                }
            }
        }

        reader.deserialize_any(Visit)
    }
}
