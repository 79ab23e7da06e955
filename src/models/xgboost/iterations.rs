//! How many of the file's iterations run.

use serde::Deserialize;

use super::file::{Model, number};
use crate::models::{Iterations, ModelError};

/// What the attributes say about iterations; other attributes may hold anything.
#[derive(Default, Deserialize)]
pub(super) struct Attributes {
    /// The best iteration according to early stopping, counted from 0.
    best_iteration: Option<String>,
    /// What scikit-learn's wrapper says of itself; `Booster` does not save this attribute.
    pub(super) scikit_learn: Option<String>,
}

impl Attributes {
    /// Iterations up to the best one.
    fn best(&self) -> Result<Option<usize>, ModelError> {
        self.best_iteration
            .as_deref()
            .map(|text| number("learner.attributes.best_iteration", text))
            .map(|last| last.map(|last: usize| last.saturating_add(1)))
            .transpose()
    }
}

/// How many trees run, and a message about that.
#[derive(Debug, PartialEq)]
pub(super) struct Taken {
    pub(super) trees: usize,
    /// Set if the classes that could have saved the file differ, or if the configuration asks for
    /// something else.
    pub(super) note: Option<String>,
}

/// Chooses the trees, starting with the first.
pub(super) fn take(
    wanted: Iterations,
    attributes: &Attributes,
    model: &Model,
) -> Result<Taken, ModelError> {
    let ends = ends(model)?;
    let total = ends.len();
    // An invalid best iteration matters only if it is asked for, because slices keep the attribute.
    let best = attributes.best();
    let known = || best.clone().ok().flatten().filter(|&best| best < total);
    let within = |count: usize, name: &str| match count <= total {
        true => Ok(count),
        false => Err(ModelError(format!(
            "{name} asks for {count} iterations, but the file has {total}; \
             expected at most as many (the model's key iterations says how many)"
        ))),
    };
    let (count, why) = match wanted {
        Iterations::Saved if attributes.scikit_learn.is_some() => match best.clone()? {
            Some(best) => (
                within(best, "learner.attributes.best_iteration")?,
                "the best, as scikit-learn's predict takes them",
            ),
            None => (total, ""),
        },
        Iterations::Saved => (total, "as Booster.predict takes them"),
        Iterations::All => (total, "as configured"),
        Iterations::Best => {
            let best = best.clone()?.ok_or_else(|| {
                ModelError::new(
                    "iterations is best, but the file has no learner.attributes.best_iteration; \
                     expected all or a number",
                )
            })?;
            (
                within(best, "learner.attributes.best_iteration")?,
                "the best, as configured",
            )
        }
        Iterations::First(count) => (
            within(
                usize::try_from(count.get()).unwrap_or(usize::MAX),
                "iterations",
            )?,
            "as configured",
        ),
    };
    let note = match known() {
        _ if count < total => Some(format!("{count} of {total} iterations: {why}")),
        Some(best) => Some(format!(
            "all {total} iterations, {why}; the best were {best}"
        )),
        None => None,
    };
    Ok(Taken {
        trees: count.checked_sub(1).map_or(0, |last| ends[last]),
        note,
    })
}

/// Where the trees of each iteration end.
fn ends(model: &Model) -> Result<Vec<usize>, ModelError> {
    let trees = model.trees().len();
    let Some(starts) = &model.iteration_indptr else {
        let parallel = model.parallel()?;
        if !trees.is_multiple_of(parallel) {
            return Err(ModelError(format!(
                "num_parallel_tree is {parallel}, but there are {trees} trees; \
                 expected so many an iteration"
            )));
        }
        return Ok((1..=trees / parallel).map(|end| end * parallel).collect());
    };
    let all =
        starts.first() == Some(&0) && starts.is_sorted() && starts.last() == Some(&(trees as u64));
    match all {
        true => Ok(starts[1..].iter().map(|&end| end as usize).collect()),
        false => Err(ModelError(format!(
            "iteration_indptr does not ascend from 0 to {trees}, the number of trees"
        ))),
    }
}
