//! `lightgbm`: the text that LightGBM's `save_model` writes.
//!
//! | file | what |
//! |---|---|
//! | `text` | splits lines into sections of keys |
//! | `tree` | turns a section into a tree |
//! | `objective` | turns the sum of the leaves into the output |

mod objective;
#[cfg(test)]
mod tests;
mod text;
mod tree;

use objective::Objective;
use text::{Header, Sections, TreeKey};

use super::forest::{Builder, Forest};
use super::parsed::Parsed;
use super::{Iterations, MOST_PREFETCHED, Model, ModelError};
use crate::messages::InstrumentId;
use crate::sync::prefetch::Parts;

/// An ensemble that LightGBM trained: its versions `v2` to `v4`, one output.
///
/// The output is what `Booster.predict` gives: named `probability` for `binary` and
/// `cross_entropy`, else `prediction`. Leaves are summed in `f64` in the order of the trees, as
/// LightGBM does, so the sum is the same to the last bit. Objectives: `regression`,
/// `regression_l1`, `huber`, `fair`, `quantile`, `mape` (each with or without `sqrt`), `poisson`,
/// `gamma`, `tweedie`, `binary`, `cross_entropy`, `cross_entropy_lambda`, and none. Linear trees,
/// models with several classes, and keys that LightGBM up to 4.7 does not write are refused.
///
/// Missing values follow LightGBM's predictor. If a split has no missing values, NaN counts as 0. A
/// categorical split sends NaN, negative and unknown categories right.
///
/// ```
/// use signal::InstrumentId;
/// use signal::models::{LightGbm, Model};
/// let text = "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\n\
///     objective=regression\nfeature_names=spread basis\ntree_sizes=1\n\n\
///     Tree=0\nnum_leaves=2\nnum_cat=0\nsplit_feature=1\nthreshold=0.5\ndecision_type=2\n\
///     left_child=-1\nright_child=-2\nleaf_value=-1 2.5\nis_linear=0\nshrinkage=1\n\n\
///     end of trees\n";
/// let mut model = LightGbm::parse(text.as_bytes())?;
/// assert_eq!(model.input_names(), ["spread", "basis"]);
/// let mut out = [0.0];
/// model.run(InstrumentId(0), &[0.0, 0.75], &mut out);
/// assert_eq!(out, [2.5]);
/// # Ok::<(), signal::models::ModelError>(())
/// ```
#[derive(Clone, Debug)]
pub struct LightGbm {
    forest: Forest<f64, f64>,
    /// Divisor of the sum: the number of trees of a random forest.
    divisor: Option<f64>,
    objective: Objective,
    inputs: usize,
    names: Vec<String>,
    outputs: [String; 1],
}

impl LightGbm {
    /// Reads the text.
    ///
    /// # Errors
    ///
    /// The line, the key and what was expected.
    pub fn parse(bytes: &[u8]) -> Result<Self, ModelError> {
        Self::read(bytes, Iterations::Saved)?.settled()
    }

    /// [`parse`](Self::parse), with a choice of iterations. LightGBM does not save iterations after
    /// the best one, so the default is all.
    pub(super) fn read(bytes: &[u8], wanted: Iterations) -> Result<Parsed<Self>, ModelError> {
        let most = match wanted {
            Iterations::Saved | Iterations::All => None,
            Iterations::First(count) => Some(count.get() as usize),
            Iterations::Best => {
                return Err(ModelError::new(
                    "iterations is best, but LightGBM does not write which that is: its save_model \
                     leaves out what came after it; expected all or a number",
                ));
            }
        };
        let mut sections = Sections::new(bytes);
        let header = Header::read(&mut sections)?;
        let mut builder = Builder::new(header.features);
        let mut trees = 0;
        while let Some(section) = sections.tree()? {
            let named = |error: ModelError| ModelError(format!("Tree={trees}: {error}"));
            let index: usize = section.number(TreeKey::Tree)?;
            if index != trees {
                return Err(ModelError::unwritten(format!(
                    "Tree={index} follows {trees} trees; expected Tree={trees}"
                )));
            }
            let tree = tree::read(&section).map_err(named)?;
            if most.is_none_or(|most| trees < most) {
                builder.add(tree.root, &tree.splits).map_err(named)?;
            }
            trees += 1;
        }
        sections.finish()?;
        if header.trees.is_some_and(|said| said != trees) {
            return Err(ModelError::unwritten(format!(
                "there are {trees} trees, but tree_sizes has {} entries",
                header.trees.unwrap_or_default()
            )));
        }
        if trees == 0 {
            return Err(ModelError::new(
                "it has no trees; expected at least one: save the model after its training",
            ));
        }
        let taken = most.unwrap_or(trees);
        if taken > trees {
            return Err(ModelError(format!(
                "iterations is {taken}, but the file has {trees}; expected at most as many"
            )));
        }
        let note = (taken < trees).then(|| format!("{taken} of {trees} iterations: as configured"));
        let model = Self {
            forest: builder.build(),
            divisor: header.average.then_some(taken as f64),
            outputs: [header.objective.output().into()],
            objective: header.objective,
            inputs: header.features,
            names: header.names,
        };
        Ok(Parsed {
            model,
            doubt: None,
            note,
        })
    }
}

impl Model for LightGbm {
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
        // LightGBM drops values this small before it evaluates a tree.
        let factors = factors
            .iter()
            .map(|&x| if x.abs() <= tree::ZERO { 0.0 } else { x });
        let mut sum = 0.0;
        self.forest.run(factors, |leaf| sum += leaf);
        if let Some(divisor) = self.divisor {
            sum /= divisor;
        }
        out[0] = self.objective.convert(sum);
    }
}
