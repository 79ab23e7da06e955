//! Turns a section into a tree.

use super::text::{TreeKey, TreeSection};
use crate::models::ModelError;
use crate::models::forest::{Child, Split, Test};

/// LightGBM's `kZeroThreshold`, an `f32` widened.
pub(super) const ZERO: f64 = 1e-35_f32 as f64;

const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;

/// A tree as the forest takes it; the splits are in the order of the file.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Child<f64>,
    pub(super) splits: Vec<Split<f64, f64>>,
}

pub(super) fn read(section: &TreeSection<'_>) -> Result<Tree, ModelError> {
    if let Some((line, linear)) = section.text(TreeKey::Linear)
        && linear.trim_ascii() != "0"
    {
        return Err(ModelError(format!(
            "line {line}: is_linear is set; linear trees are not supported: train with \
             linear_tree=false"
        )));
    }
    let leaves: usize = section.number(TreeKey::Leaves)?;
    if leaves == 0 {
        return Err(ModelError::new("num_leaves is 0; expected at least 1"));
    }
    let values: Vec<f64> = section.numbers(TreeKey::Value, leaves)?;
    if let Some(index) = values.iter().position(|value| !value.is_finite()) {
        return Err(ModelError(format!(
            "leaf_value[{index}] is {}; expected a finite number",
            values[index]
        )));
    }
    if leaves == 1 {
        return Ok(Tree {
            root: Child::Leaf(values[0]),
            splits: Vec::new(),
        });
    }
    let count = leaves - 1;
    let features: Vec<usize> = section.numbers(TreeKey::Feature, count)?;
    let thresholds: Vec<f64> = section.numbers(TreeKey::Threshold, count)?;
    let decisions: Vec<u8> = section.numbers(TreeKey::Decision, count)?;
    let left: Vec<i64> = section.numbers(TreeKey::Left, count)?;
    let right: Vec<i64> = section.numbers(TreeKey::Right, count)?;
    let mut sets = sets(section)?;
    let mut taken = vec![false; leaves];
    let mut child = |name: &str, index: usize, child: i64| {
        if let Ok(split) = usize::try_from(child) {
            return Ok(Child::Split(split));
        }
        // Leaves are written as their bitwise complement.
        let leaf = !child as usize;
        let Some(taken) = taken.get_mut(leaf) else {
            return Err(ModelError::unwritten(format!(
                "{name}[{index}] is {child}, leaf {leaf}, but there are {leaves}"
            )));
        };
        if std::mem::replace(taken, true) {
            return Err(ModelError::unwritten(format!(
                "{name}[{index}] is {child}, but another split leads to leaf {leaf} already"
            )));
        }
        Ok(Child::Leaf(values[leaf]))
    };
    let mut splits = Vec::with_capacity(count);
    for index in 0..count {
        let how = Decision {
            bits: decisions[index],
            threshold: thresholds[index],
        };
        let (test, nan, zero) = how
            .read(&mut sets)
            .map_err(|error| ModelError(format!("split {index}: {error}")))?;
        splits.push(Split {
            feature: features[index],
            test,
            nan,
            zero,
            yes: child("left_child", index, left[index])?,
            no: child("right_child", index, right[index])?,
        });
    }
    Ok(Tree {
        root: Child::Split(0),
        splits,
    })
}

struct Decision {
    bits: u8,
    threshold: f64,
}

impl Decision {
    /// The test, where NaN goes, and the distance from 0 that counts as 0.
    fn read(&self, sets: &mut [Option<Box<[u32]>>]) -> Result<(Test<f64>, bool, f64), ModelError> {
        let threshold = self.threshold;
        if self.bits & CATEGORICAL != 0 {
            let index = threshold as usize;
            let set = sets.get_mut(index).filter(|_| index as f64 == threshold);
            let set = set.ok_or_else(|| {
                ModelError(format!(
                    "its category set is {threshold}; expected a whole number below num_cat"
                ))
            })?;
            let set = set.take().ok_or_else(|| {
                ModelError::unwritten(format!("its category set {index} is another split's"))
            })?;
            return Ok((Test::In(set), false, f64::NAN));
        }
        // A threshold of infinity separates NaN from all numbers.
        if threshold.is_nan() {
            return Err(ModelError::new("its threshold is NaN; expected a number"));
        }
        let default = self.bits & DEFAULT_LEFT != 0;
        let test = Test::Leq(threshold);
        match self.bits >> 2 {
            // If training saw no missing values, NaN counts as 0.
            0 => Ok((test, 0.0 <= threshold, f64::NAN)),
            // 0 and NaN are missing.
            1 => Ok((test, default, ZERO)),
            2 => Ok((test, default, f64::NAN)),
            _ => Err(ModelError::unwritten(format!(
                "decision_type {} is not known",
                self.bits
            ))),
        }
    }
}

/// The category sets, each used by one split.
fn sets(section: &TreeSection<'_>) -> Result<Vec<Option<Box<[u32]>>>, ModelError> {
    let count: usize = match section.text(TreeKey::Categorical) {
        Some(_) => section.number(TreeKey::Categorical)?,
        None => 0,
    };
    if count == 0 {
        return Ok(Vec::new());
    }
    let bounds: Vec<usize> =
        section.numbers(TreeKey::CategoryBoundaries, count.saturating_add(1))?;
    let words: Vec<u32> =
        section.numbers(TreeKey::CategoryThreshold, *bounds.last().unwrap_or(&0))?;
    if bounds[0] != 0 || !bounds.is_sorted() {
        return Err(ModelError::unwritten(
            "cat_boundaries are not ascending from 0",
        ));
    }
    Ok(bounds
        .windows(2)
        .map(|pair| Some(words[pair[0]..pair[1]].into()))
        .collect())
}
