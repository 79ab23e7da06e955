//! `xgboost`: the JSON that XGBoost's `save_model` writes.
//!
//! | file | what |
//! |---|---|
//! | `file` | the structure of the JSON |
//! | `iterations` | how many of the file's iterations run |
//! | `missing` | which number, besides NaN, stands for a missing factor |
//! | `tree` | turns nodes into a tree |
//! | `unread` | what no prediction uses |
//! | `objective` | turns the sum of the leaves into the output |

mod file;
mod iterations;
mod missing;
mod objective;
#[cfg(test)]
mod tests;
mod tree;
mod unread;

use file::{File, Nodes};
use objective::Objective;

use super::forest::{Builder, Forest};
use super::parsed::Parsed;
use super::{Iterations, MOST_PREFETCHED, Model, ModelError};
use crate::error::object::Object;
use crate::messages::InstrumentId;
use crate::sync::prefetch::Parts;

/// An ensemble that XGBoost trained: `gbtree` or `dart`, one output, as JSON.
///
/// The output is what `predict` of the class that saved the file returns ([`Iterations`]). It is
/// named `probability` for `binary:logistic` and `reg:logistic`, else `prediction`. Factors are
/// rounded to `f32`, because XGBoost compares and sums in `f32`. The sum starts with the base score
/// and follows the order of the trees, so it is the same to the last bit. NaN means missing, and so
/// does the number that scikit-learn's wrapper was given as `missing`, if the file names it.
/// Objectives: `reg:squarederror`, `reg:squaredlogerror`, `reg:pseudohubererror`,
/// `reg:absoluteerror`, `reg:quantileerror`, `reg:logistic`, `reg:gamma`, `reg:tweedie`,
/// `count:poisson`, `binary:logistic`, `binary:logitraw`. Linear boosters, several classes or
/// targets, and categorical splits are refused. So are keys that no version up to 3.4 writes, and
/// later versions, because they may have another meaning; a file of a later version is accepted
/// with a check file that the model passes.
///
/// ```
/// use signal::InstrumentId;
/// use signal::models::{Model, XgBoost};
/// let json = r#"{"version": [3, 2, 0], "learner": {
///     "feature_names": [], "objective": {"name": "reg:squarederror"},
///     "learner_model_param": {"base_score": "[5E-1]", "num_class": "0", "num_feature": "2"},
///     "gradient_booster": {"name": "gbtree", "model": {"tree_info": [0], "trees": [{
///         "left_children": [1, -1, -1], "right_children": [2, -1, -1],
///         "split_indices": [1, 0, 0], "split_conditions": [0.25, -1, 2],
///         "default_left": [1, 0, 0], "tree_param": {"size_leaf_vector": "1"}
///     }]}}
/// }}"#;
/// let mut model = XgBoost::parse(json.as_bytes())?;
/// let mut out = [0.0];
/// model.run(InstrumentId(0), &[0.0, 0.25], &mut out);
/// assert_eq!(out, [2.5]);
/// model.run(InstrumentId(0), &[0.0, f64::NAN], &mut out);
/// assert_eq!(out, [-0.5]);
/// # Ok::<(), signal::models::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct XgBoost {
    forest: Forest<f32, f32>,
    /// The base score, before the objective's function.
    base: f32,
    objective: Objective,
    /// The number that means missing, as NaN does.
    missing: Option<f32>,
    inputs: usize,
    names: Vec<String>,
    outputs: [String; 1],
}

impl XgBoost {
    /// Reads the JSON.
    ///
    /// # Errors
    ///
    /// The key, the line or the tree, and what was expected.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::read(bytes, Iterations::Saved)?.settled()
    }

    /// [`parse`](Self::parse), with a choice of iterations, and with what the file leaves open.
    pub(super) fn read(bytes: &[u8], wanted: Iterations) -> Result<Parsed<Self>, ModelError> {
        // UBJSON starts like JSON, but the length of a key follows.
        if matches!(
            bytes,
            [b'{', b'i' | b'U' | b'I' | b'l' | b'L' | b'$' | b'#', ..]
        ) {
            return Err(ModelError::new(
                "it is UBJSON; save it as JSON, to a file whose name ends in .json",
            ));
        }
        let file: File =
            super::load::json(bytes, |key, _| match key.contains(".split_conditions[") {
                true => {
                    "up to version 3.0 that is the threshold of a categorical split, which is not \
                     supported: encode categories as numbers before training"
                }
                false => "expected a number",
            })?;
        let doubt = file.doubt()?;
        let learner = file.learner;
        let param = learner.0.learner_model_param.0;
        param.one_output()?;
        let inputs = param.features()?;
        let objective = Objective::parse(&learner.0.objective.name)?;
        let names = learner.0.feature_names;
        if !names.is_empty() && names.len() != inputs {
            return Err(ModelError(format!(
                "learner.feature_names has {} names, but num_feature is {inputs}",
                names.len()
            )));
        }
        let (model, weights) = learner.0.gradient_booster.0.open()?;
        model.check()?;
        let taken = iterations::take(wanted, &learner.0.attributes, &model)?;
        let missing = missing::number(learner.0.attributes.scikit_learn.as_deref())?;
        let model = Self {
            forest: forest(inputs, &model.trees()[..taken.trees], weights.as_deref())?,
            base: objective.margin(param.base()?)?,
            outputs: [objective.output().into()],
            objective,
            missing,
            inputs,
            names,
        };
        Ok(Parsed {
            model,
            doubt,
            note: note(taken.note, missing),
        })
    }
}

/// The trees, each with its weight if they have any.
#[inline(never)]
fn forest(
    inputs: usize,
    trees: &[Object<Nodes>],
    weights: Option<&[f32]>,
) -> Result<Forest<f32, f32>, ModelError> {
    let mut builder = Builder::new(inputs);
    for (index, nodes) in trees.iter().enumerate() {
        let weight = weights.map(|weights| weights[index]);
        let named = |error: ModelError| ModelError(format!("trees[{index}]: {error}"));
        let tree = tree::read(nodes, weight).map_err(named)?;
        builder.add(tree.root, &tree.splits).map_err(named)?;
    }
    Ok(builder.build())
}

/// What was chosen where ways of saving or predicting differ.
fn note(iterations: Option<String>, missing: Option<f32>) -> Option<String> {
    let missing = missing.map(|number| {
        format!("{number} means missing as NaN does, as scikit-learn's predict takes it")
    });
    let all: Vec<_> = iterations.into_iter().chain(missing).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

impl Model for XgBoost {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn input_names(&self) -> &[String] {
        &self.names
    }

    fn outputs(&self) -> &[String] {
        &self.outputs
    }

    fn keeps_state(&self) -> bool {
        false
    }

    fn prefetch(&self) {
        self.forest.prefetch(&mut Parts::of(MOST_PREFETCHED));
    }

    #[inline]
    fn run(&mut self, _: InstrumentId, factors: &[f64], out: &mut [f64]) {
        let factors = &factors[..self.inputs];
        let mut sum = self.base;
        let rounded = factors.iter().map(|&x| x as f32);
        match self.missing {
            None => self.forest.run(rounded, |leaf| sum += leaf),
            Some(missing) => {
                let present = rounded.map(|x| if x == missing { f32::NAN } else { x });
                self.forest.run(present, |leaf| sum += leaf);
            }
        }
        out[0] = self.objective.convert(sum).into();
    }
}
