//! Checks trees and builds the forest.

use super::split::{Child, Scalar, Split};
use super::table::Table;
use super::trees::Trees;
use super::walk::Walk;
use super::{Forest, Plan};
use crate::models::ModelError;

/// Maximum number of splits, and of trees, in a forest.
const MAX_SPLITS: usize = 1 << 30;

/// Collects trees, in the order in which the forest runs them.
#[derive(Clone, Debug)]
pub(crate) struct Builder<T, V> {
    features: usize,
    trees: Trees<T, V>,
    seen: Vec<bool>,
    open: Vec<usize>,
}

impl<T: Scalar, V: Copy> Builder<T, V> {
    /// A builder for trees over `features` features.
    pub(crate) fn new(features: usize) -> Self {
        Self {
            features,
            trees: Trees::new(features),
            seen: Vec::new(),
            open: Vec::new(),
        }
    }

    /// Adds a tree: `root` is where it starts, a leaf for a tree without splits.
    ///
    /// # Errors
    ///
    /// Too many splits; a feature or a split that does not exist; a split that several others lead
    /// to, or none. Names the split by its index, but not the tree.
    pub(crate) fn add(&mut self, root: Child<V>, splits: &[Split<T, V>]) -> Result<(), ModelError> {
        // The walk numbers its nodes with a `u32`: two for each split, one for each root.
        if self.trees.splits() + splits.len() > MAX_SPLITS || self.trees.iter().len() >= MAX_SPLITS
        {
            return Err(ModelError(format!(
                "there are more than {MAX_SPLITS} splits or trees; expected at most as many: train fewer trees"
            )));
        }
        self.check(root, splits)?;
        self.trees.add(root, splits);
        Ok(())
    }

    fn check(&mut self, root: Child<V>, splits: &[Split<T, V>]) -> Result<(), ModelError> {
        self.seen.clear();
        self.seen.resize(splits.len(), false);
        self.open.clear();
        self.reach(&"the root", root)?;
        while let Some(index) = self.open.pop() {
            let split = &splits[index];
            if split.feature >= self.features {
                return Err(ModelError::unwritten(format!(
                    "split {index} asks for feature {}, but there are {}",
                    split.feature, self.features
                )));
            }
            for child in [split.yes, split.no] {
                self.reach(&format_args!("split {index}"), child)?;
            }
        }
        match self.seen.iter().position(|seen| !seen) {
            Some(index) => Err(ModelError::unwritten(format!(
                "nothing leads to split {index}"
            ))),
            None => Ok(()),
        }
    }

    fn reach(&mut self, from: &dyn std::fmt::Display, child: Child<V>) -> Result<(), ModelError> {
        let Child::Split(index) = child else {
            return Ok(());
        };
        match self.seen.get_mut(index) {
            None => Err(ModelError::unwritten(format!(
                "{from} leads to split {index}, but there are {}",
                self.seen.len()
            ))),
            Some(true) => Err(ModelError(format!(
                "several paths lead to split {index}, one from {from}; expected a tree"
            ))),
            Some(seen) => {
                *seen = true;
                self.open.push(index);
                Ok(())
            }
        }
    }

    /// The forest of the trees added so far.
    pub(crate) fn build(self) -> Forest<T, V> {
        Forest(
            Table::new(&self.trees)
                .map(Plan::Narrow)
                .or_else(|| Table::new(&self.trees).map(Plan::Wide))
                .or_else(|| Table::new(&self.trees).map(Plan::Double))
                .or_else(|| Table::new(&self.trees).map(Plan::Quadruple))
                .unwrap_or_else(|| Plan::Walk(Walk::new(&self.trees))),
        )
    }

    /// The trees added so far as a walk, even if they would fit a table.
    #[cfg(test)]
    pub(super) fn walk(self) -> Walk<T, V> {
        Walk::new(&self.trees)
    }
}
