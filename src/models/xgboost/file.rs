//! The structure of the JSON: the keys that matter, and those known not to matter in the versions up
//! to [`NEWEST`]. Any other key is refused, because a later XGBoost may use it in predictions.

use std::str::FromStr;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::iterations::Attributes;
use super::unread::{self, Numbers, Scalar, Text};
use crate::error::object::Object;
use crate::models::{MAX_FEATURES, ModelError};

/// A key by whose presence alone a file is refused.
type Refused = Option<IgnoredAny>;

/// The newest version (major, minor) whose files were compared with its own library.
pub(super) const NEWEST: (u64, u64) = (3, 4);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    // Boxed, as reading by value takes the host's stack at each level.
    pub(super) learner: Box<Object<Learner>>,
    version: Vec<u64>,
}

impl File {
    /// Says why only a check file can tell whether this version has the same meaning as the known
    /// ones.
    pub(super) fn doubt(&self) -> Result<Option<String>, ModelError> {
        let &[major, minor, _] = self.version.as_slice() else {
            return Err(ModelError(format!(
                "version has {} numbers; expected three",
                self.version.len()
            )));
        };
        if major == 0 {
            return Err(ModelError::new(
                "version is 0; expected XGBoost 1.0 or later",
            ));
        }
        let (newest, latest) = NEWEST;
        Ok(((major, minor) > NEWEST).then(|| {
            format!(
                "it was saved by XGBoost {major}.{minor}; this library knows versions up to \
                 {newest}.{latest}"
            )
        }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Learner {
    /// Arbitrary content, from users and from callbacks.
    #[serde(default)]
    pub(super) attributes: Object<Attributes>,
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    #[serde(rename = "feature_types")]
    _feature_types: Option<Vec<String>>,
    pub(super) gradient_booster: Box<Object<Booster>>,
    pub(super) learner_model_param: Object<Param>,
    pub(super) objective: Object<Objective>,
}

/// The name, and training parameters. No parameter of the accepted objectives affects a prediction.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Objective {
    pub(super) name: String,
    #[serde(rename = "aft_loss_param")]
    _aft: Option<Object<unread::Aft>>,
    #[serde(rename = "expectile_loss_param")]
    _expectile: Option<Object<unread::Expectile>>,
    #[serde(rename = "lambda_rank_param")]
    _old_rank: Option<Object<unread::OldRank>>,
    #[serde(rename = "lambdarank_param")]
    _rank: Option<Object<unread::Rank>>,
    #[serde(rename = "poisson_regression_param")]
    _poisson: Option<Object<unread::Poisson>>,
    #[serde(rename = "pseudo_huber_param")]
    _huber: Option<Object<unread::Huber>>,
    #[serde(rename = "quantile_loss_param")]
    _quantile: Option<Object<unread::Quantile>>,
    #[serde(rename = "reg_loss_param")]
    _regression: Option<Object<unread::Regression>>,
    #[serde(rename = "softmax_multiclass_param")]
    _softmax: Option<Object<unread::Softmax>>,
    #[serde(rename = "tweedie_regression_param")]
    _tweedie: Option<Object<unread::Tweedie>>,
}

/// XGBoost writes these numbers as strings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Param {
    base_score: String,
    /// The file contains the base score, whatever its origin.
    #[serde(rename = "boost_from_average")]
    _boost_from_average: Option<Text>,
    #[serde(default = "zero")]
    num_class: String,
    num_feature: String,
    #[serde(default = "one")]
    num_target: String,
}

pub(super) fn several(name: &str, count: u64) -> ModelError {
    ModelError(format!(
        "{name} is {count}; models of several outputs are not supported: train one model for each \
         output"
    ))
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
                return Err(several(name, count));
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

    /// One number; a list of one since version 3.1.
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

/// A factor for each tree's leaves, if trees were dropped in training.
type Weights = Option<Vec<f32>>;

/// The kind of booster. Not an internally tagged enum, because that would first hold the trees in
/// an untyped form.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Booster {
    name: String,
    /// For a `gbtree`.
    model: Option<Box<Object<Model>>>,
    /// For a `dart`, up to version 3.2.
    gbtree: Option<Box<Object<Trees>>>,
    /// The factors by which each tree's leaves are multiplied. Up to version 3.3 they are here,
    /// also for a `gbtree`; from 3.4 on they are within the model.
    weight_drop: Weights,
}

impl Booster {
    /// The trees, and the factor for each tree's leaves if trees were dropped in training.
    pub(super) fn open(self) -> Result<(Box<Object<Model>>, Weights), ModelError> {
        let absent = |key: &str| ModelError(format!("learner.gradient_booster: {key} is missing"));
        let unexpected = |key: &str| {
            ModelError(format!(
                "learner.gradient_booster: it has {key}, which a {} has not",
                self.name
            ))
        };
        let (mut model, dart) = match self.name.as_str() {
            "gbtree" if self.gbtree.is_some() => return Err(unexpected("gbtree")),
            "dart" if self.model.is_some() => return Err(unexpected("model")),
            "gbtree" => (self.model.ok_or_else(|| absent("model.trees"))?, false),
            "dart" => {
                let gbtree = self.gbtree.ok_or_else(|| absent("gbtree.model.trees"))?;
                (gbtree.0.open()?, true)
            }
            name => {
                let part: String = name.chars().take(40).collect();
                return Err(ModelError(format!(
                    "learner.gradient_booster.name: {part:?} is not supported; \
                     expected gbtree or dart"
                )));
            }
        };
        if model.boosted_rounds.is_some() || model.weights.is_some() {
            return Err(unexpected("a linear booster's boosted_rounds or weights"));
        }
        if model.trees.is_none() {
            return Err(absent(match dart {
                true => "gbtree.model.trees",
                false => "model.trees",
            }));
        }
        let weights = match (self.weight_drop, model.0.weight_drop.take()) {
            (Some(_), Some(_)) => {
                return Err(ModelError::new(
                    "learner.gradient_booster: weight_drop is there twice; expected it once",
                ));
            }
            (weights @ Some(_), None) | (None, weights) => weights,
        };
        match weights {
            None if dart => Err(absent("weight_drop")),
            Some(weights) if weights.len() != model.trees().len() => Err(ModelError(format!(
                "weight_drop has {} entries; expected {}, one for each tree",
                weights.len(),
                model.trees().len()
            ))),
            weights => Ok((model, weights)),
        }
    }
}

/// The `gbtree` inside a `dart`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trees {
    name: Option<String>,
    model: Box<Object<Model>>,
}

impl Trees {
    fn open(self) -> Result<Box<Object<Model>>, ModelError> {
        match self.name.as_deref() {
            None | Some("gbtree") => Ok(self.model),
            Some(name) => {
                let part: String = name.chars().take(40).collect();
                Err(ModelError(format!(
                    "learner.gradient_booster.gbtree.name: {part:?} is not known; expected gbtree"
                )))
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Model {
    /// Names of categories: numeric splits do not use them.
    #[serde(rename = "cats")]
    _cats: Option<Object<unread::Categories>>,
    gbtree_model_param: Option<Object<ModelParam>>,
    /// Where each iteration's trees begin, then where the last one's end; since 2.0.
    pub(super) iteration_indptr: Option<Vec<u64>>,
    /// Absent in a linear booster, whose name gives the better error.
    trees: Option<Vec<Object<Nodes>>>,
    /// The output that each tree is for.
    #[serde(default)]
    pub(super) tree_info: Vec<i64>,
    weight_drop: Option<Vec<f32>>,
    /// Part of a linear booster, which is refused by its name; a tree booster does not have it.
    boosted_rounds: Refused,
    weights: Refused,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelParam {
    num_trees: Option<String>,
    num_parallel_tree: Option<String>,
    #[serde(default = "zero")]
    size_leaf_vector: String,
}

impl Model {
    pub(super) fn trees(&self) -> &[Object<Nodes>] {
        self.trees.as_deref().unwrap_or_default()
    }

    /// Checks that all trees have one output and that there are as many as the file says.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        if self.tree_info.iter().any(|&group| group != 0) {
            return Err(ModelError::new(
                "tree_info has groups other than 0; models of several outputs are not supported: \
                 train one model for each output",
            ));
        }
        let Some(param) = &self.gbtree_model_param else {
            return Ok(());
        };
        let size: u64 = number("size_leaf_vector", &param.size_leaf_vector)?;
        if size > 1 {
            return Err(several("size_leaf_vector", size));
        }
        if let Some(text) = &param.num_trees {
            let said: usize = number("num_trees", text)?;
            if said != self.trees().len() {
                return Err(ModelError(format!(
                    "num_trees is {said}, but there are {} trees; expected as many",
                    self.trees().len()
                )));
            }
        }
        Ok(())
    }

    /// Number of trees per iteration.
    pub(super) fn parallel(&self) -> Result<usize, ModelError> {
        let param = self.gbtree_model_param.as_ref();
        match param.and_then(|param| param.num_parallel_tree.as_deref()) {
            None => Ok(1),
            Some(text) => Ok(number::<usize>("num_parallel_tree", text)?.max(1)),
        }
    }
}

/// A tree's nodes: entry `i` of each list belongs to node `i`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nodes {
    /// -1 for a leaf.
    pub(super) left_children: Vec<i32>,
    pub(super) right_children: Vec<i32>,
    pub(super) split_indices: Vec<u32>,
    /// Thresholds, or a leaf's value.
    pub(super) split_conditions: Vec<f32>,
    pub(super) default_left: Vec<Flag>,
    /// 1 for a categorical split.
    #[serde(default)]
    pub(super) split_type: Vec<u8>,
    pub(super) tree_param: Object<TreeParam>,
    #[serde(rename = "base_weights")]
    _base_weights: Option<Numbers>,
    /// Sets of categorical splits; such splits are refused.
    #[serde(rename = "categories")]
    _categories: Option<Numbers>,
    #[serde(rename = "categories_nodes")]
    _categories_nodes: Option<Numbers>,
    #[serde(rename = "categories_segments")]
    _categories_segments: Option<Numbers>,
    #[serde(rename = "categories_sizes")]
    _categories_sizes: Option<Numbers>,
    #[serde(rename = "id")]
    _id: Option<Scalar>,
    /// Up to version 1.2: how many children of a node are leaves.
    #[serde(rename = "leaf_child_counts")]
    _leaf_child_counts: Option<Numbers>,
    /// For leaves with several outputs; since 3.2.
    #[serde(default)]
    pub(super) leaf_weights: Vec<f32>,
    #[serde(rename = "loss_changes")]
    _loss_changes: Option<Numbers>,
    #[serde(rename = "parents")]
    _parents: Option<Numbers>,
    #[serde(rename = "sum_hessian")]
    _sum_hessian: Option<Numbers>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TreeParam {
    #[serde(default = "one")]
    pub(super) size_leaf_vector: String,
    #[serde(default = "zero")]
    pub(super) num_deleted: String,
    #[serde(rename = "num_feature")]
    _num_feature: Option<Text>,
    #[serde(rename = "num_nodes")]
    _num_nodes: Option<Text>,
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
